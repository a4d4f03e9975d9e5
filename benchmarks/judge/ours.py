"""Promptlane's judge and fuse, for many runs at once. run.py checks it against `promptlane.domain` on single runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.judge.traffic import GROUPS, Array, Counts, Scenario
from promptlane.domain.canary import dispersion, evidence, fuse
from promptlane.domain.canary.blocks import MAX_BLOCK_SECONDS, MIN_BLOCK_REQUESTS
from promptlane.domain.canary.judge import SPLIT_BROKEN
from promptlane.domain.policy import FusePolicy

ODDS, ODDS_WEIGHTS = (np.array(v) for v in zip(*evidence.HARM_BETS, strict=True))
SPLIT_ODDS = np.array(evidence.SPLIT_BETS)
FUSE = FusePolicy()


class Spread:
    """Variance inflation by windows of several lengths (promptlane.domain.canary.dispersion), for all runs."""

    def __init__(self, runs: int, arms: int, minutes: int, significant: float) -> None:
        self._significant = significant
        self._scales = (*dispersion.SCALES, minutes + 1)
        self._n = np.zeros((len(self._scales), runs, arms, GROUPS))
        self._y = np.zeros_like(self._n)
        self._fill = np.zeros((len(self._scales), runs), int)
        self._closed = np.zeros((3, len(self._scales), runs, arms))

    def add(self, n: Array, y: Array, there: Array) -> Array:
        """Take in a minute [runs, arms, groups]; the inflation of each run. `there`: runs that had any data."""
        self._n += n
        self._y += y
        self._fill += there
        sums = self._closed + self._window()
        for i, scale in enumerate(self._scales):
            full = self._fill[i] == scale
            if full.any():
                self._closed[:, i, full] = sums[:, i, full]
                self._n[i, full] = self._y[i, full] = 0
                self._fill[i, full] = 0
        both = np.concatenate([sums, sums.sum(-1, keepdims=True)], -1) if sums.shape[-1] > 1 else sums
        found, expected, variance = both
        safe = np.maximum(expected, 1e-12)
        ratio = found / safe
        counts = (expected >= 0.3) & (ratio > 1 + self._significant * np.sqrt(variance) / safe)
        return np.where(counts, ratio, 1.0).max(axis=(0, 2))

    def _window(self) -> Array:
        n, y = self._n.sum(-1), self._y.sum(-1)
        f = self._n / np.maximum(n, 1)[..., None]
        square, cube = (f**2).sum(-1), (f**3).sum(-1)
        finite = np.where(n > 1, (n - y) / np.maximum(n - 1, 1), 0.0)
        found = np.where(n > 1, ((self._y - f * y[..., None]) ** 2).sum(-1), 0.0)
        spread = np.maximum(square - 2 * cube + square**2, 0)
        return np.stack([found, y * (1 - square) * finite, 2 * y * np.maximum(y - 1, 0) * spread * finite**2])


@dataclass
class Open:
    """The block that each run is filling."""

    n: Array
    y: Array
    start: Array
    length: Array

    @classmethod
    def empty(cls, runs: int) -> Open:
        return cls(np.zeros((2, runs)), np.zeros((2, runs)), np.full(runs, -1.0), np.zeros(runs))

    def add(self, n: Array, y: Array, t: int, there: Array) -> Array:
        """Take in a minute; which runs' blocks are full."""
        fresh = there & (self.start < 0)
        self.start[fresh] = t
        self.n += np.where(there, n, 0)
        self.y += np.where(there, y, 0)
        self.length = np.where(there, t + 1 - self.start, self.length)
        full = (self.n.sum(0) >= MIN_BLOCK_REQUESTS) & (self.n > 0).all(0)
        return there & (full | (self.length * 60 >= MAX_BLOCK_SECONDS))

    def clear(self, which: Array) -> None:
        self.n[:, which] = self.y[:, which] = self.length[which] = 0
        self.start[which] = -1


def _gain(n: Array, y: Array, q0: Array, q1: Array, s0: Array, s1: Array) -> Array:
    return (
        y[0] * np.log(q0 / s0)
        + (n[0] - y[0]) * np.log((1 - q0) / (1 - s0))
        + y[1] * np.log(q1 / s1)
        + (n[1] - y[1]) * np.log((1 - q1) / (1 - s1))
    )


def _advance_gain(n: Array, y: Array, q0: Array, depth: float, margin_abs: Array, margin_rel: Array) -> Array:
    relative = margin_rel * q0 > margin_abs
    c, d = np.where(relative, 1 + margin_rel, 1.0), np.where(relative, 0.0, margin_abs)
    line = c * q0 + d
    ok = (n > 0).all(0) & (line < 1)
    q1 = np.where(ok, q0 + depth * (line - q0), q0)
    low, high = np.maximum((q1 - d) / c, 1e-9), q0.copy()
    for _ in range(50):
        s0 = (low + high) / 2
        s1 = np.minimum(c * s0 + d, 1 - 1e-12)
        up = n[0] * (s0 - q0) / (s0 * (1 - s0)) + c * n[1] * (s1 - q1) / (s1 * (1 - s1)) > 0
        low, high = np.where(up, low, s0), np.where(up, s0, high)
    s0 = (low + high) / 2
    return np.where(ok, _gain(n, y, q0, q1, s0, np.minimum(c * s0 + d, 1 - 1e-12)), 0.0)


