"""A release may wait out a week, at whatever it waits for: Step Functions' history has room for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from functions.promote import handler as promote
from functions.shift import handler as shift
from promptlane.domain.canary.waits import HISTORY_EVENTS
from promptlane.domain.names import Phase, Track
from promptlane.domain.policy import Policy, Step, WatchPolicy
from promptlane.domain.ports import RedAlarm
from promptlane.fakes import InMemoryTurns
from promptlane.fakes.counts import FakeCounts, InMemoryBlocks
from promptlane.fakes.objects import MemoryObjects
from promptlane.lifecycle import judge_step
from promptlane.lifecycle.judge_step import Timing
from promptlane.lifecycle.shift import Traffic
from promptlane.lifecycle.test_round import Planner
from tests.support.prompt import PROMPT, RELEASE
from tests.support.stage import POLICY, TRAFFIC, Stage
from tests.support.state_machine import MACHINE, STATES, Execution, events_of, following, loops

WEEK = 7 * 86_400.0
TRIES = 2
"""Of every task fail before one succeeds, all week."""
LONG = replace(POLICY.canary, steps=(Step(500, 10, 60 * 86_400), Step(2500, 20, 60 * 86_400)), undecided="stay")
SLOW = replace(POLICY, canary=LONG, watch=WatchPolicy(duration=20 * 86_400, holdback=800))


@dataclass
class Waiting:
    """A release of version 2 that the state machine carries on, over the real steps and stores in memory."""

    monkeypatch: pytest.MonkeyPatch
    resolution: int
    policy: Policy = SLOW
    stage: Stage = field(default_factory=Stage)

    def __post_init__(self) -> None:
        self.stage.enrolments.deployed[PROMPT] = self.policy
        record = self.stage.approved(2)
        self.stage.releases.update(replace(record, approval={**record.approval, "at": self.stage.now}))
        ports = self.stage.ports(*TRAFFIC)
        wired = (Traffic(**ports), self.resolution)
        judging = self.stage.ports("routes", "releases", "enrolments", "alarms", "telling")
        self.judge = judge_step.Ports(
            **judging, counts=FakeCounts(), blocks=InMemoryBlocks(), timing=Timing.at(self.resolution)
        )
        for module in (shift, promote):
            self.monkeypatch.setattr(module, "wire", lambda: wired)
            self.monkeypatch.setattr(module.time, "time", self.stage.clock)

    def red(self, metric: str = "Outage") -> None:
        """The alarm of a trouble that condemns nobody: it stands since before the release."""
        self.stage.alarms.standing[PROMPT] = [RedAlarm(Track.STABLE, metric, 10.0)]

    def run(self, start: str, seconds: float = WEEK, **variables: Any) -> Execution:
        def timed(task: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
            def run(payload: dict[str, Any]) -> dict[str, Any]:
                self.stage.now = execution.now
                return task(payload)

            return run

        tasks = {
            "Shift": lambda asked: shift.handle(asked, None),
            "Promote": lambda asked: promote.handle(asked, None),
            "Judge": self.look,
            "JudgeWatch": self.look,
            "PlanTests": lambda asked: self.planner().plan(asked["release_id"]),
        }
        known = {"release_id": RELEASE, "prompt": PROMPT, "step": 0, "steps": len(self.policy.canary.steps)}
        execution = Execution(
            {name: timed(task) for name, task in tasks.items()},
            {**known, **variables},
            now=self.stage.now,
            failed_tries=TRIES,
        )
        self.last = execution.run(start, until=self.stage.now + seconds)
        return execution

    def planner(self) -> Planner:
        """Another release has the turn to test, and keeps it."""
        turns = InMemoryTurns()
        turns.take("another", self.stage.now, self.stage.now + 1)
        ports = self.stage.ports("routes", "releases", "prompts", "enrolments", "clock")
        return Planner(**ports, objects=MemoryObjects(), turns=turns, most_functions=1)

    def look(self, asked: dict[str, Any]) -> dict[str, Any]:
        seen = judge_step.look(
            self.judge,
            release_id=asked["release_id"],
            phase=Phase(asked["phase"]),
            step=int(asked["step"]),
            now=self.stage.now,
        )
        return seen.to_dict()

    def shift(self, step: int) -> None:
        ports = self.stage.ports(*TRAFFIC)
        Traffic(**ports).shift(RELEASE, step)


def wait_to_shift(release: Waiting) -> Execution:
    """An outage that began before the canary could."""
    release.red()
    return release.run("Shift")


def bake(release: Waiting) -> Execution:
    """A canary without traffic: nothing is proved."""
    return release.run("Shift")


def wait_to_promote(release: Waiting) -> Execution:
    """A last step that people advanced, and an outage since."""
    for step in range(len(release.policy.canary.steps)):
        release.shift(step)
    release.red()
    record = release.stage.releases.get(RELEASE)
    wish = {"by": "operator", "reason": "knowingly", "at": 1.0, "step": 1}
    release.stage.releases.update(replace(record, advance=wish))
    return release.run("Promote", step=1)


def watch(release: Waiting) -> Execution:
    """A watch of twenty days."""
    for step in range(len(release.policy.canary.steps)):
        release.shift(step)
    return release.run("Promote", step=1)


def wait_for_tests(release: Waiting) -> Execution:
    """An account with few concurrent executions, where others test."""
    return release.run("PlanTests")


STANDING = {
    "WaitForTests": wait_for_tests,
    "WaitToShift": wait_to_shift,
    "Bake": bake,
    "WaitToPromote": wait_to_promote,
    "Watch": watch,
}
"""What keeps a release waiting in each of the machine's waits."""


