"""Results as lines of JSON, and the sums and examples over them."""

from __future__ import annotations

import json
import random
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.suite.answers import Answer, ToolCall
from promptlane.domain.suite.verdict import CaseTally, Change
from promptlane.engine.assertions import CaseGrade, Grade
from promptlane.engine.records import Collector, Side, missing_reason, passes, record_of
from promptlane.engine.runner import CaseRun, Run
from promptlane.engine.suite import Case

CASE = Case("refund", {"q": "x" * 1_001, "r": "y"}, (), "Says no", tags=("b", "a"), critical=True)
FAILED = CaseGrade(False, 0.123456, (Grade("bleu", False, 0.1, "low"), Grade("contains", True, 1, "", "tone")))
PASSED = CaseGrade(True, 1.0, (Grade("contains", True, 1, ""),))
ANSWER = Answer("no", "max_tokens", 12.345, 30, 4, (ToolCall("t", {"a": 1}),), 0.25)
ASSERTS = [
    {"type": "bleu", "passed": False, "score": 0.1, "reason": "low"},
    {"type": "contains", "passed": True, "score": 1, "metric": "tone"},
]


def test_a_record_holds_every_run_of_both_sides() -> None:
    bare = Answer("é")
    run = CaseRun(CASE, (Run(ANSWER, FAILED), Run(missing="gave up")), (Run(bare, PASSED, reused=True), Run(bare)))
    assert record_of(run) == {
        "case": "refund",
        "candidate": [
            {
                "output": "no",
                "stop_reason": "max_tokens",
                "latency_ms": 12.3,
                "input_tokens": 30,
                "output_tokens": 4,
                "cost_usd": 0.25,
                "tool_calls": [{"name": "t", "input": {"a": 1}}],
                "passed": False,
                "score": 0.1235,
                "asserts": ASSERTS,
            },
            {"missing": "gave up"},
        ],
        "stable": [
            {
                "reused": True,
                "output": "é",
                "stop_reason": "end_turn",
                "latency_ms": 0.0,
                "input_tokens": 0,
                "output_tokens": 0,
                "cost_usd": None,
                "passed": True,
                "score": 1.0,
                "asserts": [{"type": "contains", "passed": True, "score": 1}],
            },
            {
                "output": "é",
                "stop_reason": "end_turn",
                "latency_ms": 0.0,
                "input_tokens": 0,
                "output_tokens": 0,
                "cost_usd": None,
            },
        ],
    }
    assert record_of(CaseRun(CASE, (Run(missing="x" * 1_001),), None)) == {
        "case": "refund",
        "candidate": [{"missing": "x" * 1_000}],
    }


@pytest.mark.parametrize(("length", "more"), [(20_000, {}), (20_001, {"output_chars": 20_001})])
def test_an_output_is_kept_to_twenty_thousand_characters(length: int, more: dict[str, int]) -> None:
    calls = tuple(ToolCall(str(i), {}) for i in range(21))
    [record] = record_of(CaseRun(CASE, (Run(Answer("x" * length, tool_calls=calls)),), None))["candidate"]
    assert record["output"] == "x" * 20_000
    assert {k: v for k, v in record.items() if k == "output_chars"} == more
    assert [t["name"] for t in record["tool_calls"]] == [str(i) for i in range(20)]


def test_passes_are_counted_when_every_run_was_graded() -> None:
    won, lost = {"passed": True}, {"passed": False}
    assert passes([won, lost, won], 3) == 2
    assert passes([lost], 1) == 0
    assert passes([won, won], 3) is None
    assert passes([won, won], 1) is None
    assert passes([won, {"missing": "x"}], 2) is None
    assert passes(None, 1) is None
    assert passes([], 0) == 0


def test_a_missing_case_tells_the_first_reason_of_each_side() -> None:
    none, one, two = {"passed": True}, {"missing": "one"}, {"missing": "two"}
    assert missing_reason({"candidate": [none, one, two], "stable": [two, one]}) == "candidate: one; stable: two"
    assert missing_reason({"candidate": [none], "stable": [one]}) == "stable: one"
    assert missing_reason({"candidate": [{"missing": ""}], "stable": None}) == missing_reason({}) == ""


def ran(latency: float, cost: float | None, **more: Any) -> dict[str, Any]:
    return {"output": "", "latency_ms": latency, "input_tokens": 10, "output_tokens": 3, "cost_usd": cost, **more}


