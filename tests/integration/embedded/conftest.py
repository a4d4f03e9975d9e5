"""An embedded AWS that enforces IAM, for all tests of what it enforces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.running import EmbeddedAws


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with EmbeddedAws(home=tmp_path_factory.mktemp("enforcing"), auth=True) as server:
        yield server
