"""One synth of the real app for all tests of this folder; they run in one process (xdist_group)."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")


from infra.config import DeploymentConfig
from tests.support.synthesized import ROOT, Synthesized, synthesize


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("infra"))


@pytest.fixture(scope="session")
def config() -> DeploymentConfig:
    return DeploymentConfig(prompts_dir=ROOT / "prompts")


@pytest.fixture(scope="session")
def synthesized(config: DeploymentConfig, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize(config, tmp_path_factory.mktemp("cdk.out"))
