"""The two steps that give a release traffic, over their real adapters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptlane.domain.errors import Conflict, InvalidInput, NotApplicable, NotFound
from promptlane.domain.names import Phase
from promptlane.domain.policy import WatchPolicy
from promptlane.domain.release.route import Quarantined, Route, salt_of
from promptlane.domain.release.timeline import Event
from promptlane.lifecycle.routing import ATTEMPTS
from promptlane.lifecycle.shift import FingerprintMismatch
from tests.support.functions import DEPLOYMENT, NOW, POLICY, Context, World, real, red_alarm
from tests.support.prompt import ID, PROMPT, RELEASE

STEP: dict[str, object] = {"release_id": RELEASE, "step": 0}


def test_the_first_step_gives_the_candidate_its_share(world: World) -> None:
    release = world.approved()
    assert release.stable is not None
    route = world.route(release.stable, revision=4)

    answer = world.function("shift").handle(STEP, Context())

    assert answer == {"result": "shifted", "reason": "", "wait_seconds": 50}
    moved = world.current
    assert replace(moved, pending=(), epoch=0) == replace(
        route,
        canary=release.candidate,
        weight=700,
        salt=salt_of(RELEASE),
        release_id=RELEASE,
        revision=5,
        phase=Phase.CANARY,
        phase_since=NOW,
        shifts=((NOW, 700),),
    )
    assert world.entries(RELEASE) == [
        (Event.CANARY_SHIFTED, "promptlane", {"version": 2, "weight": 700, "stable": 1, "begins": True}),
    ]
    assert world.releases.get(RELEASE) == replace(release, state="canary", revision=release.revision + 1)


@pytest.mark.parametrize(("step", "weight", "wait"), [("1", 3_000, 20), (2, 6_000, 1)])
def test_a_later_step_waits_as_long_as_it_bakes_but_looks_every_few_periods(
    world: World, step: str | int, weight: int, wait: int
) -> None:
    world.in_canary()

    answer = world.function("shift").handle({"release_id": RELEASE, "step": step}, Context())

    assert answer == {"result": "shifted", "reason": "", "wait_seconds": wait}
    assert (world.current.weight, world.current.revision) == (weight, 7)
    assert world.releases.get(RELEASE).step == int(step)


def test_without_a_word_on_the_resolution_it_is_a_minute(world: World) -> None:
    release = world.approved()
    assert release.stable is not None
    world.route(release.stable)

    assert world.function("shift", RESOLUTION_SECONDS="").handle(STEP, Context())["wait_seconds"] == 130


def test_no_canary_starts_while_an_alarm_of_this_deployment_is_red(world: World) -> None:
    release = world.approved()
    assert release.stable is not None
    route = world.route(release.stable)
    red_alarm(f"other/{PROMPT}/stable/Error")
    red_alarm(f"{DEPLOYMENT}/{PROMPT}/stable/Outage")

    answer = world.function("shift").handle(STEP, Context())

    said = "waits to start: stable/Outage is in ALARM already"
    assert answer == {"result": "wait", "reason": said, "wait_seconds": 900 / 60}
    assert world.current == route
    assert world.entries(RELEASE) == [(Event.CANARY_WAITING, "promptlane", {"reason": said})]


def test_a_stable_that_changed_sends_the_release_back_to_its_tests(world: World) -> None:
    world.approved()
    route = world.route(world.publish(5))

    answer = world.function("shift").handle(STEP, Context())

    said = "stable of support is now version 5, which was not compared with"
    assert answer == {"result": "stable_changed", "reason": said, "wait_seconds": 50}
    assert world.current == route


def test_a_release_that_lost_the_route_is_told_so(world: World) -> None:
    release = world.in_canary()
    route = world.current
    assert release.candidate is not None
    back = replace(route, canary=None, phase=Phase.STEADY, revision=7)
    world.routes.put(back, expected=route)

    answer = world.function("shift").handle({**STEP, "step": 1}, Context())

    said = f"release {RELEASE} is no longer in canary; it was rolled back or promoted"
    assert answer == {"result": "gone", "reason": said, "wait_seconds": 20}
    assert world.current == back


def test_a_version_that_reads_otherwise_than_approved_gets_no_traffic(world: World) -> None:
    release = world.approved()
    assert release.stable is not None
    route = world.route(release.stable)
    world.publish(2, text="Quite another answer to {{question}}")

    for verb in ("shift", "promote"):
        with pytest.raises(FingerprintMismatch, match="was approved; publish the content as a new version"):
            world.function(verb).handle(STEP, Context())

    assert world.current == route


def test_a_release_without_an_approval_gets_no_traffic(world: World) -> None:
    release = world.approved()
    assert release.stable is not None
    route = world.route(release.stable)
    world.releases.update(replace(release, approval={}))

    for verb in ("shift", "promote"):
        with pytest.raises(FingerprintMismatch, match="has no approval"):
            world.function(verb).handle(STEP, Context())

    assert world.current == route


def test_what_was_rolled_back_gets_no_traffic_again(world: World) -> None:
    release = world.approved()
    assert release.stable is not None
    assert release.candidate is not None
    world.route(release.stable, quarantined={release.candidate.fingerprint: {"version": 2, "release_id": "before"}})

    with pytest.raises(Quarantined, match="rolled back in release before"):
        world.function("shift").handle(STEP, Context())


def test_another_release_in_canary_is_waited_for(world: World) -> None:
    release = world.approved()
    assert release.stable is not None
    world.route(release.stable, canary=world.publish(3), phase=Phase.CANARY, release_id=f"{ID}-3-1")

    with pytest.raises(NotApplicable, match=f"release {ID}-3-1 of support is in canary"):
        world.function("shift").handle(STEP, Context())


def test_a_route_that_moved_meanwhile_is_read_again(world: World) -> None:
    release = world.approved()
    assert release.stable is not None
    world.route(release.stable, revision=4)

    def somebody(params: dict[str, object]) -> None:
        here = world.current
        world.routes.put(replace(here, revision=here.revision + 1), expected=here)

    world.before("dynamodb", "PutItem", somebody, times=1)

    assert world.function("shift").handle(STEP, Context())["result"] == "shifted"
    assert (world.current.revision, world.current.weight) == (6, 700)


def test_a_route_that_never_rests_is_given_up(world: World) -> None:
    release = world.approved()
    assert release.stable is not None
    route = world.route(release.stable)
    tries: list[object] = []
    world.before("dynamodb", "PutItem", tries.append)
    world.refuse("dynamodb", "PutItem", "ConditionalCheckFailedException")

    with pytest.raises(Conflict, match="kept changing"):
        world.function("shift").handle(STEP, Context())

    assert len(tries) == ATTEMPTS
    assert world.current == route


@pytest.mark.parametrize("verb", ["shift", "promote"])
def test_what_is_not_there_is_named(world: World, verb: str) -> None:
    with pytest.raises(NotFound, match=f"there is no release '{RELEASE}'"):
        world.function(verb).handle(STEP, Context())
    world.approved()
    with pytest.raises(NotFound, match="prompt 'support' has no route"):
        world.function(verb).handle(STEP, Context())


@pytest.mark.parametrize("verb", ["shift", "promote"])
def test_a_policy_that_somebody_altered_is_not_followed(world: World, verb: str) -> None:
    release = world.in_canary()
    route = world.current
    key = f"config/{release.policy_sha256}.json"
    real("s3").put_object(Bucket="lane-reports", Key=key, Body=b"{}")

    with pytest.raises(InvalidInput, match="somebody altered it after it was enrolled"):
        world.function(verb).handle(STEP, Context())

    assert world.current == route


def test_a_canary_is_promoted_and_watched(world: World) -> None:
    release = world.in_canary(step=2)
    route = world.current
    assert release.candidate is not None

    answer = world.function("promote").handle({"release_id": RELEASE}, Context())

    assert answer == {"result": "promoted", "reason": "", "wait_seconds": 10, "watch": True}
    assert replace(world.current, pending=(), epoch=0) == Route(
        PROMPT,
        ID,
        release.candidate,
        previous=release.stable,
        holdback=300,
        salt=route.salt,
        release_id=RELEASE,
        revision=7,
        phase=Phase.WATCH,
        phase_since=NOW,
        watch_until=NOW + 5_400.0,
        shifts=route.shifts,
    )
    assert world.entries(RELEASE) == [
        (Event.PROMOTED, "promptlane", {"version": 2, "previous": 1, "watch_until": NOW + 5_400}),
    ]
    assert world.releases.get(RELEASE) == replace(release, state="watch", revision=release.revision + 1)
    assert world.releases.holder(ID) is None


def test_the_first_version_is_promoted_without_a_watch(world: World) -> None:
    release = world.approved(1, stable=None)
    assert release.candidate is not None

    answer = world.function("promote", RESOLUTION_SECONDS="").handle({"release_id": release.release_id}, Context())

    assert answer == {"result": "promoted", "reason": "", "wait_seconds": 60, "watch": False}
    assert replace(world.current, pending=(), epoch=0) == Route(
        PROMPT,
        ID,
        release.candidate,
        salt=salt_of(release.release_id),
        release_id=release.release_id,
        phase_since=NOW,
    )


def test_a_first_version_has_no_canary(world: World) -> None:
    release = world.approved(1, stable=None)

    with pytest.raises(InvalidInput, match="promoted without a canary"):
        world.function("shift").handle({"release_id": release.release_id, "step": 0}, Context())


def test_a_policy_without_a_watch_ends_steady(world: World) -> None:
    release = world.in_canary()
    unwatched, _ = world.enrol(replace(POLICY, watch=WatchPolicy(duration=0.0, holdback=300)))
    world.releases.update(replace(release, policy_sha256=unwatched))

    answer = world.function("promote").handle({"release_id": RELEASE}, Context())

    assert answer == {"result": "promoted", "reason": "", "wait_seconds": 10, "watch": False}
    assert (world.current.phase, world.current.holdback) == (Phase.STEADY, 0)


def test_nothing_is_promoted_while_an_alarm_is_red(world: World) -> None:
    world.in_canary()
    route = world.current
    red_alarm(f"{DEPLOYMENT}/{PROMPT}/canary/Refusal")

    answer = world.function("promote").handle({"release_id": RELEASE}, Context())

    said = "waits to be promoted: canary/Refusal is in ALARM"
    assert answer == {"result": "wait", "reason": said, "wait_seconds": 10, "watch": False}
    assert world.current == route


@pytest.mark.parametrize(("days", "wait"), [(0.0, 10), (1.0, 1_440), (7.0, 10_080)])
def test_a_release_that_waits_asks_less_and_less_often(world: World, days: float, wait: int) -> None:
    """Step Functions' history holds a week of it."""
    since = NOW - days * 86_400
    release = world.in_canary(since=since)
    red_alarm(f"{DEPLOYMENT}/{PROMPT}/canary/Refusal")
    assert world.function("promote").handle({"release_id": RELEASE}, Context())["wait_seconds"] == wait

    route = world.current
    world.routes.put(replace(route, canary=None, phase=Phase.STEADY, release_id="X", revision=9), expected=route)
    approval = {**release.approval, "at": since}
    world.releases.update(replace(release, state="review", approval=approval))
    assert world.function("shift").handle(STEP, Context())["wait_seconds"] == wait


def test_what_cannot_be_promoted_any_more_is_told(world: World) -> None:
    release = world.in_canary()
    route = world.current
    world.routes.put(replace(route, stable=world.publish(4), revision=7), expected=route)
    changed = {
        "result": "stable_changed",
        "reason": "stable of support is now version 4, which was not compared with",
        "wait_seconds": 10,
        "watch": False,
    }
    assert world.function("promote").handle({"release_id": RELEASE}, Context()) == changed

    world.releases.update(replace(release, state="ended"))
    answer = world.function("promote").handle({"release_id": RELEASE}, Context())
    assert answer == {"result": "gone", "reason": f"release {RELEASE} has ended", "wait_seconds": 10, "watch": False}
