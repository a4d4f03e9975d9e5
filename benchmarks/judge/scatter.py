"""Variance inflation between unit groups (promptlane.domain.canary.dispersion), for many runs at once."""

from __future__ import annotations

import numpy as np

from benchmarks.judge.traffic import GROUPS, Array
from promptlane.domain.canary import dispersion

EACH: Array = np.vstack([np.ones(GROUPS), 1 - np.eye(GROUPS)])
"""Which groups are kept: all, then all but each one. [1 + groups, groups]."""


def sums(n: Array, y: Array, kept: Array) -> Array:
    """Found, expected and variance [3, ..., sets] of windows [..., groups], by groups `kept` [..., sets, groups]."""

    def over(values: Array) -> Array:
        return np.asarray((kept @ values[..., None])[..., 0])

    total, bad = over(n), over(y)
    squares, products, bads, cubes = over(n * n), over(n * y), over(y * y), over(n**3)
    safe = np.maximum(total, 1)
    enough = total > 1
    rate, square = bad / safe, squares / safe**2
    finite = np.where(enough, (total - bad) / np.maximum(total - 1, 1), 0.0)
    found = np.where(enough, np.maximum(bads - 2 * rate * products + rate**2 * squares, 0), 0.0)
    spread = np.maximum(square - 2 * cubes / safe**3 + square**2, 0)
    return np.stack([found, bad * (1 - square) * finite, 2 * bad * np.maximum(bad - 1, 0) * spread * finite**2])


def excess(found: Array, significant: float) -> Array:
    """The largest inflation over window lengths, of sums [3, scales, ...]; 1 where none is significant."""
    above, expected, variance = found
    safe = np.maximum(expected, 1e-12)
    ratio = above / safe
    counts = (expected >= 0.3) & (ratio > 1 + significant * np.sqrt(variance) / safe)
    return np.asarray(np.where(counts, ratio, 1.0).max(0))


class Spread:
    """Sums over windows of several lengths, of [runs, arms, groups] a minute, for sets of groups that are kept.

    `kept`: [runs, arms, sets, groups] or what broadcasts to it; `keep` changes it for some runs.
    """

    def __init__(self, runs: int, arms: int, minutes: int, kept: Array) -> None:
        self._scales = (*dispersion.SCALES, minutes + 1)
        self._kept = np.broadcast_to(kept, (runs, arms, *kept.shape[-2:])).copy()
        self._n = np.zeros((len(self._scales), runs, arms, GROUPS))
        self._y = np.zeros_like(self._n)
        self._fill = np.zeros((len(self._scales), runs), int)
        self._closed = np.zeros((3, len(self._scales), runs, arms, kept.shape[-2]))
        self._rows = np.zeros((2, runs, minutes, arms, GROUPS), np.float32)
        self._count = np.zeros(runs, int)

    def add(self, n: Array, y: Array, there: Array) -> Array:
        """Take in a minute; the sums [3, scales, runs, arms, sets]. `there`: runs that had any data."""
        self._n += n
        self._y += y
        self._fill += there
        self._rows[0, there, self._count[there]] = n[there]
        self._rows[1, there, self._count[there]] = y[there]
        self._count += there
        now = self.now()
        for i, scale in enumerate(self._scales):
            full = self._fill[i] == scale
            if full.any():
                self._closed[:, i, full] = now[:, i, full]
                self._n[i, full] = self._y[i, full] = 0
                self._fill[i, full] = 0
        return now

    def now(self) -> Array:
        return self._closed + sums(self._n, self._y, self._kept)

    def keep(self, run: int, kept: Array) -> None:
        """From now on, and in all that was before, keep these sets [arms, sets, groups] in a run."""
        self._kept[run] = kept
        n, y = self._rows[:, run, : self._count[run]].astype(float)
        for i, scale in enumerate(self._scales):
            whole = len(n) // scale * scale
            shape = (-1, scale, *n.shape[1:])
            of_n, of_y = n[:whole].reshape(shape).sum(1), y[:whole].reshape(shape).sum(1)
            self._closed[:, i, run] = sums(of_n, of_y, kept).sum(1)

    def without(self, run: int, arm: int, out: list[int]) -> float:
        """The inflation of one arm of a run with these groups left out."""
        kept = np.ones((1, GROUPS))
        kept[0, out] = 0
        n, y = self._rows[:, run, : self._count[run], arm].astype(float)
        found = []
        for scale in self._scales:
            starts = np.arange(0, len(n), scale)
            found.append(sums(np.add.reduceat(n, starts), np.add.reduceat(y, starts), kept).sum((1, 2)))
        return float(excess(np.stack(found, 1), dispersion.SIGNIFICANT))
