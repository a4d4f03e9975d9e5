"""Ranking causes by how they divide the counts."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.investigation.causes import (
    FREEDOM,
    Contrast,
    best_moment,
    contrast,
    dispersion,
    log_ratio,
    rise,
    rise_within_versions,
    side_by_side,
    version_contrast,
)
from promptlane.domain.investigation.sources import Cell
from promptlane.domain.investigation.strata import Stratum, evidence, overdispersion
from tests.support.near import near

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


# What each division comes to, exactly


def of(metric: str, at: float, version: int, requests: int, bad: int) -> Cell:
    return Cell(at, 60, version, metric, requests, bad)


def is_three(one: Cell) -> bool:
    return one.version == 3


def moments(*rows: tuple[float, int, int, int]) -> list[Cell]:
    return [cell(60 * at, version, requests, bad) for at, version, requests, bad in rows]


def test_a_contrast_says_what_it_compares_and_how() -> None:
    plain = Contrast("Error", (3, 1), (7, 2), 4.5, 0.00123456)

    assert plain.to_dict() == {
        "metric": "Error",
        "exposed": {"requests": 3, "bad": 1, "rate": 0.333333},
        "others": {"requests": 7, "bad": 2, "rate": 0.285714},
        "chance": 0.00123,
        "basis": "pooled",
        "rivalled": False,
    }
    assert plain.convincing
    assert (plain.exposed_rate, plain.other_rate) == (1 / 3, 2 / 7)
    nothing = Contrast("Error", (0, 0), (0, 0), 0.0, 1.0, "shared", rivalled=True)
    assert (nothing.exposed_rate, nothing.other_rate) == (0.0, 0.0)
    assert (nothing.to_dict()["basis"], nothing.to_dict()["rivalled"]) == ("shared", True)


@pytest.mark.parametrize(
    ("chance", "rivalled", "convincing"), [(0.0099, False, True), (0.01, False, False), (0.0, True, False)]
)
def test_a_contrast_convinces_below_one_in_a_hundred_without_a_rival(
    chance: float, rivalled: bool, convincing: bool
) -> None:
    assert Contrast("Error", (3, 1), (7, 2), 4.5, chance, rivalled=rivalled).convincing is convincing


def test_how_far_an_outside_rise_must_be_ahead() -> None:
    assert FREEDOM == 3.0


@pytest.mark.parametrize(
    ("exposed", "others", "nats"),
    [
        ((10, 10), (30, 0), -10 * math.log(0.25) - 30 * math.log(0.75)),
        ((10, 4), (30, 0), 4 * math.log(0.4) + 6 * math.log(0.6) - 4 * math.log(0.1) - 36 * math.log(0.9)),
        ((10, 10), (30, 20), 20 * math.log(2 / 3) + 10 * math.log(1 / 3) - 30 * math.log(0.75) - 10 * math.log(0.25)),
        ((10, 0), (30, 0), 0.0),
        ((70, 7), (30, 3), 0.0),
        ((861, 350), (7_749, 3_150), 0.0),
        ((70, 7), (30, 4), 0.0),
        ((0, 0), (30, 4), 0.0),
        ((70, 7), (0, 0), 0.0),
    ],
)
def test_a_ratio_where_all_or_none_or_nothing_went_wrong(
    exposed: tuple[int, int], others: tuple[int, int], nats: float
) -> None:
    assert log_ratio(exposed, others) == pytest.approx(nats, abs=0)


def test_dispersion_is_pearsons_statistic_over_what_is_free_in_groups_where_some_and_not_all_went_wrong() -> None:
    """By hand: (10 − 4)²/2.4 twice, from 20 of 40 … and nothing from groups of one rate or without requests."""
    clean, broken, empty = [cell(0, 1, 9, 0)] * 2, [cell(0, 1, 7, 7)] * 3, [cell(0, 1, 0, 0)] * 2
    uneven = [cell(0, 1, 20, 18), cell(60, 1, 0, 0), cell(120, 1, 10, 1), cell(180, 1, 8, 0)]
    rate = 19 / 38
    uneven_chi = (18 - 20 * rate) ** 2 / 5 + (1 - 10 * rate) ** 2 / 2.5 + (0 - 8 * rate) ** 2 / 2
    rare = [cell(0, 1, 90, 0), cell(60, 1, 4, 1)]
    rare_chi = (90 / 94) ** 2 / (90 / 94 * 93 / 94) + (1 - 4 / 94) ** 2 / (4 / 94 * 93 / 94)

    assert dispersion([clean, empty, broken, uneven, rare]) == pytest.approx((uneven_chi + rare_chi) / (2 + 1))
    assert dispersion([rare]) == pytest.approx(rare_chi)
    assert dispersion([uneven]) == pytest.approx(uneven_chi / 2)


@pytest.mark.parametrize("groups", [[], [[]], [[cell(0, 1, 9, 4)]], [[cell(0, 1, 9, 4)] * 3], [[cell(0, 1, 0, 0)]]])
def test_groups_that_do_not_vary_are_not_dispersed(groups: list[list[Cell]]) -> None:
    assert dispersion(groups) == 1.0


def test_a_contrast_of_pooled_counts_varies_around_each_versions_own_rate_on_each_side() -> None:
    """Version 2 on both sides, 3 and 4 on one; another metric's cells count for nothing."""
    later = [[(120, 2, 40, 3), (180, 2, 30, 12)], [(120, 3, 50, 30), (240, 3, 20, 4)]]
    earlier = [[(0, 2, 60, 1), (60, 2, 50, 9)], [(0, 4, 10, 2)]]
    groups = [[cell(*row) for row in rows] for rows in (*later, *earlier)]
    cells = [c for group in groups for c in group] + [of("Error", 0, 2, 999, 9), of("Error", 120, 2, 999, 500)]

    found = contrast(cells, lambda c: c.at >= 120, metric="Refusal", tried=5)

    ratio = log_ratio((140, 49), (120, 12)) / dispersion(groups)
    assert dispersion(groups) > 2
    assert found == Contrast("Refusal", (140, 49), (120, 12), ratio, 2.5 * math.exp(-ratio))


