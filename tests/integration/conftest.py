"""Integration tests run against one embedded AWS per test session, a real process on a free port.

Isolation without restarts: a 12-digit account id is a tenant of its own, and `account` makes one for each test."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from local.running import EmbeddedAws
from tests.support import second_emulator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    second_emulator.mark(items)


_numbers = itertools.count(100_000_000_001)


@pytest.fixture
def account() -> str:
    """An account nobody else uses."""
    return str(next(_numbers))


@pytest.fixture
def client(embedded_aws: EmbeddedAws, account: str) -> Callable[[str], Any]:
    """`client("sqs")`: a boto3 client in this test's own account."""
    return lambda service: embedded_aws.client(service, account)


@pytest.fixture
def dynamodb(embedded_aws: EmbeddedAws, account: str) -> Any:
    """The boto3 resource, in this test's own account."""
    return embedded_aws.session(account=account).resource("dynamodb", endpoint_url=embedded_aws.url)


@pytest.fixture
def moto() -> Iterator[boto3.Session]:
    """A session of the second emulator, moto."""
    with second_emulator.moto_session() as session:
        yield session


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
