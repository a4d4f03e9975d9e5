"""Writing the route: what was decided on what is stored, or nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptlane.domain.errors import Conflict, NotFound
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.lifecycle.routing import ATTEMPTS, change, move_pending, without_moved
from tests.support.prompt import ID, PROMPT
from tests.support.stage import Stage


def heavier(route: Route) -> Route:
    return replace(route, weight=route.weight + 1, revision=route.revision + 1)


def test_a_change_is_written_and_returned() -> None:
    stage = Stage()
    before = stage.route

    changed = change(stage.routes, PROMPT, heavier)

    assert changed == heavier(before)
    assert stage.route == changed


def test_a_change_that_was_overtaken_is_decided_again_on_what_is_stored_then() -> None:
    stage = Stage()
    seen: list[int] = []

    def decide(route: Route) -> Route:
        seen.append(route.weight)
        if len(seen) == 1:
            stage.serve(1, weight=40)
        return heavier(route)

    assert change(stage.routes, PROMPT, decide).weight == 41
    assert seen == [0, 40]


@pytest.mark.parametrize(("lost", "written"), [(ATTEMPTS - 1, True), (ATTEMPTS, False)])
def test_a_route_that_keeps_moving_is_given_up_after_twenty_attempts_and_that_is_said(lost: int, written: bool) -> None:
    stage = Stage()
    before, stage.routes.lost = stage.route, lost

    if written:
        change(stage.routes, PROMPT, heavier)
    else:
        with pytest.raises(Conflict, match=r"route of support kept changing; nothing was written"):
            change(stage.routes, PROMPT, heavier)
    assert (ATTEMPTS, stage.routes.lost) == (20, 0)
    assert (stage.route != before) is written


def test_a_transition_that_changes_nothing_writes_nothing() -> None:
    stage = Stage()
    written = len(stage.routes.history)

    assert change(stage.routes, PROMPT, lambda route: route) == stage.route
    assert len(stage.routes.history) == written


def test_a_prompt_that_was_never_promoted_has_nothing_to_change() -> None:
    with pytest.raises(NotFound, match="'support' has no route"):
        change(Stage(served=False).routes, PROMPT, heavier)


def test_what_rides_on_the_route_moves_to_its_timelines_once() -> None:
    stage = Stage()
    names = (f"{ID}-2-1", f"{ID}-3-1")
    pending = tuple(TimelineEntry(f"{n}/route/1", n, 60.0, Event.CANARY_SHIFTED, "x", {"weight": 5}) for n in names)
    route = stage.serve(1, pending=pending)

    assert without_moved(stage.releases, route) == replace(route, pending=())
    assert [stage.told(n) for n in names] == [[entry] for entry in pending]
    move_pending(stage.releases, route)
    assert [stage.told(n) for n in names] == [[entry] for entry in pending]
