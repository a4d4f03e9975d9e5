"""The rules of others, on the same minute counts: when each would roll back, and when it would promote.

Every rule is written from its public documentation or source, at its defaults or at a preset that its documentation
shows; none sees more than counts of bad and all requests per arm and minute. `n`, `y`: [runs, arm, minute].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from benchmarks.judge.traffic import Array, Scenario

NEVER = 10**9
Decisions = tuple[Array, Array]
"""(rolled back at minute, promoted at minute) per run; NEVER where it did not."""
Rule = Callable[[Scenario, Array, Array, float], Decisions]


def first(hits: Array) -> Array:
    """Index of the first true value along the last axis, or NEVER."""
    return np.where(hits.any(-1), hits.argmax(-1), NEVER)


def in_a_row(hits: Array, m: int, n: int) -> Array:
    """Whether at least m of the last n minutes hit."""
    total = np.cumsum(hits, -1)
    before = np.concatenate([np.zeros((*hits.shape[:-1], n), int), total[..., :-n]], -1)
    return total - before >= m


def _boxed(back: Array, minutes: int) -> Decisions:
    """A canary of fixed length: what was not rolled back by its end is promoted."""
    back = np.where(back < minutes, back, NEVER)
    return back, np.where(back == NEVER, minutes, NEVER)


def codedeploy(minutes: int, m: int, n: int) -> Rule:
    """CodeDeploy canary preset with an alarm `Errors > 0`, m of n datapoints of a minute, on the canary."""

    def rule(_s: Scenario, _n: Array, y: Array, _margin: float) -> Decisions:
        return _boxed(first(in_a_row(y[:, 1] > 0, m, n)), minutes)

    return rule


def alarm_on_rate(threshold: float, m: int, n: int) -> Rule:
    """A monitor without a control group: canary error rate above a fixed threshold, m of n minutes."""

    def rule(s: Scenario, counts: Array, y: Array, _margin: float) -> Decisions:
        rate = y[:, 1] / np.maximum(counts[:, 1], 1)
        return _boxed(first(in_a_row((rate > threshold) & (counts[:, 1] > 0), m, n)), s.minutes)

    return rule


def argo(threshold: float = 0.95, interval: int = 5, limit: int = 3, pauses: int = 4) -> Rule:
    """Argo Rollouts: background analysis every 5 min of `success rate >= 0.95`; fails above failureLimit 3; with four
    10-minute pauses the rollout is through after 40 minutes."""

    def rule(_s: Scenario, counts: Array, y: Array, _margin: float) -> Decisions:
        return _measured(counts, y, threshold, interval, limit + 1, pauses * 10)

    return rule


def flagger(threshold: float = 0.99, interval: int = 1, limit: int = 5, checks: int = 10) -> Rule:
    """Flagger: `request-success-rate >= 99` each minute; back at 5 failed checks, promoted after 10 steps of 5 %."""

    def rule(_s: Scenario, counts: Array, y: Array, _margin: float) -> Decisions:
        return _measured(counts, y, threshold, interval, limit, checks)

    return rule


def _measured(counts: Array, y: Array, threshold: float, interval: int, failures: int, minutes: int) -> Decisions:
    ends = np.arange(interval, counts.shape[-1] + 1, interval)
    total = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts[:, 1], -1)], -1)
    bad = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(y[:, 1], -1)], -1)
    n, b = total[:, ends] - total[:, ends - interval], bad[:, ends] - bad[:, ends - interval]
    failed = np.cumsum((n > 0) & (1 - b / np.maximum(n, 1) < threshold), -1) >= failures
    at = first(failed)
    return _boxed(np.where(at == NEVER, NEVER, (at + 1) * interval - 1), minutes)


def kayenta(s: Scenario, counts: Array, y: Array, _margin: float) -> Decisions:
    """Kayenta's classifier: Mann-Whitney confidence interval (0.98) of per-minute error rates beyond 25 % of the
    baseline's mean is `High`; judged every 10 minutes from minute 60 on a growing window; passes at the end."""
    z = NormalDist().inv_cdf(1 - 0.02 / 2)
    back = np.full(len(counts), NEVER)
    rates = y / np.maximum(counts, 1)
    for t in range(60, s.minutes + 1, 10):
        for run in np.flatnonzero(back == NEVER):
            if _high(rates[run, 1, :t][counts[run, 1, :t] > 0], rates[run, 0, :t][counts[run, 0, :t] > 0], z):
                back[run] = t - 1
    return _boxed(back, s.minutes)


def _high(canary: Array, baseline: Array, z: float) -> bool:
    """Whether the lower bound of the location shift lies above a quarter of the baseline's mean."""
    if len(canary) < 2 or len(baseline) < 2 or not baseline.mean() + canary.mean():
        return False
    moved, ordered = canary - 0.25 * baseline.mean(), np.sort(baseline)
    m, n = len(moved), len(ordered)
    above = (ordered.searchsorted(moved, "left").sum() + ordered.searchsorted(moved, "right").sum()) / 2
    _, ties = np.unique(np.concatenate([moved, baseline]), return_counts=True)
    size = m + n
    spread = math.sqrt(max(m * n / 12 * ((size + 1) - (ties**3 - ties).sum() / (size * (size - 1))), 1e-12))
    return bool((above - m * n / 2 - 0.5) / spread > z)


