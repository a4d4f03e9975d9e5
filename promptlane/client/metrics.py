"""What each request tells CloudWatch: the contract with judge, fuse and people (docs/architecture.md, "Metrics").

A document is a moment, its dimensions, and values under one or several sets of these dimensions. Sinks write it: EMF
lines in Lambda, aggregated PutMetricData elsewhere, a list in tests.
"""

from __future__ import annotations

from typing import NamedTuple

from promptlane.domain.metrics import NEGATIVE_FEEDBACK, told_by_calls, told_by_halves, values_of
from promptlane.domain.names import CANCELLED, INVALID_REQUEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from promptlane.domain.canary.outcome import CallOutcome

    from .decision import Decision
    from .receipts import Receipt

    class Sink(Protocol):
        """Takes documents and never fails or blocks a request."""

        def emit(self, document: Document) -> None: ...
        def flush(self) -> None: ...
        def close(self) -> None: ...
        def after_fork(self) -> None: ...


NAMESPACE = "Promptlane"
UNITS = {"Latency": "Milliseconds", "TimeToFirstToken": "Milliseconds", "StaleRoute": "Seconds"}
"""Units of the metrics that are not counts."""

_VERSION = ("Prompt", "Version")
_GROUP = ("Prompt", "Version", "Group")
_TRACK = ("Prompt", "Track")
_HALF = ("Prompt", "Track", "Half")


class Directive(NamedTuple):
    """Metrics that go out under each of several sets of dimensions."""

    dimension_sets: tuple[tuple[str, ...], ...]
    metrics: tuple[str, ...]


class Document(NamedTuple):
    """`at`: epoch seconds. `values` holds every metric that the directives name."""

    at: float
    dimensions: Mapping[str, str]
    directives: tuple[Directive, ...]
    values: Mapping[str, float]
    release_id: str = ""


def _of(decision: Decision | Receipt, group: str) -> dict[str, str]:
    dimensions = {"Prompt": decision.prompt, "Version": str(decision.version), "Track": decision.track}
    if group:
        dimensions["Group"] = group
    return dimensions


def _completed(
    decision: Decision, half: str, values: Mapping[str, float], people: Mapping[str, float], at: float
) -> Document:
    """For the fuse by track and half of the unit groups, and for people by track and version."""
    told = (*told_by_halves(), "Shielded")
    directives = [
        Directive((_TRACK,), ("Assigned", *values)),
        Directive((_HALF,), tuple(name for name in values if name in told)),
    ]
    if people:
        directives.append(Directive((_VERSION,), tuple(people)))
    dimensions = {**_of(decision, ""), "Half": half}
    return Document(at, dimensions, tuple(directives), {"Assigned": 1, **values, **people}, decision.release_id)


def _judged(decision: Decision | Receipt, group: str, values: Mapping[str, float], at: float) -> Document:
    directive = Directive((_VERSION, _GROUP) if group else (_VERSION,), tuple(values))
    return Document(at, _of(decision, group), (directive,), values, decision.release_id)


def assigned(decision: Decision, group: str, *, started_at: float) -> Document:
    """For the judge: the split decided for this version. Counted before anything can fail, the breaker included."""
    return _judged(decision, group, {"Assigned": 1}, started_at)


def finished(
    decision: Decision, group: str, half: str, outcome: CallOutcome, *, started_at: float, now: float
) -> tuple[Document, Document]:
    """For judge (start-stamped), and for fuse and people (stamped at completion), of one call that was made.

    Means are told while a release is out, of what was answered, and their squares to the judge alone.
    """
    guards = {name: int(name in outcome.bad) for name in told_by_calls()}
    values = values_of(decision.per_token, outcome.input_tokens, outcome.output_tokens) if group else {}
    averaged = {name: value for name, value in values.items() if name in decision.per_token}
    shielded = {"Shielded": 0} if decision.track == "canary" else {}
    figures = {
        "Latency": outcome.latency_ms,
        "TimeToFirstToken": outcome.time_to_first_token_ms,
        "InputTokens": outcome.input_tokens,
        "OutputTokens": outcome.output_tokens,
        "CacheReadTokens": outcome.cache_read_tokens,
        "CacheWriteTokens": outcome.cache_write_tokens,
    }
    people = {name: value for name, value in figures.items() if value is not None}
    counted = {**guards, **shielded}
    judged = _judged(decision, group, {**counted, **values}, started_at)
    return judged, _completed(decision, half, {**counted, **averaged}, people, now)


def shielded(decision: Decision, group: str, half: str, *, started_at: float, now: float) -> tuple[Document, Document]:
    """A unit of the canary that the breaker sent to stable: no call to judge, and seen by judge and fuse as that."""
    counted = {"Shielded": 1}
    return _judged(decision, group, counted, started_at), _completed(decision, half, counted, {}, now)


def invalid(decision: Decision, *, now: float) -> Document:
    """A request that Bedrock does not accept, and that counts for no version: seen by people, not by judge and fuse."""
    return _nobodys(INVALID_REQUEST, decision, now)


def cancelled(decision: Decision, *, now: float) -> Document:
    """A request that its caller left before anything came: likewise."""
    return _nobodys(CANCELLED, decision, now)


def _nobodys(name: str, decision: Decision, now: float) -> Document:
    directive = Directive((_TRACK, _VERSION), (name,))
    return Document(now, _of(decision, ""), (directive,), {name: 1}, decision.release_id)


def feedback(receipt: Receipt, *, negative: bool, now: float) -> tuple[Document, Document]:
    """One feedback: 1 when negative, 0 when positive, so that the rate is among the feedback given."""
    values = {NEGATIVE_FEEDBACK.name: int(negative)}
    return (
        _judged(receipt, receipt.group, values, receipt.started_at),
        Document(now, _of(receipt, ""), (Directive((_TRACK,), tuple(values)),), values, receipt.release_id),
    )


def stale_route(prompt: str, age: float, *, now: float) -> Document:
    """A refresh failed: the age of the route that is served instead."""
    directive = Directive((("Prompt",),), ("StaleRoute",))
    return Document(now, {"Prompt": prompt}, (directive,), {"StaleRoute": age})
