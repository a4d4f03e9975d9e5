"""The guard metrics: one row each, with all that judge, client, logs, alarms and pages need to know of it.

A rate counts bad events, 0 or 1 for each eligible request; a mean averages values in [0, 1]. Only rates can be compared
so far: evidence, blocks, alarms and bounds count events, and a policy refuses a mean (`GuardPolicy`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

GUARDRAIL_STOP: Final = "guardrail_intervened"
_TRUNCATED: Final = frozenset({"max_tokens", "model_context_window_exceeded"})
_MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
_FILTERED: Final = frozenset({"content_filtered", "refusal"})


class Call(NamedTuple):
    """What is known of one model call. `raised`: it was not answered; `declines`: its text reads as a refusal; `acts`:
    the answer asks for the use of a tool."""

    latency_ms: float
    slow_after_ms: float
    text: str = ""
    stop_reason: str | None = None
    declines: bool = False
    raised: bool = False
    acts: bool = False

    @property
    def empty(self) -> bool:
        """Whether it was answered with nothing: no text but blanks, no use of a tool, whatever was reasoned."""
        told = self.stop_reason in (*_FILTERED, GUARDRAIL_STOP)
        return not (self.failed or told or self.acts or self.text.strip())

    @property
    def failed(self) -> bool:
        """Whether it was not answered, or with what nobody can use."""
        return self.raised or self.stop_reason in _MALFORMED


class GuardMetric(NamedTuple):
    """One guard metric. `name` is the CloudWatch metric's, and in snake case the policy's key.

    `noun` and `happened` are its words for people ("3 % errors", "3 of 100 requests failed"). `counts`: whether a call
    is a bad one; None for what is told apart from the call. `signs`: a regular expression for what a record of the
    invocation log holds when its call may be a bad one; empty where no log shows it. `lag`: seconds after the request
    within which the event may still come, and which the judge waits for.

    `watched`: also by a policy that names no metrics, and then with `margin` (absolute) and `required`.

    `fused`: also counted by half of the unit groups, as fuse alarms read it (two metrics more for each track).
    """

    name: str
    noun: str
    happened: str
    counts: Callable[[Call], bool] | None = None
    signs: str = ""
    kind: Literal["rate", "mean"] = "rate"
    lag: float = 0.0
    watched: bool = False
    margin: float = 0.02
    required: bool = False
    fused: bool = False

    @property
    def key(self) -> str:
        """Its name in release.yaml."""
        return key_of(self.name)


ERROR: Final = GuardMetric(
    "Error",
    "errors",
    "failed",
    lambda c: c.failed,
    "malformed_",
    watched=True,
    margin=0.01,
    required=True,
    fused=True,
)
REFUSAL: Final = GuardMetric(
    "Refusal",
    "refusals",
    "were refused",
    # A guardrail's canned text is no refusal of the model; `content_filtered` is the provider's own.
    lambda c: c.stop_reason in _FILTERED or (c.declines and c.stop_reason != GUARDRAIL_STOP),
    "content_filtered|refusal",
    watched=True,
    required=True,
    fused=True,
)
EMPTY: Final = GuardMetric(
    "Empty",
    "empty answers",
    "came back empty",
    lambda c: c.empty,
    # No block; a text of blanks; blocks that end in one of reasoning, which may be all there is (or in a tool's input).
    r'"content": ?\[ ?\]|"text": ?"(\s|\\[nrt])*"|" ?\} ?\} ?\} ?\]|"redactedContent"',
    watched=True,
    required=True,
)
GUARDRAIL: Final = GuardMetric(
    "Guardrail",
    "guardrail interventions",
    "were stopped by the guardrail",
    lambda c: c.stop_reason == GUARDRAIL_STOP,
    GUARDRAIL_STOP,
    watched=True,
)
TRUNCATION: Final = GuardMetric(
    "Truncation",
    "truncated answers",
    "were truncated",
    lambda c: c.stop_reason in _TRUNCATED,
    "max_tokens|context_window_exceeded",
    watched=True,
)
SLOW: Final = GuardMetric("Slow", "slow answers", "were slow", lambda c: c.latency_ms > c.slow_after_ms, watched=True)
NEGATIVE_FEEDBACK: Final = GuardMetric("NegativeFeedback", "negative feedback", "got negative feedback")

GUARD_METRICS: Final = {m.name: m for m in (ERROR, REFUSAL, EMPTY, GUARDRAIL, TRUNCATION, SLOW, NEGATIVE_FEEDBACK)}
"""By name, in the order in which they are shown. Read when it is needed, so that a row more is all that one takes."""


def key_of(name: str) -> str:
    """A metric's name as release.yaml spells it."""
    return "".join(f"_{c}" if i and "A" <= c <= "Z" else c for i, c in enumerate(name)).lower()


def noun_of(name: str) -> str:
    """What people call a metric's events; its name where the code has no row of it (a team's own)."""
    return GUARD_METRICS[name].noun if name in GUARD_METRICS else name


def logged(name: str) -> bool:
    """Whether a record of the invocation log shows this metric."""
    return name in GUARD_METRICS and bool(GUARD_METRICS[name].signs)


def bad_of(call: Call) -> frozenset[str]:
    """Names of the metrics by which a call is a bad one."""
    return frozenset(m.name for m in GUARD_METRICS.values() if m.counts is not None and m.counts(call))


def rates() -> list[str]:
    """Names of the metrics that count bad events."""
    return [m.name for m in GUARD_METRICS.values() if m.kind == "rate"]


def told_by_calls() -> list[str]:
    """Names of the metrics that every call tells."""
    return [m.name for m in GUARD_METRICS.values() if m.counts is not None]


def told_by_halves() -> list[str]:
    """Names of those among them that fuse alarms read, by half of the unit groups."""
    return [m.name for m in GUARD_METRICS.values() if m.counts is not None and m.fused]
