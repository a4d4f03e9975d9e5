"""What asyncio adds: threads that nothing queues in but its like, and requests that are left in each of its ways."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from promptlane.client import AsyncPromptClient, Decision, UnknownPrompt
from promptlane.client.aws import MAX_CONNECTIONS
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes
from tests.support.client import AwsError, Clock, Dynamo, InCanary, Session, eventually

STOP = {"messageStop": {"stopReason": "end_turn"}}
REFUSED = AwsError("ValidationException")


def piece(text: str) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}


async def next_of(pieces: AsyncIterator[str]) -> str:
    return await anext(pieces)


def test_asyncio_takes_the_same_settings() -> None:
    routes = StaticRoutes()
    routes.put("greeter", stable=1)
    sink, session = ListSink(), Session(dynamodb=Dynamo(routes), bedrock_runtime=FakeBedrock("hi"))

    async def use() -> str:
        async with AsyncPromptClient(route_table="routes", session=session, sink=sink, timeout=12) as client:
            assert isinstance(client, AsyncPromptClient)
            return (await client.converse("greeter", unit="u")).text

    assert asyncio.run(use()) == "hi"
    assert [(service, config.read_timeout) for service, config in session.made] == [
        ("dynamodb", 1.0),
        ("bedrock-runtime", 12),
    ]
    assert sink.total("Assigned", Prompt="greeter", Version="1") == (1, 1)


def test_deciding_leaves_the_loop_only_when_a_route_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    world = InCanary("hi", refresh=10)
    client = AsyncPromptClient(world.client)
    threads: list[str] = []
    route = world.client.route

    def noted(prompt: str, unit: str) -> Decision:
        threads.append("loop" if threading.current_thread() is threading.main_thread() else "thread")
        return route(prompt, unit)

    monkeypatch.setattr(world.client, "route", noted)

    async def use() -> None:
        due = world.client._live["greeter"].due
        for moment in (due - 0.25, due, 10**6):
            clock.ticks = moment
            await client.route("greeter", "u")
        with pytest.raises(UnknownPrompt):
            await client.route("nobody", "u")
        await client.aclose()

    asyncio.run(use())
    assert threads == ["loop", "thread", "thread", "thread"]


def test_as_many_calls_as_connections_run_at_once_in_threads_that_end_with_the_client() -> None:
    assert MAX_CONNECTIONS == 50
    together = threading.Barrier(MAX_CONNECTIONS)
    names: set[str] = set()

    def reply(request: Any) -> str:
        names.add(threading.current_thread().name.rpartition("_")[0])
        together.wait(20)
        return "hi"

    world = InCanary(reply)

    async def use() -> None:
        client = AsyncPromptClient(world.client)
        await asyncio.gather(*(client.converse("greeter", unit=world.stable) for _ in range(MAX_CONNECTIONS)))
        pool = client._threads._pools["calls"]
        assert pool._max_workers == MAX_CONNECTIONS
        await client.aclose()
        assert not client._threads._pools
        with pytest.raises(RuntimeError):
            pool.submit(print)
        assert (await client.route("greeter", world.canary)).version == 2
        await client.aclose()

    asyncio.run(use())
    assert names == {"promptlane-calls"}


def test_decisions_and_closing_do_not_queue_behind_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    world = InCanary(lambda request: "hi" if free.wait(20) else "late", refresh=10)
    client = AsyncPromptClient(world.client)

    async def use() -> None:
        calls = [
            asyncio.create_task(client.converse("greeter", unit=world.stable)) for _ in range(MAX_CONNECTIONS + 20)
        ]
        await asyncio.to_thread(eventually, lambda: len(world.bedrock.calls) == MAX_CONNECTIONS)
        for live in world.client._live.values():
            live.due = 0.0
        decision = await asyncio.wait_for(client.route("greeter", world.canary), 10)
        receipt = world.client._receipt(world.client._request(decision, world.canary))
        assert await asyncio.wait_for(client.feedback(receipt or "", positive=True), 10)
        await asyncio.wait_for(client.aclose(), 10)
        free.set()
        assert {answer.text for answer in await asyncio.gather(*calls)} == {"hi"}

    asyncio.run(use())


def test_a_stream_is_opened_once_and_read_by_one_at_a_time() -> None:
    world = InCanary({1: lambda request: {"stream": gated(iter([piece("one "), piece("two"), STOP]))}})
    gate = threading.Event()

    def gated(events: Iterator[Any]) -> Iterator[Any]:
        for event in events:
            assert gate.wait(10)
            yield event

    async def use() -> None:
        client = AsyncPromptClient(world.client)
        stream = client.converse_stream("greeter", unit=world.stable)
        with pytest.raises(RuntimeError, match="not open yet"):
            _ = stream.answer
        await stream.aclose()  # nothing was opened
        opening = asyncio.ensure_future(stream.__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="opened by another task"):
            await stream
        assert await opening is await stream is stream
        reading = asyncio.ensure_future(next_of(aiter(stream)))
        await asyncio.to_thread(eventually, stream.answer._reader.locked)
        with pytest.raises(RuntimeError, match="read already"):
            await next_of(aiter(stream))
        gate.set()
        assert [await reading, *[text async for text in stream]] == ["one ", "two"]
        assert stream.answer.receipt
        await client.aclose()

    asyncio.run(use())
    assert world.called() == [1]
    assert world.fuse("Error", "stable") == (0, 1)


def test_a_stream_whose_opening_is_cancelled_is_closed_when_it_comes() -> None:
    gate, closed = threading.Event(), threading.Event()

    class Late:
        def __iter__(self) -> Iterator[Any]:
            return iter([piece("late"), STOP])

        def close(self) -> None:
            closed.set()

    world = InCanary({1: lambda request: {"stream": Late()} if gate.wait(10) else "never"})

    async def use() -> None:
        async with AsyncPromptClient(world.client) as client:
            opening = asyncio.ensure_future(client.converse_stream("greeter", unit=world.stable))
            await asyncio.to_thread(eventually, lambda: world.bedrock.calls)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            gate.set()
            assert await asyncio.to_thread(closed.wait, 10)

    asyncio.run(use())
    assert world.fuse("Cancelled", "stable") == (1, 1)
    assert world.fuse("Error", "stable") == (0, 0)


@pytest.mark.parametrize("error", [REFUSED, AwsError("ThrottlingException"), AwsError("ModelErrorException")])
def test_what_a_second_try_would_have_told_of_a_cancelled_call_is_nobodys_error(error: AwsError) -> None:
    gate = threading.Event()

    def late(request: Any) -> Exception:
        assert gate.wait(10)
        return error

    world = InCanary({1: "from stable", 2: late})

    async def use() -> None:
        async with AsyncPromptClient(world.client) as client:
            call = asyncio.ensure_future(client.converse("greeter", unit=world.canary))
            await asyncio.to_thread(eventually, lambda: world.bedrock.calls)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            gate.set()
            await asyncio.to_thread(eventually, lambda: len(world.sink.documents) > 1)

    asyncio.run(use())
    assert world.called() == [2]
    own = error.response["Error"]["Code"] == "ModelErrorException"
    assert world.fuse("Error", "canary") == ((1, 1) if own else (0, 0))
    assert world.fuse("Cancelled", "canary") == ((0, 0) if own else (1, 1))


class Killed(BaseException):
    """As gevent's GreenletExit and Timeout are."""


