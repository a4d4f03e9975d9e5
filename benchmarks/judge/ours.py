"""Promptlane's judge and fuse, for many runs at once. run.py checks it against `promptlane.domain` on single runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from benchmarks.judge.scatter import EACH, Spread, excess
from benchmarks.judge.traffic import GROUPS, Array, Counts, Scenario
from promptlane.domain.canary import dispersion, evidence, fuse, one_unit
from promptlane.domain.canary.blocks import LEAST_OF_AGE, MAX_BLOCK_SECONDS, MIN_BLOCK_REQUESTS
from promptlane.domain.canary.judge import SPLIT_BROKEN
from promptlane.domain.policy import FusePolicy

ODDS, ODDS_WEIGHTS = (np.array(v) for v in zip(*evidence.HARM_BETS, strict=True))
DEPTHS, DEPTH_WEIGHTS = (np.array(v) for v in zip(*evidence.ADVANCE_BETS, strict=True))
SPLIT_ODDS = np.array(evidence.SPLIT_BETS)
FUSE = FusePolicy()
NEEDED = 20.0
CELLS = 1 + 2 * GROUPS
"""Evidence is kept without the left-out groups; and without each group of the trial, then of the control, as well."""
_ALL = np.ones((2, GROUPS))


def cells(kept: Array) -> Array:
    """Kept groups [..., 2, groups] of both arms as those of each cell [..., cells, 2, groups]."""
    found = np.repeat(kept[..., None, :, :], CELLS, -3).copy()
    for g in range(GROUPS):
        found[..., 1 + g, 1, g] = 0
        found[..., 1 + GROUPS + g, 0, g] = 0
    return found


def harm_gains(n: Array, y: Array, q0: Array) -> Array:
    """ln gain of each bet on harm: [..., 2] counts, [...] rates -> [..., bets]."""
    rate = q0[..., None]
    bet = ODDS * rate / (1 - rate + ODDS * rate)
    (n0, n1), (y0, y1) = (np.moveaxis(v, -1, 0)[..., None] for v in (n, y))
    both = (n0 > 0) & (n1 > 0)
    pooled = np.where(both, (n0 * rate + n1 * bet) / np.maximum(n0 + n1, 1), 0.5)
    gains = y0 * np.log(rate) + (n0 - y0) * np.log1p(-rate) + y1 * np.log(bet) + (n1 - y1) * np.log1p(-bet)
    gains -= (y0 + y1) * np.log(pooled) + (n0 + n1 - y0 - y1) * np.log1p(-pooled)
    return np.asarray(np.where(both, gains, 0.0))


def advance_gains(n: Array, y: Array, q0: Array, margin: tuple[Array, Array]) -> Array:
    """ln gain of each bet on harmlessness; `margin` (absolute, relative) broadcasts to q0."""
    absolute, relative = (np.broadcast_to(m, q0.shape) for m in margin)
    wide = relative * q0 > absolute
    c, d = np.where(wide, 1 + relative, 1.0)[..., None], np.where(wide, 0.0, absolute)[..., None]
    rate = q0[..., None]
    line = c * rate + d
    (n0, n1), (y0, y1) = (np.moveaxis(v, -1, 0)[..., None] for v in (n, y))
    usable = (n0 > 0) & (n1 > 0) & (line < 1)
    bet = np.where(usable, rate + DEPTHS * (line - rate), rate)
    s0 = _nearest(n0, n1, rate, bet, c, d)
    s1 = np.minimum(c * s0 + d, 1 - 1e-12)
    gains = y0 * np.log(rate / s0) + (n0 - y0) * np.log((1 - rate) / (1 - s0))
    gains += y1 * np.log(bet / s1) + (n1 - y1) * np.log((1 - bet) / (1 - s1))
    return np.asarray(np.where(usable, gains, 0.0))


def _nearest(n0: Array, n1: Array, q0: Array, q1: Array, c: Array, d: Array) -> Array:
    """Newton's method within a bracket, as in promptlane.domain.canary.evidence, for all at once."""
    low, high = np.maximum((q1 - d) / c, 1e-9), q0 + 0 * q1
    s0 = (low + high) / 2
    for _ in range(18):
        s1 = np.minimum(c * s0 + d, 1 - 1e-12)
        v0, v1 = s0 * (1 - s0), s1 * (1 - s1)
        far0, far1 = n0 * (s0 - q0), c * n1 * (s1 - q1)
        cubic = far0 * v1 + far1 * v0
        low, high = np.where(cubic > 0, low, s0), np.where(cubic > 0, s0, high)
        slope = n0 * v1 + far0 * c * (1 - 2 * s1) + c * c * n1 * v0 + far1 * (1 - 2 * s0)
        step = s0 - cubic / np.where(slope == 0, 1.0, slope)
        s0 = np.where((step >= low) & (step <= high), step, (low + high) / 2)
    return s0


