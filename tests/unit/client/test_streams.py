"""Streams that end well, break at each point, run out of time, or are left: delivered once, and counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from promptlane.client import ModelCallFailed, StreamedAnswer, StreamInterrupted
from promptlane.client.progress import StreamError
from tests.support.client import AwsError, Clock, InCanary

START = {"messageStart": {"role": "assistant"}}
STOP = {"messageStop": {"stopReason": "end_turn"}}
USAGE = {"metadata": {"usage": {"inputTokens": 30, "outputTokens": 4}, "metrics": {"latencyMs": 1}}}
BROKEN = AwsError("ModelStreamErrorException")


def text(piece: str) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}}


class Stream:
    """Events of a stream, with seconds between them where numbers stand and exceptions raised; counts its closings."""

    def __init__(self, clock: Clock, *events: Any) -> None:
        self.clock = clock
        self.events = events
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        for event in self.events:
            if isinstance(event, int | float):
                self.clock.advance(event)
            elif isinstance(event, Exception):
                raise event
            else:
                yield event

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def stream(clock: Clock) -> Callable[..., Stream]:
    return lambda *events: Stream(clock, *events)


def world_of(canary: Any = "x", stable: Any = "from stable", **settings: Any) -> InCanary:
    def reply(given: Any) -> Any:
        return {"stream": given} if isinstance(given, Stream) else given

    return InCanary({1: reply(stable), 2: reply(canary)}, **settings)


def opened(world: InCanary, track: str = "canary") -> StreamedAnswer:
    return world.client.converse_stream("greeter", unit=getattr(world, track))


def by_turns(world: InCanary) -> StreamedAnswer:
    """To a canary unit of either half by turns: so errors open the breaker."""
    return world.client.converse_stream("greeter", unit=next(world.canaries))


def counted(world: InCanary, version: int) -> dict[str, float]:
    """What judge and people were told of a version, of the metrics that were told at all."""
    names = ("Assigned", "Error", "Truncation", "Slow", "Latency", "TimeToFirstToken", "InputTokens", "OutputTokens")
    found = {name: world.judge(name, version) for name in names}
    assert all(count <= 1 for _, count in found.values()), found
    return {name: total for name, (total, count) in found.items() if count}


def test_a_stream_is_counted_at_its_end_with_its_first_token_and_usage(stream: Callable[..., Stream]) -> None:
    source = stream(2.5, START, 1.5, text("Hello "), 3, text(""), text("you"), 4.25, STOP, USAGE)
    world = world_of(source)
    answer = opened(world)
    assert (answer.text, answer.stop_reason, answer.usage, answer.time_to_first_token_ms) == ("", None, {}, None)
    assert (answer.decision.version, answer.shielded) == (2, False)
    assert list(answer) == ["Hello ", "you"]
    assert (answer.text, answer.stop_reason) == ("Hello you", "end_turn")
    assert answer.usage == {"inputTokens": 30, "outputTokens": 4}
    assert answer.time_to_first_token_ms == 4_000.0
    assert counted(world, 2) == {
        "Assigned": 1,
        "Error": 0,
        "Truncation": 0,
        "Slow": 1,
        "Latency": 11_250.0,
        "TimeToFirstToken": 4_000.0,
        "InputTokens": 30,
        "OutputTokens": 4,
    }
    answer.close()
    assert source.closed == 1
    assert world.client.feedback(answer.receipt or "", positive=False)
    assert world.judge("NegativeFeedback", 2) == (1, 1)
    assert answer.receipt == answer.receipt


def test_converses_own_events_can_be_read_instead(stream: Callable[..., Stream]) -> None:
    tool = {"contentBlockStart": {"start": {"toolUse": {"name": "t"}}, "contentBlockIndex": 0}}
    delta = {"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}, "contentBlockIndex": 0}}
    bare: list[dict[str, Any]] = [{"messageStop": {}}, {"metadata": {}}]
    world = world_of(stream(START, 2, tool, 1, delta, *bare))
    answer = opened(world)
    assert list(answer.events()) == [START, tool, delta, *bare]
    assert (answer.text, answer.stop_reason, answer.usage, answer.time_to_first_token_ms) == ("", "", {}, 2_000.0)
    assert counted(world, 2) == {
        "Assigned": 1,
        "Error": 0,
        "Truncation": 0,
        "Slow": 0,
        "Latency": 3_000.0,
        "TimeToFirstToken": 2_000.0,
    }


@pytest.mark.parametrize(
    ("begin", "code"),
    [
        ((), "IncompleteStream"),
        ((START,), "IncompleteStream"),
        ((START, 3, BROKEN), "ModelStreamErrorException"),
        ((START, text(""), BROKEN), "ModelStreamErrorException"),
        ((START, {"internalServerException": {"message": "sorry"}}), "InternalServerException"),
    ],
)
def test_a_canary_stream_that_breaks_before_its_first_text_is_answered_by_stable(
    stream: Callable[..., Stream], begin: tuple[Any, ...], code: str
) -> None:
    source = stream(*begin)
    world = world_of(source, stream(START, 2, text("from "), text("stable"), STOP))
    answer = opened(world)
    assert answer.receipt is None
    assert list(answer) == ["from ", "stable"]
    assert (answer.shielded, answer.decision.version, answer.stop_reason, answer.usage) == (True, 1, "end_turn", {})
    assert (world.called(), source.closed) == ([2, 1], 1)
    latency = 3_000.0 if 3 in begin else 0.0
    assert counted(world, 2) == {"Assigned": 1, "Error": 1, "Truncation": 0, "Slow": 0, "Latency": latency}
    assert counted(world, 1) == {}
    assert world.client.feedback(answer.receipt or "", positive=False)
    assert (world.judge("NegativeFeedback", 1), world.judge("NegativeFeedback", 2)) == ((1, 1), (0, 0))


@pytest.mark.parametrize("second", [(), (START, BROKEN)])
def test_when_stables_stream_breaks_too_it_is_stables_failure(
    stream: Callable[..., Stream], second: tuple[Any, ...]
) -> None:
    world = world_of(stream(START, BROKEN), stream(*second))
    answer = opened(world)
    with answer, pytest.raises(ModelCallFailed, match="greeter was not answered"):
        list(answer)
    assert world.called() == [2, 1]
    assert counted(world, 2)["Error"] == 1
    assert counted(world, 1) == {}


@pytest.mark.parametrize("track", ["canary", "stable"])
def test_a_stream_that_breaks_after_text_raises_with_the_text_so_far(stream: Callable[..., Stream], track: str) -> None:
    source = stream(START, 1, text("so "), text("far"), 12, BROKEN)
    world = world_of(source, source)
    answer = opened(world, track)
    with pytest.raises(StreamInterrupted) as caught:
        list(answer)
    version = {"canary": 2, "stable": 1}[track]
    words = "after 6 characters: greeter was not answered: ModelStreamErrorException"
    assert str(caught.value).startswith(words)
    error = caught.value
    assert (error.code, error.text, error.__cause__) == ("ModelStreamErrorException", "so far", BROKEN)
    answer.close()
    assert (world.called(), source.closed) == ([version], 1)
    assert counted(world, version) == {
        "Assigned": 1,
        "Error": 1,
        "Truncation": 0,
        "Slow": 1,
        "Latency": 13_000.0,
        "TimeToFirstToken": 1_000.0,
    }


def test_a_tool_call_under_way_counts_as_delivered(stream: Callable[..., Stream]) -> None:
    tool = {"contentBlockStart": {"start": {"toolUse": {"name": "t"}}, "contentBlockIndex": 0}}
    world = world_of(stream(START, tool, BROKEN))
    with pytest.raises(StreamInterrupted, match="after 0 characters") as caught:
        list(opened(world).events())
    assert (caught.value.text, world.called()) == ("", [2])
    assert list(opened(world)) == ["from ", "stable"], "to who reads the text, nothing was delivered"


@pytest.mark.parametrize(
    ("event", "code", "message"),
    [
        ({"throttlingException": {"message": "slow down"}}, "ThrottlingException", "slow down"),
        ({"modelStreamErrorException": {}}, "ModelStreamErrorException", "ModelStreamErrorException"),
        ({"validationException": None}, "ValidationException", "ValidationException"),
    ],
)
def test_an_error_event_is_an_error_with_its_code(
    stream: Callable[..., Stream], event: Mapping[str, Any], code: str, message: str
) -> None:
    world = world_of(stable=stream(START, event))
    with pytest.raises(ModelCallFailed, match=f"{code};") as caught:
        list(opened(world, "stable"))
    assert (caught.value.code, caught.value.reason) == (code, message)
    assert isinstance(caught.value.__cause__, StreamError)
    own = code == "ValidationException"  # the request's, not the version's
    assert counted(world, 1).get("Error") == (None if own else 1)
    assert world.judge("InvalidRequest", 1) == ((1, 1) if own else (0, 0))


@pytest.mark.parametrize(("seconds", "late"), [(27.75, False), (28.0, True), (40.0, True)])
def test_a_stream_may_take_as_long_as_a_request(stream: Callable[..., Stream], seconds: float, late: bool) -> None:
    world = world_of(stable=stream(START, text("so "), seconds, text("far"), STOP))
    answer = opened(world, "stable")
    if late:
        with pytest.raises(StreamInterrupted, match="was not answered: TimeoutError;") as caught:
            list(answer)
        assert caught.value.reason == "the stream took longer than the request may take"
        assert (caught.value.code, caught.value.text) == ("TimeoutError", "so far")
    else:
        assert list(answer) == ["so ", "far"]
    assert counted(world, 1)["Error"] == late


def test_a_stream_that_ends_late_but_well_is_slow_and_no_error(stream: Callable[..., Stream]) -> None:
    world = world_of(stable=stream(START, text("all"), 30, STOP, USAGE))
    assert list(opened(world, "stable")) == ["all"]
    assert (counted(world, 1)["Error"], counted(world, 1)["Slow"]) == (0, 1)


def test_a_canary_stream_that_takes_all_the_time_leaves_none_for_stable(stream: Callable[..., Stream]) -> None:
    world = world_of(stream(28, START, text("late")))
    with pytest.raises(ModelCallFailed, match="greeter was not answered: TimeoutError"):
        list(opened(world))
    assert (world.called(), counted(world, 2)["Error"]) == ([2], 1)


@pytest.mark.parametrize(("read", "told"), [(1, 1), (2, 2), (3, 2)])
def test_a_stream_that_its_reader_leaves_is_counted_with_what_was_delivered(
    stream: Callable[..., Stream], read: int, told: int
) -> None:
    source = stream(START, 1, text("one "), 1, text("two"), {"messageStop": {"stopReason": "max_tokens"}}, 1, USAGE)
    world = world_of(source)
    with opened(world) as answer:
        pieces = iter(answer) if read < 3 else answer.events()
        for _ in range(read if read < 3 else 4):
            next(pieces)
    assert answer.text == "one two"[: 4 * told]
    assert source.closed == 1
    assert counted(world, 2) == {
        "Assigned": 1,
        "Error": 0,
        "Truncation": int(read == 3),
        "Slow": 0,
        "Latency": 1_000.0 * told,
        "TimeToFirstToken": 1_000.0,
    }
    answer.close()
    assert list(answer) == []
    assert counted(world, 2)["Latency"] == 1_000.0 * told


def test_what_a_reader_did_not_wait_for_is_not_called_empty(stream: Callable[..., Stream]) -> None:
    world = world_of(stream(START, text(" "), text("Yes."), STOP))
    with opened(world) as answer:
        next(iter(answer))
    assert world.judge("Empty", 2) == (0, 1)
    whole = world_of(stream(START, text(" "), STOP))
    list(opened(whole))
    assert whole.judge("Empty", 2) == (1, 1)


def test_a_stream_left_before_anything_came_has_no_outcome(stream: Callable[..., Stream]) -> None:
    source = stream(START, text("one"))
    world = world_of(source)
    with opened(world) as answer:
        next(iter(answer.events()))
    with opened(world):
        pass
    assert world.judge("Assigned", 2) == (2, 2)
    assert world.judge("Error", 2) == (0, 0)
    assert source.closed == 2


def test_a_stream_left_after_its_stop_is_counted_though_no_text_came(stream: Callable[..., Stream]) -> None:
    world = world_of(stream(START, {"messageStop": {"stopReason": "malformed_model_output"}}, USAGE))
    with opened(world) as answer:
        events = iter(answer.events())
        next(events)
        next(events)
    assert counted(world, 2) == {"Assigned": 1, "Error": 1, "Truncation": 0, "Slow": 0, "Latency": 0.0}


def test_streams_that_break_open_the_breaker_also_when_read_in_a_with_block(stream: Callable[..., Stream]) -> None:
    world = world_of(stream(START, text("so"), BROKEN), breaker_errors=2)
    for _ in range(2):
        with pytest.raises(StreamInterrupted), by_turns(world) as answer:
            list(answer)
    with by_turns(world) as answer:
        assert "".join(answer) == "from stable"
    assert world.called() == [2, 2, 1]
    assert world.fuse("Shielded", "canary") == (1, 3)


@pytest.mark.parametrize("begin", [(), (START, BROKEN)])
def test_streams_that_stable_answers_count_once_for_the_breaker(
    stream: Callable[..., Stream], begin: tuple[Any, ...]
) -> None:
    world = world_of(stream(*begin), breaker_errors=2)
    for _ in range(3):
        with by_turns(world) as answer:
            assert "".join(answer) == "from stable"
    assert world.called() == [2, 1, 2, 1, 1]


def test_malformed_streams_count_once_for_the_breaker_and_a_good_one_closes_it(stream: Callable[..., Stream]) -> None:
    malformed = stream(START, text("{"), {"messageStop": {"stopReason": "malformed_model_output"}})
    world = world_of(malformed, breaker_errors=2)

    def read() -> str:
        with by_turns(world) as answer:
            return "".join(answer)

    assert read() == "{"
    world.bedrock.replies = {1: "from stable", 2: "good"}
    assert read() == "good"
    world.bedrock.replies = {1: "from stable", 2: {"stream": malformed}}
    assert [read() for _ in range(4)] == ["{", "{", "from stable", "from stable"]


def test_a_call_that_opens_no_stream_is_shielded_like_any(clock: Clock) -> None:
    world = world_of(AwsError("ModelErrorException"))
    answer = opened(world)
    assert (answer.shielded, "".join(answer)) == (True, "from stable")
    assert counted(world, 2)["Error"] == 1


def test_a_stream_carries_what_a_call_carries(clock: Clock) -> None:
    world = InCanary("hi", variables=["name"])
    given: dict[str, Any] = {
        "variables": {"name": "Anna"},
        "messages": [{"role": "user", "content": [{"text": "?"}]}],
        "guardrail": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "metadata": {"tenant": "t1"},
    }
    list(world.client.converse_stream("greeter", unit=world.canary, **given))
    world.client.converse("greeter", unit=world.canary, **given)
    first, second = world.bedrock.calls
    assert first == second == world.client.route("greeter", world.canary).request(**given)
