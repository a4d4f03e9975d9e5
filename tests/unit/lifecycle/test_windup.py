"""The end of a release: a safe route, one outcome that the route bears out, a free lock, people told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import NotFound, Unavailable
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.release import STATES, Release, Waiting
from promptlane.domain.release.route import Approved, Rollback, promote, roll_back, shift
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.lifecycle.windup import WindUp
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import ENDING, Stage

UNFINISHED = [state for state in STATES if state != "ended"]
OF_THE_ROUTE = (Outcome.PROMOTED, Outcome.ROLLED_BACK)


def wound_up(stage: Stage, claimed: Outcome = Outcome.FAILED, reason: str = "broken") -> Release:
    ports = stage.ports(*ENDING)
    return WindUp(**ports).end(RELEASE, claimed=claimed, reason=reason)


def shifted(stage: Stage, now: float = 4000.0) -> None:
    before = stage.route
    against = before.stable.fingerprint
    stage.routes.put(
        shift(before, Approved(RELEASE, stage.ref(2), against), weight=500, now=now),
        expected=before,
    )


def promoted(stage: Stage, watch_for: float = 9000.0, now: float = 4100.0) -> None:
    shifted(stage)
    before = stage.route
    stage.routes.put(
        promote(
            before,
            Approved(RELEASE, stage.ref(2), stage.ref(1).fingerprint),
            watch_for=watch_for,
            holdback=500,
            now=now,
        ),
        expected=before,
    )


def rolled_back(stage: Stage, reason: str = "refuses too much") -> None:
    before = stage.route
    stage.routes.put(
        roll_back(before, Rollback(cause="operator", reason=reason, by="kim"), now=4200.0), expected=before
    )


@pytest.mark.parametrize("state", UNFINISHED)
@pytest.mark.parametrize("claimed", Outcome)
@pytest.mark.parametrize("served", [True, False])
def test_a_release_that_the_route_knows_nothing_of_ends_as_the_caller_says_but_never_with_traffic(
    state: Any, claimed: Outcome, served: bool
) -> None:
    stage = Stage(served=served)
    stage.release(2, state=state, step=1)
    overtaken = served and state == "watch"
    outcome = Outcome.PROMOTED if overtaken else Outcome.FAILED if claimed in OF_THE_ROUTE else claimed

    release = wound_up(stage, claimed)

    assert release.outcome is outcome
    assert release.reason == ("broken" if outcome is claimed else f"broken (found {outcome} on the route)")


@pytest.mark.parametrize("claimed", Outcome)
def test_what_the_route_promoted_is_promoted_whatever_is_claimed(claimed: Outcome) -> None:
    for watch_for in (9000.0, 0.0):
        stage = Stage()
        stage.approved(2, state="canary")
        promoted(stage, watch_for)

        assert wound_up(stage, claimed).outcome is Outcome.PROMOTED
        assert (stage.route.stable, stage.route.phase) == (stage.ref(2), Phase.STEADY)


@pytest.mark.parametrize("claimed", Outcome)
def test_what_was_rolled_back_is_rolled_back_whatever_is_claimed_and_for_the_reason_that_was_given_then(
    claimed: Outcome,
) -> None:
    stage = Stage()
    stage.approved(2, state="watch")
    promoted(stage)
    rolled_back(stage)
    wound_up(stage, claimed)

    release = stage.releases.get(RELEASE)
    assert (release.outcome, release.reason) == (Outcome.ROLLED_BACK, "refuses too much")
    subjects = [subject for subject, _ in stage.notices.sent]
    assert subjects[-1] == "[Promptlane] support: version 2 rolled back", "by the rollback, with its evidence"
    wound_up(stage, claimed)
    assert len(stage.notices.sent) == len(subjects) == len(set(subjects))


def test_a_rollback_whose_entry_is_lost_has_the_callers_reason() -> None:
    stage = Stage()
    stage.approved(2, state="canary")
    stage.serve(1, release_id=RELEASE, quarantined={"b" * 64: {"version": 2, "release_id": RELEASE, "at": 1.0}})

    assert wound_up(stage).reason == "broken (found rolled_back on the route)"


def test_the_last_of_several_rollbacks_says_why() -> None:
    stage = Stage()
    stage.approved(2, state="canary")
    for number, why in enumerate(("first", "second", "last")):
        stage.releases.append(TimelineEntry(f"r{number}", RELEASE, 1.0, Event.ROLLED_BACK, "x", {"reason": why}))
    stage.releases.append(TimelineEntry("j", RELEASE, 1.0, Event.CANARY_JUDGED, "x", {"reason": "hold"}))
    stage.serve(1, release_id=RELEASE, quarantined={"b" * 64: {"version": 2, "release_id": RELEASE, "at": 1.0}})

    assert wound_up(stage).reason == "last"


def test_a_rollback_that_gave_no_reason_leaves_none() -> None:
    stage = Stage()
    stage.approved(2, state="canary")
    stage.releases.append(TimelineEntry("r", RELEASE, 1.0, Event.ROLLED_BACK, "x"))
    stage.serve(1, release_id=RELEASE, quarantined={"b" * 64: {"version": 2, "release_id": RELEASE, "at": 1.0}})

    assert wound_up(stage).reason == ""


@pytest.mark.parametrize("stable", [2, 3])
def test_the_route_of_this_release_with_another_stable_or_in_canary_is_no_promotion(stable: int) -> None:
    stage = Stage()
    stage.approved(2, state="canary")
    stage.serve(stable, release_id=RELEASE if stable == 3 else f"{ID}-9-1")

    assert wound_up(stage, Outcome.EXPIRED).outcome is Outcome.EXPIRED


def test_a_canary_is_taken_back_and_every_step_is_told() -> None:
    stage = Stage()
    record = stage.approved(2, state="canary", step=1, paused={"by": "kim"}, advance={"by": "kim", "step": 1})
    shifted(stage)
    before = stage.route

    release = wound_up(stage, Outcome.REJECTED, "reviewers say no")

    taken_back = TimelineEntry(
        f"{RELEASE}/route/9/5000000",
        RELEASE,
        5000.0,
        Event.CANARY_SHIFTED,
        "promptlane",
        {"version": 2, "weight": 0, "stable": 1},
    )
    detail = {"outcome": "rejected", "reason": "reviewers say no"}
    assert stage.route == replace(
        before,
        canary=None,
        weight=0,
        phase=Phase.STEADY,
        phase_since=5000.0,
        revision=9,
        pending=(taken_back,),
        epoch=5_000_000,
    )
    assert stage.told(RELEASE)[1:] == [
        *before.pending,
        taken_back,
        TimelineEntry(f"{RELEASE}/ended", RELEASE, 5000.0, Event.ENDED, "promptlane", detail),
    ]
    assert release == stage.releases.get(RELEASE)
    assert release == replace(
        record,
        state="ended",
        outcome=Outcome.REJECTED,
        reason="reviewers say no",
        ended_at=5000.0,
        paused=None,
        advance=None,
        revision=2,
    )
    assert stage.releases.holder(ID) is None
    (began, _), (subject, body) = stage.notices.sent
    assert began == "[Promptlane] support: version 2 goes to 5% of users"
    assert subject == "[Promptlane] support: version 2 rejected"
    assert [line for line in body.splitlines() if line] == [
        f"Release {RELEASE} of prompt support, version 2: rejected.",
        "reviewers say no",
        f"What happened:  promptlane history {RELEASE}",
        f"Notice:         {RELEASE}/ended",
    ]


def test_a_watch_that_is_over_leaves_the_promoted_version_to_everybody() -> None:
    stage = Stage()
    stage.approved(2, state="watch", step=2)
    promoted(stage)
    before = stage.route

    release = wound_up(stage, Outcome.PROMOTED, "")

    assert stage.route == replace(
        before,
        holdback=0,
        phase=Phase.STEADY,
        phase_since=5000.0,
        watch_until=0.0,
        revision=10,
        pending=(),
        epoch=5_000_000,
    )
    assert (release.outcome, release.reason) == (Outcome.PROMOTED, "")
    assert [e.event for e in stage.told(RELEASE)[1:]] == [Event.CANARY_SHIFTED, Event.PROMOTED, Event.ENDED]
    began, everybody, over = (body for _, body in stage.notices.sent)
    assert "version 2 is in canary, and 5% of users get it" in began
    assert "version 2 was promoted, and all users get it" in everybody
    assert "It went its whole way." in over


def test_the_route_of_a_newer_release_is_left_alone_and_what_rides_on_it_is_told() -> None:
    stage = Stage()
    stage.approved(2, state="watch")
    other = TimelineEntry(f"{ID}-3-1/route/8", f"{ID}-3-1", 4900.0, Event.CANARY_SHIFTED, "x", {"weight": 500})
    before = stage.serve(
        2, release_id=f"{ID}-3-1", canary=stage.ref(3), weight=500, phase=Phase.CANARY, pending=(other,)
    )

    assert wound_up(stage).outcome is Outcome.PROMOTED
    assert stage.route == before
    assert stage.told(f"{ID}-3-1") == [other]


def test_a_route_that_moves_meanwhile_is_settled_as_it_is_then() -> None:
    stage = Stage()
    stage.approved(2, state="canary")
    shifted(stage)
    stage.routes.lost = 1

    wound_up(stage)

    assert (stage.route.canary, stage.route.phase) == (None, Phase.STEADY)


def test_a_record_that_changes_meanwhile_is_ended_as_it_is_then_and_people_are_told_once() -> None:
    stage = Stage()
    stage.approved(2, state="canary")
    stage.releases.faster = [{"step": 1}, {"description": "new words"}]

    release = wound_up(stage)

    assert (release.state, release.step, release.description) == ("ended", 1, "new words")
    assert len(stage.notices.sent) == 1


def test_a_release_that_somebody_else_ended_meanwhile_keeps_its_outcome_and_nobody_is_told_twice() -> None:
    stage = Stage()
    stage.approved(2, state="canary")
    stage.releases.faster = [{"state": "ended", "outcome": Outcome.EXPIRED}]

    release = wound_up(stage, Outcome.REJECTED)

    assert (release.outcome, stage.notices.sent, stage.releases.holder(ID)) == (Outcome.EXPIRED, [], None)


def test_an_end_that_was_cut_off_is_completed() -> None:
    stage = Stage()
    record = stage.approved(2, state="ended", outcome=Outcome.EXPIRED, reason="late")
    stage.releases.wait(Waiting(PROMPT, ID, 3, 9.0, "author"))

    assert wound_up(stage, Outcome.FAILED) == record
    assert (stage.told(RELEASE)[1:], stage.notices.sent) == ([], [])
    assert stage.releases.holder(ID) is None
    assert stage.queue.requests == [(PROMPT, 3, "author", False)]


def test_the_newest_waiting_version_is_asked_for_as_it_was() -> None:
    stage = Stage()
    stage.approved(2)
    for version, by, explicit in ((3, "author", False), (4, "kim", True)):
        stage.releases.wait(Waiting(PROMPT, ID, version, 9.0, by, explicit))

    wound_up(stage)

    assert stage.queue.requests == [(PROMPT, 4, "kim", True)]


def test_nothing_is_asked_for_while_another_release_holds_the_lock_or_nothing_waits() -> None:
    stage = Stage()
    stage.approved(2, state="watch")
    stage.releases.unlock(ID, RELEASE)
    stage.release(3)
    stage.releases.wait(Waiting(PROMPT, ID, 4, 9.0, "author"))
    wound_up(stage)
    assert (stage.queue.requests, stage.releases.holder(ID)) == ([], f"{ID}-3-1")

    quiet = Stage()
    quiet.approved(2)
    wound_up(quiet)
    assert quiet.queue.requests == []


def test_an_email_that_cannot_be_sent_keeps_no_release_from_ending() -> None:
    class Down:
        def publish(self, subject: str, body: str, *, id: str = "") -> None:
            raise Unavailable("no mail today")

    stage = Stage()
    stage.approved(2)
    stage.notices = Down()  # type: ignore[assignment]

    assert wound_up(stage).ended
    assert stage.releases.holder(ID) is None
    [line] = stage.logged
    assert (RELEASE in line, "no mail today" in line) == (True, True)


def test_a_release_that_nobody_recorded_is_not_found() -> None:
    with pytest.raises(NotFound, match=RELEASE):
        wound_up(Stage())
