"""OpenTelemetry spans by the GenAI semantic conventions, when opentelemetry is installed; nothing otherwise."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache

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


def call_span(decision: Decision) -> AbstractContextManager[Any]:
    """A client span around one request; its value is None without opentelemetry."""
    tracer = _tracer()
    if tracer is None:
        return nullcontext()
    from opentelemetry.trace import SpanKind

    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": decision.version_arn,
        "promptlane.prompt": decision.prompt,
        "promptlane.version": decision.version,
        "promptlane.track": decision.track,
        "promptlane.release": decision.release_id,
    }
    span: AbstractContextManager[Any] = tracer.start_as_current_span(
        f"chat {decision.prompt}", kind=SpanKind.CLIENT, attributes=attributes
    )
    return span


def describe(span: Any, answered_by: Decision, outcome: CallOutcome) -> None:
    """Put what came of the request on its span."""
    if span is None:
        return
    span.set_attribute("promptlane.answered_by", answered_by.version)
    if outcome.stop_reason is not None:
        span.set_attribute("gen_ai.response.finish_reasons", [outcome.stop_reason])
    for name, value in (
        ("gen_ai.usage.input_tokens", outcome.input_tokens),
        ("gen_ai.usage.output_tokens", outcome.output_tokens),
        ("error.type", outcome.error_type),
    ):
        if value is not None:
            span.set_attribute(name, value)
    for name in sorted(outcome.bad - {ERROR.name}):
        if logged(name):  # what the answer itself shows
            span.set_attribute(f"promptlane.{key_of(name)}", True)