def test_each_wait_has_something_that_keeps_a_release_in_it() -> None:
    assert {name for name, state in STATES.items() if state["Type"] == "Wait"} == set(STANDING)


@pytest.mark.parametrize("wait", STANDING)
def test_a_release_waits_out_a_week_and_its_history_has_room(monkeypatch: pytest.MonkeyPatch, wait: str) -> None:
    release = Waiting(monkeypatch, 10)  # looks are most frequent there; what waits at 60 s is below

    execution = STANDING[wait](release)

    assert execution.passages[wait] > 100, "it looks again and again"
    assert release.last not in ("WindUp", "Done", "Failed")
    assert execution.passages[wait] == max(execution.passages[name] for name in STANDING)
    # Tests, review and the canary before and after need room of their own.
    assert execution.events < HISTORY_EVENTS * 0.7, execution.passages


@pytest.mark.parametrize("wait", ["WaitToShift", "WaitToPromote"])
def test_what_stood_red_for_a_week_goes_on_soon_after(monkeypatch: pytest.MonkeyPatch, wait: str) -> None:
    release = Waiting(monkeypatch, 60)
    execution = STANDING[wait](release)
    release.stage.alarms.standing.clear()

    before = execution.now
    task = "Shift" if wait == "WaitToShift" else "Promote"
    done = execution.passages[task]
    last = execution.run(release.last, until=before + 1)

    assert execution.passages[task] == done + 1
    assert last in ("Bake", "Watch", "Judge", "JudgeWatch")
    assert execution.now - before <= WEEK / 60 + 1


def waits_for(loop: tuple[str, ...]) -> set[str]:
    people = {name for name in loop if str(STATES[name].get("Resource", "")).endswith(".waitForTaskToken")}
    return people | {name for name in loop if STATES[name]["Type"] == "Wait"}


def test_no_loop_turns_without_waiting() -> None:
    """For a time that grows, or for people; only the steps of a policy may follow each other at once."""
    found = list(loops())
    assert len(found) >= 6
    assert {name for loop in found for name in waits_for(loop)} == {*STANDING, "RequestReview"}
    for loop in found:
        assert waits_for(loop), loop
        assert sum(events_of(STATES[name], TRIES) for name in loop) < 100, loop


def test_a_wait_takes_its_length_from_the_step_that_asked_for_it() -> None:
    """A wait of a fixed length would not grow."""
    for name in STANDING:
        assert STATES[name]["Seconds"] == "{% $wait %}"
        before = [other for other, state in STATES.items() if name in following(state)]
        assert before
        assert all(STATES[other]["Type"] == "Choice" for other in before)


def test_the_machine_itself_lives_longer_than_a_week() -> None:
    assert MACHINE["TimeoutSeconds"] > 2 * WEEK


def test_at_a_fixed_minute_the_history_would_be_full_within_two_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """What growing waits are for."""
    for module in (shift, promote):
        monkeypatch.setattr(module, "next_wait", lambda since, now, *, least: least)
    release = Waiting(monkeypatch, 60)
    release.red()
    assert release.run("Shift", 2 * 86_400.0).events > HISTORY_EVENTS