def test_chance_is_certain_where_the_exposed_side_is_not_worse_and_never_more_than_that() -> None:
    better = contrast([cell(0, 3, 50, 0), cell(0, 2, 40, 7)], is_three, metric="Refusal", tried=1)
    hardly = contrast([cell(0, 3, 50, 8), cell(0, 2, 40, 6)], is_three, metric="Refusal", tried=1)
    often = contrast([cell(0, 3, 50, 8), cell(0, 2, 40, 6)], is_three, metric="Refusal", tried=9)

    assert better == Contrast("Refusal", (50, 0), (40, 7), 0.0, 1.0)
    assert hardly is not None
    assert hardly.chance == pytest.approx(math.exp(-log_ratio((50, 8), (40, 6))) / 2)
    assert often is not None
    assert often.chance == 1.0


def test_a_side_without_a_bad_event_is_still_a_side_and_one_without_a_request_is_none() -> None:
    both = [cell(0, 3, 50, 0), cell(0, 2, 40, 0)]

    assert contrast(both, is_three, metric="Refusal", tried=1) == Contrast("Refusal", (50, 0), (40, 0), 0.0, 1.0)
    assert contrast([*both[:1], cell(0, 2, 0, 0)], is_three, metric="Refusal", tried=1) is None
    assert contrast([cell(0, 3, 0, 0), *both[1:]], is_three, metric="Refusal", tried=1) is None


def test_periods_that_two_versions_shared_are_told_oldest_first() -> None:
    cells = [
        cell(180, 3, 5, 1),
        cell(180, 2, 7, 2),
        cell(60, 2, 30, 3),
        cell(60, 3, 20, 4),
        cell(60, 4, 10, 5),
        cell(60, 3, 2, 2),
        cell(120, 2, 9, 1),
        cell(120, 3, 0, 0),
        cell(240, 3, 8, 0),
        of("Error", 240, 2, 6, 6),
    ]

    assert side_by_side(cells, 3, "Refusal") == [Stratum((22, 6), (40, 8)), Stratum((5, 1), (7, 2))]


def test_the_first_of_equally_good_moments_is_the_best_one() -> None:
    level = [cell(60 * k, 2, 10 + k, 0) for k in (3, 1, 2, 4)]

    assert best_moment(level, "Refusal") == (120, 3)
    assert best_moment(level[:1], "Refusal") == (0.0, 0)
    assert best_moment(level, "Error") == (0.0, 0)


def test_the_best_moment_counts_all_versions_of_one_metric() -> None:
    cells = [
        cell(180, 2, 40, 12),
        cell(60, 2, 40, 2),
        cell(60, 3, 20, 9),
        cell(120, 2, 40, 10),
        cell(120, 3, 20, 1),
        cell(180, 3, 20, 9),
        of("Error", 120, 3, 900, 0),
        of("Error", 240, 3, 900, 900),
    ]

    assert best_moment(cells, "Refusal") == (180, 2)


def shared_by(cells: list[Cell], tried: int) -> Contrast:
    strata = side_by_side(cells, 3, "Refusal")
    exposed = sum(s.exposed[0] for s in strata), sum(s.exposed[1] for s in strata)
    others = sum(s.others[0] for s in strata), sum(s.others[1] for s in strata)
    ratio = evidence(strata) / overdispersion(strata)
    return Contrast("Refusal", exposed, others, ratio, min(1.0, tried * math.exp(-ratio)), "shared")


