"""Cases that run several times: how often, how many must pass, and how reliably they do."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.enrolment.floor import Floor, TestFloor
from promptlane.domain.errors import SuiteInvalid
from promptlane.domain.policy import Policy, Reviewer, ReviewPolicy
from promptlane.domain.policy import TestPolicy as OfTests
from promptlane.domain.suite.statistics import all_of_k
from promptlane.domain.suite.verdict import Change, decide
from promptlane.engine.parse import parse
from promptlane.engine.plan import make_plan, rules_of
from promptlane.engine.records import Collector, record_of
from promptlane.engine.report import Heading, build
from promptlane.engine.runner import Bench, run_cases
from promptlane.engine.suite import Suite, facts
from promptlane.engine.targets import Target
from promptlane.fakes.objects import ScriptedModel
from promptlane.pages.test_report import page

Json = Any
HAS = [{"type": "contains", "value": "yes"}]


def suite_of(*tests: Json, **more: Json) -> Suite:
    return parse({"tests": [{"vars": {"q": str(i)}, "assert": HAS, **test} for i, test in enumerate(tests)], **more})


def target(label: str) -> Target:
    return Target(label, label, {"modelId": label, "templateConfiguration": {"text": {"text": "{{q}}"}}})


NEW, OLD = target("new"), target("old")


@pytest.mark.parametrize(
    ("test", "default", "suite", "found"),
    [
        ({}, {}, {}, (None, None)),
        ({}, {}, {"repeats": 5}, (None, None)),
        ({"repeats": 3}, {"repeats": 7}, {"repeats": 5}, (3, None)),
        ({}, {"repeats": 7}, {"repeats": 5}, (7, None)),
        ({}, {}, {"repeats": 5, "at_least": 4}, (5, 4)),
        ({"at_least": 3}, {"at_least": 5}, {"repeats": 5, "at_least": 4}, (5, 3)),
        ({"repeats": 9}, {"at_least": 5}, {}, (9, 5)),
        ({"at_least": 2}, {}, {"evaluateOptions": {"repeat": 3}}, (3, 2)),
    ],
)
def test_the_nearest_number_counts_and_at_least_brings_its_repeats(
    test: Json, default: Json, suite: Json, found: tuple[int | None, int | None]
) -> None:
    made = suite_of(test, defaultTest=default, **suite)
    [case] = made.cases
    assert (case.repeats, case.at_least) == found
    assert parse(made.to_dict()) == made
    assert parse({"tests": [case.to_dict()]}).cases == (case,)  # as a batch of a release reads it


@pytest.mark.parametrize(
    ("test", "why"),
    [
        ({"at_least": 2}, "needs `repeats` beside it"),
        ({"repeats": 4, "at_least": 2}, "is 2 of 4 runs; it lies above half"),
        ({"repeats": 4, "at_least": 5}, "is 5 of 4 runs; it lies above half"),
        ({"repeats": 0}, "must be a whole number from 1 to 20"),
        ({"repeats": 21}, "must be a whole number from 1 to 20"),
        ({"repeats": 3, "at_least": 2.5}, "must be a whole number from 1 to 20"),
        ({"repeats": True}, "must be a whole number from 1 to 20"),
        ({"repeat": 3}, "did you mean 'repeats'"),
    ],
)
def test_numbers_that_would_let_pass_what_mostly_fails_are_refused(test: Json, why: str) -> None:
    with pytest.raises(SuiteInvalid, match=why):
        suite_of(test)


def ran(suite: Suite, passing: dict[str, int], *, against: bool = True) -> Collector:
    """Of each side's calls for a case, so many pass: `new0` is the candidate's answers to the first case."""
    left = dict(passing)

    def answer(request: Any) -> str:
        key = request.model_id + request.body["messages"][0]["content"][0]["text"]
        left[key] -= 1
        return "yes" if left[key] >= 0 else "no"

    bench = Bench(NEW, OLD if against else None, ScriptedModel(answer), repeats=suite.repeats or 1, concurrency=1)
    collector = Collector((c.id for c in suite.cases), repeats=suite.repeats or 1, absolute=not against)
    for run in run_cases(suite.cases, bench):
        collector.add(run.case, record_of(run))
    return collector


def test_a_case_passes_as_one_when_enough_of_its_runs_do() -> None:
    suite = suite_of(*[{"repeats": 5, "at_least": 4}] * 3, {"critical": True}, repeats=2)
    made = ran(suite, {"new0": 4, "old0": 5, "new1": 3, "old1": 4, "new2": 5, "old2": 3, "new3": 2, "old3": 2})
    assert [(t.runs, t.stable, t.candidate, t.behind) for t in made.tallies] == [
        (1, 1, 1, 5),
        (1, 1, 0, 5),
        (1, 0, 1, 5),
        (2, 2, 2, None),
    ]
    verdict = decide(made.tallies, rules_of(OfTests()))
    assert list(verdict.changes.values()) == [
        Change.PASSING,
        Change.NEWLY_FAILING,
        Change.NEWLY_PASSING,
        Change.PASSING,
    ]
    assert verdict.overall.runs == 5
    [detail] = made.shown[Change.NEWLY_FAILING]
    assert (detail["at_least"], detail["candidate"]["passes"], detail["stable"]["passes"]) == (4, 3, 4)
    report = build(Heading.of("p", 1.0, NEW, OLD), make_plan(suite, PRICED, NEW, OLD), PRICED, made)
    assert [case.get("behind") for case in report["cases"]] == [
        {"runs": 5, "candidate": 4, "stable": 5},
        {"runs": 5, "candidate": 3, "stable": 4},
        {"runs": 5, "candidate": 5, "stable": 3},
        None,
    ]
    assert "passed 4/5 → 3/5, at least 4 must" in page(report).decode()


PRICED = OfTests(prices={"new": (1, 1), "old": (1, 1)})


def test_a_run_that_is_missing_leaves_its_case_missing_however_many_others_passed() -> None:
    [case] = suite_of({"repeats": 3, "at_least": 2}).cases
    collector = Collector([case.id], repeats=1, absolute=True)
    passed = {"passed": True, "output": "yes", "latency_ms": 1, "input_tokens": 1, "output_tokens": 1, "cost_usd": 0.0}
    tally = collector.add(case, {"candidate": [passed, passed, {"missing": "gave up"}]})
    assert (tally.candidate, tally.reason, collector.all_of_k()) == (None, "candidate: gave up", None)


def test_every_run_of_every_case_is_planned() -> None:
    plan = make_plan(suite_of({"repeats": 5, "at_least": 3}, {}, {"repeats": 1}, repeats=2), PRICED, NEW, OLD)
    assert plan.calls == 2 * (5 + 2 + 1)
    each = make_plan(suite_of({}, {}, {}, repeats=1), PRICED, NEW, OLD)
    assert plan.cost_usd == pytest.approx(each.cost_usd * 8 / 3)
    assert plan.detectable == each.detectable  # one of the cases counts once
    assert plan.sentence.startswith("3 cases x 2 x 2, each with its turns and repeats = 16 calls")


def test_no_case_may_run_less_often_than_the_platform_asks_for() -> None:
    floor = Floor(tests=TestFloor(repeats=3))
    policy = Policy(ReviewPolicy((Reviewer("Ana", "ana@example.com"),)), tests=OfTests(repeats=3))
    breaches = {
        repeats: [where for where, _ in floor.breaches(policy, facts(suite_of({"repeats": repeats}, {"repeats": 9})))]
        for repeats in (2, 3)
    }
    assert breaches == {2: ["suite.yaml repeats of a case"], 3: []}


def test_pass_k_is_told_over_cases_that_both_sides_ran_more_than_once() -> None:
    suite = suite_of({}, {}, {"repeats": 4}, {"repeats": 1}, repeats=3)
    made = ran(suite, {"new0": 3, "old0": 0, "new1": 2, "old1": 3, "new2": 2, "old2": 4, "new3": 1, "old3": 0})
    found = made.all_of_k()
    assert found is not None
    assert (found["k"], found["cases"]) == (3, 3)
    assert found["candidate"] == pytest.approx([(1 + 2 / 3 + 1 / 2) / 3, (1 + 1 / 3 + 1 / 6) / 3, 1 / 3])
    assert found["stable"] == pytest.approx([2 / 3] * 3)
    assert ran(suite_of({}), {"new0": 1}, against=False).all_of_k() is None


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=6), min_size=1, max_size=4), st.integers(1, 3))
def test_pass_k_is_the_share_of_all_choices_of_k_runs_in_which_all_pass(runs: list[list[bool]], k: int) -> None:
    shares = []
    for case in runs:
        chosen = list(itertools.combinations(case, k))
        shares.append(sum(map(all, chosen)) / len(chosen))
    assert all_of_k([(sum(case), len(case)) for case in runs], k) == pytest.approx(sum(shares) / len(shares))
