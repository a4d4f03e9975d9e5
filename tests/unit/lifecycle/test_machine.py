"""Whatever happens in whatever order, with crashes between any two writes: DESIGN's invariants hold, and things move.

The machine drives the real steps of `promptlane.lifecycle` over the in-memory stores. Each rule may be cut off after
any number of writes, and may be repeated, late or aimed at a release of long ago. A step that is not cut off must come
to exactly what `tests.support.expectations` says of the stored state; and each run must have seen every end that a
release can have.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.errors import AdmissionRefused, Conflict, PromptlaneError
from promptlane.domain.names import Outcome, Phase, Track
from promptlane.domain.policy import CanaryPolicy, Policy, Reviewer, ReviewPolicy, Step, WatchPolicy
from promptlane.domain.ports import RedAlarm
from promptlane.domain.release import quarantine as quarantine_module
from promptlane.domain.release.alarmed import alarm_applies
from promptlane.domain.release.compared import record_findings
from promptlane.domain.release.findings import Findings
from promptlane.domain.release.notice import is_told
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import STATES, Release, Waiting
from promptlane.domain.release.replay import story_findings
from promptlane.domain.release.route import Route
from promptlane.domain.release.routed import route_findings
from promptlane.domain.release.timeline import Event, TimelineEntry, chain_problems
from promptlane.domain.release.trigger import ReleaseRequest
from promptlane.fakes import (
    FakeAlarms,
    FakeEnrolments,
    FakeEnrolmentTags,
    FakeNotices,
    FakePrompts,
    FakeQueue,
    FakeWorkflow,
    InMemoryCursors,
    InMemoryIdentities,
    InMemoryQuarantine,
    InMemoryReleases,
    InMemoryRoutes,
)
from promptlane.fakes.objects import MemoryContents
from promptlane.fakes.review import FakeDirectory
from promptlane.lifecycle.admit import Admission
from promptlane.lifecycle.intake import Intake, Taken
from promptlane.lifecycle.reconcile import GRACE, Reconciliation
from promptlane.lifecycle.restored import Restoration
from promptlane.lifecycle.rollback import Aftermath, PromotedBefore, RolledBack, Wish, restore_safe_route
from promptlane.lifecycle.routing import change
from promptlane.lifecycle.shift import Moved, Traffic
from promptlane.lifecycle.telling import LATE, Telling
from promptlane.lifecycle.windup import WindUp
from tests.support.expectations import Expected, Stored
from tests.support.prompt import ID, PROMPT

WEIGHTS = (500, 2500, 5000)
POLICY = Policy(
    review=ReviewPolicy((Reviewer("Prompt review", "prompt-review@example.com"),)),
    canary=CanaryPolicy(steps=tuple(Step(weight, 10, 100) for weight in WEIGHTS)),
    watch=WatchPolicy(duration=50, holdback=700),
)
WRITES = {
    "put",
    "start",
    "update",
    "append",
    "unlock",
    "wait",
    "stop_waiting",
    "record_ended",
    "request",
    "publish",
    "stop",
    "tag",
    "keep",
    "lift",
    "told",
}
ENDS = (
    "canaried",
    "advanced",
    "promoted",
    "promoted first",
    "rolled back by alarm",
    "rolled back by judge",
    "rolled back by undecided",
    "rolled back by operator",
    "gone back further",
    "rejected",
    "expired",
    "failed",
    "superseded",
    "held by a red alarm",
    "other content refused",
    "stable changed",
    "taken back at its end",
    "came back explicitly",
    "restarted",
    "wound up when its execution died",
    "nothing to go back to",
    "refused at admission",
    "moved beside the route",
    "barred beside the route",
)


def apart_from_room(route: Route | None) -> Route | None:
    """What a shorter route has in common with the longer one: which of both holds what is quarantined is no matter."""
    return None if route is None else replace(route, revision=0, epoch=0, quarantined={})


class SeenRoutes(InMemoryRoutes):
    """Notes what was kept beside the route at each of its writes."""

    def __init__(self, quarantine: InMemoryQuarantine) -> None:
        super().__init__()
        self._quarantine = quarantine
        self.beside: list[set[str]] = []

    def put(self, route: Route, *, expected: Route | None) -> None:
        super().put(route, expected=expected)
        self.beside.append(set(self._quarantine.all(PROMPT)))


class Crash(BaseException):
    """The process is gone: nothing catches it."""


class Fuse:
    """Lets some writes pass, then crashes; None never does."""

    def __init__(self) -> None:
        self.left: int | None = None

    def around(self, store: Any) -> Any:
        fuse = self

        class Guarded:
            def __getattr__(self, name: str) -> Any:
                value = getattr(store, name)
                if name not in WRITES:
                    return value

                def write(*args: Any, **kwargs: Any) -> Any:
                    if fuse.left is not None:
                        if fuse.left == 0:
                            raise Crash
                        fuse.left -= 1
                    return value(*args, **kwargs)

                return write

        return Guarded()


crashes = st.one_of(st.none(), st.none(), st.none(), st.integers(0, 6))
releases_of_any_age = st.integers(0, 30)
CUT = object()
"""What a step comes to that was cut off."""


def content(number: int) -> PromptDraft:
    text = f"Answer {{{{question}}}} in manner {number}"
    return PromptDraft(name=PROMPT, model="m", template=text, variables=("question",))


class Lifecycle(RuleBasedStateMachine):
    seen: ClassVar[Counter[str]] = Counter()
    """What happened in all examples of a run together."""

    @initialize()
    def begin(self) -> None:
        self.now = 1000.0
        self.fuse = Fuse()
        self.cursors, self.real_quarantine = InMemoryCursors(), InMemoryQuarantine()
        self.real_routes, self.real_releases = SeenRoutes(self.real_quarantine), InMemoryReleases()
        self.prompts, self.real_workflow, self.real_queue = FakePrompts(), FakeWorkflow(), FakeQueue()
        self.alarms, self.real_notices = FakeAlarms(), FakeNotices()
        self.identities = self.fuse.around(InMemoryIdentities())
        self.quarantine = self.fuse.around(self.real_quarantine)
        self.held = patch.object(quarantine_module, "QUARANTINE_HELD", 1)
        self.held.start()
        self.barred: dict[str, str] = {}
        self.enrolments, self.real_tags = FakeEnrolments({PROMPT: POLICY}), FakeEnrolmentTags(self.prompts)
        self.tags, self.workflow = self.fuse.around(self.real_tags), self.fuse.around(self.real_workflow)
        self.queue, self.notices = self.fuse.around(self.real_queue), self.fuse.around(self.real_notices)
        self.routes, self.releases = self.fuse.around(self.real_routes), self.fuse.around(self.real_releases)
        self.stored = Stored(
            PROMPT, ID, POLICY, self.real_routes, self.real_releases, self.prompts, self.alarms, self.real_quarantine
        )
        self.checked = 0
        self.approved: dict[str, tuple[str, str | None]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.forged: set[str] = set()
        self.cuts = 0
        self.publish(0)
        self.event(1, None)

    def clock(self) -> float:
        return self.now

    def run(self, crash: int | None, step: Callable[[], object]) -> Any:
        """What a step comes to: its result, the type of its error, or CUT."""
        self.fuse.left = crash
        try:
            came_to: Any = step()
        except Crash:
            came_to = CUT
        except PromptlaneError as error:
            came_to = type(error)
        finally:
            self.fuse.left = None
            self.now += 0.5
        # A rule may take several steps: how a release ended is asked before the next one.
        self.releases_are_sound()
        self.cuts += came_to is CUT
        if came_to is CUT and self.cuts % 4 == 0:
            self.an_auditor_finds_nothing()
        return came_to

    @property
    def waiting_in_turn(self) -> list[Waiting]:
        """What waits, without what a newer release overtook and nobody asked for."""
        newest = max((r.version for r in self.real_releases.of_prompt(ID)), default=0)
        return [w for w in self.real_releases.waiting(ID) if w.explicit or w.version > newest]

    def pick(self, index: int) -> Release | None:
        known = self.real_releases.of_prompt(ID)
        return known[index % len(known)] if known else None

    # what people and other services do

    @rule(number=st.integers(0, 4))
    def publish(self, number: int) -> None:
        self.prompts.publish(content(number), prompt_id=ID)

    @rule(which=releases_of_any_age, where=st.sampled_from(["bedrock", "approval", "record"]), rarely=st.integers(0, 9))
    def content_differs(self, which: int, where: str, rarely: int) -> None:
        """Somebody changes what approval, record or Bedrock say of a candidate: no such content may get traffic.

        Not both record and approval: whoever can forge all three alike is found by `history --verify`, not by a step.
        """
        release = self.pick(which)
        if rarely or release is None or release.ended or release.candidate is None:
            return
        if where != "bedrock" and release.release_id in self.forged:
            return
        other = content(9)
        if where != "bedrock":
            self.forged.add(release.release_id)
        if where == "bedrock":
            self.prompts.alter(ID, release.version, other)
        elif where == "approval" and release.approval:
            forged = {**release.approval, "candidate": other.fingerprint}
            self.real_releases.update(replace(release, approval=forged))
        elif where == "record":
            forged_ref = replace(release.candidate, fingerprint=other.fingerprint)
            self.real_releases.update(replace(release, candidate=forged_ref))

    @rule(red=st.sampled_from([None, None, None, Track.STABLE, Track.CANARY, Track.HOLDBACK]))
    def alarm_stands(self, red: Track | None) -> None:
        self.alarms.standing[PROMPT] = [RedAlarm(red, "Error", self.now)] if red else []

    @rule(which=releases_of_any_age, status=st.sampled_from(["FAILED", "TIMED_OUT", "ABORTED"]))
    def execution_dies(self, which: int, status: str) -> None:
        release = self.pick(which)
        if release is not None and self.real_workflow.status(release.release_id) == "RUNNING":
            self.real_workflow.executions[release.release_id] = status

    @rule(seconds=st.sampled_from([1.0, 20.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # intake and reconcile

    @rule(version=st.one_of(st.none(), st.integers(1, 12)), crash=crashes)
    def event(self, version: int | None, crash: int | None) -> None:
        self.take(crash, ReleaseRequest(ID, version, "arn:aws:iam::111122223333:user/author"))

    @rule(version=st.integers(1, 12), request=st.integers(0, 3), crash=crashes)
    def explicit_request(self, version: int, request: int, crash: int | None) -> None:
        self.take(crash, ReleaseRequest(PROMPT, version, "operator", True, f"request-{request}"))

    @rule(crash=crashes)
    def deliver_queued(self, crash: int | None) -> None:
        if self.real_queue.requests:
            prompt, version, by, explicit = self.real_queue.requests.pop()
            self.take(crash, ReleaseRequest(prompt, version, by, explicit))

    def take(self, crash: int | None, request: ReleaseRequest) -> None:
        held, records = self.real_releases.holder(ID), self.real_releases.of_prompt(ID)
        newest = max((r.version for r in records), default=0)
        published = set(self.prompts.versions(ID))
        taken = self.run(
            crash,
            lambda: Intake(
                prompts=self.prompts,
                enrolments=self.enrolments,
                identities=self.identities,
                routes=self.routes,
                releases=self.releases,
                workflow=self.workflow,
                clock=self.clock,
            ).take(request),
        )
        if taken is CUT:
            return
        assert isinstance(taken, Taken)
        version = request.version or max(published)
        if version in published and version > newest:
            assert taken.result == ("waiting" if held else "started"), f"{taken} though {held} holds the lock"
        if taken.result == "started":
            assert self.real_workflow.status(taken.release_id) is not None, "started without an execution"
            if taken.release_id not in {r.release_id for r in records}:
                assert self.real_releases.get(taken.release_id).requested_by == request.requested_by
            older = [w.version for w in self.real_releases.waiting(ID) if w.version <= version]
            assert not older, f"{older} still wait behind version {version}"
        if taken.result == "waiting":
            assert version in [w.version for w in self.real_releases.waiting(ID)]

    @rule(crash=crashes)
    def reconcile(self, crash: int | None) -> None:
        done = self.run(
            crash,
            lambda: Reconciliation(
                prompts=self.prompts,
                enrolments=self.enrolments,
                identities=self.identities,
                watched=self.identities,
                notices=self.notices,
                tags=self.tags,
                routes=self.routes,
                releases=self.releases,
                workflow=self.workflow,
                queue=self.queue,
                cursors=self.cursors,
                wind_up=self.given_up,
                restored=lambda prompt: None,
                clock=self.clock,
                log=lambda text: None,
            ).run(),
        )
        if done is CUT:
            return
        self.seen["restarted"] += len(done.restarted)
        self.seen["wound up when its execution died"] += len(done.wound_up)
        assert done.failed == []
        holder = self.real_releases.holder(ID)
        waiting = self.waiting_in_turn
        if holder is not None:
            young = self.now - self.real_releases.get(holder).started_at <= GRACE + 0.5
            assert self.real_workflow.status(holder) == "RUNNING" or young, "nobody looks after the lock's holder"
        elif waiting:
            assert (PROMPT, waiting[-1].version) in [r[:2] for r in self.real_queue.requests], "a version is forgotten"
        route = self.stored.route
        assert route is None or all(self.real_tags.tagged(ref.arn) for ref in route.named)

    # the steps of a release

    @rule(which=releases_of_any_age, crash=crashes)
    def admit(self, which: int, crash: int | None) -> None:
        if (release := self.pick(which)) is None:
            return
        expected, route = self.stored.of_admit(release), self.stored.route
        done = self.run(
            crash,
            lambda: Admission(
                prompts=self.prompts,
                enrolments=self.enrolments,
                identities=self.identities,
                tags=self.tags,
                routes=self.routes,
                releases=self.releases,
                directory=FakeDirectory(),
                quarantine=self.quarantine,
                contents=MemoryContents(),
                check_suite=lambda suite, variables: ([], SuiteFacts(1)),
                floor=Floor(),
                clock=self.clock,
            ).admit(release.release_id),
        )
        if done is CUT:
            return
        assert (done.state if isinstance(done, Release) else done) == expected
        if expected is AdmissionRefused:
            self.seen["refused at admission"] += 1
        if expected == "admitted" and release.state == "started":
            assert done.candidate == self.prompts.version(ID, release.version).ref
            assert done.stable == (route.stable if route else None)
            assert self.real_tags.tagged(done.candidate.arn)

    @rule(which=releases_of_any_age)
    def approve(self, which: int) -> None:
        """Tests and reviewers, in one go: they compare with what is stable now."""
        release = self.pick(which)
        if release is None or release.candidate is None or release.state not in ("admitted", "testing", "review"):
            return
        if release.candidate.fingerprint != self.stored.served(release.version):
            return  # nobody is asked about what Bedrock does not have
        route = self.stored.route
        stable = route.stable if route else None
        name, number = release.release_id, release.round + 1
        compared_with = stable.fingerprint if stable else None
        planned = {
            "round": number,
            "stable": stable.version if stable else None,
            "stable_fingerprint": compared_with,
        }
        approval = {
            "decision": "approved",
            "round": number,
            "candidate": release.candidate.fingerprint,
            "stable": compared_with,
        }
        told = (
            (Event.TESTS_PLANNED, f"tests/{number}/planned", planned),
            (Event.REVIEW_REQUESTED, f"review/{number}/requested", {"round": number}),
            (Event.REVIEW_DECIDED, f"review/{number}/decided", approval),
        )
        self.real_releases.update(
            replace(release, state="review", stable=stable, round=number, approval=approval),
            *(TimelineEntry(f"{name}/{own}", name, self.now, event, detail=detail) for event, own, detail in told),
        )
        self.approved[release.release_id] = (release.candidate.fingerprint, compared_with)

    @rule(which=releases_of_any_age, step=st.integers(0, 2), crash=crashes)
    def shift(self, which: int, step: int, crash: int | None) -> None:
        if (release := self.pick(which)) is None:
            return
        expected, before = self.stored.of_shift(release, step), self.stored.route
        moved = self.run(crash, lambda: self.traffic.shift(release.release_id, step))
        if self.moved_as_expected(moved, expected, release, before):
            route, record = self.stored.route, self.real_releases.get(release.release_id)
            assert route is not None
            assert before is not None
            had = before.weight if before.release_id == release.release_id else 0
            assert (route.canary, route.weight) == (release.candidate, max(had, WEIGHTS[step]))
            assert (record.state, record.step) == ("canary", max(step, release.step if had else step))

    @rule(which=releases_of_any_age, crash=crashes)
    def promote(self, which: int, crash: int | None) -> None:
        if (release := self.pick(which)) is None:
            return
        expected, before = self.stored.of_promotion(release), self.stored.route
        moved = self.run(crash, lambda: self.traffic.promote(release.release_id))
        if self.moved_as_expected(moved, expected, release, before):
            route, record = self.stored.route, self.real_releases.get(release.release_id)
            assert route is not None
            assert (route.stable, route.canary, record.state) == (release.candidate, None, "watch")
            if before is not None and before.release_id == release.release_id and before.phase is Phase.CANARY:
                assert (route.previous, route.phase, route.holdback) == (before.stable, Phase.WATCH, 700)
                assert route.watch_until == route.phase_since + 50
                assert self.real_releases.holder(ID) != release.release_id

    def moved_as_expected(self, moved: Any, expected: Expected, release: Release, before: Route | None) -> bool:
        """Checks a step of traffic that was not cut off; whether it was done."""
        if moved is CUT:
            return False
        result = moved.result if isinstance(moved, Moved) else moved
        assert result == expected, f"{release.release_id} in {release.state}: {moved}, not {expected}"
        if result != "done":
            assert apart_from_room(self.stored.route) == apart_from_room(before), f"{expected}, and traffic moved"
        if result == "wait":
            self.seen["held by a red alarm"] += 1
            told = [e.detail.get("reason") for e in self.real_releases.timeline(release.release_id)]
            assert getattr(moved, "reason", None) in told, "it waits, and the timeline does not say why"
        self.seen["other content refused"] += getattr(result, "__name__", "") == "FingerprintMismatch"
        self.seen["stable changed"] += result == "stable_changed"
        return bool(result == "done")

    # the natural way, so that the deep states are reached often

    @rule(times=st.integers(1, 9), fate=st.sampled_from(["approve"] * 6 + ["reject", "expire"]), crash=crashes)
    def go_on(self, times: int, fate: str, crash: int | None) -> None:
        for _ in range(times):
            self.next_step(fate, crash)

    @rule(
        number=st.integers(0, 4),
        times=st.integers(0, 9),
        incident=st.sampled_from(
            [
                "alarm",
                "judge",
                "undecided",
                "operator",
                "reject",
                "expire",
                "dies at its start",
                "ends",
                "stable changes",
            ]
        ),
        crash=crashes,
    )
    def a_version_goes_its_way(self, number: int, times: int, incident: str, crash: int | None) -> None:
        """Whoever holds the lock comes to its end; a version is published, goes some steps, and meets something."""
        self.alarms.standing.clear()
        for _ in range(12):
            if self.real_releases.holder(ID) is not None:
                self.next_step("approve", None)
        self.publish(number)
        self.event(None, 1 if incident == "dies at its start" else None)
        if incident == "dies at its start":
            self.now += 100
            return self.reconcile(crash)
        for _ in range(2 if incident in ("stable changes", "red") else times):
            self.next_step(incident, None)
        if incident == "red":
            self.alarm_stands(Track.STABLE)
            self.next_step(incident, crash)
            self.alarm_stands(None)
            return self.next_step(incident, crash)
        route, holder = self.stored.route, self.real_releases.holder(ID)
        if incident == "alarm" and route is not None:
            self.alarm(Track.STABLE if route.phase is Phase.WATCH else Track.CANARY, 0.0, crash)
        elif incident in ("judge", "undecided"):
            self.judge_rolls_back_what_is_out(incident, crash)
        elif incident in ("operator", "stable changes"):
            self.operator_rolls_back(crash)
            self.go_on(2, "approve", None)
        elif incident == "ends" and holder is not None:
            self.end(self.real_releases.get(holder), Outcome.FAILED, crash)
        return None

    def next_step(self, fate: str, crash: int | None) -> None:
        name = self.real_releases.holder(ID)
        if name is None:
            return self.event(None, crash)
        records = self.real_releases.of_prompt(ID)
        which = next(i for i, r in enumerate(records) if r.release_id == name)
        release, route = records[which], self.stored.route
        if release.state == "started":
            refused = self.stored.of_admit(release) is AdmissionRefused
            self.admit(which, crash)
            return self.end(release, Outcome.FAILED, crash) if refused else None
        if release.state == "admitted":
            if fate in ("reject", "expire"):
                return self.end(release, Outcome.REJECTED if fate == "reject" else Outcome.EXPIRED, crash)
            return self.approve(which)
        if release.state == "watch" or release.ended:
            return self.end(release, Outcome.PROMOTED, crash)
        first = release.approval.get("stable") is None
        out = route is not None and route.in_flight(name)
        expected = self.stored.of_promotion(release) if first else self.stored.of_shift(release, 0)
        if expected not in ("done", "wait"):
            self.promote(which, None) if first else self.shift(which, 0, None)
            return self.end(release, Outcome.FAILED, crash)
        if release.state == "canary" and not out:
            return self.end(release, Outcome.FAILED, crash)
        if first or (route is not None and out and route.weight == WEIGHTS[-1]):
            return self.promote(which, crash)
        step = WEIGHTS.index(route.weight) + 1 if route is not None and out and release.state == "canary" else 0
        return self.shift(which, step, crash)

    @rule(crash=crashes)
    def watch_ends(self, crash: int | None) -> None:
        route = self.stored.route
        if route is not None and route.phase is Phase.WATCH:
            self.now = max(self.now, route.watch_until) + 1
            self.end(self.real_releases.get(route.release_id), Outcome.PROMOTED, crash)

    # rollbacks

    def roll_back(self, crash: int | None, expected: Expected | None, **arguments: Any) -> None:
        before, sent = self.stored.route, len(self.real_notices.sent)

        def step() -> RolledBack:
            wish = Wish(prompt=PROMPT, reason="97 of 97 refused", by="arn:somebody", **arguments)
            done = restore_safe_route(self.routes, wish, clock=self.clock, keep_trying=lambda n: n < 3)
            Aftermath(
                releases=self.releases,
                workflow=self.workflow,
                telling=self.telling,
                restoration=self.restoration,
                clock=self.clock,
                log=lambda text: None,
            ).tell(done, stop_execution=True)
            return done

        done, after = self.run(crash, step), self.stored.route
        if done is CUT:
            return
        assert isinstance(done, RolledBack), done
        assert expected is None or done.result == expected, f"{done}, not {expected}"
        if done.result not in ("rolled_back", "nothing_to_go_back_to"):
            assert after == before
            return
        assert before is not None
        assert after is not None
        notices = dict(self.real_notices.sent[sent:])
        if done.result == "nothing_to_go_back_to":
            self.seen["nothing to go back to"] += 1
            assert after == before
            assert f"[Promptlane] {PROMPT}: rollback impossible" in dict(self.real_notices.sent)
            return
        bad = before.canary or before.stable
        body = notices[f"[Promptlane] {PROMPT}: version {bad.version} rolled back"]
        assert (after.phase, after.canary, after.previous) == (Phase.STEADY, None, None)
        assert after.quarantined[bad.fingerprint]["release_id"] == before.release_id
        assert f"Version {after.stable.version} serves everybody." in body
        assert "97 of 97 refused" in body
        assert f"{arguments['cause']} (arn:somebody)" in body
        assert self.real_workflow.status(before.release_id) != "RUNNING"

    @rule(track=st.sampled_from(Track), age=st.sampled_from([-30.0, -5.0, 0.0]), crash=crashes)
    def alarm(self, track: Track, age: float, crash: int | None) -> None:
        changed, before = self.now + age, self.stored.route

        def applies(route: Route) -> None:
            alarm_applies(route, track=track, changed_at=changed)

        current = before is not None and changed >= self.about_this(before, track)
        expected = self.stored.of_rollback(self.now, cause="alarm", release_id=None, applies=current)
        self.roll_back(crash, expected, cause="alarm", applies=applies)

    @staticmethod
    def about_this(route: Route, track: Track) -> float:
        """From when an alarm can be about the release that the route is busy with."""
        if route.phase is Phase.CANARY and track is Track.CANARY:
            return route.phase_since
        if route.phase is Phase.WATCH and track is Track.STABLE:
            return route.phase_since
        if route.phase is Phase.WATCH and track is Track.CANARY and route.shifts:
            return route.shifts[0][0]
        return float("inf")

    @rule(which=releases_of_any_age, cause=st.sampled_from(["judge", "undecided"]), crash=crashes)
    def judge_rolls_back(self, which: int, cause: str, crash: int | None) -> None:
        if (release := self.pick(which)) is not None:
            expected = self.stored.of_rollback(self.now, cause=cause, release_id=release.release_id)
            self.roll_back(crash, expected, cause=cause, release_id=release.release_id)

    @rule(cause=st.sampled_from(["judge", "undecided"]), crash=crashes)
    def judge_rolls_back_what_is_out(self, cause: str, crash: int | None) -> None:
        route = self.stored.route
        if route is not None and route.phase is not Phase.STEADY:
            expected = self.stored.of_rollback(self.now, cause=cause, release_id=route.release_id)
            self.roll_back(crash, expected, cause=cause, release_id=route.release_id)

    @rule(crash=crashes)
    def operator_rolls_back(self, crash: int | None) -> None:
        expected = self.stored.of_rollback(self.now, cause="operator", release_id=None)
        self.roll_back(crash, expected, cause="operator")

    @rule(version=st.integers(1, 12), crash=crashes)
    def operator_rolls_back_to(self, version: int, crash: int | None) -> None:
        to = PromotedBefore(version=version, releases=self.releases, quarantine=self.quarantine)
        self.roll_back(crash, self.of_going_back(version), cause="operator", to=to)

    def of_going_back(self, version: int) -> Expected:
        """Of an operator who names the version."""
        route = self.stored.route
        if route is None:
            return "not_applicable"
        once = [
            r.candidate
            for r in reversed(self.real_releases.of_prompt(ID))
            if r.outcome is Outcome.PROMOTED
            and r.version == version
            and r.candidate is not None
            and r.candidate.fingerprint == r.approval["candidate"]
        ]
        if once and once[0] == route.stable:
            return "already"
        other = once and route.phase is not Phase.CANARY and once[0].fingerprint != route.stable.fingerprint
        fine = other and once[0].fingerprint not in self.stored.barred
        return "rolled_back" if fine else "not_applicable"

    @property
    def restoration(self) -> Restoration:
        return Restoration(routes=self.routes, releases=self.releases, quarantine=self.quarantine, clock=self.clock)

    @property
    def telling(self) -> Telling:
        return Telling(releases=self.releases, notices=self.notices, clock=self.clock, log=lambda text: None)

    @property
    def traffic(self) -> Traffic:
        return Traffic(
            routes=self.routes,
            releases=self.releases,
            prompts=self.prompts,
            enrolments=self.enrolments,
            identities=self.identities,
            quarantine=self.quarantine,
            alarms=self.alarms,
            telling=self.telling,
            clock=self.clock,
            reopened=lambda release: "",
        )

    # the end

    def wind_up_now(self, name: str, claimed: Outcome) -> Release:
        ending = WindUp(
            routes=self.routes,
            releases=self.releases,
            quarantine=self.quarantine,
            queue=self.queue,
            telling=self.telling,
            clock=self.clock,
            log=lambda text: None,
        )
        return ending.end(name, claimed=claimed, reason="the reason")

    def given_up(self, name: str, why: str) -> None:
        self.wind_up_now(name, Outcome.FAILED)

    def end(self, release: Release, claimed: Outcome, crash: int | None = None) -> None:
        name, before, sent = release.release_id, self.stored.route, len(self.real_notices.sent)
        expected = self.stored.of_end(release, claimed)
        done = self.run(crash, lambda: self.wind_up_now(name, claimed))
        if done is CUT:
            return
        assert isinstance(done, Release), done
        assert (done.state, done.outcome) == ("ended", expected)
        assert self.real_releases.get(name) == done
        route = self.stored.route
        assert route is None or not route.in_flight(name), "an ended release still moves traffic"
        if before is not None and route is not None:
            assert route.stable == before.stable
            self.seen["taken back at its end"] += before.canary is not None and route.canary is None
        assert self.real_releases.holder(ID) != name, "an ended release still holds the lock"
        waiting = self.waiting_in_turn
        if waiting and self.real_releases.holder(ID) is None:
            assert (PROMPT, waiting[-1].version) in [r[:2] for r in self.real_queue.requests], "nobody starts the next"
        if release.ended or expected is Outcome.ROLLED_BACK:
            return
        body = dict(self.real_notices.sent[sent:])[f"[Promptlane] {PROMPT}: version {release.version} {expected}"]
        assert name in body
        assert ("the reason" if expected is claimed else f"the reason (found {expected} on the route)") in body

    @rule(which=releases_of_any_age, claimed=st.sampled_from(Outcome), crash=crashes, rarely=st.integers(0, 3))
    def wind_up(self, which: int, claimed: Outcome, crash: int | None, rarely: int) -> None:
        if rarely == 0 and (release := self.pick(which)) is not None:
            self.end(release, claimed, crash)

    # what holds at every moment

    @precondition(lambda self: hasattr(self, "real_routes"))
    @invariant()
    def routes_are_safe(self) -> None:
        history = self.real_routes.history
        for i in range(self.checked, len(history)):
            self.check(history[i - 1] if i else None, history[i], self.real_routes.beside[i])
        self.checked = len(history)

    def check(self, before: Route | None, after: Route, beside: set[str]) -> None:
        assert all(self.real_tags.tagged(ref.arn) for ref in after.named), "a version that IAM denies to applications"
        newly = {ref for ref in after.named if before is None or ref not in before.named}
        last = after.pending[-1] if after.pending else None
        operator = last is not None and last.event is Event.ROLLED_BACK and last.detail["cause"] == "operator"
        for ref in newly if not operator else ():
            candidate, stable = self.approved[after.release_id]
            assert ref.fingerprint == candidate, "1: traffic for what was not approved"
            assert ref.fingerprint == self.stored.served(ref.version), "10: traffic for what nobody could see"
            assert ref.version == self.real_releases.get(after.release_id).version
            assert stable == (before.stable.fingerprint if before else None), "1: compared with another stable"
        assert after.stable.fingerprint not in after.quarantined, "4: everybody gets what was rolled back"
        if before is None:
            assert after.phase is Phase.STEADY
            return
        assert after.revision == before.revision + 1, "2: a write that did not build on what was stored"
        known = {r.fingerprint for r in before.named}
        further = self.gone_back_to(before, after)
        assert after.stable.fingerprint in known | further, "2: stable lost"
        if after.canary is not None and before.canary is not None:
            assert after.release_id == before.release_id, "3: a second canary"
        if after.release_id == before.release_id:
            assert after.salt == before.salt, "5: the split was drawn anew"
            if after.phase is before.phase is Phase.CANARY:
                assert after.weight > before.weight, "5: units lost what they saw"
        assert (after.weight > 0) == (after.canary is not None) == (after.phase is Phase.CANARY)
        assert after.holdback == 0 or (after.phase is Phase.WATCH and after.previous is not None)
        served = {r.fingerprint for r in (after.stable, after.canary) if r is not None}
        for fingerprint in served & set(self.barred):
            self.seen["came back explicitly"] += 1
            self.seen["barred beside the route"] += fingerprint not in before.quarantined
            assert self.real_releases.get(after.release_id).explicit, "4: quarantined content came back by itself"
            assert after.release_id != self.barred.pop(fingerprint), "4: the release that was rolled back came back"
        for fingerprint in set(before.quarantined) - set(after.quarantined):
            moved_beside = fingerprint in beside
            self.seen["moved beside the route"] += moved_beside
            lifted = getattr(after.canary, "fingerprint", None) == fingerprint
            assert lifted or moved_beside, "4: a quarantine was lifted"
        for fingerprint, entry in after.quarantined.items():
            if entry != before.quarantined.get(fingerprint):
                self.barred[fingerprint] = str(entry["release_id"])
        assert set(self.barred) <= {*after.quarantined, *beside}, "4: one is forgotten"
        if after.stable != before.stable and after.phase is not Phase.WATCH:
            fine = after.stable == before.previous or after.stable.fingerprint in further
            assert fine, "2: stable changed other than by promotion or rollback"
        moved = (after.named, after.weight) != (before.named, before.weight)
        assert not moved or self.written_on(before, after), "8: traffic moved, and the timeline will not say so"

    @staticmethod
    def written_on(before: Route, after: Route) -> bool:
        known = {entry.id for entry in before.pending}
        return any(entry.id not in known for entry in after.pending) or after.phase is Phase.STEADY

    def gone_back_to(self, before: Route, after: Route) -> set[str]:
        """What an operator may name: promoted once, as it was approved, and not rolled back since."""
        last = after.pending[-1] if after.pending else None
        if last is None or last.event is not Event.ROLLED_BACK or last.detail["cause"] != "operator":
            return set()
        if before.phase is Phase.CANARY:
            return set()
        once = {r.release_id for r in self.real_releases.of_prompt(ID) if r.outcome is Outcome.PROMOTED}
        return {self.approved[name][0] for name in once} - set(self.barred)

    @precondition(lambda self: hasattr(self, "real_releases"))
    @invariant()
    def releases_are_sound(self) -> None:
        records = self.real_releases.of_prompt(ID)
        active = [r.release_id for r in records if r.state not in ("ended", "watch")]
        assert len(active) <= 1, f"3: two active releases {active}"
        for record in records:
            assert record.state in STATES
            if record.ended and record.release_id not in self.outcomes:
                assert record.outcome is not None
                self.outcomes[record.release_id] = record.outcome
                told = self.stored.outcome(record.release_id)
                by_route = (Outcome.PROMOTED, Outcome.ROLLED_BACK)
                assert record.outcome is told if told else record.outcome not in by_route, (
                    f"8: {record.release_id} ended {record.outcome}, and the route says {told}"
                )
            elif record.ended:
                assert record.outcome is self.outcomes[record.release_id], "8: ended twice"

    def an_auditor_finds_nothing(self) -> None:
        """Whatever crashed, and whenever it is looked at: what the steps leave is what a timeline may say."""
        found = Findings()
        timelines = {r.release_id: self.real_releases.timeline(r.release_id) for r in self.real_releases.of_prompt(ID)}
        for record in self.real_releases.of_prompt(ID):
            # Who forges a record and what Bedrock has alike gets traffic for what was not admitted: found, and rightly.
            if record.release_id not in self.forged:
                story_findings(record.release_id, timelines[record.release_id], found)
                record_findings(record, timelines[record.release_id], found)
        if (route := self.stored.route) is not None and not self.forged:
            route_findings(route, timelines, found, older=self.real_quarantine.all(PROMPT))
        assert [str(problem) for problem in found.problems] == []

    def teardown(self) -> None:
        if not hasattr(self, "real_releases"):
            return
        try:
            self.wind_up_all()
        finally:
            self.held.stop()

    def wind_up_all(self) -> None:
        for record in self.real_releases.of_prompt(ID):
            self.end(record, Outcome.FAILED)
        route = self.stored.route
        assert route is None or (route.canary is None and route.phase is Phase.STEADY and route.holdback == 0)
        assert self.real_releases.holder(ID) is None
        told = set()
        for record in self.real_releases.of_prompt(ID):
            entries = self.real_releases.timeline(record.release_id)
            told |= {e.id for e in entries}
            assert chain_problems(entries) == []
            [ended] = [e for e in entries if e.event is Event.ENDED]
            said = {k: ended.detail[k] for k in ("outcome", "reason")}
            assert said == {"outcome": str(record.outcome), "reason": record.reason}, "8: two stories of one end"
            assert record.outcome is self.outcomes.get(record.release_id, record.outcome)
            self.count(record)
        self.an_auditor_finds_nothing()
        self.people_were_told()
        written = {e.id for r in self.real_routes.history for e in r.pending}
        assert written <= told, "a change of traffic is missing from its timeline"

    def people_were_told(self) -> None:
        """Of all that ended, moved or took back a version; twice only where a step was cut off."""
        self.now += LATE
        self.reconcile(None)
        assert self.real_releases.owed() == []
        records = self.real_releases.of_prompt(ID)
        news = [e.id for r in records for e in self.real_releases.timeline(r.release_id) if is_told(e)]
        told = Counter(self.real_notices.ids)
        assert set(news) <= set(told), "12: nobody was told"
        again = sum(told.values()) - len(told)
        assert again <= self.cuts, f"12: told twice though nothing was cut off: {told.most_common(1)}"
        self.seen["told again after a cut"] += again

    def count(self, record: Release) -> None:
        """What became of a release, for the sum over all examples."""
        shifts = self.stored.done_by(record.release_id, Event.CANARY_SHIFTED)
        weights = [d["weight"] for d in shifts if d["weight"]]
        self.seen["canaried"] += bool(weights)
        self.seen["advanced"] += len(weights) > 1
        self.seen[str(record.outcome)] += 1
        promotions = self.stored.done_by(record.release_id, Event.PROMOTED)
        self.seen["promoted first"] += any(d.get("first") for d in promotions)
        for detail in self.stored.done_by(record.release_id, Event.ROLLED_BACK):
            self.seen[f"rolled back by {detail['cause']}"] += 1
            self.seen["gone back further"] += detail["phase"] == Phase.STEADY


STEPS = int(os.environ.get("PROMPTLANE_LIFECYCLE_STEPS", "50000"))
ENOUGH = 100
"""Examples in which everything must have happened; in fewer, what happens all the time."""


def test_the_invariants_hold_and_releases_end_in_every_way() -> None:
    Lifecycle.seen.clear()
    examples = max(1, STEPS // 200)
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=examples,
            stateful_step_count=200,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    ends = ENDS if examples >= ENOUGH else ("canaried", "advanced", "promoted", "rolled_back", "failed")
    never = [name for name in ends if Lifecycle.seen[name] == 0]
    assert not never, f"in {examples} examples nothing was ever {never}; seen: {dict(Lifecycle.seen)}"


def test_a_lost_race_is_decided_again() -> None:
    """A store that always moves ends in a Conflict that says so, not in an endless loop."""

    class Moving(InMemoryRoutes):
        def put(self, route: Route, *, expected: Route | None) -> None:
            raise Conflict("moved")

    routes = Moving()
    routes._routes[PROMPT] = Route.from_item(
        {
            "prompt": PROMPT,
            "prompt_id": ID,
            "revision": 1,
            "stable": {"version": 1, "fingerprint": "f", "arn": "a"},
        }
    )
    with pytest.raises(Conflict, match="kept changing"):
        change(routes, PROMPT, lambda r: replace(r, revision=r.revision + 1), attempts=3)
