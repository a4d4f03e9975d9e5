"""What events missed is found again: versions, waiting ones, releases without an execution, tags."""

from __future__ import annotations

from typing import Any

import pytest

from promptlane.domain.errors import NotFound, Unavailable
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes import FakeEnrolmentTags
from promptlane.lifecycle.reconcile import GRACE, Reconciled, Reconciliation
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import POLICY, Stage


@pytest.fixture
def stage() -> Stage:
    """Enrolled after its four versions were published; version 1 is served and tagged."""
    stage = Stage()
    stage.releases.at_enrolment(ID, 4, 450.0)
    stage.tags.tag(stage.ref(1).arn)
    return stage


def reconciled(stage: Stage, ended: list[tuple[str, str]] | None = None) -> Reconciled:
    wound_up: list[tuple[str, str]] = [] if ended is None else ended
    names = (
        "prompts",
        "enrolments",
        "identities",
        "watched",
        "notices",
        "tags",
        "routes",
        "releases",
        "workflow",
        "queue",
        "cursors",
        "clock",
        "log",
    )
    return Reconciliation(
        **stage.ports(*names),
        wind_up=lambda name, why: wound_up.append((name, why)),
        restored=lambda prompt: wound_up.append((prompt, "restored")),
    ).run()


def test_where_nothing_was_missed_nothing_is_done(stage: Stage) -> None:
    assert reconciled(stage) == Reconciled([], [], [], [], [])
    assert (stage.queue.requests, stage.releases.waiting(ID)) == ([], [])


# Versions


def test_versions_that_no_event_announced_wait_and_the_newest_is_asked_for(stage: Stage) -> None:
    for _ in range(2):
        stage.publish(0)

    assert reconciled(stage) == Reconciled(requested=["support 6"])
    assert stage.releases.waiting(ID) == [
        Waiting(PROMPT, ID, version, 5000.0, "promptlane reconcile", False) for version in (5, 6)
    ]
    assert stage.queue.requests == [(PROMPT, 6, "promptlane reconcile", False)]


def test_versions_from_before_the_enrolment_or_a_newer_release_are_left_alone(stage: Stage) -> None:
    for _ in range(3):
        stage.publish(0)
    for version, attempt in ((6, 2), (1, 1)):
        stage.releases.record_ended(
            Release(f"{ID}-{version}-{attempt}", PROMPT, 1.0, "x", state="ended", outcome=Outcome.FAILED)
        )

    assert reconciled(stage).requested == ["support 7"]
    assert [w.version for w in stage.releases.waiting(ID)] == [7]


def test_the_first_time_that_a_prompt_is_seen_is_its_enrolment() -> None:
    stage = Stage()
    stage.publish(0)
    assert reconciled(stage).requested == []
    stage.publish(0)

    assert reconciled(stage).requested == ["support 6"]
    assert stage.releases.at_enrolment(ID, 9, 9000.0) == 5


def test_a_version_that_waits_already_is_asked_for_as_it_was(stage: Stage) -> None:
    stage.publish(0)
    waiting = [Waiting(PROMPT, ID, 5, 9.0, "kim", True), Waiting(PROMPT, ID, 3, 8.0, "sam")]
    for one in waiting:
        stage.releases.wait(one)

    assert reconciled(stage).requested == ["support 5"]
    assert stage.releases.waiting(ID) == waiting[::-1]
    assert stage.queue.requests == [(PROMPT, 5, "kim", True)]


def test_nothing_is_asked_for_while_a_release_is_in_flight(stage: Stage) -> None:
    stage.workflow.start(stage.release(2).release_id, {})
    stage.publish(0)

    assert reconciled(stage) == Reconciled()
    assert ([w.version for w in stage.releases.waiting(ID)], stage.queue.requests) == ([5], [])


# Executions


@pytest.mark.parametrize(("age", "restarted"), [(GRACE, False), (GRACE + 0.5, True)])
def test_a_release_whose_execution_never_began_is_started_after_a_minute(
    stage: Stage, age: float, restarted: bool
) -> None:
    stage.release(2)
    stage.now = 1000.0 + age

    assert reconciled(stage) == Reconciled(restarted=[RELEASE] * restarted)
    assert GRACE == 60.0
    payload = {"release_id": RELEASE, "prompt": PROMPT, "prompt_id": ID, "version": 2}
    assert stage.workflow.payloads == ({RELEASE: payload} if restarted else {})


@pytest.mark.parametrize("state", ["started", "testing"])
def test_a_release_whose_execution_runs_is_left_alone(stage: Stage, state: Any) -> None:
    stage.release(2, state=state)
    stage.workflow.executions[RELEASE] = "RUNNING"

    assert reconciled(stage) == Reconciled()


@pytest.mark.parametrize(
    ("state", "status"), [("review", "FAILED"), ("started", "ABORTED"), ("testing", None), ("ended", None)]
)
def test_a_release_that_holds_the_lock_without_an_execution_is_wound_up(
    stage: Stage, state: Any, status: str | None
) -> None:
    stage.release(2, state=state)
    if status:
        stage.workflow.executions[RELEASE] = status
    ended: list[tuple[str, str]] = []

    assert reconciled(stage, ended) == Reconciled(wound_up=[RELEASE])
    assert ended == [(RELEASE, f"its execution is {status or 'gone'}")]
    assert stage.workflow.payloads == {}


