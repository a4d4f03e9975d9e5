"""What tests of several kinds share: one deployment of every stack for a whole session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deployment import Deployment, prompt_folders


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the deployed stacks share one process, so that they share one deployment."""
    for item in items:
        if "deployed" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("deployed"))


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Every stack, deployed once by the real CDK CLI to an embedded AWS, all subscriptions confirmed."""
    home = tmp_path_factory.mktemp("deployed")
    with Deployment(home, prompts=prompt_folders(home / "prompts")) as deployment:
        yield deployment