def test_a_side_sums_up_what_was_answered() -> None:
    side = Side()
    assert side.to_dict() == {
        "runs": 0,
        "reused": 0,
        "latency_ms_p50": None,
        "latency_ms_p95": None,
        "input_tokens_mean": None,
        "output_tokens_mean": None,
        "cost_usd": 0.0,
    }
    side.add({"missing": "x"})
    side.add(ran(30.0, 0.25, input_tokens=4))
    side.add(ran(10.0, 0.5, output_tokens=6))
    side.add(ran(20.0, None, reused=True, input_tokens=1))
    side.add(ran(40.0, 8.0, reused=True))
    assert side.to_dict() == {
        "runs": 4,
        "reused": 2,
        "latency_ms_p50": 30.0,
        "latency_ms_p95": 40.0,
        "input_tokens_mean": 6.25,
        "output_tokens_mean": 3.75,
        "cost_usd": 0.75,
    }
    side.add(ran(1.0, None))
    side.add(ran(1.0, 0.5))
    assert side.to_dict()["cost_usd"] is None


@pytest.mark.parametrize(("runs", "p50", "p95"), [(1, 0, 0), (2, 1, 1), (3, 1, 2), (20, 10, 19), (21, 10, 19)])
def test_quantiles_are_by_nearest_rank(runs: int, p50: int, p95: int) -> None:
    side = Side()
    for latency in random.Random(1).sample(range(runs), runs):
        side.add(ran(float(latency), 0.0))
    found = side.to_dict()
    assert (found["latency_ms_p50"], found["latency_ms_p95"]) == (p50, p95)


def graded(passed: bool, output: str, **more: Any) -> dict[str, Any]:
    said = {"type": "bleu", "passed": passed, "score": 0.5} | ({} if passed else {"reason": f"low in {output}"})
    other = {"type": "contains", "passed": True, "score": 1}
    return ran(5.0, 0.5, output=output, passed=passed, stop_reason=f"of {output}", asserts=[said, other], **more)


WON, LOST = graded(True, "won"), graded(False, "lost")


def collected(*cases: tuple[Case, dict[str, Any] | None], repeats: int = 2, absolute: bool = False) -> Collector:
    made = Collector([c.id for c, _ in cases], repeats=repeats, absolute=absolute)
    for case, record in cases:
        made.add(case, record)
    return made


def test_a_changed_case_shows_a_failing_run_of_the_candidate_and_a_passing_one_of_stable() -> None:
    lost_too = graded(False, "x" * 4_001, output_chars=70_000)
    record = {"candidate": [WON, lost_too, LOST], "stable": [graded(True, "z" * 4_001), LOST, WON]}
    made = collected((CASE, record), repeats=3)
    assert made.tallies == [CaseTally("refund", 3, 1, 2, ("b", "a"), True, "")]
    assert made.shown[Change.FLAKY] == [
        {
            "case": "refund",
            "description": "Says no",
            "tags": ["b", "a"],
            "critical": True,
            "vars": {"q": "x" * 1_000, "r": "y"},
            "candidate": {
                "passes": 1,
                "runs": 3,
                "output": "x" * 4_000,
                "output_chars": 70_000,
                "stop_reason": f"of {'x' * 4_001}",
                "failed": [{"type": "bleu", "reason": f"low in {'x' * 4_001}"}],
            },
            "stable": {
                "passes": 2,
                "runs": 3,
                "output": "z" * 4_000,
                "output_chars": 4_001,
                "stop_reason": f"of {'z' * 4_001}",
                "failed": [],
            },
        }
    ]
    assert {side: sums.to_dict()["runs"] for side, sums in made.sides.items()} == {"candidate": 3, "stable": 3}


def test_a_missing_case_tells_why_and_one_that_was_never_run_that() -> None:
    silent, never = Case("silent", {}, ()), Case("never", {}, ())
    gone = {"missing": "x" * 600}
    made = collected((silent, {"candidate": [gone, WON], "stable": [gone, {"missing": "y"}]}), (never, None))
    reason = ("candidate: " + "x" * 600)[:500]
    assert made.tallies == [
        CaseTally("silent", 2, None, None, reason=reason),
        CaseTally("never", 2, None, None, reason="its batch of cases did not finish"),
    ]
    nothing = {"passes": None, "runs": 0}
    assert [{k: d[k] for k in ("case", "candidate", "stable", "reason")} for d in made.shown[Change.MISSING]] == [
        {
            "case": "silent",
            "candidate": {
                "passes": None,
                "runs": 2,
                "output": "",
                "output_chars": 0,
                "stop_reason": None,
                "failed": [],
            },
            "stable": {
                "passes": None,
                "runs": 2,
                "output": "",
                "output_chars": 0,
                "stop_reason": None,
                "failed": [],
            },
            "reason": reason,
        },
        {"case": "never", "candidate": nothing, "stable": nothing, "reason": "its batch of cases did not finish"},
    ]


