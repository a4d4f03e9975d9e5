"""The verdict against figures computed elsewhere, and properties of it. Its rules one by one: test_verdict.py."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.suite.statistics import (
    cases_needed,
    detectable,
    paired_interval,
    planned_variance,
    provable_margin,
    sign_flip_p,
)
from promptlane.domain.suite.verdict import CaseTally, Finding, Rules, decide

RULES = Rules(margin=0.05)


def tally(i: int, stable: int | None, candidate: int | None, runs: int = 1, **more: Any) -> CaseTally:
    return CaseTally(case=f"case-{i}", runs=runs, stable=stable, candidate=candidate, **more)


def equal(n: int, runs: int = 1, **more: Any) -> list[CaseTally]:
    return [tally(i, runs, runs, runs, **more) for i in range(n)]


@pytest.mark.parametrize(("worse", "better"), [(9, 1), (5, 0), (12, 8), (3, 3)])
def test_sign_flip_of_single_runs_is_mcnemars_mid_p(worse: int, better: int) -> None:
    n = worse + better
    exact = sum(math.comb(n, k) for k in range(better)) / 2**n + math.comb(n, better) / 2 ** (n + 1)
    assert sign_flip_p([-1] * worse + [1] * better) == pytest.approx(exact)


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
