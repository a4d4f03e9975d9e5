"""Whatever ConverseStream may send, and wherever it fails: at most one answer, and one outcome, the right one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.client import ModelCallFailed, StreamInterrupted
from promptlane.client.progress import text_in
from tests.support.client import AwsError, InCanary

Event = dict[str, Any]

MODEL = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("ConverseStream")
MEMBERS = MODEL.output_shape.members["stream"].members
EXCEPTIONS = sorted(name for name, shape in MEMBERS.items() if shape.metadata.get("exception"))
STARTS = MEMBERS["contentBlockStart"].members["start"].members
DELTAS = MEMBERS["contentBlockDelta"].members["delta"].members
REASONS = MEMBERS["messageStop"].members["stopReason"].enum
OUTCOMES = ("Error", "Refusal", "Empty", "Guardrail", "Truncation", "Slow")

START: Event = {"messageStart": {"role": "assistant"}}
STABLES = [START, {"contentBlockDelta": {"delta": {"text": "stable's"}}}, {"messageStop": {"stopReason": "end_turn"}}]


def filled(shape: Any, depth: int = 0) -> Any:
    """The least value of a shape of the service's model."""
    if shape.type_name == "structure":
        return {name: filled(inner, depth + 1) for name, inner in shape.members.items()} if depth < 4 else {}
    plain = {"string": "x", "integer": 1, "long": 1, "double": 0.5, "boolean": True, "blob": b"x"}
    return {"list": [], "map": {}}.get(shape.type_name, plain.get(shape.type_name))


def block(kind: str, index: int) -> list[Event]:
    """A content block of each kind that the model knows: started where it can be, two deltas, stopped."""
    started: list[Event] = []
    if kind in STARTS:
        started = [{"contentBlockStart": {"start": {kind: filled(STARTS[kind])}, "contentBlockIndex": index}}]
    delta: Event = {"contentBlockDelta": {"delta": {kind: filled(DELTAS[kind])}, "contentBlockIndex": index}}
    return [*started, delta, delta, {"contentBlockStop": {"contentBlockIndex": index}}]


def whole(kinds: list[str], reason: str, usage: bool) -> list[Event]:
    told = [{"metadata": filled(MEMBERS["metadata"])}] if usage else []
    blocks = [event for i, kind in enumerate(kinds) for event in block(kind, i)]
    return [START, *blocks, {"messageStop": {"stopReason": reason}}, *told]


def parts_of(event: Event) -> Mapping[str, Any]:
    """What of a block an event holds, by its kind."""
    block = event.get("contentBlockStart") or event.get("contentBlockDelta") or {}
    return block.get("start") or block.get("delta") or {}


class Failing:
    """The events up to a fault: an exception raised, one of the stream's exception members, or just the end."""

    def __init__(self, events: list[Event], fault: str) -> None:
        self.events = events
        self.fault = fault

    def __iter__(self) -> Iterator[Event]:
        yield from self.events
        if self.fault in EXCEPTIONS:
            yield {self.fault: {"message": "broke"}}
        elif self.fault == "reset":
            raise ConnectionResetError("by peer")
        elif self.fault == "raised":  # as the SDK raises what is an exception member
            raise AwsError("ModelStreamErrorException")


answers = st.builds(
    whole, st.lists(st.sampled_from(sorted(DELTAS)), max_size=4), st.sampled_from(REASONS), st.booleans()
)
faults = st.sampled_from(["cut", "reset", "raised", *EXCEPTIONS])


