"""Calls that applications make themselves: whole or in streams, counted once, with no error that is not the model's."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from promptlane.client import Decision
from promptlane.client.observation import Observation
from tests.support.client import AwsError, Clock, InCanary

START = {"messageStart": {"role": "assistant"}}
STOP = {"messageStop": {"stopReason": "end_turn"}}
BROKEN = AwsError("ModelStreamErrorException")


def text(piece: str) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}}


class World(InCanary):
    def __init__(self, *events: Any, **settings: Any) -> None:
        super().__init__({1: "from stable", 2: lambda request: {"stream": self.play(events)}}, **settings)
        self.closed = 0

    def play(self, events: Any) -> Any:
        def played() -> Iterator[Any]:
            for event in events:
                if isinstance(event, BaseException):
                    raise event
                yield event

        world = self

        class Stream:
            def __iter__(self) -> Iterator[Any]:
                return played()

            def close(self) -> None:
                world.closed += 1

        return Stream()

    def observe(self) -> tuple[Decision, Observation]:
        decision = self.client.route("greeter", self.canary)
        return decision, self.client.observe(decision, unit=self.canary)

    def counted(self) -> dict[str, float]:
        names = ("Error", "Refusal", "Empty", "Slow", "Cancelled", "InvalidRequest")
        found = {name: self.judge(name, 2) for name in names}
        assert all(count <= 1 for _, count in found.values()), found
        return {name: total for name, (total, count) in found.items() if count and (total or name == "Error")}


def streamed(world: World) -> Observation:
    decision, call = world.observe()
    with call:
        call.response = world.bedrock.converse_stream(**decision.request())
    return call


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((START, text("Yes."), STOP), {"Error": 0}),
        ((START, text("I'm sorry, but I can't help with that."), STOP), {"Error": 0, "Refusal": 1}),
        ((START, text(" "), STOP), {"Error": 0, "Empty": 1}),
        ((START, text("cut")), {"Error": 1}),
        ((START, text("so far"), BROKEN), {"Error": 1}),
        ((START, text("so far"), {"modelStreamErrorException": {"message": "broke"}}), {"Error": 1}),
        ((START, text("whole"), STOP, ConnectionResetError()), {"Error": 0}),
    ],
)
def test_a_stream_counts_at_its_end_as_what_it_was(events: tuple[Any, ...], told: dict[str, float]) -> None:
    world = World(*events)
    call = streamed(world)
    assert world.counted() == {}, "its end is not known"
    got: list[Any] = []
    assert call.response is not None
    with suppress(AwsError, ConnectionResetError):
        got.extend(call.response["stream"])
    assert got == [event for event in events if not isinstance(event, Exception)], "handed on as they come"
    assert world.counted() == told
    assert world.judge("Assigned", 2) == (1, 1)


def test_a_stream_that_is_left_counts_as_what_came_and_one_that_nobody_holds_too() -> None:
    world = World(START, text("one "), text("two"), STOP)
    call = streamed(world)
    assert call.response is not None
    stream = iter(call.response["stream"])
    assert [next(stream), next(stream)] == [START, text("one ")]
    call.response["stream"].close()
    assert (world.counted(), world.closed) == ({"Error": 0}, 1)

    lost = World(START, text("one "), STOP)
    for event in streamed(lost).response["stream"]:  # type: ignore[index]
        assert event == START
        break
    gc.collect()
    assert lost.counted() == {}
    lost.client.flush()
    assert lost.counted() == {"Cancelled": 1}


def test_whoever_took_the_sdks_response_reads_the_counted_stream_too() -> None:
    world = World(START, text("Yes."), STOP)
    decision, call = world.observe()
    with call:
        response = call.response = world.bedrock.converse_stream(**decision.request())
        assert list(response["stream"]) == [START, text("Yes."), STOP]
    assert world.counted() == {"Error": 0}


def test_time_that_the_reader_takes_is_not_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    world = World(START, text("Yes."), STOP, slow_after=10)
    call = streamed(world)
    for _ in call.response["stream"]:  # type: ignore[index]
        clock.advance(9)
    assert world.counted() == {"Error": 0}
    stream = world.client.converse_stream("greeter", unit=world.canary)
    for _ in stream:
        clock.advance(99)
    assert stream.stop_reason == "end_turn"
    assert world.judge("Slow", 2) == (0, 2)


class OwnError(Exception):
    """The application's."""


def aws(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, operation)


def wrapped(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OwnError("a bug"), {"Cancelled": 1}),
        (TimeoutError("its own patience"), {"Cancelled": 1}),
        (asyncio.CancelledError(), {"Cancelled": 1}),
        (KeyError("output"), {"Cancelled": 1}),
        (aws("PutItem"), {"Cancelled": 1}),
        (aws("Converse"), {"Error": 1}),
        (EndpointConnectionError(endpoint_url="https://bedrock"), {"Error": 1}),
        (wrapped(OwnError("a library's"), aws("ConverseStream")), {"Error": 1}),
    ],
)
def test_only_what_the_sdk_raised_of_the_call_is_the_models_error(error: BaseException, told: dict[str, float]) -> None:
    world = World(START)
    _, call = world.observe()
    with pytest.raises(type(error)), call:
        raise error
    assert world.counted() == told
    assert call.outcome is None or call.outcome.error_type


def test_an_error_that_was_being_handled_before_is_not_the_calls() -> None:
    world = World(START)
    _, call = world.observe()

    def use() -> None:
        try:
            raise aws("Converse")
        except ClientError:
            with call:
                raise OwnError  # noqa: B904 - what was handled before is its context

    with pytest.raises(OwnError):
        use()
    assert world.counted() == {"Cancelled": 1}


def test_what_another_library_raised_may_be_called_the_calls() -> None:
    world = World(START)
    _, call = world.observe()
    with call:
        call.failed(OwnError("litellm.APIError"))
    assert world.counted() == {"Error": 1}
    assert call.outcome is not None
    assert call.outcome.error_type == "OwnError"


def test_an_application_that_fails_with_the_answer_in_its_hands_counts_the_answer() -> None:
    def use(world: World, unit: str) -> None:
        decision = world.client.route("greeter", unit)
        with world.client.observe(decision, unit=unit) as call:
            if unit == world.stable:
                call.response = world.bedrock.converse(**decision.request())
                raise OwnError
            call.response = world.bedrock.converse_stream(**decision.request())
            next(iter(event for event in call.response["stream"] if "contentBlockDelta" in event))
            raise OwnError

    world = World(START, text("one "), STOP)
    for unit in (world.stable, world.canary):
        with pytest.raises(OwnError):
            use(world, unit)
    assert world.judge("Error", 1) == (0, 1)
    assert (world.counted(), world.closed) == ({"Error": 0}, 1)


def test_an_asynchronous_sdks_stream_counts_likewise() -> None:
    async def sent(*events: Any) -> AsyncIterator[Any]:
        for event in events:
            if isinstance(event, BaseException):
                raise event
            yield event

    async def read(world: World, *events: Any) -> list[Any]:
        _, call = world.observe()
        with call:
            call.response = {"stream": sent(*events)}
            return [event async for event in call.response["stream"]]

    world = World()
    assert asyncio.run(read(world, START, text("Yes."), STOP)) == [START, text("Yes."), STOP]
    assert world.counted() == {"Error": 0}
    for broke, told in ((BROKEN, {"Error": 1}), (asyncio.CancelledError(), {"Cancelled": 1})):
        world = World()
        with pytest.raises(type(broke)):
            asyncio.run(read(world, START, broke))
        assert world.counted() == told
