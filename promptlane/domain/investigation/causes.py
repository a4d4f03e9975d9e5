"""Ranks what may have caused a rise of bad events, by how well each explanation divides the counts.

Every explanation is a division of the same cells (version × period) into exposed and not exposed: "version 7" exposes
the cells of version 7; "something outside" exposes every cell after a moment that fits best. An explanation scores the
log likelihood ratio of two bad rates against one, one-sided, divided by the dispersion of the cells, so that traffic
that clumps does not look like evidence. Chance alone reaches a ratio x with probability of at most exp(-x)/2 (pooled
counts: a binomial G-test, halved, by Wilks' theorem) or exp(-x) (strata: Chernoff's bound, see `strata`); `chance`
multiplies that by the number of explanations, metrics and moments that were tried (Bonferroni), which makes
explanations with different freedoms comparable.

A version began at some time, so pooled counts cannot tell it from anything else that began then. Where it was served
side by side with others often enough, only those periods speak (`strata`). Where it was not, the pooled counts speak,
but the version must explain them better than a steady rise over time (`slope`), and no worse than the best single
moment; otherwise it is `rivalled` and does not count as shown. Simulated with rates that drift from 2 to 6 % and
versions alike, 0 to 4 % of investigations blame the version (by pooled counts alone 70 % and more would). A rise that
is neither steady nor sudden (the hour of the day) can still look like a version that was hardly served side by side,
which is why such causes say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Final, Literal

from .slope import beyond_slope
from .sources import Cell
from .strata import Stratum, evidence, overdispersion, support

CONVINCING: Final = 0.01
"""Chance below which a cause counts as shown."""
FREEDOM: Final = 3.0
"""Nats by which an unnamed something must explain a rise better than a version does: it may begin at any moment."""
_BEYOND: Final = 2.0
"""Nats beyond a steady rise (z = 2) that a version needs which was not served side by side: 2.3 % of steady rises."""
_AGAINST: Final = -3.0
"""Nats by which shared periods must speak against a difference of pooled counts to overrule them: twenty to one."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """(requests, bad), exposed and not, and how likely chance alone would do that (an upper bound, at most 1).

    `basis`: "shared" compares within periods (or versions) that both sides had, and counts those only. `rivalled`:
    something else explains the same counts as well.
    """

    metric: str
    exposed: tuple[int, float]
    others: tuple[int, float]
    ratio: float
    chance: float
    basis: Literal["pooled", "shared"] = "pooled"
    rivalled: bool = False

    @property
    def convincing(self) -> bool:
        return self.chance < CONVINCING and not self.rivalled

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
            "basis": self.basis,
            "rivalled": self.rivalled,
        }


def log_ratio(exposed: tuple[int, float], others: tuple[int, float]) -> float:
    """Log likelihood ratio (nats) of two rates against one, 0 unless the exposed rate is the higher one.

    Each pair is (requests, bad).
    """
    (n, bad), (m, rest) = exposed, others
    if bad * m <= rest * n:
        return 0.0
    return _likelihood(n, bad) + _likelihood(m, rest) - _likelihood(n + m, bad + rest)


def _likelihood(n: int, bad: float) -> float:
    good = n - bad
    return (bad * math.log(bad / n) if bad else 0.0) + (good * math.log(good / n) if good else 0.0)


def totals(cells: Iterable[Cell]) -> tuple[int, float]:
    """(requests, bad) over cells."""
    n = 0
    bad: float = 0
    for cell in cells:
        n, bad = n + cell.requests, bad + cell.bad
    return n, round(bad, 6)


def dispersion(groups: Sequence[Sequence[Cell]]) -> float:
    """How much more the cells of a group vary than independent requests would: Pearson's X²/df, at least 1."""
    chi, cells = 0.0, 0
    for group in groups:
        n, bad = totals(group)
        if not 0 < bad < n:
            continue
        rate = bad / n
        chi += sum((c.bad - c.requests * rate) ** 2 / (c.requests * rate * (1 - rate)) for c in group if c.requests)
        cells += sum(1 for c in group if c.requests) - 1
    return max(1.0, chi / cells) if cells > 0 else 1.0


def contrast(cells: Sequence[Cell], exposed: Callable[[Cell], bool], *, metric: str, tried: int) -> Contrast | None:
    """How well one explanation divides the pooled cells of one metric; None where a side has no request."""
    pair, rest, spread = _divided([c for c in cells if c.metric == metric], exposed)
    if not pair[0] or not rest[0]:
        return None
    ratio = log_ratio(pair, rest) / spread
    return Contrast(metric, pair, rest, ratio, _chance(ratio, tried / 2))


def _divided(
    cells: Sequence[Cell], exposed: Callable[[Cell], bool]
) -> tuple[tuple[int, float], tuple[int, float], float]:
    """(requests, bad) exposed and not, and the dispersion of the cells."""
    sides = [c for c in cells if exposed(c)], [c for c in cells if not exposed(c)]
    # Before an outside change versions may differ: cells vary around their own version's rate, not a common one.
    by_version = [[c for c in side if c.version == v] for side in sides for v in {c.version for c in side}]
    return totals(sides[0]), totals(sides[1]), dispersion(by_version)


