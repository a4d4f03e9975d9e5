"""moto as a second, independent emulator: what two that know nothing of each other do alike is likely to be AWS's.

Where moto lacks something a test module says so in `MOTO_LACKS`: a pattern of `Class::test[case]`, and the reason. Such
a test must fail there, so that the list shrinks when moto grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

MOTO = "moto"


@contextmanager
def empty_aws() -> Iterator[None]:
    """An AWS in this process with nothing in it, whatever a fixture of another test, which outlives it, left there."""
    mocked = mock_aws()
    with mocked:
        mocked.reset()
        yield


@contextmanager
def moto_session() -> Iterator[boto3.Session]:
    """A session whose clients and resources moto answers, with nothing in it yet, one request at a time: moto's
    conditions and writes are two steps, between which another thread would come."""
    one_at_a_time, process = Lock(), BotocoreStubber.process_request

    def processed(stubber: BotocoreStubber, request: Any) -> Any:
        with one_at_a_time:
            return process(stubber, request)

    with empty_aws(), patch.object(BotocoreStubber, "process_request", processed):
        yield boto3.Session("AKIAIOSFODNN7EXAMPLE", "secret", region_name="us-east-1")


def clients_of(session: boto3.Session) -> Callable[[str], Any]:
    """`client("sqs")`, each client made once."""
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = session.client(service)
        return made[service]

    return client


def mark(items: list[pytest.Item]) -> None:
    """Mark what runs on moto, and let fail what moto lacks."""
    for item in items:
        spec = getattr(item, "callspec", None)
        if spec is None or MOTO not in spec.params.values():
            continue
        item.add_marker("second_emulator")
        for pattern, reason in getattr(getattr(item, "module", None), "MOTO_LACKS", {}).items():
            if fnmatchcase(item.nodeid.partition("::")[2], pattern):
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
