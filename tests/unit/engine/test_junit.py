"""The report for CI systems: every case and the verdict as JUnit XML."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from promptlane.domain.policy import TestPolicy as Policy
from promptlane.engine.junit import junit
from promptlane.engine.report import build
from tests.support.example_report import HEADING, LOST, PLAN, collected, equal


def test_newly_failing_cases_are_failures_missing_ones_errors_and_the_verdict_a_case() -> None:
    report = build(HEADING, PLAN, Policy(), collected()) | {"reason": "A <drop>."}
    assert junit(report).decode().split("\n") == [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<testsuites name="support" tests="8" failures="3" errors="1" skipped="1" time="1.306">',
        '<testsuite name="support version 8" tests="8" failures="3" errors="1" skipped="1" time="1.306"'
        ' timestamp="2027-01-15T08:00:00">',
        '<testcase classname="support" name="verdict" time="0.000">',
        '<failure message="fail" type="verdict">A &lt;drop&gt;.</failure>',
        "</testcase>",
        '<testcase classname="support.b" name="late" time="0.201">',
        f'<failure message="newly failing: contains: {LOST}" type="newly failing">contains: {LOST}',
        "",
        "answer 0</failure>",
        "</testcase>",
        '<testcase classname="support" name="fine" time="0.201">',
        "</testcase>",
        '<testcase classname="support.a" name="grave" time="0.201">',
        f'<failure message="newly failing: contains: {LOST}" type="newly failing">contains: {LOST}',
        "",
        "answer 0</failure>",
        "</testcase>",
        '<testcase classname="support" name="better" time="0.201">',
        "</testcase>",
        '<testcase classname="support" name="shaky" time="0.201">',
        "<system-out>passed 1 of 2 runs</system-out>",
        "</testcase>",
        '<testcase classname="support.b" name="bad" time="0.201">',
        '<skipped message="fails in both versions, as before"/>',
        "</testcase>",
        '<testcase classname="support" name="gone" time="0.100">',
        '<error message="missing" type="missing">candidate: gave up</error>',
        "</testcase>",
        "</testsuite>",
        "</testsuites>",
    ]


def test_a_pass_has_no_failure() -> None:
    made = junit(build(HEADING, PLAN, Policy(), collected(equal(60)))).decode()
    root = ElementTree.fromstring(made)
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["61", "0", "0", "0"]
    assert [case.get("name") for case in root.iter("testcase")] == ["verdict", *map(str, range(60))]
    assert not [*root.iter("failure"), *root.iter("error"), *root.iter("skipped")]


def small(*cases: dict[str, Any], absolute: bool = False, **shown: list[dict[str, Any]]) -> list[str]:
    report = {"prompt": "p.q", "candidate": "c", "at": 0, "verdict": "pass", "reason": "", "absolute": absolute}
    return junit({**report, "cases": cases, "shown": shown}).decode().split("\n")[5:-2]


def test_what_is_not_shown_is_still_counted() -> None:
    assert small({"case": "a", "change": "newly failing"}, {"case": "b", "change": "missing"}, absolute=True) == [
        '<testcase classname="p_q" name="a" time="0.000">',
        '<failure message="failing" type="failing">',
        "",
        "</failure>",
        "</testcase>",
        '<testcase classname="p_q" name="b" time="0.000">',
        '<error message="missing" type="missing"></error>',
        "</testcase>",
    ]


def test_all_that_failed_is_said_and_characters_that_xml_forbids_are_replaced() -> None:
    failed = [{"type": "a", "reason": "x\x00\ny" + "z" * 400}, {"type": "b", "reason": "\ud800&\uffff\U0001f600\t"}]
    shown = [{"case": 'q"1"<', "tags": ["t.\x01", "u"], "candidate": {"failed": failed, "output": "\x1b[0m"}}]
    found = small({"case": 'q"1"<', "change": "newly failing"}, x=shown)
    assert found[0] == '<testcase classname="p_q.t_�" name=\'q"1"&lt;\' time="0.000">'
    assert found[1].startswith('<failure message="newly failing: a: x� yzzz')
    assert found[1].index('" type="newly failing">') < 330
    assert found[2:] == ["y" + "z" * 400, "b: �&amp;�\U0001f600\t", "", "�[0m</failure>", "</testcase>"]
