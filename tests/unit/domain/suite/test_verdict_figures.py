"""The verdict: its formulas against figures computed elsewhere, its properties, and what decides it."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput
from promptlane.domain.suite.verdict import (
    CaseTally,
    Change,
    Finding,
    Rules,
    cases_for_rate,
    cases_needed,
    decide,
    detectable,
    holm,
    paired_interval,
    planned_variance,
    provable_margin,
    rate_interval,
    sign_flip_p,
)

RULES = Rules(margin=0.05)


def tally(i: int, stable: int | None, candidate: int | None, runs: int = 1, **more: Any) -> CaseTally:
    return CaseTally(case=f"case-{i}", runs=runs, stable=stable, candidate=candidate, **more)


def equal(n: int, runs: int = 1, **more: Any) -> list[CaseTally]:
    return [tally(i, runs, runs, runs, **more) for i in range(n)]


@given(st.lists(st.integers(-3, 3), max_size=9))
def test_sign_flip_equals_enumeration_of_all_signs(units: list[int]) -> None:
    sizes = [abs(u) for u in units if u]
    observed = sum(units)
    sums = [
        sum(s * k for s, k in zip(signs, sizes, strict=True)) for signs in itertools.product((-1, 1), repeat=len(sizes))
    ]
    expected = (sum(s < observed for s in sums) + sum(s == observed for s in sums) / 2) / len(sums)
    assert sign_flip_p(units) == pytest.approx(expected)


@pytest.mark.parametrize(("worse", "better"), [(9, 1), (5, 0), (12, 8), (3, 3)])
def test_sign_flip_of_single_runs_is_mcnemars_mid_p(worse: int, better: int) -> None:
    n = worse + better
    exact = sum(math.comb(n, k) for k in range(better)) / 2**n + math.comb(n, better) / 2 ** (n + 1)
    assert sign_flip_p([-1] * worse + [1] * better) == pytest.approx(exact)


def test_the_normal_form_for_many_cases_meets_the_exact_one() -> None:
    units = [-1] * 320 + [1] * 280
    more = [*units, 1]
    assert len(more) > 600
    assert sign_flip_p(units) == pytest.approx(sign_flip_p(more), abs=0.01)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), max_size=60))
def test_the_interval_holds_its_estimate_and_mirrors_with_the_sides(differences: list[float]) -> None:
    interval = paired_interval(differences, 0.05)
    mirrored = paired_interval([-d for d in differences], 0.05)
    assert -1 <= interval.lower < interval.upper <= 1
    assert interval.lower == pytest.approx(-mirrored.upper)
    assert interval.estimate == pytest.approx(-mirrored.estimate)


def test_detectable_drop_agrees_with_the_table_of_the_study() -> None:
    # p = .9, correlation .6; percentage points for (cases, repeats)
    table = {(20, 1): 29, (20, 3): 26, (20, 5): 25, (50, 1): 16, (50, 3): 13, (50, 5): 12}
    for (n, repeats), points in table.items():
        found = detectable(n, planned_variance(repeats), alpha=0.05, power=0.8)
        assert found is not None
        assert round(100 * found) == points
    assert detectable(0, 0.1, alpha=0.05, power=0.8) is None


@pytest.mark.parametrize(("margin", "cases"), [(0.10, 22), (0.05, 45), (0.02, 115)])
def test_a_perfect_run_proves_what_the_table_says(margin: float, cases: int) -> None:
    rules = Rules(margin=margin)
    assert provable_margin(cases, 0.05) <= margin
    assert decide(equal(cases), rules).finding is Finding.PASS
    assert decide(equal(cases - 1), rules).finding is Finding.INCONCLUSIVE


@given(st.integers(1, 80), st.integers(1, 5), st.data())
@settings(max_examples=60)
def test_more_newly_failing_cases_never_make_the_verdict_better(n: int, runs: int, data: st.DataObject) -> None:
    order = [Finding.PASS, Finding.INCONCLUSIVE, Finding.FAIL]
    broken = data.draw(st.integers(0, n - 1))
    tallies = [tally(i, runs, 0 if i < broken else runs, runs) for i in range(n)]
    worse = [tally(i, runs, 0 if i <= broken else runs, runs) for i in range(n)]
    assert order.index(decide(tallies, RULES).finding) <= order.index(decide(worse, RULES).finding)


@given(st.integers(1, 80), st.data())
@settings(max_examples=60)
def test_a_missing_case_never_makes_the_verdict_better(n: int, data: st.DataObject) -> None:
    passes = data.draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=n, max_size=n))
    gone = data.draw(st.integers(0, n - 1))
    full = decide([tally(i, a, b) for i, (a, b) in enumerate(passes)], RULES).finding
    holed = decide([tally(i, a, None if i == gone else b) for i, (a, b) in enumerate(passes)], RULES).finding
    assert not (holed is Finding.PASS and full is not Finding.PASS)


def test_nothing_run_is_inconclusive_and_says_so() -> None:
    verdict = decide([tally(i, 1, None) for i in range(50)], RULES)
    assert verdict.finding is Finding.INCONCLUSIVE
    assert "not one of 50 cases" in verdict.reasons[0]
    assert verdict.cases(Change.MISSING) == [f"case-{i}" for i in range(50)]


def test_eight_cases_are_inconclusive_and_the_reason_says_how_many_would_do() -> None:
    verdict = decide(equal(8), RULES)
    assert verdict.finding is Finding.INCONCLUSIVE
    assert "8 cases are too few" in verdict.reasons[0]
    assert "45 cases would do (37 more)" in verdict.reasons[0]


def test_a_slice_that_breaks_fails_a_candidate_that_is_better_elsewhere() -> None:
    # 160 cases; the candidate wins 12 elsewhere and loses one whole slice, 5 % of the suite
    tallies = [tally(i, 0 if i < 12 else 3, 3, 3, tags=("billing" if i < 76 else "shipping",)) for i in range(152)] + [
        tally(i, 3, 0, 3, tags=("refunds",)) for i in range(152, 160)
    ]
    verdict = decide(tallies, RULES)
    assert verdict.overall.finding is Finding.PASS
    assert verdict.finding is Finding.FAIL
    assert "'refunds'" in verdict.reasons[0]
    assert verdict.cases(Change.NEWLY_FAILING) == [f"case-{i}" for i in range(152, 160)]
    assert len(verdict.cases(Change.NEWLY_PASSING)) == 12


def test_a_critical_case_that_newly_fails_decides_alone() -> None:
    tallies = [*equal(300), CaseTally("no-threats", 1, candidate=0, stable=1, critical=True)]
    verdict = decide(tallies, RULES)
    assert verdict.finding is Finding.FAIL
    assert verdict.critical_failed == ("no-threats",)
    assert "no-threats" in verdict.reasons[0]


def test_a_critical_case_that_failed_before_too_does_not_fail_the_candidate() -> None:
    tallies = [*equal(300), CaseTally("old-wound", 1, candidate=0, stable=0, critical=True)]
    assert decide(tallies, RULES).finding is Finding.PASS


@pytest.mark.parametrize("candidate", [2, None])
def test_a_critical_case_that_is_flaky_or_missing_keeps_the_verdict_open(candidate: int | None) -> None:
    tallies = [*equal(300, 3), CaseTally("no-threats", 3, candidate=candidate, stable=3, critical=True)]
    verdict = decide(tallies, RULES)
    assert verdict.finding is Finding.INCONCLUSIVE
    assert verdict.critical_doubtful == ("no-threats",)


def test_a_slice_that_must_pass_needs_its_own_proof() -> None:
    tallies = equal(200, tags=("all",)) + [tally(i, 1, 1, tags=("unsafe",)) for i in range(200, 210)]
    assert decide(tallies, RULES).finding is Finding.PASS
    strict = decide(tallies, Rules(margin=0.05, must_pass=("unsafe",)))
    assert strict.finding is Finding.INCONCLUSIVE
    assert "'unsafe'" in strict.reasons[0]
    nowhere = decide(tallies, Rules(margin=0.05, must_pass=("refunds",)))
    assert nowhere.finding is Finding.INCONCLUSIVE
    assert "no case carries this tag" in nowhere.reasons[0]


def test_flaky_cases_are_named() -> None:
    verdict = decide([*equal(99, 3), tally(99, 3, 2, 3)], RULES)
    assert verdict.flaky == ["case-99"]


def test_a_small_proven_drop_inside_the_margin_passes_and_is_reported() -> None:
    tallies = [tally(i, 1, 0 if i < 12 else 1) for i in range(1000)]
    verdict = decide(tallies, RULES)
    assert verdict.finding is Finding.PASS
    assert "-1.2 points" in verdict.reasons[0]


def test_a_first_version_is_judged_by_itself() -> None:
    def run(passed: int, failed: int) -> Finding:
        tallies = [CaseTally(f"c{i}", 1, candidate=int(i < passed)) for i in range(passed + failed)]
        return decide(tallies, RULES, absolute=True).finding

    assert run(40, 0) is Finding.PASS
    assert run(38, 2) is Finding.PASS
    assert run(20, 20) is Finding.FAIL
    assert run(8, 0) is Finding.INCONCLUSIVE
    critical = [CaseTally(f"c{i}", 3, candidate=3) for i in range(60)] + [CaseTally("x", 3, candidate=2, critical=True)]
    assert decide(critical, RULES, absolute=True).critical_failed == ("x",)


def test_holm_corrects_the_smallest_most_and_keeps_the_order() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def test_equal_versions_seldom_fail_and_worse_ones_seldom_pass() -> None:
    dice = random.Random(5)
    false_fail = false_pass = 0
    for _ in range(300):
        same = [tally(i, int(dice.random() < 0.9), int(dice.random() < 0.9)) for i in range(80)]
        false_fail += decide(same, RULES).finding is Finding.FAIL
        worse = [tally(i, int(dice.random() < 0.9), int(dice.random() < 0.85)) for i in range(80)]
        false_pass += decide(worse, RULES).finding is Finding.PASS
    assert false_fail <= 30
    assert false_pass <= 30


def test_cases_needed_is_bounded_by_what_a_perfect_run_needs() -> None:
    assert cases_needed(0.05, 0.0, alpha=0.05, power=0.8) == 45
    assert cases_needed(0.05, planned_variance(1), alpha=0.05, power=0.8) == 179


@pytest.mark.parametrize(
    ("tallies", "message"),
    [
        ([], "no case"),
        ([tally(1, 1, 1), tally(1, 1, 1)], "twice"),
        ([tally(1, 2, 1)], "between 0 and"),
    ],
)
def test_a_broken_run_is_refused(tallies: list[CaseTally], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        decide(tallies, RULES)


@pytest.mark.parametrize("field", ["margin", "alpha", "power", "min_pass_rate"])
def test_rules_out_of_range_are_refused(field: str) -> None:
    given: dict[str, Any] = {field: 1.5}
    with pytest.raises(InvalidInput, match=f"tests.{field}"):
        Rules(**given)


@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95])
def test_cases_for_a_rate_are_the_fewest_that_prove_it(rate: float) -> None:
    n = cases_for_rate(rate, 0.05)
    assert rate_interval([1.0] * n, 0.05).lower > rate
    assert n == 1 or rate_interval([1.0] * (n - 1), 0.05).lower <= rate
