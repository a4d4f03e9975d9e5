"""The drill: all of the way back but its write."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import InvalidInput, PromptlaneError, Unauthorized, Unavailable
from promptlane.domain.names import Phase
from promptlane.domain.release.route import Route
from promptlane.lifecycle.drill import AGAIN, WITHIN, Asked, Drill, DrillRound, ask, prove, read_drill
from tests.support.prompt import PROMPT, RELEASE
from tests.support.stage import Stage

ASKED = Asked(PROMPT, "a1", 990.0)
CANARY: dict[str, Any] = {"weight": 500, "phase": Phase.CANARY, "phase_since": 900.0, "shifts": ((900.0, 500),)}


def staged(kind: str) -> Stage:
    stage = Stage()
    if kind == "canary":
        stage.serve(1, canary=stage.ref(2), release_id=RELEASE, **CANARY)
    elif kind == "watch":
        stage.serve(2, previous=stage.ref(1), release_id=RELEASE, phase=Phase.WATCH, watch_until=9e9, holdback=500)
    elif kind == "steady":
        stage.serve(2, previous=stage.ref(1), release_id=RELEASE)
    elif kind == "first":
        stage.serve(1, release_id=RELEASE)
    return stage


def clocked(*times: float) -> Callable[[], float]:
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def tried(stage: Stage, routes: Any = None, *, patience: int = 0) -> Drill:
    return prove(routes or stage.routes, ASKED, clock=lambda: 1_000.5, keep_trying=lambda attempt: attempt <= patience)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("canary", "a rollback would leave version 1 to everybody"),
        ("watch", "a rollback would leave version 1 to everybody"),
        ("steady", "a rollback would leave version 1 to everybody"),
        ("first", "at present there is nothing to go back to: "),
    ],
)
def test_the_way_is_proven_and_nothing_moves_whatever_is_out(kind: str, says: str) -> None:
    stage = staged(kind)
    before = stage.route

    drill = tried(stage)

    assert (drill.proved, drill.id, drill.seconds) == (True, "a1", 10.5)
    assert drill.says.startswith(says)
    assert (stage.route, stage.notices.sent) == (before, [])


class Table:
    """A route store whose answers are given."""

    def __init__(self, route: Any, *answers: Exception | None) -> None:
        self.route, self.answers, self.asked = route, list(answers), list[tuple[Route, Route]]()

    def get(self, prompt: str) -> Route | None:
        if isinstance(self.route, Exception):
            raise self.route
        return self.route if self.route is None else replace(self.route)

    def put(self, route: Route, *, expected: Route) -> None:
        self.asked.append((route, expected))
        if answer := self.answers.pop(0):
            raise answer


@pytest.mark.parametrize(
    ("answers", "patience", "said"),
    [
        ((Unauthorized("AccessDeniedException"),), 9, "AccessDeniedException"),
        ((InvalidInput("item too large"),), 9, "item too large"),
        ((Unavailable("down"), Unavailable("still down")), 1, "still down"),
        ((None,), 9, "under a condition that cannot hold"),
    ],
)
def test_what_would_have_kept_a_rollback_from_its_write_is_told(
    answers: tuple[PromptlaneError | None, ...], patience: int, said: str
) -> None:
    table = Table(staged("canary").route, *answers)
    drill = tried(Stage(), table, patience=patience)
    assert (drill.proved, said in drill.says, table.answers) == (False, True, [])
    for written, expected in table.asked:
        assert (written.canary, expected.revision, expected.release_id) == (None, -1, "no release")


@pytest.mark.parametrize(
    ("route", "said"),
    [
        (None, "prompt 'support' has no route"),
        (KeyError("stable"), "the route of support cannot be read"),
        (Unauthorized("may not read"), "may not read"),
    ],
)
def test_a_route_that_cannot_be_had_is_a_way_that_is_broken(route: Any, said: str) -> None:
    drill = tried(Stage(), Table(route))
    assert (drill.proved, said in drill.says) == (False, True)


def told(**changed: Any) -> dict[str, Any]:
    reason, at = json.dumps({"drill": "a1", "prompt": PROMPT}), "1970-01-01T00:16:30.000+0000"
    return {"NewStateValue": "ALARM", "NewStateReason": reason, "StateChangeTime": at, **changed}


def test_the_alarms_message_says_whose_way_is_walked() -> None:
    assert read_drill(told()) == ASKED
    assert read_drill(told(NewStateValue="OK", NewStateReason="after a drill")) is None


@pytest.mark.parametrize(
    "odd",
    [
        {"NewStateReason": "set by hand"},
        {"NewStateReason": None},
        {"NewStateReason": "[" * 100_000},
        {"NewStateReason": "[1]"},
        {"NewStateReason": '{"drill": "a1"}'},
        {"NewStateReason": '{"drill": "a1", "prompt": 7}'},
        {"NewStateReason": '{"drill": "a1", "prompt": "\\ud83d"}'},
        {"NewStateReason": json.dumps({"drill": "a1", "prompt": "x" * 3_000})},
        {"StateChangeTime": "yesterday"},
    ],
    ids=lambda odd: str(odd)[:50],
)
def test_a_message_that_does_not_say_it_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="use promptlane drill"):
        read_drill(told(**odd))


class Kept:
    """The last drills, and the alarm that is set for them. `answers`: what `roll_back` says to each time it is set."""

    def __init__(self, *answers: Callable[[str, str], Drill] | None) -> None:
        self.answers, self.found, self.set, self.now = list(answers), dict[str, Drill](), list[str](), 0.0

    def trip(self, reason: str) -> None:
        self.set.append("ALARM")
        asked = json.loads(reason)
        if self.answers and (answer := self.answers.pop(0)):
            self.found[asked["prompt"]] = answer(asked["prompt"], asked["drill"])

    def rest(self) -> None:
        self.set.append("OK")

    def last(self, prompt: str) -> Drill | None:
        return self.found.get(prompt)

    def keep(self, drill: Drill) -> bool:
        raise AssertionError("only roll_back keeps a drill")

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, prompt: str = PROMPT, id: str = "a1") -> Drill | None:
        return ask(self, self, prompt, id=id, clock=lambda: self.now, sleep=self.sleep)

    def round(self, *prompts: str, left: Callable[[], float] = lambda: 900.0) -> tuple[list[str], dict[str, str]]:
        ids = iter("abcdef")
        run = DrillRound(
            alarm=self,
            drills=self,
            clock=lambda: self.now,
            sleep=self.sleep,
            new_id=lambda: next(ids),
            prompts=lambda: list(prompts),
        )
        proved, broken = run.run(seconds_left=left)
        return [drill.prompt for drill in proved], broken


def proven(prompt: str, id: str) -> Drill:
    return Drill(prompt, id, 1.0, 2.5, True, "fine")


def broken(prompt: str, id: str) -> Drill:
    return Drill(prompt, id, 1.0, 2.5, False, "may not write")


def test_the_alarm_is_set_until_the_proof_comes_and_put_back() -> None:
    kept = Kept(proven)
    assert kept.ask() == proven(PROMPT, "a1")
    assert (kept.set, kept.now) == (["ALARM", "OK"], 0.0)


def test_an_older_drill_is_no_answer_and_an_alarm_that_stood_already_is_set_again() -> None:
    kept = Kept(lambda prompt, _: proven(prompt, "another"), proven)
    assert kept.ask() == proven(PROMPT, "a1")
    assert (kept.set, kept.now) == (["ALARM", "ALARM", "OK"], AGAIN + 0.5)


def test_no_answer_is_no_proof() -> None:
    kept = Kept()
    assert kept.ask() is None
    assert (kept.set, kept.now) == ([*["ALARM"] * int(WITHIN / AGAIN), "OK"], WITHIN)


def test_a_round_tells_each_way_that_is_broken_and_ends_where_nobody_answers() -> None:
    assert Kept(proven, broken, proven).round("a", "b", "c") == (["a", "c"], {"b": "may not write"})
    proved, wrong = Kept(proven).round("a", "b", "c")
    assert (proved, list(wrong)) == (["a"], ["b"])
    assert "no proof came from roll_back within 60 s" in wrong["b"]


def test_a_round_that_runs_out_of_time_says_what_it_left() -> None:
    left = clocked(900.0, 64.0)
    assert Kept(proven).round("a", "b", left=left) == (["a"], {"b": "no time was left to drill it"})
