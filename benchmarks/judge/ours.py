"""Promptlane's judge, for many runs at once. run.py checks it against `promptlane.domain` on single runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from benchmarks.judge.gains import DEPTH_WEIGHTS, DEPTHS, ODDS, ODDS_WEIGHTS, advance_gains, harm_gains
from benchmarks.judge.scatter import Spread, excess
from benchmarks.judge.traffic import GROUPS, Array
from promptlane.domain.canary import dispersion, evidence, one_unit
from promptlane.domain.canary.blocks import LEAST_OF_AGE, MAX_BLOCK_SECONDS, MIN_BLOCK_REQUESTS

SPLIT_ODDS = np.array(evidence.SPLIT_BETS)
NEEDED = 20.0
CELLS = 1 + 2 * GROUPS
"""Evidence is kept without the left-out groups; and without each group of the trial, then of the control, as well."""


def cut(counts: Array, kept: Array) -> Array:
    """Counts [..., 2, groups] of the groups that each cell keeps, of those `kept`: [..., cells, 2]."""
    counts = counts * kept
    total = counts.sum(-1)
    found = np.repeat(total[..., None, :], CELLS, -2)
    found[..., 1 : 1 + GROUPS, 1] -= counts[..., 1, :]
    found[..., 1 + GROUPS :, 0] -= counts[..., 0, :]
    return found


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

    def only(self, runs: Array) -> None:
        """Go on with these runs."""
        for name in ("n", "y", "start", "length", "first", "count", "_n", "_y"):
            setattr(self, name, getattr(self, name)[runs])
        self.learned, self._before = self.learned[:, runs], self._before[:, runs]

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
    """One guard metric, looked at every minute. `history`: (requests, bad) of stable per run before.

    `needed`: evidence below that is not told from 1, since it decides nothing; 0 tells all. `guard`: what harm must
    keep without any one group; more than the product's where other metrics, which show nothing, share the errors.
    """

    runs: int
    minutes: int
    history: tuple[Array, Array]
    harmful: bool = True
    needed: float = NEEDED
    guard: float = one_unit.GUARD_HARM
    margin: tuple[Array, Array] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        runs, minutes = self.runs, self.minutes
        n, bad = self.history
        weight = np.where(n > 0, np.minimum(n, 450) / np.maximum(n, 1), 0)
        self.prior = np.stack([50 + n * weight, 0.5 + bad * weight])
        self.kept = np.ones((runs, 2, GROUPS))
        self.totals = np.zeros((runs, 2, GROUPS))
        self.single = Spread(runs, 2, minutes, each=True)
        self.further = Spread(runs, 2, minutes, each=True)
        self.splits = [_Split(runs, minutes) for _ in range(2)]
        self.blocks, self.step = Blocks(runs, minutes), Blocks(runs, minutes)
        self.since = np.zeros(runs, int)
        self.harm_sums = np.zeros((runs, CELLS, len(ODDS)))
        self.advance_sums = np.zeros((runs, CELLS, len(DEPTHS)))
        self.first, self.opened = np.full(runs, -1.0), np.zeros(runs, int)
        self.starts: list[Array] = []
        self.opened_at = np.zeros((runs, minutes // 60 + 2), int)
        self.harm, self.advance, self.split = np.ones(runs), np.ones(runs), np.ones(runs)

    def minute(
        self, t: int, n: Array, y: Array, assigned: Array, share: Array, margin: tuple[Array, Array] | None
    ) -> None:
        """Take in a minute of [runs, arms, groups]; `margin` is the step's (absolute, relative), None to judge harm
        alone. `assigned` is `n` itself, always, where all that was assigned is counted."""
        there = n.sum((1, 2)) > 0
        self.totals += n
        self.margin = margin
        self.single.add(n, y, there)
        self.further.add(n, y, there)
        if self.harmful and (full := self.blocks.add(n, y, t, there)).any():
            self._bet(full)
        if margin is not None and (full := self.step.add(n, y, t, there)).any():
            self._bet_advance(full)
        self._leave_out()
        self._weigh()
        of_outcomes = self.splits[0].add(n, share)
        of_assignments = of_outcomes if assigned is n else self.splits[1].add(assigned, share)
        self.split = (of_outcomes + of_assignments) / 2

    def only(self, runs: Array) -> None:
        """Go on with these runs."""
        for name in ("kept", "totals", "since", "harm_sums", "advance_sums", "first", "opened", "opened_at"):
            setattr(self, name, getattr(self, name)[runs])
        parts: list[Spread | Blocks | _Split] = [self.single, self.further, *self.splits, self.blocks, self.step]
        for part in parts:
            part.only(runs)
        self.prior, self.starts = self.prior[:, runs], [start[runs] for start in self.starts]
        self.runs = len(self.kept)

    def _weigh(self) -> None:
        """Evidence of the runs in which it may reach what is needed: no inflation makes it more than the bets' own."""
        self.harm, self.advance = np.ones(self.runs), np.ones(self.runs)
        least = math.log(self.needed) if self.needed else -math.inf
        may_harm, may_advance = np.zeros(self.runs, bool), np.zeros(self.runs, bool)
        for start in self.starts:
            may_harm |= (self.harm_sums - start).max((1, 2)) >= least
        if self.margin is not None:
            may_advance |= self.advance_sums.max((1, 2)) >= least
        which = np.flatnonzero(may_harm | may_advance | (self.needed == 0))
        if not len(which):
            return
        factors = self._factors(which)
        if self.harmful:
            self.harm[which] = _decided(self._harm(which, factors), one_unit.CONTROL, self.guard)
        if self.margin is not None:
            grown = np.exp(np.minimum(self.advance_sums[which] / factors[..., None], 50)) @ DEPTH_WEIGHTS
            self.advance[which] = _decided(grown, one_unit.TRIAL, one_unit.GUARD_ADVANCE)

    def restart(self, which: Array) -> None:
        """A new step begins for these runs: evidence to advance starts again."""
        self.step.clear(which)
        self.step.first[which] = -1
        self.since[which] = self.step.count[which]
        self.advance_sums[which] = 0

    # what is left out

    def _leave_out(self) -> None:
        kept = np.ones_like(self.kept)
        busy = np.stack([_busiest(self.totals[:, arm]) for arm in (0, 1)], 1)
        for arm in (0, 1):
            out = np.flatnonzero(busy[:, arm] >= 0)
            kept[out, arm, busy[out, arm]] = 0
        least = excess(self.single.all_kept(kept), dispersion.SIGNIFICANT)
        # An inflation is at least 1, so that nothing is gained where it is below the price of one more group.
        worth = np.flatnonzero((least > one_unit.WORTH).any(1))
        if len(worth):
            single = excess(self.single.now(worth), dispersion.SIGNIFICANT)
            for i, run in enumerate(worth):
                for arm in (0, 1):
                    self._leave_out_more(run, arm, busy[run, arm], least[run, arm], single[i, arm], kept)
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
                inflation = single[1 + out[0]] if len(out) == 1 else self.single.without(run, arm, out, least / price)
                if inflation * price < least:
                    least = inflation * price
                    kept[run, arm] = 1
                    kept[run, arm, out] = 0

    def _redo(self, run: int) -> None:
        """All of a run's evidence again, with other groups left out."""
        self.further.keep(run, self.kept[run])
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
        kept = self.kept[run]
        return cut(n, kept), cut(y, kept), _rates(before, kept[0], self.prior[:, run, None, None])

    def _factors(self, which: Array) -> Array:
        """Inflation of each cell of these runs: [which, cells]."""
        found = self.further.now(which)
        alone = excess(found, dispersion.SIGNIFICANT)
        control, trial = found[..., 0, :], found[..., 1, :]
        pairs = [control[..., :1] + trial, control[..., 1:] + trial[..., :1]]
        together = np.concatenate([excess(p, dispersion.SIGNIFICANT) for p in pairs], -1)
        single = np.concatenate(
            [np.maximum(alone[:, 0, :1], alone[:, 1]), np.maximum(alone[:, 0, 1:], alone[:, 1, :1])], -1
        )
        factor = np.maximum(together, single)
        few = self._few(which)
        few = np.concatenate([few[:, 0, :1] | few[:, 1], few[:, 0, 1:] | few[:, 1, :1]], -1)
        return np.where(few, np.maximum(factor, dispersion.UNKNOWN), factor)

    def _few(self, which: Array) -> Array:
        """[which, arms, 1 + groups]: whether too few groups hold requests."""
        totals = (self.totals * self.kept)[which]
        n, squares = (
            np.concatenate([v.sum(-1, keepdims=True), v.sum(-1, keepdims=True) - v], -1) for v in (totals, totals**2)
        )
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
        kept = self.kept[full]
        rates = _rates(block.learned[:, full], kept[:, 0], self.prior[:, full, None])
        return cut(block.n[full], kept), cut(block.y[full], kept), rates

    def _harm(self, which: Array, factors: Array) -> Array:
        opened = self.opened[which, None]
        later = np.maximum(opened - 1, 0)
        total = (1 - evidence.FIRST_START) / (later + 1) + np.zeros_like(factors)
        for i, start in enumerate(self.starts):
            weight = evidence.FIRST_START if i == 0 else (1 - evidence.FIRST_START) / (i * (i + 1))
            since = self.harm_sums[which] - start[which]
            grown = np.exp(np.minimum(since / factors[..., None], 50)) @ ODDS_WEIGHTS
            total = total + np.where(opened > i, weight * grown, 0)
        return np.where(opened > 0, total, 1.0)


