"""The report for CI systems: every case and the verdict as JUnit XML."""

from __future__ import annotations

from typing import Any

from promptlane.domain.policy import TestPolicy as Policy
from promptlane.engine.junit import junit
from promptlane.engine.report import build
from tests.support.example_report import HEADING, LOST, PLAN, collected, equal


def test_newly_failing_cases_are_failures_missing_ones_errors_and_the_verdict_a_case() -> None:
    report = build(HEADING, PLAN, Policy(), collected()) | {"reason": "A <drop>."}
    assert junit(report).decode().split("\n") == [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<testsuite name="support version 8" tests="8" failures="3" errors="1">',
        '<testcase classname="support" name="verdict">',
        '<failure message="fail">A &lt;drop&gt;.</failure>',
        "</testcase>",
        '<testcase classname="support.b" name="late">',
        f'<failure message="newly failing">contains: {LOST}',
        "",
        "answer 0</failure>",
        "</testcase>",
        '<testcase classname="support" name="fine">',
        "</testcase>",
        '<testcase classname="support.a" name="grave">',
        f'<failure message="newly failing">contains: {LOST}',
        "",
        "answer 0</failure>",
        "</testcase>",
        '<testcase classname="support" name="better">',
        "</testcase>",
        '<testcase classname="support" name="shaky">',
        "</testcase>",
        '<testcase classname="support.b" name="bad">',
        "</testcase>",
        '<testcase classname="support" name="gone">',
        '<error message="missing">candidate: gave up</error>',
        "</testcase>",
        "</testsuite>",
    ]


def test_a_pass_has_no_failure() -> None:
    made = junit(build(HEADING, PLAN, Policy(), collected(equal(60)))).decode().split("\n")
    assert made[1:5] == [
        '<testsuite name="support version 8" tests="61" failures="0" errors="0">',
        '<testcase classname="support" name="verdict">',
        "</testcase>",
        '<testcase classname="support" name="0">',
    ]


def small(*cases: dict[str, Any], **shown: list[dict[str, Any]]) -> list[str]:
    counts = {"newly failing": 0, "missing": 0}
    report = {"prompt": "p", "candidate": "c", "verdict": "pass", "reason": "", "counts": counts}
    return junit({**report, "cases": cases, "shown": shown}).decode().split("\n")[4:-1]


def test_what_is_not_shown_is_still_counted() -> None:
    assert small({"case": "a", "change": "newly failing"}, {"case": "b", "change": "missing"}) == [
        '<testcase classname="p" name="a">',
        '<failure message="newly failing">',
        "",
        "</failure>",
        "</testcase>",
        '<testcase classname="p" name="b">',
        '<error message="missing"></error>',
        "</testcase>",
    ]


def test_all_that_failed_is_said_and_characters_that_xml_forbids_are_replaced() -> None:
    failed = [{"type": "a", "reason": "x\x00"}, {"type": "b", "reason": "\ud800&\uffff\U0001f600\t"}]
    shown = [{"case": 'q"1"<', "tags": ["t\x01", "u"], "candidate": {"failed": failed, "output": "\x1b[0m"}}]
    assert small({"case": 'q"1"<', "change": "newly failing"}, x=shown) == [
        '<testcase classname="p.t�" name=\'q"1"&lt;\'>',
        '<failure message="newly failing">a: x�',
        "b: �&amp;�\U0001f600\t",
        "",
        "�[0m</failure>",
        "</testcase>",
    ]
