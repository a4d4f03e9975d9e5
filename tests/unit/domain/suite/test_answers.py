"""What a model answered, as it is stored and read back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.suite.answers import Answer, ModelRequest, ToolCall

WHOLE = st.integers(0, 10**6)
CALLS = st.builds(ToolCall, st.text(), st.dictionaries(st.text(), WHOLE) | WHOLE)
ANSWERS = st.builds(
    Answer,
    text=st.text(),
    stop_reason=st.text(min_size=1),
    latency_ms=WHOLE.map(lambda tenths: tenths / 10),
    input_tokens=WHOLE,
    output_tokens=WHOLE,
    tool_calls=st.lists(CALLS, max_size=3).map(tuple),
    cost_usd=st.none() | st.floats(0, 10),
)


@settings(max_examples=30)
@given(ANSWERS)
def test_an_answer_is_read_back_as_it_was_stored(answer: Answer) -> None:
    assert Answer.from_dict(answer.to_dict()) == answer


def test_an_answer_is_stored_under_these_names() -> None:
    calls = (ToolCall("lookup", {"order": 7}), ToolCall("refund", [1]))
    answer = Answer("Here.", "tool_use", 12.3456, 31, 7, calls, 0.002)
    stored = {
        "text": "Here.",
        "stop_reason": "tool_use",
        "latency_ms": 12.3,
        "input_tokens": 31,
        "output_tokens": 7,
        "tool_calls": [{"name": "lookup", "input": {"order": 7}}, {"name": "refund", "input": [1]}],
        "cost_usd": 0.002,
    }
    assert answer.to_dict() == stored
    assert Answer.from_dict({**stored, "tool_calls": None, "cost_usd": 0}) == Answer(
        "Here.", "tool_use", 12.3, 31, 7, (), 0.0
    )


def test_what_was_stored_before_tools_and_prices_is_read_too() -> None:
    old = {"text": "Hi", "stop_reason": "end_turn", "latency_ms": 1, "input_tokens": 2, "output_tokens": 3}
    assert Answer.from_dict(old) == Answer("Hi", "end_turn", 1.0, 2, 3, (), None)


def test_an_answer_of_which_only_the_text_is_known() -> None:
    assert Answer("Hi") == Answer("Hi", "end_turn", 0.0, 0, 0, (), None)
    assert ModelRequest("model") == ModelRequest("model", {})
