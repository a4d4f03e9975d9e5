"""What a reviewer is shown, gathered and bounded."""

from __future__ import annotations

from typing import Any

import pytest

from promptlane.domain.policy import Policy
from promptlane.domain.release.content import canonical_variants, fingerprint
from promptlane.domain.release.prompt import PromptVersion
from promptlane.domain.review.brief import (
    Brief,
    CaseChange,
    VerdictShown,
    bounded_cases,
    make_brief,
    plan_in_words,
    verdict_shown,
)
from promptlane.domain.text import in_words
from tests.support.prompt import ID

POLICY = Policy.from_dict(
    {
        "review": {"reviewers": [{"name": "lead", "email": "lead@example.com"}]},
        "canary": {
            "steps": [
                {"weight": "1.5%", "min_bake": "90s", "max_time": "2h"},
                {"weight": "20%", "min_bake": "1h", "max_time": "1d"},
            ]
        },
        "watch": {"duration": "3h", "holdback": "2.5%"},
    }
)
PLAN = (
    ("1.5%", "for at least 1 minute 30 seconds, at most 2 hours"),
    ("20%", "for at least 1 hour, at most 1 day"),
    ("100%", "watched for 3 hours; 2.5% stay on the old version"),
)
FIRST = (("100%", "at once: it is the prompt's first version, so there is nothing to compare it with"),)


def version(number: int, text: str) -> PromptVersion:
    variant = {"modelId": "m", "metadata": [1], "templateConfiguration": {"text": {"text": text}}}
    return PromptVersion(ID, "support", number, f"arn:{number}", (variant,), f"why {number}")


OLD, NEW = version(3, "old"), version(4, "new")


def made(stable: PromptVersion | None) -> Brief:
    return make_brief(
        release_id="PROMPT0001-4-1",
        round=2,
        candidate=NEW,
        stable=stable,
        authors=["ada", "bo"],
        requested_by="cy",
        tests=VerdictShown("pass"),
        policy=POLICY,
    )


def test_a_brief_shows_both_versions_as_they_are_hashed_and_the_plan() -> None:
    brief = made(OLD)

    assert brief == Brief(
        release_id="PROMPT0001-4-1",
        round=2,
        prompt="support",
        version=4,
        description="why 4",
        authors=("ada", "bo"),
        requested_by="cy",
        candidate_variants=canonical_variants(NEW.variants),
        stable_variants=canonical_variants(OLD.variants),
        stable_version=3,
        tests=VerdictShown("pass"),
        plan=PLAN,
    )
    assert brief.shows(NEW.fingerprint, OLD.fingerprint)
    assert not brief.shows(OLD.fingerprint, OLD.fingerprint)
    assert not brief.shows(NEW.fingerprint, NEW.fingerprint)
    assert not brief.shows(NEW.fingerprint, None)
    assert fingerprint(brief.candidate_variants) != fingerprint(brief.stable_variants)


def test_a_brief_of_a_first_version_compares_with_nothing() -> None:
    brief = made(None)

    assert (brief.stable_variants, brief.stable_version, brief.plan) == ((), None, FIRST)
    assert brief.shows(NEW.fingerprint, None)
    assert not brief.shows(NEW.fingerprint, fingerprint(()))


def test_a_brief_has_no_stable_version_tests_or_plan_unless_it_is_told() -> None:
    assert Brief("r", 1, "p", 2, "", (), "", []) == Brief("r", 1, "p", 2, "", (), "", [], (), None, VerdictShown(), ())
    assert VerdictShown() == VerdictShown("", "", (), (), 0, (), (), "")


def test_the_plan_of_a_first_version_is_all_at_once() -> None:
    assert plan_in_words(POLICY, first=True) == FIRST
    assert plan_in_words(POLICY, first=False) == PLAN


