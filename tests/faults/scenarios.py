"""The ways of a release that are played: each with who decides what, which traffic comes, and which alarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from promptlane.domain.names import Outcome, Phase
from promptlane.domain.policy import CanaryPolicy, Step, WatchPolicy
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from tests.faults.injector import Injector, Kind
from tests.faults.play import Play
from tests.faults.surroundings import CloudWatch
from tests.support.functions import ACCOUNT, LEAD, LEGAL, POLICY, SUITE, World, running
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.second_emulator import empty_aws

Json = Any
PLAYED: Final = replace(
    POLICY,
    canary=CanaryPolicy(steps=(Step(2_500, 60.0, 7_200.0), Step(5_000, 60.0, 7_200.0))),
    watch=WatchPolicy(duration=300.0, holdback=1_000),
)
People = Callable[[Play, str], None]


def approve(play: Play, token: str) -> None:
    play.world.now += 60.0
    for reviewer in (LEAD, LEGAL):
        play.decide(RELEASE, reviewer.principals[0], "approve")


def reject(play: Play, token: str) -> None:
    play.world.now += 60.0
    play.decide(RELEASE, LEGAL.principals[0], "reject")


def nobody(play: Play, token: str) -> None:
    """The schedule reminds and, in the end, closes the review."""
    for _ in range(3):
        play.world.now += PLAYED.review.expires_after / 2
        play.deliver("remind", {})


def quiet(play: Play, state: str) -> None:
    return


def red(track: str, before: str) -> Callable[[Play, str], None]:
    """An alarm on a track, the first time that the machine comes to a state."""

    def at(play: Play, state: str) -> None:
        if state == before and not play.cloudwatch.red:
            play.alarm(track)

    return at


@dataclass(frozen=True)
class Scenario:
    """`outcome`, and `stable` at the end. `bad`: the rate of refusals by version."""

    outcome: Outcome
    stable: int
    people: People = approve
    at: Callable[[Play, str], None] = quiet
    bad: Mapping[int, float] = field(default_factory=dict)


WELL: Final = {1: 0.0, 2: 0.0}
SCENARIOS: Final[Mapping[str, Scenario]] = {
    "promoted": Scenario(Outcome.PROMOTED, 2, bad=WELL),
    "rolled back by the judge": Scenario(Outcome.ROLLED_BACK, 1, bad={1: 0.02, 2: 0.4}),
    "rolled back by an alarm in canary": Scenario(Outcome.ROLLED_BACK, 1, at=red("canary", "Judge"), bad=WELL),
    "rolled back by an alarm in watch": Scenario(Outcome.ROLLED_BACK, 1, at=red("stable", "JudgeWatch"), bad=WELL),
    "rejected": Scenario(Outcome.REJECTED, 1, people=reject, bad=WELL),
    "expired": Scenario(Outcome.EXPIRED, 1, people=nobody, bad=WELL),
}


@contextmanager
def played(scenario: Scenario, *, at: int = -1, kind: Kind = Kind.FAILED) -> Iterator[Play]:
    """A play of the scenario, from the request to the end, with the fault `kind` at call `at`."""
    with empty_aws(), pytest.MonkeyPatch.context() as patched, running(patched) as world:
        injector = Injector(later=lambda seconds: _later(world, seconds), at=at, kind=kind)
        play = Play(world, injector, CloudWatch(scenario.bad), scenario.people, scenario.at)
        _before(world, play)
        with injector.between():
            play.whole(_request())
        yield play


def _later(world: World, seconds: float) -> None:
    world.now += seconds


def _request() -> dict[str, Json]:
    return {
        "source": "promptlane.request",
        "prompt": PROMPT,
        "version": "2",
        "explicit": True,
        "requested_by": f"arn:aws:iam::{ACCOUNT}:user/operator",
        "request_id": "request 2",
    }


def _before(world: World, play: Play) -> None:
    """Version 1 serves everybody, version 2 was published, and two reviewers are confirmed."""
    world.enrol(PLAYED, SUITE)
    stable, _ = world.publish(1), world.publish(2)
    first = Release(
        f"{ID}-1-1", PROMPT, 1.0, "x", state="ended", outcome=Outcome.PROMOTED, ended_at=2.0, candidate=stable
    )
    world.releases.record_ended(first)
    world.routes.put(
        Route(PROMPT, ID, stable, salt="old", release_id=f"{ID}-1-1", phase=Phase.STEADY, phase_since=3.0),
        expected=None,
    )
    world.reviewer_topics(LEAD, LEGAL)
    play.cloudwatch.routed(world.routes.get(PROMPT), world.now)
