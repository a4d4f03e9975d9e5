"""The end of every release: a safe route, one terminal state, a free lock, the next waiting version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from promptlane.domain.errors import NotFound, PromptlaneError
from promptlane.domain.names import Outcome
from promptlane.domain.ports import Clock, IntakeQueue, OlderQuarantine, ReleaseStore, RouteStore
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route, settle
from promptlane.domain.release.timeline import Event, TimelineEntry

from .intake import worth_starting
from .recording import Update, update
from .restored import Restoration
from .routing import change, move_pending, shorten, without_moved
from .telling import Telling


@dataclass(frozen=True, kw_only=True)
class WindUp:
    """The only one that ends releases."""

    routes: RouteStore
    releases: ReleaseStore
    quarantine: OlderQuarantine
    queue: IntakeQueue
    telling: Telling
    clock: Clock
    log: Callable[[str], None]

    def end(self, release_id: str, *, claimed: Outcome, reason: str) -> Release:
        """End a release: the route is what decides how it ended, `claimed` is what the caller believes.

        Safe to call for an ended release and at any moment of a running one: what it leaves is always a safe route.
        """
        release = self.releases.get(release_id)
        back = self.restoration.mend(release.prompt)
        route = self._settled(release)
        told = {entry.event: entry for entry in self.releases.timeline(release_id)}
        outcome = _outcome(release, route, told, claimed)
        why = _why(told, outcome, claimed, reason)
        if back is not None and not release.ended:
            why = f"its route table was restored to a time before: {why}" if why else "its route table was restored"

        def over(release: Release) -> Update | None:
            if release.ended:
                return None
            now = self.clock()
            detail = {"outcome": outcome.value, "reason": why}
            entry = TimelineEntry(f"{release_id}/ended", release_id, now, Event.ENDED, detail=detail)
            end = replace(release, state="ended", outcome=outcome, reason=why, ended_at=now, paused=None, advance=None)
            return end, entry

        release = update(self.releases, release_id, over)
        self.releases.unlock(release.prompt_id, release_id)
        self.telling.settle(release_id)
        if back is not None:
            self.telling.settle(back.release_id)
        self._start_next(release)
        if route is not None and route.outgrown:
            self._shorten(release.prompt)
        return release

    def mend(self, prompt: str) -> bool:
        """Whether the prompt's route was of a restored table; then its revision was raised, and people are told."""
        mended = self.restoration.mend(prompt)
        self.telling.settle(mended.release_id if mended else "", prompt=prompt)
        return mended is not None

    @property
    def restoration(self) -> Restoration:
        return Restoration(routes=self.routes, releases=self.releases, quarantine=self.quarantine, clock=self.clock)

    def _shorten(self, prompt: str) -> None:
        """What the route holds too much of; `shift` does it too, before a canary."""
        try:
            shorten(self.routes, self.quarantine, prompt, self.clock)
        except PromptlaneError as error:
            self.log(f"moving older quarantined contents of {prompt}: {error}")

    def _settled(self, release: Release) -> Route | None:
        def safe(route: Route) -> Route:
            if not route.in_flight(release.release_id):
                return route
            return settle(without_moved(self.releases, route), release_id=release.release_id, now=self.clock())

        try:
            route = change(self.routes, release.prompt, safe)
        except NotFound:
            return None
        move_pending(self.releases, route)
        return route

    def _start_next(self, release: Release) -> None:
        known = self.releases.newest(release.prompt_id)
        waiting = [w for w in self.releases.waiting(release.prompt_id) if worth_starting(w, known)]
        if waiting and self.releases.holder(release.prompt_id) is None:
            newest = waiting[-1]
            self.queue.request(
                newest.prompt, newest.version, requested_by=newest.requested_by, explicit=newest.explicit
            )


def _outcome(release: Release, route: Route | None, told: Mapping[Event, TimelineEntry], claimed: Outcome) -> Outcome:
    """How the release ended, as the route tells it; what the caller claims only where the route cannot know.

    Its entries are asked beside it: a later release of the same content takes the quarantine over, or lifts it.
    """
    name = release.release_id
    if Event.ROLLED_BACK in told or (route is not None and route.rolled_back(name)):
        return Outcome.ROLLED_BACK
    stable = route is not None and (route.release_id, route.stable) == (name, release.candidate)
    if Event.PROMOTED in told or stable or (route is not None and release.state == "watch"):
        return Outcome.PROMOTED
    # Nobody but the route can say that a version was promoted or rolled back.
    return Outcome.FAILED if claimed in (Outcome.PROMOTED, Outcome.ROLLED_BACK) else claimed


def _why(told: Mapping[Event, TimelineEntry], outcome: Outcome, claimed: Outcome, reason: str) -> str:
    """Why it ended so: a rollback has said so itself; else what the caller says, with what the route says otherwise."""
    if outcome is Outcome.ROLLED_BACK and Event.ROLLED_BACK in told:
        return str(told[Event.ROLLED_BACK].detail.get("reason", ""))
    return reason if outcome is claimed or not reason else f"{reason} (found {outcome} on the route)"
