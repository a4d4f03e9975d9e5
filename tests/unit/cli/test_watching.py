"""`promptlane status` and `history`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.meant import Identity
from promptlane.domain.release.release import Waiting
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.text import span
from promptlane.fakes import FakePrompts
from tests.support.cli_desk import OPERATOR, Desk
from tests.support.prompt import ID


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_status_of_a_prompt_that_is_not_in_bedrock_says_what_to_do(desk: Desk) -> None:
    [prompt] = desk.json("status")["prompts"]

    assert (prompt["route"], prompt["release"]) == (None, None)
    assert "promptlane publish" in prompt["notes"][0]


def test_status_of_all_prompts_says_which_name_several_have(desk: Desk) -> None:
    desk.publish()
    FakePrompts.publish(desk.prompts, desk.prompts.drafts[ID], prompt_id="PROMPT0009")
    desk.prompts.drafts.clear()

    [prompt] = desk.json("status")["prompts"]

    assert (prompt["prompt_id"], prompt["release"]) == (None, None)
    assert f"2 prompts of Bedrock are called 'greeter': {ID} and PROMPT0009" in prompt["notes"][0]


def test_status_is_of_the_prompt_that_the_name_was_fixed_to(desk: Desk) -> None:
    desk.publish()
    desk.identities.fix(Identity("greeter", "PROMPT0009", 1.0, "PROMPT0009-1-1"), expected=None)

    assert desk.json("status")["prompts"][0]["prompt_id"] == "PROMPT0009"


def test_status_in_canary_shows_who_gets_what(desk: Desk) -> None:
    stable, trial = desk.publish(), desk.publish("Greet {{name}} twice.")
    desk.canary(stable, trial, 2500)
    desk.start(2, state="canary")

    [prompt] = desk.json("status", "greeter")["prompts"]

    assert prompt["route"]["shares"] == {"1": 75.0, "2": 25.0}
    assert (prompt["release"]["state"], prompt["release"]["version"]) == ("canary", 2)
    shown = desk.type("status", "greeter").stdout
    assert "version 2: 25%" in shown
    assert "Release Started" in shown


def test_status_says_that_the_fuse_sleeps_while_the_last_look_found_it_so_and_the_release_goes_on(desk: Desk) -> None:
    desk.canary(desk.publish(), desk.publish("Greet {{name}} twice."), 2500)
    release = desk.start(2, state="canary")
    for seq, told in enumerate(({}, {"fuse_sleeps": "the fuse sleeps: too few"}, {})):
        entry = TimelineEntry(f"look/{seq}", release.release_id, desk.now, Event.CANARY_JUDGED, detail=told)
        desk.releases.append(entry)
        notes = desk.json("status", "greeter")["prompts"][0]["notes"]
        assert ("the fuse sleeps: too few and looks twice as often" in notes) is bool(told)
    desk.releases.append(
        TimelineEntry(
            "look/9", release.release_id, desk.now, Event.CANARY_JUDGED, detail={"fuse_sleeps": "the fuse sleeps"}
        )
    )
    desk.releases.update(replace(release, state="ended", outcome=Outcome.PROMOTED, ended_at=desk.now))
    assert "the fuse sleeps" not in str(desk.json("status", "greeter")["prompts"][0]["notes"])


def test_status_in_watch_without_holdback_says_that_alarms_alone_guard(desk: Desk) -> None:
    old, new = desk.publish(), desk.publish("Greet {{name}} twice.")
    desk.serve(new, previous=old, phase=Phase.WATCH, watch_until=desk.now + 600, holdback=0)

    [prompt] = desk.json("status", "greeter")["prompts"]

    assert any("alarms alone" in note for note in prompt["notes"])
    assert prompt["route"]["shares"] == {"2": 100.0}


def test_status_in_watch_shows_the_share_held_back(desk: Desk) -> None:
    old, new = desk.publish(), desk.publish("Greet {{name}} twice.")
    desk.serve(new, previous=old, phase=Phase.WATCH, watch_until=desk.now + 600, holdback=500)

    assert desk.json("status", "greeter")["prompts"][0]["route"]["shares"] == {"2": 95.0, "1": 5.0}
    assert "10 min to go" in desk.type("status", "greeter").stdout


def test_status_says_what_applications_meet_where_the_route_says_otherwise(desk: Desk) -> None:
    stable, trial = desk.publish(), desk.publish("Greet {{name}} twice.")
    desk.canary(stable, trial, 2500)
    desk.start(2, state="canary")
    assert desk.json("status", "greeter")["prompts"][0]["notes"] == []
    later = TimelineEntry(f"{ID}-2-1/route/99/1", f"{ID}-2-1", desk.now, Event.CANARY_SHIFTED, detail={"weight": 5000})
    desk.releases.append(later)
    desk.prompts.alter(ID, 2, None)

    restored, gone = desk.json("status", "greeter")["prompts"][0]["notes"]

    assert "the route was restored" in restored
    assert "99 was written before" in restored
    assert gone.startswith("version 2 does not exist any more: applications that are sent to it get an error")


def test_status_says_that_processes_hold_a_stale_route(desk: Desk) -> None:
    desk.serve(desk.publish())
    desk.counts.stale = 12, 420.4

    [note] = desk.json("status", "greeter")["prompts"][0]["notes"]
    assert note.startswith("12 refreshes of the last 15 min left a process with a stale route, the oldest for 420 s")

    desk.counts.down = True
    [note] = desk.json("status", "greeter")["prompts"][0]["notes"]
    assert note.startswith("whether applications hold a stale route cannot be said")


def test_status_says_that_a_prompt_was_deleted_whatever_the_route_says(desk: Desk) -> None:
    desk.serve(desk.publish())
    desk.prompts.remove(ID)

    for arguments in (["status", "greeter"], ["status"]):
        [prompt] = desk.json(*arguments)["prompts"]

        assert prompt["route"]["shares"] == {"1": 100.0}
        [note] = prompt["notes"]
        assert note.startswith(f"prompt {ID} was deleted, and the route names versions of it: requests to them fail")
        assert "prompt_id_reason" in note


def test_status_lists_waiting_versions_and_a_pause(desk: Desk) -> None:
    desk.publish()
    desk.start(1, paused={"by": OPERATOR, "reason": "campaign today", "at": desk.now})
    desk.releases.wait(Waiting("greeter", ID, 2, desk.now, OPERATOR))

    shown = desk.type("status").stdout

    assert "version 2 waits" in shown
    assert "campaign today" in shown


def test_watch_ends_when_the_release_does(desk: Desk) -> None:
    desk.publish()
    release = desk.start(1)
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        desk.now += seconds
        if looks == 3:
            ended = replace(release, state="ended", outcome=Outcome.PROMOTED, ended_at=desk.now)
            desk.releases.update(ended)
            desk.releases.unlock(ID, release.release_id)

    desk._sleep = sleep  # type: ignore[method-assign]
    lines = desk.type("status", "greeter", "--watch", "--json").stdout.splitlines()

    assert [json.loads(line)["prompts"][0]["release"]["state"] for line in lines] == ["started", "ended"]
    assert desk.type("status", "greeter", "--watch").exit_code == 0


def test_history_of_a_prompt_lists_its_releases(desk: Desk) -> None:
    desk.publish()
    desk.start(1)

    said = desk.json("history", "greeter")

    assert [r["release_id"] for r in said["releases"]] == [f"{ID}-1-1"]
    assert f"{ID}-1-1" in desk.type("history", "greeter").stdout


def test_history_of_a_release_is_its_timeline(desk: Desk) -> None:
    desk.publish()
    name = desk.start(1).release_id
    detail = {"weight": 500, "reason": "[red]not markup[/red]"}
    desk.releases.append(TimelineEntry(f"{name}/waiting/0/x", name, desk.now, Event.CANARY_WAITING, detail=detail))

    said = desk.json("history", name, "--verify")

    assert [e["event"] for e in said["timeline"]] == ["Release Started", "Canary Waiting"]
    assert (said["verified"], said["locked_copy"]) == (False, None)
    shown = desk.type("history", name).stdout
    assert "weight 5%" in shown.replace("\n", " ")
    assert "[red]" in shown


def test_an_altered_timeline_is_found(desk: Desk) -> None:
    desk.publish()
    name = desk.start(1).release_id
    entry = desk.releases.timeline(name)[0]
    desk.releases.timeline = lambda release_id: [replace(entry, by="somebody else")]  # type: ignore[method-assign]

    error = desk.json("history", name, "--verify", exit_code=1)["error"]

    assert "entry 1 was altered" in error["message"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("history", "nobody"), "there is no prompt 'nobody'"),
        (("history", f"{ID}-9-1"), f"there is no release {ID}-9-1"),
        (("status", "nobody"), "there is no prompt 'nobody'"),
    ],
)
def test_what_does_not_exist_is_named(desk: Desk, words: tuple[str, ...], expected: str) -> None:
    result = desk.type(*words)

    assert result.exit_code == 1
    assert expected in result.stderr


def test_a_deployment_without_prompts_says_so(desk: Desk) -> None:
    desk.enrolments.deployed.clear()

    assert "no prompt is enrolled" in desk.type("status").stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.4, "59 s"), (125, "2 min"), (3600, "60 min"), (12_000, "3.3 h"), (2e5, "2 days")],
)
def test_durations_read_like_speech(seconds: float, text: str) -> None:
    assert span(seconds) == text
