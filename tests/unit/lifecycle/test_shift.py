"""The steps that give a release traffic: what they leave on the route, in the record and in the timeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import Conflict, InvalidInput, NotApplicable, NotFound, Unavailable
from promptlane.domain.metrics import COST, OUTPUT_TOKENS
from promptlane.domain.names import Outcome, Phase, Track
from promptlane.domain.policy import GuardPolicy, WatchPolicy
from promptlane.domain.ports import RedAlarm
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Quarantined, Route, salt_of
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes import FakeEnrolments
from promptlane.lifecycle.shift import FingerprintMismatch, Moved, Traffic
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import EARLIER, POLICY, TRAFFIC, Stage


def traffic(stage: Stage) -> Traffic:
    return Traffic(**stage.ports(*TRAFFIC))


def shifted(stage: Stage, step: int = 0) -> Moved:
    return traffic(stage).shift(RELEASE, step)


def promoted(stage: Stage) -> Moved:
    return traffic(stage).promote(RELEASE)


def in_canary(step: int = 0, **fields: Any) -> Stage:
    """Version 2 at the weight of a step; each step was taken ten seconds after the one before."""
    stage = Stage()
    stage.approved(2, **fields)
    for number in range(step + 1):
        shifted(stage, number)
        stage.now += 10
    return stage


def watched() -> Stage:
    stage = in_canary(2)
    promoted(stage)
    return stage


def on_route(route: Route, at: float, event: Event, **detail: Any) -> TimelineEntry:
    name = route.release_id
    return TimelineEntry(f"{name}/route/{route.revision}/{round(at * 1000)}", name, at, event, "promptlane", detail)


def unmoved(stage: Stage, step: Callable[[], object]) -> Any:
    """What the step comes to; it leaves route, record and timeline as they are."""
    before = stage.route, stage.releases.get(RELEASE), stage.told(RELEASE), stage.releases.holder(ID)
    try:
        return step()
    finally:
        assert (stage.route, stage.releases.get(RELEASE), stage.told(RELEASE), stage.releases.holder(ID)) == before


def red(*alarms: tuple[Track, str]) -> list[RedAlarm]:
    return [RedAlarm(track, metric, 4000.0) for track, metric in alarms]


class Unreadable:
    def red(self, prompt: str) -> list[RedAlarm]:
        raise Unavailable("CloudWatch does not answer")


# The canary


def test_the_first_step_gives_the_candidate_its_weight_and_says_so() -> None:
    stage = Stage()
    record, before = stage.approved(2), stage.route

    moved = shifted(stage)

    expected = replace(
        before,
        canary=stage.ref(2),
        weight=500,
        salt=salt_of(RELEASE),
        release_id=RELEASE,
        revision=8,
        epoch=5_000_000,
        phase=Phase.CANARY,
        phase_since=5000.0,
        shifts=((5000.0, 500),),
    )
    entry = on_route(expected, 5000.0, Event.CANARY_SHIFTED, version=2, weight=500, stable=1, begins=True)
    expected = replace(expected, pending=(entry,))
    assert moved == Moved("done", "", expected)
    assert stage.route == expected
    assert stage.releases.get(RELEASE) == replace(record, state="canary", step=0, revision=2)
    assert stage.told(RELEASE)[1:] == [entry]


def test_the_next_step_builds_on_the_first_whose_entry_it_leaves_to_the_timeline() -> None:
    stage = in_canary()
    before = stage.route

    moved = shifted(stage, 2)

    expected = replace(before, weight=7000, revision=9, epoch=5_010_000, shifts=((5000.0, 500), (5010.0, 7000)))
    entry = on_route(expected, 5010.0, Event.CANARY_SHIFTED, version=2, weight=7000, stable=1)
    assert moved.route == stage.route == replace(expected, pending=(entry,))
    assert (stage.releases.get(RELEASE).state, stage.releases.get(RELEASE).step) == ("canary", 2)
    assert stage.told(RELEASE)[1:] == [*before.pending, entry]


@pytest.mark.parametrize("step", [0, 1])
def test_a_step_that_was_taken_already_is_done_and_changes_nothing(step: int) -> None:
    stage = in_canary(1)

    assert unmoved(stage, lambda: shifted(stage, step)) == Moved("done", "", stage.route)


def test_a_step_that_was_cut_off_after_its_write_brings_record_and_timeline_up_to_the_route() -> None:
    stage = in_canary()
    shifted(stage, 1)
    behind = replace(stage.releases.get(RELEASE), state="review", step=0)
    stage.releases._releases[RELEASE] = behind
    entries = stage.releases._timelines[RELEASE]
    cut = entries.pop()

    assert shifted(stage, 1) == Moved("done", "", stage.route)
    assert stage.releases.get(RELEASE) == replace(behind, state="canary", step=1, revision=behind.revision + 1)
    assert entries[-1] == cut


def test_a_record_that_an_operator_wrote_meanwhile_is_read_again() -> None:
    stage = Stage()
    stage.approved(2)
    paused = {"by": "operator", "reason": "lunch", "at": 4999.0}
    stage.releases.faster = [{"paused": paused}]

    assert shifted(stage).result == "done"
    record = stage.releases.get(RELEASE)
    assert (record.state, record.paused) == ("canary", paused)


def test_a_canary_waits_to_start_while_an_alarm_stands() -> None:
    stage = Stage()
    record, before = stage.approved(2), stage.route
    stage.alarms.standing[PROMPT] = red((Track.STABLE, "Outage"), (Track.HOLDBACK, "Error"), (Track.CANARY, "Error"))
    reason = "waits to start: stable/Outage, canary/Error is in ALARM already"

    answers = [shifted(stage), shifted(stage)]

    assert answers == [Moved("wait", reason, None, since=record.started_at)] * 2
    assert (stage.route, stage.releases.get(RELEASE)) == (before, record)
    assert stage.told(RELEASE)[1:] == [
        TimelineEntry(
            f"{RELEASE}/waiting/0/{reason}", RELEASE, 5000.0, Event.CANARY_WAITING, "promptlane", {"reason": reason}
        )
    ]


@pytest.mark.parametrize(("prompt", "track"), [(PROMPT, Track.HOLDBACK), ("other", Track.CANARY)])
def test_alarms_that_say_nothing_about_it_keep_no_canary_from_starting(prompt: str, track: Track) -> None:
    stage = Stage()
    stage.approved(2)
    stage.alarms.standing = {prompt: red((track, "Error"))}

    assert shifted(stage).result == "done"


def test_a_canary_does_not_start_where_alarm_states_cannot_be_read() -> None:
    stage = Stage()
    stage.approved(2)
    stage.alarms = Unreadable()  # type: ignore[assignment]

    with pytest.raises(Unavailable):
        unmoved(stage, lambda: shifted(stage))


@pytest.mark.parametrize("step", [0, 1])
def test_a_canary_that_is_out_is_not_kept_waiting_by_alarms(step: int) -> None:
    stage = in_canary()
    stage.alarms = Unreadable()  # type: ignore[assignment]

    assert shifted(stage, step).result == "done"


def test_a_later_step_never_asks_for_alarms() -> None:
    stage = Stage()
    stage.approved(2)
    stage.alarms = Unreadable()  # type: ignore[assignment]

    assert shifted(stage, 1).result == "done"


@pytest.mark.parametrize(("lost", "written"), [(1, True), (20, False)])
def test_a_shift_is_tried_again_where_the_route_moved_and_given_up_where_it_keeps_moving(
    lost: int, written: bool
) -> None:
    stage = Stage()
    stage.approved(2)
    stage.routes.lost = lost

    if written:
        assert shifted(stage).result == "done"
    else:
        with pytest.raises(Conflict, match="kept changing"):
            unmoved(stage, lambda: shifted(stage))


@pytest.mark.parametrize("move", [shifted, promoted])
def test_a_stable_that_nothing_was_compared_with_sends_the_release_back(move: Callable[[Stage], Moved]) -> None:
    stage = in_canary() if move is promoted else Stage()
    if move is shifted:
        stage.approved(2)
    stored = stage.route
    stage.routes.put(replace(stored, stable=stage.ref(3), revision=stored.revision + 1), expected=stored)

    answer = unmoved(stage, lambda: move(stage))

    assert answer == Moved("stable_changed", "stable of support is now version 3, which was not compared with", None)


@pytest.mark.parametrize("move", [shifted, promoted])
def test_a_release_that_was_rolled_back_gets_nothing_more(move: Callable[[Stage], Moved]) -> None:
    stage = in_canary()
    stage.serve(1, release_id=RELEASE, quarantined={stage.ref(2).fingerprint: {"version": 2, "release_id": RELEASE}})

    answer = unmoved(stage, lambda: move(stage))

    assert (answer.result, answer.route) == ("gone", None)
    assert f"release {RELEASE} is no longer in canary" in answer.reason


def test_a_release_in_watch_is_past_its_canary() -> None:
    stage = watched()

    assert unmoved(stage, lambda: shifted(stage)) == Moved("gone", f"release {RELEASE} is past its canary", None)


@pytest.mark.parametrize(
    ("move", "says"), [(shifted, f"release {RELEASE} is past its canary"), (promoted, f"release {RELEASE} has ended")]
)
def test_a_release_that_ended_gets_nothing_more(move: Callable[[Stage], Moved], says: str) -> None:
    stage = Stage()
    stage.approved(2, state="ended", outcome=Outcome.EXPIRED)

    assert unmoved(stage, lambda: move(stage)) == Moved("gone", says, None)


def test_a_canary_of_a_release_that_ended_between_reading_and_writing_is_taken_back() -> None:
    stage = Stage()
    record = stage.approved(2)

    def end() -> None:
        stage.routes.meanwhile = lambda: None
        stage.releases.update(replace(record, state="ended", outcome=Outcome.FAILED))
        stage.now += 1

    stage.routes.meanwhile = end

    assert shifted(stage) == Moved("gone", f"release {RELEASE} ended meanwhile; its canary was taken back", None)
    route = stage.route
    assert (route.stable, route.canary, route.phase, route.phase_since) == (stage.ref(1), None, Phase.STEADY, 5001.0)
    assert stage.releases.get(RELEASE).outcome is Outcome.FAILED


def test_the_canary_of_another_release_is_in_the_way() -> None:
    stage = Stage()
    stage.approved(2)
    stage.serve(1, release_id=f"{ID}-3-1", canary=stage.ref(3), weight=500, phase=Phase.CANARY)

    with pytest.raises(NotApplicable, match=f"release {ID}-3-1 of support is in canary"):
        unmoved(stage, lambda: shifted(stage))


@pytest.mark.parametrize("explicit", [False, True])
def test_what_was_rolled_back_gets_traffic_again_when_it_is_asked_for_explicitly_alone(explicit: bool) -> None:
    stage = Stage()
    stage.approved(2, explicit=explicit)
    stage.serve(1, quarantined={**EARLIER, stage.ref(2).fingerprint: {"version": 2, "release_id": f"{ID}-2-9"}})

    if explicit:
        assert shifted(stage).result == "done"
        assert stage.route.quarantined == EARLIER
    else:
        with pytest.raises(Quarantined):
            unmoved(stage, lambda: shifted(stage))


def test_a_first_version_has_no_canary() -> None:
    stage = Stage(served=False)
    stage.approved(2, against=None)

    with pytest.raises(InvalidInput, match=f"release {RELEASE} is the first of support"):
        shifted(stage)


def test_without_a_route_there_is_nothing_to_shift_from() -> None:
    stage = Stage(served=False)
    stage.approved(2)

    with pytest.raises(NotFound, match="'support' has no route"):
        shifted(stage)


# What was approved is what is served


@pytest.mark.parametrize("move", [shifted, promoted])
@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"approval": {}}, "has no approval"),
        ({"candidate": None}, "has no approval"),
        ({"approval": {"candidate": "b" * 64, "stable": "s"}}, "reads as [0-9a-f]{12}, but bbbbbbbbbbbb was approved"),
        ({"approval": {"stable": "s"}}, "but nothing was approved"),
    ],
)
def test_nothing_but_what_was_approved_gets_traffic(
    move: Callable[[Stage], Moved], fields: dict[str, Any], says: str
) -> None:
    stage = Stage()
    stage.approved(2, **fields)

    with pytest.raises(FingerprintMismatch, match=says):
        unmoved(stage, lambda: move(stage))


@pytest.mark.parametrize("altered", ["what Bedrock has", "what was admitted"])
def test_a_content_that_is_not_the_approved_one_gets_no_traffic(altered: str) -> None:
    stage = Stage()
    third = stage.ref(3).fingerprint
    if altered == "what was admitted":
        stage.approved(2, candidate=replace(stage.ref(2), fingerprint=third))
    else:
        stage.approved(2)
        versions = stage.prompts._versions[ID]
        versions[1] = replace(versions[1], variants=versions[2].variants)

    with pytest.raises(FingerprintMismatch, match="version 2 of support reads as"):
        unmoved(stage, lambda: shifted(stage))


@pytest.mark.parametrize("move", [shifted, promoted])
def test_a_version_that_vanished_gets_no_traffic(move: Callable[[Stage], Moved]) -> None:
    stage = Stage()
    stage.approved(2)
    del stage.prompts._versions[ID][1]

    with pytest.raises(NotFound, match=f"{ID} has no version 2"):
        unmoved(stage, lambda: move(stage))


# Promotion


@pytest.mark.parametrize(("duration", "phase", "holdback"), [(3600, Phase.WATCH, 800), (0, Phase.STEADY, 0)])
def test_a_promotion_makes_the_candidate_stable_and_lets_a_newer_version_in(
    duration: float, phase: Phase, holdback: int
) -> None:
    stage = in_canary(2)
    stage.enrolments.deployed[PROMPT] = replace(POLICY, watch=WatchPolicy(duration, 800))
    stage.releases.update(replace(stage.releases.get(RELEASE), policy_sha256=stage.enrolments.capture(PROMPT)[0]))
    before, record = stage.route, stage.releases.get(RELEASE)

    moved = promoted(stage)

    until = 5030.0 + duration if duration else 0.0
    expected = replace(
        before,
        stable=stage.ref(2),
        previous=stage.ref(1),
        canary=None,
        weight=0,
        holdback=holdback,
        phase=phase,
        phase_since=5030.0,
        watch_until=until,
        revision=11,
        epoch=5_030_000,
    )
    entry = on_route(expected, 5030.0, Event.PROMOTED, version=2, previous=1, watch_until=until)
    expected = replace(expected, pending=(entry,))
    assert moved == Moved("done", "", expected)
    assert stage.route == expected
    assert stage.releases.get(RELEASE) == replace(record, state="watch", step=2, revision=record.revision + 1)
    assert stage.told(RELEASE)[-1] == entry
    assert stage.releases.holder(ID) is None


def test_a_promotion_that_is_repeated_changes_nothing_and_frees_no_other_lock() -> None:
    stage = watched()
    stage.release(3)

    assert unmoved(stage, lambda: promoted(stage)) == Moved("done", "", stage.route)


def test_a_canary_waits_since_it_was_approved() -> None:
    stage = Stage()
    record = stage.approved(2)
    stage.releases.update(replace(record, approval={**record.approval, "at": 4321.5}))
    stage.alarms.standing[PROMPT] = red((Track.STABLE, "Outage"))

    assert shifted(stage).since == 4321.5


def test_a_promotion_waits_while_an_alarm_stands() -> None:
    stage = in_canary(2)
    stage.alarms.standing[PROMPT] = red((Track.CANARY, "Refusal"), (Track.HOLDBACK, "Error"))
    before, record = stage.route, stage.releases.get(RELEASE)
    reason = "waits to be promoted: canary/Refusal is in ALARM"

    assert promoted(stage) == Moved("wait", reason, None, since=before.phase_since)
    assert (stage.route, stage.releases.get(RELEASE), stage.releases.holder(ID)) == (before, record, RELEASE)
    assert stage.told(RELEASE)[-1] == TimelineEntry(
        f"{RELEASE}/waiting/2/{reason}", RELEASE, 5030.0, Event.CANARY_WAITING, "promptlane", {"reason": reason}
    )
    stage.alarms.standing[PROMPT] = red((Track.HOLDBACK, "Error"))
    assert promoted(stage).result == "done"


def test_nothing_is_promoted_where_alarm_states_cannot_be_read() -> None:
    stage = in_canary(2)
    stage.alarms = Unreadable()  # type: ignore[assignment]

    with pytest.raises(Unavailable):
        unmoved(stage, lambda: promoted(stage))


def test_a_promotion_is_tried_again_where_the_route_moved() -> None:
    stage = in_canary(2)
    stage.routes.lost = 1

    assert promoted(stage).result == "done"


def test_a_candidate_that_is_in_no_canary_is_not_promoted_and_no_alarm_is_asked() -> None:
    stage = Stage()
    stage.approved(2)
    stage.alarms = Unreadable()  # type: ignore[assignment]

    answer = unmoved(stage, lambda: promoted(stage))

    assert (answer.result, answer.route) == ("gone", None)
    assert f"release {RELEASE} is no longer in canary" in answer.reason


# The first version of a prompt


def first() -> tuple[Stage, Release]:
    stage = Stage(served=False)
    return stage, stage.approved(2, against=None)


def test_a_first_version_is_promoted_to_everybody() -> None:
    stage, record = first()

    moved = promoted(stage)

    first_of_all = Route(PROMPT, ID, stage.ref(2), salt=salt_of(RELEASE), release_id=RELEASE, phase_since=5000.0)
    expected = replace(first_of_all, epoch=5_000_000)
    entry = on_route(expected, 5000.0, Event.PROMOTED, version=2, first=True)
    expected = replace(expected, pending=(entry,))
    assert moved == Moved("done", "", expected)
    assert stage.route == expected
    assert stage.releases.get(RELEASE) == replace(record, state="watch", step=0, revision=2)
    assert stage.told(RELEASE)[1:] == [entry]


def test_a_first_promotion_that_was_cut_off_is_completed_from_the_route() -> None:
    stage, record = first()
    written = promoted(stage).route
    stage.releases._releases[RELEASE] = record
    del stage.releases._timelines[RELEASE][1]
    stage.now += 60

    assert promoted(stage) == Moved("done", "", written)
    assert stage.releases.get(RELEASE).state == "watch"
    assert stage.told(RELEASE)[-1].at == 5000.0


@pytest.mark.parametrize("served", [True, False])
def test_a_first_version_that_another_one_overtook_goes_back_to_its_tests(served: bool) -> None:
    stage, record = first()
    if served:
        stage.serve(1)
    stage.routes.lost = 1

    assert promoted(stage) == Moved("stable_changed", "another version of support was promoted meanwhile", None)
    assert stage.releases.get(RELEASE) == record


# --- how means are told ---------------------------------------------------------------------------------------------


def dear(prices: dict[str, tuple[float, float]]) -> Stage:
    """Version 2 before its canary; stable has model m, version 2 model n."""
    stage = Stage(versions=1)
    draft = PromptDraft(PROMPT, "n", ("q",), template="Answer {{q}} in manner 2")
    stage.prompts.publish(draft, prompt_id=ID)
    guards = (*POLICY.canary.guard_metrics, GuardPolicy(COST, cap=0.02), GuardPolicy(OUTPUT_TOKENS, cap=800.0))
    tests = replace(POLICY.tests, prices=prices)
    policy = replace(POLICY, canary=replace(POLICY.canary, guard_metrics=guards), tests=tests)
    stage.enrolments = FakeEnrolments({PROMPT: policy})
    stage.approved(2)
    return stage


def test_a_route_in_canary_says_what_tokens_of_each_version_add_to_means_to_the_end_of_the_release() -> None:
    stage = dear({"m": (2.0, 4.0), "n": (20.0, 40.0)})
    told = {
        "CostShare": {1: (2e-6 / 0.02, 4e-6 / 0.02), 2: (20e-6 / 0.02, 40e-6 / 0.02)},
        "OutputTokensShare": {1: (0.0, 1 / 800), 2: (0.0, 1 / 800)},
    }
    for step in range(3):
        shifted(stage, step)
        assert stage.route.per_token == told
        stage.now += 10
    promoted(stage)
    assert stage.route.per_token == told
    assert Route.from_item(stage.route.to_item()) == stage.route


def test_a_version_whose_price_is_not_known_tells_no_cost() -> None:
    stage = dear({"m": (2.0, 4.0)})
    shifted(stage)
    assert list(stage.route.per_token["CostShare"]) == [1]
    assert list(stage.route.per_token["OutputTokensShare"]) == [1, 2]


def test_a_release_that_watches_no_mean_leaves_nothing_of_the_one_before_on_the_route() -> None:
    stage = Stage()
    stage.serve(1, per_token={"CostShare": {1: (1.0, 2.0)}})
    stage.approved(2)
    shifted(stage)
    assert stage.route.per_token == {}
    assert "per_token" not in stage.route.to_item()


@pytest.mark.parametrize(
    "odd", [None, "dear", 7, {"A": None}, {"A": {"x": [1, 2]}}, {"A": {"1": [1]}}, {"A": {"1": None}}]
)
def test_a_route_whose_means_cannot_be_read_is_read_without_them(odd: Any) -> None:
    stage = Stage()
    assert Route.from_item({**stage.route.to_item(), "per_token": odd}) == stage.route
