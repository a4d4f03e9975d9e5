"""A child decides, counts and ends for itself, whatever its parent's other threads were doing when it was forked."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import pytest

from promptlane.client import AsyncPromptClient, PromptClient, processes
from promptlane.client.cloudwatch import CloudWatchSink
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, client_over, fake_client
from promptlane.domain import split
from tests.support.client import AwsError, FakeCloudWatch, Kms, Session, eventually

LONGEST = 10.0
LOCKS: dict[str, Callable[[PromptClient], Any]] = {
    "the routes": lambda client: client._routes._changed,
    "the metrics": lambda client: client._sink()._lock,  # type: ignore[attr-defined]
    "the sending of metrics": lambda client: client._sink()._sending,  # type: ignore[attr-defined]
    "the client": lambda client: client._lock,
    "the breaker": lambda client: client._breaker._lock,
    "the SDK's clients": lambda client: client._aws._lock,
}
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def forked(child: Callable[[], Any]) -> Any:
    """What a forked child comes to; a child that hangs is ended and fails the test."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            found = child()
        except BaseException as error:  # noqa: BLE001 - the parent tells it
            found = repr(error)
        os.write(write, json.dumps(found).encode())
        os._exit(0)
    ready, _, _ = select.select([read], [], [], LONGEST)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(write)
    with open(read, "rb") as pipe:
        text = pipe.read()
    assert ready, "the child hangs"
    return json.loads(text)


def told(client: PromptClient) -> Callable[[Callable[[], Any]], Any]:
    """The same without a fork: the client is told of one, and a thread has the same time to come to something."""

    def run(child: Callable[[], Any]) -> Any:
        found: list[Any] = []

        def body() -> None:
            client.after_fork()
            found.append(child())

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join(LONGEST)
        assert found, "it hangs"
        return found[0]

    return run


@contextmanager
def held_by_another_thread(lock: Any) -> Iterator[None]:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert held.wait(LONGEST)
    try:
        yield
    finally:
        done.set()
        thread.join(LONGEST)


class Parent:
    """A client in an AWS account of fakes; a canary error and two assignments are not sent yet, and no key is read."""

    def __init__(self, **settings: Any) -> None:
        self.routes = StaticRoutes()
        self.routes.put("greeter", stable=1, canary=2, weight=5000)
        self.cloud = FakeCloudWatch()
        self.bedrock = FakeBedrock({1: "hi", 2: AwsError("ModelErrorException")})
        self.client = client_over(
            self.routes,
            session=Session(cloudwatch=self.cloud, bedrock_runtime=self.bedrock),
            refresh=3600,
            breaker_errors=1,
            receipt_kms_key="out of reach",
            **settings,
        )
        units = [f"u{i}" for i in range(99)]
        self.client.converse("greeter", unit=next(u for u in units if self.client.route("greeter", u).version == 1))
        canaries = [u for u in units if (d := self.client.route("greeter", u)).version == 2 and d.track == "canary"]
        salt = self.client.route("greeter", "u0").salt
        for half in "01":
            self.client.converse("greeter", unit=next(u for u in canaries if split.half(split.group(salt, u)) == half))

    def assigned(self) -> list[int]:
        """How many assignments of stable, canary and the child's version reached CloudWatch."""
        return [
            int(sum(kept[1] for key, kept in self.cloud.data.items() if (key[0], key[1][1:]) == ("Assigned", dims)))
            for dims in ((("Version", "1"),), (("Version", "2"),), (("Version", "3"),))
        ]

    def child(self) -> Any:
        """Decides anew, refreshes, counts, and ends as a process does."""
        self.routes.put("greeter", stable=9, canary=3, weight=10_000)
        self.bedrock.replies = "hi"
        until = threading.Event()
        for _ in range(2000):
            if self.client.route("greeter", "u").version == 3:
                break
            until.wait(0.005)
        answer = self.client.converse("greeter", unit="child")
        self.client._sink()._at_end()  # type: ignore[attr-defined]
        return [answer.version, *self.assigned()]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_child_of_a_parent_whose_other_thread_holds_a_lock_decides_counts_and_ends(lock: str) -> None:
    parent = Parent()
    with held_by_another_thread(LOCKS[lock](parent.client)):
        assert forked(parent.child) == [3, 0, 0, 1]
    parent.client.close()
    assert parent.assigned() == [1, 2, 0]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_client_that_is_told_of_a_fork_forgets_locks_and_unsent_metrics(lock: str) -> None:
    parent = Parent()
    sink = parent.client._sink()
    assert isinstance(sink, CloudWatchSink)
    with held_by_another_thread(LOCKS[lock](parent.client)):
        assert told(parent.client)(parent.child) == [3, 0, 0, 1]
    assert parent.client._sink() is sink