@pytest.mark.parametrize("slow", [False, True])
def test_a_request_that_is_killed_counts_as_cancelled_and_as_slow_when_it_was(
    monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    clock = Clock(monkeypatch)

    def killed(request: Any) -> Any:
        clock.advance(11 if slow else 9)
        raise Killed

    def begun(request: Any) -> Any:
        return {"stream": map(killed, [None])}

    world = InCanary({1: "from stable", 2: killed}, slow_after=10, breaker_errors=1)
    with pytest.raises(Killed):
        world.client.converse("greeter", unit=world.canary)
    world.bedrock.replies = {1: "from stable", 2: begun}
    with pytest.raises(Killed):
        list(world.client.converse_stream("greeter", unit=world.canary))
    assert world.called() == [2, 2]
    assert world.judge("Slow", 2) == ((2, 2) if slow else (0, 0))
    assert world.judge("Cancelled", 2) == ((0, 0) if slow else (2, 2))
    assert world.judge("Error", 2)[0] == 0


def test_another_thread_may_hang_up_and_a_loop_that_is_broken_off_is_counted_in_the_end() -> None:
    world = InCanary("one two three")
    stream = world.client.converse_stream("greeter", unit=world.stable)
    pieces = iter(stream)
    assert next(pieces) == "one "
    closer = threading.Thread(target=stream.close)
    closer.start()
    closer.join()
    assert list(pieces) == []
    assert world.fuse("Error", "stable") == (0, 1)

    for _ in world.client.converse_stream("greeter", unit=world.stable):
        break
    assert world.fuse("Error", "stable") == (0, 1), "the garbage collector may be anywhere: it counts nothing itself"
    world.client.converse("greeter", unit=world.stable)
    assert world.fuse("Error", "stable") == (0, 3)
    assert world.fuse("Assigned", "stable")[0] == 3