def test_one_side_that_is_missing_is_enough() -> None:
    gone = {"missing": "gone"}
    left, right = Case("left", {}, ()), Case("right", {}, ())
    made = collected(
        (left, {"candidate": [WON, gone], "stable": [WON, LOST]}),
        (right, {"candidate": [WON, LOST], "stable": [gone, gone]}),
    )
    assert [(d["case"], d["reason"]) for d in made.shown[Change.MISSING]] == [
        ("left", "candidate: gone"),
        ("right", "stable: gone"),
    ]
    assert [(t.candidate, t.stable) for t in made.tallies] == [(None, 1), (1, None)]


def test_what_failed_without_a_reason_has_an_empty_one() -> None:
    silent = {**LOST, "asserts": [{"type": "bleu", "passed": False, "score": 0}]}
    made = collected((CASE, {"candidate": [silent], "stable": [WON]}), repeats=1)
    assert made.shown[Change.NEWLY_FAILING][0]["candidate"]["failed"] == [{"type": "bleu", "reason": ""}]


def test_a_first_version_has_no_stable_side() -> None:
    case = Case("c", {}, ())
    made = collected((case, {"candidate": [LOST], "stable": [WON]}), repeats=1, absolute=True)
    assert made.tallies == [CaseTally("c", 1, 0)]
    assert made.sides.keys() == {"candidate"}
    [shown] = made.shown[Change.NEWLY_FAILING]
    assert shown.keys() == {"case", "description", "tags", "critical", "vars", "candidate"}


def test_adding_returns_the_tally_and_a_passing_case_shows_nothing() -> None:
    made = Collector(["c"], repeats=1, absolute=False)
    tally = made.add(Case("c", {}, ()), {"candidate": [WON], "stable": [WON]})
    assert tally == CaseTally("c", 1, 1, 1)
    assert made.shown == {change: [] for change in Change}


def test_a_sum_is_the_same_in_whatever_order_it_is_made() -> None:
    def total(costs: list[float]) -> float:
        side = Side()
        for cost in costs:
            side.add(ran(1.0, cost))
        found: float = side.to_dict()["cost_usd"]
        return found

    costs = [0.1, 0.2, 0.3, 1e-9, 7.7]
    assert len({list(accumulate(c))[-1] for c in (costs, costs[::-1])}) == 2
    assert total(costs) == total(costs[::-1]) == 8.300000001


ORDER = [f"q{i}" for i in random.Random(3).sample(range(450), 450)]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_in_which_cases_end_changes_neither_the_tallies_nor_which_two_hundred_are_shown(seed: int) -> None:
    made = Collector(ORDER, repeats=1, absolute=False)
    for case in random.Random(seed).sample(ORDER, len(ORDER)):
        record = {"candidate": [LOST], "stable": [WON]} if ORDER.index(case) % 2 else None
        made.add(Case(case, {}, ()), record)
    assert [t.case for t in made.tallies] == ORDER
    assert [d["case"] for d in made.shown[Change.NEWLY_FAILING]] == ORDER[1::2][:200]
    assert [d["case"] for d in made.shown[Change.MISSING]] == ORDER[::2][:200]


TEXT = st.text(max_size=9)
GRADE = st.builds(Grade, TEXT, st.booleans(), st.integers(0, 10_000).map(lambda i: i / 10_000), TEXT, TEXT)
RUN = st.builds(Run, missing=TEXT.filter(bool)) | st.builds(
    Run,
    answer=st.builds(
        Answer,
        TEXT,
        TEXT,
        st.integers(0, 999).map(lambda i: i / 10),
        st.integers(0),
        st.integers(0),
        st.lists(st.builds(ToolCall, TEXT, st.dictionaries(TEXT, st.integers(), max_size=1)), max_size=2).map(tuple),
        st.none() | st.floats(0, 9),
    ),
    grade=st.builds(CaseGrade, st.booleans(), st.just(0.5), st.lists(GRADE, max_size=2).map(tuple)),
    reused=st.booleans(),
)


@settings(max_examples=30)
@given(st.lists(RUN, max_size=3).map(tuple), st.none() | st.lists(RUN, max_size=3).map(tuple))
def test_a_record_is_plain_json_from_which_everything_that_was_graded_comes_back(
    candidate: tuple[Run, ...], stable: tuple[Run, ...] | None
) -> None:
    record = json.loads(json.dumps(record_of(CaseRun(CASE, candidate, stable))))
    assert ("stable" in record) is (stable is not None)
    for side, runs in (("candidate", candidate), ("stable", stable or ())):
        for run, data in zip(runs, record.get(side, []), strict=True):
            assert data.get("missing", "") == run.missing
            assert data.get("reused", False) is run.reused
            assert data.get("passed") is run.passed
            if run.answer and run.grade:
                restored = Answer.from_dict({**data, "text": data["output"]})
                assert restored == run.answer
                grades = [
                    Grade(g["type"], g["passed"], g["score"], g.get("reason", ""), g.get("metric", ""))
                    for g in data["asserts"]
                ]
                assert (data["score"], tuple(grades)) == (run.grade.score, run.grade.grades)
