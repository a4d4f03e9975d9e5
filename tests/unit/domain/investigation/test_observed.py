"""From when to when nothing was recorded, as the events of CloudTrail tell."""

from __future__ import annotations

import pytest

from promptlane.domain.investigation.observed import Dark, logging_changes, logging_gaps, trail_gaps
from promptlane.domain.trail import TrailEvent, Window

WINDOW = Window(1000, 2000)
OFF, ON = "DeleteModelInvocationLoggingConfiguration", "PutModelInvocationLoggingConfiguration"
TRAIL = "arn:aws:cloudtrail:us-east-1:111122223333:trail/"


def event(name: str, at: float, by: str = "ada", target: str = "", error: str = "") -> TrailEvent:
    return TrailEvent(name, at, by, "IAMUser", target, error=error)


@pytest.mark.parametrize(
    ("since", "until", "within"),
    [(500, 1000, False), (500, 1001, True), (1999, 2500, True), (2000, 2500, False), (500, 0, True), (2000, 0, False)],
)
def test_a_gap_is_of_the_window_where_any_of_it_lies_in_it(since: float, until: float, within: bool) -> None:
    assert Dark(since, until, "").within(WINDOW) is within


@pytest.mark.parametrize(
    ("dark", "said"),
    [
        (Dark(60, 120.5, "ada"), "from 1970-01-01T00:01:00.000Z to 1970-01-01T00:02:00.500Z (switched off by ada)"),
        (Dark(60, 120, ""), "from 1970-01-01T00:01:00.000Z to 1970-01-01T00:02:00.000Z"),
        (Dark(60, 0, "ada"), "from 1970-01-01T00:01:00.000Z on (switched off by ada)"),
        (Dark(60, 0, ""), "from 1970-01-01T00:01:00.000Z on"),
    ],
)
def test_a_gap_says_from_when_to_when_and_by_whom(dark: Dark, said: str) -> None:
    assert str(dark) == said


def test_a_gap_begins_with_the_first_switch_off_and_ends_with_the_next_switch_on() -> None:
    events = [
        event(OFF, 1700, "cyd"),
        event(ON, 1500, "bob"),
        event(ON, 1600, "dan"),
        event(OFF, 1200, "eve"),
        event(OFF, 900, "ada"),
        event("StopLogging", 1550, "eve"),
    ]

    assert logging_gaps(events, WINDOW) == [Dark(900, 1500, "ada"), Dark(1700, 0.0, "cyd")]


def test_a_gap_outside_of_the_window_and_a_refused_switch_are_none() -> None:
    events = [event(OFF, 100), event(ON, 1000), event(OFF, 1500, error="AccessDenied"), event(OFF, 2000)]

    assert logging_gaps(events, WINDOW) == []


def test_what_was_set_up_without_having_been_off_is_a_change() -> None:
    first, again, later = event(ON, 1000), event(ON, 1100, "bob"), event(ON, 1900, "eve")
    events = [later, again, first, event(OFF, 1200), event(ON, 1300, "cyd"), event(ON, 1400, error="AccessDenied")]

    assert logging_changes(iter(events), WINDOW) == [first, again, later]


def test_a_change_outside_of_the_window_is_not_told() -> None:
    assert logging_changes([event(ON, 999), event(ON, 2000)], WINDOW) == []


def test_each_trail_has_its_own_gaps() -> None:
    events = [
        event("StopLogging", 1100, "ada", TRAIL + "org/main"),
        event("StopLogging", 1150, "dan", "audit"),
        event("StartLogging", 1200, "bob", "main"),
        event("StartLogging", 1250, "bob", TRAIL + "calm"),
        event("DeleteTrail", 1300, "cyd", TRAIL + "main"),
        event("StopLogging", 1400, "eve"),
        event("StopLogging", 100, "eve", "past"),
        event("StartLogging", 200, "eve", "past"),
        event(OFF, 1000, "eve", "main"),
    ]

    found = trail_gaps(events, WINDOW)

    assert found == {
        "audit": [Dark(1150, 0.0, "dan")],
        "main": [Dark(1100, 1200, "ada"), Dark(1300, 0.0, "cyd")],
        "of unknown name": [Dark(1400, 0.0, "eve")],
    }
    assert list(found) == ["audit", "main", "of unknown name"]