def version_contrast(cells: Sequence[Cell], version: int, *, metric: str, tried: int) -> Contrast | None:
    """How well "this version is worse" explains one metric; None where it or all others have no request."""
    mine = [c for c in cells if c.metric == metric and c.requests]
    pooled = contrast(mine, lambda c: c.version == version, metric=metric, tried=tried)
    if pooled is None:
        return None
    if strata := side_by_side(mine, version, metric):
        spread = overdispersion(strata)
        shared = _stratified(strata, metric, spread, tried)
        if shared.convincing or _contradicted(strata, spread, pooled):
            return shared
    return replace(pooled, rivalled=pooled.ratio > 0 and _time_explains(mine, version, pooled))


def _contradicted(strata: Sequence[Stratum], spread: float, pooled: Contrast) -> bool:
    """Whether the shared periods are far likelier without a difference than with the one that pooled counts claim."""
    tilt = _log_odds(pooled.exposed) - _log_odds(pooled.others)
    return tilt <= 0 or support(strata, tilt) / spread < _AGAINST


def _log_odds(pair: tuple[int, float]) -> float:
    """With half an event on each side, so that none and all are numbers too (Haldane 1956, Anscombe 1956)."""
    n, bad = pair
    return math.log((bad + 0.5) / (n - bad + 0.5))


def _time_explains(cells: Sequence[Cell], version: int, pooled: Contrast) -> bool:
    """Whether a steady rise, or one moment, explains the pooled counts of a metric as well as the version does."""
    beyond = beyond_slope(cells, lambda c: c.version == version)
    if beyond is not None and beyond < _BEYOND:
        return True
    at, _ = best_moment(cells, pooled.metric)
    later, earlier, spread = _divided(cells, partial(_from, at))
    return log_ratio(later, earlier) - log_ratio(pooled.exposed, pooled.others) > FREEDOM * spread


def _stratified(strata: Sequence[Stratum], metric: str, spread: float, tried: float) -> Contrast:
    pair = (sum(s.exposed[0] for s in strata), sum(s.exposed[1] for s in strata))
    rest = (sum(s.others[0] for s in strata), sum(s.others[1] for s in strata))
    ratio = evidence(strata) / spread
    return Contrast(metric, pair, rest, ratio, _chance(ratio, tried), "shared")


def _chance(ratio: float, times: float) -> float:
    return min(1.0, times * math.exp(-ratio)) if ratio > 0 else 1.0


def side_by_side(cells: Sequence[Cell], version: int, metric: str) -> list[Stratum]:
    """The periods in which this version and another one had requests of this metric, oldest first."""
    by_period: dict[float, list[Cell]] = {}
    for cell in cells:
        if cell.metric == metric and cell.requests:
            by_period.setdefault(cell.at, []).append(cell)
    return _two_sided([by_period[at] for at in sorted(by_period)], lambda c: c.version == version)


def _two_sided(groups: Iterable[Sequence[Cell]], exposed: Callable[[Cell], bool]) -> list[Stratum]:
    strata = []
    for group in groups:
        pair, rest = totals(c for c in group if exposed(c)), totals(c for c in group if not exposed(c))
        if pair[0] and rest[0]:
            strata.append(Stratum(pair, rest))
    return strata


def best_moment(cells: Sequence[Cell], metric: str) -> tuple[float, int]:
    """(moment, number tried): after which the pooled bad rate rose most; (0, 0) without two periods."""
    by_time: dict[float, list[Cell]] = {}
    for cell in (c for c in cells if c.metric == metric):
        by_time.setdefault(cell.at, []).append(cell)
    times = sorted(by_time)
    all_n, all_bad = totals(c for at in times for c in by_time[at])
    best, found, n = -math.inf, 0.0, 0
    bad: float = 0
    for before, moment in pairwise(times):
        more, more_bad = totals(by_time[before])
        n, bad = n + more, bad + more_bad
        ratio = log_ratio((all_n - n, all_bad - bad), (n, bad))
        if ratio > best:
            best, found = ratio, moment
    return found, len(times[1:])


def rise(cells: Sequence[Cell], metric: str, *, tried: int) -> tuple[float, Contrast] | None:
    """(moment, contrast) after which all versions together got worse most; None without two periods.

    Where the same versions did not get worse then, the rise is one of who was served; then what they did counts.
    """
    mine = [c for c in cells if c.metric == metric and c.requests]
    at, count = best_moment(mine, metric)
    pooled = contrast(mine, partial(_from, at), metric=metric, tried=tried * count)
    if pooled is None:
        return None
    strata, spread = _before_and_after(mine, at)
    within = (
        rise_within_versions(cells, metric, tried=tried) if strata and _contradicted(strata, spread, pooled) else None
    )
    return within or (at, pooled)


def rise_within_versions(cells: Sequence[Cell], metric: str, *, tried: int) -> tuple[float, Contrast] | None:
    """(moment, contrast) after which the same versions got worse most; None where no version has a before and after."""
    mine = [c for c in cells if c.metric == metric and c.requests]
    moments = sorted({c.at for c in mine})[1:]
    found: list[tuple[float, Contrast]] = []
    for moment in moments:
        strata, spread = _before_and_after(mine, moment)
        if strata:
            found.append((moment, _stratified(strata, metric, spread, tried * len(moments))))
    return max(found, key=lambda f: f[1].ratio, default=None)


def _before_and_after(cells: Sequence[Cell], moment: float) -> tuple[list[Stratum], float]:
    """One stratum for each version that has requests before and after, and the dispersion of all their halves."""
    later = partial(_from, moment)
    versions = [[c for c in cells if c.version == v] for v in {c.version for c in cells}]
    halves = [[c for c in version if later(c) is after] for version in versions for after in (True, False)]
    return _two_sided(versions, later), dispersion(halves)


def _from(moment: float, cell: Cell) -> bool:
    return cell.at >= moment
