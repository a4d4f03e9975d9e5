"""The guard metrics: one row each, with all that judge, client, logs, alarms and pages need to know of it.

A rate counts bad events, 0 or 1 for each eligible request. A mean averages values in [0, 1]: what an answer took, as a
share of a cap that the policy sets, and 1 where it took more. Alarms are of rates alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

GUARDRAIL_STOP: Final = "guardrail_intervened"
_TRUNCATED: Final = frozenset({"max_tokens", "model_context_window_exceeded"})
_MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
_FILTERED: Final = frozenset({"content_filtered", "refusal"})


class Call(NamedTuple):
    """What is known of one model call. `raised`: it was not answered; `declines`: its text reads as a refusal; `acts`:
    the answer asks for the use of a tool, or shows what is no text."""

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


PerToken = tuple[float, float]
"""(what an input token adds to a value, what an output token adds)."""
SQUARED: Final = "Squared"
"""Ends the name of the metric that sums the squares of a mean's values: CloudWatch knows no variance."""
_MEAN: Final = "Share"
DIGITS: Final = 3
"""Of a value, after the point; its square has twice as many."""


class GuardMetric(NamedTuple):
    """One guard metric. `name` is the CloudWatch metric's, and in snake case the policy's key.

    `noun` and `happened` are its words for people ("3 % errors", "3 of 100 requests failed"). `counts`: whether a call
    is a bad one; None for what is told apart from the call. `signs`: a regular expression for what a record of the
    invocation log holds when its call may be a bad one; empty where no log shows it. `lag`: seconds after the request
    within which the event may still come, and which the judge waits for.

    `per_token`: what tokens add to the value of a mean, by the cap and the price of the version's model (US dollars per
    million input and output tokens; None where it is not known); None where that cannot be told. `unit`: the cap's.

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
    per_token: Callable[[float, PerToken | None], PerToken | None] | None = None
    unit: str = ""

    @property
    def key(self) -> str:
        """Its name in release.yaml."""
        return key_of(self.name.removesuffix(_MEAN) if self.is_mean else self.name)

    @property
    def is_mean(self) -> bool:
        """Whether it averages values, and counts no events."""
        return self.kind == "mean"


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


def _cost(cap: float, price: PerToken | None) -> PerToken | None:
    return None if price is None else (price[0] / 1e6 / cap, price[1] / 1e6 / cap)


COST: Final = GuardMetric("CostShare", "cost, as a share of its cap", "cost", kind="mean", per_token=_cost, unit="USD")
OUTPUT_TOKENS: Final = GuardMetric(
    "OutputTokensShare",
    "output tokens, as a share of their cap",
    "had",
    kind="mean",
    per_token=lambda cap, _: (0.0, 1 / cap),
    unit="tokens",
)

_ROWS: Final = (ERROR, REFUSAL, EMPTY, GUARDRAIL, TRUNCATION, SLOW, NEGATIVE_FEEDBACK, COST, OUTPUT_TOKENS)
GUARD_METRICS: Final = {m.name: m for m in _ROWS}
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


def is_mean(name: str) -> bool:
    """Whether a metric averages values; a team's own, of which the code has no row, counts events."""
    return name in GUARD_METRICS and GUARD_METRICS[name].is_mean


def values_of(
    per_token: Mapping[str, PerToken], input_tokens: int | None, output_tokens: int | None
) -> dict[str, float]:
    """What one answer adds to means and to the sums of their squares, by metric; nothing where it told no tokens.

    Values are multiples of a thousandth of the cap, so that a period of many answers is few data points.
    """
    if not per_token or not all(isinstance(n, int) and n >= 0 for n in (input_tokens, output_tokens)):
        return {}
    found: dict[str, float] = {}
    for name, (of_input, of_output) in per_token.items():
        value = round(min(of_input * (input_tokens or 0) + of_output * (output_tokens or 0), 1.0), DIGITS)
        found |= {name: value, f"{name}{SQUARED}": round(value * value, 2 * DIGITS)}
    return found


def told_by_calls() -> list[str]:
    """Names of the metrics that every call tells."""
    return [m.name for m in GUARD_METRICS.values() if m.counts is not None]


def told_by_halves() -> list[str]:
    """Names of those among them that fuse alarms read, by half of the unit groups."""
    return [m.name for m in GUARD_METRICS.values() if m.counts is not None and m.fused]
