"""A release in canary or in watch, over the ports of the judge in memory."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from promptlane.domain import metrics
from promptlane.domain.names import Phase
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
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes import FakeAlarms, FakeCounts, FakeEnrolments, FakeNotices, InMemoryReleases, InMemoryRoutes
from promptlane.fakes.counts import InMemoryBlocks
from promptlane.lifecycle.judge_step import Look, Ports, Timing, look
from promptlane.lifecycle.telling import Telling

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
class Judged:
    """Version 2 beside version 1, whose counts are recorded by `serve`."""

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

    def judgements(self) -> list[TimelineEntry]:
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
        groups: int = 8,
    ) -> None:
        """Requests from independent units; a trial request goes wrong with `p1`, a control one with `p0`.

        Units are in the first `groups` groups: with 8, in one half, so that the fuse sleeps.
        """
        rng = random.Random(seed)
        for minute in range(minutes):
            for _ in range(per_minute):
                at, group = start + 60 * minute + rng.random() * 59, rng.randrange(groups)
                version = trial if rng.random() < share else control
                rate = p1 if version == trial else p0
                self.counts.record(PROMPT, version, "Assigned", at, group=group)
                for metric in ("Error", "Refusal"):
                    self.counts.record(PROMPT, version, metric, at, bad=int(rng.random() < rate), group=group)


def judged(route: Route | None = None, **canary: object) -> Judged:
    made = policy(**canary)
    enrolments = FakeEnrolments({PROMPT: made})
    sha, _ = enrolments.capture(PROMPT)
    releases, routes, counts, blocks = InMemoryReleases(), InMemoryRoutes(), FakeCounts(), InMemoryBlocks()
    release = Release(RELEASE, PROMPT, T0 - 900, "operator", state="canary", candidate=V2, stable=V1, policy_sha256=sha)
    releases.start(release, TimelineEntry(f"{RELEASE}/started", RELEASE, T0 - 900, Event.STARTED))
    routes.put(route or in_canary(), expected=None)
    alarms, notices = FakeAlarms(), FakeNotices()
    telling = Telling(releases=releases, notices=notices, clock=lambda: T0, log=lambda text: None)
    ports = Ports(routes, releases, enrolments, counts, blocks, alarms, telling, Timing.at(60))
    return Judged(ports, counts, alarms, notices, releases, routes, blocks, made)


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
