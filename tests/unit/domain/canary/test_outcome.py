"""What one call came to, from the shape of its answer or from its error."""

from __future__ import annotations

from typing import Any

import pytest

from promptlane.domain.canary.outcome import CallOutcome, error_type, invalid, of_answer, of_error, of_response, text_of

REFUSAL = "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(
    ("stop_reason", "text", "bad", "kind"),
    [
        ("end_turn", "Here you are.", set(), None),
        (None, "Here you are.", set(), None),
        ("tool_use", "", set(), None),
        ("end_turn", REFUSAL, {"Refusal"}, None),
        ("content_filtered", "Here you", {"Refusal"}, None),
        ("refusal", "", {"Refusal"}, None),
        ("guardrail_intervened", "Here you are.", {"Guardrail"}, None),
        ("guardrail_intervened", REFUSAL, {"Guardrail"}, None),
        ("max_tokens", "Here you", {"Truncation"}, None),
        ("max_tokens", REFUSAL, {"Refusal", "Truncation"}, None),
        ("model_context_window_exceeded", "Here", {"Truncation"}, None),
        ("malformed_model_output", "{", {"Error"}, "malformed_model_output"),
        ("malformed_tool_use", "{", {"Error"}, "malformed_tool_use"),
    ],
)
def test_what_an_answer_counts_as(stop_reason: str | None, text: str, bad: set[str], kind: str | None) -> None:
    acts = stop_reason == "tool_use"
    found = of_answer(text=text, stop_reason=stop_reason, acts=acts, latency_ms=5.0, slow_after_ms=10.0)
    assert found == CallOutcome(
        bad=frozenset(bad),
        latency_ms=5.0,
        time_to_first_token_ms=None,
        input_tokens=None,
        output_tokens=None,
        stop_reason=stop_reason,
        error_type=kind,
    )


def test_an_answer_carries_the_figures_for_people() -> None:
    found = of_answer(
        text="Here.",
        stop_reason="end_turn",
        latency_ms=5.5,
        slow_after_ms=4.0,
        usage={"inputTokens": 31, "outputTokens": 7, "totalTokens": 38},
        time_to_first_token_ms=2.5,
    )
    assert found == CallOutcome(frozenset({"Slow"}), 5.5, 2.5, 31, 7, "end_turn", None)


@pytest.mark.parametrize(("latency", "slow"), [(9.9, 0), (10.0, 0), (10.1, 1)])
def test_a_call_is_slow_when_it_takes_longer_than_allowed(latency: float, slow: int) -> None:
    answered = of_answer(text="Here.", stop_reason=None, latency_ms=latency, slow_after_ms=10.0)
    failed = of_error(ValueError(), latency_ms=latency, slow_after_ms=10.0)
    assert ("Slow" in answered.bad, "Slow" in failed.bad) == (slow, slow)


def test_a_whole_response_is_read() -> None:
    response = {
        "output": {
            "message": {
                "role": "assistant",
                "content": [{"text": "I'm sorry, but I "}, {"reasoningContent": {}}, {"text": "can't help with that."}],
            }
        },
        "stopReason": "max_tokens",
        "usage": {"inputTokens": 31, "outputTokens": 7},
    }
    found = of_response(response, latency_ms=11.0, slow_after_ms=10.0)
    assert found == CallOutcome(frozenset({"Refusal", "Truncation", "Slow"}), 11.0, None, 31, 7, "max_tokens", None)
    assert of_response({}, latency_ms=1.0, slow_after_ms=10.0) == CallOutcome(frozenset({"Empty"}), 1.0)


@pytest.mark.parametrize(
    ("content", "empty"),
    [
        ([], True),
        (None, True),
        ([{"text": ""}], True),
        ([{"text": " \n\t"}, {"text": "\u00a0"}], True),
        ([{"reasoningContent": {"reasoningText": {"text": "Let me think."}}}], True),
        ([{"text": "."}], False),
        ([{"toolUse": {"name": "lookup", "input": {}}}], False),
    ],
)
def test_an_answer_without_text_or_the_use_of_a_tool_is_empty(content: Any, empty: bool) -> None:
    for stop_reason in ("end_turn", "tool_use", "stop_sequence", None):
        response = {"output": {"message": {"content": content}}, "stopReason": stop_reason}
        assert of_response(response, latency_ms=1.0, slow_after_ms=10.0).bad == ({"Empty"} if empty else set())


@pytest.mark.parametrize(
    ("stop_reason", "bad"),
    [
        ("guardrail_intervened", {"Guardrail"}),
        ("content_filtered", {"Refusal"}),
        ("malformed_tool_use", {"Error"}),
        ("max_tokens", {"Truncation", "Empty"}),
    ],
)
def test_what_another_metric_explains_is_not_called_empty_too(stop_reason: str, bad: set[str]) -> None:
    """But where reasoning used up all tokens, the user has nothing."""
    assert of_response({"stopReason": stop_reason}, latency_ms=1.0, slow_after_ms=10.0).bad == bad


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ({}, ""),
        ({"output": None}, ""),
        ({"output": {}}, ""),
        ({"output": {"message": None}}, ""),
        ({"output": {"message": {"content": None}}}, ""),
        ({"output": {"message": {"content": [{"toolUse": {"name": "lookup"}}]}}}, ""),
        ({"output": {"message": {"content": [{"text": "a"}, {"toolUse": {}}, {"text": "b"}]}}}, "ab"),
        ({"output": {"message": {"content": [{"citationsContent": {"content": [{"text": "c"}, {}]}}]}}}, "c"),
        ({"output": {"message": {"content": [{"citationsContent": {"content": None}}, {"text": "d"}]}}}, "d"),
    ],
)
def test_the_text_of_a_response_is_its_text_blocks(response: dict[str, Any], text: str) -> None:
    assert text_of(response) == text


class Refused(Exception):
    def __init__(self, response: Any) -> None:
        super().__init__("refused")
        self.response = response


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "TimeoutError"),
        (Refused({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}), "ThrottlingException"),
        (Refused({"Error": {"Message": "no code"}}), "Refused"),
        (Refused({"Error": None}), "Refused"),
        (Refused({}), "Refused"),
        (Refused("<html>"), "Refused"),
    ],
)
def test_an_error_is_named_by_its_code_or_its_class(error: Exception, kind: str) -> None:
    assert error_type(error) == kind


@pytest.mark.parametrize(
    ("code", "own"),
    [("ValidationException", True), ("ParamValidationError", True), ("ThrottlingException", False)]
    + [(f"{name}Exception", False) for name in ("ModelTimeout", "ResourceNotFound", "AccessDenied", "InternalServer")],
)
def test_only_a_request_that_is_not_accepted_may_be_the_callers_error(code: str, own: bool) -> None:
    assert invalid(Refused({"Error": {"Code": code}})) is own
    assert invalid(type(code, (Exception,), {})()) is own


def test_a_call_that_raised_is_one_error_and_nothing_else() -> None:
    error = Refused({"Error": {"Code": "ThrottlingException"}})
    early = of_error(error, latency_ms=3.0, slow_after_ms=10.0)
    assert early == CallOutcome(frozenset({"Error"}), 3.0, None, None, None, None, "ThrottlingException")
    late = of_error(KeyError("x"), latency_ms=11.0, slow_after_ms=10.0, time_to_first_token_ms=2.0)
    assert late == CallOutcome(frozenset({"Error", "Slow"}), 11.0, 2.0, None, None, None, "KeyError")
