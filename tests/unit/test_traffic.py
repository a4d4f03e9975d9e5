"""When versions were given traffic, as timelines tell it."""

from __future__ import annotations

from typing import Any

from promptlane.domain.names import Event
from promptlane.domain.timeline import TimelineEntry
from promptlane.domain.traffic import Giving, beginning, givings


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
        Giving(10, 3, 2, begins=True), Giving(20, 3, 2, begins=False), Giving(30, 3, 2, begins=False),
    ]  # fmt: skip


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
