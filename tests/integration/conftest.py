"""Integration tests run against one embedded AWS per test session, a real process on a free port.

Isolation without restarts: a 12-digit account id is a tenant of its own, and `account` makes one for each test."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.running import EmbeddedAws
from tests.integration.deployed import Deployed, deploy_all

_numbers = itertools.count(100_000_000_001)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the deployed stacks share one process, so that they share one deployment."""
    for item in items:
        if "deployed" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("deployed"))


@pytest.fixture(scope="session")
def embedded_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """A running embedded AWS, IAM not enforced: `.client(service)`, `.session(account=…)`, `.env()`, `.mails()`."""
    with EmbeddedAws(home=tmp_path_factory.mktemp("embedded-aws")) as aws:
        yield aws


@pytest.fixture(scope="session")
def deployed(embedded_aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Every stack, deployed once by the CDK CLI: `.client(service)`, `.outputs[stack][name]`, `.aws`."""
    return deploy_all(embedded_aws, tmp_path_factory.mktemp("deployed"))


@pytest.fixture
def account() -> str:
    """An account nobody else uses."""
    return str(next(_numbers))


@pytest.fixture
def client(embedded_aws: EmbeddedAws, account: str) -> Callable[[str], Any]:
    """`client("sqs")`: a boto3 client in this test's own account."""
    return lambda service: embedded_aws.client(service, account)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """`eventually(lambda: …)` calls until the result is true and returns it, or fails after `seconds`."""

    def wait(probe: Callable[[], Any], seconds: float = 15.0, every: float = 0.05) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            if found := probe():
                return found
            if time.monotonic() > deadline:
                pytest.fail(f"still false after {seconds:.0f} s: last result {found!r}")
            time.sleep(every)

    return wait