class Blocks:
    """The block that each run is filling, and those that were closed: counts and what had been learned before."""

    def __init__(self, runs: int, minutes: int) -> None:
        self.n, self.y = np.zeros((runs, 2, GROUPS)), np.zeros((runs, 2, GROUPS))
        self.start, self.length = np.full(runs, -1.0), np.zeros(runs)
        self.first = np.full(runs, -1.0)
        """When the first block began."""
        self.learned = np.zeros((2, runs, GROUPS))
        """The control's (requests, bad) by group."""
        self.count = np.zeros(runs, int)
        shape = (runs, minutes, 2, GROUPS)
        self._n, self._y = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._before = np.zeros((2, runs, minutes, GROUPS), np.float32)

    def add(self, n: Array, y: Array, t: int, there: Array) -> Array:
        """Take in a minute; which runs' blocks are full."""
        fresh = there & (self.start < 0)
        self.start[fresh] = t
        self.n += n
        self.y += y
        self.length = np.where(there, t + 1 - self.start, self.length)
        arms = self.n.sum(-1)
        full = (arms.sum(-1) >= MIN_BLOCK_REQUESTS) & (arms > 0).all(-1)
        self.first = np.where(fresh & (self.first < 0), t, self.first)
        full &= self.length >= LEAST_OF_AGE * (self.start - self.first)
        return np.asarray(there & (full | (self.length * 60 >= MAX_BLOCK_SECONDS)))

    def close(self, full: Array) -> None:
        """Store and learn from the full blocks."""
        which, at = np.flatnonzero(full), self.count[full]
        self._n[which, at], self._y[which, at] = self.n[full], self.y[full]
        self._before[:, which, at] = self.learned[:, full]
        self.count[full] += 1
        self.clear(full)

    def clear(self, which: Array) -> None:
        self.learned[:, which] += np.stack([self.n[which, 0], self.y[which, 0]])
        self.n[which] = self.y[which] = self.length[which] = 0
        self.start[which] = -1

    def closed(self, run: int) -> tuple[Array, Array, Array]:
        """All closed blocks of a run: n, y [blocks, 2, groups], learned before [2, blocks, groups]."""
        upto = self.count[run]
        return (
            self._n[run, :upto].astype(float),
            self._y[run, :upto].astype(float),
            self._before[:, run, :upto].astype(float),
        )


