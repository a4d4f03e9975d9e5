"""Rollback over the ports: the safe route in one write, what a request comes to, and who is told what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest

from promptlane.domain.errors import Conflict, InvalidInput, NotApplicable, Unavailable
from promptlane.domain.names import Outcome, Phase, Track
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import RollbackCause, Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.lifecycle.rollback import (
    PATH_CALLS,
    Aftermath,
    PromotedBefore,
    RolledBack,
    TrippedAlarm,
    Wish,
    read_alarm,
    restore_safe_route,
)
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import EARLIER, Stage


def back(stage: Stage, cause: RollbackCause = "operator", tries: int = 1, **given: Any) -> RolledBack:
    wish = Wish(prompt=PROMPT, cause=cause, reason="bad", by="kim", **given)
    return restore_safe_route(stage.routes, wish, clock=stage.clock, keep_trying=lambda attempt: attempt < tries)


def in_canary() -> Stage:
    stage = Stage()
    stage.serve(
        1,
        release_id=RELEASE,
        canary=stage.ref(2),
        weight=500,
        phase=Phase.CANARY,
        phase_since=4000.0,
        shifts=((4000.0, 500),),
    )
    return stage


def in_watch() -> Stage:
    stage = Stage()
    stage.serve(
        2,
        release_id=RELEASE,
        previous=stage.ref(1),
        holdback=800,
        phase=Phase.WATCH,
        phase_since=4000.0,
        watch_until=6000.0,
    )
    return stage


def steady(**changes: Any) -> Stage:
    stage = Stage()
    stage.serve(2, release_id=RELEASE, **changes)
    return stage


# What a request comes to


@pytest.mark.parametrize("evidence", [None, {"harm": 30.0}])
@pytest.mark.parametrize("cause", ["alarm", "judge", "undecided", "operator"])
@pytest.mark.parametrize("begin", [in_canary, in_watch])
def test_the_safe_version_is_put_back_and_the_other_quarantined(
    begin: Callable[[], Stage], cause: RollbackCause, evidence: dict[str, float] | None
) -> None:
    stage = begin()
    before = stage.route

    done = back(stage, cause, release_id=RELEASE, evidence=evidence)

    detail = {"version": 2, "restored": 1, "cause": cause, "reason": "bad", "phase": str(before.phase)}
    entry = TimelineEntry(
        f"{RELEASE}/route/9/5000000",
        RELEASE,
        5000.0,
        Event.ROLLED_BACK,
        "kim",
        detail | ({"evidence": evidence} if evidence else {}),
    )
    expected = replace(
        before,
        stable=stage.ref(1),
        previous=None,
        canary=None,
        weight=0,
        holdback=0,
        phase=Phase.STEADY,
        phase_since=5000.0,
        watch_until=0.0,
        revision=9,
        epoch=5_000_000,
        pending=(entry,),
        quarantined={
            **EARLIER,
            stage.ref(2).fingerprint: {
                "version": 2,
                "release_id": RELEASE,
                "at": 5000.0,
                "rounded": stage.ref(2).rounded,
            },
        },
    )
    assert done == RolledBack("rolled_back", "bad", PROMPT, RELEASE, expected)
    assert stage.route == expected


def unmoved(stage: Stage, **given: Any) -> RolledBack:
    before = stage.route
    done = back(stage, **given)
    assert stage.route == before
    return done


def test_a_prompt_without_a_route_serves_nothing_that_could_be_taken_back() -> None:
    assert back(Stage(served=False)) == RolledBack(
        "not_applicable", "prompt 'support' has no route: nothing of it is served", PROMPT, "", None
    )


def test_a_release_that_was_rolled_back_already_is_told_so_whatever_is_served_since() -> None:
    stage = in_canary()
    stage.serve(
        1,
        release_id=f"{ID}-3-1",
        canary=stage.ref(3),
        weight=500,
        phase=Phase.CANARY,
        quarantined={stage.ref(2).fingerprint: {"version": 2, "release_id": RELEASE}},
    )

    assert unmoved(stage, release_id=RELEASE) == RolledBack(
        "already", f"release {RELEASE} was rolled back already", PROMPT, RELEASE, stage.route
    )


def test_the_route_of_another_release_is_left_alone() -> None:
    stage = in_canary()

    done = unmoved(stage, release_id=f"{ID}-3-1")

    assert (done.result, done.release_id, done.route) == ("not_applicable", RELEASE, stage.route)
    assert "belongs to release" in done.reason


def refuse(route: Route) -> None:
    raise NotApplicable(f"a stale alarm about {route.prompt}")


@pytest.mark.parametrize(("again", "result"), [(False, "not_applicable"), (True, "already")])
def test_what_does_not_apply_changes_nothing_and_is_already_done_after_a_rollback(
    again: bool, result: Literal["not_applicable", "already"]
) -> None:
    stage = in_canary()
    if again:
        back(stage)

    done = unmoved(stage, applies=refuse)

    assert done == RolledBack(result, "a stale alarm about support", PROMPT, RELEASE, stage.route)


@pytest.mark.parametrize("cause", ["alarm", "operator"])
def test_after_the_watch_an_operator_alone_rolls_back(cause: RollbackCause) -> None:
    stage = in_watch()
    stage.now = 6000.0

    if cause == "operator":
        assert back(stage, cause).result == "rolled_back"
    else:
        assert unmoved(stage, cause=cause).result == "not_applicable"


def test_with_nothing_to_go_back_to_it_says_so() -> None:
    stage = steady()

    done = unmoved(stage)

    assert (done.result, done.prompt, done.release_id, done.route) == (
        "nothing_to_go_back_to",
        PROMPT,
        RELEASE,
        stage.route,
    )
    assert "support has no version to go back to; version 2 stays" in done.reason


def test_an_operator_names_the_version_to_go_back_to() -> None:
    stage = steady()
    released(stage, 3, 1)

    done = back(stage, to=going_back(stage))

    assert (done.result, stage.route.stable) == ("rolled_back", stage.ref(3))
    assert set(stage.route.quarantined) == {*EARLIER, stage.ref(2).fingerprint}
    assert back(stage, to=going_back(stage)) == RolledBack(
        "already", "version 3 is stable", PROMPT, RELEASE, stage.route
    )


def test_a_version_that_may_not_be_named_is_not_said_to_be_back_already() -> None:
    stage = steady(previous=None, quarantined={"c" * 64: {"version": 2, "release_id": RELEASE}})

    done = unmoved(stage, to=going_back(stage))

    assert done == RolledBack("not_applicable", done.reason, PROMPT, RELEASE, stage.route)
    assert "version 3 of support was never promoted" in done.reason


def test_an_operator_who_names_a_version_while_a_canary_is_out_is_refused() -> None:
    stage = in_canary()
    released(stage, 3, 1)

    assert unmoved(stage, to=going_back(stage)).result == "not_applicable"


def test_what_was_rolled_back_long_ago_is_not_gone_back_to_either() -> None:
    stage = steady()
    bad = released(stage, 3, 1)
    stage.quarantine.keep(PROMPT, {bad.fingerprint: {"version": 3, "release_id": f"{ID}-3-1", "at": 5.0}})

    done = unmoved(stage, to=going_back(stage))

    assert done.result == "not_applicable"
    assert f"was rolled back in release {ID}-3-1; if it shall be tried again" in done.reason


def test_going_back_further_leaves_nothing_on_the_route_that_waits_to_be_moved() -> None:
    stage = steady(pending=(TimelineEntry(f"{RELEASE}/route/7", RELEASE, 1.0, Event.PROMOTED),))
    released(stage, 3, 1)

    back(stage, to=going_back(stage))

    assert [entry.event for entry in stage.route.pending] == [Event.ROLLED_BACK]
    assert [entry.event for entry in stage.told(RELEASE)] == [Event.PROMOTED]


def test_a_lost_race_is_decided_anew_on_the_route_that_is_there_then() -> None:
    stage = in_canary()
    seen: list[int] = []

    def applies(route: Route) -> None:
        seen.append(route.weight)
        if len(seen) == 1:
            stage.serve(1, release_id=RELEASE, canary=stage.ref(2), weight=2500, phase=Phase.CANARY)

    assert back(stage, applies=applies, tries=2).result == "rolled_back"
    assert seen == [500, 2500]


@pytest.mark.parametrize("error", [Conflict("moved"), Unavailable("throttled")])
def test_it_tries_again_as_long_as_it_may_and_then_raises_what_was_in_the_way(error: Exception) -> None:
    stage, asked = in_canary(), []

    def failing(prompt: str) -> Route:
        raise error

    def keep_trying(attempt: int) -> bool:
        asked.append(attempt)
        return attempt < 3

    stage.routes.get = failing  # type: ignore[method-assign]
    wish = Wish(prompt=PROMPT, cause="operator", reason="bad", by="kim")
    with pytest.raises(type(error), match=str(error)):
        restore_safe_route(stage.routes, wish, clock=stage.clock, keep_trying=keep_trying)
    assert asked == [1, 2, 3]


# A version that was promoted before


def released(stage: Stage, version: int, attempt: int, *, outcome: Outcome = Outcome.PROMOTED, **fields: Any) -> Any:
    candidate = stage.ref(version)
    known = {"candidate": candidate, "approval": {"candidate": candidate.fingerprint}, **fields}
    record = Release(f"{ID}-{version}-{attempt}", PROMPT, 1.0, "x", state="ended", outcome=outcome, **known)
    stage.releases.record_ended(record)
    return record.candidate


def going_back(stage: Stage, version: int = 3) -> PromotedBefore:
    return PromotedBefore(version=version, releases=stage.releases, quarantine=stage.quarantine)


def test_the_newest_promotion_of_a_version_is_what_one_goes_back_to() -> None:
    stage = steady()
    released(stage, 3, 1, candidate=replace(stage.ref(3), arn="older"))
    newest = released(stage, 3, 2)
    released(stage, 3, 3, outcome=Outcome.REJECTED, candidate=replace(stage.ref(3), arn="rejected"))
    released(stage, 4, 1)

    assert going_back(stage).target(stage.route) == newest


@pytest.mark.parametrize(
    "fields",
    [
        {"outcome": Outcome.ROLLED_BACK},
        {"approval": {}},
        {"approval": {"candidate": "b" * 64}},
        {"candidate": None, "approval": {}},
    ],
)
def test_nobody_goes_back_to_what_was_not_promoted_as_it_was_approved(fields: dict[str, Any]) -> None:
    stage = steady()
    released(stage, 3, 1, **fields)
    released(stage, 4, 1)

    with pytest.raises(NotApplicable, match=r"version 3 of support was never promoted.*promptlane release support 3"):
        going_back(stage).target(stage.route)


# Afterwards


def told(stage: Stage, done: RolledBack, *, stop_execution: bool = True) -> None:
    ports = stage.ports("releases", "workflow", "telling", "restoration", "clock", "log")
    Aftermath(**ports).tell(done, stop_execution=stop_execution)


def flown(stage: Stage) -> Stage:
    """The same with an execution that runs."""
    stage.workflow.start(RELEASE, {})
    return stage


@pytest.mark.parametrize(("stop_execution", "status"), [(True, "ABORTED"), (False, "RUNNING")])
def test_after_a_rollback_the_timeline_the_execution_and_people_are_told(stop_execution: bool, status: str) -> None:
    stage = flown(in_canary())
    shares = {"weight": 500, "version": 2, "stable": 1, "begins": True}
    earlier = TimelineEntry(f"{RELEASE}/route/8", RELEASE, 4000.0, Event.CANARY_SHIFTED, "x", shares)
    stage.serve(1, release_id=RELEASE, canary=stage.ref(2), weight=500, phase=Phase.CANARY, pending=(earlier,))
    done = back(stage)

    told(stage, done, stop_execution=stop_execution)

    assert stage.told(RELEASE) == [earlier, stage.route.pending[-1]]
    assert stage.workflow.status(RELEASE) == status
    (began, _), (subject, body) = stage.notices.sent
    assert began == "[Promptlane] support: version 2 goes to 5% of users", "what nobody was told of before"
    assert subject == "[Promptlane] support: version 2 rolled back"
    assert body.splitlines()[:7] == [
        "Prompt support: version 2 was rolled back.",
        "Version 1 serves everybody.",
        "",
        "Why:      bad",
        "Cause:    operator (kim)",
        f"Release:  {RELEASE}",
        "Phase:    canary",
    ]
    assert "Evidence" not in body
    assert "quarantined" in body
    assert body.splitlines()[-2:] == [
        f"What happened:  promptlane history {RELEASE}",
        f"Notice:         {RELEASE}/route/{stage.route.revision}/5000000",
    ]
    assert stage.releases.owed() == []


def test_the_execution_is_stopped_with_the_reason() -> None:
    stage, stopped = in_canary(), []
    stage.workflow.stop = lambda release_id, reason: stopped.append((release_id, reason))  # type: ignore[method-assign]

    told(stage, back(stage))

    assert stopped == [(RELEASE, "bad")]


METRIC = {"trial": (1000, 52), "control": (4000, 80), "harm": 123.4}
SILENT = {"trial": (0, 0), "control": (10, 0), "harm": 1.0}


@pytest.mark.parametrize(
    ("evidence", "lines"),
    [
        ({"alarm": "arn:a", "changed_at": 60.0}, ["alarm arn:a", "in ALARM since 1970-01-01T00:01:00.000Z"]),
        (
            {"harm": 61.74, "harm_needed": 20.0, "metrics": {"Refusal": METRIC, "Error": SILENT}, "notes": ["odd"]},
            [
                "harm 61.7, decides at 20",
                "Refusal: 52 of 1,000 (5.2%) against 80 of 4,000 (2%); evidence of harm 123",
                "Error: no request against 0 of 10 (0%); evidence of harm 1",
                "odd",
            ],
        ),
        (
            {
                "harm": 24.0,
                "harm_needed": 20.0,
                "metrics": {
                    "CostShare": {
                        "trial": [1000, 312.5],
                        "control": [0, 0],
                        "harm": 50.0,
                        "cap": 0.02,
                        "unit": "USD",
                    }
                },
                "notes": [],
            },
            [
                "harm 24, decides at 20",
                "CostShare: 0.00625 USD on average of 1,000 answers against no answer; evidence of harm 50",
            ],
        ),
        ({"alarm": "arn:a"}, ["alarm: arn:a"]),
        ({"alarm": "arn:a", "changed_at": "soon"}, ["alarm: arn:a", "changed_at: soon"]),
        (
            {"harm": 2.0, "harm_needed": 20.0, "metrics": [1], "notes": []},
            ["harm: 2.0", "harm_needed: 20.0", "metrics: [1]", "notes: []"],
        ),
        (
            {"harm": 2.0, "harm_needed": 20.0, "metrics": {}, "notes": None},
            ["harm: 2.0", "harm_needed: 20.0", "metrics: {}", "notes: None"],
        ),
        (
            {"harm": "x", "harm_needed": 20.0, "metrics": {}, "notes": []},
            ["harm: x", "harm_needed: 20.0", "metrics: {}", "notes: []"],
        ),
    ],
)
def test_the_evidence_is_mailed_in_words_or_as_it_is(evidence: dict[str, Any], lines: list[str]) -> None:
    stage = flown(in_watch())

    told(stage, back(stage, "judge", evidence=evidence))

    body = stage.notices.sent[0][1].splitlines()
    assert body[body.index("Phase:    watch") + 1 :][: len(lines) + 3] == [
        "",
        "Evidence:",
        *[f"  {line}" for line in lines],
        "",
    ]


def test_evidence_that_is_no_mapping_is_left_out() -> None:
    stage = flown(in_watch())

    told(stage, back(stage, "judge", evidence=["harm"]))

    assert "Evidence" not in stage.notices.sent[0][1]


def test_where_nothing_could_be_gone_back_to_people_are_told_what_they_can_do() -> None:
    stage = flown(steady())
    done = back(stage)

    told(stage, done)

    assert stage.told(RELEASE) == [
        TimelineEntry(
            f"{RELEASE}/impossible/8", RELEASE, 5000.0, Event.ROLLBACK_IMPOSSIBLE, "promptlane", {"reason": done.reason}
        )
    ]
    assert stage.workflow.status(RELEASE) == "RUNNING"
    [(subject, body)] = stage.notices.sent
    assert subject == "[Promptlane] support: rollback impossible"
    assert (done.reason in body, "promptlane rollback support --to VERSION" in body) == (True, True)


@pytest.mark.parametrize("begin", [in_canary, steady])
def test_what_changed_nothing_tells_nobody(begin: Callable[[], Stage]) -> None:
    stage = flown(begin())

    told(stage, back(stage, applies=refuse))

    assert (stage.told(RELEASE), stage.notices.sent, stage.workflow.status(RELEASE)) == ([], [], "RUNNING")


@pytest.mark.parametrize("broken", ["releases", "workflow", "notices"])
@pytest.mark.parametrize("begin", [in_canary, steady])
def test_one_that_fails_to_be_told_does_not_stop_the_others(begin: Callable[[], Stage], broken: str) -> None:
    class Down:
        def __getattr__(self, name: str) -> Any:
            raise Unavailable("no answer")

    stage = flown(begin())
    done = back(stage)
    whole = getattr(stage, broken)
    setattr(stage, broken, Down())
    told(stage, done)
    assert all("no answer" in line for line in stage.logged)
    assert bool(stage.logged) is (begin is in_canary or broken != "workflow")
    setattr(stage, broken, whole)

    assert bool(stage.told(RELEASE)) is (broken != "releases")
    assert (stage.workflow.status(RELEASE) == "ABORTED") is (broken != "workflow" and begin is in_canary)
    assert bool(stage.notices.sent) is (broken != "notices"), "also without the timeline"
    told(stage, replace(done, result="already") if begin is in_canary else done)
    assert len(stage.notices.sent) == (2 if broken == "releases" else 1)
    assert stage.releases.owed() == []


# Reading an alarm

HOME = {"deployment": "promptlane", "account": "111122223333", "region": "us-east-1"}
ARN = "arn:aws:cloudwatch:us-east-1:111122223333:alarm:promptlane/support/canary/Error"
ALARM = {
    "AlarmArn": ARN,
    "NewStateValue": "ALARM",
    "StateChangeTime": "2030-01-01T00:00:00.250+0000",
    "NewStateReason": "Threshold Crossed",
}


def test_an_alarm_of_ours_is_read() -> None:
    assert read_alarm(ALARM, **HOME) == TrippedAlarm(
        ARN, PROMPT, Track.CANARY, "Error", 1893456000.25, "Threshold Crossed"
    )


@pytest.mark.parametrize(("reason", "read"), [(None, ""), ("x" * 1001, "x" * 1000)])
def test_its_reason_may_be_missing_or_long(reason: str | None, read: str) -> None:
    assert read_alarm({**ALARM, "NewStateReason": reason}, **HOME).reason == read
    assert read_alarm({k: v for k, v in ALARM.items() if k != "NewStateReason"}, **HOME).reason == ""


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("text", "is not a CloudWatch alarm"),
        (["AlarmArn", "NewStateValue"], "is not a CloudWatch alarm"),
        ({k: v for k, v in ALARM.items() if k != "AlarmArn"}, "is not a CloudWatch alarm"),
        ({k: v for k, v in ALARM.items() if k != "NewStateValue"}, "is not a CloudWatch alarm"),
        ({**ALARM, "NewStateValue": "INSUFFICIENT_DATA"}, "is INSUFFICIENT_DATA, not ALARM"),
        ({k: v for k, v in ALARM.items() if k != "StateChangeTime"}, "no readable StateChangeTime"),
        ({**ALARM, "StateChangeTime": "yesterday"}, "no readable StateChangeTime"),
        ({**ALARM, "AlarmArn": ARN.replace("promptlane/", "other/")}, "no.* fuse alarm of deployment 'promptlane'"),
        ({**ALARM, "AlarmArn": ARN.replace("1111", "9999")}, "another account or Region than 111122223333/us-east-1"),
        ({**ALARM, "AlarmArn": ARN.replace("us-east-1", "eu-west-1")}, "another account or Region"),
        ({**ALARM, "AlarmArn": ARN.replace("Error", "Outage")}, "Outage watches stable itself"),
    ],
)
def test_anything_else_is_ignored_and_says_why(message: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_alarm(message, **HOME)


def test_the_path_to_the_safe_route_is_one_read_and_one_write() -> None:
    assert PATH_CALLS == 2
