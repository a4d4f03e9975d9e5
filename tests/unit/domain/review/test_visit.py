"""A visit to the review page."""

from __future__ import annotations

from typing import Any

import pytest

from promptlane.domain.review.link import Link
from promptlane.domain.review.review import Choice, ReviewDecision
from promptlane.domain.review.visit import Door, Fault, Origin, Submission, Visit, known_address
from tests.support.prompt import RELEASE


def test_a_visit_holds_nothing_but_its_door_unless_it_is_told_more() -> None:
    assert Visit(Door.STALE) == Visit(Door.STALE, None, None, None, None, ())
    assert Submission(Visit(Door.OPEN)) == Submission(Visit(Door.OPEN), None, False)
    assert Origin() == Origin("", "")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Door, "open used closed expired left stale foreign invalid"),
        (Fault, "code old_code reason choice author too_many unread"),
    ],
)
def test_doors_and_faults_are_named_as_pages_and_metrics_know_them(kind: Any, values: str) -> None:
    assert [str(value) for value in kind] == values.split()


def decision(reviewer: str) -> ReviewDecision:
    return ReviewDecision(reviewer, Choice.APPROVE, "read it", 5.0, "x@example.com", "link", "", "c", "s")


def test_a_reviewers_own_decision_is_told_from_those_of_others() -> None:
    made = (decision("aaaa"), decision("bbbb"), decision("cccc"))
    link = Link(RELEASE, 1, "bbbb", 99)

    assert Visit(Door.USED, link, decisions=made).own == made[1]
    assert Visit(Door.OPEN, link, decisions=(made[0], made[2])).own is None
    assert Visit(Door.INVALID, decisions=made).own is None


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (" 203.0.113.7 ", "203.0.113.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("203.0.113.7, 10.0.0.1", "unknown"),
        ("", "unknown"),
    ],
)
def test_an_address_is_written_in_its_usual_spelling_or_not_at_all(text: str, known: str) -> None:
    assert known_address(text) == known


def test_a_caller_is_recorded_on_bounded_lines() -> None:
    agent = "Mozilla\n" + "5.0 \u202e" * 100

    detail = Origin("203.0.113.7", agent).detail

    assert detail["address"] == "203.0.113.7"
    assert detail["agent"].startswith("Mozilla 5.0 ⟦U+202E⟧")
    assert Origin("", "a" * 200).detail == {"address": "unknown", "agent": "a" * 200}
    assert Origin("", "a" * 201).detail == {"address": "unknown", "agent": "a" * 199 + "…"}


def test_a_door_that_is_not_open_shows_nothing() -> None:
    assert Visit(Door.CLOSED) == Visit(Door.CLOSED, link=None, request=None, reviewer=None, state=None, decisions=())