def test_the_release_on_the_route_and_the_one_that_holds_the_lock_are_both_looked_after(stage: Stage) -> None:
    stage.release(2, state="watch")
    stage.releases.unlock(ID, RELEASE)
    stage.release(3, state="review")
    stage.serve(1, release_id=RELEASE, previous=stage.ref(1), phase=Phase.WATCH)
    ended: list[tuple[str, str]] = []

    assert reconciled(stage, ended).wound_up == [f"{ID}-3-1", RELEASE]
    assert [name for name, _ in ended] == [f"{ID}-3-1", RELEASE]


def test_a_release_that_holds_the_lock_and_the_route_is_wound_up_once(stage: Stage) -> None:
    stage.release(2, state="canary")
    stage.serve(1, release_id=RELEASE, canary=stage.ref(2), weight=500, phase=Phase.CANARY)

    assert reconciled(stage).wound_up == [RELEASE]


@pytest.mark.parametrize("lost", ["holder", "route"])
def test_one_without_a_record_keeps_no_other_from_being_looked_after(stage: Stage, lost: str) -> None:
    stage.release(2, state="canary")
    stage.releases.unlock(ID, RELEASE)
    stage.release(3, state="review")
    stage.serve(1, release_id=RELEASE, canary=stage.ref(2), weight=500, phase=Phase.CANARY)
    gone, there = (f"{ID}-3-1", RELEASE) if lost == "holder" else (RELEASE, f"{ID}-3-1")
    del stage.releases._releases[gone]

    assert reconciled(stage).wound_up == [there]


def test_one_whose_execution_runs_keeps_no_other_from_being_looked_after(stage: Stage) -> None:
    stage.release(2, state="watch")
    stage.releases.unlock(ID, RELEASE)
    stage.release(3, state="review")
    stage.workflow.start(f"{ID}-3-1", {})
    stage.serve(1, release_id=RELEASE, previous=stage.ref(1), phase=Phase.WATCH)

    assert reconciled(stage).wound_up == [RELEASE]


@pytest.mark.parametrize(
    ("phase", "wound_up"), [(Phase.STEADY, []), (Phase.CANARY, [RELEASE]), (Phase.WATCH, [RELEASE])]
)
def test_a_release_that_ended_is_wound_up_again_only_while_the_route_is_busy_with_it(
    stage: Stage, phase: Phase, wound_up: list[str]
) -> None:
    stage.release(2, state="ended", outcome=Outcome.FAILED)
    stage.releases.unlock(ID, RELEASE)
    stage.serve(1, release_id=RELEASE, canary=stage.ref(2), weight=500, phase=phase)

    assert reconciled(stage).wound_up == wound_up


def test_a_prompt_without_a_route_is_looked_after_too(stage: Stage) -> None:
    stage.routes._routes.clear()
    stage.release(2, state="review")

    assert reconciled(stage).wound_up == [RELEASE]


def test_what_rides_on_the_route_is_told(stage: Stage) -> None:
    pending = TimelineEntry(f"{RELEASE}/route/9", RELEASE, 60.0, Event.ROLLED_BACK, "x", {"version": 2})
    stage.serve(1, release_id=RELEASE, pending=(pending,))

    reconciled(stage)

    assert stage.told(RELEASE) == [pending]


# Tags


def test_the_tag_is_put_back_on_every_version_that_is_served_or_gone_back_to(stage: Stage) -> None:
    stage.serve(1, previous=stage.ref(3), canary=stage.ref(2))

    assert reconciled(stage).tagged == ["support 3", "support 2"]
    assert stage.tags.versions == {stage.ref(n).arn for n in (1, 2, 3)}
    stage.tags.versions.remove(stage.ref(1).arn)
    assert reconciled(stage).tagged == ["support 1"]


def test_a_prompt_with_another_deployments_tag_is_left_to_that(stage: Stage) -> None:
    stage.serve(1)
    stage.tags.versions.clear()
    stage.tags.other = "second-lane"

    assert reconciled(stage).tagged == []
    assert stage.tags.versions == set()


def test_a_version_that_cannot_be_tagged_keeps_no_other_work_from_being_done(stage: Stage) -> None:
    class Gone(FakeEnrolmentTags):
        def tagged(self, version_arn: str) -> bool:
            raise NotFound(f"there is no {version_arn}")

    stage.tags = Gone()
    stage.publish(0)

    assert reconciled(stage) == Reconciled(requested=["support 5"], failed=["support"])


# Several prompts


def test_a_prompt_that_is_gone_or_fails_keeps_the_others_from_nothing(stage: Stage) -> None:
    stage.enrolments.deployed = dict.fromkeys(("absent", "broken", PROMPT), POLICY)
    stage.prompts.publish(PromptDraft("broken", "m", (), template="x"), prompt_id="BROKEN0001")
    holder = stage.releases.holder

    def failing(prompt_id: str) -> str | None:
        if prompt_id == "BROKEN0001":
            raise Unavailable("throttled")
        return holder(prompt_id)

    stage.releases.holder = failing  # type: ignore[method-assign]
    stage.publish(0)

    assert reconciled(stage) == Reconciled(requested=["support 5"], failed=["broken"])
    [line] = stage.logged
    assert ("broken" in line, "throttled" in line) == (True, True)
