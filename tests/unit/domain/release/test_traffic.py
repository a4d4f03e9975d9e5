"""When versions were given traffic, as timelines tell it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.names import Phase
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.release.traffic import Giving, beginning, givings, track_of
from tests.support.prompt import ref


def entry(at: float, event: Event, release: str = "PROMPT0001-3-1", **detail: Any) -> TimelineEntry:
    return TimelineEntry(f"{release}/{at}", release, at, event, detail=detail)


def test_only_the_first_shift_of_a_release_is_a_beginning() -> None:
    entries = [
        entry(30, Event.PROMOTED, version=3, previous=2),
        entry(10, Event.CANARY_SHIFTED, version=3, weight=500, stable=2),
        entry(20, Event.CANARY_SHIFTED, version=3, weight=5000, stable=2),
        entry(40, Event.CANARY_SHIFTED, "PROMPT0001-4-1", version=4, weight=0, stable=3),
        entry(90, Event.CANARY_SHIFTED, "PROMPT0001-5-1", version=5, weight=500, stable=3),
    ]

    assert givings(entries, until=80) == [
        Giving(10, 3, 2, begins=True),
        Giving(20, 3, 2, begins=False),
        Giving(30, 3, 2, begins=False),
    ]


def test_a_first_version_begins_with_its_promotion() -> None:
    assert givings([entry(5, Event.PROMOTED, version=1, first=True)], until=80) == [Giving(5, 1, 0, begins=True)]


def test_a_rollback_of_a_promoted_version_begins_the_one_before() -> None:
    back = entry(50, Event.ROLLED_BACK, version=3, restored=2, phase="watch")

    assert givings([back], until=80) == [Giving(50, 2, 3, begins=True, restored=True)]
    assert givings([entry(50, Event.ROLLED_BACK, version=3, restored=2, phase="canary")], until=80) == []


def test_the_beginning_inside_the_time_counts_before_an_earlier_one() -> None:
    given = [Giving(10, 2, 1, begins=True), Giving(60, 2, 3, begins=True, restored=True)]

    assert beginning(2, given, since=50) == given[1]
    assert beginning(2, given, since=70) == given[1]
    assert beginning(2, given[:1], since=50) == given[0]
    assert beginning(9, given, since=0) is None


def test_entries_are_read_in_the_order_of_their_times_and_numbers() -> None:
    second = replace(entry(10, Event.PROMOTED, version=3, previous=2), seq=2)
    first = replace(entry(10, Event.CANARY_SHIFTED, version=3, weight=500, stable=1), seq=1)

    assert givings([second, first], until=10.5) == [Giving(10, 3, 1, begins=True), Giving(10, 3, 2, begins=False)]
    assert givings([second, first], until=10) == []


def test_what_gives_no_traffic_is_left_out() -> None:
    entries = [
        entry(1, Event.CANARY_SHIFTED, version=3, stable=2),
        entry(2, Event.CANARY_SHIFTED, weight=500, stable=2),
        entry(3, Event.CANARY_SHIFTED, version="three", weight=500, stable=2),
        entry(4, Event.CANARY_JUDGED, version=3, weight=500, stable=2, previous=1, restored=1),
        entry(5, Event.PROMOTED, previous=2),
        entry(6, Event.ROLLED_BACK, version=3, phase="watch"),
        entry(7, Event.ENDED, version=3, restored=2, phase="watch"),
    ]

    assert givings(entries, until=80) == []


def test_a_rollback_begins_nothing_of_its_release() -> None:
    back = entry(10, Event.ROLLED_BACK, version=3, restored=2, phase="steady")
    again = entry(20, Event.CANARY_SHIFTED, version=3, weight="500", stable=2)

    assert givings([back, again], until=80) == [
        Giving(10, 2, 3, begins=True, restored=True),
        Giving(20, 3, 2, begins=True),
    ]
    assert Giving(20, 3, 2, begins=True) == Giving(20, 3, 2, True, restored=False)


def test_only_beginnings_of_that_version_are_looked_at() -> None:
    given = [
        Giving(10, 2, 1, begins=True),
        Giving(20, 2, 1, begins=False),
        Giving(30, 3, 2, begins=True),
        Giving(40, 4, 2, begins=True),
    ]

    assert beginning(2, given, since=5) == given[0]
    assert beginning(2, [Giving(5, 2, 1, begins=True), *given], since=0) == given[0]
    assert beginning(3, given, since=50) == given[2]
    assert beginning(2, given[1:], since=0) is None


CANARY = Route("p", "P", ref(2), ref(1), ref(3), 500, phase=Phase.CANARY)
WATCH = Route("p", "P", ref(3), ref(2), holdback=1, phase=Phase.WATCH)


@pytest.mark.parametrize(
    ("route", "tracks"),
    [
        (None, {1: None}),
        (CANARY, {1: None, 2: "stable", 3: "canary", 4: None}),
        (WATCH, {1: None, 2: "holdback", 3: "stable"}),
        (replace(WATCH, holdback=0), {2: None, 3: "stable"}),
        (replace(WATCH, phase=Phase.STEADY), {2: None, 3: "stable"}),
        (replace(WATCH, previous=None), {2: None, 3: "stable"}),
    ],
)
def test_what_a_route_gives_each_version(route: Route | None, tracks: dict[int, str | None]) -> None:
    assert {version: track_of(route, version) for version in tracks} == tracks
