"""How much more the counts scatter than independent requests would: requests of one unit are correlated.

CloudWatch cannot count distinct units, but every unit belongs to one of a few groups by hash, and units in different
groups are independent. So the scatter *between groups* shows the correlation *within units*, whatever its cause: a
session that fails as a whole, a heavy user, retries, in one process or in many.

Given a window's total Y of bad requests among N, independent requests put Y_g ~ hypergeometric into group g, so that
E sum (Y_g - f_g Y)^2 = Y (1 - sum f_g^2) (N - Y)/(N - 1) with f_g = n_g/N. Values in [0, 1] with the sum Y and squares
that sum to Q are drawn without replacement too, and (Q - Y^2/N) N/(N - 1) takes the place of Y (N - Y)/(N - 1), which
it is where Q = Y. The ratio of the sum to this, over windows, estimates the variance inflation (design effect). Windows
of several lengths are tried, since a session may last longer than a block. An inflation counts when it exceeds 1 by
SIGNIFICANT standard errors, or nothing would ever be decided on independent requests; it is then taken as estimated.

Evidence is raised to the power 1/inflation. Any power of at most 1 keeps an e-value valid, however it is chosen
(x^(1/phi) >= c > 1 implies x >= c), and a power of 1 over the largest number of requests of a unit makes it valid under
any dependence within units (Hölder).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import mul
from typing import Final, NamedTuple

from promptlane.domain.names import UNIT_GROUPS

from .blocks import NO_GROUPS, Arm, Block, Groups, Pair, Triple

SCALES: Final = (1, 4, 16, 64)
"""Window lengths in blocks; the whole time is always tried too."""
SIGNIFICANT: Final = 2.2
UNKNOWN: Final = 3.0
"""Inflation assumed when the groups of an arm are not known, or too few of them hold requests."""
FEW_GROUPS: Final = 3.0
_NOTHING: Final = 1e-9
"""What is left of a sum of values when all of them are taken away."""
_ENOUGH: Final = 30
"""Requests of an arm from which on its spread over groups is looked at."""


class Inflation(NamedTuple):
    """`factor` >= 1 by which evidence is deflated, and why, when there is something to say."""

    factor: float
    note: str = ""


class _Sums(NamedTuple):
    found: float = 0.0
    expected: float = 0.0
    variance: float = 0.0

    def __add__(self, other: _Sums) -> _Sums:  # type: ignore[override]
        return _Sums(self.found + other.found, self.expected + other.expected, self.variance + other.variance)

    def excess(self, significant: float) -> float:
        """The estimated inflation if it exceeds 1 by so many standard errors, else 1."""
        if self.expected < 0.3:
            return 1.0
        ratio = self.found / self.expected
        return ratio if ratio > 1 + significant * math.sqrt(self.variance) / self.expected else 1.0


class Scatter:
    """How requests and bad ones of both arms scatter between unit groups, with any groups left out.

    Looks at the blocks that know their groups; `known`: whether these hold at least half of all requests.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        counted = [b for b in blocks if all(arm.groups or not arm.n for arm in (b.control, b.trial))]
        self.known = sum(b.n for b in counted) * 2 >= sum(b.n for b in blocks)
        arms = [[b.control for b in counted], [b.trial for b in counted]]
        scales = (*SCALES, len(counted))
        size = _size([*arms[0], *arms[1]])
        by_group = [[_sized(a, size) for a in arm] for arm in arms]
        self._windows = [[_windows(arm, scale) for scale in scales] for arm in by_group]
        self._sums: dict[tuple[int, Groups], list[_Sums]] = {}
        self.requests = [requests_by_group([a.groups for a in arm]) for arm in arms]
        """By arm (control, trial) and group."""

    def alone(self, arm: int, out: Groups) -> float:
        """The largest inflation of one arm over all window lengths."""
        return max(sums.excess(SIGNIFICANT) for sums in self._of(arm, out))

    def alone_below(self, arm: int, out: Groups, limit: float) -> float | None:
        """The same, or None where it is not below a limit: the longest windows, which are few, tell that soonest."""
        largest = 1.0
        for windows in reversed(self._windows[arm]):
            largest = max(largest, _total(windows, out).excess(SIGNIFICANT))
            if largest >= limit:
                return None
        return largest

    def inflation(self, control: Groups = NO_GROUPS, trial: Groups = NO_GROUPS) -> Inflation:
        """The largest of both arms, each alone and together, over all window lengths."""
        if not self.known:
            return Inflation(UNKNOWN, f"unit groups are missing; evidence is divided by {UNKNOWN:g} to be safe")
        pairs = zip(self._of(0, control), self._of(1, trial), strict=True)
        together = max((c + t).excess(SIGNIFICANT) for c, t in pairs)
        factor = max(self.alone(0, control), self.alone(1, trial), together)
        few = self._few_groups(0, control) or self._few_groups(1, trial)
        if few and factor < UNKNOWN:
            return Inflation(UNKNOWN, f"requests come from too few units to tell; evidence is divided by {UNKNOWN:g}")
        note = f"requests of the same users go wrong together; evidence is divided by {factor:.1f}"
        return Inflation(factor, note if factor > 1 else "")

    def _of(self, arm: int, out: Groups) -> list[_Sums]:
        """Sums over each length's windows."""
        found = self._sums.get((arm, out))
        if found is None:
            found = [_total(windows, out) for windows in self._windows[arm]]
            self._sums[arm, out] = found
        return found

    def _few_groups(self, arm: int, out: Groups) -> bool:
        """Whether an arm with enough requests has them in so few groups that nothing can be estimated."""
        kept = [n for g, n in enumerate(self.requests[arm]) if g not in out]
        n = sum(kept)
        return n >= _ENOUGH and n * n < FEW_GROUPS * sum(k * k for k in kept)


