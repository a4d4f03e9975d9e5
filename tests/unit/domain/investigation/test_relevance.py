"""Which releases and versions are read of a prompt that has had more than can be."""

from __future__ import annotations

import math

import pytest

from promptlane.domain.investigation.relevance import (
    MOST_RELEASES,
    MOST_VERSIONS,
    nearest_releases,
    nearest_versions,
)
from promptlane.domain.names import Outcome
from promptlane.domain.release.release import State
from promptlane.domain.release.timeline import Event
from promptlane.domain.trail import Window
from tests.support.investigation_case import entry
from tests.support.known_facts import release, route

WINDOW = Window(10_000, 20_000)
OLD = Outcome.REJECTED


def test_how_many_are_read() -> None:
    assert (MOST_RELEASES, MOST_VERSIONS) == (20, 8)


@pytest.mark.parametrize(
    ("span", "far"),
    [
        (Window(1_000, 4_000), 6_000),
        (Window(1_000, 10_500), 0),
        (Window(12_000, 13_000), 0),
        (Window(1_000, 90_000), 0),
        (Window(27_000, 90_000), 7_000),
    ],
)
def test_how_far_a_span_is_from_a_window(span: Window, far: float) -> None:
    assert span.distance(WINDOW) == far


def test_spans_are_joined_over_what_lies_between() -> None:
    assert Window(5, 9).joined(Window(20, 30)) == Window(5, 30)
    assert Window(20, 30).joined(Window(5, 9)) == Window(5, 30)


def test_few_releases_leave_none_out() -> None:
    releases = [release(n, 1_000.0 * n) for n in (3, 1, 2)]

    assert nearest_releases(releases, None, WINDOW) == (releases, [])


def test_releases_of_the_time_are_read_first_and_those_that_the_route_names_before_all() -> None:
    near = [release(100 + n, 11_000 + n, outcome=OLD, ended_at=11_500 + n) for n in range(MOST_RELEASES - 2)]
    far = release(5, 100, outcome=OLD, ended_at=200)
    named = release(7, 300, outcome=OLD, ended_at=400)
    after = release(9, 20_100, outcome=OLD, ended_at=20_200)
    before = release(8, 9_000, outcome=OLD, ended_at=9_950)

    kept, left_out = nearest_releases([far, named, before, *near, after], route(7), WINDOW)

    assert kept == [named, before, *near]
    assert left_out == [far, after]


def test_of_releases_equally_near_the_later_one_is_read() -> None:
    same = [release(n, 11_000, outcome=OLD, ended_at=12_000 + n) for n in range(1, MOST_RELEASES + 2)]

    assert nearest_releases(same, None, WINDOW) == (same[1:], same[:1])


def test_a_promoted_version_matters_until_the_next_one_is_promoted_and_any_other_until_its_release_ends() -> None:
    """Version 1 was stable in the window; 4 ended as long before it as 1 did, and was never stable."""
    served = release(1, 1_000, ended_at=2_000)
    rejected = release(4, 1_500, outcome=OLD, ended_at=2_000)
    open_still = release(6, 2_500, state="review", outcome=None)
    follower = release(3, 15_000, ended_at=16_000)
    near = [release(100 + n, 9_000 + n, outcome=OLD, ended_at=9_500) for n in range(MOST_RELEASES - 3)]

    kept, left_out = nearest_releases([rejected, follower, served, open_still, *near], None, WINDOW)

    assert left_out == [rejected]
    assert len(kept) == MOST_RELEASES


def test_a_version_that_was_replaced_long_ago_gives_way() -> None:
    """Each of two was promoted: the first mattered until the second one's release ended, far before the window."""
    replaced = release(1, 1_000, ended_at=2_000)
    replacing = release(2, 3_000, ended_at=4_000)
    near = [release(100 + n, 9_000 + n, outcome=OLD, ended_at=9_500) for n in range(MOST_RELEASES - 1)]

    kept, left_out = nearest_releases([replaced, replacing, *near], None, WINDOW)

    assert (kept, left_out) == ([replacing, *near], [replaced])


@pytest.mark.parametrize(
    ("state", "outcome", "served"),
    [
        ("canary", None, True),
        ("watch", None, True),
        ("review", None, False),
        ("ended", Outcome.PROMOTED, True),
        ("ended", Outcome.ROLLED_BACK, True),
        ("ended", Outcome.REJECTED, False),
    ],
)
def test_a_version_is_compared_when_it_may_have_had_traffic(
    state: State, outcome: Outcome | None, served: bool
) -> None:
    releases = [release(4, 11_000, state=state, outcome=outcome)]

    assert nearest_versions(None, releases, [], WINDOW) == ([4] if served else [], [])


def test_versions_that_a_shift_names_are_compared_and_those_of_other_events_are_not() -> None:
    entries = [
        entry(8, "shift", 11_000, Event.CANARY_SHIFTED, version=8, stable=3, previous=7),
        entry(6, "shift", 11_000, Event.CANARY_SHIFTED, version=6),
        entry(9, "judged", 11_000, Event.CANARY_JUDGED, version=9, stable=2),
    ]

    assert nearest_versions(route(1, previous=16), [], entries, WINDOW) == ([1, 3, 6, 8, 16], [])


def test_the_nearest_versions_are_compared_and_those_that_the_route_names_before_all() -> None:
    """Ten versions: 21 is named, 20 … 14 had traffic in the window, 9 just before it, and 8 long after it."""
    entries = [entry(n, "shift", 11_000 + n, Event.CANARY_SHIFTED, version=n) for n in range(14, 21)]
    entries += [
        entry(9, "shift", 9_990, Event.CANARY_SHIFTED, version=9),
        entry(8, "shift", 30_000, Event.CANARY_SHIFTED, version=8),
    ]

    assert nearest_versions(route(21), [], entries, WINDOW) == ([*range(14, 22)], [8, 9])


def test_of_versions_equally_near_the_one_that_was_served_last_is_compared_then_the_higher_number() -> None:
    first = [entry(n, "shift", 11_000, Event.CANARY_SHIFTED, version=n) for n in range(1, MOST_VERSIONS + 2)]
    last = entry(1, "again", 12_000, Event.CANARY_SHIFTED, version=1)

    assert nearest_versions(None, [], first, WINDOW) == ([*range(2, 10)], [1])
    assert nearest_versions(None, [], [*first, last], WINDOW) == ([1, *range(3, 10)], [2])


def test_a_version_of_several_releases_is_as_near_as_all_of_them() -> None:
    """Version 1's first release ended long before the window, its second began long after: it lies in between."""
    twice = [
        release(1, 1_000, outcome=Outcome.ROLLED_BACK, ended_at=1_500),
        release(1, 90_000, attempt=2, outcome=Outcome.ROLLED_BACK, ended_at=math.inf),
    ]
    near = [entry(n, "shift", 9_000, Event.CANARY_SHIFTED, version=n) for n in range(2, MOST_VERSIONS + 2)]

    kept, left_out = nearest_versions(None, twice, near, WINDOW)

    assert (1 in kept, left_out) == (True, [2])