class _Split:
    """Evidence of a broken split, without the busiest group of either arm."""

    def __init__(self, runs: int, minutes: int) -> None:
        self._counts = np.zeros((runs, minutes, 2, GROUPS), np.float32)
        self._shares = np.zeros((runs, minutes))
        self._totals = np.zeros((runs, 2, GROUPS))
        self._kept = np.ones((runs, GROUPS))
        self._spread = Spread(runs, 1, minutes, each=False)
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
            self._spread.keep(run, kept[run][None])
            past = self._counts[run, : self._at] * kept[run]
            self._sums[run] = self._gains(past, self._shares[run, : self._at]).sum(0)
        factor = excess(self._spread.now(), 0.0)[:, 0]
        return np.asarray(np.exp(np.minimum(self._sums / factor, 50)).mean(-1))

    def only(self, runs: Array) -> None:
        """Go on with these runs."""
        for name in ("_counts", "_shares", "_totals", "_kept", "_sums"):
            setattr(self, name, getattr(self, name)[runs])
        self._spread.only(runs)

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


def _rates(learned: Array, kept: Array, prior: Array) -> Array:
    """The control's rate [..., cells] from what was learned [2, ..., groups] of its groups `kept` [..., groups]."""
    learned = learned * kept
    total = learned.sum(-1, keepdims=True)
    n, bad = np.concatenate([np.repeat(total, 1 + GROUPS, -1), total - learned], -1)
    return np.clip((prior[1] + bad) / (prior[0] + n), 1e-6, 0.95)


def _decided(grown: Array, hiding: int, threshold: float) -> Array:
    """Evidence [runs] of cells [runs, cells]: mixed over the arm in which a unit could hide, and guarded."""
    trial, control = grown[:, 1 : 1 + GROUPS], grown[:, 1 + GROUPS :]
    hidden = control if hiding == one_unit.CONTROL else trial
    mixed = one_unit.KEPT * grown[:, 0] + (1 - one_unit.KEPT) * hidden.mean(-1)
    return np.where(grown[:, 1:].min(-1) >= threshold, mixed, np.minimum(mixed, 1.0))
