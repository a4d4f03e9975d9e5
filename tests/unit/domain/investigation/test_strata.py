"""Evidence within strata, against figures computed otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.investigation.strata import Stratum, evidence, overdispersion, support

UNEQUAL = [Stratum((40, 9), (160, 6)), Stratum((5, 3), (60, 11)), Stratum((300, 21), (120, 2))]
"""Fewer bad than exposed, more bad than exposed, and an exposed side that is the larger."""


def test_a_stratum_draws_as_often_as_the_smaller_of_its_bad_and_its_exposed() -> None:
    assert [(s.requests, s.draws, s.share) for s in UNEQUAL] == [
        (200, 15, 40 / 200),
        (65, 5, 14 / 65),
        (420, 23, 300 / 420),
    ]


@pytest.mark.parametrize("stratum", UNEQUAL)
@pytest.mark.parametrize("tilt", [-1.5, 0.0, 0.7])
def test_mean_and_variance_are_those_of_binomial_draws_with_tilted_odds(stratum: Stratum, tilt: float) -> None:
    draws = int(stratum.draws)
    chances = [math.comb(draws, k) * stratum.share**k * (1 - stratum.share) ** (draws - k) for k in range(draws + 1)]
    tilted = [c * math.exp(tilt * k) for k, c in enumerate(chances)]
    whole = sum(tilted)
    mean = sum(k * t for k, t in enumerate(tilted)) / whole
    variance = sum((k - mean) ** 2 * t for k, t in enumerate(tilted)) / whole
    without_replacement = (stratum.requests - stratum.draws) / (stratum.requests - 1)
    assert stratum.mean(tilt) == pytest.approx(mean)
    assert stratum.cost(tilt) == pytest.approx(math.log(whole))
    assert stratum.variance(tilt) == pytest.approx(variance * without_replacement)


def test_at_equal_odds_the_variance_is_the_hypergeometric_one() -> None:
    """Of 200 requests 40 are exposed and 15 bad: 15 x 40/200 x 160/200 x 185/199."""
    assert UNEQUAL[0].variance(0.0) == pytest.approx(15 * 0.2 * 0.8 * 185 / 199)
    assert Stratum((3, 0), (4, 0)).variance(0.5) == 0.0
    assert Stratum((1, 1), (1, 0)).variance(0.0) == pytest.approx(0.25)


def highest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a concave function is highest, by ternary search."""
    for _ in range(200):
        one, two = low + (high - low) / 3, high - (high - low) / 3
        low, high = (one, high) if function(one) < function(two) else (low, two)
    return (low + high) / 2


def written_out(strata: list[Stratum], tilt: float) -> float:
    """The exponent of the module's formula, term by term."""
    value = 0.0
    for s in strata:
        (n1, y1), (n0, y0) = s.exposed, s.others
        d, q = min(y0 + y1, n1), max(y0 + y1, n1) / (n0 + n1)
        value += tilt * y1 - d * math.log(1 - q + q * math.exp(tilt))
    return value


@pytest.mark.parametrize("strata", [UNEQUAL, UNEQUAL[:1], UNEQUAL[1:]])
def test_evidence_is_chernoffs_exponent_at_its_best_tilt(strata: list[Stratum]) -> None:
    best = highest(lambda tilt: written_out(strata, tilt), 0, 10)
    assert evidence(strata) == pytest.approx(written_out(strata, best))
    assert evidence(strata) > 1
    assert [support(strata, t) for t in (-0.5, 0.3)] == pytest.approx([written_out(strata, t) for t in (-0.5, 0.3)])


def test_no_difference_is_no_evidence_and_neither_is_a_better_side() -> None:
    assert evidence([Stratum((100, 1), (100, 20)), Stratum((50, 0), (70, 9))]) == 0.0
    assert evidence([]) == 0.0


def test_all_bad_events_on_one_side_are_as_unlikely_as_the_draws() -> None:
    """3 of 4 exposed among 8 requests: each bad one had a chance of one half."""
    assert evidence([Stratum((4, 3), (4, 0))]) == pytest.approx(3 * math.log(2))


def slow_overdispersion(strata: list[Stratum]) -> float:
    def misfit(tilt: float) -> float:
        return -abs(sum(s.exposed[1] - s.mean(tilt) for s in strata))

    tilt = highest(misfit, -12, 12)
    squares = sum((s.exposed[1] - s.mean(tilt)) ** 2 for s in strata)
    n = len(strata)
    return max(1.0, squares / sum(s.variance(tilt) for s in strata) * n / (n - 1))


@pytest.mark.parametrize(
    "strata",
    [
        [Stratum((50, 25), (70, 2)), Stratum((60, 3), (40, 5))],
        [Stratum((50, 1), (70, 30)), Stratum((60, 30), (90, 31)), Stratum((80, 2), (40, 25))],
    ],
)
def test_overdispersion_is_squared_residuals_over_their_variances(strata: list[Stratum]) -> None:
    """Around one common ratio, above 1 as well as below it."""
    found = overdispersion(strata)
    assert found == pytest.approx(slow_overdispersion(strata), rel=1e-6)
    assert found > 2


def test_one_stratum_or_none_or_one_without_bad_events_cannot_vary() -> None:
    assert overdispersion([]) == 1.0
    assert overdispersion(UNEQUAL[:1]) == 1.0
    assert overdispersion([Stratum((5, 0), (9, 0)), Stratum((7, 0), (3, 0))]) == 1.0


@given(st.lists(st.builds(Stratum, st.just((20, 2)), st.just((30, 3))), min_size=2, max_size=6))
def test_strata_that_agree_do_not_vary(strata: list[Stratum]) -> None:
    assert overdispersion(strata) == 1.0