@pytest.mark.parametrize("given", [True, False])
def test_a_childs_breaker_is_closed_and_its_sink_given_or_not_is_empty(given: bool) -> None:
    parent = Parent(sink=ListSink()) if given else Parent()
    sink: Any = parent.client._sink()
    decision = next(d for u in range(99) if (d := parent.client.route("greeter", f"u{u}")).track == "canary")
    assert parent.client._breaker.is_open("greeter", decision.release_id)

    def child() -> Any:
        held = sink.documents if given else sink._held
        return [parent.client._breaker.is_open("greeter", decision.release_id), len(held)]

    assert forked(child) == told(parent.client)(child) == [False, 0]


def test_a_stream_under_way_is_counted_by_the_child_that_reads_it_on() -> None:
    parent = Parent()
    parent.bedrock.replies = "one two three"
    stream = parent.client.converse_stream("greeter", unit="reader")
    first = next(iter(stream))

    def child() -> Any:
        text = first + "".join(stream)
        parent.client.close()
        return [text, *parent.assigned(), sum(v[1] for k, v in parent.cloud.data.items() if k[0] == "Latency")]

    with held_by_another_thread(LOCKS["the metrics"](parent.client)):
        assert forked(child) == ["one two three", 0, 0, 0, 1]


def test_a_key_that_a_thread_of_the_parent_was_fetching_is_fetched_by_the_child() -> None:
    kms = Kms()
    kms.gate.clear()
    routes = StaticRoutes()
    routes.put("greeter", stable=1)
    client = client_over(
        routes,
        session=Session(kms=kms),
        bedrock=lambda limit: FakeBedrock("hi"),
        sink=ListSink(),
        receipt_kms_key="k",
        refresh=3600,
    )
    assert client._keys is not None
    assert client._keys.newest("greeter", wait=0.0) is None
    eventually(lambda: kms.asked)

    def child() -> Any:
        kms.gate.set()
        return client.feedback(client.converse("greeter", unit="u").receipt or "", positive=True)

    assert forked(child) is True
    kms.gate.set()


def test_asyncio_goes_on_in_a_child_with_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = StaticRoutes()
    routes.put("greeter", stable=1)
    client = AsyncPromptClient(fake_client(routes, FakeBedrock("hi"), refresh=3600))

    def use() -> str:
        return asyncio.run(client.converse("greeter", unit="u")).text

    assert use() == "hi"
    assert forked(use) == "hi"
    parents = client._threads._pools["calls"]
    assert use() == "hi"
    assert client._threads._pools["calls"] is parents
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert use() == "hi"
    assert client._threads._pools["calls"] is not parents
    parents.shutdown()
    client._threads.close()


def test_the_first_client_asks_to_be_told_of_forks_and_each_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(processes, "_known", [])
    monkeypatch.setattr(os, "register_at_fork", lambda *, after_in_child: asked.append(after_in_child))
    sinks = [ListSink(), ListSink()]
    clients = []
    for sink in sinks:
        sink.documents.append(None)  # type: ignore[arg-type]
        clients.append(fake_client(StaticRoutes(), sink=sink))
    (after_in_child,) = asked
    after_in_child()
    assert [sink.documents for sink in sinks] == [[], []]
    (known,) = processes._known
    assert isinstance(known, WeakSet)
    assert set(known) == set(clients)


def test_where_nothing_forks_a_client_works_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_known", [])
    monkeypatch.delattr(os, "register_at_fork")
    routes = StaticRoutes()
    routes.put("greeter", stable=1)
    assert fake_client(routes).route("greeter", "u").version == 1


def test_a_child_leaves_the_streams_alone_that_its_parent_reads() -> None:
    closed: list[int] = []

    class Open:
        def __iter__(self) -> Iterator[Any]:
            yield {"contentBlockDelta": {"delta": {"text": "one"}}}
            yield {"messageStop": {"stopReason": "end_turn"}}

        def close(self) -> None:
            closed.append(os.getpid())

    routes, sink = StaticRoutes(), ListSink()
    routes.put("greeter", stable=1)
    client = fake_client(routes, FakeBedrock({"stream": Open()}), sink=sink)
    kept, left = (client.converse_stream("greeter", unit="u") for _ in range(2))
    observed = client.observe(client.route("greeter", "u"), unit="u")
    with observed:
        observed.response = {"stream": Open()}
    pieces = [iter(kept), iter(left)]
    assert [next(of) for of in pieces] == ["one", "one"]

    def child() -> Any:
        left.close()
        with kept:
            pieces.clear()
        observed.response = None
        client.flush()
        return [closed, [document.values for document in sink.documents]]

    assert forked(child) == [[], []]
    assert "".join(kept) == ""
    left.close()
    list(observed.response["stream"])
    assert sink.total("Error", Prompt="greeter", Version="1") == (0, 3)
    assert closed == [os.getpid()] * 2
