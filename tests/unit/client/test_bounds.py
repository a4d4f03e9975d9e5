"""What a process keeps does not grow with what it is asked: every container that a client reaches has a bound."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from promptlane.client import InvalidReceipt, PromptClient, UnknownPrompt, cloudwatch, receipt_keys, routes
from promptlane.client.receipts import prompt_id_of
from promptlane.client.testing import FakeBedrock, StaticRoutes, client_over, version_arn
from promptlane.domain.errors import InvalidInput, Unavailable
from tests.support.client import AwsError, FakeCloudWatch, Kms, Session

ASKED = 300
BOUND = 60
PROMPT_ID = prompt_id_of(version_arn("greeter", 1))


class Forgetful(FakeCloudWatch):
    def put_metric_data(self, **given: Any) -> None:
        """Takes everything and keeps nothing."""


def reached(root: object) -> Iterator[tuple[str, Any]]:
    """Every dict, list, set and deque that an object reaches, with its way there; classes, modules, code and the fakes
    are no part of a client."""
    outside = (type, types.ModuleType, types.FunctionType, types.CodeType, types.FrameType, StaticRoutes, FakeBedrock)
    seen, todo = {id(root)}, deque([("client", root)])
    while todo:
        way, found = todo.popleft()
        if isinstance(found, dict | list | set | deque):
            yield way, found
        for inner in gc.get_referents(found):
            if id(inner) not in seen and not isinstance(inner, (*outside, Session, FakeCloudWatch, Kms)):
                seen.add(id(inner))
                todo.append((f"{way} > {type(inner).__name__}", inner))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[PromptClient]:
    for module, names in {
        routes: ("MAX_HELD", "MAX_ALIASES", "MAX_MISSES"),
        receipt_keys: ("_KEPT", "_PROMPTS"),
        cloudwatch: ("MAX_HELD", "MAX_PAIRS", "MAX_DISTINCT"),
    }.items():
        for name in names:
            assert getattr(module, name) <= 60_000
            monkeypatch.setattr(module, name, BOUND // 2)
    table = StaticRoutes()
    table.put("greeter", stable=1)
    session = Session(cloudwatch=Forgetful(), bedrock_runtime=FakeBedrock("hi"), kms=Kms())
    made = client_over(table, session=session, refresh=3600, receipt_kms_key="key")
    yield made
    made.close()


def ask(client: PromptClient, number: int, receipt: str) -> None:
    """Everything whose text a user of an application may choose, anew."""
    with pytest.raises(UnknownPrompt):
        client.route(f"nobody-{number}", "u")
    assert client.route(f"arn:{number}:prompt/{PROMPT_ID}", f"unit {number}").version == 1
    client.converse("greeter", unit=f"user {number}")
    next(iter(client.converse_stream("greeter", unit=f"session {number}")))
    forged = receipt[:40] + f"{number:08x}" + receipt[48:]
    with pytest.raises((InvalidReceipt, Unavailable)):
        client.feedback(forged, positive=True)
    with pytest.raises(InvalidInput):
        client.converse("greeter", unit="u", metadata={f"ü{number}": "x"})


def test_no_container_grows_with_what_is_asked_and_no_memory_is_kept(client: PromptClient) -> None:
    receipt = client.converse("greeter", unit="u").receipt or ""
    bedrock = client._bedrock(1.0)
    for number in range(BOUND):
        ask(client, number, receipt)
        bedrock.calls.clear()
    client.flush()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(BOUND, BOUND + ASKED):
        ask(client, number, receipt)
        bedrock.calls.clear()
    client.flush()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    sizes = [(way, len(found)) for way, found in reached(client)]
    assert len(sizes) > 20, "the client's own were found"
    assert [(way, size) for way, size in sizes if size > 2 * BOUND] == []
    assert grown < 200 * ASKED, "bytes"


def test_errors_that_are_remembered_keep_no_frames_of_those_who_were_told(client: PromptClient) -> None:
    class Told:
        """What a caller holds while it is told."""

    def caller() -> None:
        told = Told()
        with pytest.raises(UnknownPrompt):
            client.route("nobody", "u")
        del told

    caller()
    assert not any(isinstance(found, Told) for found in gc.get_objects())
    client._routes.reader.down = AwsError("ThrottlingException")  # type: ignore[attr-defined]
    with pytest.raises(Unavailable):
        client.route("other", "u")
    assert len(client._routes._missing) == 2
    for _, error in client._routes._missing.values():
        assert error.__traceback__ is None
        assert error.__cause__ is None or error.__cause__.__traceback__ is None


def test_no_thread_stays_with_a_prompt_that_nobody_has(client: PromptClient) -> None:
    before = threading.active_count()
    for number in range(20):
        with pytest.raises(UnknownPrompt):
            client.route(f"nobody-{number}", "u")
    assert threading.active_count() <= before + 2
