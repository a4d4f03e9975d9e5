"""Means of bounded values (cost, output tokens): how often the judge errs, and how soon it finds what is dearer.

Evidence as of promptlane.domain.canary.means, for many runs at once, with the mixture and the guard over unit groups.
Of the groups that the judge leaves out for good it knows the busiest; `largest_difference` compares it with the domain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.judge.ours import CELLS, NEEDED, _busiest, _decided, cut
from benchmarks.judge.traffic import GROUPS, HOME, Array
from promptlane.domain.canary import dispersion, evidence, means, one_unit
from promptlane.domain.canary.blocks import MIN_BLOCK_REQUESTS, Arm, Block
from promptlane.domain.canary.judge import StepContext
from promptlane.domain.canary.judge import judge as domain_judge
from promptlane.domain.metrics import COST
from promptlane.domain.names import Phase
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy, Reviewer, ReviewPolicy, Step

NEVER = 10**9
WEIGHT, MARGIN = 0.1, 0.2
"""The trial's share, and the relative margin."""
_AT_ONCE = 50
_GROWN, _GROWN_WEIGHTS = (np.array(v) for v in zip(*means.HARM_BETS, strict=True))
_DEPTHS, _DEPTH_WEIGHTS = (np.array(v) for v in zip(*evidence.ADVANCE_BETS, strict=True))


@dataclass(frozen=True)
class Case:
    """Answers of `rate` requests a minute: their mean as a share of the cap, and standard deviation over mean.

    `session`: mean answers of a user within five minutes, who share half of the variance. `unit`: answers a minute of
    one unit on the canary that always reach the cap.
    """

    name: str
    rate: float
    mean: float
    scatter: float
    runs: int
    seed: int
    session: float = 1.0
    unit: float = 0.0

    def row(self) -> dict[str, Any]:
        """Shares of runs, and median minutes over all of them."""
        harm = {grown: self._decided(grown, minutes, harmful=True) for grown, minutes in ((1.0, 360), (1.3, 180))}
        good, edge = (self._decided(grown, 360, harmful=False) for grown in (1.0, 1 + MARGIN))
        return {
            "scenario": self.name,
            "runs": self.runs,
            "false_rollback": _share(harm[1.0]),
            "false_advance": _share(edge),
            "missed": round(1 - _share(harm[1.3]), 4),
            "median_minutes": _median(harm[1.3]),
            "median_minutes_to_advance": _median(good),
        }

    def _decided(self, grown: float, minutes: int, *, harmful: bool) -> Array:
        rng = np.random.default_rng([self.seed, round(1000 * grown), harmful])
        found = [
            decided(*drawn(replace(self, runs=_AT_ONCE), grown, minutes, rng), harmful=harmful)
            for _ in range(0, self.runs, _AT_ONCE)
        ]
        return np.concatenate(found)[: self.runs]


def cases(runs: int, seed: int) -> Iterator[Case]:
    """Everyday traffic and what is beside it."""
    yield Case("100/min, 15 % of the cap, deviation half the mean", 100, 0.15, 0.5, runs, seed)
    yield Case("100/min, 15 % of the cap, deviation as large as the mean", 100, 0.15, 1.0, runs, seed + 1)
    yield Case("100/min, 15 % of the cap, deviation a tenth of the mean", 100, 0.15, 0.1, runs, seed + 2)
    yield Case("100/min, 3 % of the cap, deviation half the mean", 100, 0.03, 0.5, runs, seed + 3)
    yield Case("20/min, 15 % of the cap, deviation half the mean", 20, 0.15, 0.5, runs, seed + 4)
    yield Case("100/min, users of 5 answers that are alike", 100, 0.15, 0.5, runs, seed + 5, session=5)
    bot = "100/min, one unit on the canary always at the cap, 1 % of traffic"
    yield Case(bot, 100, 0.15, 0.5, runs, seed + 6, unit=1)


