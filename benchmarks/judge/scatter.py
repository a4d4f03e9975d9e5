"""Variance inflation between unit groups (promptlane.domain.canary.dispersion), for many runs at once."""

from __future__ import annotations

import numpy as np

from benchmarks.judge.traffic import GROUPS, Array
from promptlane.domain.canary import dispersion

EACH: Array = np.vstack([np.ones(GROUPS), 1 - np.eye(GROUPS)])
"""Which groups are kept: all, then all but each one. [1 + groups, groups]."""


def sums(n: Array, y: Array, kept: Array, *, each: bool) -> Array:
    """Found, expected and variance [3, ..., sets] of windows [..., groups], by the groups `kept` [..., groups].

    `each`: also without each one of them, as EACH orders it; else one set.
    """
    n, y = n * kept, y * kept

    def over(values: Array) -> Array:
        total = values.sum(-1, keepdims=True)
        return np.concatenate([total, total - values], -1) if each else np.asarray(total)

    total, bad = over(n), over(y)
    squares, products, bads, cubes = over(n * n), over(n * y), over(y * y), over(n * n * n)
    safe = np.maximum(total, 1)
    rate, square = bad / safe, squares / safe**2
    finite = (total > 1) * (total - bad) / np.maximum(total - 1, 1)
    found = (total > 1) * np.maximum(bads - 2 * rate * products + rate**2 * squares, 0)
    spread = np.maximum(square - 2 * cubes / (safe * safe * safe) + square**2, 0)
    return np.stack([found, bad * (1 - square) * finite, 2 * bad * np.maximum(bad - 1, 0) * spread * finite**2])


def excess(found: Array, significant: float) -> Array:
    """The largest inflation over window lengths, of sums [3, scales, ...]; 1 where none is significant."""
    above, expected, variance = found
    safe = np.maximum(expected, 1e-12)
    ratio = above / safe
    counts = (expected >= 0.3) & (ratio > 1 + significant * np.sqrt(variance) / safe)
    return np.asarray(np.where(counts, ratio, 1.0).max(0))


class Spread:
    """Sums over windows of several lengths, of [runs, arms, groups] a minute, for the groups that are kept.

    All groups are kept at first; `keep` changes that for a run. `each`: as for `sums`. The first of the lengths is one
    minute, so that its windows are always closed.
    """

    def __init__(self, runs: int, arms: int, minutes: int, *, each: bool) -> None:
        self._scales = (*dispersion.SCALES, minutes + 1)
        self._each = each
        self._kept = np.ones((runs, arms, GROUPS))
        self._n = np.zeros((len(self._scales), runs, arms, GROUPS))
        self._y = np.zeros_like(self._n)
        self._fill = np.zeros((len(self._scales), runs), int)
        self._closed = np.zeros((3, len(self._scales), runs, arms, 1 + GROUPS * each))
        self._rows = np.zeros((2, runs, minutes, arms, GROUPS), np.float32)
        self._count = np.zeros(runs, int)

    def add(self, n: Array, y: Array, there: Array) -> None:
        """Take in a minute. `there`: runs that had any data."""
        self._n += n
        self._y += y
        self._fill += there
        self._rows[0, there, self._count[there]] = n[there]
        self._rows[1, there, self._count[there]] = y[there]
        self._count += there
        for i, scale in enumerate(self._scales):
            full = self._fill[i] == scale
            if full.any():
                self._closed[:, i, full] += sums(self._n[i, full], self._y[i, full], self._kept[full], each=self._each)
                self._n[i, full] = self._y[i, full] = 0
                self._fill[i, full] = 0

    def now(self, which: Array | slice = slice(None)) -> Array:
        """The sums [3, scales, runs, arms, sets] of these runs."""
        found = self._closed[:, :, which].copy()
        found[:, 1:] += sums(self._n[1:, which], self._y[1:, which], self._kept[which], each=self._each)
        return np.asarray(found)

    def all_kept(self, kept: Array) -> Array:
        """The sums [3, scales, runs, arms] with one set of groups [runs, arms, groups], where `each` holds it.

        Kept are all groups, or all but one: what `sums` of all groups has at hand.
        """
        gone = (1 - kept).argmax(-1)
        at = np.where(kept.all(-1), 0, 1 + gone)[None, None, :, :, None]
        found = np.take_along_axis(self._closed, at, -1)
        found[:, 1:] += sums(self._n[1:], self._y[1:], kept, each=False)
        return np.asarray(found[..., 0])

    def keep(self, run: int, kept: Array) -> None:
        """From now on, and in all that was before, keep these groups [arms, groups] in a run."""
        self._kept[run] = kept
        n, y = self._rows[:, run, : self._count[run]].astype(float)
        for i, scale in enumerate(self._scales):
            whole = len(n) // scale * scale
            shape = (-1, scale, *n.shape[1:])
            of_n, of_y = n[:whole].reshape(shape).sum(1), y[:whole].reshape(shape).sum(1)
            self._closed[:, i, run] = sums(of_n, of_y, kept, each=self._each).sum(1)

    def without(self, run: int, arm: int, out: list[int], limit: float) -> float:
        """The inflation of one arm of a run with these groups left out; `limit` or more where it is not below that."""
        kept = np.ones(GROUPS)
        kept[out] = 0
        n, y = self._rows[:, run, : self._count[run], arm].astype(float)
        largest = 1.0
        for scale in reversed(self._scales):
            starts = np.arange(0, len(n), scale)
            windows = np.add.reduceat(n, starts), np.add.reduceat(y, starts)
            found = sums(*windows, kept, each=False).sum((1, 2))
            largest = max(largest, float(excess(found[:, None], dispersion.SIGNIFICANT)))
            if largest >= limit:
                break
        return largest

    def only(self, runs: Array) -> None:
        """Go on with these runs."""
        self._kept, self._count = self._kept[runs], self._count[runs]
        self._n, self._y, self._fill = self._n[:, runs], self._y[:, runs], self._fill[:, runs]
        self._closed, self._rows = self._closed[:, :, runs], self._rows[:, runs]