def test_shared_periods_that_convince_are_what_is_compared() -> None:
    rows = [(0, 2, 90, 5), (1, 2, 60, 3), (1, 3, 40, 30), (2, 2, 70, 7), (2, 3, 50, 6), (3, 2, 60, 2), (3, 3, 45, 33)]
    rows += [(4, 3, 80, 2), (2, 4, 10, 1), (5, 3, 0, 0), (5, 2, 60, 1)]
    rows += [row for k in (6, 7, 8) for row in ((k, 2, 60, 3), (k, 3, 45, 20 - k))]
    cells = [*moments(*rows), of("Error", 60, 3, 40, 40), of("Error", 0, 3, 40, 0)]

    found = version_contrast(cells, 3, metric="Refusal", tried=7)

    assert overdispersion(side_by_side(cells, 3, "Refusal")) > 1.5
    assert found == shared_by(cells, 7)
    assert (found.exposed, found.others, found.convincing) == ((270, 108), (380, 22), True)


AGAINST = moments(
    (0, 2, 105, 1),
    (1, 2, 116, 1),
    (2, 3, 30, 8),
    (2, 2, 27, 7),
    (3, 3, 47, 0),
    (3, 2, 28, 5),
    (4, 3, 24, 2),
    (4, 2, 32, 9),
    (5, 3, 66, 23),
    (6, 3, 70, 17),
)
NOT_QUITE = moments(
    (0, 2, 90, 1),
    (1, 2, 115, 1),
    (2, 3, 39, 2),
    (2, 2, 38, 5),
    (3, 3, 38, 2),
    (3, 2, 25, 8),
    (4, 3, 50, 6),
    (4, 2, 60, 9),
    (5, 3, 73, 18),
    (6, 3, 74, 9),
)
ALIKE = moments((1, 2, 100, 10), (1, 3, 100, 10))


@pytest.mark.parametrize(("cells", "basis"), [(AGAINST, "shared"), (NOT_QUITE, "pooled"), (ALIKE, "shared")])
def test_shared_periods_overrule_pooled_counts_that_they_speak_against_by_three_nats(
    cells: list[Cell], basis: str
) -> None:
    """3.01 and 2.99 nats after division by the spread (3.9 and 2.0); and counts that show no difference at all."""
    found = version_contrast(cells, 3, metric="Refusal", tried=6)

    assert found is not None
    assert found.basis == basis
    if basis == "shared":
        assert found == shared_by(cells, 6)


RISING = moments(
    (0, 2, 55, 0),
    (1, 2, 40, 3),
    (2, 2, 55, 3),
    (3, 2, 58, 5),
    (4, 3, 57, 14),
    (5, 3, 36, 12),
    (6, 3, 53, 8),
    (7, 3, 68, 7),
)
BEYOND = moments(
    (0, 2, 43, 1),
    (1, 2, 51, 3),
    (2, 2, 45, 2),
    (3, 2, 40, 0),
    (4, 3, 30, 11),
    (5, 3, 68, 12),
    (6, 3, 43, 5),
    (7, 3, 36, 11),
)
LATER = moments(
    (0, 2, 75, 0),
    (1, 2, 55, 1),
    (2, 3, 53, 5),
    (3, 3, 51, 27),
    (4, 3, 62, 28),
    (5, 3, 89, 28),
    (6, 3, 81, 25),
    (7, 3, 74, 28),
    (8, 3, 86, 29),
)
HARDLY_LATER = moments(
    (0, 2, 75, 3),
    (1, 2, 88, 0),
    (2, 2, 67, 3),
    (3, 2, 63, 2),
    (4, 2, 86, 0),
    (5, 3, 49, 5),
    (6, 3, 73, 25),
    (7, 3, 65, 24),
    (8, 3, 71, 25),
)
BETTER = moments((0, 2, 60, 9), (1, 2, 50, 8), (2, 2, 55, 9), (3, 3, 70, 3), (4, 3, 65, 9))


@pytest.mark.parametrize(
    ("cells", "rivalled"), [(RISING, True), (BEYOND, False), (LATER, True), (HARDLY_LATER, False), (BETTER, False)]
)
def test_a_version_alone_in_its_periods_is_rivalled_by_a_steady_rise_or_by_one_moment(
    cells: list[Cell], rivalled: bool
) -> None:
    """1.99 and 2.02 nats beyond a steady rise; a moment that divides by 3.02 and by 2.997 nats better."""
    more = [*cells, *(of("Error", c.at, c.version, 90, 1) for c in cells), cell(0, 3, 0, 0)]

    found = version_contrast(more, 3, metric="Refusal", tried=6)

    pooled = contrast(cells, is_three, metric="Refusal", tried=6)
    assert pooled is not None
    assert found == replace(pooled, rivalled=rivalled)


