"""What tests of several kinds share: one embedded AWS and one deployment of every stack for a whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from local.running import EmbeddedAws
from tests.support.deployment import JUDGED, Deployment

# How long an example takes is the machine's affair; what is fast enough, the benchmarks say. The same examples in each
# run, so that a red run is about the change; `make explore` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=500, print_blob=True)
# `make mutants` wants to know that an example fails, not the smallest that does.
settings.register_profile(
    "mutants", deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate), print_blob=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Long texts are called by their length, so that a test's name can be read and typed."""
    return f"{argname}-{len(val)}-long" if isinstance(val, str | bytes) and len(val) > 100 else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the deployed stacks share one process, and so one deployment, unless they name another group.

    The longest test comes first: begun last, it would keep one process busy while the others have nothing left.
    """
    items.sort(key=lambda item: "test_machine.py" not in item.nodeid)
    for item in items:
        for shared in ("attacked", "deployed", "busy"):
            if shared in getattr(item, "fixturenames", ()) and item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(shared))
        if "attacked" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.deployed_attack)


@pytest.fixture(scope="session")
def embedded_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """A running embedded AWS, IAM not enforced: `.client(service)`, `.session(account=…)`, `.env()`, `.mails()`."""
    with EmbeddedAws(home=tmp_path_factory.mktemp("embedded-aws")) as aws:
        yield aws


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent / "shared" if "PYTEST_XDIST_WORKER" in os.environ else own / "shared"


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Deployment]:
    """Every stack, deployed once by the real CDK CLI to an embedded AWS with IAM enforced, and confirmed."""
    with Deployment(tmp_path_factory.mktemp("deployed"), shared=shared) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Deployment]:
    """The same with few prompts, whose applications call all the time."""
    with Deployment(tmp_path_factory.mktemp("busy"), shared=shared, roles=JUDGED) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Another such one, for attacks alone: what succeeds without its guard leaves traces that nobody cleans up."""
    home = tmp_path_factory.mktemp("attacked")
    with Deployment(home, shared=home) as deployment:
        yield deployment