def growthbook(_s: Scenario, counts: Array, y: Array, margin: float) -> Decisions:
    """GrowthBook's sequential test: asymptotic confidence sequence of the difference (N* = 5000), 95 %."""
    n, b = np.cumsum(counts, -1), np.cumsum(y, -1)
    n0, n1 = np.maximum(n[:, 0], 1), np.maximum(n[:, 1], 1)
    p0, p1 = b[:, 0] / n0, b[:, 1] / n1
    variance = p0 * (1 - p0) / n0 + p1 * (1 - p1) / n1
    total, alpha, star = n0 + n1, 0.05, 5000.0
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / star
    width = np.sqrt(total * variance) * np.sqrt(
        2 * (total * rho2 + 1) / (total**2 * rho2) * np.log(np.sqrt(total * rho2 + 1) * 2 / alpha)
    )
    told = (b.sum(1) > 0) & (variance > 0) & (n[:, 1] >= 2)
    back, go = first(told & (p1 - p0 - width > 0)), first(told & (p1 - p0 + width < margin))
    return _either(back, go)


def launchdarkly(s: Scenario, counts: Array, y: Array, _margin: float) -> Decisions:
    """In the manner of LaunchDarkly's guarded rollouts: at each regular check (here a minute), a regression is where a
    sequential confidence interval of the absolute difference lies above 0; what shows none by its end is rolled out.

    The procedure is that of its page on regression detection (read in 2026). The interval, which that page does not
    give, is the one-sided asymptotic confidence sequence of Waudby-Smith et al. (2024) at 95 %, narrowest at 5,000
    requests, from 100 requests of each arm on.
    """
    n, b = np.cumsum(counts, -1), np.cumsum(y, -1)
    n0, n1 = np.maximum(n[:, 0], 1), np.maximum(n[:, 1], 1)
    p0, p1 = b[:, 0] / n0, b[:, 1] / n1
    total, alpha, star = n0 + n1, 0.05, 5000.0
    variance = total * (p0 * (1 - p0) / n0 + p1 * (1 - p1) / n1)
    rho2 = (-2 * math.log(2 * alpha) + math.log(-2 * math.log(2 * alpha) + 1)) / star
    grown = total * rho2 + 1
    width = np.sqrt(variance * 2 * grown / (total**2 * rho2) * np.log(1 + np.sqrt(grown) / (2 * alpha)))
    return _boxed(first((n.min(1) >= 100) & (variance > 0) & (p1 - p0 > width)), s.minutes)


def looked_at_once(minute: int) -> Rule:
    """The z-test at p < 0.05, one-sided, once, at a time fixed beforehand; what does not differ then is promoted."""

    def rule(_s: Scenario, counts: Array, y: Array, _margin: float) -> Decisions:
        n, b = counts[..., :minute].sum(-1), y[..., :minute].sum(-1)
        n0, n1, pooled = np.maximum(n[:, 0], 1), np.maximum(n[:, 1], 1), b.sum(1) / np.maximum(n.sum(1), 1)
        noise = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / n0 + 1 / n1), 1e-12))
        worse = (b[:, 1] / n1 - b[:, 0] / n0) / noise > 1.645
        return _boxed(np.where(worse, minute - 1, NEVER), minute)

    return rule


def z_test(_s: Scenario, counts: Array, y: Array, margin: float) -> Decisions:
    """A two-proportion z-test at p < 0.05, one-sided, looked at each minute from 30 canary requests on."""
    n, b = np.cumsum(counts, -1), np.cumsum(y, -1)
    n0, n1 = np.maximum(n[:, 0], 1), np.maximum(n[:, 1], 1)
    p0, p1, pooled = b[:, 0] / n0, b[:, 1] / n1, b.sum(1) / np.maximum(n.sum(1), 1)
    told = n[:, 1] >= 30
    z = (p1 - p0) / np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / n0 + 1 / n1), 1e-12))
    apart = np.sqrt(np.maximum(p0 * (1 - p0) / n0 + p1 * (1 - p1) / n1, 1e-12))
    back, go = first(told & (z > 1.645)), first(told & ((p1 - p0 - margin) / apart < -1.645))
    return _either(back, go)


def sprt(s: Scenario, counts: Array, y: Array, margin: float) -> Decisions:
    """Wald's test of an oracle that knows both true rates: the bound. Stops at either boundary."""
    p0 = s.p0(s.minutes - 1)
    p1 = s.p1(s.minutes - 1) if s.p1(s.minutes - 1) > p0 else p0 + margin
    n, b = np.cumsum(counts[:, 1], -1), np.cumsum(y[:, 1], -1)
    ratio = b * math.log(p1 / p0) + (n - b) * math.log((1 - p1) / (1 - p0))
    bound = math.log(0.95 / 0.05)
    return _either(first(ratio >= bound), first(ratio <= -bound))


def _either(back: Array, go: Array) -> Decisions:
    """The first of both counts."""
    return np.where(back <= go, back, NEVER), np.where(go < back, go, NEVER)


RULES: dict[str, Rule] = {
    "sprt_oracle": sprt,
    "repeated_z_test": z_test,
    "z_test_once_at_60_minutes": looked_at_once(60),
    "growthbook_sequential": growthbook,
    "launchdarkly_style_sequential": launchdarkly,
    "kayenta_mann_whitney": kayenta,
    "argo_success_rate_95": argo(),
    "flagger_success_rate_99": flagger(),
    "codedeploy_10pct_5min_alarm_2of2": codedeploy(5, 2, 2),
    "codedeploy_10pct_30min_alarm_1of1": codedeploy(30, 1, 1),
    "alarm_rate_above_5pct_3of5": alarm_on_rate(0.05, 3, 5),
}
