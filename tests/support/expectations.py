"""What each step of a release must come to, said independently of the code that does it.

Every function here looks at what is stored before a step and answers with the step's result, or with the type of the
error that it must raise. So a step that does nothing, or refuses what it should do, is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from promptlane.domain.errors import AdmissionRefused, InvalidInput, NotApplicable, NotFound, PromptlaneError
from promptlane.domain.names import Outcome, Phase, Track
from promptlane.domain.policy import Policy
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Quarantined, Route
from promptlane.domain.release.timeline import Event
from promptlane.fakes import FakeAlarms, FakePrompts, InMemoryQuarantine, InMemoryReleases, InMemoryRoutes
from promptlane.lifecycle.shift import FingerprintMismatch

Expected = str | type[PromptlaneError]


@dataclass(frozen=True)
class Stored:
    """What is stored now: the real stores, without the crashes that the steps meet."""

    prompt: str
    prompt_id: str
    policy: Policy
    routes: InMemoryRoutes
    releases: InMemoryReleases
    prompts: FakePrompts
    alarms: FakeAlarms
    quarantine: InMemoryQuarantine

    @property
    def route(self) -> Route | None:
        return self.routes.get(self.prompt)

    @property
    def barred(self) -> set[str]:
        """The fingerprints that get no traffic unasked: on the route, and beside it."""
        return {*(self.route.quarantined if self.route else ()), *self.quarantine.all(self.prompt)}

    def served(self, version: int) -> str | None:
        """The fingerprint that Bedrock has for a version now; None when it is gone."""
        try:
            return self.prompts.version(self.prompt_id, version).fingerprint
        except NotFound:
            return None

    def done_by(self, release_id: str, event: Event) -> list[dict[str, Any]]:
        """The details of what the route's writes say that a release did, in order of writing."""
        entries = {e.id: e for route in self.routes.history for e in route.pending}
        return [dict(e.detail) for e in entries.values() if e.release_id == release_id and e.event is event]

    def outcome(self, release_id: str) -> Outcome | None:
        """How a release ended, as the writes of the route tell it; None where they do not say."""
        if self.done_by(release_id, Event.ROLLED_BACK):
            return Outcome.ROLLED_BACK
        return Outcome.PROMOTED if self.done_by(release_id, Event.PROMOTED) else None

    # the steps

    def of_admit(self, release: Release) -> Expected:
        if release.state != "started":
            return release.state
        fingerprint, route = self.served(release.version), self.route
        same = route is not None and route.stable.fingerprint == fingerprint
        barred = route is not None and fingerprint in self.barred and not release.explicit
        return AdmissionRefused if fingerprint is None or same or barred else "admitted"

    def of_shift(self, release: Release, step: int) -> Expected:
        if release.state in ("watch", "ended"):
            return "gone"
        if (problem := self._content(release)) is not None:
            return problem
        route, tested = self.route, release.approval.get("stable")
        if tested is None:
            return InvalidInput
        assert route is not None
        mine = route.release_id == release.release_id
        if step == 0 and not (mine and route.phase is not Phase.STEADY) and self._red():
            return "wait"
        if self.outcome(release.release_id) is not None or (mine and route.phase is not Phase.CANARY):
            return "gone"
        if mine:
            return "done" if route.canary == release.candidate else "gone"
        return self._may_start(release, route)

    def _may_start(self, release: Release, route: Route) -> Expected:
        fingerprint = release.approval["candidate"]
        if route.phase is Phase.CANARY:
            return NotApplicable
        if route.stable.fingerprint == fingerprint:
            return "gone"
        if route.stable.fingerprint != release.approval["stable"]:
            return "stable_changed"
        return Quarantined if fingerprint in self.barred and not release.explicit else "done"

    def of_promotion(self, release: Release) -> Expected:
        if release.ended:
            return "gone"
        if (problem := self._content(release)) is not None:
            return problem
        route, tested = self.route, release.approval.get("stable")
        mine = route is not None and route.release_id == release.release_id
        if tested is None:
            return "done" if route is None or mine else "stable_changed"
        assert route is not None
        if mine and route.phase is not Phase.STEADY and self._red():
            return "wait"
        if mine and self.outcome(release.release_id) is Outcome.PROMOTED:
            return "done"
        out = mine and route.phase is Phase.CANARY and route.canary == release.candidate
        return "done" if out else "gone"

    def _content(self, release: Release) -> type[PromptlaneError] | None:
        """Approval, record and Bedrock must agree about the candidate's content."""
        if not release.approval or release.candidate is None:
            return FingerprintMismatch
        served = self.served(release.version)
        if served is None:
            return NotFound
        agree = served == release.candidate.fingerprint == release.approval.get("candidate")
        return None if agree else FingerprintMismatch

    def _red(self) -> bool:
        return any(alarm.track is not Track.HOLDBACK for alarm in self.alarms.standing.get(self.prompt, []))

    def of_rollback(self, now: float, *, cause: str, release_id: str | None, applies: bool = True) -> Expected:
        """Of a rollback that names no version to go back to."""
        route = self.route
        if route is None:
            return "not_applicable"
        if release_id is not None and any(q["release_id"] == release_id for q in route.quarantined.values()):
            return "already"
        idle = route.phase is Phase.STEADY
        over = idle and any(q["release_id"] == route.release_id for q in route.quarantined.values())
        refused = "already" if over else "not_applicable"
        if not applies or (release_id is not None and route.release_id != release_id):
            return refused
        if route.phase is Phase.CANARY:
            return "rolled_back"
        if cause != "operator" and not (route.phase is Phase.WATCH and now < route.watch_until):
            return refused
        return "rolled_back" if route.previous is not None else "nothing_to_go_back_to"

    def of_end(self, release: Release, claimed: Outcome) -> Outcome:
        """How a release ends that somebody believes to have ended as `claimed`."""
        if release.outcome is not None:
            return release.outcome
        told = self.outcome(release.release_id)
        unproved = claimed in (Outcome.PROMOTED, Outcome.ROLLED_BACK)
        return told or (Outcome.FAILED if unproved else claimed)
