"""Ranking causes by how they divide the counts."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.causes import (
    best_moment,
    contrast,
    dispersion,
    log_ratio,
    rise_within_versions,
    side_by_side,
    version_contrast,
)
from promptlane.domain.inquiry import Cell
from promptlane.domain.strata import Stratum

PAIR = st.integers(1, 500).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def cell(at: float, version: int, requests: int, bad: int) -> Cell:
    return Cell(at, 60, version, "Refusal", requests, bad)


@given(PAIR, PAIR)
def test_a_ratio_is_never_negative_and_only_for_the_worse_side(one: tuple[int, int], other: tuple[int, int]) -> None:
    there, back = log_ratio(one, other), log_ratio(other, one)

    assert there >= -1e-9
    assert back >= -1e-9
    assert there == 0 or back == 0


def test_a_ratio_is_half_the_g_statistic() -> None:
    # G of the table [[30, 70], [10, 90]], by hand from 2 Σ O ln(O/E) with E = 20 and 80.
    g = 2 * (30 * math.log(30 / 20) + 70 * math.log(70 / 80) + 10 * math.log(10 / 20) + 90 * math.log(90 / 80))

    assert log_ratio((100, 30), (100, 10)) == pytest.approx(g / 2)


@given(st.integers(2, 6), st.floats(0.01, 0.5), st.integers(0, 10_000))
def test_chance_is_an_upper_bound_where_nothing_happened(versions: int, rate: float, seed: int) -> None:
    """The bound is tested below by its frequency; here: it is a probability and grows with what was tried."""
    rng = random.Random(seed)
    cells = [
        cell(60.0 * k, v, 40, sum(rng.random() < rate for _ in range(40))) for v in range(versions) for k in range(9)
    ]
    few = contrast(cells, lambda c: c.version == 0, metric="Refusal", tried=2)
    many = contrast(cells, lambda c: c.version == 0, metric="Refusal", tried=200)
    assert few is not None
    assert many is not None
    assert 0 < few.chance <= many.chance <= 1


def test_false_alarms_are_rarer_than_the_bound_says() -> None:
    rng = random.Random(7)
    trials, alarms = 400, 0
    for _ in range(trials):
        cells = [cell(60.0 * k, v, 50, sum(rng.random() < 0.1 for _ in range(50))) for v in (1, 2) for k in range(10)]
        found = contrast(cells, lambda c: c.version == 2, metric="Refusal", tried=1)
        alarms += found is not None and found.chance < 0.05
    assert alarms / trials < 0.05


def test_traffic_that_clumps_is_not_taken_for_evidence() -> None:
    """One bad minute of a version among many good ones: most of its excess is one clump."""
    steady = [cell(60.0 * k, 1, 50, 5) for k in range(20)]
    clumped = [cell(60.0 * k, 2, 50, 40 if k == 3 else 3) for k in range(20)]
    spread = [cell(60.0 * k, 2, 50, 5 if k % 4 else 4) for k in range(20)]

    assert dispersion([clumped]) > 5
    assert dispersion([spread]) == 1.0
    raw = log_ratio((1000, 40 + 19 * 3), (1000, 100))
    found = contrast(steady + clumped, lambda c: c.version == 2, metric="Refusal", tried=1)
    assert found is not None
    assert found.ratio <= raw


def test_the_best_moment_is_where_the_rate_rose() -> None:
    cells = [cell(60.0 * k, 1, 100, 2 if k < 12 else 20) for k in range(30)]

    moment, tried = best_moment(cells, "Refusal")

    assert (moment, tried) == (720.0, 29)


def test_side_by_side_reads_only_periods_that_both_had() -> None:
    cells = [cell(0, 1, 100, 90), cell(60, 1, 100, 10), cell(60, 2, 50, 20), cell(120, 2, 50, 50)]

    assert side_by_side(cells, 2, "Refusal") == [Stratum((50, 20), (100, 10))]


def test_without_a_request_on_one_side_there_is_no_contrast() -> None:
    assert contrast([cell(0, 1, 10, 1)], lambda c: c.version == 1, metric="Refusal", tried=1) is None


def draw(rng: random.Random, at: float, version: int, requests: int, rate: float) -> Cell:
    return cell(at, version, requests, sum(rng.random() < rate for _ in range(requests)))


def change_of_versions(seed: int, old: float, new: float, *, drift: float, canary: int, share: float) -> list[Cell]:
    """60 periods of version 2, `canary` of both with version 3 at `share` of the traffic, then version 3 alone."""
    rng = random.Random(seed)
    cells = []
    for k in range(120):
        extra = drift * k / 120
        mine = 0 if k < 60 else round(60 * share) if k < 60 + canary else 60
        cells += [draw(rng, 120.0 * k, 3, mine, new + extra)] if mine else []
        cells += [draw(rng, 120.0 * k, 2, 60 - mine, old + extra)] if mine < 60 else []
    return cells


def blamed(
    old: float, new: float, *, drift: float = 0.0, canary: int = 5, share: float = 0.5, runs: int = 100
) -> float:
    """The share of simulated histories in which version 3 counts as shown."""
    shown = 0
    for seed in range(runs):
        cells = change_of_versions(seed, old, new, drift=drift, canary=canary, share=share)
        found = version_contrast(cells, 3, metric="Refusal", tried=6)
        shown += found is not None and found.convincing
    return shown / runs


@pytest.mark.parametrize(("canary", "share"), [(0, 0.5), (5, 0.5), (5, 0.1), (30, 0.5), (30, 0.1)])
def test_a_slow_drift_of_alike_versions_is_hardly_ever_blamed_on_the_newer_one(canary: int, share: float) -> None:
    """Rates drift from 2 to 6 % for everybody. Measured: 0 to 4 of 100; by pooled counts 69 and more."""
    assert blamed(0.02, 0.02, drift=0.04, canary=canary, share=share) <= 0.06


@pytest.mark.parametrize(("canary", "share"), [(0, 0.5), (5, 0.5), (5, 0.1), (30, 0.5), (30, 0.1)])
def test_a_version_that_is_worse_is_found_with_and_without_a_drift(canary: int, share: float) -> None:
    """Measured over 100 runs: 96 % and more."""
    assert blamed(0.02, 0.08, canary=canary, share=share, runs=40) >= 0.85
    assert blamed(0.02, 0.15, drift=0.02, canary=canary, share=share, runs=40) >= 0.9


def test_where_versions_were_served_side_by_side_only_those_periods_count() -> None:
    """Everything gets worse when version 3 begins, and both versions were served often enough to see it."""
    cells = [cell(60.0 * k, 2, 100, 2) for k in range(20)]
    cells += [cell(60.0 * k, v, 100, 20) for k in range(20, 40) for v in (2, 3)]

    found = version_contrast(cells, 3, metric="Refusal", tried=6)

    assert found is not None
    assert (found.basis, found.exposed, found.others) == ("shared", (2000, 400), (2000, 400))
    assert not found.convincing


def test_a_version_is_rivalled_by_a_moment_that_divides_better() -> None:
    """Version 3 is fine for half of its time, then everything breaks."""
    cells = [cell(60.0 * k, 2, 100, 2) for k in range(20)]
    cells += [cell(60.0 * k, 3, 100, 2 if k < 30 else 60) for k in range(20, 40)]

    found = version_contrast(cells, 3, metric="Refusal", tried=6)
    within = rise_within_versions(cells, "Refusal", tried=6)

    assert found is not None
    assert found.rivalled
    assert within is not None
    assert (within[0], within[1].convincing) == (1800.0, True)


def test_within_versions_nothing_rises_when_a_worse_one_takes_over() -> None:
    cells = [cell(60.0 * k, 2, 100, 2) for k in range(20)] + [cell(60.0 * k, 3, 100, 20) for k in range(20, 40)]

    within = rise_within_versions(cells, "Refusal", tried=6)

    assert within is not None
    assert not within[1].convincing


def test_in_two_periods_a_version_that_took_over_is_still_named() -> None:
    """No line can be drawn through two points and a level beside it; the cause says that it was never side by side."""
    found = version_contrast([cell(0, 2, 200, 2), cell(60, 3, 200, 60)], 3, metric="Refusal", tried=6)

    assert found is not None
    assert (found.basis, found.convincing) == ("pooled", True)