class Judge:
    """One guard metric, looked at every minute. `history`: (requests, bad) of stable per run before."""

    def __init__(self, runs: int, minutes: int, history: tuple[Array, Array] | None) -> None:
        self.runs, self.minutes = runs, minutes
        self.sums = np.zeros((len(ODDS), runs))
        self.opened = np.zeros(runs, int)
        self.first = np.full(runs, -1.0)
        self.snapshots: list[Array] = []
        n, bad = history if history is not None else (np.zeros(runs), np.zeros(runs))
        weight = np.where(n > 0, np.minimum(n, 450) / np.maximum(n, 1), 0)
        self.learned = np.stack([50 + n * weight, 0.5 + bad * weight])
        self.advance_learned = self.learned.copy()
        self.open, self.advance_open = Open.empty(runs), Open.empty(runs)
        self.advance_sums = np.zeros((len(evidence.ADVANCE_BETS), runs))
        self.spread = Spread(runs, 2, minutes, dispersion.SIGNIFICANT)
        self.splits = [(Spread(runs, 1, minutes, 0.0), np.zeros((len(SPLIT_ODDS), runs))) for _ in range(2)]
        # Newest first, as far back as CloudWatch looks where points are missing: 1 bad, 0 not, -1 none.
        self.points = np.full((FUSE.periods + fuse.SPARE_PERIODS + 2, runs), -1)
        self.harm = np.ones(runs)
        self.advance = np.ones(runs)
        self.split = np.ones(runs)
        self.fused = np.zeros(runs, bool)

    def minute(
        self, t: int, n: Array, y: Array, assigned: Array, share: Array, margin: tuple[Array, Array] | None
    ) -> None:
        """Take in a minute of [runs, arms, groups]; `margin` is the step's (absolute, relative)."""
        n_arm, y_arm = n.sum(-1).T, y.sum(-1).T
        there = n_arm.sum(0) > 0
        factor = self.spread.add(n, y, there)
        full = self.open.add(n_arm, y_arm, t, there)
        if full.any():
            self._bet(full)
        self.harm = self._harm(factor)
        if margin is not None:
            full = self.advance_open.add(n_arm, y_arm, t, there)
            if full.any():
                self._bet_advance(full, margin)
            weights = np.array([w for _, w in evidence.ADVANCE_BETS])[:, None]
            self.advance = (weights * np.exp(np.minimum(self.advance_sums / factor, 50))).sum(0)
        self.split = sum(self._split(i, c, share) for i, c in enumerate((assigned, n))) / 2
        self._fuse(n_arm, y_arm)

    def restart(self, which: Array) -> None:
        """A new step begins for these runs: evidence to advance starts again."""
        for arm in (0, 1):
            self.advance_learned[arm, which] += (self.advance_open.n if arm == 0 else self.advance_open.y)[0, which]
        self.advance_open.clear(which)
        self.advance_sums[:, which] = 0

    def _bet(self, full: Array) -> None:
        block = self.open
        self.first = np.where(full & (self.first < 0), block.start, self.first)
        due = np.where(full, np.floor((block.start - self.first) * 60 / evidence.START_EVERY) + 1, self.opened)
        for i in range(int(due.max())):
            if len(self.snapshots) == i:
                self.snapshots.append(np.zeros_like(self.sums))
            now = (self.opened == i) & (due > i)
            self.snapshots[i][:, now] = self.sums[:, now]
            self.opened[now] = i + 1
        q0 = np.clip(self.learned[1] / self.learned[0], 1e-6, 0.95)
        both = full & (block.n > 0).all(0)
        for k, odds in enumerate(ODDS):
            q1 = odds * q0 / (1 - q0 + odds * q0)
            s = (block.n[0] * q0 + block.n[1] * q1) / np.maximum(block.n.sum(0), 1)
            self.sums[k] += np.where(
                both, _gain(block.n, block.y, q0, q1, np.where(both, s, q0), np.where(both, s, q1)), 0
            )
        self.learned[:, full] += np.stack([block.n[0], block.y[0]])[:, full]
        block.clear(full)

    def _harm(self, factor: Array) -> Array:
        later = np.maximum(self.opened - 1, 0)
        total = (1 - evidence.FIRST_START) / (later + 1)
        for i, snapshot in enumerate(self.snapshots):
            weight = evidence.FIRST_START if i == 0 else (1 - evidence.FIRST_START) / (i * (i + 1))
            grown = (ODDS_WEIGHTS[:, None] * np.exp(np.minimum((self.sums - snapshot) / factor, 50))).sum(0)
            total = total + np.where(self.opened > i, weight * grown, 0)
        return np.where(self.opened > 0, total, 1.0)

    def _bet_advance(self, full: Array, margin: tuple[Array, Array]) -> None:
        block = self.advance_open
        q0 = np.clip(self.advance_learned[1] / self.advance_learned[0], 1e-6, 0.95)
        for k, (depth, _) in enumerate(evidence.ADVANCE_BETS):
            self.advance_sums[k] += np.where(full, _advance_gain(block.n, block.y, q0, depth, *margin), 0)
        self.advance_learned[:, full] += np.stack([block.n[0], block.y[0]])[:, full]
        block.clear(full)

    def _split(self, i: int, counted: Array, share: Array) -> Array:
        spread, sums = self.splits[i]
        totals, trial = counted.sum(1), counted[:, 1]
        factor = spread.add(totals[:, None], trial[:, None], totals.sum(-1) > 0)
        n, n1 = totals.sum(-1), trial.sum(-1)
        odds = SPLIT_ODDS[:, None]
        sums += n1 * np.log(odds) - n * np.log(1 - share + odds * share)
        return np.exp(np.minimum(sums / factor, 50)).mean(0)

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
    return n, rng.binomial(n.astype(np.int64), scenario.p0(0)).astype(float)
