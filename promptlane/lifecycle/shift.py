"""The two steps that give a release traffic: the next canary weight, and promotion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from promptlane.domain.errors import Conflict, InvalidInput
from promptlane.domain.names import Track
from promptlane.domain.policy import Policy
from promptlane.domain.ports import (
    Clock,
    Enrolments,
    FuseAlarms,
    Identities,
    OlderQuarantine,
    PromptReader,
    ReleaseStore,
    RouteStore,
)
from promptlane.domain.release.content import rounding, vouches
from promptlane.domain.release.meant import demand
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import STATES, Release
from promptlane.domain.release.remade import made_anew
from promptlane.domain.release.route import Approved, Gone, Route, StableChanged, first_route, promote, settle, shift
from promptlane.domain.release.timeline import Event, TimelineEntry

from .identities import fixed_id, remade, standing
from .per_token import per_token
from .recording import Update, update
from .restored import Restoration
from .routing import change, move_pending, shorten, without_moved
from .telling import Telling


class FingerprintMismatch(InvalidInput):
    """What Bedrock serves for a version is not what was tested and approved."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a step did.

    `wait`: nothing yet, ask again; `stable_changed`, `authors_changed`: back to test and review; `gone`: not ours any
    more. `since`: from when on the next question may wait longer and longer, epoch seconds; 0 unless it waits.
    """

    result: Literal["done", "wait", "stable_changed", "authors_changed", "gone"]
    reason: str = ""
    route: Route | None = None
    since: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The two steps that give a release traffic. `reopened`: why its approval holds no more, "" where it does."""

    routes: RouteStore
    releases: ReleaseStore
    prompts: PromptReader
    enrolments: Enrolments
    identities: Identities
    quarantine: OlderQuarantine
    alarms: FuseAlarms
    telling: Telling
    clock: Clock
    reopened: Callable[[Release], str]

    def policy(self, release_id: str) -> Policy:
        """The policy that was captured with a release."""
        return self.enrolments.policy(self.releases.get(release_id).policy_sha256)

    def shift(self, release_id: str, step: int) -> Moved:
        """Give the candidate the weight of canary step `step` (from 0)."""
        release = self.releases.get(release_id)
        if release.state in ("watch", "ended"):
            return Moved("gone", f"release {release_id} is past its canary")
        approved = self._approved(release)
        mended = self._mended(release.prompt)
        if mended is not None and release.state == "canary" and not mended.in_flight(release_id):
            return Moved("gone", f"the route table was restored to a time before the canary of release {release_id}")
        if not approved.tested_against:
            raise InvalidInput(
                f"release {release_id} is the first of {release.prompt}: it is promoted without a canary"
            )
        policy = self.enrolments.policy(release.policy_sha256)
        weight = policy.canary.steps[step].weight
        found = self.routes.get(release.prompt)
        starting = step == 0 and not _in_canary(found, release_id)
        if starting and (red := self._red(release.prompt)):
            approved_at = float(release.approval.get("at") or release.started_at)
            return self._waiting(release, f"waits to start: {red} is in ALARM already", approved_at)
        if starting and (reason := self.reopened(release)):
            return Moved("authors_changed", reason)

        if starting and found is not None and found.outgrown:
            # There is room to take back what starts now.
            shorten(self.routes, self.quarantine, release.prompt, self.clock)

        compared = (found.stable, approved.candidate) if starting and found is not None else ()
        counted = per_token(policy, self.prompts, compared)

        def shifted(base: Route) -> Route:
            # After the route was read: a content is put beside it before it leaves it.
            older = self.quarantine.alike(release.prompt, approved.candidate) if starting else {}
            return shift(
                base,
                approved,
                weight=weight,
                now=self.clock(),
                explicit=release.explicit,
                older=older,
                per_token=counted,
            )

        route = self._written(release, shifted)
        if isinstance(route, Moved):
            return route
        if release.explicit:
            self.quarantine.lift(release.prompt, approved.candidate, by=release_id)
        if self._recorded(release, route, state="canary", step=step).ended:
            # Wound up between our reading of the record and our write of the route: nobody guards this canary.
            change(self.routes, release.prompt, lambda r: settle(r, release_id=release_id, now=self.clock()))
            return Moved("gone", f"release {release_id} ended meanwhile; its canary was taken back")
        return Moved("done", route=route)

    def promote(self, release_id: str) -> Moved:
        """Make the candidate stable. A first version gets the prompt's route; refused while an alarm stands red."""
        release = self.releases.get(release_id)
        if release.ended:
            return Moved("gone", f"release {release_id} has ended")
        approved = self._approved(release)
        self._mended(release.prompt)
        if not approved.tested_against:
            found = self.routes.get(release.prompt)
            lost = remade(self.prompts, found, release.prompt_id)
            if (found is None or lost) and (reason := self.reopened(release)):
                return Moved("authors_changed", reason)
            return self._promote_anew(release) if lost else self._promote_first(release, approved.candidate)
        watch = self.enrolments.policy(release.policy_sha256).watch
        route = self.routes.get(release.prompt)
        if route is not None and _in_canary(route, release_id) and (red := self._red(release.prompt)):
            # As the judge's looks, which come in between: since the canary began.
            return self._waiting(release, f"waits to be promoted: {red} is in ALARM", route.phase_since)

        def promoted(base: Route) -> Route:
            return promote(base, approved, watch_for=watch.duration, holdback=watch.holdback, now=self.clock())

        written = self._written(release, promoted)
        if isinstance(written, Moved):
            return written
        self._recorded(release, written, state="watch", step=release.step)
        self.releases.unlock(release.prompt_id, release_id)  # a newer version may be admitted while this is watched
        return Moved("done", route=written)

    def _mended(self, prompt: str) -> Route | None:
        """The route, where its table was restored and is mended now; people are told."""
        of = Restoration(routes=self.routes, releases=self.releases, quarantine=self.quarantine, clock=self.clock)
        mended = of.mend(prompt)
        if mended is not None:
            self.telling.settle(mended.release_id, prompt=prompt)
        return mended

    def _written(self, release: Release, transition: Callable[[Route], Route]) -> Route | Moved:
        """The route after a transition; what came of it where the route has moved on."""

        def next_route(route: Route) -> Route:
            base = without_moved(self.releases, route)
            moved = transition(base)
            return route if moved is base else moved

        try:
            return change(self.routes, release.prompt, next_route)
        except StableChanged as error:
            return Moved("stable_changed", str(error))
        except Gone as error:
            return Moved("gone", str(error))

    def _promote_first(self, release: Release, candidate: VersionRef) -> Moved:
        name, prompt = release.release_id, release.prompt
        new = first_route(
            prompt=prompt,
            prompt_id=release.prompt_id,
            candidate=candidate,
            release_id=name,
            now=self.clock(),
            by="promptlane",
        )
        try:
            self.routes.put(new, expected=None)
        except Conflict:
            found = self.routes.get(prompt)
            if found is None or found.release_id != name:
                return Moved("stable_changed", f"another version of {prompt} was promoted meanwhile")
            new = found
        self._recorded(release, new, state="watch", step=0)
        return Moved("done", route=new)

    def _promote_anew(self, release: Release) -> Moved:
        """As a first version, over the route of a prompt that was deleted and made anew."""

        def anew(base: Route) -> Route:
            older = self.quarantine.all(release.prompt)
            return made_anew(base, release, older=older, now=self.clock())

        route = self._written(release, anew)
        if isinstance(route, Moved):
            return route
        self._recorded(release, route, state="watch", step=0)
        return Moved("done", route=route)

    def _approved(self, release: Release) -> Approved:
        """What may get traffic, if Bedrock has what was approved; a first version was compared with nothing ("")."""
        if not release.approval or release.candidate is None:
            raise FingerprintMismatch(f"release {release.release_id} has no approval; nothing gets traffic without one")
        name, prompt_id = release.prompt, release.prompt_id
        demand(name, prompt_id, fixed=fixed_id(name, self.identities, self.routes))
        standing(self.prompts, name, prompt_id).demand()
        version = self.prompts.version(prompt_id, release.version)
        approved = str(release.approval.get("candidate") or "")
        if approved != release.candidate.fingerprint or not vouches(approved, version.variants):
            raise FingerprintMismatch(
                f"version {release.version} of {release.prompt} reads as {version.fingerprint[:12]}, but "
                f"{approved[:12] or 'nothing'} was approved{rounding(approved, version.variants)}; publish the "
                "content as a new version and let it be reviewed"
            )
        return Approved(release.release_id, release.candidate, str(release.approval.get("stable") or ""))

    def _red(self, prompt: str) -> str:
        """The alarms that stand red, in words; a track that nobody is on cannot be judged by its alarm."""
        red = [a for a in self.alarms.red(prompt) if a.track is not Track.HOLDBACK]
        return ", ".join(f"{a.track}/{a.metric}" for a in red)

    def _waiting(self, release: Release, reason: str, since: float) -> Moved:
        name = f"{release.release_id}/waiting/{release.step}/{reason}"
        entry = TimelineEntry(name, release.release_id, self.clock(), Event.CANARY_WAITING, detail={"reason": reason})
        self.releases.append(entry)
        return Moved("wait", reason, since=since)

    def _recorded(self, release: Release, route: Route, *, state: Literal["canary", "watch"], step: int) -> Release:
        """Bring record and timeline up to the route that was written, and tell people."""
        move_pending(self.releases, route)
        self.telling.settle(release.release_id)

        def caught_up(release: Release) -> Update | None:
            behind = (STATES.index(release.state), release.step) < (STATES.index(state), step)
            return (replace(release, state=state, step=step),) if behind and not release.ended else None

        return update(self.releases, release.release_id, caught_up)


def _in_canary(route: Route | None, release_id: str) -> bool:
    return route is not None and route.in_flight(release_id)
