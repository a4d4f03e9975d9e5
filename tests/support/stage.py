"""One enrolled prompt with its stores in memory, and what a step left there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from promptlane.domain.errors import Conflict
from promptlane.domain.names import release_id
from promptlane.domain.policy import CanaryPolicy, Policy, Reviewer, ReviewPolicy, Step, WatchPolicy
from promptlane.domain.release.prompt import PromptDraft, VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
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
from promptlane.lifecycle.restored import Restoration
from promptlane.lifecycle.telling import Telling
from tests.support.prompt import ID, PROMPT

POLICY = Policy(
    review=ReviewPolicy((Reviewer("Prompt review", "prompt-review@example.com"),)),
    canary=CanaryPolicy(steps=(Step(500, 10, 100), Step(2500, 20, 200), Step(7000, 30, 300))),
    watch=WatchPolicy(duration=3600, holdback=800),
)
EARLIER = {"f" * 64: {"version": 9, "release_id": f"{ID}-9-1", "at": 77.0}}
"""What was quarantined long ago."""


class Routes(InMemoryRoutes):
    """A table on which others were faster so many times; `meanwhile` runs right after a write."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def put(self, route: Route, *, expected: Route | None) -> None:
        if self.lost:
            self.lost -= 1
            raise Conflict("the route moved")
        super().put(route, expected=expected)
        self.meanwhile()


class Releases(InMemoryReleases):
    """A table that somebody else writes to right before an update, as many times as there are changes in `faster`."""

    def __init__(self) -> None:
        super().__init__()
        self.faster: list[dict[str, Any]] = []

    def update(self, release: Release, *entries: TimelineEntry) -> Release:
        if self.faster:
            super().update(replace(self.get(release.release_id), **self.faster.pop(0)))
        return super().update(release, *entries)


TRAFFIC = (
    *("routes", "releases", "prompts", "enrolments", "identities", "quarantine"),
    *("alarms", "telling", "clock", "reopened"),
)
"""The ports of `Traffic`."""
ENDING = ("routes", "releases", "quarantine", "queue", "telling", "clock", "log")
"""Those of `WindUp`."""


class Stage:
    """Versions 1 to 4 of a prompt that is enrolled; stable is version 1, released long ago."""

    def __init__(self, *, served: bool = True, versions: int = 4) -> None:
        self.prompts, self.tags = FakePrompts(), FakeEnrolmentTags()
        self.enrolments = FakeEnrolments({PROMPT: POLICY})
        self.routes, self.releases = Routes(), Releases()
        self.identities = self.watched = InMemoryIdentities()
        self.directory = FakeDirectory()
        self.quarantine = InMemoryQuarantine()
        self.cursors, self.contents = InMemoryCursors(), MemoryContents()
        self.workflow, self.queue = FakeWorkflow(), FakeQueue()
        self.alarms, self.notices = FakeAlarms(), FakeNotices()
        self.now = 5000.0
        self.logged: list[str] = []
        for number in range(1, versions + 1):
            self.publish(number)
        if served:
            self.serve(1)

    def publish(self, number: int, **more: Any) -> VersionRef:
        draft = PromptDraft(PROMPT, "m", ("q",), template=f"Answer {{{{q}}}} in manner {number}")
        told = {"description": f"Manner {number}", **more}
        return self.prompts.publish(draft, prompt_id=ID, **told).ref

    def ref(self, version: int) -> VersionRef:
        return self.prompts.version(ID, version).ref

    def serve(self, stable: int, **changes: Any) -> Route:
        stored = self.routes.get(PROMPT)
        known: dict[str, Any] = {
            "release_id": release_id(ID, stable),
            "revision": stored.revision + 1 if stored else 7,
            "salt": "old",
            "phase_since": 200.0,
            "quarantined": EARLIER,
            **changes,
        }
        self.routes.put(Route(PROMPT, ID, self.ref(stable), **known), expected=stored)
        return self.route

    @property
    def restoration(self) -> Restoration:
        return Restoration(**self.ports("routes", "releases", "quarantine", "clock"))

    @property
    def telling(self) -> Telling:
        return Telling(**self.ports("releases", "notices", "clock", "log"))

    @property
    def route(self) -> Route:
        route = self.routes.get(PROMPT)
        assert route is not None
        return route

    def release(self, version: int, attempt: int = 1, **fields: Any) -> Release:
        """A release that holds the prompt's lock."""
        name = release_id(ID, version, attempt)
        self.releases.start(
            Release(name, PROMPT, 1000.0, "author", **{"candidate": self.ref(version), **fields}),
            TimelineEntry(f"{name}/started", name, 1000.0, Event.STARTED, "author"),
        )
        return self.releases.get(name)

    def approved(self, version: int, *, against: int | None = 1, **fields: Any) -> Release:
        """One that was reviewed, compared with another version."""
        stable = self.ref(against).fingerprint if against else None
        approval = {"candidate": self.ref(version).fingerprint, "stable": stable}
        policy, _ = self.enrolments.capture(PROMPT)
        return self.release(version, **{"state": "review", "approval": approval, "policy_sha256": policy, **fields})

    def told(self, name: str) -> list[TimelineEntry]:
        """The timeline, without its numbers and hashes."""
        return [replace(e, seq=0, prev_hash="", hash="") for e in self.releases.timeline(name)]

    def ports(self, *names: str) -> dict[str, Any]:
        return {name: self.logged.append if name == "log" else getattr(self, name) for name in names}

    def reopened(self, release: Release) -> str:
        """The approval holds."""
        return ""

    def clock(self) -> float:
        return self.now
