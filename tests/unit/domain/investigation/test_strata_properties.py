"""Evidence within strata, and beside a steady rise."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.investigation.slope import beyond_slope
from promptlane.domain.investigation.sources import Cell
from promptlane.domain.investigation.strata import Stratum, evidence, overdispersion, support

SIDE = st.integers(1, 25).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
STRATA = st.lists(st.builds(Stratum, SIDE, SIDE), min_size=1, max_size=3)


def hypergeometric(exposed: int, others: int, bad: int) -> dict[int, float]:
    """Chances of how many of `bad` fall on the exposed side, if both sides are alike."""
    all_ways = math.comb(exposed + others, bad)
    return {
        k: math.comb(exposed, k) * math.comb(others, bad - k) / all_ways
        for k in range(max(0, bad - others), min(exposed, bad) + 1)
    }


def tail(strata: list[Stratum]) -> float:
    """The exact chance of at least as many exposed bad events, given every stratum's totals."""
    sums = {0: 1.0}
    for s in strata:
        one = hypergeometric(s.exposed[0], s.others[0], int(s.exposed[1] + s.others[1]))
        sums_next: dict[int, float] = {}
        for total, chance in sums.items():
            for k, more in one.items():
                sums_next[total + k] = sums_next.get(total + k, 0.0) + chance * more
        sums = sums_next
    return sum(chance for total, chance in sums.items() if total >= sum(s.exposed[1] for s in strata))


@given(STRATA)
def test_the_bound_holds_exactly_for_any_counts(strata: list[Stratum]) -> None:
    assert tail(strata) <= math.exp(-evidence(strata)) * (1 + 1e-9)


@given(STRATA)
def test_evidence_is_for_the_worse_side_only(strata: list[Stratum]) -> None:
    back = [Stratum(s.others, s.exposed) for s in strata]

    assert evidence(strata) >= 0
    assert evidence(strata) < 1e-6 or evidence(back) < 1e-6


def test_strata_of_different_rates_do_not_make_evidence() -> None:
    """Pooled, the exposed side is four times as bad (Simpson): within each stratum both sides are alike."""
    strata = [Stratum((100, 2), (900, 18)), Stratum((900, 180), (100, 20))]

    assert evidence(strata) == pytest.approx(0, abs=1e-9)
    assert overdispersion(strata) == 1.0


def test_support_speaks_against_a_difference_that_is_not_there() -> None:
    alike = [Stratum((500, 10), (500, 10))] * 10

    assert support(alike, math.log(3)) < -10
    assert support([Stratum((500, 30), (500, 10))] * 10, math.log(3)) > 10


def test_strata_that_disagree_count_less() -> None:
    steady = [Stratum((50, 5), (50, 2))] * 20
    clumped = [Stratum((50, 48 if k == 3 else 3), (50, 2)) for k in range(20)]

    assert overdispersion(steady) == 1.0
    assert overdispersion(clumped) > 3


def test_a_level_beside_the_line_is_seen_and_the_line_alone_is_not() -> None:
    rising = [Cell(60.0 * k, 60, 2 if k < 30 else 3, "Refusal", 200, 4 + k // 4) for k in range(60)]
    level = [Cell(60.0 * k, 60, 2 if k < 30 else 3, "Refusal", 200, 4 if k < 30 else 24) for k in range(60)]

    assert (beyond_slope(rising, lambda c: c.version == 3) or 0.0) < 2
    assert (beyond_slope(level, lambda c: c.version == 3) or 0.0) > 20
    assert beyond_slope(level, lambda c: c.version == 2) == 0


def test_a_line_that_is_the_same_thing_cannot_be_told_apart() -> None:
    two = [Cell(0, 60, 2, "Refusal", 100, 2), Cell(60, 60, 3, "Refusal", 100, 30)]

    assert beyond_slope(two, lambda c: c.version == 3) is None
    assert beyond_slope([], lambda c: c.version == 3) is None


def test_steady_rises_pass_for_a_version_as_seldom_as_stated() -> None:
    """z = 2 is passed by 2.3 % of steady rises."""
    rng = random.Random(5)
    passed = 0
    for _ in range(300):
        cells = [
            Cell(
                60.0 * k, 60, 2 if k < 20 else 3, "Refusal", 60, sum(rng.random() < 0.05 + 0.002 * k for _ in range(60))
            )
            for k in range(40)
        ]
        passed += (beyond_slope(cells, lambda c: c.version == 3) or 0.0) >= 2.0
    assert passed / 300 <= 0.05
