"""Evidence on the mean of values in [0, 1], as e-processes whose bets grow bolder the less the values scatter.

Bounds for single events stay valid for such values and see nothing in them: they allow for the variance of 0 and 1. So
the bets are those of empirical Bernstein bounds (Fan, Grama and Liu, EJP 2015; Howard, Ramdas, McAuliffe and Sekhon,
Annals of Statistics 2021): for x >= -r and 0 <= l < 1/r,

    exp(l x - psi(l r) / r^2 x^2) <= 1 + l x    with psi(u) = -ln(1 - u) - u.

With x the distance of a value from a centre m that was known before the block, its expectation is at most
exp(l (mean - m)). The product over both arms, with l0 = c L / n0 towards the control and l1 = L / n1 away from it, is
bounded by exp(L (c mean0 + d - mean1)), or its reverse: by 1 for every pair of means beyond the line, whatever the
centres and however boldly L was chosen beforehand. As with rates only each block's averages must satisfy the null.

L is what would be best if the means lay as far apart as is bet and the variance were that of earlier blocks. A block
is known by counts, sums and sums of squares, since sum (y - m)^2 needs no more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from .blocks import Triple, ValueRow
from .evidence import ADVANCE_BETS, mix, reopened

HARM_BETS: Final = ((0.1, 0.25), (0.3, 0.35), (1.0, 0.25), (3.0, 0.15))
"""(by which part of itself the mean is taken to have grown, weight)."""
BOLDEST: Final = 0.8
"""Of l r, which must stay below 1."""
LEAST: Final = 20
"""Answers of the control that must be known before anything is bet; a guess weighs as much."""
GUESSED_SCATTER: Final = 0.25
"""Of a guess: its variance as a part of the largest that its mean allows."""
NARROWEST: Final = 1e-3
"""The least r; a larger one than need be is valid too."""


class Known(NamedTuple):
    """(control's, trial's), from what was before a block."""

    means: tuple[float, float]
    variances: tuple[float, float]


class Learner:
    """Means and variances of both arms as known before a block. `mean`: the control's usual one, where it is known.

    The trial is taken for the control until it has answers of its own.
    """

    def __init__(self, mean: float | None = None) -> None:
        known = LEAST if mean is not None else 0
        guess = mean or 0.0
        self._control = known, known * guess, known * (guess * guess + GUESSED_SCATTER * guess * (1 - guess))
        self._trial: Triple = (0, 0.0, 0.0)

    @property
    def ready(self) -> bool:
        """Whether enough is known to bet on."""
        return self._control[0] >= LEAST

    @property
    def known(self) -> Known:
        """Only where it is `ready`. Variances have a guess in them, so that none is 0 while few answers are known."""
        (n0, y0, _), (n1, y1, _) = self._control, self._trial
        mean0 = min(max(y0 / n0, 0.0), 1.0)
        mean1 = min(max((LEAST * mean0 + y1) / (LEAST + n1), 0.0), 1.0)
        v0 = (_about(self._control, mean0) + LEAST * GUESSED_SCATTER * mean0 * (1 - mean0)) / (n0 + LEAST)
        return Known((mean0, mean1), (v0, (_about(self._trial, mean1) + LEAST * v0) / (n1 + LEAST)))

    def learn(self, control: Triple, trial: Triple) -> None:
        """Of a block, after what was bet on it."""
        self._control, self._trial = _plus(self._control, control), _plus(self._trial, trial)


def harm_gains(control: Triple, trial: Triple, known: Known, tolerance: float = 0.0) -> list[float]:
    """ln gain of each bet, against mean1 <= mean0 + tolerance."""
    mean0, mean1 = known.means
    ranges = max(1 - mean0, NARROWEST), max(mean1, NARROWEST)
    gaps = [min(part * (mean0 + tolerance), 1 - mean0 - tolerance) for part, _ in HARM_BETS]
    above = trial[1] / trial[0] - control[1] / control[0] - tolerance
    return [_gain(control, trial, known, above, gap, ranges, 1.0) for gap in gaps]


def advance_gains(control: Triple, trial: Triple, known: Known, margins: tuple[float, float]) -> list[float]:
    """ln gain of each bet, against mean1 >= mean0 + margin, where the margin is the larger of absolute and relative."""
    mean0, mean1 = known.means
    margin_abs, margin_rel = margins
    c, d = (1 + margin_rel, 0.0) if margin_rel * mean0 > margin_abs else (1.0, margin_abs)
    margin = (c - 1) * mean0 + d
    if mean0 + margin >= 1:
        return [0.0] * len(ADVANCE_BETS)
    ranges = max(mean0, NARROWEST), max(1 - mean1, NARROWEST)
    below = c * control[1] / control[0] + d - trial[1] / trial[0]
    return [_gain(control, trial, known, below, (1 - depth) * margin, ranges, c) for depth, _ in ADVANCE_BETS]


def _gain(
    control: Triple, trial: Triple, known: Known, found: float, gap: float, ranges: tuple[float, float], c: float
) -> float:
    """L `found` less what the values' scatter takes. `gap`: the distance from the null that is bet on."""
    if gap <= 0:
        return 0.0
    each = c / control[0], 1 / trial[0]
    width = max(ranges[0] * each[0], ranges[1] * each[1])
    spread = known.variances[0] * c * each[0] + known.variances[1] * each[1]
    bold = min(gap / (spread + gap * width), BOLDEST / width)
    gain = bold * found
    for arm, mean, r, part in zip((control, trial), known.means, ranges, each, strict=True):
        u = bold * part * r
        gain -= (-math.log1p(-u) - u) / (r * r) * _about(arm, mean)
    return gain


def harm(
    rows: Sequence[ValueRow], mean: float | None = None, *, tolerance: float = 0.0, inflation: float = 1.0
) -> float:
    """Evidence that the trial's mean is above the control's by more than `tolerance`; 1 without data.

    `mean`: the control's usual one. Late harm and inflation as in `evidence.harm`.
    """
    return reopened(_each_harm(rows, Learner(mean), tolerance), [weight for _, weight in HARM_BETS], inflation)


def _each_harm(rows: Sequence[ValueRow], learner: Learner, tolerance: float) -> Iterator[tuple[float, Sequence[float]]]:
    for start, control, trial in rows:
        can = learner.ready and control[0] and trial[0]
        yield start, harm_gains(control, trial, learner.known, tolerance) if can else ()
        learner.learn(control, trial)


def advance(
    rows: Sequence[ValueRow],
    mean: float | None = None,
    *,
    since: float,
    margins: tuple[float, float],
    inflation: float = 1.0,
) -> float:
    """Evidence from blocks since `since` that the trial's mean is within the margin; earlier ones only teach."""
    learner = Learner(mean)
    sums = [0.0] * len(ADVANCE_BETS)
    for start, control, trial in rows:
        if start >= since and learner.ready and control[0] and trial[0]:
            for k, gain in enumerate(advance_gains(control, trial, learner.known, margins)):
                sums[k] += gain
        learner.learn(control, trial)
    return mix(((w, s) for (_, w), s in zip(ADVANCE_BETS, sums, strict=True)), inflation)


def _about(values: Triple, centre: float) -> float:
    """The sum of the squared distances from a centre."""
    n, value, square = values
    return max(square - 2 * centre * value + n * centre * centre, 0.0)


def _plus(one: Triple, other: Triple) -> Triple:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
