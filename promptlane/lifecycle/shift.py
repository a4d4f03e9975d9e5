"""The two steps that give a release traffic: the next canary weight, and promotion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from promptlane.domain.errors import Conflict, InvalidInput
from promptlane.domain.names import Event, Track
from promptlane.domain.policy import Policy
from promptlane.domain.ports import Clock, FuseAlarms, PromptStore, ReleaseStore, RouteStore
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import STATES, Release
from promptlane.domain.release.route import Gone, Route, StableChanged, first_route, promote, settle, shift
from promptlane.domain.release.timeline import TimelineEntry

from .routing import change, without_moved


class FingerprintMismatch(InvalidInput):
    """What Bedrock serves for a version is not what was tested and approved."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a step did. `wait`: nothing yet, ask again; `stable_changed`: back to test; `gone`: not ours any more."""

    result: Literal["done", "wait", "stable_changed", "gone"]
    reason: str = ""
    route: Route | None = None


def shift_to(
    release_id: str, step: int, *, routes: RouteStore, releases: ReleaseStore, prompts: PromptStore,
    alarms: FuseAlarms, policy: Policy, clock: Clock,
) -> Moved:  # fmt: skip
    """Give the candidate the weight of canary step `step` (from 0)."""
    release = releases.get(release_id)
    if release.state in ("watch", "ended"):
        return Moved("gone", f"release {release_id} is past its canary")
    candidate, tested_against = _approved(release, prompts)
    if tested_against is None:
        raise InvalidInput(f"release {release_id} is the first of {release.prompt}: it is promoted without a canary")
    starting = step == 0 and not _in_canary(routes.get(release.prompt), release_id)
    if starting and (red := _red(alarms, release.prompt)):
        return _waiting(release, releases, f"waits to start: {red} is in ALARM already", clock())

    def next_route(route: Route) -> Route:
        base = without_moved(releases, route)
        moved = shift(
            base, release_id=release_id, candidate=candidate, tested_against=tested_against,
            weight=policy.canary.steps[step].weight, now=clock(), explicit=release.explicit,
        )  # fmt: skip
        return route if moved is base else moved

    try:
        route = change(routes, release.prompt, next_route)
    except StableChanged as error:
        return Moved("stable_changed", str(error))
    except Gone as error:
        return Moved("gone", str(error))
    if _moved(releases, release, route, state="canary", step=step).ended:
        # Wound up between our reading of the record and our write of the route: nobody guards this canary, so it goes.
        change(routes, release.prompt, lambda r: settle(r, release_id=release_id, now=clock()))
        return Moved("gone", f"release {release_id} ended meanwhile; its canary was taken back")
    return Moved("done", route=route)


def promote_release(
    release_id: str, *, routes: RouteStore, releases: ReleaseStore, prompts: PromptStore, alarms: FuseAlarms,
    policy: Policy, clock: Clock,
) -> Moved:  # fmt: skip
    """Make the candidate stable. A first version gets the prompt's route; refused while an alarm stands red."""
    release = releases.get(release_id)
    if release.ended:
        return Moved("gone", f"release {release_id} has ended")
    candidate, tested_against = _approved(release, prompts)
    if tested_against is None:
        return _promote_first(release, candidate, routes, releases, clock)
    if _in_canary(routes.get(release.prompt), release_id) and (red := _red(alarms, release.prompt)):
        return _waiting(release, releases, f"waits to be promoted: {red} is in ALARM", clock())

    def next_route(route: Route) -> Route:
        base = without_moved(releases, route)
        moved = promote(
            base, release_id=release_id, candidate=candidate, tested_against=tested_against,
            watch_for=policy.watch.duration, holdback=policy.watch.holdback, now=clock(),
        )  # fmt: skip
        return route if moved is base else moved

    try:
        route = change(routes, release.prompt, next_route)
    except StableChanged as error:
        return Moved("stable_changed", str(error))
    except Gone as error:
        return Moved("gone", str(error))
    _moved(releases, release, route, state="watch", step=release.step)
    releases.unlock(release.prompt_id, release_id)  # a newer version may be admitted while this one is watched
    return Moved("done", route=route)


def _promote_first(
    release: Release, candidate: VersionRef, routes: RouteStore, releases: ReleaseStore, clock: Clock
) -> Moved:
    new = first_route(
        prompt=release.prompt, prompt_id=release.prompt_id, candidate=candidate, release_id=release.release_id,
        now=clock(), by="promptlane",
    )  # fmt: skip
    try:
        routes.put(new, expected=None)
    except Conflict:
        found = routes.get(release.prompt)
        if found is None or found.release_id != release.release_id:
            return Moved("stable_changed", f"another version of {release.prompt} was promoted meanwhile")
        new = found
    _moved(releases, release, new, state="watch", step=0)
    return Moved("done", route=new)


def _approved(release: Release, prompts: PromptStore) -> tuple[VersionRef, str | None]:
    """The candidate as Bedrock has it now, and the fingerprint it was compared with, if both are what was approved."""
    if not release.approval or release.candidate is None:
        raise FingerprintMismatch(f"release {release.release_id} has no approval; nothing gets traffic without one")
    version = prompts.version(release.prompt_id, release.version)
    approved = release.approval.get("candidate")
    if not version.fingerprint == release.candidate.fingerprint == approved:
        raise FingerprintMismatch(
            f"version {release.version} of {release.prompt} reads as {version.fingerprint[:12]}, but "
            f"{str(approved)[:12]} was approved; publish the content as a new version and let it be reviewed"
        )
    tested_against = release.approval.get("stable")
    return release.candidate, str(tested_against) if tested_against else None


def _in_canary(route: Route | None, release_id: str) -> bool:
    return route is not None and route.in_flight(release_id)


def _red(alarms: FuseAlarms, prompt: str) -> str:
    """The alarms that stand red, in words; a track that nobody is on cannot be judged by its alarm."""
    red = [a for a in alarms.red(prompt) if a.track is not Track.HOLDBACK]
    return ", ".join(f"{a.track}/{a.metric}" for a in red)


def _waiting(release: Release, releases: ReleaseStore, reason: str, now: float) -> Moved:
    name = f"{release.release_id}/waiting/{release.step}/{reason}"
    detail = {"reason": reason}
    releases.append(TimelineEntry(name, release.release_id, now, Event.CANARY_WAITING, detail=detail))
    return Moved("wait", reason)


def _moved(
    releases: ReleaseStore, release: Release, route: Route, *, state: Literal["canary", "watch"], step: int
) -> Release:
    """Bring record and timeline up to the route that was written; a record that moved meanwhile is read again."""
    for entry in route.pending:
        releases.append(entry)
    while not release.ended and (STATES.index(release.state), release.step) < (STATES.index(state), step):
        try:
            return releases.update(replace(release, state=state, step=step))
        except Conflict:
            release = releases.get(release.release_id)
    return release