def test_a_version_that_is_hardly_worse_has_a_rival_and_one_that_had_no_company_has_no_contrast() -> None:
    hardly = moments((0, 2, 60, 5), (1, 2, 60, 6), (2, 3, 60, 6), (3, 3, 60, 7))

    found = version_contrast(hardly, 3, metric="Refusal", tried=1)

    assert found is not None
    assert (0 < found.ratio < 1, found.rivalled) == (True, True)
    assert version_contrast(hardly[2:], 3, metric="Refusal", tried=1) is None
    assert version_contrast([*hardly[2:], cell(0, 2, 0, 0)], 3, metric="Refusal", tried=1) is None


def test_a_rise_of_all_versions_together_is_compared_at_its_best_moment() -> None:
    """Three moments were tried; a period without a request is none."""
    cells = moments((0, 2, 90, 3), (1, 2, 80, 2), (2, 2, 70, 21), (2, 3, 30, 4), (3, 2, 60, 11), (3, 3, 40, 14))
    more = [*cells, of("Error", 0, 3, 90, 1), of("Error", 240, 3, 90, 80), cell(300, 2, 0, 0)]
    later = [[cells[2], cells[4]], [cells[3], cells[5]]]
    ratio = log_ratio((200, 50), (170, 5)) / dispersion([*later, cells[:2]])

    expected = Contrast("Refusal", (200, 50), (170, 5), ratio, 5 * 3 / 2 * math.exp(-ratio))
    assert dispersion([*later, cells[:2]]) > 1.5
    assert rise(more, "Refusal", tried=5) == (120, expected)


def test_a_rise_of_who_was_served_gives_way_to_what_the_same_versions_did() -> None:
    """A worse version takes over at moment 2; within the versions, the most happens at moment 3."""
    cells = moments(
        (0, 2, 300, 6), (1, 2, 300, 5), (2, 2, 30, 1), (2, 3, 300, 90), (3, 2, 30, 3), (3, 3, 300, 95), (1, 3, 30, 10)
    )

    assert best_moment(cells, "Refusal") == (120, 3)
    found = rise(cells, "Refusal", tried=5)
    assert found == rise_within_versions(cells, "Refusal", tried=5)
    assert found is not None
    assert (found[0], found[1].basis) == (180, "shared")


def test_without_two_periods_nothing_rose() -> None:
    alone = [cell(60, 2, 50, 5), cell(60, 3, 50, 9), cell(120, 2, 0, 0), of("Error", 120, 2, 50, 9)]

    assert rise(alone, "Refusal", tried=5) is None
    assert rise([], "Refusal", tried=5) is None
    assert rise_within_versions(alone, "Refusal", tried=5) is None


def test_where_no_version_was_served_before_and_after_the_pooled_counts_stay() -> None:
    """Nothing rose at all: version 1 was served before the first moment, and version 2 after it, and it only fell."""
    found = rise(moments((0, 1, 50, 20), (1, 2, 50, 9), (2, 2, 50, 3)), "Refusal", tried=5)

    assert found == (60, Contrast("Refusal", (100, 12), (50, 20), 0.0, 1.0))


def test_a_rise_within_versions_is_counted_by_those_that_have_a_before_and_an_after() -> None:
    cells = moments(
        (0, 2, 90, 3),
        (0, 8, 20, 2),
        (1, 2, 80, 2),
        (1, 8, 25, 1),
        (2, 2, 70, 21),
        (2, 8, 30, 20),
        (2, 5, 40, 39),
        (3, 2, 60, 9),
    )
    more = [*cells, of("Error", 0, 2, 90, 1), of("Error", 300, 2, 90, 90), cell(360, 2, 0, 0)]
    strata = [Stratum((130, 30), (170, 5)), Stratum((30, 20), (45, 3))]
    halves = [[cells[4], cells[7]], [cells[0], cells[2]], [cells[5]], [cells[1], cells[3]]]
    ratio = evidence(strata) / dispersion(halves)

    expected = Contrast("Refusal", (160, 50), (215, 8), ratio, 5 * 3 * math.exp(-ratio), "shared")
    assert dispersion(halves) > 1.5
    found = rise_within_versions(more, "Refusal", tried=5)
    assert found is not None
    assert found[0] == 120
    assert found[1] == replace(expected, ratio=found[1].ratio, chance=found[1].chance)
    assert (found[1].ratio, found[1].chance) == (near(ratio), near(expected.chance))
