"""The verdict's whole answers: figures written out by hand, sentences, corrections, and what decides before what."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput
from promptlane.domain.suite import statistics, verdict
from promptlane.domain.suite.statistics import (
    Interval,
    cases_for_rate,
    cases_needed,
    detectable,
    holm,
    paired_interval,
    planned_variance,
    provable_margin,
    rate_interval,
    sign_flip_p,
    z_value,
)
from promptlane.domain.suite.verdict import (
    CaseTally,
    Change,
    Comparison,
    Finding,
    Rules,
    assess,
    change_of,
    compare,
    decide,
)
from tests.support.near import near

Z05, Z10 = 1.6448536269514722, 1.2815515655446004
RULES = Rules(margin=0.1, alpha=0.05, power=0.8, min_pass_rate=0.7)


def case(
    name: str, runs: int, stable: int | None, candidate: int | None, *tags: str, critical: bool = False
) -> CaseTally:
    return CaseTally(case=name, runs=runs, candidate=candidate, stable=stable, tags=tags, critical=critical)


def many(
    count: int, stable: int | None, candidate: int | None, *tags: str, runs: int = 1, name: str = "c"
) -> list[CaseTally]:
    return [case(f"{name}-{stable}-{candidate}-{i}", runs, stable, candidate, *tags) for i in range(count)]


def alone(count: int, passed: int | None, *tags: str, runs: int = 1, name: str = "c") -> list[CaseTally]:
    """Cases of a first version."""
    return many(count, None, passed, *tags, runs=runs, name=name)


# --- formulas -------------------------------------------------------------------------------------------------------


def test_quantiles_are_those_of_the_tables() -> None:
    assert z_value(0.05) == pytest.approx(Z05, abs=1e-12)
    assert z_value(0.1) == pytest.approx(Z10, abs=1e-12)


@pytest.mark.parametrize("differences", [[0.5, -1.0, 0.25, 1.0], [-1.0] * 4, [1.0] * 3 + [0.0], [0.0]])
@pytest.mark.parametrize(("alpha", "z"), [(0.05, Z05), (0.1, Z10)])
def test_a_paired_interval_is_the_mean_of_the_cases_and_two_more(
    differences: list[float], alpha: float, z: float
) -> None:
    more = [*differences, 1.0, -1.0]
    mean = sum(more) / len(more)
    half = z * math.sqrt(sum((d - mean) ** 2 for d in more) / len(more) / len(more))
    found = paired_interval(differences, alpha)
    assert found.estimate == pytest.approx(sum(differences) / len(differences))
    assert found.lower == pytest.approx(max(mean - half, -1))
    assert found.upper == pytest.approx(min(mean + half, 1))


def test_intervals_end_where_differences_and_rates_end() -> None:
    assert paired_interval([], 0.001) == Interval(0.0, -1.0, 1.0)
    assert paired_interval([-1.0], 0.001).lower == -1.0
    assert paired_interval([1.0], 0.001).upper == 1.0
    assert rate_interval([], 0.001) == Interval(0.0, 0.0, 1.0)


@pytest.mark.parametrize("rates", [[1.0] * 5, [0.0, 1.0, 0.75], [0.25] * 9, [1.0]])
@pytest.mark.parametrize(("alpha", "z"), [(0.05, Z05), (0.1, Z10)])
def test_a_rate_interval_is_the_mean_of_the_cases_and_two_more(rates: list[float], alpha: float, z: float) -> None:
    more = [*rates, 1.0, 0.0]
    mean = sum(more) / len(more)
    half = z * math.sqrt(sum((p - mean) ** 2 for p in more) / len(more) / len(more))
    found = rate_interval(rates, alpha)
    assert found.estimate == pytest.approx(sum(rates) / len(rates))
    assert found.lower == pytest.approx(max(mean - half, 0))
    assert found.upper == pytest.approx(min(mean + half, 1))


@settings(max_examples=40)
@given(st.lists(st.integers(-4, 4), max_size=8))
def test_a_sign_flip_is_the_share_of_signs_that_drop_as_far(units: list[int]) -> None:
    sizes, seen = [abs(u) for u in units], sum(units)
    sums = [
        sum(s * k for s, k in zip(signs, sizes, strict=True)) for signs in itertools.product((-1, 1), repeat=len(sizes))
    ]
    assert sign_flip_p(units) == pytest.approx(
        (sum(s < seen for s in sums) + sum(s == seen for s in sums) / 2) / len(sums)
    )


def test_the_exact_form_ends_at_600_cases_that_differ() -> None:
    exact = [-1] * 320 + [1] * 280
    below = sum(math.comb(600, k) for k in range(280)) + math.comb(600, 280) / 2
    assert sign_flip_p([*exact, *[0] * 50]) == pytest.approx(below / 2**600, rel=1e-9)
    units = [*exact, -3, 2]
    assert sign_flip_p(units) == pytest.approx(NormalDist().cdf(sum(units) / math.sqrt(600 + 9 + 4)), rel=1e-12)
    assert sign_flip_p([*exact, -1]) == pytest.approx(NormalDist().cdf(-41 / math.sqrt(601)), rel=1e-12)


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        ({}, {}),
        ({"a": 0.3}, {"a": 0.3}),
        ({"a": 0.04, "b": 0.01, "c": 0.03}, {"a": 0.06, "b": 0.03, "c": 0.06}),
        ({"a": 0.9, "b": 0.6, "c": 0.01, "d": 0.02}, {"a": 1.0, "b": 1.0, "c": 0.04, "d": 0.06}),
        ({"a": 0.02, "b": 0.3, "c": 0.4}, {"a": 0.06, "b": 0.6, "c": 0.6}),
    ],
)
def test_holm_multiplies_by_the_hypotheses_that_are_left(raw: dict[str, float], adjusted: dict[str, float]) -> None:
    assert holm(raw) == pytest.approx(adjusted)


def test_what_can_be_seen_by_so_many_cases() -> None:
    """K = (z_alpha + z_power)^2 / n; the drop is the positive root of (1 + K) x^2 - K x - K v."""
    for n, variance, alpha, power in ((50, 0.072, 0.05, 0.8), (7, 0.3, 0.1, 0.9)):
        k = (NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(power)) ** 2 / n
        found = detectable(n, variance, alpha=alpha, power=power)
        assert found is not None
        assert 0 < found < 1
        assert (1 + k) * found**2 - k * found - k * variance == pytest.approx(0, abs=1e-12)
    assert detectable(1, 10.0, alpha=0.05, power=0.8) == 1.0
    assert detectable(1, 0.01, alpha=0.05, power=0.8) is not None
    assert detectable(0, 0.1, alpha=0.05, power=0.8) is None


def test_planning_assumes_nine_of_ten_and_a_correlation_of_six_tenths() -> None:
    assert planned_variance(1) == pytest.approx(2 * 0.9 * 0.1 * 0.4)
    assert planned_variance(3, 0.7, 0.2) == pytest.approx(2 * 0.7 * 0.3 * 0.8 / 3)


def test_cases_that_a_margin_needs() -> None:
    assert provable_margin(43, 0.05) == pytest.approx(Z05 * math.sqrt(2) / 45)
    assert provable_margin(8, 0.1) == pytest.approx(Z10 * math.sqrt(2) / 10)
    usual = (Z05 + NormalDist().inv_cdf(0.8)) ** 2 * 0.09 / 0.1**2
    assert cases_needed(0.1, 0.09, alpha=0.05, power=0.8) == math.ceil(usual) == 56
    assert cases_needed(0.1, 0.0001, alpha=0.05, power=0.8) == math.ceil(Z05 * math.sqrt(2) / 0.1 - 2) == 22
    assert cases_needed(0.99, 0.0001, alpha=0.4, power=0.8) == 1


@pytest.mark.parametrize(("rate", "alpha"), [(0.01, 0.4), (0.5, 0.05), (0.7, 0.05), (0.8, 0.1)])
def test_cases_that_a_rate_needs_are_the_fewest_perfect_ones(rate: float, alpha: float) -> None:
    proved = [n for n in range(1, 200) if rate_interval([1.0] * n, alpha).lower > rate]
    assert cases_for_rate(rate, alpha) == proved[0]


def test_a_rate_that_no_suite_proves_needs_a_hundred_thousand_cases() -> None:
    assert cases_for_rate(1 - 1e-9, 0.05) == 100_000


# --- one case -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "stable", "candidate", "change"),
    [
        (4, 4, 2, Change.NEWLY_FAILING),
        (4, 4, 3, Change.FLAKY),
        (4, 3, 1, Change.NEWLY_FAILING),
        (4, 2, 4, Change.NEWLY_PASSING),
        (4, 0, 2, Change.NEWLY_PASSING),
        (4, 3, 4, Change.FLAKY),
        (4, 1, 0, Change.FLAKY),
        (4, 2, 2, Change.FLAKY),
        (4, 4, 4, Change.PASSING),
        (4, 0, 0, Change.FAILING),
        (1, 1, 0, Change.NEWLY_FAILING),
        (1, 0, 1, Change.NEWLY_PASSING),
        (4, None, 4, Change.MISSING),
        (4, 4, None, Change.MISSING),
    ],
)
def test_what_became_of_a_case(runs: int, stable: int | None, candidate: int | None, change: Change) -> None:
    assert change_of(case("c", runs, stable, candidate)) is change


@pytest.mark.parametrize(
    ("candidate", "change"),
    [(0, Change.NEWLY_FAILING), (1, Change.FLAKY), (3, Change.FLAKY), (4, Change.PASSING), (None, Change.MISSING)],
)
def test_what_became_of_a_case_of_a_first_version(candidate: int | None, change: Change) -> None:
    assert change_of(case("c", 4, None, candidate), absolute=True) is change


def test_findings_and_changes_are_these_words() -> None:
    assert [f.value for f in Finding] == ["pass", "fail", "inconclusive"]
    assert {c.name: c.value for c in Change} == {
        "NEWLY_FAILING": "newly failing",
        "NEWLY_PASSING": "newly passing",
        "FLAKY": "flaky",
        "FAILING": "failing in both",
        "PASSING": "passing",
        "MISSING": "missing",
    }
    assert CaseTally("c", 2, 1) == CaseTally("c", 2, 1, None, (), False, "")
    assert Rules() == Rules(0.05, 0.05, 0.8, 0.8, (), 0.5)


# --- one set of cases -----------------------------------------------------------------------------------------------

MIXED = [
    *many(16, 2, 2, runs=2),
    case("a", 2, 2, 1),
    case("b", 4, 1, 4),
    case("d", 4, 2, 2),
    case("e", 3, 3, 2),
    case("lost", 4, None, 4),
    case("gone", 2, 1, None),
    case("both", 5, None, None),
]
DIFFERENCES = [0.0] * 16 + [-0.5, 0.75, 0.0, -1 / 3]


def test_a_comparison_is_over_the_complete_cases() -> None:
    """Units are twelfths: -6, +9 and -4. The variance is of runs: a(1-a) + b(1-b) over r - 1, each case its own r."""
    within = (0.25 / 1 + 0.25 * 0.75 / 3 + (0.25 + 0.25) / 3 + (2 / 3) * (1 / 3) / 2) / 20
    found = compare(MIXED, RULES, "billing", must_pass=True)
    assert found == Comparison(
        name="billing",
        finding=Finding.INCONCLUSIVE,
        n=20,
        missing=3,
        runs=5,
        stable_rate=near((16 + 1 + 0.25 + 0.5 + 1) / 20),
        candidate_rate=near((16 + 0.5 + 1 + 0.5 + 2 / 3) / 20),
        interval=paired_interval(DIFFERENCES, 0.05),
        p_value=near(sign_flip_p([-6, 9, -4])),
        detectable=near(detectable(20, within, alpha=0.05, power=0.8) or 0),
        provable=near(Z05 * math.sqrt(2) / 22),
        cases_needed=cases_needed(0.1, within, alpha=0.05, power=0.8),
        must_pass=True,
        too_small=True,
        vetoes=False,
    )


def test_where_a_case_ran_once_the_variance_is_of_the_differences() -> None:
    tallies = [*many(17, 2, 2, runs=2), case("once", 1, 1, 0), case("half", 2, 0, 1), case("flat", 2, 1, 1)]
    found = compare(tallies, Rules(margin=0.2, alpha=0.1, power=0.9))
    assert found.detectable == pytest.approx(detectable(20, (1 + 0.25) / 20, alpha=0.1, power=0.9))
    assert found.cases_needed == cases_needed(0.2, (1 + 0.25) / 20, alpha=0.1, power=0.9)
    assert (found.name, found.must_pass, found.too_small) == ("all cases", False, False)
    assert found.p_value == pytest.approx(sign_flip_p([-2, 1]))


@pytest.mark.parametrize(
    ("stable", "candidate", "worst"),
    [(None, 3, 3 / 4 - 1), (3, None, -3 / 4), (None, None, -1.0)],
)
def test_a_missing_case_counts_as_the_worst_that_it_could_be(
    stable: int | None, candidate: int | None, worst: float
) -> None:
    complete = many(60, 4, 4, runs=4)
    bound = -paired_interval([0.0] * 60 + [worst], 0.05).lower
    tallies = [*complete, case("lost", 4, stable, candidate)]
    for margin, finding in ((bound + 1e-9, Finding.PASS), (bound - 1e-9, Finding.INCONCLUSIVE)):
        assert compare(tallies, Rules(margin=margin)).finding is finding


def test_a_pass_needs_a_bound_above_the_margin_and_not_on_it() -> None:
    bound = -paired_interval([0.0] * 30, 0.05).lower
    assert compare(many(30, 1, 1), Rules(margin=bound)).finding is Finding.INCONCLUSIVE
    assert compare(many(30, 1, 1), Rules(margin=math.nextafter(bound, 1))).finding is Finding.PASS
    assert compare(many(30, 1, 1), Rules(margin=provable_margin(30, 0.05))).too_small is True
    assert compare(many(30, 1, 1), Rules(margin=math.nextafter(provable_margin(30, 0.05), 1))).too_small is False


def test_a_drop_fails_when_it_is_as_unlikely_as_alpha() -> None:
    """5 of 5 that differ are worse: mid-p 1/64."""
    tallies = [*many(5, 1, 0), *many(10, 1, 1)]
    assert compare(tallies, Rules(alpha=1 / 64)).finding is Finding.FAIL
    assert compare(tallies, Rules(alpha=1 / 64 - 1e-9)).finding is Finding.INCONCLUSIVE
    assert compare([*many(5, 0, 1), *many(10, 1, 1)], Rules(alpha=0.99, margin=1e-6)).finding is not Finding.FAIL


def test_no_difference_at_all_is_no_drop_however_lenient_alpha() -> None:
    """Its mid-p is one half."""
    even = [*many(1, 1, 0), *many(1, 0, 1)]
    assert compare(even, Rules(alpha=0.499, margin=1e-9)).finding is Finding.INCONCLUSIVE
    assert compare(even, Rules(alpha=0.501, margin=1e-9)).finding is Finding.PASS


def test_of_no_complete_case_nothing_is_known() -> None:
    found = compare([case("a", 3, None, 2), case("b", 2, 1, None)], RULES)
    assert found == Comparison(
        name="all cases",
        finding=Finding.INCONCLUSIVE,
        n=0,
        missing=2,
        runs=3,
        stable_rate=None,
        candidate_rate=None,
        interval=None,
        p_value=None,
        detectable=None,
        provable=near(Z05 * math.sqrt(2) / 2),
        cases_needed=cases_needed(0.1, planned_variance(1), alpha=0.05, power=0.8),
        too_small=True,
    )
    wide = Rules(margin=0.999, alpha=0.4)
    assert compare([case("a", 1, None, 1)], wide).finding is Finding.INCONCLUSIVE


def test_a_first_version_is_measured_against_the_rate_that_is_asked() -> None:
    tallies = [*alone(30, 4, runs=4), case("half", 4, None, 2), case("never", 2, None, 0), *alone(3, None, runs=6)]
    rates = [1.0] * 30 + [0.5, 0.0]
    found = assess(tallies, RULES, "billing", must_pass=True)
    perfect = cases_for_rate(0.7, 0.05)
    assert found == Comparison(
        name="billing",
        finding=Finding.PASS,
        n=32,
        missing=3,
        runs=6,
        stable_rate=None,
        candidate_rate=near(30.5 / 32),
        interval=rate_interval(rates, 0.05),
        p_value=None,
        detectable=None,
        provable=near(1 - rate_interval([1.0] * 32, 0.05).lower),
        cases_needed=perfect,
        must_pass=True,
        too_small=False,
        vetoes=False,
    )


def test_a_first_version_passes_above_the_rate_and_fails_below_it() -> None:
    tallies = [*alone(12, 1), *alone(8, 0), *alone(2, None)]
    with_gaps = rate_interval([1.0] * 12 + [0.0] * 10, 0.05).lower
    upper = rate_interval([1.0] * 12 + [0.0] * 8, 0.05).upper
    findings = {}
    for rate in (math.nextafter(with_gaps, 0), with_gaps, upper, math.nextafter(upper, 1)):
        findings[rate] = assess(tallies, Rules(min_pass_rate=rate)).finding
    assert list(findings.values()) == [Finding.PASS, Finding.INCONCLUSIVE, Finding.INCONCLUSIVE, Finding.FAIL]


def test_a_first_version_of_too_few_cases() -> None:
    perfect = cases_for_rate(0.7, 0.05)
    assert assess(alone(perfect, 1), RULES).too_small is False
    assert assess(alone(perfect - 1, 1), RULES).too_small is True
    empty = assess(alone(4, None), RULES)
    assert (empty.finding, empty.n, empty.missing, empty.interval, empty.candidate_rate) == (
        Finding.INCONCLUSIVE,
        0,
        4,
        None,
        None,
    )
    assert (empty.name, empty.must_pass) == ("all cases", False)
    assert assess(alone(4, None), Rules(min_pass_rate=0.05, alpha=0.4)).finding is Finding.INCONCLUSIVE


# --- slices ---------------------------------------------------------------------------------------------------------

SLICED = [
    *many(40, 1, 1, "steady", "all"),
    *many(6, 1, 0, "broken", "all", name="b"),
    *many(9, 1, 1, "broken", name="b"),
    *many(2, 1, 0, "hurt"),
    *many(3, 0, 1, "better", name="d"),
    *many(5, None, 1, "lost"),
]


def test_slices_are_judged_as_they_come_and_corrected_for_their_number() -> None:
    found = decide(SLICED, Rules(margin=0.1, must_pass=("broken", "steady"))).slices
    raw = {"steady": 0.5, "all": 1 / 128, "broken": 1 / 128, "hurt": 1 / 8, "better": 15 / 16}
    assert [s.name for s in found] == ["steady", "all", "broken", "hurt", "better", "lost"]
    corrected = holm(raw)
    assert {s.name: s.p_value for s in found} == pytest.approx({**corrected, "lost": None})
    assert corrected["all"] == pytest.approx(5 / 128)
    assert {s.name: (s.finding, s.vetoes, s.must_pass) for s in found} == {
        "steady": (Finding.PASS, False, True),
        "all": (Finding.FAIL, True, False),
        "broken": (Finding.FAIL, True, True),
        "hurt": (Finding.INCONCLUSIVE, False, False),
        "better": (Finding.PASS, False, False),
        "lost": (Finding.INCONCLUSIVE, False, False),
    }
    assert [s.n + s.missing for s in found] == [40, 46, 15, 2, 3, 5]


def test_a_drop_that_is_significant_only_before_the_correction_is_no_fail() -> None:
    """5 of 5: mid-p 1/64, of three slices 3/64; below alpha for one slice only."""
    tallies = [*many(5, 1, 0, "a", "b", "c", "a"), *many(60, 1, 1)]
    for alpha, finding in (
        (3 / 64, Finding.FAIL),
        (3 / 64 - 1e-9, Finding.INCONCLUSIVE),
        (1 / 64, Finding.INCONCLUSIVE),
    ):
        found = decide(tallies, Rules(margin=0.1, alpha=alpha)).slices
        assert [(s.name, s.finding, s.vetoes, s.n) for s in found] == [
            (name, finding, finding is Finding.FAIL, 5) for name in "abc"
        ]


def test_a_slice_that_gains_or_passes_vetoes_nothing() -> None:
    lenient = Rules(margin=0.5, alpha=0.49)
    tallies = [*many(6, 0, 1, "up"), *many(1, 1, 0, "inside", name="x"), *many(99, 1, 1, "inside", name="x")]
    assert [(s.name, s.finding, s.vetoes) for s in decide(tallies, lenient).slices] == [
        ("up", Finding.PASS, False),
        ("inside", Finding.PASS, False),
    ]


def test_of_a_first_version_only_a_slice_that_must_pass_vetoes() -> None:
    tallies = [*alone(40, 1, "good"), *alone(20, 0, "asked", name="a"), *alone(20, 0, "idle", name="i")]
    found = decide(tallies, Rules(min_pass_rate=0.4, must_pass=("asked", "good")), absolute=True)
    assert [(s.name, s.finding, s.vetoes, s.must_pass) for s in found.slices] == [
        ("good", Finding.PASS, False, True),
        ("asked", Finding.FAIL, True, True),
        ("idle", Finding.FAIL, False, False),
    ]
    assert found.finding is Finding.FAIL


# --- the verdict ----------------------------------------------------------------------------------------------------


def percent(value: float) -> str:
    return f"{100 * value:+.1f}"


def test_a_pass_says_what_is_ruled_out() -> None:
    tallies = [*many(97, 3, 3, runs=3), *many(3, 3, 2, runs=3), case("lost", 3, None, 3)]
    found = decide(tallies, RULES)
    bounds = paired_interval([0.0] * 97 + [-1 / 3] * 3, 0.05)
    assert (found.finding, found.absolute) == (Finding.PASS, False)
    assert found.reasons == (
        f"Over all cases: 100.0% passed before, 99.0% now, difference -1.0 points ({percent(bounds.lower)} to "
        f"{percent(bounds.upper)}, 100 cases, 3 runs each). A drop of more than 10 points is ruled out. "
        "1 of 101 cases are missing and count as failed.",
    )
    assert found.changes == {t.case: change_of(t) for t in tallies}
    assert found.flaky == [f"c-3-2-{i}" for i in range(3)]
    assert found.cases(Change.MISSING) == ["lost"]
    assert (found.slices, found.critical_failed, found.critical_doubtful) == ((), (), ())


def test_a_fail_says_how_significant_it_is() -> None:
    found = decide([*many(20, 1, 1), *many(10, 1, 0)], RULES)
    assert found.finding is Finding.FAIL
    assert found.overall.finding is Finding.FAIL
    [reason] = found.reasons
    assert reason.startswith("Over all cases: 100.0% passed before, 66.7% now, difference -33.3 points (")
    assert reason.endswith(", 30 cases, 1 run each). The drop is significant (p = 0.000488).")


def test_an_inconclusive_run_says_what_would_do() -> None:
    found = decide([*many(10, 1, 1), *many(2, 1, 0), case("lost", 1, 1, None)], RULES)
    assert found.finding is Finding.INCONCLUSIVE
    wanted = cases_needed(0.1, 2 / 12, alpha=0.05, power=0.8)
    [reason] = found.reasons
    assert reason.endswith(
        "(-36.9 to +8.4, 12 cases, 1 run each). A drop of more than 10 points is not ruled out. 12 cases are too few: "
        "even without a single difference they rule out no less than 16.6 points. "
        f"About {wanted} cases would do ({wanted - 12} more). 1 of 13 cases are missing and count as failed."
    )


def test_an_inconclusive_run_of_enough_cases_asks_for_no_more() -> None:
    """Equal versions would do with 22 cases; these are 40, and one newly fails."""
    tallies = [*many(38, 2, 2, runs=2), case("x", 2, 2, 0), case("y", 2, 2, 0)]
    found = decide(tallies, RULES)
    assert found.finding is Finding.INCONCLUSIVE
    [reason] = found.reasons
    assert reason.endswith("40 cases, 2 runs each). A drop of more than 10 points is not ruled out.")


def test_a_first_versions_sentences() -> None:
    rules = Rules(min_pass_rate=0.7)
    passed = decide([*alone(39, 1), *alone(1, 0)], rules, absolute=True)
    assert (passed.finding, passed.absolute) == (Finding.PASS, True)
    lower = rate_interval([1.0] * 39 + [0.0], 0.05).lower
    assert passed.reasons == (
        f"Over all cases: 97.5% passed (40 cases); at least {lower:.1%} is proved, 70% is required.",
    )
    few = decide([*alone(5, 1), case("lost", 1, None, None)], rules, absolute=True)
    assert few.finding is Finding.INCONCLUSIVE
    [reason] = few.reasons
    perfect = cases_for_rate(0.7, 0.05)
    assert reason.endswith(
        f"70% is required. Even a perfect run needs {perfect} cases for that. "
        "1 of 6 cases are missing and count as failed."
    )
    [failed] = decide(alone(5, 0), rules, absolute=True).reasons
    assert failed.endswith("70% is required.")
    [undecided] = decide([*alone(30, 1), *alone(12, 0)], rules, absolute=True).reasons
    assert undecided.endswith("70% is required.")


def test_nothing_run_is_told_of_the_whole_and_of_the_slice() -> None:
    tallies = many(3, 1, None, "a")
    found = decide(tallies, Rules(must_pass=("a", "nowhere")))
    assert found.reasons == (
        "Over all cases: not one of 3 cases could be run completely, so nothing is known.",
        "In slice 'a': not one of 3 cases could be run completely, so nothing is known.",
        "Slice 'nowhere' must pass, but no case carries this tag.",
    )


def test_what_speaks_against_is_told_before_what_is_unclear() -> None:
    """Critical cases, the whole, slices that veto; then doubtful cases, slices not proved, slices without a case."""
    tallies = [
        *many(30, 2, 2, runs=2),
        case("threat", 2, 2, 1, "must", critical=True),
        *many(12, 2, 0, "broken", runs=2),
        case("leak", 2, 2, 0, critical=True),
        case("void", 2, 2, None, critical=True),
        case("old", 2, 0, 0, critical=True),
        case("same", 2, 1, 1, critical=True),
        case("spill", 2, 2, 0, critical=True),
        case("fine", 2, 0, 2, critical=True),
    ]
    found = decide(tallies, Rules(margin=0.05, must_pass=("must", "nowhere", "broken")))
    assert found.finding is Finding.FAIL
    assert found.critical_failed == ("threat", "leak", "spill")
    assert found.critical_doubtful == ("void", "old")
    starts = [re.split(r"[:.,]", r)[0] for r in found.reasons]
    assert starts == [
        "3 critical cases newly failing",
        "Over all cases",
        "In slice 'broken'",
        "Critical case 'void' could not be settled",
        "Critical case 'old' fails",
        "In slice 'must'",
        "Slice 'nowhere' must pass",
    ]
    assert found.reasons[0] == "3 critical cases newly failing: 'threat', 'leak', 'spill'."


@pytest.mark.parametrize(
    ("stable", "candidate", "failed", "doubtful"),
    [
        (4, 2, True, False),
        (4, 3, False, True),
        (3, 2, False, True),
        (3, 3, False, False),
        (0, 0, False, True),
        (2, 3, False, False),
        (4, 4, False, False),
        (None, 3, False, True),
        (None, 4, False, False),
        (4, None, False, True),
        (None, None, False, True),
    ],
)
def test_a_critical_case(stable: int | None, candidate: int | None, failed: bool, doubtful: bool) -> None:
    """Whether it newly fails, and whether that cannot be told: partly worse, or not run."""
    tallies = [*many(300, 4, 4, runs=4), case("x", 4, stable, candidate, critical=True)]
    found = decide(tallies, RULES)
    assert (found.critical_failed, found.critical_doubtful) == (("x",) * failed, ("x",) * doubtful)
    expected = Finding.FAIL if failed else Finding.INCONCLUSIVE if doubtful else Finding.PASS
    assert found.finding is expected
    calm = decide([*tallies[:-1], replace(tallies[-1], critical=False)], RULES)
    assert (calm.finding, calm.critical_failed, calm.critical_doubtful) == (Finding.PASS, (), ())


@pytest.mark.parametrize(("candidate", "failed", "doubtful"), [(4, 0, 0), (3, 1, 0), (0, 1, 0), (None, 0, 1)])
def test_a_critical_case_of_a_first_version_must_pass_every_run(
    candidate: int | None, failed: int, doubtful: int
) -> None:
    tallies = [*alone(300, 4, runs=4), case("x", 4, None, candidate, critical=True)]
    found = decide(tallies, RULES, absolute=True)
    assert (found.critical_failed, found.critical_doubtful) == (("x",) * failed, ("x",) * doubtful)
    assert found.reasons[0] == (
        "Critical case failing: 'x'."
        if failed
        else "Critical case 'x' could not be settled: it failed some of its runs, or could not be run."
        if doubtful
        else found.reasons[0]
    )


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, " and 1 more"), (13, " and 3 more")])
def test_ten_critical_cases_are_named(count: int, more: str) -> None:
    tallies = [*many(300, 1, 1), *(case(f"x{i}", 1, 1, 0, critical=True) for i in range(count))]
    named = ", ".join(f"'x{i}'" for i in range(10))
    assert decide(tallies, RULES).reasons[0] == f"{count} critical cases newly failing: {named}{more}."


def test_a_slice_that_must_pass_is_told_once_when_it_vetoes() -> None:
    tallies = [*many(300, 1, 1), *many(8, 1, 0, "must")]
    found = decide(tallies, Rules(margin=0.1, must_pass=("must",)))
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith("In slice 'must': 100.0% passed before, 0.0% now")


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tallies", "absolute", "message"),
    [
        ([], False, "the run holds no case; a suite without cases can show nothing"),
        (
            [case("a", 1, 1, 1), case("b", 1, 1, 1), case("a", 1, 0, 1)],
            False,
            "case 'a' appears twice in the run; case ids must be unique",
        ),
        ([case("a", 0, 0, 0)], False, "case 'a': passes must lie between 0 and its 0 runs"),
        ([case("a", 2, 2, 2), case("b", 2, 3, 2)], False, "case 'b': passes must lie between 0 and its 2 runs"),
        ([case("a", 2, 2, 3)], False, "case 'a': passes must lie between 0 and its 2 runs"),
        ([case("a", 2, -1, 2)], False, "case 'a': passes must lie between 0 and its 2 runs"),
        ([case("a", 2, None, 3)], True, "case 'a': passes must lie between 0 and its 2 runs"),
        (
            [case("a", 2, None, 2), case("b", 2, 0, 2)],
            True,
            "case 'b' has a stable side, but a first version has no stable to compare with",
        ),
    ],
)
def test_a_run_that_cannot_be_true_is_refused(tallies: list[CaseTally], absolute: bool, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decide(tallies, RULES, absolute=absolute)
    assert str(caught.value) == message


def test_two_useless_versions_are_no_pass() -> None:
    found = decide(many(300, 0, 0), RULES)
    assert (found.finding, found.overall.finding) == (Finding.FAIL, Finding.PASS)
    assert found.reasons[0] == (
        "0.0% of 300 cases pass; tests.at_least asks for 50%, whatever passed before. Mend the prompt or the suite."
    )
    half = [*many(150, 0, 0), *many(150, 1, 1)]
    assert decide(half, RULES).finding is Finding.PASS
    assert decide([*half, case("x", 1, 0, 0)], RULES).finding is Finding.FAIL
    assert decide(many(300, 0, 0), replace(RULES, at_least=0.0)).finding is Finding.PASS
    assert decide([case("gone", 1, None, None)], RULES).finding is Finding.INCONCLUSIVE
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(InvalidInput, match=r"tests\.at_least"):
            replace(RULES, at_least=wrong)


@pytest.mark.parametrize("field", ["margin", "alpha", "power", "min_pass_rate"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, math.nan, math.inf])
def test_rules_lie_between_nothing_and_all(field: str, value: float) -> None:
    given: dict[str, Any] = {field: value}
    with pytest.raises(InvalidInput) as caught:
        Rules(**given)
    assert str(caught.value) == f"tests.{field} is {value!r}; it must lie between 0 and 1"
    assert Rules(**{**given, field: 0.999}) is not None


def test_what_planning_assumes_is_published() -> None:
    assert (verdict.NEWLY, statistics.EXACT_UP_TO) == (0.5, 600)
    assert (statistics.PLANNED_RATE, statistics.PLANNED_CORRELATION) == (0.9, 0.6)