def test_the_model_knows_no_event_that_is_not_played_here() -> None:
    played = {"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}
    assert MEMBERS.keys() == played | set(EXCEPTIONS)
    assert set(STARTS) <= set(DELTAS)


@settings(max_examples=250, deadline=None)
@given(events=answers, at=st.integers(0, 20), fault=faults, whole_events=st.booleans(), shield=st.booleans())
def test_a_stream_that_fails_anywhere_is_one_answer_and_one_outcome(
    events: list[Event], at: int, fault: str, whole_events: bool, shield: bool
) -> None:
    sent = events[:at]
    complete = any("messageStop" in event for event in sent)
    world = InCanary({1: {"stream": STABLES}, 2: {"stream": Failing(sent, fault)}}, shield=shield)
    stream = world.client.converse_stream("greeter", unit=world.canary)
    got: list[Any] = []
    failed: Exception | None = None
    try:
        with stream:
            for part in stream.events() if whole_events else stream:
                got.append(part)
    except ModelCallFailed as error:
        failed = error

    told = [event for event in sent if "messageStart" not in event]
    reached = bool(told) if whole_events else any(text_in(event) for event in sent)
    shielded = not complete and not reached and shield
    expected = STABLES if shielded else sent
    if whole_events:  # one beginning, whoever began it
        begun = [START] if START in sent or shielded else []
        assert got == [*begun, *(event for event in expected if "messageStart" not in event)]
    else:
        assert got == [text for event in expected if (text := text_in(event))]
    assert (failed is None) is (complete or shielded)
    assert isinstance(failed, StreamInterrupted) is (reached and not complete)
    assert stream.shielded is shielded
    assert world.called() == [2, 1][: 1 + shielded]

    invalid = fault == "validationException" and not complete and not reached and not shield
    bad = {name for name in OUTCOMES if world.judge(name, 2) == (1, 1)}
    assert {world.judge(name, 2)[1] for name in OUTCOMES} == {1}, "counted once"
    assert world.judge("Assigned", 2) == (1, 1)
    assert world.judge("Cancelled", 2) == world.judge("InvalidRequest", 2) == (0, 0)
    assert not any(world.judge(name, 1)[1] for name in (*OUTCOMES, "Assigned"))
    assert ("Error" in bad) is (not complete or stream.stop_reason in ("malformed_model_output", "malformed_tool_use"))
    kinds = {kind for event in told for kind in parts_of(event)}
    quiet = stream.stop_reason in ("guardrail_intervened", "content_filtered") or "Error" in bad
    assert ("Empty" in bad) is not (quiet or bool(kinds & {"text", "toolUse", "image"})), (
        "an answer of reasoning, citations and results of tools is empty"
    )
    assert not invalid or "Error" in bad, "where nobody was asked, it counts on either track alike"


@settings(max_examples=60, deadline=None)
@given(events=answers, read=st.integers(0, 20), whole_events=st.booleans())
def test_a_stream_that_is_left_anywhere_is_no_error_and_counted_once(
    events: list[Event], read: int, whole_events: bool
) -> None:
    world = InCanary({1: {"stream": STABLES}, 2: {"stream": events}}, slow_after=60)
    with world.client.converse_stream("greeter", unit=world.canary) as stream:
        parts = stream.events() if whole_events else iter(stream)
        for _, _ in zip(range(read), parts, strict=False):
            pass
    error, counted = world.judge("Error", 2)
    assert counted + world.judge("Cancelled", 2)[1] == 1
    assert not error or stream.stop_reason in ("malformed_model_output", "malformed_tool_use")
    assert world.called() == [2]


@pytest.mark.parametrize("fault", ["reset", "modelStreamErrorException"])
def test_reasoning_that_reached_the_reader_is_not_continued_by_another(fault: str) -> None:
    reasoning: Mapping[str, Any] = {"contentBlockDelta": {"delta": {"reasoningContent": {"text": "Let me"}}}}
    world = InCanary({1: {"stream": STABLES}, 2: {"stream": Failing([START, dict(reasoning)], fault)}})
    with pytest.raises(StreamInterrupted, match="after 0 characters"):
        list(world.client.converse_stream("greeter", unit=world.canary).events())
    answer = world.client.converse_stream("greeter", unit=world.canary)
    assert list(answer) == ["stable's"], "who reads the text alone saw none of it"
    assert answer.shielded
