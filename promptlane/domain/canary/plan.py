"""How long a good release will take at the present traffic, and whether it can ever finish.

An equal version's evidence grows by D = min over the margin's line of (1-w)/w KL(p0|s0) + KL(p0|s1) per canary
request. It needs about 0.85 (ln(1/beta) + 0.29) / D requests in the median (0.29 pays for the second bet; 0.85 was
measured), and in one release of ten twice that. Of a mean D is what the bets of means.py gain where values scatter as
much as they are large on average (an exponential distribution); those that scatter less take less. There the median is
what the formula says, without the factor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from promptlane.domain.names import FULL
from promptlane.domain.policy import GuardPolicy, Policy
from promptlane.domain.text import span, traffic

from . import means
from .blocks import Triple
from .judge import ladder_factor

_MANY: Final = 10_000
UNLUCKY: Final = 2.0
MEDIAN: Final = 0.85
_DEFAULT_RATE: Final = 0.01
_DEFAULT_MEAN: Final = 0.2


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step: its weight (basis points), the metric that takes longest, the canary requests it needs, and seconds."""

    weight: int
    slowest: str
    canary_requests: float
    seconds: float
    in_time: bool
    """Whether an equal version is usually proved before the step's max_time."""


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """What to expect of a good release. `seconds` to promotion, usually; `unlucky_seconds` one time in ten."""

    requests_per_minute: float
    steps: tuple[StepPlan, ...]
    warnings: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return sum(s.seconds for s in self.steps)

    @property
    def unlucky_seconds(self) -> float:
        return UNLUCKY * self.seconds

    @property
    def finishes(self) -> bool:
        return all(s.in_time for s in self.steps)

    def sentence(self) -> str:
        """One line for synth and for `promptlane status`."""
        if self.requests_per_minute <= 0:
            return "No traffic: a canary can prove nothing and will never advance."
        if not self.finishes:
            return (
                f"At {self.requests_per_minute:g} requests a minute a good release will not finish: {self.warnings[0]}"
            )
        return (
            f"At {self.requests_per_minute:g} requests a minute a good release takes about {span(self.seconds)} to be "
            f"promoted, one in ten longer than {span(self.unlucky_seconds)}."
        )


def estimate(
    policy: Policy, requests_per_minute: float, rates: Mapping[str, float] | None = None, *, lag: float = 148.0
) -> CanaryPlan:
    """The plan at a traffic. `rates`: stable's recent bad rates (fractions); else the policy's prior rate, or 1 % (of a
    mean a fifth of its cap).

    `lag`: seconds until counts of a minute are complete. Warnings name each step that cannot finish, with remedies.
    """
    steps: list[StepPlan] = []
    warnings: list[str] = []
    per_minute = requests_per_minute if math.isfinite(requests_per_minute) and requests_per_minute > 0 else 0.0
    for i, step in enumerate(policy.canary.steps):
        share, factor = step.weight / FULL, ladder_factor(policy.canary, i)
        needs = {
            g.name: (_answers if g.metric.is_mean else _requests)(g, share, factor, _rate(g, rates), policy.canary.beta)
            for g in policy.canary.guard_metrics
            if g.required
        }
        lags = {g.name: g.lag for g in policy.canary.guard_metrics}
        slowest = max(needs, key=lambda name: needs[name])
        proof = 60 * needs[slowest] / (per_minute * share) if per_minute else math.inf
        seconds = max(step.min_bake, proof + lag + max(lags[name] for name in needs))
        in_time = seconds <= step.max_time
        steps.append(StepPlan(step.weight, slowest, needs[slowest], seconds, in_time))
        name = f"step {i + 1} ({traffic(step.weight)})"
        if not in_time:
            warnings.append(
                f"{name} needs about {span(seconds)} to prove {slowest}, and max_time is {span(step.max_time)}. "
                f"Raise the weight or max_time, widen the margin, or watch {slowest} only (required: false)."
            )
        elif UNLUCKY * seconds > step.max_time:
            warnings.append(f"{name} may end undecided: one release in ten needs more time.")
    return CanaryPlan(per_minute, tuple(steps), tuple(warnings))


def least_traffic(policy: Policy) -> float:
    """Requests a minute from which a good release usually finishes every step in time; inf when it never can."""
    low, high = 0.0, 1e6
    if not estimate(policy, high).finishes:
        return math.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if estimate(policy, middle).finishes else (middle, high)
    return high


def at_synth(policy: Policy) -> tuple[bool, str]:
    """(whether all is well, a sentence) on what can be expected, from `request.per_minute` where the policy has it."""
    if policy.request.per_minute is not None:
        plan = estimate(policy, policy.request.per_minute)
        return plan.finishes, plan.sentence()
    least = least_traffic(policy)
    if least == math.inf:
        return False, "No traffic is enough for a good release to finish: widen the margins or raise max_time."
    return True, (
        f"A good release needs about {math.ceil(least)} requests a minute to finish its steps in time; set "
        "request.per_minute in release.yaml to be told how long it takes."
    )


def _rate(guard: GuardPolicy, rates: Mapping[str, float] | None) -> float:
    known = (rates or {}).get(guard.name, guard.prior_rate)
    usual = _DEFAULT_MEAN if guard.metric.is_mean else _DEFAULT_RATE
    return min(max(usual if known is None else known, 1e-4), 0.95)


def _requests(guard: GuardPolicy, share: float, factor: float, p0: float, beta: float) -> float:
    """Median canary requests until the metric is proved within its margin."""
    absolute, relative = factor * guard.margin_abs, factor * guard.margin_rel
    c, d = (1 + relative, 0.0) if relative * p0 > absolute else (1.0, absolute)
    if c * p0 + d >= 1:
        return math.inf
    ratio = (1 - share) / share
    low, high = max((p0 - d) / c, 1e-9), p0
    for _ in range(60):
        s0 = (low + high) / 2
        s1 = c * s0 + d
        slope = ratio * (s0 - p0) / (s0 * (1 - s0)) + c * (s1 - p0) / (s1 * (1 - s1))
        low, high = (low, s0) if slope > 0 else (s0, high)
    s0 = (low + high) / 2
    gain = ratio * _kl(p0, s0) + _kl(p0, c * s0 + d)
    return MEDIAN * (math.log(1 / beta) + 0.29) / gain if gain > 0 else math.inf


def _answers(guard: GuardPolicy, share: float, factor: float, mean: float, beta: float) -> float:
    """Median canary answers until a mean is proved within its margin."""
    margins = factor * guard.margin_abs, factor * guard.margin_rel
    variance = min(mean, 1 - mean) ** 2
    known = means.Known((mean, mean), (variance, variance))
    n1 = _MANY
    n0 = n1 * (1 - share) / share

    def usual(n: float) -> Triple:
        return round(n), round(n) * mean, round(n) * (mean * mean + variance)

    gain = max(means.advance_gains(usual(n0), usual(n1), known, margins)) / n1
    return (math.log(1 / beta) + 0.29) / gain if gain > 0 else math.inf


def _kl(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
