"""One synth of the real app for all tests of this folder; they run in one process (xdist_group)."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")

from aws_cdk import App

from infra.application import add_stacks
from infra.config import DeploymentConfig
from tests.support.synthesized import Synthesized

ROOT = Path(__file__).resolve().parents[2]
Json = Any


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("infra"))


def context() -> dict[str, Json]:
    return dict(json.loads((ROOT / "cdk.json").read_text())["context"])


@pytest.fixture(scope="session")
def config() -> DeploymentConfig:
    return DeploymentConfig(prompts_dir=ROOT / "prompts")


@pytest.fixture(scope="session")
def synthesized(config: DeploymentConfig, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize(config, tmp_path_factory.mktemp("cdk.out"))


def synthesize(config: DeploymentConfig, directory: Path) -> Synthesized:
    """The templates of a deployment with these settings, by stack."""
    app = App(context={**context(), "aws:cdk:enable-path-metadata": True}, outdir=str(directory))
    add_stacks(app, config=config)
    app.synth()
    templates = {
        path.name.removesuffix(".template.json").removeprefix(f"{config.name}-"): json.loads(path.read_text())
        for path in sorted(directory.glob("*.template.json"))
    }
    return Synthesized(directory, templates)
