"""A request becomes a started release, a waiting version, or nothing: with everything that each leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.names import Outcome
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.release.trigger import ReleaseRequest
from promptlane.lifecycle.intake import Intake, Taken, supersede
from tests.support.prompt import ID, PROMPT
from tests.support.stage import Stage

AUTHOR, KIM = "arn:aws:iam::111122223333:role/Author", "arn:aws:iam::111122223333:user/kim"


def intake(stage: Stage) -> Intake:
    return Intake(**stage.ports("prompts", "enrolments", "identities", "routes", "releases", "workflow", "clock"))


def taken(stage: Stage, version: int | None, by: str = AUTHOR, **given: Any) -> Taken:
    return intake(stage).take(ReleaseRequest(ID, version, by, **given))


def ended(stage: Stage, version: int, attempt: int = 1, **fields: Any) -> None:
    record = Release(f"{ID}-{version}-{attempt}", PROMPT, 1.0, "x", state="ended", outcome=Outcome.REJECTED, **fields)
    stage.releases.record_ended(record)


def nothing_started(stage: Stage) -> bool:
    return (stage.workflow.executions, stage.releases.holder(ID)) == ({}, None)


@pytest.mark.parametrize(
    ("given", "more"),
    [({}, {}), ({"explicit": True, "request_id": "r1", "sent_by": "AROA:sam"}, {"sent_by": "AROA:sam"})],
)
def test_a_started_release_has_its_record_lock_entry_and_execution(given: dict[str, Any], more: dict[str, str]) -> None:
    stage = Stage()
    stage.releases.wait(Waiting(PROMPT, ID, 3, 9.0, "x"))
    name = f"{ID}-3-1"

    assert taken(stage, 3, **given) == Taken("started", f"release {name} of support started", name)

    explicit = given.get("explicit", False)
    assert stage.releases.get(name) == Release(
        name, PROMPT, 5000.0, AUTHOR, explicit=explicit, request_id=given.get("request_id", "")
    )
    detail = {"prompt": PROMPT, "version": 3, "attempt": 1, "explicit": explicit, **more}
    assert stage.told(name) == [TimelineEntry(f"{name}/started", name, 5000.0, Event.STARTED, AUTHOR, detail)]
    assert (stage.releases.holder(ID), stage.releases.waiting(ID)) == (name, [])
    assert stage.workflow.payloads == {name: {"release_id": name, "prompt": PROMPT, "prompt_id": ID, "version": 3}}


@pytest.mark.parametrize("known", [PROMPT, f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}:3"])
def test_a_prompt_is_known_by_name_and_arn_too(known: str) -> None:
    stage = Stage()

    taken = intake(stage).take(ReleaseRequest(known, 3, AUTHOR))

    assert (taken.result, stage.releases.get(f"{ID}-3-1").prompt) == ("started", PROMPT)


def test_a_request_without_a_version_means_the_newest_that_was_never_tried() -> None:
    stage = Stage()
    ended(stage, 1)

    assert taken(stage, None).release_id == f"{ID}-4-1"


def test_where_every_newer_version_was_tried_there_is_nothing_to_start() -> None:
    stage = Stage()
    for version in (2, 4):
        ended(stage, version)

    assert taken(stage, None) == Taken("duplicate", "every version of support has a release record", "")
    assert nothing_started(stage)


def test_without_any_version_there_is_nothing_to_start() -> None:
    stage = Stage()
    stage.prompts._versions[ID].clear()

    assert taken(stage, None).result == "duplicate"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda stage: stage.prompts._names.clear(), f"prompt '{ID}' does not exist (any more)"),
        (
            lambda stage: stage.enrolments.deployed.clear(),
            "prompt 'support' is not enrolled: there is no prompts/support/release.yaml",
        ),
        (lambda stage: stage.prompts._versions[ID].pop(), f"prompt {ID} has no version 4"),
    ],
)
def test_what_cannot_be_released_is_dropped_and_says_why(change: Any, says: str) -> None:
    stage = Stage()
    change(stage)

    assert taken(stage, 4) == Taken("dropped", says, "")
    assert nothing_started(stage)


def test_an_event_about_a_version_that_has_records_is_a_duplicate() -> None:
    stage = Stage()
    ended(stage, 2)
    ended(stage, 2, 2)

    assert taken(stage, 2) == Taken(
        "duplicate", "version 2 of support has release records; only an explicit request repeats it", ""
    )
    assert nothing_started(stage)


def test_an_event_about_a_version_older_than_one_that_was_tried_is_a_duplicate() -> None:
    stage = Stage()
    for version in (1, 3):
        ended(stage, version)

    assert taken(stage, 2) == Taken(
        "duplicate", "version 2 of support is older than version 3, which has a release", ""
    )
    assert taken(stage, 4).result == "started"


def test_an_explicit_request_makes_the_next_attempt() -> None:
    stage = Stage()
    for attempt, request in ((1, "r1"), (3, "r3"), (2, "r2")):
        ended(stage, 2, attempt, request_id=request)
    ended(stage, 3, 7, request_id="r9")

    assert taken(stage, 2, explicit=True, request_id="r9").release_id == f"{ID}-2-4"


@pytest.mark.parametrize("request_id", ["r1", "r2"])
def test_an_explicit_request_that_was_taken_already_is_a_duplicate(request_id: str) -> None:
    stage = Stage()
    for attempt, known in ((1, "r1"), (2, "r2"), (3, "")):
        ended(stage, 2, attempt, request_id=known)

    assert taken(stage, 2, explicit=True, request_id=request_id) == Taken(
        "duplicate", "this very request was taken already", ""
    )
    assert taken(stage, 2, explicit=True).release_id == f"{ID}-2-4", "a request without an id is none that was taken"


def test_an_explicit_request_for_what_is_stable_is_a_duplicate_and_for_an_older_version_is_not() -> None:
    stage = Stage()
    stage.serve(3)
    ended(stage, 3)

    assert taken(stage, 3, explicit=True) == Taken("duplicate", "version 3 of support is stable already", "")
    assert taken(stage, 2, explicit=True).release_id == f"{ID}-2-1"


def test_an_explicit_request_needs_no_route() -> None:
    assert taken(Stage(served=False), 2, explicit=True).result == "started"


@pytest.mark.parametrize("explicit", [False, True])
def test_an_unfinished_release_is_not_started_anew_but_its_execution_is(explicit: bool) -> None:
    """Cut off between record and execution; or the event came twice: the execution's name is taken once."""
    stage = Stage()
    ended(stage, 2)
    record = stage.release(2, 2, candidate=None)

    again = taken(stage, 2, KIM, explicit=explicit, request_id="r2")

    name = f"{ID}-2-2"
    assert again == Taken("started", f"release {name} of support started", name)
    assert stage.releases.get(name) == record
    assert stage.workflow.executions == {name: "RUNNING"}
    assert len(stage.told(name)) == 1


