"""The report of a run as data: everything in it, for a comparison and for a first version."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from promptlane.domain.policy import TestPolicy as Policy
from promptlane.domain.suite.statistics import Interval
from promptlane.domain.suite.verdict import Change, Comparison, Finding, decide
from promptlane.engine.plan import rules_of
from promptlane.engine.report import Heading, build, undetectable
from tests.support.example_report import FIRST, HEADING, LOST, PLAN, Y, collected, equal


def test_the_report_of_a_comparison_holds_everything() -> None:
    policy, made = Policy(margin=0.1, must_pass=("a",)), collected()
    rules = rules_of(policy)
    verdict = decide(made.tallies, rules)
    report = build(HEADING, PLAN, policy, made, notes=["a note"])
    shown = made.shown
    assert report == {
        "schema": 1,
        "prompt": "support",
        "at": 1.8e9,
        "candidate": "version 8",
        "candidate_fingerprint": "f8",
        "candidate_model": "acme-8",
        "stable": "version 7",
        "stable_fingerprint": "f7",
        "stable_model": "acme-7",
        "release_id": "P-8-1",
        "round": 3,
        "verdict": "fail",
        "proceed": False,
        "reason": " ".join(verdict.reasons[:3]),
        "reasons": list(verdict.reasons),
        "inconclusive_policy": "review",
        "absolute": False,
        "rules": asdict(rules),
        "plan": PLAN.to_dict(),
        "overall": {**asdict(verdict.overall), "finding": "inconclusive"},
        "slices": [
            {**asdict(verdict.slices[0]), "finding": "inconclusive"},
            {**asdict(verdict.slices[1]), "finding": "inconclusive"},
        ],
        "counts": {
            "newly failing": 2,
            "newly passing": 1,
            "flaky": 1,
            "failing in both": 1,
            "passing": 1,
            "missing": 1,
        },
        "critical_failed": ["grave"],
        "critical_doubtful": ["gone"],
        "shown": {
            "newly failing": shown[Change.NEWLY_FAILING][::-1],
            "newly passing": shown[Change.NEWLY_PASSING],
            "flaky": shown[Change.FLAKY],
            "failing in both": shown[Change.FAILING],
            "missing": shown[Change.MISSING],
        },
        "flaky": ["shaky"],
        "pass_k": {"k": 2, "cases": 6, "stable": [8 / 12, 3 / 6], "candidate": [6 / 12, 2 / 6]},
        "cases": [
            {"case": case, "change": change, "runs": 2, "candidate": now, "latency_ms": spent, "stable": before} | more
            for case, change, now, before, spent, more in (
                ("late", "newly failing", 0, 2, 201.0, {}),
                ("fine", "passing", 2, 2, 201.0, {}),
                ("grave", "newly failing", 1, 2, 201.0, {"critical": True}),
                ("better", "newly passing", 2, 1, 201.0, {}),
                ("shaky", "flaky", 1, 1, 201.0, {"critical": True}),
                ("bad", "failing in both", 0, 0, 201.0, {}),
                ("gone", "missing", None, 2, 100.0, {"critical": True, "reason": "candidate: gave up"}),
            )
        ],
        "sides": {side: sums.to_dict() for side, sums in made.sides.items()},
        "cost_usd": 13 * 0.25 + 14 * 0.125,
        "cost_estimated_usd": 0.5,
        "undetectable": undetectable(verdict, PLAN),
        "notes": ["a note", "few cases"],
        "rows": [
            ("all cases passed", "66.7%", "50%"),
            ("slice b", "50%", "0%"),
            ("slice a", "100%", "50%"),
            ("cases that pass in all of 2 runs", "50%", "33.3%"),
            ("latency, median", "51 ms", "100 ms"),
            ("latency, 95th percentile", "51 ms", "101 ms"),
            ("output tokens, mean", "6", "10"),
        ],
        "newly_failing": [
            {"name": "Promises nothing", "slice": "a (critical)", "why": f"contains: {LOST}"},
            {"name": "late", "slice": "b, a", "why": f"contains: {LOST}"},
        ],
        "inconclusive": [],
    }
    assert [d["case"] for d in report["shown"]["newly failing"]] == ["grave", "late"]


def test_the_report_of_a_first_version_has_one_side() -> None:
    policy, made = Policy(inconclusive="block"), collected(FIRST, absolute=True)
    report = build(Heading("support", 5.0, "draft", "f8", "acme-8"), PLAN, policy, made)
    verdict = decide(made.tallies, rules_of(policy), absolute=True)
    assert {k: report[k] for k in ("stable", "stable_fingerprint", "stable_model", "release_id", "round")} == {
        "stable": None,
        "stable_fingerprint": None,
        "stable_model": None,
        "release_id": "",
        "round": 0,
    }
    assert (report["absolute"], report["notes"], report["undetectable"]) == (
        True,
        ["few cases"],
        undetectable(verdict, PLAN),
    )
    assert report["cases"] == [
        {"case": "a", "change": "passing", "runs": 2, "candidate": 2, "latency_ms": 201.0},
        {"case": "b", "change": "newly failing", "runs": 2, "candidate": 0, "latency_ms": 201.0},
        {"case": "c", "change": "flaky", "runs": 2, "candidate": 1, "latency_ms": 201.0},
    ]
    assert report["rows"] == [
        ("all cases passed", "-", "50%"),
        ("slice x", "-", "100%"),
        ("cases that pass in all of 2 runs", "-", "33.3%"),
        ("latency, median", "-", "101 ms"),
        ("latency, 95th percentile", "-", "101 ms"),
        ("output tokens, mean", "-", "10"),
    ]
    assert report["cost_usd"] == 1.5
    assert report["newly_failing"] == [{"name": "b", "slice": "", "why": f"contains: {LOST}"}]


@pytest.mark.parametrize(
    ("rows", "inconclusive", "verdict", "proceed"),
    [
        (equal(60), "block", "pass", True),
        (equal(60), "review", "pass", True),
        (equal(8), "block", "inconclusive", False),
        (equal(8), "review", "inconclusive", True),
        (equal(60, passed=False), "review", "fail", False),
    ],
)
def test_only_what_passes_or_may_be_reviewed_goes_on(
    rows: list[Any], inconclusive: Any, verdict: str, proceed: bool
) -> None:
    report = build(HEADING, PLAN, Policy(inconclusive=inconclusive), collected(rows))
    assert (report["verdict"], report["proceed"], report["inconclusive_policy"]) == (verdict, proceed, inconclusive)
    assert report["inconclusive"] == (report["reasons"] if verdict == "inconclusive" else [])


def test_a_side_without_a_price_makes_the_cost_unknown() -> None:
    assert build(HEADING, PLAN, Policy(), collected(cost=None))["cost_usd"] is None


def test_the_first_twenty_slices_are_rows() -> None:
    rows = [((f"c{i}", (f"s{i}",), False, ""), (Y, Y), (Y, Y)) for i in range(21)]
    report = build(HEADING, PLAN, Policy(), collected(rows))
    assert [r[0] for r in report["rows"]] == [
        "all cases passed",
        *[f"slice s{i}" for i in range(20)],
        "cases that pass in all of 2 runs",
        "latency, median",
        "latency, 95th percentile",
        "output tokens, mean",
    ]
    assert len(report["slices"]) == 21


OVERALL = Comparison(
    name="all cases",
    finding=Finding.PASS,
    n=50,
    missing=0,
    runs=2,
    stable_rate=1.0,
    candidate_rate=1.0,
    interval=Interval(0.0, 0.0, 0.0),
    p_value=0.5,
    detectable=0.0625,
    provable=0.03,
    cases_needed=40,
)


def test_what_could_not_be_detected_is_said_in_sentences() -> None:
    base = decide(collected(equal(60)).tallies, rules_of(Policy()))

    def sentences(*slices: Comparison, absolute: bool = False, **overall: Any) -> list[str]:
        made = replace(base, absolute=absolute, overall=replace(OVERALL, **overall), slices=slices)
        return undetectable(made, PLAN)

    drop = "Over all cases, a drop of less than {} points would probably have gone unnoticed (50 cases, {} each)."
    assert sentences() == [drop.format("6.2", "2 runs")]
    assert sentences(provable=0.08, runs=1) == [drop.format("8.0", "1 run")]
    assert sentences(detectable=None) == sentences(absolute=True) == []
    small = [replace(OVERALL, name=n, too_small=True, finding=Finding.INCONCLUSIVE) for n in ("a", "b")]
    others = [replace(small[0], finding=Finding.FAIL), replace(small[0], too_small=False)]
    assert sentences(*small, *others, absolute=True, missing=3) == [
        "Too small to judge by themselves: a, b. Such a slice only shows when it breaks badly.",
        "3 cases are missing: what they would have shown is not known.",
    ]