def drawn(case: Case, grown: float, minutes: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """(answers, sums, sums of squares) [runs, arms, minutes, groups]; the trial's mean is `grown` of the control's."""
    users = rng.poisson(case.runs * case.rate * minutes / case.session)
    run, group = rng.integers(0, case.runs, users), rng.integers(0, GROUPS, users)
    arm = (rng.random(users) < WEIGHT).astype(int)
    many = case.session > 1
    begin = rng.random(users) * (minutes + 5 * many) - 5 * many
    of = np.repeat(np.arange(users), rng.poisson(case.session - 1, users) + 1 if many else 1)
    at = np.floor(begin[of] + 5 * many * rng.random(len(of))).astype(int)
    inside = (at >= 0) & (at < minutes)
    of, at = of[inside], at[inside]
    # Gamma values, half of whose variance is the user's own where users have several answers.
    own = _gamma(rng, case.scatter * math.sqrt(0.5), users)[of] if many else 1.0
    alone = _gamma(rng, case.scatter * math.sqrt(0.5 if many else 1.0), len(of))
    base = np.minimum(case.mean * own * alone, 1.0)
    wanted = grown * base.mean()
    value = np.where(arm[of] == 1, _stretched(base, wanted), base).round(3)
    where = ((run[of] * 2 + arm[of]) * minutes + at) * GROUPS + group[of]
    size, shape = case.runs * 2 * minutes * GROUPS, (case.runs, 2, minutes, GROUPS)
    n, y, q = (np.bincount(where, weight, size).reshape(shape) for weight in (np.ones(len(of)), value, value**2))
    if case.unit:
        busy = rng.poisson(case.unit, (case.runs, minutes))
        for counted in (n, y, q):
            counted[:, 1, :, HOME] += busy
    return n, y, q


def _gamma(rng: np.random.Generator, scatter: float, size: int) -> Array:
    return rng.gamma(1 / scatter**2, scatter**2, size)


def _stretched(values: Array, mean: float) -> Array:
    """Values times what makes their mean this one although none is above 1."""
    low, high = 1.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(values * middle, 1.0).mean() < mean else (low, middle)
    return np.minimum(values * low, 1.0)


def decided(n: Array, y: Array, q: Array, *, harmful: bool) -> Array:
    """The minute in which each run is decided, or NEVER."""
    kept = kept_groups(n)
    counts, started = merged(np.stack([n, y, q]))
    sums = gains(counts, kept, harmful=harmful)
    hiding, guard = (one_unit.CONTROL, one_unit.GUARD_HARM) if harmful else (one_unit.TRIAL, one_unit.GUARD_ADVANCE)
    times = np.full(len(n), NEVER)
    for run in range(len(n)):
        opened = openings(started[run]) if harmful else []
        plain = _decided(grown_to(sums[run], 1.0, opened, harmful=harmful), hiding, 0.0)
        for t in np.flatnonzero(plain >= NEEDED):
            factors = inflations(n[run, :, : t + 1], y[run, :, : t + 1], q[run, :, : t + 1], kept[run])
            grown = grown_to(sums[run, : t + 1], factors[:, None], opened, harmful=harmful)[-1:]
            if _decided(grown, hiding, guard)[0] >= NEEDED:
                times[run] = t
                break
    return times


def kept_groups(n: Array) -> Array:
    """Which groups [runs, arms, groups] are kept: all but each arm's busiest, by the counts of the whole time."""
    kept = np.ones((len(n), 2, GROUPS))
    for arm in (0, 1):
        busy = _busiest(n[:, arm].sum(1))
        out = np.flatnonzero(busy >= 0)
        kept[out, arm, busy[out]] = 0
    return kept


def merged(counts: Array) -> tuple[Array, Array]:
    """Minutes [3, runs, arms, minutes, groups] joined until a block is full, each at its last minute, the rest empty;
    and when the block began that ends with a minute [runs, minutes], -1 where none does."""
    found, open_ = np.zeros_like(counts), np.zeros_like(counts[:, :, :, 0])
    started, begin = np.full((counts.shape[1], counts.shape[3]), -1), np.full(counts.shape[1], -1)
    for t in range(counts.shape[3]):
        open_ = open_ + counts[:, :, :, t]
        begin = np.where((begin < 0) & (open_[0].sum((1, 2)) > 0), t, begin)
        arms = open_[0].sum(-1)
        full = (arms.sum(-1) >= MIN_BLOCK_REQUESTS) & (arms > 0).all(-1)
        now = full[None, :, None, None]
        found[:, :, :, t] = np.where(now, open_, 0)
        open_ = np.where(now, 0, open_)
        started[full, t], begin[full] = begin[full], -1
    return found, started


def openings(started: Array) -> list[int]:
    """At which minutes a new bet on harm opens, in one run: with the first block that begins in each further hour."""
    first = started[started >= 0].min(initial=0)
    hours = range((len(started) - 1) // 60 + 1)
    found = [np.flatnonzero(started >= first + 60 * hour) for hour in hours]
    return [int(at[0]) for at in found if len(at)]


def gains(counts: Array, kept: Array, *, harmful: bool) -> Array:
    """Sums of ln gains so far [runs, minutes, cells, bets]."""
    n, y, q = (cut(np.moveaxis(c, 1, 2), kept[:, None]) for c in counts)  # [runs, minutes, cells, arms]
    past = [np.cumsum(c, 1) - c for c in (n, y, q)]
    known = past[0][..., 0] >= means.LEAST
    (n0, n1), (y0, y1), (q0, q1) = (np.moveaxis(c, -1, 0) for c in past)
    mean0 = np.clip(y0 / np.maximum(n0, 1), 0, 1)
    mean1 = np.clip((means.LEAST * mean0 + y1) / (means.LEAST + n1), 0, 1)
    guess = means.LEAST * means.GUESSED_SCATTER * mean0 * (1 - mean0)
    v0 = (_about(n0, y0, q0, mean0) + guess) / (n0 + means.LEAST)
    v1 = (_about(n1, y1, q1, mean1) + means.LEAST * v0) / (n1 + means.LEAST)
    now = known & (n > 0).all(-1)
    c = 1.0 if harmful else 1 + MARGIN
    each0, each1 = (part / np.maximum(n[..., a], 1) for a, part in ((0, c), (1, 1.0)))
    above = y[..., 1] * each1 - y[..., 0] * each0
    r0, r1 = (1 - mean0, mean1) if harmful else (mean0, 1 - mean1)
    r0, r1 = np.maximum(r0, means.NARROWEST), np.maximum(r1, means.NARROWEST)
    far = [np.minimum(g * mean0, 1 - mean0) for g in _GROWN] if harmful else [(1 - d) * MARGIN * mean0 for d in _DEPTHS]
    width, spread = np.maximum(r0 * each0, r1 * each1), v0 * c * each0 + v1 * each1
    s0, s1 = (_about(n[..., a], y[..., a], q[..., a], m) for a, m in ((0, mean0), (1, mean1)))
    found = []
    for gap in far:
        bold = np.minimum(gap / np.maximum(spread + gap * width, 1e-300), means.BOLDEST / width)
        gain = bold * (above if harmful else -above)
        for part, r, s in ((each0, r0, s0), (each1, r1, s1)):
            u = np.where(now, bold * part * r, 0)
            gain = gain - (-np.log1p(-u) - u) / r**2 * s
        found.append(np.cumsum(np.where(now & (gap > 0), gain, 0), 1))
    return np.stack(found, -1)


def _about(n: Array, y: Array, q: Array, centre: Array) -> Array:
    return np.maximum(q - 2 * centre * y + n * centre**2, 0)


def grown_to(sums: Array, factor: Array | float, opened: list[int], *, harmful: bool) -> Array:
    """Evidence [minutes, cells] of one run's sums, with new bets on harm where they are opened."""
    if not harmful:
        return np.exp(np.minimum(sums / factor, 50)) @ _DEPTH_WEIGHTS
    minutes = np.arange(len(sums))[:, None]
    count = np.sum([minutes >= at for at in opened], 0)
    total = np.where(count > 0, (1 - evidence.FIRST_START) / np.maximum(count, 1), 1.0) + np.zeros(sums.shape[:2])
    for i, at in enumerate(at for at in opened if at < len(sums)):
        weight = evidence.FIRST_START if i == 0 else (1 - evidence.FIRST_START) / (i * (i + 1))
        before = sums[at - 1] if at else 0 * sums[0]
        grown = np.exp(np.minimum((sums - before) / factor, 50)) @ _GROWN_WEIGHTS
        total += np.where(minutes >= at, weight * grown, 0)
    return total


def inflations(n: Array, y: Array, q: Array, kept: Array) -> Array:
    """Inflation [cells] of one run's counts [arms, minutes, groups]."""
    size = q.sum() / y.sum()
    scales = (*dispersion.SCALES, n.shape[1])
    sets = np.stack([_windows(n, y / size, q / size**2, kept, scale) for scale in scales], 1)  # [3, scales, arms, sets]
    alone = _excess(sets)
    pairs = [sets[:, :, 0, :1] + sets[:, :, 1], sets[:, :, 0, 1:] + sets[:, :, 1, :1]]
    together = np.concatenate([_excess(p) for p in pairs])
    single = np.concatenate([np.maximum(alone[0, :1], alone[1]), np.maximum(alone[0, 1:], alone[1, :1])])
    return np.maximum(together, single)


def _windows(n: Array, y: Array, q: Array, kept: Array, scale: int) -> Array:
    starts = np.arange(0, n.shape[1], scale)
    n, y, q = (np.add.reduceat(c, starts, 1) * kept[:, None] for c in (n, y, q))

    def over(values: Array) -> Array:
        total = values.sum(-1, keepdims=True)
        return np.concatenate([total, total - values], -1)

    total, value, square = over(n), over(y), over(q)
    nn, ny, yy, nnn = over(n * n), over(n * y), over(y * y), over(n**3)
    use = (total >= 2) & (value > 1e-9)
    safe = np.where(use, total, 2)
    mean, part = value / safe, nn / safe**2
    scatter = np.maximum(square - value * mean, 0) * safe / (safe - 1)
    spread = np.maximum(part - 2 * nnn / safe**3 + part**2, 0)
    lone = np.maximum(1 - square / np.where(use, value, 1) ** 2, 0)
    found = np.maximum(yy - 2 * mean * ny + mean**2 * nn, 0)
    sums = np.stack([found, scatter * (1 - part), 2 * lone * spread * scatter**2])
    return np.where(use, sums, 0).sum(2)


def _excess(sums: Array) -> Array:
    """The largest inflation over scales, of sums [3, scales, ...]."""
    found, expected, variance = sums
    safe = np.maximum(expected, 1e-12)
    above = (expected >= 0.3) & (found / safe > 1 + dispersion.SIGNIFICANT * np.sqrt(variance) / safe)
    return np.where(above, found / safe, 1.0).max(0)


def largest_difference(seed: int) -> float:
    """Largest difference of ln evidence from that of the domain, in runs where it leaves no further group out."""
    guard = GuardPolicy(COST, 0.0, MARGIN, cap=1.0)
    policy = Policy(
        review=ReviewPolicy((Reviewer("lead", "lead@example.com"),)),
        canary=CanaryPolicy(steps=(Step(1000),), ladder=(1.0,), guard_metrics=(guard,)),
    )
    worst, compared = 0.0, 0
    for case in cases(3, seed):
        n, y, q = drawn(case, 1.1, 90, np.random.default_rng(seed))
        kept = kept_groups(n)
        counts, started = merged(np.stack([n, y, q]))
        sums = {harmful: gains(counts, kept, harmful=harmful) for harmful in (True, False)}
        for run in range(case.runs):
            blocks = [_block(n[run], y[run], q[run], t) for t in range(90)]
            context = StepContext(Phase.CANARY, 0, since=0.0, phase_since=0.0)
            (found,) = domain_judge({COST.name: blocks}, [], policy, context, 5400.0).metrics
            if [set(np.flatnonzero(arm == 0)) for arm in kept[run]] != [set(out) for out in found.left_out]:
                continue
            factors = inflations(n[run], y[run], q[run], kept[run])[:, None]
            for harmful, hiding, theirs in ((True, 0, found.harm), (False, 1, found.advance or 0.0)):
                opened = openings(started[run])
                grown = grown_to(sums[harmful][run], factors, opened, harmful=harmful)
                mine = _decided(grown[-1:], hiding, 0.0)[0]
                worst, compared = max(worst, abs(math.log(mine) - math.log(theirs))), compared + 1
    return worst if compared > 20 else math.inf


def _block(n: Array, y: Array, q: Array, t: int) -> Block:
    def arm(a: int) -> Arm:
        groups = tuple((int(m), float(v)) for m, v in zip(n[a, t], y[a, t], strict=True))
        return Arm(int(n[a, t].sum()), float(y[a, t].sum()), groups, (float(q[a, t].sum()), *map(float, q[a, t])))

    return Block(60.0 * t, 60.0, WEIGHT, arm(0), arm(1))


def _share(times: Array) -> float:
    return round(float((times < NEVER).mean()), 4)


def _median(times: Array) -> float | None:
    middle = float(np.median(np.where(times < NEVER, times + 1.0, np.inf)))
    return None if middle == np.inf else middle


assert CELLS == 1 + 2 * GROUPS
