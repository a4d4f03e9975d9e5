"""Whatever happens in whatever order, with crashes between any two writes: DESIGN's invariants hold.

The machine drives the real steps of `promptlane.lifecycle` over the in-memory stores. Each rule may be cut off after
any number of writes, and may be repeated, late or aimed at a release of long ago.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from promptlane.domain.errors import Conflict, PromptlaneError
from promptlane.domain.names import Event, Outcome, Phase, Track
from promptlane.domain.policy import CanaryPolicy, Policy, Reviewer, ReviewPolicy, Step, WatchPolicy
from promptlane.domain.ports import RedAlarm
from promptlane.domain.prompt import PromptDraft
from promptlane.domain.route import Route, alarm_applies
from promptlane.domain.timeline import chain_problems
from promptlane.domain.trigger import Request
from promptlane.fakes import (
    FakeAlarms,
    FakeEnrolments,
    FakeEnrolmentTags,
    FakeNotices,
    FakePrompts,
    FakeQueue,
    FakeWorkflow,
    InMemoryReleases,
    InMemoryRoutes,
)
from promptlane.lifecycle.admit import admit
from promptlane.lifecycle.intake import take
from promptlane.lifecycle.reconcile import reconcile
from promptlane.lifecycle.rollback import promoted_before, restore_safe_route, tell
from promptlane.lifecycle.routing import change
from promptlane.lifecycle.shift import promote_release, shift_to
from promptlane.lifecycle.windup import wind_up

PROMPT, PROMPT_ID = "support", "PROMPT0001"
POLICY = Policy(
    review=ReviewPolicy((Reviewer("Prompt review", "prompt-review@example.com"),)),
    canary=CanaryPolicy(steps=(Step(500, 10, 100), Step(2500, 10, 100), Step(5000, 10, 100))),
    watch=WatchPolicy(duration=50, holdback=500),
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
}


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


class Lifecycle(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.now = 1000.0
        self.fuse = Fuse()
        self.real_routes, self.real_releases = InMemoryRoutes(), InMemoryReleases()
        self.prompts, self.workflow, self.queue = FakePrompts(), FakeWorkflow(), FakeQueue()
        self.alarms, self.notices = FakeAlarms(), FakeNotices()
        self.enrolments, self.real_tags = FakeEnrolments({PROMPT: POLICY}), FakeEnrolmentTags()
        self.tags = self.fuse.around(self.real_tags)
        self.routes, self.releases = self.fuse.around(self.real_routes), self.fuse.around(self.real_releases)
        self.seen = 0
        self.approved: dict[str, tuple[str, str | None]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.publish(0)
        self.event(1, None)

    def clock(self) -> float:
        return self.now

    def run(self, crash: int | None, step: Callable[[], object]) -> None:
        self.fuse.left = crash
        try:
            with contextlib.suppress(PromptlaneError, Crash):
                step()
        finally:
            self.fuse.left = None
            self.now += 0.5

    def pick(self, index: int) -> str | None:
        known = [r.release_id for r in self.real_releases.of_prompt(PROMPT_ID)]
        return known[index % len(known)] if known else None

    @rule(content=st.integers(0, 4))
    def publish(self, content: int) -> None:
        draft = PromptDraft(name=PROMPT, model="m", template=f"Answer {{{{question}}}} in manner {content}",
                            variables=("question",))  # fmt: skip
        self.prompts.publish(draft, prompt_id=PROMPT_ID, at=self.now)

    def take(self, request: Request) -> None:
        take(
            request, prompts=self.prompts, enrolments=self.enrolments, routes=self.routes, releases=self.releases,
            workflow=self.workflow, clock=self.clock,
        )  # fmt: skip

    @rule(version=st.one_of(st.none(), st.integers(1, 12)), crash=crashes)
    def event(self, version: int | None, crash: int | None) -> None:
        self.run(crash, lambda: self.take(Request(PROMPT_ID, version, "arn:aws:iam::111122223333:user/author")))

    @rule(version=st.integers(1, 12), request=st.integers(0, 3), crash=crashes)
    def explicit_request(self, version: int, request: int, crash: int | None) -> None:
        self.run(crash, lambda: self.take(Request(PROMPT, version, "operator", True, f"request-{request}")))

    @rule(crash=crashes)
    def deliver_queued(self, crash: int | None) -> None:
        if self.queue.requests:
            prompt, version, by, explicit = self.queue.requests.pop()
            self.run(crash, lambda: self.take(Request(prompt, version, by, explicit)))

    @rule(crash=crashes)
    def reconcile(self, crash: int | None) -> None:
        self.run(
            crash,
            lambda: reconcile(
                prompts=self.prompts, enrolments=self.enrolments, tags=self.tags, routes=self.routes,
                releases=self.releases, workflow=self.workflow, queue=self.queue,
                wind_up=lambda r, why: self.end(r, Outcome.FAILED), clock=self.clock, log=lambda text: None,
            ),
        )  # fmt: skip

    @rule(which=releases_of_any_age, crash=crashes)
    def admit(self, which: int, crash: int | None) -> None:
        if name := self.pick(which):
            self.run(
                crash,
                lambda: admit(
                    name, prompts=self.prompts, enrolments=self.enrolments, tags=self.tags, routes=self.routes,
                    releases=self.releases, check_suite=lambda suite, variables: [], clock=self.clock,
                ),
            )  # fmt: skip

    @rule(which=releases_of_any_age)
    def approve(self, which: int) -> None:
        """Tests and reviewers, in one go: they compare with what is stable now."""
        release = self.real_releases.find(self.pick(which) or "") if self.pick(which) else None
        if release is None or release.candidate is None or release.state not in ("admitted", "testing", "review"):
            return
        route = self.real_routes.get(PROMPT)
        stable = route.stable if route else None
        approval = {"candidate": release.candidate.fingerprint, "stable": stable.fingerprint if stable else None}
        self.real_releases.update(replace(release, state="review", stable=stable, approval=approval))
        self.approved[release.release_id] = (approval["candidate"], approval["stable"])  # type: ignore[assignment]

    @rule(which=releases_of_any_age, step=st.integers(0, 2), crash=crashes)
    def shift(self, which: int, step: int, crash: int | None) -> None:
        if name := self.pick(which):
            self.run(
                crash,
                lambda: shift_to(
                    name, step, routes=self.routes, releases=self.releases, prompts=self.prompts, alarms=self.alarms,
                    policy=POLICY, clock=self.clock,
                ),
            )  # fmt: skip

    @rule(which=releases_of_any_age, crash=crashes)
    def promote(self, which: int, crash: int | None) -> None:
        if name := self.pick(which):
            self.run(
                crash,
                lambda: promote_release(
                    name, routes=self.routes, releases=self.releases, prompts=self.prompts, alarms=self.alarms,
                    policy=POLICY, clock=self.clock,
                ),
            )  # fmt: skip

    @rule(times=st.integers(1, 8), crash=crashes)
    def go_on(self, times: int, crash: int | None) -> None:
        """The natural next steps of the release that holds the lock, so that the deep states are reached often."""
        for _ in range(times):
            self.next_step(crash)

    @rule(content=st.integers(0, 4), crash=crashes)
    def publish_and_go_on(self, content: int, crash: int | None) -> None:
        self.publish(content)
        self.event(None, crash)
        self.go_on(4, None)

    def next_step(self, crash: int | None) -> None:
        name = self.real_releases.holder(PROMPT_ID)
        if name is None:
            return self.event(None, crash)
        records = self.real_releases.of_prompt(PROMPT_ID)
        which = next(i for i, r in enumerate(records) if r.release_id == name)
        release, route = records[which], self.real_routes.get(PROMPT)
        if release.state == "started":
            return self.admit(which, crash)
        if release.state == "admitted":
            return self.approve(which)
        if release.state == "review" and release.stable is not None:
            return self.shift(which, 0, crash)
        if release.state == "canary" and route is not None and route.weight < 5000:
            return self.shift(which, min(release.step + 1, 2), crash)
        return self.promote(which, crash)

    def roll_back(self, crash: int | None, **arguments: Any) -> None:
        def step() -> None:
            done = restore_safe_route(
                self.routes, PROMPT, reason="bad", by="x", clock=self.clock, keep_trying=lambda n: n < 3, **arguments
            )
            tell(
                done, releases=self.releases, workflow=self.workflow, notices=self.notices, clock=self.clock,
                stop_execution=True, log=lambda text: None,
            )  # fmt: skip

        self.run(crash, step)

    @rule(track=st.sampled_from(Track), age=st.sampled_from([-30.0, -5.0, 0.0]), crash=crashes)
    def alarm(self, track: Track, age: float, crash: int | None) -> None:
        changed = self.now + age

        def applies(route: Route) -> None:
            alarm_applies(route, track=track, changed_at=changed)

        before = self.real_routes.get(PROMPT)
        self.roll_back(crash, cause="alarm", applies=applies)
        after = self.real_routes.get(PROMPT)
        if before is not None and after is not None and changed < self.about_this(before, track):
            assert after.revision == before.revision, "a stale alarm moved the route"

    @staticmethod
    def about_this(route: Route, track: Track) -> float:
        """From when an alarm can be about the release that the route is busy with."""
        overtaken = route.phase is Phase.WATCH and track is Track.CANARY and route.shifts
        return route.shifts[0][0] if overtaken else route.phase_since

    @rule(which=releases_of_any_age, cause=st.sampled_from(["judge", "undecided"]), crash=crashes)
    def judge_rolls_back(self, which: int, cause: str, crash: int | None) -> None:
        if name := self.pick(which):
            self.roll_back(crash, cause=cause, release_id=name)

    @rule(crash=crashes)
    def operator_rolls_back(self, crash: int | None) -> None:
        self.roll_back(crash, cause="operator")

    @rule(version=st.integers(1, 12), crash=crashes)
    def operator_rolls_back_to(self, version: int, crash: int | None) -> None:
        self.roll_back(crash, cause="operator", to=promoted_before(self.releases, version))

    def end(self, name: str, claimed: Outcome) -> None:
        wind_up(
            name, claimed=claimed, reason="over", routes=self.routes, releases=self.releases, queue=self.queue,
            notices=self.notices, clock=self.clock, log=lambda text: None,
        )  # fmt: skip

    @rule(which=releases_of_any_age, claimed=st.sampled_from(Outcome), crash=crashes, rarely=st.integers(0, 3))
    def wind_up(self, which: int, claimed: Outcome, crash: int | None, rarely: int) -> None:
        if rarely == 0 and (name := self.pick(which)):
            self.run(crash, lambda: self.end(name, claimed))

    @rule(which=releases_of_any_age, status=st.sampled_from(["FAILED", "TIMED_OUT", "ABORTED"]))
    def execution_dies(self, which: int, status: str) -> None:
        name = self.pick(which)
        if name in self.workflow.executions:
            self.workflow.executions[name] = status

    @rule(seconds=st.sampled_from([1.0, 20.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(red=st.booleans())
    def alarm_stands(self, red: bool) -> None:
        self.alarms.standing[PROMPT] = [RedAlarm(Track.STABLE, "Error", self.now)] if red else []

    @precondition(lambda self: hasattr(self, "real_routes"))
    @invariant()
    def routes_are_safe(self) -> None:
        history = self.real_routes.history
        for i in range(max(self.seen, 0), len(history)):
            self.check(history[i - 1] if i else None, history[i])
        self.seen = len(history)

    def check(self, before: Route | None, after: Route) -> None:
        assert all(self.real_tags.tagged(ref.arn) for ref in after.named), "a version that IAM denies to applications"
        if after.canary is not None:
            candidate, _ = self.approved[after.release_id]
            assert after.canary.fingerprint == candidate, "1: traffic for what was not approved"
            assert after.canary.version == int(after.release_id.split("-")[1])
        if before is None:
            assert self.approved[after.release_id] == (after.stable.fingerprint, None), "1: a first version unapproved"
            return
        assert after.revision == before.revision + 1, "2: a write that did not build on what was stored"
        known = {before.stable.fingerprint}
        known |= {r.fingerprint for r in (before.canary, before.previous) if r is not None}
        further = self.gone_back_to(before, after)
        known |= further
        assert after.stable.fingerprint in known, "2: stable lost"
        if after.canary is not None and before.canary is not None:
            assert after.release_id == before.release_id, "3: a second canary"
            assert after.weight >= before.weight or after.phase is not Phase.CANARY
        served = {r.fingerprint for r in (after.stable, after.canary) if r is not None}
        for fingerprint in served & set(before.quarantined):
            release = self.real_releases.get(after.release_id)
            back = before.quarantined[fingerprint]["release_id"]
            assert release.explicit, "4: quarantined content came back by itself"
            assert after.release_id != back, "4: the release that was rolled back came back"
        if after.stable != before.stable and after.phase is not Phase.WATCH:
            fine = after.stable == before.previous or after.stable.fingerprint in further
            assert fine, "2: stable changed other than by promotion or rollback"

    def gone_back_to(self, before: Route, after: Route) -> set[str]:
        """What an operator may name: promoted once, as it was approved, and not rolled back since."""
        last = after.pending[-1] if len(after.pending) > len(before.pending) else None
        if last is None or last.event is not Event.ROLLED_BACK or last.detail["cause"] != "operator":
            return set()
        if before.phase is Phase.CANARY:
            return set()
        once = {r.release_id for r in self.real_releases.of_prompt(PROMPT_ID) if r.outcome is Outcome.PROMOTED}
        return {self.approved[name][0] for name in once} - set(before.quarantined)

    @precondition(lambda self: hasattr(self, "real_releases"))
    @invariant()
    def releases_are_sound(self) -> None:
        records = self.real_releases.of_prompt(PROMPT_ID)
        active = [r.release_id for r in records if r.state not in ("ended", "watch")]
        assert len(active) <= 1, f"3: two active releases {active}"
        for record in records:
            if record.ended:
                assert record.outcome is not None
                assert self.outcomes.setdefault(record.release_id, record.outcome) is record.outcome, "8: ended twice"

    def teardown(self) -> None:
        if not hasattr(self, "real_releases"):
            return
        for record in self.real_releases.of_prompt(PROMPT_ID):
            self.end(record.release_id, Outcome.FAILED)
        route = self.real_routes.get(PROMPT)
        assert route is None or (route.canary is None and route.phase is Phase.STEADY and route.holdback == 0)
        assert self.real_releases.holder(PROMPT_ID) is None
        for record in self.real_releases.of_prompt(PROMPT_ID):
            entries = self.real_releases.timeline(record.release_id)
            assert chain_problems(entries) == []
            assert sum(e.event is Event.ENDED for e in entries) == 1, "8: not exactly one end"
            assert self.real_releases.get(record.release_id).ended
        written = {e.id: e for r in self.real_routes.history for e in r.pending}
        told = {
            e.id for r in self.real_releases.of_prompt(PROMPT_ID) for e in self.real_releases.timeline(r.release_id)
        }
        assert set(written) <= told, "a change of traffic is missing from its timeline"


STEPS = int(os.environ.get("PROMPTLANE_LIFECYCLE_STEPS", "100000"))
TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(
    max_examples=max(1, STEPS // 200),
    stateful_step_count=200,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def test_a_lost_race_is_decided_again() -> None:
    """A store that always moves ends in a Conflict that says so, not in an endless loop."""

    class Moving(InMemoryRoutes):
        def put(self, route: Route, *, expected: Route | None) -> None:
            raise Conflict("moved")

    routes = Moving()
    routes._routes[PROMPT] = Route.from_item(
        {"prompt": PROMPT, "prompt_id": PROMPT_ID, "revision": 1,
         "stable": {"version": 1, "fingerprint": "f", "arn": "a"}}
    )  # fmt: skip
    with pytest.raises(Conflict, match="kept changing"):
        change(routes, PROMPT, lambda r: replace(r, revision=r.revision + 1), attempts=3)
