"""What one model call came to: the guard metrics, each 0 or 1, and the figures for people.

Read from the shape of a Converse answer, or from the error that came instead. Nothing here knows boto3: an error is
judged by its class name and its AWS error code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from .refusal import is_refusal

Json = Any

_TRUNCATED: Final = frozenset({"max_tokens", "model_context_window_exceeded"})
_MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
_FILTERED: Final = frozenset({"content_filtered", "refusal"})
GUARDRAIL_STOP: Final = "guardrail_intervened"


class Outcome(NamedTuple):
    """Bad events of one request (0 or 1 each) and its figures; None where the call did not tell.

    `error_type`: the AWS error code or the exception's name, or the malformed stop reason; None without an error.
    Latencies are milliseconds.
    """

    error: int
    refusal: int
    guardrail: int
    truncation: int
    slow: int
    latency_ms: float
    time_to_first_token_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    stop_reason: str | None = None
    error_type: str | None = None


def text_of(response: Mapping[str, Json]) -> str:
    """The text blocks of a Converse answer, joined; reasoning and tool use are left out."""
    blocks: Sequence[Mapping[str, Json]] = ((response.get("output") or {}).get("message") or {}).get("content") or ()
    return "".join(str(block["text"]) for block in blocks if "text" in block)


def error_type(error: BaseException) -> str:
    """The AWS error code of a ClientError-like exception, else the class name."""
    response = getattr(error, "response", None)
    code = (response.get("Error") or {}).get("Code") if isinstance(response, Mapping) else None
    return str(code or type(error).__name__)


def of_answer(
    *, text: str, stop_reason: str | None, latency_ms: float, slow_after_ms: float,
    usage: Mapping[str, Json] | None = None, time_to_first_token_ms: float | None = None,
) -> Outcome:  # fmt: skip
    """The outcome of a call that was answered.

    A guardrail's canned text is no refusal of the model; a malformed answer is an error; `content_filtered` is the
    provider's own refusal. A tool call without text refuses nothing.
    """
    guardrail = stop_reason == GUARDRAIL_STOP
    malformed = stop_reason in _MALFORMED
    usage = usage or {}
    return Outcome(
        error=int(malformed),
        refusal=int(not guardrail and (stop_reason in _FILTERED or is_refusal(text))),
        guardrail=int(guardrail),
        truncation=int(stop_reason in _TRUNCATED),
        slow=int(latency_ms > slow_after_ms),
        latency_ms=latency_ms,
        time_to_first_token_ms=time_to_first_token_ms,
        input_tokens=usage.get("inputTokens"),
        output_tokens=usage.get("outputTokens"),
        stop_reason=stop_reason,
        error_type=stop_reason if malformed else None,
    )


def of_response(response: Mapping[str, Json], *, latency_ms: float, slow_after_ms: float) -> Outcome:
    """The outcome of a whole Converse response."""
    return of_answer(
        text=text_of(response),
        stop_reason=response.get("stopReason"),
        usage=response.get("usage"),
        latency_ms=latency_ms,
        slow_after_ms=slow_after_ms,
    )


def of_error(
    error: BaseException, *, latency_ms: float, slow_after_ms: float, time_to_first_token_ms: float | None = None
) -> Outcome:
    """The outcome of a call that raised. It counts as slow too when it took that long."""
    return Outcome(
        error=1,
        refusal=0,
        guardrail=0,
        truncation=0,
        slow=int(latency_ms > slow_after_ms),
        latency_ms=latency_ms,
        time_to_first_token_ms=time_to_first_token_ms,
        error_type=error_type(error),
    )
