"""The end of a release, called by the workflow or told of by Step Functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import Conflict, InvalidInput, Unavailable
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.release import Waiting
from promptlane.domain.release.timeline import Event, TimelineEntry
from tests.support.functions import NOW, Context, World
from tests.support.prompt import ID, PROMPT, RELEASE

Json = Any


def wind_up(world: World, outcome: str = "rejected", reason: Json = "Legal said no") -> dict[str, Json]:
    event = {"release_id": RELEASE, "outcome": outcome, "reason": reason}
    return dict(world.function("wind_up").handle(event, Context()))


def stopped(status: str = "TIMED_OUT", **detail: str) -> dict[str, Json]:
    """As EventBridge tells of an execution."""
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"name": RELEASE, "status": status, **detail},
    }


def test_a_release_ends_once_and_the_newest_that_waits_is_asked_for(world: World) -> None:
    started = world.approved()
    for version in (3, 4):
        world.releases.wait(Waiting(PROMPT, ID, version, NOW, f"author {version}", explicit=version == 4))

    assert wind_up(world) == {"outcome": "rejected"}

    assert world.releases.get(RELEASE) == replace(
        started, state="ended", outcome=Outcome.REJECTED, reason="Legal said no", ended_at=NOW, revision=2
    )
    ended = (Event.ENDED, "promptlane", {"outcome": "rejected", "reason": "Legal said no"})
    assert world.entries(RELEASE) == [ended]
    assert world.releases.holder(ID) is None
    ((subject, body),) = world.told()
    assert subject == f"[Promptlane] {PROMPT}: version 2 rejected"
    assert "Legal said no" in body
    (asked,) = world.queued()
    assert asked.pop("request_id")
    assert asked == {
        "source": "promptlane.request",
        "prompt": PROMPT,
        "version": "4",
        "requested_by": "author 4",
        "explicit": True,
    }

    assert wind_up(world, "failed", "again") == {"outcome": "rejected"}
    assert (world.entries(RELEASE), len(world.told())) == ([ended], 1)


def test_a_canary_that_is_still_out_is_taken_back(world: World) -> None:
    release = world.in_canary()

    assert wind_up(world, "promoted", None) == {"outcome": "failed"}

    after = world.current
    assert (after.stable, after.canary, after.phase, after.revision) == (release.stable, None, Phase.STEADY, 7)
    assert [event for event, _, _ in world.entries(RELEASE)] == [Event.CANARY_SHIFTED, Event.ENDED]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (stopped(), "its execution timed_out"),
        (stopped("ABORTED", cause="somebody stopped it"), "its execution aborted: somebody stopped it"),
        (stopped("FAILED", cause="x" * 3_000), f"its execution failed: {'x' * 1_978}"),
        ({"release_id": RELEASE, "outcome": "failed"}, ""),
        ({"release_id": RELEASE, "outcome": "failed", "reason": "y" * 2_001}, "y" * 2_000),
        ({"detail-type": "Another", "release_id": RELEASE, "outcome": "failed", "reason": 7}, "7"),
    ],
)
def test_what_ended_it_is_its_reason(world: World, event: dict[str, Json], reason: str) -> None:
    world.approved()

    assert world.function("wind_up").handle(event, Context()) == {"outcome": "failed"}

    ended = world.releases.get(RELEASE)
    assert (ended.outcome, ended.reason) == (Outcome.FAILED, reason)


def test_a_release_that_nobody_recorded_has_no_outcome(world: World) -> None:
    assert wind_up(world) == {"outcome": None}
    assert world.items() == []


@pytest.mark.parametrize(
    "event", [{"release_id": "x", "outcome": "failed"}, stopped() | {"detail": {"name": "x", "status": "FAILED"}}]
)
def test_what_is_no_release_id_is_refused(world: World, event: dict[str, Json]) -> None:
    with pytest.raises(InvalidInput, match="'x' is not a release id"):
        world.function("wind_up").handle(event, Context())


def test_what_is_no_outcome_is_refused(world: World) -> None:
    world.approved()
    with pytest.raises(ValueError, match="'over' is not a valid Outcome"):
        wind_up(world, "over")
    assert not world.releases.get(RELEASE).ended


def test_a_record_that_moved_meanwhile_is_read_again(world: World) -> None:
    world.approved()

    def somebody(params: dict[str, Json]) -> None:
        world.releases.update(replace(world.releases.get(RELEASE), step=1))

    world.before("dynamodb", "TransactWriteItems", somebody, times=1)

    assert wind_up(world) == {"outcome": "rejected"}
    assert (world.releases.get(RELEASE).step, world.releases.get(RELEASE).outcome) == (1, Outcome.REJECTED)


def test_mail_that_cannot_be_sent_keeps_no_release_from_ending(world: World) -> None:
    world.approved()
    world.refuse("sns", "Publish", "InternalError")

    assert wind_up(world) == {"outcome": "rejected"}
    assert world.releases.holder(ID) is None


@pytest.mark.parametrize(
    ("code", "error"), [("ConditionalCheckFailedException", Conflict), ("InternalServerError", Unavailable)]
)
def test_a_route_that_cannot_be_written_keeps_the_release_open(world: World, code: str, error: type[Exception]) -> None:
    world.in_canary()
    world.refuse("dynamodb", "PutItem", code)

    with pytest.raises(error):
        wind_up(world)
    assert not world.releases.get(RELEASE).ended


def test_a_restored_route_gets_a_revision_above_all_that_were_written(world: World) -> None:
    """`reconcile` asks: the table was restored to a time before the canary."""
    release = world.approved(2, state="canary")
    assert release.stable is not None
    before = world.route(release.stable, revision=4, phase_since=NOW - 900)
    later = TimelineEntry(f"{RELEASE}/route/5/1", RELEASE, NOW - 600, Event.CANARY_SHIFTED, detail={"weight": 700})
    world.releases.append(later)

    handled = world.function("wind_up").handle({"restored": PROMPT}, Context())

    assert handled == {"outcome": None, "restored": True}
    assert (world.current.revision, world.current.stable) == (6, before.stable)
    ((subject, body),) = world.told()
    assert subject == f"[Promptlane] {PROMPT}: its route was restored"
    assert "has revision 4, and 5 was written before" in body
    assert world.function("wind_up").handle({"restored": PROMPT}, Context()) == {"outcome": None, "restored": False}
