"""`promptlane drill`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptlane.lifecycle.drill import Drill
from tests.support.cli_desk import Desk

Json = Any


class Way:
    """The alarm, and what `roll_back` noted; `answers` nothing where it is broken."""

    def __init__(self, desk: Desk, *, answers: bool = True, proved: bool = True) -> None:
        self.desk, self.answers, self.proved = desk, answers, proved
        self.found: Drill | None = None
        self.set: list[str] = []

    def trip(self, reason: str) -> None:
        self.set.append("ALARM")
        asked = json.loads(reason)
        if self.answers:
            says = "a rollback would leave version 1 to everybody" if self.proved else "AccessDenied"
            times = {"changed_at": self.desk.now - 1.25, "ended_at": self.desk.now}
            self.found = Drill(asked["prompt"], asked["drill"], proved=self.proved, says=says, **times)

    def rest(self) -> None:
        self.set.append("OK")

    def last(self, prompt: str) -> Drill | None:
        return self.found if prompt == "greeter" else None


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.serve(desk.publish())
    return desk


def way(desk: Desk, **how: bool) -> Way:
    made, connect = Way(desk, **how), desk.connect

    def connected() -> Any:
        deployment = connect()
        deployment.__dict__["alarms"] = deployment.__dict__["drills"] = made
        return deployment

    desk.connect = connected  # type: ignore[method-assign]
    return made


def test_it_says_how_long_the_way_takes_and_where_it_leads(desk: Desk) -> None:
    made = way(desk)
    said = desk.type("drill", "greeter")
    assert said.exit_code == 0
    assert "The way back of greeter stands: 1.25 s from the alarm to the route." in said.output
    assert "a rollback would leave version 1 to everybody." in said.output
    assert made.set == ["ALARM", "OK"]
    document = desk.json("drill", "greeter", "--last")
    assert (document["proved"], document["seconds"], document["prompt"]) == (True, 1.25, "greeter")
    assert made.set == ["ALARM", "OK"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"answers": False}, "no proof came from roll_back within 60 s"),
        ({"proved": False}, "AccessDenied"),
    ],
)
def test_a_way_that_is_broken_is_an_error_that_says_why(desk: Desk, how: dict[str, bool], why: str) -> None:
    made = way(desk, **how)
    error = desk.json("drill", "greeter", exit_code=1)["error"]
    assert error["type"] == "Unavailable"
    assert error["message"].startswith("the way back of greeter is broken: ")
    assert why in error["message"]
    assert made.set[-1] == "OK"


def test_without_a_drill_there_is_no_last_one(desk: Desk) -> None:
    way(desk)
    assert "never drilled" in desk.json("drill", "greeter", "--last", exit_code=1)["error"]["message"]
