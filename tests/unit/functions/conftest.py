"""The world that every test of a function shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from tests.support.functions import World, running


@pytest.fixture(scope="package")
def aws() -> Iterator[Any]:
    """Started once: to start moto takes as long as a test."""
    mocked = mock_aws()
    with mocked:
        yield mocked


@pytest.fixture
def world(aws: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    aws.reset()
    with running(monkeypatch) as made:
        yield made
