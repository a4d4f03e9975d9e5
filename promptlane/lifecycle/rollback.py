"""Rollback: the safe route first, in one conditional write; everything else after it, as far as it can be had."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from promptlane.domain.canary import fuse
from promptlane.domain.errors import Conflict, InvalidInput, NotApplicable, Unavailable
from promptlane.domain.names import Outcome, Track, parse_alarm_arn
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.quarantine import taken_back
from promptlane.domain.release.route import NothingToGoBackTo, Quarantined, Rollback, Route, roll_back
from promptlane.domain.release.timeline import Event, TimelineEntry, from_iso

if TYPE_CHECKING:  # the safe route is not kept waiting for what ports and notices name
    from promptlane.domain.ports import Clock, OlderQuarantine, ReleaseStore, RouteStore, Workflow

    from .restored import Restoration
    from .telling import Telling

PATH_CALLS: Final = 2
"""Network calls from the request to the safe route: one read, one conditional write."""

Json = Any


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a request for a rollback came to."""

    result: Literal["rolled_back", "already", "not_applicable", "nothing_to_go_back_to"]
    reason: str
    prompt: str
    release_id: str = ""
    route: Route | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedBefore:
    """The version with this number as it was approved and promoted: further back than the route remembers.

    It asks the release table, so it moves there what waits on the route: however often somebody goes back, the route
    does not grow by it.
    """

    version: int
    releases: ReleaseStore
    quarantine: OlderQuarantine

    def target(self, route: Route) -> VersionRef:
        """NotApplicable where it was never promoted, Quarantined where its content was rolled back long ago."""
        promoted = self._promoted(route)
        if bad := taken_back(self.quarantine.alike(route.prompt, promoted), promoted):
            raise Quarantined(
                f"version {self.version} of {route.prompt} was rolled back in release {bad.get('release_id')}; if it "
                f"shall be tried again: promptlane release {route.prompt} {self.version} --again"
            )
        return promoted

    def base(self, route: Route) -> Route:
        """The route as the base of the write."""
        from .routing import without_moved

        return without_moved(self.releases, route)

    def _promoted(self, route: Route) -> VersionRef:
        for release in reversed(self.releases.of_prompt(route.prompt_id)):
            promoted = release.candidate if release.outcome is Outcome.PROMOTED else None
            approved = release.approval.get("candidate")
            if promoted is not None and promoted.version == self.version and promoted.fingerprint == approved:
                return promoted
        raise NotApplicable(
            f"version {self.version} of {route.prompt} was never promoted; `promptlane history {route.prompt}` lists "
            f"those that were, and `promptlane release {route.prompt} {self.version}` asks for its release"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish(Rollback):
    """A rollback that is asked for. `applies` raises NotApplicable where the route is past what it is about.

    `to` names another version than the route remembers, which may ask more than the route table.
    """

    prompt: str
    applies: Callable[[Route], None] | None = None
    to: PromotedBefore | None = None


def restore_safe_route(
    routes: RouteStore, wish: Wish, *, clock: Clock, keep_trying: Callable[[int], bool]
) -> RolledBack:
    """Roll the route back, with nothing but the route table: one read and one conditional write.

    A moved revision, a conflict or a table that does not answer is tried again, reading anew each time, until the route
    is safe, the request no longer applies, or `keep_trying(attempt)` says no (then the last error is raised).
    """
    attempt, tried = 0, list[tuple[Route, Route]]()
    while True:
        attempt += 1
        try:
            return _try(routes, wish, clock(), tried)
        except (Conflict, Unavailable):
            if not keep_trying(attempt):
                raise


def _try(routes: RouteStore, wish: Wish, now: float, tried: list[tuple[Route, Route]]) -> RolledBack:
    """`tried`: what was written over what, without an answer; a write that came through after all is ours to tell."""
    prompt, release_id = wish.prompt, wish.release_id
    route = routes.get(prompt)
    if route is None:
        return RolledBack("not_applicable", f"prompt {prompt!r} has no route: nothing of it is served", prompt)
    for before, safe in tried:
        if route.holds(safe, since=before):
            return RolledBack("rolled_back", wish.reason, prompt, before.release_id, safe)
    if release_id is not None and route.rolled_back(release_id):
        return RolledBack("already", f"release {release_id} was rolled back already", prompt, release_id, route)
    try:
        if wish.applies is not None:
            wish.applies(route)
        target = wish.to.target(route) if wish.to is not None else None
        if target is not None and target == route.stable:
            return RolledBack("already", f"version {target.version} is stable", prompt, route.release_id, route)
        base = wish.to.base(route) if wish.to is not None else route
        safe = roll_back(base, wish, now=now, to=target)
    except NothingToGoBackTo as error:
        return RolledBack("nothing_to_go_back_to", str(error), prompt, route.release_id, route)
    except NotApplicable as error:
        already = wish.to is None and route.rolled_back(route.release_id)
        return RolledBack("already" if already else "not_applicable", str(error), prompt, route.release_id, route)
    tried.append((route, safe))
    routes.put(safe, expected=route)
    return RolledBack("rolled_back", wish.reason, prompt, route.release_id, safe)


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What follows a safe route."""

    releases: ReleaseStore
    workflow: Workflow
    telling: Telling
    restoration: Restoration
    clock: Clock
    log: Callable[[str], None]

    def tell(self, done: RolledBack, *, stop_execution: bool) -> None:
        """Timeline, the release's execution, people. One that fails does not stop the others.

        Asked again for what was done before, it finishes what a cut left: a notice that is still owed is sent.
        """
        route = done.route
        if route is None or done.result == "not_applicable":
            return
        entries = [*route.pending]
        if done.result == "nothing_to_go_back_to":
            name, detail = f"{done.release_id}/impossible/{route.revision}", {"reason": done.reason}
            entries.append(TimelineEntry(name, done.release_id, self.clock(), Event.ROLLBACK_IMPOSSIBLE, detail=detail))
        written = [self._tried(done, self._appending(entry)) for entry in entries]
        if done.result == "rolled_back" and stop_execution:
            self._tried(done, lambda: self.workflow.stop(done.release_id, done.reason))
        if done.result != "already" and not written[-1]:
            self._tried(done, lambda: self.telling.at_once(entries[-1], prompt=done.prompt))
        # Clients ignore a route that is older than theirs: the one of a restored table, this rollback included.
        self._tried(done, lambda: self.restoration.mend(done.prompt))
        self.telling.settle(done.release_id, prompt=done.prompt)

    def _appending(self, entry: TimelineEntry) -> Callable[[], object]:
        return lambda: self.releases.append(entry)

    def _tried(self, done: RolledBack, step: Callable[[], object]) -> bool:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the route is safe; reconcile and wind_up finish what is left
            self.log(f"after the rollback of {done.prompt}: {error}")
            return False
        return True


@dataclass(frozen=True, slots=True)
class TrippedAlarm:
    """What an alarm's notification says. `changed_at`: epoch seconds."""

    arn: str
    prompt: str
    track: Track
    metric: str
    changed_at: float
    reason: str


def read_alarm(message: Json, *, deployment: str, account: str, region: str) -> TrippedAlarm:
    """One of our fuse alarms that went into ALARM; InvalidInput for anything else, which is to be ignored.

    The message alone decides: CloudWatch is not asked again, so an alarm that was deleted meanwhile still counts.
    """
    if not isinstance(message, Mapping) or "AlarmArn" not in message or "NewStateValue" not in message:
        raise InvalidInput("the SNS message is not a CloudWatch alarm notification; ignored")
    if message["NewStateValue"] != "ALARM":
        raise InvalidInput(f"the alarm is {message['NewStateValue']}, not ALARM; nothing to do")
    try:
        changed_at = from_iso(str(message["StateChangeTime"]).replace("+0000", "+00:00"))
    except (KeyError, ValueError):
        raise InvalidInput("the alarm notification has no readable StateChangeTime; ignored") from None
    arn = str(message["AlarmArn"])
    prompt, track, metric = parse_alarm_arn(arn, deployment=deployment, account=account, region=region)
    if not fuse.acts(metric):
        raise InvalidInput(f"{arn} watches stable itself: it keeps releases from moving and condemns none; ignored")
    return TrippedAlarm(arn, prompt, track, metric, changed_at, str(message.get("NewStateReason") or "")[:1000])
