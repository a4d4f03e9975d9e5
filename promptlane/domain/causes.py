"""Ranks what may have caused a rise of bad events, by how well each explanation divides the counts.

Every explanation is a division of the same cells (version × period) into exposed and not exposed: "version 7" exposes
the cells of version 7; "something outside" exposes every cell after a moment that fits best. An explanation scores the
log likelihood ratio of two bad rates against one (a binomial G-test, halved), one-sided, divided by the dispersion of
the cells, so that traffic that clumps does not look like evidence. By Wilks' theorem chance alone reaches a ratio x
with probability of at most exp(-x)/2; `chance` multiplies that by the number of explanations, metrics and moments that
were tried (Bonferroni), which makes explanations with different freedoms comparable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .inquiry import Cell

CONVINCING: Final = 0.01
"""Chance below which a cause counts as shown."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Bad and all requests, exposed and not, and how likely chance alone would do that (an upper bound, at most 1)."""

    metric: str
    exposed: tuple[int, int]
    others: tuple[int, int]
    ratio: float
    chance: float

    @property
    def exposed_rate(self) -> float:
        return self.exposed[1] / self.exposed[0] if self.exposed[0] else 0.0

    @property
    def other_rate(self) -> float:
        return self.others[1] / self.others[0] if self.others[0] else 0.0

    def to_dict(self) -> dict[str, object]:
        return {
            "metric": self.metric,
            "exposed": {"requests": self.exposed[0], "bad": self.exposed[1], "rate": round(self.exposed_rate, 6)},
            "others": {"requests": self.others[0], "bad": self.others[1], "rate": round(self.other_rate, 6)},
            "chance": float(f"{self.chance:.3g}"),
        }


def log_ratio(exposed: tuple[int, int], others: tuple[int, int]) -> float:
    """Log likelihood ratio (nats) of two rates against one, 0 unless the exposed rate is the higher one.

    Each pair is (requests, bad).
    """
    (n, bad), (m, rest) = exposed, others
    if not n or not m or bad * m <= rest * n:
        return 0.0
    return _likelihood(n, bad) + _likelihood(m, rest) - _likelihood(n + m, bad + rest)


def _likelihood(n: int, bad: int) -> float:
    good = n - bad
    return (bad * math.log(bad / n) if bad else 0.0) + (good * math.log(good / n) if good else 0.0)


def totals(cells: Iterable[Cell]) -> tuple[int, int]:
    """(requests, bad) over cells."""
    n = bad = 0
    for cell in cells:
        n, bad = n + cell.requests, bad + cell.bad
    return n, bad


def dispersion(groups: Sequence[Sequence[Cell]]) -> float:
    """How much more the cells of a group vary than independent requests would: Pearson's X²/df, at least 1."""
    chi, cells = 0.0, 0
    for group in groups:
        n, bad = totals(group)
        rate = bad / n if n else 0.0
        if not 0 < rate < 1:
            continue
        chi += sum((c.bad - c.requests * rate) ** 2 / (c.requests * rate * (1 - rate)) for c in group if c.requests)
        cells += sum(1 for c in group if c.requests) - 1
    return max(1.0, chi / cells) if cells > 0 else 1.0


def contrast(cells: Sequence[Cell], exposed: Callable[[Cell], bool], *, metric: str, tried: int) -> Contrast | None:
    """How well one explanation divides the cells of one metric; None where a side has no request."""
    mine = [c for c in cells if c.metric == metric]
    inside, outside = [c for c in mine if exposed(c)], [c for c in mine if not exposed(c)]
    pair, rest = totals(inside), totals(outside)
    if not pair[0] or not rest[0]:
        return None
    # Before an outside change versions may differ: cells vary around their own version's rate, not a common one.
    by_version = [[c for c in side if c.version == v] for side in (inside, outside) for v in {c.version for c in side}]
    ratio = log_ratio(pair, rest) / dispersion(by_version)
    return Contrast(metric, pair, rest, ratio, min(1.0, tried * math.exp(-ratio) / 2) if ratio > 0 else 1.0)


def best_moment(cells: Sequence[Cell], metric: str) -> tuple[float, int]:
    """(moment, number tried): after which the pooled bad rate rose most; (0, 0) without two periods."""
    mine = [c for c in cells if c.metric == metric]
    moments = sorted({c.at for c in mine})[1:]
    by_time: dict[float, list[int]] = {}
    for cell in mine:
        pair = by_time.setdefault(cell.at, [0, 0])
        pair[0] += cell.requests
        pair[1] += cell.bad
    all_n, all_bad = totals(mine)
    best, found, n, bad = -1.0, 0.0, 0, 0
    times = sorted(by_time)
    for before, moment in zip(times, moments, strict=False):
        n, bad = n + by_time[before][0], bad + by_time[before][1]
        ratio = log_ratio((all_n - n, all_bad - bad), (n, bad))
        if ratio > best:
            best, found = ratio, moment
    return found, len(moments)


def side_by_side(cells: Sequence[Cell], version: int, metric: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """(this version, all others) over the periods in which both had requests: what changed for everybody cancels."""
    mine = [c for c in cells if c.metric == metric and c.requests]
    shared = {c.at for c in mine if c.version == version} & {c.at for c in mine if c.version != version}
    here = [c for c in mine if c.at in shared]
    return totals(c for c in here if c.version == version), totals(c for c in here if c.version != version)
