"""Evidence of harm, of harmlessness, and of a broken split, as e-processes: bankrolls that cannot grow by chance.

Block e-variables for two streams of Bernoulli data after Turner, Ly and Grünwald (JSPI 2024), bet against a half-plane
of null points; Ville's inequality bounds the chance that a bankroll ever reaches 1/alpha by alpha, however often and
whenever one looks. Only each block's average rates must satisfy the null, so rates may drift with both arms, sizes may
vary, and weights may change.

Given q0 (the control's rate, from earlier blocks only), a bet q1 on the trial's rate, and the nearest null point
(s0, s1), a block with (n0, y0) and (n1, y1) multiplies the bankroll by the likelihood ratio of (q0, q1) to (s0, s1).
(s0, s1) minimises n0 KL(q0|s0) + n1 KL(q1|s1) over the null: then the expectation is at most 1 for every null point.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .blocks import Block, Counts, Pair, Row

HARM_BETS: Final = ((1.5, 0.25), (2.2, 0.25), (4.0, 0.20), (10.0, 0.20), (50.0, 0.10))
"""(odds multiple of the trial over the control, weight)."""
ADVANCE_BETS: Final = ((0.0, 0.75), (0.4, 0.25))
"""(how far into the margin the trial is taken to lie, weight)."""
SPLIT_BETS: Final = (0.5, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 2.0)
"""Multiples of the declared odds, equally weighted."""

FIRST_START: Final = 0.9
"""Weight of the bet opened at the beginning; the rest goes to starts opened each hour after, for late harm."""
START_EVERY: Final = 3600.0
MAX_STARTS: Final = 24 * 366
_CAP: Final = 50.0
_TINY: Final = 1e-9
_CLOSE: Final = 1e-14


class Learner:
    """The control's rate as known before a block: a beta prior and the control's counts so far.

    With `history` (requests, bad) of the control before the phase it starts from that rate, worth at most 500 requests;
    else from 1 % worth 50. A bad prior slows the bets and cannot make them invalid.
    """

    def __init__(self, history: Pair | None = None, rate: float | None = None) -> None:
        self._n = 50.0
        self._bad = 50.0 * (0.01 if rate is None else rate)
        if history is not None and history[0] > 0:
            n, bad = history
            weight = min(n, 450) / n
            self._n += n * weight
            self._bad += bad * weight

    @property
    def rate(self) -> float:
        return min(max(self._bad / self._n, 1e-6), 0.95)

    def learn(self, n: int, bad: float) -> None:
        """Of the control."""
        self._n += n
        self._bad += bad


def gain(counts: Counts, q0: float, q1: float, s0: float, s1: float) -> float:
    """ln of the likelihood ratio of (q0, q1) to (s0, s1)."""
    n0, y0, n1, y1 = counts
    return (
        y0 * math.log(q0 / s0)
        + (n0 - y0) * math.log((1 - q0) / (1 - s0))
        + y1 * math.log(q1 / s1)
        + (n1 - y1) * math.log((1 - q1) / (1 - s1))
    )


def harm_gain(counts: Counts, q0: float, odds: float, tolerance: float = 0.0) -> float:
    """ln gain, against p1 <= p0 + tolerance, of betting on `odds` times the odds of the worst harmless rate."""
    n0, _, n1, _ = counts
    base = q0 + tolerance
    if not n0 or not n1:
        return 0.0
    q1 = odds * base / (1 - base + odds * base)
    if tolerance <= 0:
        s = (n0 * q0 + n1 * q1) / (n0 + n1)
        return gain(counts, q0, q1, s, s)
    if q1 >= 1 - _TINY:
        return 0.0
    s0 = _nearest(n0, n1, q0, q1, 1.0, tolerance, q0, q1 - tolerance)
    return gain(counts, q0, q1, s0, s0 + tolerance)


def advance_gain(counts: Counts, q0: float, depth: float, margin_abs: float, margin_rel: float) -> float:
    """ln gain of betting that the trial lies `depth` of the way into the margin, against p1 >= p0 + margin.

    The margin is the larger of the two; the null it describes lies inside both half-planes, so the block uses the line
    that is nearer at q0.
    """
    n0, _, n1, _ = counts
    c, d = (1 + margin_rel, 0.0) if margin_rel * q0 > margin_abs else (1.0, margin_abs)
    line = c * q0 + d
    if not n0 or not n1 or line >= 1:
        return 0.0
    q1 = q0 + depth * (line - q0)
    s0 = _nearest(n0, n1, q0, q1, c, d, max((q1 - d) / c, _TINY), q0)
    return gain(counts, q0, q1, s0, c * s0 + d)


def _nearest(n0: int, n1: int, q0: float, q1: float, c: float, d: float, low: float, high: float) -> float:
    """s0 of the point (s0, c s0 + d) that is nearest to (q0, q1) in weighted KL divergence.

    Newton's method on the divergence's slope times s0 (1 - s0) s1 (1 - s1), which leaves a cubic; a step that leaves
    the bracket is replaced by its middle.
    """
    s0 = (low + high) / 2
    for _ in range(60):
        s1 = c * s0 + d
        v0, v1 = s0 * (1 - s0), s1 * (1 - s1)
        far0, far1 = n0 * (s0 - q0), c * n1 * (s1 - q1)
        cubic = far0 * v1 + far1 * v0
        if cubic > 0:
            high = s0
        else:
            low = s0
        slope = n0 * v1 + far0 * c * (1 - 2 * s1) + c * c * n1 * v0 + far1 * (1 - 2 * s0)
        next_ = s0 - cubic / slope if slope else low
        if not low <= next_ <= high:
            next_ = (low + high) / 2
        if abs(next_ - s0) <= _CLOSE * s0:
            return next_
        s0 = next_
    return s0


def harm(rows: Sequence[Row], learner: Learner, *, tolerance: float = 0.0, inflation: float = 1.0) -> float:
    """Evidence that the trial is worse than the control by more than `tolerance`; 1 without data.

    `learner` is of the time before the first row.
    """
    return reopened(_harm_gains(rows, learner, tolerance), [weight for _, weight in HARM_BETS], inflation)


def _harm_gains(rows: Sequence[Row], learner: Learner, tolerance: float) -> Iterator[tuple[float, list[float]]]:
    for start, n0, y0, n1, y1 in rows:
        q0 = learner.rate
        counts = n0, y0, n1, y1
        yield start, [harm_gain(counts, q0, odds, tolerance) for odds, _ in HARM_BETS] if n0 and n1 else []
        learner.learn(n0, y0)


def reopened(gains: Iterable[tuple[float, Sequence[float]]], weights: Sequence[float], inflation: float) -> float:
    """Evidence of blocks by their start and the ln gain of each bet; empty where nothing was bet. 1 without data.

    A new bet opens each hour, so that a long healthy time does not hide harm that begins late; what is not yet opened
    stays as cash.
    """
    sums = [0.0] * len(weights)
    starts: list[list[float]] = []
    first: float | None = None
    for start, gained in gains:
        first = start if first is None else first
        while len(starts) < MAX_STARTS and len(starts) * START_EVERY <= start - first:
            starts.append(list(sums))
        for k, gain_ in enumerate(gained):
            sums[k] += gain_
    if not starts:
        return 1.0
    later = len(starts) - 1
    evidence = (1 - FIRST_START) / (later + 1)
    for i, opened in enumerate(starts):
        weight = FIRST_START if i == 0 else (1 - FIRST_START) / (i * (i + 1))
        evidence += weight * mix(((w, s - o) for w, s, o in zip(weights, sums, opened, strict=True)), inflation)
    return evidence


def advance(
    rows: Sequence[Row], learner: Learner, *, since: float, margins: tuple[float, float], inflation: float = 1.0
) -> float:
    """Evidence from blocks since `since` that the trial is within the margin; earlier blocks only teach the rate.

    `margins`: the absolute one, and the one relative to the control's rate.
    """
    sums = [0.0] * len(ADVANCE_BETS)
    for start, n0, y0, n1, y1 in rows:
        if start >= since and n0 and n1:
            q0 = learner.rate
            for k, (depth, _) in enumerate(ADVANCE_BETS):
                sums[k] += advance_gain((n0, y0, n1, y1), q0, depth, *margins)
        learner.learn(n0, y0)
    return mix(((w, s) for (_, w), s in zip(ADVANCE_BETS, sums, strict=True)), inflation)


def split(blocks: Sequence[Block], *, inflation: float = 1.0) -> float:
    """Evidence that the trial does not get the share it was given. Counts assignment decisions."""
    sums = [0.0] * len(SPLIT_BETS)
    for block in blocks:
        share = block.share
        if not 0 < share < 1:
            continue
        for k, odds in enumerate(SPLIT_BETS):
            sums[k] += block.trial.n * math.log(odds) - block.n * math.log(1 - share + odds * share)
    return mix(((1 / len(SPLIT_BETS), s) for s in sums), inflation)


def mix(weighted: Iterable[tuple[float, float]], inflation: float) -> float:
    """The weighted mean of bankrolls, given (weight, ln of the bankroll), each to the power 1/inflation."""
    return sum(w * math.exp(min(s / inflation, _CAP)) for w, s in weighted)
