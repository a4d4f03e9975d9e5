"""The end of every release: a safe route, one terminal state, a free lock, the next waiting version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from promptlane.domain.errors import Conflict, NotFound
from promptlane.domain.names import Event, Outcome
from promptlane.domain.ports import Clock, IntakeQueue, Notices, ReleaseStore, RouteStore
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route, settle
from promptlane.domain.release.timeline import TimelineEntry

from .routing import change, move_pending, without_moved


def wind_up(
    release_id: str, *, claimed: Outcome, reason: str, routes: RouteStore, releases: ReleaseStore, queue: IntakeQueue,
    notices: Notices, clock: Clock, log: Callable[[str], None],
) -> Release:  # fmt: skip
    """End a release: the route is what decides how it ended, `claimed` is what the caller believes.

    Safe to call for an ended release and at any moment of a running one: what it leaves is always a safe route.
    """
    release = releases.get(release_id)
    route = _settled(release, routes, releases, clock)
    told = {entry.event: entry for entry in releases.timeline(release_id)}
    outcome = _outcome(release, route, told, claimed)
    why = _why(told, outcome, claimed, reason)
    while not release.ended:
        now = clock()
        detail = {"outcome": outcome.value, "reason": why}
        entry = TimelineEntry(f"{release_id}/ended", release_id, now, Event.ENDED, detail=detail)
        ended = replace(release, state="ended", outcome=outcome, reason=why, ended_at=now, paused=None, advance=None)
        try:
            release = releases.update(ended, entry)
        except Conflict:
            release = releases.get(release_id)
            continue
        _tell(release, notices, log)
    releases.unlock(release.prompt_id, release_id)
    _start_next(release, releases, queue)
    return release


def _settled(release: Release, routes: RouteStore, releases: ReleaseStore, clock: Clock) -> Route | None:
    def safe(route: Route) -> Route:
        if not route.in_flight(release.release_id):
            return route
        return settle(without_moved(releases, route), release_id=release.release_id, now=clock())

    try:
        route = change(routes, release.prompt, safe)
    except NotFound:
        return None
    move_pending(releases, route)
    return route


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


def _start_next(release: Release, releases: ReleaseStore, queue: IntakeQueue) -> None:
    waiting = releases.waiting(release.prompt_id)
    if waiting and releases.holder(release.prompt_id) is None:
        newest = waiting[-1]
        queue.request(newest.prompt, newest.version, requested_by=newest.requested_by, explicit=newest.explicit)


def _tell(release: Release, notices: Notices, log: Callable[[str], None]) -> None:
    if release.outcome is Outcome.ROLLED_BACK:
        return  # the rollback told people already, with its evidence
    body = (
        f"Release {release.release_id} of prompt {release.prompt}, version {release.version}: {release.outcome}.\n\n"
        f"{release.reason or 'It went its whole way.'}\n\n"
        f"What happened:  promptlane history {release.release_id}\n"
    )
    try:
        notices.publish(f"[Promptlane] {release.prompt}: version {release.version} {release.outcome}", body)
    except Exception as error:  # noqa: BLE001 - an email that cannot be sent must not keep the release from ending
        log(f"telling people that {release.release_id} ended: {error}")
