"""Requests that their callers leave, over a wire: hung up at once, counted once, and nothing left behind."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import pytest

from promptlane.client import AsyncPromptClient, ModelCallFailed
from tests.integration.test_client_streams import Bedrock, Streamed, Wire, server
from tests.support.client import eventually

__all__ = ["server"]


def counts(world: Streamed) -> dict[str, int]:
    """How many requests were assigned, and how many ended as what."""
    found: Counter[str] = Counter()
    for document in world.sink.documents:
        if "Half" in document.dimensions or "Cancelled" in document.values or "InvalidRequest" in document.values:
            told = document.values
            shielded = told.get("Shielded") == 1
            found["outcome" if "Error" in told else "Shielded" if shielded else next(iter(told))] += 1
        elif document.values.keys() == {"Assigned"}:
            found["Assigned"] += 1
    return dict(found)


def hung_up(bedrock: Bedrock, wire: Wire) -> bool:
    """Whether the reader was gone within five seconds, told by writing to it."""
    for _ in range(250):
        try:
            wire.words(" ", every=0.02)
        except OSError:
            return True
        if bedrock.gone.is_set():
            return False
    return False


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("promptlane-calls")]


@asynccontextmanager
async def client_of(world: Streamed) -> AsyncIterator[AsyncPromptClient]:
    async with AsyncPromptClient(world.client) as client:
        yield client
    await asyncio.to_thread(eventually, lambda: not threads())


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancelled_reader_hangs_up_at_once_while_its_thread_waits_for_the_model(server: Bedrock) -> None:
    """deepset-ai/haystack#10133: a cancelled stream was read, and paid for, to its end."""
    left = threading.Event()

    def stall(wire: Wire) -> None:
        wire.words("so ", "far")
        if hung_up(server, wire):
            left.set()

    server.play = {"1": stall}
    world = Streamed(server)
    got: list[str] = []

    async def read(client: AsyncPromptClient) -> None:
        async for piece in client.converse_stream("greeter", unit=world.unit("stable")):  # no block, no await
            got.extend([piece] * bool(piece.strip()))

    async def use() -> None:
        async with client_of(world) as client:
            task = asyncio.create_task(read(client))
            await asyncio.to_thread(eventually, lambda: len(got) == 2)
            await cancelled(task)
            assert await asyncio.to_thread(left.wait, 5)

    asyncio.run(use(), debug=True)
    assert got == ["so ", "far"]
    assert counts(world) == {"Assigned": 1, "outcome": 1}
    assert world.fuse("Error", "stable") == (0, 1)


@pytest.mark.parametrize("how", ["aclose", "timeout", "loop ends", "block"])
def test_a_stream_that_is_left_before_anything_came_is_cancelled_and_no_error(server: Bedrock, how: str) -> None:
    """xai-org/xai-sdk-python#142: an asynchronous generator that is being read cannot be closed by another task."""
    server.play = {"1": server.nothing, "2": server.nothing}
    world = Streamed(server)

    async def read(client: AsyncPromptClient) -> None:
        stream = client.converse_stream("greeter", unit=world.unit("canary"))
        async with stream:
            reader = asyncio.ensure_future(anext(stream.events()))
            await reader  # the answer's beginning, which is none of it
            reader = asyncio.ensure_future(anext(stream.events()))
            await asyncio.sleep(0.05)
            if how == "aclose":  # from another task than the one that reads
                await stream.aclose()
                with pytest.raises(StopAsyncIteration):
                    await reader
            elif how == "timeout":
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reader, 0.05)
            elif how == "block":
                reader.cancel()
            else:
                asyncio.get_running_loop().call_later(0.05, asyncio.current_task().cancel)  # type: ignore[union-attr]
                await reader

    async def use() -> None:
        async with AsyncPromptClient(world.client) as client:
            await read(client)

    with suppress(asyncio.CancelledError):
        asyncio.run(use(), debug=True)
    eventually(lambda: not threads())
    assert counts(world) == {"Assigned": 1, "Cancelled": 1}


def test_a_whole_call_that_is_cancelled_asks_nobody_else_and_counts_what_it_came_to(server: Bedrock) -> None:
    """BerriAI/litellm#35329: a cancelled call's fallback ran to completion, and the version took the blame."""
    asked: list[str] = []
    waits = threading.Event()

    class Slow:
        def converse(self, **request: Any) -> dict[str, Any]:
            asked.append(request["modelId"][-1])
            waits.wait(5)
            raise ConnectionError("ConnectionClosedError")

    world = Streamed(server)
    world.client._bedrock = lambda limit: Slow()

    async def use() -> None:
        async with client_of(world) as client:
            task = asyncio.create_task(client.converse("greeter", unit=world.unit("canary")))
            await asyncio.to_thread(eventually, lambda: asked)
            await cancelled(task)
            waits.set()

    asyncio.run(use(), debug=True)
    assert asked == ["2"], "stable was not asked for an answer that nobody waits for"
    assert counts(world) == {"Assigned": 1, "outcome": 1}
    assert world.fuse("Error", "canary") == (1, 1), "that it was left does not excuse it"


async def whole_answer(client: AsyncPromptClient, unit: str) -> None:
    async with client.converse_stream("greeter", unit=unit) as stream:
        async for _ in stream:
            pass


async def first_piece(client: AsyncPromptClient, unit: str) -> None:
    async with client.converse_stream("greeter", unit=unit) as stream:
        async for _ in stream:
            break


async def dropped(client: AsyncPromptClient, unit: str) -> None:
    async for _ in await client.converse_stream("greeter", unit=unit):
        break


async def closing(client: AsyncPromptClient, unit: str) -> None:
    async with aclosing(client.converse_stream("greeter", unit=unit)) as stream:
        async for _ in stream.events():
            break


async def a_call(client: AsyncPromptClient, unit: str) -> None:
    await client.converse("greeter", unit=unit)


WAYS: list[Callable[[AsyncPromptClient, str], Coroutine[Any, Any, None]]] = [
    whole_answer,
    first_piece,
    dropped,
    closing,
    a_call,
]


def test_hundreds_of_tasks_with_random_cancellations_are_each_counted_once(server: Bedrock) -> None:
    chance = random.Random(7)

    def play(wire: Wire) -> None:
        kind = chance.random()
        if kind < 0.1:
            server.gone.wait(0.5)
        elif kind < 0.2:
            wire.words("half ")  # cut off
        elif kind < 0.3:
            wire.event("modelStreamErrorException", {"message": "broke"})
        else:
            wire.words("a ", "b ", every=0.002)
            wire.stop()
            wire.end()

    server.play = {"1": play, "2": play}
    world = Streamed(server, breaker_errors=2, breaker_cooldown=0.05)
    unraised: list[dict[str, Any]] = []

    async def use() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unraised.append(context))
        async with client_of(world) as client:
            tasks = [asyncio.create_task(chance.choice(WAYS)(client, f"u{i}")) for i in range(200)]
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0.004)
                chance.choice(tasks).cancel()
            for found in await asyncio.gather(*tasks, return_exceptions=True):
                assert found is None or isinstance(found, asyncio.CancelledError | ModelCallFailed), found

    asyncio.run(use())
    world.client.flush()
    found = counts(world)
    assert found.pop("Assigned") == sum(found.values())
    assert found.keys() >= {"outcome", "Cancelled"}
    assert not unraised
