"""How much more the counts scatter than independent requests would: requests of one unit are correlated.

CloudWatch cannot count distinct units, but every unit belongs to one of a few groups by hash, and units in different
groups are independent. So the scatter *between groups* shows the correlation *within units*, whatever its cause: a
session that fails as a whole, a heavy user, retries, in one process or in many.

Given a window's total Y of bad requests among N, independent requests put Y_g ~ hypergeometric into group g, so that
E sum (Y_g - f_g Y)^2 = Y (1 - sum f_g^2) (N - Y)/(N - 1) with f_g = n_g/N. The ratio of the sum to this, over windows,
estimates the variance inflation (design effect). Windows of several lengths are tried, since a session may last longer
than a block. An inflation counts when it exceeds 1 by SIGNIFICANT standard errors, or nothing would ever be decided on
independent requests; it is then taken as estimated.

Evidence is raised to the power 1/inflation. Any power of at most 1 keeps an e-value valid, however it is chosen
(x^(1/phi) >= c > 1 implies x >= c), and a power of 1 over the largest number of requests of a unit makes it valid under
any dependence within units (Hölder).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from promptlane.domain.names import UNIT_GROUPS

from .blocks import Arm, Block, Pair

SCALES: Final = (1, 4, 16, 64)
"""Window lengths in blocks; the whole time is always tried too."""
SIGNIFICANT: Final = 2.2
UNKNOWN: Final = 3.0
"""Inflation assumed when the groups of an arm are not known, or too few of them hold requests."""
FEW_GROUPS: Final = 3.0
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


def of_metric(blocks: Sequence[Block]) -> Inflation:
    """Inflation of a guard metric: the largest of both arms, each alone and together, over all window lengths."""
    known = [b for b in blocks if all(arm.groups or not arm.n for arm in (b.control, b.trial))]
    if sum(b.n for b in known) * 2 < sum(b.n for b in blocks):
        return Inflation(UNKNOWN, f"unit groups are missing; evidence is divided by {UNKNOWN:g} to be safe")
    arms = [[b.control for b in known], [b.trial for b in known]]
    factor = 1.0
    for scale in (*SCALES, len(known)):
        control, trial = (_windows((a.groups for a in arm), scale) for arm in arms)
        factor = max(factor, *(sums.excess(SIGNIFICANT) for sums in (control, trial, control + trial)))
    if any(_few_groups(arm) for arm in arms) and factor < UNKNOWN:
        return Inflation(UNKNOWN, f"requests come from too few units to tell; evidence is divided by {UNKNOWN:g}")
    note = f"requests of the same users go wrong together; evidence is divided by {factor:.1f}" if factor > 1 else ""
    return Inflation(factor, note)


def of_assignments(blocks: Sequence[Block]) -> Inflation:
    """Inflation of the split: how unevenly the trial's share falls on the groups of all assigned requests.

    Any excess counts here: a broken split is plain or unimportant, and a false alarm would stop a good release.
    """
    known = [b for b in blocks if all(arm.groups or not arm.n for arm in (b.control, b.trial))]
    if sum(b.n for b in known) * 2 < sum(b.n for b in blocks):
        return Inflation(UNKNOWN, f"unit groups are missing; evidence is divided by {UNKNOWN:g} to be safe")
    both = [_assigned(b) for b in known]
    factor = max(_windows(both, scale).excess(0.0) for scale in (*SCALES, len(known)))
    return Inflation(factor)


def _assigned(block: Block) -> tuple[Pair, ...]:
    empty = ((0, 0),) * UNIT_GROUPS
    control, trial = block.control.groups or empty, block.trial.groups or empty
    return tuple((c[0] + t[0], t[0]) for c, t in zip(control, trial, strict=True))


def _few_groups(arm: Iterable[Arm]) -> bool:
    """Whether an arm with enough requests has them in so few groups that nothing can be estimated."""
    totals = [0] * UNIT_GROUPS
    for a in arm:
        for g, (n, _) in enumerate(a.groups):
            totals[g] += n
    n = sum(totals)
    return n >= _ENOUGH and n * n < FEW_GROUPS * sum(t * t for t in totals)


def _windows(rows: Iterable[tuple[Pair, ...]], scale: int) -> _Sums:
    """Sums over windows of `scale` rows; the last may be shorter."""
    found = expected = variance = 0.0
    ns, ys, filled = [0] * UNIT_GROUPS, [0] * UNIT_GROUPS, 0
    for groups in rows:
        for g, (gn, gy) in enumerate(groups):
            ns[g] += gn
            ys[g] += gy
        filled += 1
        if filled == scale:
            w = _window(ns, ys)
            found, expected, variance = found + w.found, expected + w.expected, variance + w.variance
            ns, ys, filled = [0] * UNIT_GROUPS, [0] * UNIT_GROUPS, 0
    return _Sums(found, expected, variance) + _window(ns, ys)


def _window(ns: Sequence[int], ys: Sequence[int]) -> _Sums:
    n, y = sum(ns), sum(ys)
    if n < 2 or y == 0:
        return _Sums()
    shares = [g / n for g in ns]
    square = sum(f * f for f in shares)
    cube = sum(f**3 for f in shares)
    finite = (n - y) / (n - 1)
    found = sum((yg - f * y) ** 2 for yg, f in zip(ys, shares, strict=True))
    spread = max(square - 2 * cube + square * square, 0.0)
    return _Sums(found, y * (1 - square) * finite, 2 * y * (y - 1) * spread * finite * finite)
