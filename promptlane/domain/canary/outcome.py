"""What one model call came to: by which guard metrics it is a bad one, and the figures for people.

Read from the shape of a Converse answer, or from the error that came instead. Nothing here knows boto3: an error is
judged by its class name and its AWS error code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from promptlane.domain.metrics import Call, bad_of
from promptlane.domain.usage import usage_of

from .refusal import is_refusal

Json = Any


class CallOutcome(NamedTuple):
    """Names of the guard metrics that count it as bad, and its figures; None where the call did not tell.

    `error_type`: the AWS error code or the exception's name, or the malformed stop reason; None without an error.
    Latencies are milliseconds. `input_tokens` is all input; what of it the prompt cache gave and took is told where it
    was in use.
    """

    bad: frozenset[str]
    latency_ms: float
    time_to_first_token_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    stop_reason: str | None = None
    error_type: str | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None


def content_of(response: Mapping[str, Json]) -> Sequence[Mapping[str, Json]]:
    """The blocks of a Converse answer; none where it has no message, or one without content."""
    return ((response.get("output") or {}).get("message") or {}).get("content") or ()


def text_of(response: Mapping[str, Json]) -> str:
    """The text of a Converse answer, joined, that with citations too; reasoning and tool use are left out."""
    return "".join(
        str(part["text"])
        for block in content_of(response)
        for part in ((block.get("citationsContent") or {}).get("content") or (block,))
        if "text" in part
    )


NO_TEXT = ("toolUse", "image", "document", "video", "audio")
"""Kinds of blocks that answer without a text; reasoning, and what a tool found, are none."""


def acts(response: Mapping[str, Json]) -> bool:
    """Whether a Converse answer asks for the use of a tool, or shows what is no text."""
    return any(kind in block for block in content_of(response) for kind in NO_TEXT)


def error_type(error: BaseException) -> str:
    """The AWS error code of a ClientError-like exception, else the class name."""
    response = getattr(error, "response", None)
    code = (response.get("Error") or {}).get("Code") if isinstance(response, Mapping) else None
    return str(code or type(error).__name__)


_OF_THE_REQUEST = frozenset({"ValidationException", "ParamValidationError"})
_NO_GUARDRAIL = "guardrail identifier"
"""In what Bedrock says of a guardrail or a version of one that does not exist."""


def invalid(error: BaseException) -> bool:
    """Whether the request itself may be what was not accepted: by Bedrock, or by the SDK before it was sent.

    Throttling, time-outs, faults of service or model, a version that is gone or not allowed are not the request's; nor
    is a guardrail that is gone, which Bedrock tells by the same code, and which every request to that version meets.
    A version may be at fault for this one too (a prompt that Bedrock does not take): only another version tells.
    """
    return error_type(error) in _OF_THE_REQUEST and _NO_GUARDRAIL not in str(error).lower()


def of_answer(
    *,
    text: str,
    stop_reason: str | None,
    acts: bool = False,
    latency_ms: float,
    slow_after_ms: float,
    usage: Mapping[str, Json] | None = None,
    time_to_first_token_ms: float | None = None,
) -> CallOutcome:
    """The outcome of a call that was answered. A tool call or image (`acts`) without text is not empty."""
    call = Call(latency_ms, slow_after_ms, text, stop_reason, declines=is_refusal(text), acts=acts)
    usage = usage or {}
    told = usage_of(usage)
    return CallOutcome(
        bad=bad_of(call),
        latency_ms=latency_ms,
        time_to_first_token_ms=time_to_first_token_ms,
        input_tokens=told.input_tokens if "inputTokens" in usage else None,
        output_tokens=told.output_tokens if "outputTokens" in usage else None,
        stop_reason=stop_reason,
        error_type=stop_reason if call.failed else None,
        cache_read_tokens=told.cache_read_tokens if told.cached else None,
        cache_write_tokens=told.cache_write_tokens if told.cached else None,
    )


def of_response(response: Mapping[str, Json], *, latency_ms: float, slow_after_ms: float) -> CallOutcome:
    """The outcome of a whole Converse response."""
    return of_answer(
        text=text_of(response),
        stop_reason=response.get("stopReason"),
        acts=acts(response),
        usage=response.get("usage"),
        latency_ms=latency_ms,
        slow_after_ms=slow_after_ms,
    )


def of_error(
    error: BaseException, *, latency_ms: float, slow_after_ms: float, time_to_first_token_ms: float | None = None
) -> CallOutcome:
    """The outcome of a call that raised. It counts as slow too when it took that long."""
    return CallOutcome(
        bad=bad_of(Call(latency_ms, slow_after_ms, raised=True)),
        latency_ms=latency_ms,
        time_to_first_token_ms=time_to_first_token_ms,
        error_type=error_type(error),
    )
