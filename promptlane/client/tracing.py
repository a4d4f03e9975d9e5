"""OpenTelemetry spans by the GenAI semantic conventions, when opentelemetry is installed; nothing otherwise.

A span begins with a request, is the current one while the SDK is called, and ends with the answer: of a stream with its
last event, or when its reader leaves.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache

from promptlane.domain.canary.outcome import error_type
from promptlane.domain.metrics import ERROR, key_of, logged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from promptlane.domain.canary.outcome import CallOutcome

    from .decision import Decision


@cache
def _tracer() -> Any:
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace.get_tracer("promptlane.client")


def load() -> None:
    """Import opentelemetry, where it is installed."""
    _tracer()


class Span:
    """The client span of one request; of none without opentelemetry."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def current(self) -> AbstractContextManager[Any]:
        """A context in which spans that begin are its children."""
        if self._span is None:
            return nullcontext()
        from opentelemetry.trace import use_span

        found: AbstractContextManager[Any] = use_span(
            self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )
        return found

    def end(
        self,
        answered_by: Decision,
        outcome: CallOutcome | None = None,
        *,
        error: BaseException | None = None,
        cancelled: bool = False,
    ) -> None:
        """Say what came of the request, and end. `error` is what its caller is told; `cancelled`: the caller left."""
        span, self._span = self._span, None
        if span is None:
            return
        for name, value in _told(answered_by, outcome).items():
            span.set_attribute(name, value)
        if cancelled:
            span.set_attribute("promptlane.cancelled", True)
        if error is not None:
            from opentelemetry.trace import Status, StatusCode

            span.set_attribute("error.type", getattr(error, "code", None) or error_type(error))
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        span.end()


NONE = Span()


def begin(decision: Decision, *, stream: bool | None = None) -> Span:
    """The span of a request, begun. `stream`: whether its answer comes piece by piece; None where that is not known."""
    tracer = _tracer()
    if tracer is None:
        return NONE
    from opentelemetry.trace import SpanKind

    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": decision.version_arn,
        "promptlane.prompt": decision.prompt,
        "promptlane.version": decision.version,
        "promptlane.track": decision.track,
        "promptlane.release": decision.release_id,
    }
    if stream:
        attributes["gen_ai.request.stream"] = True
    return Span(tracer.start_span(f"chat {decision.prompt}", kind=SpanKind.CLIENT, attributes=attributes))


def _told(answered_by: Decision, outcome: CallOutcome | None) -> dict[str, Any]:
    told: dict[str, Any] = {"promptlane.answered_by": answered_by.version}
    if outcome is None:
        return told
    first_ms, stop_reason = outcome.time_to_first_token_ms, outcome.stop_reason
    figures = {
        "gen_ai.response.finish_reasons": None if stop_reason is None else [stop_reason],
        "gen_ai.response.time_to_first_chunk": None if first_ms is None else first_ms / 1000,
        "gen_ai.usage.input_tokens": outcome.input_tokens,
        "gen_ai.usage.output_tokens": outcome.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": outcome.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": outcome.cache_write_tokens,
        "error.type": outcome.error_type,
    }
    told |= {name: value for name, value in figures.items() if value is not None}
    # Of what is bad, what the answer itself shows.
    return told | {f"promptlane.{key_of(name)}": True for name in sorted(outcome.bad - {ERROR.name}) if logged(name)}
