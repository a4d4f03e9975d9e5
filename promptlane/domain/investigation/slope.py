"""Whether a side is worse than a steady rise over time already tells: for versions that were never served together.

Bad rates are fitted by weighted least squares on a straight line over time; what is left of "exposed" beside that line
(Frisch and Waugh 1933; Lovell 1963) carries the difference. This is the level change of an interrupted time series
(Wagner et al. 2002). Variances are binomial at the fitted rates, times the dispersion of the residuals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from .sources import Cell

_LEAST_RATE: Final = 1e-6


def beyond_slope(cells: Sequence[Cell], exposed: Callable[[Cell], bool]) -> float | None:
    """Evidence in nats (z²/2) that exposed cells of one metric are worse than the line tells; 0 when they are not.

    None where the two cannot be told apart at all: fewer than four cells, or exposed and the line are the same thing.
    """
    cells = [c for c in cells if c.requests]
    if len(cells) < 4:
        return None
    weights = [float(c.requests) for c in cells]
    times = [c.at + c.seconds / 2 for c in cells]
    rates = [c.bad / c.requests for c in cells]
    marked = [1.0 if exposed(c) else 0.0 for c in cells]
    beside, over = _residuals(weights, times, marked), _residuals(weights, times, rates)
    room = _dot(weights, beside, beside)
    if room < 1e-9 * sum(weights):
        return None
    level = max(0.0, _dot(weights, beside, over) / room)
    fitted = [
        min(1 - _LEAST_RATE, max(_LEAST_RATE, y - r + level * b)) for y, r, b in zip(rates, over, beside, strict=True)
    ]
    usual = [w * p * (1 - p) for w, p in zip(weights, fitted, strict=True)]
    left = sum((w * (y - p)) ** 2 for w, y, p in zip(weights, rates, fitted, strict=True))
    spread = max(1.0, left / sum(usual) * len(cells) / (len(cells) - 3))
    variance = _dot(usual, beside, beside) / room**2
    return level**2 / (2 * variance * spread)


def _residuals(weights: Sequence[float], times: Sequence[float], values: Sequence[float]) -> list[float]:
    """What a weighted straight line over time leaves of the values."""
    total = sum(weights)
    when, mean = _dot(weights, times) / total, _dot(weights, values) / total
    since, over = [t - when for t in times], [v - mean for v in values]
    width = _dot(weights, since, since)
    steep = _dot(weights, since, over) / width if width else 0.0
    return [v - steep * t for v, t in zip(over, since, strict=True)]


def _dot(*columns: Sequence[float]) -> float:
    """The sum of the rows' products."""
    return sum(map(math.prod, zip(*columns, strict=True)))