def requests_by_group(groups: Sequence[tuple[Pair, ...]]) -> list[int]:
    """Requests of each unit group, summed over blocks of one arm."""
    return [sum(of[g][0] for of in groups if of) for g in range(UNIT_GROUPS)]


def of_assignments(blocks: Sequence[Block]) -> Inflation:
    """Inflation of the split: how unevenly the trial's share falls on the groups of all assigned requests.

    Any excess counts here: a broken split is plain or unimportant, and a false alarm would stop a good release.
    """
    known = [b for b in blocks if all(arm.groups or not arm.n for arm in (b.control, b.trial))]
    if sum(b.n for b in known) * 2 < sum(b.n for b in blocks):
        return Inflation(UNKNOWN, f"unit groups are missing; evidence is divided by {UNKNOWN:g} to be safe")
    both = [_assigned(b) for b in known]
    scales = (*SCALES, len(known))
    return Inflation(max(_total(_windows(both, scale), NO_GROUPS).excess(0.0) for scale in scales))


def _assigned(block: Block) -> tuple[Pair, ...]:
    empty = ((0, 0),) * UNIT_GROUPS
    control, trial = block.control.groups or empty, block.trial.groups or empty
    return tuple((c[0] + t[0], t[0]) for c, t in zip(control, trial, strict=True))


def _size(arms: Iterable[Arm]) -> float:
    """What one event is: 1 for a rate, whose values are 0 and 1; for a mean the size of those values that make it up.

    Whether a window has enough to be looked at must not depend on the cap that values are shares of.
    """
    known = [(a.bad, a.squares[0]) for a in arms if a.squares]
    values = sum(value for value, _ in known)
    return sum(square for _, square in known) / values if values > 0 else 1.0


def _sized(arm: Arm, size: float) -> Sequence[Pair | Triple]:
    """Counts by group, those of a mean in multiples of a size, with the squares behind them."""
    if not arm.squares:
        return arm.groups
    squares = arm.squares[1:]
    return [(n, y / size, q / (size * size)) for (n, y), q in zip(arm.groups, squares, strict=True)]


class _Window(NamedTuple):
    """Requests and bad ones by group, and sums of products over the groups, so that one without some is quick.

    `qs`: the sums of squares by group; of a rate these are `ys`.
    """

    ns: list[int]
    ys: list[float]
    qs: list[float]
    n: int
    y: float
    q: float
    nn: int
    ny: float
    yy: float
    nnn: int


def _windows(rows: Iterable[Sequence[Pair | Triple]], scale: int) -> list[_Window]:
    """Windows of `scale` rows; the last may be shorter. Those in which nothing is bad tell nothing and are left out."""
    found = []
    open_ = _Open()
    for groups in rows:
        open_.add(groups)
        if open_.filled == scale:
            found.append(open_.window())
            open_ = _Open()
    return [window for window in (*found, open_.window()) if window.y]


class _Open:
    """A window that is being filled."""

    def __init__(self) -> None:
        self._ns = [0] * UNIT_GROUPS
        self._ys: list[float] = [0] * UNIT_GROUPS
        self._qs: list[float] = self._ys
        self.filled = 0

    def add(self, groups: Sequence[Pair | Triple]) -> None:
        """Take in one row."""
        ns, ys = self._ns, self._ys
        for g, (gn, gy, *_) in enumerate(groups):
            ns[g] += gn
            ys[g] += gy
        if groups and len(groups[0]) == 3:
            if self._qs is ys:
                self._qs = [0] * UNIT_GROUPS
            for g, of in enumerate(groups):
                self._qs[g] += of[-1]
        self.filled += 1

    def window(self) -> _Window:
        """What it holds."""
        ns, ys, qs = self._ns, self._ys, self._qs
        nn = sum(map(mul, ns, ns))
        ny, yy = (sum(map(mul, a, ys)) for a in (ns, ys))
        return _Window(ns, ys, qs, sum(ns), sum(ys), sum(qs), nn, ny, yy, sum(n**3 for n in ns))


def _total(windows: Iterable[_Window], out: Groups) -> _Sums:
    found = expected = variance = 0.0
    for ns, ys, qs, n, y, q, nn, ny, yy, nnn in windows:
        for g in out:
            gn, gy = ns[g], ys[g]
            n, y, nn, ny, yy, nnn = n - gn, y - gy, nn - gn * gn, ny - gn * gy, yy - gy * gy, nnn - gn**3
            q -= qs[g]
        if n < 2 or y <= _NOTHING:
            continue
        rate, square = y / n, nn / (n * n)
        spread = max(square - 2 * nnn / n**3 + square * square, 0.0)
        found += max(yy - 2 * rate * ny + rate * rate * nn, 0.0)
        if qs is ys:  # the same as below, to the last digit as it always was: looks of the past can be repeated
            finite = (n - y) / (n - 1)
            expected += y * (1 - square) * finite
            variance += 2 * y * (y - 1) * spread * finite * finite
        else:
            scatter = max(q - y * rate, 0.0) * n / (n - 1)
            expected += scatter * (1 - square)
            variance += 2 * max(1 - q / (y * y), 0.0) * spread * scatter * scatter
    return _Sums(found, expected, variance)
