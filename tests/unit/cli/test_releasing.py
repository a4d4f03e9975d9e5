"""`promptlane release`: everything that can be refused at once is refused before the queue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptlane.domain.names import Outcome
from promptlane.domain.release.release import Waiting
from promptlane.fakes import FakeQueue
from tests.support.cli_desk import OPERATOR, Desk
from tests.support.prompt import ID


@pytest.fixture
def desk() -> Desk:
    return Desk()


def refused(desk: Desk, *words: str) -> str:
    error = desk.json("release", *words, exit_code=1)["error"]
    assert desk.queue.requests == []
    return str(error["message"])


def test_a_request_names_prompt_version_and_caller(desk: Desk) -> None:
    desk.publish()

    said = desk.json("release", "greeter", "1", "--wait", "0")

    assert desk.queue.requests == [("greeter", 1, OPERATOR, True)]
    assert said == {"prompt": "greeter", "version": 1, "release_id": f"{ID}-1-1", "state": "requested"}


def test_id_and_arn_name_the_prompt_too(desk: Desk) -> None:
    arn = desk.publish().arn

    for subject in (ID, arn):
        assert desk.json("release", subject, "1", "--wait", "0")["prompt"] == "greeter"


def test_it_waits_until_the_release_has_started(desk: Desk) -> None:
    desk.publish()

    class Intake(FakeQueue):
        def request(self, prompt: str, version: int, *, requested_by: str, explicit: bool) -> None:
            desk.start(version)

    desk.queue = Intake()

    assert desk.json("release", "greeter", "1")["state"] == "started"


def test_it_says_behind_which_release_a_version_waits(desk: Desk) -> None:
    desk.publish()
    desk.publish("Greet {{name}} again.")
    desk.start(1)
    desk.releases.wait(Waiting("greeter", ID, 2, desk.now, OPERATOR, True))

    said = desk.json("release", "greeter", "2")

    assert (said["state"], said["behind"]) == ("waiting", f"{ID}-1-1")


def test_a_version_that_does_not_exist(desk: Desk) -> None:
    desk.publish()

    assert "has no version 7" in refused(desk, "greeter", "7")


def test_a_prompt_that_does_not_exist_or_is_not_enrolled(desk: Desk) -> None:
    assert "there is no prompt 'nobody'" in refused(desk, "nobody", "1")
    desk.publish()
    desk.enrolments.deployed.clear()
    assert "not enrolled" in refused(desk, "greeter", "1")


def test_a_version_that_is_stable_already(desk: Desk) -> None:
    desk.serve(desk.publish())

    assert "version 1 of greeter is stable already" in refused(desk, "greeter", "1")


def test_a_version_with_the_content_of_stable(desk: Desk) -> None:
    desk.serve(desk.publish())
    desk.publish()

    assert "same content as stable version 1" in refused(desk, "greeter", "2")


def test_a_version_that_was_rolled_back_needs_a_second_word(desk: Desk) -> None:
    stable, bad = desk.publish(), desk.publish("Insult {{name}}.")
    quarantined = {bad.fingerprint: {"version": 2, "release_id": f"{ID}-2-1", "at": desk.now}}
    desk.serve(stable, quarantined=quarantined)
    ended = desk.start(2)
    desk.releases.update(replace(ended, state="ended", outcome=Outcome.ROLLED_BACK))

    assert "--again" in refused(desk, "greeter", "2")
    assert desk.json("release", "greeter", "2", "--again", "--wait", "0")["release_id"] == f"{ID}-2-2"


def test_a_version_that_is_in_flight(desk: Desk) -> None:
    desk.publish()
    desk.start(1)

    assert f"in flight already as release {ID}-1-1 (started)" in refused(desk, "greeter", "1")


@pytest.mark.parametrize("version", ["0", "-1", "x", "100000"])
def test_a_version_that_is_no_version_number(desk: Desk, version: str) -> None:
    assert desk.type("release", "greeter", "--", version).exit_code == 2
