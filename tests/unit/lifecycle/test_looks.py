"""A look of the judge over in-memory ports: what it reads, stores, decides, and that it can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import pytest

from promptlane.domain import metrics
from promptlane.domain.names import Phase, Track
from promptlane.domain.policy import (
    CanaryPolicy,
    GuardPolicy,
    Policy,
    RequestPolicy,
    Reviewer,
    ReviewPolicy,
    Step,
    WatchPolicy,
)
from promptlane.domain.ports import RedAlarm
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes import FakeAlarms, FakeCounts, FakeEnrolments, FakeNotices, InMemoryReleases, InMemoryRoutes
from promptlane.fakes.counts import InMemoryBlocks
from promptlane.lifecycle.judge_step import Look, Ports, Timing, look, next_look, replay

PROMPT, RELEASE = "support", "ABCDEFGHIJ-2-1"
T0 = 1_700_000_040.0  # a whole minute
V1 = VersionRef(version=1, fingerprint="f1" * 32, arn="arn:aws:bedrock:us-east-1:111122223333:prompt/ABCDEFGHIJ:1")
V2 = VersionRef(version=2, fingerprint="f2" * 32, arn="arn:aws:bedrock:us-east-1:111122223333:prompt/ABCDEFGHIJ:2")


def policy(**canary: Any) -> Policy:
    given: dict[str, Any] = {
        "steps": (Step(1000, min_bake=600, max_time=6 * 3600), Step(5000, min_bake=600, max_time=6 * 3600)),
        "guard_metrics": (GuardPolicy(metrics.ERROR, margin_abs=0.02), GuardPolicy(metrics.REFUSAL, 0.02)),
        "ladder": (1.0,),
        **canary,
    }
    return Policy(
        review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)),
        canary=CanaryPolicy(**given),
        watch=WatchPolicy(duration=3600, holdback=1000),
        request=RequestPolicy(timeout=28),
    )


@dataclass
class World:
    ports: Ports
    counts: FakeCounts
    alarms: FakeAlarms
    notices: FakeNotices
    releases: InMemoryReleases
    routes: InMemoryRoutes
    blocks: InMemoryBlocks
    policy: Policy

    def look(self, now: float, *, step: int = 0, phase: Phase = Phase.CANARY) -> Look:
        return look(self.ports, release_id=RELEASE, phase=phase, step=step, now=now)

    def judged(self) -> list[TimelineEntry]:
        return [e for e in self.releases.timeline(RELEASE) if e.event is Event.CANARY_JUDGED]

    def serve(
        self,
        start: float,
        minutes: int,
        *,
        per_minute: int,
        share: float,
        p0: float,
        p1: float,
        seed: int = 7,
        control: int = 1,
        trial: int = 2,
    ) -> None:
        """Requests from independent units; a trial request goes wrong with `p1`, a control one with `p0`."""
        rng = random.Random(seed)
        for minute in range(minutes):
            for _ in range(per_minute):
                at, group = start + 60 * minute + rng.random() * 59, rng.randrange(8)
                version = trial if rng.random() < share else control
                rate = p1 if version == trial else p0
                self.counts.record(PROMPT, version, "Assigned", at, group=group)
                for metric in ("Error", "Refusal"):
                    self.counts.record(PROMPT, version, metric, at, bad=int(rng.random() < rate), group=group)


def world(route: Route | None = None, **canary: object) -> World:
    made = policy(**canary)
    enrolments = FakeEnrolments({PROMPT: made})
    sha, _ = enrolments.capture(PROMPT)
    releases, routes, counts, blocks = InMemoryReleases(), InMemoryRoutes(), FakeCounts(), InMemoryBlocks()
    release = Release(RELEASE, PROMPT, T0 - 900, "operator", state="canary", candidate=V2, stable=V1, policy_sha256=sha)
    releases.start(release, TimelineEntry(f"{RELEASE}/started", RELEASE, T0 - 900, Event.STARTED))
    routes.put(route or in_canary(), expected=None)
    alarms, notices = FakeAlarms(), FakeNotices()
    ports = Ports(routes, releases, enrolments, counts, blocks, alarms, notices, Timing.at(60))
    return World(ports, counts, alarms, notices, releases, routes, blocks, made)


def in_canary(weight: int = 1000) -> Route:
    return Route(
        PROMPT,
        "ABCDEFGHIJ",
        V1,
        canary=V2,
        weight=weight,
        release_id=RELEASE,
        phase=Phase.CANARY,
        phase_since=T0,
        shifts=((T0, weight),),
    )


def in_watch(holdback: int = 1000) -> Route:
    return Route(
        PROMPT,
        "ABCDEFGHIJ",
        V2,
        previous=V1,
        holdback=holdback,
        release_id=RELEASE,
        phase=Phase.WATCH,
        phase_since=T0,
        watch_until=T0 + 3600,
    )


def test_harm_is_rolled_back_with_a_sentence_about_it() -> None:
    w = world()
    w.serve(T0, 40, per_minute=100, share=0.1, p0=0.01, p1=0.2)
    seen = w.look(T0 + 2400)
    assert (seen.judgement, seen.cause) == ("roll_back", "judge")
    assert "canary requests" in seen.reason
    assert "roll back" in seen.reason
    assert seen.evidence["harm"] >= 20


def test_an_equal_version_advances_only_after_the_least_bake() -> None:
    w = world(steps=(Step(1000, min_bake=3000, max_time=6 * 3600),))
    w.serve(T0, 90, per_minute=300, share=0.1, p0=0.01, p1=0.01)
    early, late = w.look(T0 + 2900), w.look(T0 + 4800)
    assert early.judgement == "hold"
    assert late.judgement == "advance"


def test_no_data_holds_and_says_which() -> None:
    seen = world().look(T0 + 7000)
    assert seen.judgement == "hold"
    assert "No data" in seen.reason
    assert "Error" in seen.reason


def test_one_silent_metric_holds() -> None:
    w = world()
    w.serve(T0, 60, per_minute=300, share=0.1, p0=0.01, p1=0.01)
    w.counts._events = {k: v for k, v in w.counts._events.items() if k[1:3] != (2, "Refusal")}
    seen = w.look(T0 + 4800)
    assert seen.judgement == "hold"
    assert "Refusal (canary)" in seen.reason


def test_lost_counts_hold_and_come_back() -> None:
    w = world()
    w.serve(T0, 60, per_minute=300, share=0.1, p0=0.01, p1=0.01)
    w.counts.down = True
    assert w.look(T0 + 4800).judgement == "hold"
    assert any("could not be read" in n for n in w.judged()[-1].detail["notes"])
    w.counts.down = False
    assert w.look(T0 + 4860).judgement == "advance"


def test_a_block_is_read_only_when_it_is_complete_and_never_again() -> None:
    w = world()
    w.counts.record(PROMPT, 1, "Error", T0 + 61)
    w.look(T0 + 120 + 147)
    assert not [b for c in w.blocks.load(RELEASE, "canary") if c.metric == "Error" for b in c.blocks]
    w.look(T0 + 120 + 149)
    w.counts.record(PROMPT, 1, "Error", T0 + 62, bad=1)  # too late
    w.look(T0 + 600)
    [block] = [b for c in w.blocks.load(RELEASE, "canary") if c.metric == "Error" for b in c.blocks]
    assert (block.start, block.control.n, block.control.bad) == (T0 + 60, 1, 0)


def test_a_delayed_metric_has_its_own_clock() -> None:
    w = world(guard_metrics=(GuardPolicy(metrics.ERROR), GuardPolicy(metrics.NEGATIVE_FEEDBACK, lag=1800)))
    w.look(T0 + 3600)
    ends = {c.metric: c.end for c in w.blocks.load(RELEASE, "canary")}
    assert ends["Error"] - ends["NegativeFeedback"] == 1800


def test_minutes_that_span_a_route_change_are_dropped() -> None:
    route = replace(in_canary(5000), shifts=((T0, 1000), (T0 + 600.0, 5000)))
    w = world(route)
    w.serve(T0, 30, per_minute=50, share=0.3, p0=0.01, p1=0.01)
    w.look(T0 + 2400, step=1)
    starts = {b.start: b.share for c in w.blocks.load(RELEASE, "canary") if c.metric == "Error" for b in c.blocks}
    assert T0 not in starts
    assert T0 + 600 not in starts
    assert starts[T0 + 60] == 0.1
    assert starts[T0 + 660] == 0.5


def test_a_standing_alarm_acts_unless_it_is_older_than_the_phase() -> None:
    w = world()
    w.alarms.standing[PROMPT] = [RedAlarm(Track.CANARY, "Error", T0 - 10)]
    assert w.look(T0 + 300).judgement == "hold"
    w.alarms.standing[PROMPT] = [RedAlarm(Track.CANARY, "Error", T0 + 200)]
    seen = w.look(T0 + 360)
    assert seen.judgement == "roll_back"
    assert w.judged()[-1].detail["cause"] == "alarm"


def test_trouble_on_stable_condemns_nobody() -> None:
    w = world(in_watch())
    w.alarms.standing[PROMPT] = [RedAlarm(Track.STABLE, "Outage", T0 + 200)]
    assert w.look(T0 + 300, phase=Phase.WATCH).judgement == "hold"


def test_gone_when_the_route_belongs_to_another() -> None:
    w = world(replace(in_canary(), release_id="ABCDEFGHIJ-3-1"))
    assert w.look(T0 + 300).judgement == "gone"
    assert not w.judged()


def test_watch_compares_the_new_stable_with_the_holdback_and_ends() -> None:
    w = world(in_watch())
    w.serve(T0, 50, per_minute=200, share=0.9, p0=0.01, p1=0.2)
    assert w.look(T0 + 3000, phase=Phase.WATCH).judgement == "roll_back"
    calm = world(in_watch())
    calm.serve(T0, 50, per_minute=200, share=0.9, p0=0.01, p1=0.01)
    assert calm.look(T0 + 3000, phase=Phase.WATCH).judgement == "hold"
    assert calm.look(T0 + 3600, phase=Phase.WATCH).judgement == "done"


def test_without_a_holdback_the_watch_says_that_alarms_guard_alone() -> None:
    seen = world(in_watch(holdback=0)).look(T0 + 1800, phase=Phase.WATCH)
    assert seen.judgement == "hold"
    assert "alarms alone" in seen.reason


@pytest.mark.parametrize(("undecided", "verb"), [("return_to_stable", "roll_back"), ("stay", "hold"), ("ask", "hold")])
def test_a_step_that_ends_undecided_does_what_the_policy_says(undecided: str, verb: str) -> None:
    w = world(undecided=undecided)
    late = T0 + 6 * 3600 + 1
    seen = w.look(late)
    w.look(late + 60)
    assert seen.judgement == verb
    assert "time is over" in seen.reason
    assert len(w.notices.sent) == (1 if undecided == "ask" else 0)


def test_an_operator_pauses_and_advances() -> None:
    w = world()
    w.serve(T0, 60, per_minute=300, share=0.1, p0=0.01, p1=0.01)
    release = w.releases.update(replace(w.releases.get(RELEASE), paused={"by": "operator", "reason": "lunch"}))
    assert w.look(T0 + 4800).judgement == "hold"
    assert w.look(T0 + 7 * 3600).judgement == "hold"
    w.releases.update(replace(release, paused=None, advance={"by": "operator", "reason": "known", "step": 0}))
    seen = w.look(T0 + 7 * 3600 + 60)
    assert seen.judgement == "advance"
    assert "operator: known" in seen.reason
    other_step = w.look(T0 + 7 * 3600 + 120, step=1)
    assert "known" not in other_step.reason


def test_every_look_can_be_replayed_from_the_timeline() -> None:
    w = world()
    w.serve(T0, 60, per_minute=60, share=0.1, p0=0.02, p1=0.05)
    for now in range(int(T0) + 300, int(T0) + 3600, 300):
        w.look(float(now))
    chunks = w.blocks.load(RELEASE, "canary")
    for entry in w.judged():
        again = replay(entry.detail, chunks, w.policy)
        assert (again.judgement, again.harm, again.split) == tuple(
            entry.detail[k] for k in ("judgement", "harm", "split")
        )
        assert {m.name: m.to_dict() for m in again.metrics} == entry.detail["metrics"]


def test_a_look_repeated_at_the_same_moment_changes_nothing() -> None:
    w = world()
    w.serve(T0, 30, per_minute=60, share=0.1, p0=0.02, p1=0.05)
    first = w.look(T0 + 1500)
    stored = w.blocks.load(RELEASE, "canary")
    assert w.look(T0 + 1500) == first
    assert w.blocks.load(RELEASE, "canary") == stored
    assert len(w.judged()) == 1


@pytest.mark.parametrize("resolution", [10, 60])
def test_no_policy_can_fill_an_execution_with_looks(resolution: int) -> None:
    w = world(steps=tuple(Step(100 * i, min_bake=86_400, max_time=20 * 86_400) for i in range(1, 19)))
    timing, now, looks = Timing.at(resolution), T0, 0
    from promptlane.domain.canary.judge import StepContext

    for step in range(18):
        since = now
        while now < since + 20 * 86_400:
            context = StepContext(Phase.CANARY, step, since, T0)
            now += next_look(context, w.policy, timing, now)
            looks += 1
    assert looks < 1000  # a year of canary; at most 12 history events each, of 25,000