@dataclass
class Judge:
    """One guard metric, looked at every minute. `history`: (requests, bad) of stable per run before."""

    runs: int
    minutes: int
    history: tuple[Array, Array] | None

    def __post_init__(self) -> None:
        runs, minutes = self.runs, self.minutes
        n, bad = self.history if self.history is not None else (np.zeros(runs), np.zeros(runs))
        weight = np.where(n > 0, np.minimum(n, 450) / np.maximum(n, 1), 0)
        self.prior = np.stack([50 + n * weight, 0.5 + bad * weight])
        self.kept = np.ones((runs, 2, GROUPS))
        self.totals = np.zeros((runs, 2, GROUPS))
        self.single = Spread(runs, 2, minutes, EACH)
        self.further = Spread(runs, 2, minutes, EACH)
        self.splits = [_Split(runs, minutes) for _ in range(2)]
        self.blocks, self.step = Blocks(runs, minutes), Blocks(runs, minutes)
        self.since = np.zeros(runs, int)
        self.harm_sums = np.zeros((runs, CELLS, len(ODDS)))
        self.advance_sums = np.zeros((runs, CELLS, len(DEPTHS)))
        self.first, self.opened = np.full(runs, -1.0), np.zeros(runs, int)
        self.starts: list[Array] = []
        self.opened_at = np.zeros((runs, minutes // 60 + 2), int)
        # Newest first, as far back as CloudWatch looks where points are missing: 1 bad, 0 not, -1 none.
        self.points = np.full((FUSE.periods + fuse.SPARE_PERIODS + 2, runs), -1)
        self.harm, self.advance, self.split = np.ones(runs), np.ones(runs), np.ones(runs)
        self.fused = np.zeros(runs, bool)
        self.margin: tuple[Array, Array] | None = None

    def minute(
        self, t: int, n: Array, y: Array, assigned: Array, share: Array, margin: tuple[Array, Array] | None
    ) -> None:
        """Take in a minute of [runs, arms, groups]; `margin` is the step's (absolute, relative)."""
        there = n.sum((1, 2)) > 0
        self.totals += n
        self.margin = margin
        single = self.single.add(n, y, there)
        self.further.add(n, y, there)
        full = self.blocks.add(n, y, t, there)
        if full.any():
            self._bet(full)
        if margin is not None:
            full = self.step.add(n, y, t, there)
            if full.any():
                self._bet_advance(full)
        self._leave_out(excess(single, dispersion.SIGNIFICANT))
        factors = self._factors()
        self.harm = _decided(self._harm(factors), one_unit.CONTROL, one_unit.GUARD_HARM)
        if margin is not None:
            grown = np.exp(np.minimum(self.advance_sums / factors[..., None], 50)) @ DEPTH_WEIGHTS
            self.advance = _decided(grown, one_unit.TRIAL, one_unit.GUARD_ADVANCE)
        self.split = (self.splits[0].add(assigned, share) + self.splits[1].add(n, share)) / 2
        self._fuse(n.sum(-1).T, y.sum(-1).T)

    def restart(self, which: Array) -> None:
        """A new step begins for these runs: evidence to advance starts again."""
        self.step.clear(which)
        self.step.first[which] = -1
        self.since[which] = self.step.count[which]
        self.advance_sums[which] = 0

    # what is left out

    def _leave_out(self, single: Array) -> None:
        """`single`: [runs, arms, 1 + groups], the inflation with all groups and with each one left out."""
        kept = np.ones_like(self.kept)
        for arm in (0, 1):
            busy = _busiest(self.totals[:, arm])
            least = np.take_along_axis(single[:, arm], (busy + 1)[:, None], 1)[:, 0]
            kept[busy >= 0, arm, busy[busy >= 0]] = 0
            # An inflation is at least 1, so that nothing is gained where it is below the price of one more group.
            for run in np.flatnonzero(least > one_unit.WORTH):
                self._leave_out_more(run, arm, busy[run], least[run], single[run, arm], kept)
        for run in np.flatnonzero((kept != self.kept).any((1, 2))):
            self.kept[run] = kept[run]
            self._redo(run)

    def _leave_out_more(self, run: int, arm: int, busy: int, least: float, single: Array, kept: Array) -> None:
        others = [g for g in range(GROUPS) if g != busy]
        for more in range(1, one_unit.MOST - (busy >= 0) + 1):
            price = one_unit.WORTH**more
            if least <= price:
                break
            for extra in combinations(others, more):
                out = [*extra, *([busy] if busy >= 0 else [])]
                inflation = single[1 + out[0]] if len(out) == 1 else self.single.without(run, arm, out)
                if inflation * price < least:
                    least = inflation * price
                    kept[run, arm] = 1
                    kept[run, arm, out] = 0

    def _redo(self, run: int) -> None:
        """All of a run's evidence again, with other groups left out."""
        self.further.keep(run, self.kept[run][:, None, :] * EACH)
        n, y, before = self.blocks.closed(run)
        grown = np.cumsum(harm_gains(*self._counted(run, n, y, before)), 0)
        if len(grown):
            self.harm_sums[run] = grown[-1]
            for i in range(self.opened[run]):
                at = self.opened_at[run, i]
                self.starts[i][run] = grown[at - 1] if at else 0
        if self.margin is not None:
            n, y, before = self.step.closed(run)
            since = self.since[run]
            absolute, relative = (np.broadcast_to(m, self.runs)[run] for m in self.margin)
            counted = self._counted(run, n[since:], y[since:], before[:, since:])
            self.advance_sums[run] = advance_gains(*counted, (absolute, relative)).sum(0)

    def _counted(self, run: int, n: Array, y: Array, before: Array) -> tuple[Array, Array, Array]:
        """Counts [blocks, cells, 2] and rates [blocks, cells] of one run's blocks."""
        masks = cells(self.kept[run])
        return _cut(n, masks), _cut(y, masks), _rates(before, masks[:, 0], self.prior[:, run, None, None])

    def _factors(self) -> Array:
        """Inflation of each cell: [runs, cells]."""
        found = self.further.now()
        alone = excess(found, dispersion.SIGNIFICANT)
        control, trial = found[..., 0, :], found[..., 1, :]
        pairs = [control[..., :1] + trial, control[..., 1:] + trial[..., :1]]
        together = np.concatenate([excess(p, dispersion.SIGNIFICANT) for p in pairs], -1)
        single = np.concatenate(
            [np.maximum(alone[:, 0, :1], alone[:, 1]), np.maximum(alone[:, 0, 1:], alone[:, 1, :1])], -1
        )
        factor = np.maximum(together, single)
        few = self._few()
        few = np.concatenate([few[:, 0, :1] | few[:, 1], few[:, 0, 1:] | few[:, 1, :1]], -1)
        return np.where(few, np.maximum(factor, dispersion.UNKNOWN), factor)

    def _few(self) -> Array:
        """[runs, arms, 1 + groups]: whether too few groups hold requests."""
        totals = (self.totals * self.kept)[:, :, None, :] * EACH
        n, squares = totals.sum(-1), (totals**2).sum(-1)
        return np.asarray((n >= 30) & (n * n < dispersion.FEW_GROUPS * squares))

    # bets

    def _bet(self, full: Array) -> None:
        block = self.blocks
        self.first = np.where(full & (self.first < 0), block.start, self.first)
        due = np.where(full, np.floor((block.start - self.first) * 60 / evidence.START_EVERY) + 1, self.opened)
        for i in range(int(due.max())):
            if len(self.starts) == i:
                self.starts.append(np.zeros_like(self.harm_sums))
            now = (self.opened == i) & (due > i)
            self.starts[i][now] = self.harm_sums[now]
            self.opened_at[now, i] = block.count[now]
            self.opened[now] = i + 1
        self.harm_sums[full] += harm_gains(*self._open(block, full))
        block.close(full)

    def _bet_advance(self, full: Array) -> None:
        assert self.margin is not None
        margin = tuple(np.broadcast_to(m, full.shape)[full][:, None] for m in self.margin)
        self.advance_sums[full] += advance_gains(*self._open(self.step, full), (margin[0], margin[1]))
        self.step.close(full)

    def _open(self, block: Blocks, full: Array) -> tuple[Array, Array, Array]:
        masks = cells(self.kept[full])
        rates = _rates(block.learned[:, full], masks[:, :, 0], self.prior[:, full, None])
        return _cut(block.n[full], masks), _cut(block.y[full], masks), rates

    def _harm(self, factors: Array) -> Array:
        later = np.maximum(self.opened - 1, 0)[:, None]
        total = (1 - evidence.FIRST_START) / (later + 1) + np.zeros_like(factors)
        for i, start in enumerate(self.starts):
            weight = evidence.FIRST_START if i == 0 else (1 - evidence.FIRST_START) / (i * (i + 1))
            grown = np.exp(np.minimum((self.harm_sums - start) / factors[..., None], 50)) @ ODDS_WEIGHTS
            total = total + np.where((self.opened > i)[:, None], weight * grown, 0)
        return np.where((self.opened > 0)[:, None], total, 1.0)

    def _fuse(self, n: Array, y: Array) -> None:
        enough = (n >= FUSE.min_requests).all(0)
        gap = y[1] / np.maximum(n[1], 1) - y[0] / np.maximum(n[0], 1)
        rate = (y[0] + 1) / (n[0] + 2)
        noise = FUSE.sigmas**2 * rate * (1 - rate) / np.maximum(n[1], 1)
        hit = enough & (gap >= FUSE.error) & (gap * gap > noise)
        self.points = np.roll(self.points, 1, axis=0)
        self.points[0] = np.where(enough, hit, -1)
        there = self.points >= 0
        latest = there & (there.cumsum(0) <= FUSE.periods + fuse.SPARE_PERIODS)
        self.fused |= ((self.points == 1) & latest).sum(0) >= FUSE.periods


class _Split:
    """Evidence of a broken split, without the busiest group of either arm."""

    def __init__(self, runs: int, minutes: int) -> None:
        self._counts = np.zeros((runs, minutes, 2, GROUPS), np.float32)
        self._shares = np.zeros((runs, minutes))
        self._totals = np.zeros((runs, 2, GROUPS))
        self._kept = np.ones((runs, GROUPS))
        self._spread = Spread(runs, 1, minutes, np.ones((1, GROUPS)))
        self._sums = np.zeros((runs, len(SPLIT_ODDS)))
        self._at = 0

    def add(self, counted: Array, share: Array) -> Array:
        self._counts[:, self._at], self._shares[:, self._at] = counted, share
        self._totals += counted
        self._at += 1
        both = counted.sum(1)
        self._spread.add(both[:, None], counted[:, 1:2], both.sum(-1) > 0)
        self._sums += self._gains(counted * self._kept[:, None], share)
        kept = np.ones_like(self._kept)
        for arm in (0, 1):
            busy = _busiest(self._totals[:, arm])
            kept[busy >= 0, busy[busy >= 0]] = 0
        for run in np.flatnonzero((kept != self._kept).any(-1)):
            self._kept[run] = kept[run]
            self._spread.keep(run, kept[run][None, None])
            past = self._counts[run, : self._at] * kept[run]
            self._sums[run] = self._gains(past, self._shares[run, : self._at]).sum(0)
        factor = excess(self._spread.now(), 0.0)[:, 0]
        return np.asarray(np.exp(np.minimum(self._sums / factor, 50)).mean(-1))

    @staticmethod
    def _gains(counted: Array, share: Array) -> Array:
        n, trial, part = counted.sum((-1, -2))[..., None], counted[..., 1, :].sum(-1)[..., None], share[..., None]
        return np.asarray(trial * np.log(SPLIT_ODDS) - n * np.log(1 - part + SPLIT_ODDS * part))


def _busiest(requests: Array) -> Array:
    """The group [runs] that has far more requests than the others, or -1."""
    group = requests.argmax(-1)
    most = requests.max(-1)
    rest = (requests.sum(-1) - most) / (GROUPS - 1)
    busy = (most >= one_unit.BUSY_RATIO * rest) & (most - rest > one_unit.BUSY_SIGMAS * np.sqrt(np.maximum(rest, 1.0)))
    return np.where(busy, group, -1)


def _cut(counts: Array, masks: Array) -> Array:
    """Counts [..., 2, groups] of the groups that each cell keeps: [..., cells, 2]."""
    return np.asarray((counts[..., None, :, :] * masks).sum(-1))


def _rates(learned: Array, masks: Array, prior: Array) -> Array:
    """The control's rate [..., cells] from what was learned [2, ..., groups]."""
    n, bad = ((part[..., None, :] * masks).sum(-1) for part in learned)
    return np.clip((prior[1] + bad) / (prior[0] + n), 1e-6, 0.95)


def _decided(grown: Array, hiding: int, threshold: float) -> Array:
    """Evidence [runs] of cells [runs, cells]: mixed over the arm in which a unit could hide, and guarded."""
    trial, control = grown[:, 1 : 1 + GROUPS], grown[:, 1 + GROUPS :]
    hidden = control if hiding == one_unit.CONTROL else trial
    mixed = one_unit.KEPT * grown[:, 0] + (1 - one_unit.KEPT) * hidden.mean(-1)
    return np.where(grown[:, 1:].min(-1) >= threshold, mixed, np.minimum(mixed, 1.0))


def watch(scenario: Scenario, counts: Counts, seed: int, alpha: float = 0.05) -> dict[str, Array]:
    """When judge and fuse roll back (minute, or a large number), for the scenario's own weights."""
    runs = counts.n.shape[0]
    judge = Judge(runs, scenario.minutes, history(scenario, runs, seed))
    never = 10**9
    judged, fused, held = (np.full(runs, never) for _ in range(3))
    for t in range(scenario.minutes):
        share = np.full(runs, scenario.weights(t))
        judge.minute(t, counts.n[:, :, t], counts.y[:, :, t], counts.assigned[:, :, t], share, None)
        broken = judge.split >= SPLIT_BROKEN
        held = np.where((held == never) & broken, t, held)
        judged = np.where((judged == never) & ~broken & (judge.harm >= 1 / alpha), t, judged)
        fused = np.where((fused == never) & judge.fused, t, fused)
    return {"rolled_back": np.minimum(judged, fused), "judged": judged, "fused": fused, "held": held}


def decide(scenario: Scenario, counts: Counts, seed: int, margin: float, *, first: str) -> tuple[Array, Array]:
    """The minute of the first rollback and of the first advance in each run, each as if the other decided nothing.

    `first`: rolled_back or advanced; looking ends when all runs have that.
    """
    runs = counts.n.shape[0]
    judge = Judge(runs, scenario.minutes, history(scenario, runs, seed))
    never = 10**9
    back, go = np.full(runs, never), np.full(runs, never)
    limits = np.full(runs, margin), np.zeros(runs)
    for t in range(scenario.minutes):
        share = np.full(runs, scenario.weights(t))
        judge.minute(t, counts.n[:, :, t], counts.y[:, :, t], counts.assigned[:, :, t], share, limits)
        ready = judge.split < SPLIT_BROKEN
        back = np.where((back == never) & ready & (judge.harm >= NEEDED), t, back)
        go = np.where((go == never) & ready & (judge.advance >= NEEDED), t, go)
        if ({"rolled_back": back, "advanced": go}[first] < never).all():
            break
    return back, go


def release(
    scenario: Scenario,
    runs: int,
    seed: int,
    *,
    steps: tuple[float, ...],
    ladder: tuple[float, ...],
    margin_abs: float,
    margin_rel: float,
    bake: int = 10,
    error: float = 0.05,
) -> dict[str, Array]:
    """Whole releases of independent requests through the steps: when each was promoted, rolled back, or neither."""
    rng = np.random.default_rng(seed)
    judge = Judge(runs, scenario.minutes, history(scenario, runs, seed))
    never = 10**9
    step, since = np.zeros(runs, int), np.zeros(runs)
    promoted, back = np.full(runs, never), np.full(runs, never)
    weights, factors = np.array([*steps, steps[-1]]), np.array([*ladder, 1.0])
    for t in range(scenario.minutes):
        share = weights[step]
        n = np.stack([rng.poisson(scenario.rate / GROUPS * s, (GROUPS, runs)).T for s in (1 - share, share)], 1).astype(
            float
        )
        y = np.stack(
            [rng.binomial(n[:, a].astype(np.int64), (scenario.p0, scenario.p1)[a](t)) for a in (0, 1)], 1
        ).astype(float)
        margin = (margin_abs * factors[step], margin_rel * factors[step])
        judge.minute(t, n, y, n, share, margin)
        live = (promoted == never) & (back == never)
        back = np.where(live & ((judge.harm >= 1 / error) & (judge.split < SPLIT_BROKEN) | judge.fused), t, back)
        go = (
            live
            & (back == never)
            & (judge.advance >= 1 / error)
            & (judge.split < SPLIT_BROKEN)
            & (t + 1 - since >= bake)
        )
        promoted = np.where(go & (step == len(steps) - 1), t, promoted)
        onward = go & (step < len(steps) - 1)
        if onward.any():
            step, since = np.where(onward, step + 1, step), np.where(onward, t + 1, since)
            judge.restart(onward)
        if ((promoted < never) | (back < never)).all():
            break
    return {"promoted": promoted, "rolled_back": back, "step": step}


def history(scenario: Scenario, runs: int, seed: int) -> tuple[Array, Array]:
    """A day of stable's counts before the release."""
    rng = np.random.default_rng(seed + 99)
    n = np.full(runs, scenario.rate * 1440)
    bad = rng.binomial(n.astype(np.int64), scenario.p0(0)).astype(float)
    for unit in scenario.units:
        if unit.arm == 0:
            n, bad = n + unit.per_minute * 1440, bad + unit.per_minute * unit.bad * 1440
    return n, bad