def test_a_plan_without_a_holdback_does_not_speak_of_one() -> None:
    policy = Policy.from_dict(
        {"review": {"reviewers": [{"name": "lead", "email": "lead@example.com"}]}, "watch": {"holdback": 0}}
    )

    assert plan_in_words(policy, first=False)[-1] == ("100%", "watched for 1 hour")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 seconds"),
        (0.6, "1 second"),
        (2, "2 seconds"),
        (60, "1 minute"),
        (3_600, "1 hour"),
        (86_400, "1 day"),
        (3_599, "59 minutes 59 seconds"),
        (86_399, "23 hours 59 minutes"),
        (2 * 86_400 + 5, "2 days 5 seconds"),
        (90_061, "1 day 1 hour"),
        (-1, "0 seconds"),
    ],
)
def test_a_duration_is_told_by_its_two_largest_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def case(number: int) -> CaseChange:
    return CaseChange(f"n{number}", f"s{number}", f"w{number}")


@pytest.mark.parametrize(("count", "left_out"), [(0, 0), (199, 0), (200, 0), (201, 1), (203, 3)])
def test_the_first_two_hundred_cases_are_kept(count: int, left_out: int) -> None:
    cases = [case(n) for n in range(count)]

    assert bounded_cases(cases) == (tuple(cases[:200]), left_out)


def test_texts_of_a_case_are_cut_to_what_fits_a_page() -> None:
    long = CaseChange("n" * 301, "s" * 101, "w" * 801)

    assert bounded_cases([long]) == ((CaseChange("n" * 300, "s" * 100, "w" * 800),), 0)


REPORT: dict[str, Any] = {
    "rows": [("All", "1%", "2%"), ("refunds", 3, 4)],
    "newly_failing": [
        {"name": "n1", "id": "i1", "slice": "s1", "why": "w1"},
        {"id": "i2"},
        {"name": "", "id": "i3", "slice": None},
        {},
    ],
    "inconclusive": ["few", 7],
    "undetectable": ["small", 8],
}


def test_a_verdict_is_shown_with_its_report() -> None:
    shown = verdict_shown({"verdict": "fail", "reason": "worse"}, REPORT, "reports/r.html")

    assert shown == VerdictShown(
        verdict="fail",
        reason="worse",
        rows=(("All", "1%", "2%"), ("refunds", "3", "4")),
        newly_failing=(
            CaseChange("n1", "s1", "w1"),
            CaseChange("i2", "", ""),
            CaseChange("i3", "", ""),
            CaseChange("", "", ""),
        ),
        left_out=0,
        inconclusive=("few", "7"),
        blind=("small", "8"),
        report_key="reports/r.html",
    )


@pytest.mark.parametrize(
    ("report", "key"),
    [(None, ""), ({}, ""), ({"rows": None, "newly_failing": None, "inconclusive": None, "undetectable": None}, "k")],
)
def test_a_verdict_without_a_report_shows_no_link_to_one(report: Any, key: str) -> None:
    assert verdict_shown({"verdict": None, "reason": None}, report, "k") == VerdictShown(report_key=key)
    assert verdict_shown({"verdict": "pass", "reason": "fine"}, report, "k").reason == "fine"


def test_everything_that_is_shown_is_bounded() -> None:
    report = {
        "rows": [("a" * 201, "b" * 201, "c" * 201)] * 51,
        "newly_failing": [{"name": "n"}] * 205,
        "inconclusive": ["i" * 501] * 51,
        "undetectable": ["u" * 501] * 21,
    }

    assert verdict_shown({"verdict": "fail", "reason": "r" * 2_001}, report, "k") == VerdictShown(
        verdict="fail",
        reason="r" * 2_000,
        rows=(("a" * 200, "b" * 200, "c" * 200),) * 50,
        newly_failing=(CaseChange("n", "", ""),) * 200,
        left_out=5,
        inconclusive=("i" * 500,) * 50,
        blind=("u" * 500,) * 20,
        report_key="k",
    )