def test_a_release_that_ended_between_reading_and_starting_is_a_duplicate() -> None:
    stage = Stage()
    name = f"{ID}-2-1"
    find = stage.prompts.version

    def then_superseded(prompt_id: str, version: int) -> Any:
        ended(stage, 2)
        return find(prompt_id, version)

    stage.prompts.version = then_superseded  # type: ignore[method-assign]

    assert taken(stage, 2) == Taken("duplicate", f"release {name} has ended already", name)
    assert nothing_started(stage)


@pytest.mark.parametrize("explicit", [False, True])
def test_while_another_release_is_in_flight_the_version_waits_for_its_end(explicit: bool) -> None:
    stage = Stage()
    holder = stage.release(2).release_id

    assert taken(stage, 3, KIM, explicit=explicit) == Taken(
        "waiting", f"release {holder} of support is in flight; version 3 waits for its end", ""
    )
    assert stage.releases.waiting(ID) == [Waiting(PROMPT, ID, 3, 5000.0, KIM, explicit)]
    assert (stage.releases.holder(ID), stage.workflow.executions, stage.releases.find(f"{ID}-3-1")) == (
        holder,
        {},
        None,
    )


def test_the_start_of_a_release_supersedes_what_waited_behind_it() -> None:
    stage = Stage()
    for version in (2, 4):
        stage.releases.wait(Waiting(PROMPT, ID, version, 10.0 * version, "x"))

    assert taken(stage, 3).result == "started"
    assert [w.version for w in stage.releases.waiting(ID)] == [4]
    assert stage.releases.get(f"{ID}-2-1").reason == "version 3 was published while this one waited"


# Superseding


def test_older_waiting_versions_end_with_a_record_that_says_why() -> None:
    stage = Stage(versions=6)
    ended(stage, 3)
    ended(stage, 3, 2)
    ended(stage, 4, 5)
    for version, by, explicit in ((2, AUTHOR, False), (3, KIM, True), (5, AUTHOR, False), (6, AUTHOR, False)):
        stage.releases.wait(Waiting(PROMPT, ID, version, 10.0 * version, by, explicit))
    reason = "version 5 was published while this one waited"

    names = supersede(stage.releases, ID, by=5, now=4000.0)

    assert names == [f"{ID}-2-1", f"{ID}-3-3"]
    assert [w.version for w in stage.releases.waiting(ID)] == [5, 6]
    for name, since, by, explicit in ((names[0], 20.0, AUTHOR, False), (names[1], 30.0, KIM, True)):
        assert stage.releases.get(name) == Release(
            name,
            PROMPT,
            since,
            by,
            explicit=explicit,
            state="ended",
            outcome=Outcome.SUPERSEDED,
            reason=reason,
            ended_at=4000.0,
        )
        detail = {"outcome": "superseded", "reason": reason, "by_version": 5}
        assert stage.told(name) == [TimelineEntry(f"{name}/ended", name, 4000.0, Event.ENDED, "promptlane", detail)]


def test_one_whose_record_is_there_already_stops_waiting_and_the_next_one_ends_too() -> None:
    """Somebody else was faster with the first of them, or this was cut off after its record."""
    stage = Stage()
    for version in (1, 2):
        stage.releases.wait(Waiting(PROMPT, ID, version, 10.0, "x"))
    of_prompt = stage.releases.of_prompt

    def then_recorded(prompt_id: str) -> list[Release]:
        before = of_prompt(prompt_id)
        if not stage.releases.find(f"{ID}-1-1"):
            ended(stage, 1)
        return before

    stage.releases.of_prompt = then_recorded  # type: ignore[method-assign]

    assert supersede(stage.releases, ID, by=3, now=4000.0) == [f"{ID}-2-1"]
    assert stage.releases.waiting(ID) == []
    assert stage.releases.get(f"{ID}-1-1") == replace(
        stage.releases.get(f"{ID}-1-1"), outcome=Outcome.REJECTED, reason=""
    )
