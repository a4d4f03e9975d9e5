"""How to end it: the first shown cause that a command can end, and what is over already."""

from __future__ import annotations

from collections.abc import Sequence

from promptlane.domain.metrics import noun_of
from promptlane.domain.names import Outcome, Phase, Track
from promptlane.domain.release.route import Route
from promptlane.domain.release.traffic import track_of
from promptlane.domain.text import percent
from promptlane.domain.trail import TrailEvent

from .findings import Cause, Remedy, clock
from .sources import Gathered


def acting(facts: Gathered, causes: Sequence[Cause]) -> Cause | None:
    """The first shown cause by a version that still gets traffic of its own (not a holdback's share)."""
    served = (c for c in causes if c.shown and c.kind == "version")
    return next((c for c in served if track_of(facts.route, c.version) in (Track.STABLE, Track.CANARY)), None)


def remedy_of(facts: Gathered, causes: Sequence[Cause], before: int) -> Remedy:
    """The command for the first shown cause that it can end. `before`: what users had before the acting version."""
    shown = [c for c in causes if c.kind in ("version", "deleted") and (c.shown or _ends_service(facts, c))]
    if not shown:
        return Remedy("", "No version stands out, so no rollback is proposed.")
    if facts.route is None:
        restoring = [_restoring(facts, c) for c in shown if c.kind == "deleted"]
        unread = "The route could not be read; `promptlane rollback` reads it itself if the table answers."
        return restoring[0] if restoring else Remedy("", unread)
    over: list[str] = []
    for cause in shown:
        found = _for(facts, facts.route, cause, before)
        if found.command:
            return Remedy(found.command, " ".join([*over, found.says]))
        over.append(found.says)
    return Remedy("", " ".join(dict.fromkeys(over)))


def _ends_service(facts: Gathered, cause: Cause) -> bool:
    """Whether what the route serves was deleted: that needs no counts to be shown."""
    return cause.kind == "deleted" and track_of(facts.route, cause.version) in (Track.STABLE, Track.CANARY)


def _for(facts: Gathered, route: Route, cause: Cause, before: int) -> Remedy:
    version, track = cause.version, track_of(route, cause.version)
    if cause.kind == "deleted" and (not version or track not in (Track.STABLE, Track.CANARY)):
        return _restoring(facts, cause)
    if track is None:
        return Remedy("", f"Version {version} gets no traffic any more; version {route.stable.version} is stable.")
    if track is Track.HOLDBACK:
        return Remedy(
            "",
            f"Version {version} gets the held-back share only, which ends with the watch; a rollback would give it to "
            "everybody.",
        )
    return _rollback(facts, route, cause, before)


def _rollback(facts: Gathered, route: Route, cause: Cause, before: int) -> Remedy:
    version, counted = cause.version, cause.contrast
    why = (
        "was deleted"
        if cause.kind == "deleted" or counted is None
        else f"has {percent(counted.exposed_rate)} {noun_of(counted.metric)}"
    )
    command = f'promptlane rollback {facts.prompt} --reason "version {version} {why} (investigate)"'
    if track_of(route, version) is Track.CANARY:
        return _taking_back(facts, route, version, command)
    if route.phase is Phase.CANARY and route.canary is not None:
        return _behind_a_canary(cause, route.canary.version, _earlier(facts, route, before), command)
    safe = route.previous
    if safe is None:
        says = f"The route remembers no version to go back to from version {version}."
    elif gone := _deleted(facts, safe.version):
        says = (
            f"A rollback would give everybody version {safe.version}, which was deleted at {_when(gone)}: every call "
            "would fail."
        )
    else:
        puts = f"Puts version {safe.version} back at once, in place of version {version}."
        return Remedy(command, puts + _unseen(facts, safe.version))
    if to := _earlier(facts, route, before):
        return Remedy(f"{command} --to {to}", f"{says} Version {to} was promoted before: this puts it back at once.")
    if safe is not None:
        return Remedy(
            f"promptlane restore {facts.prompt} {safe.version}",
            f"{says} This publishes its content again, under the number that it prints; then release that number.",
        )
    return Remedy("", f"{says} No other version is known to have been promoted: release one that is known to be good.")


def _taking_back(facts: Gathered, route: Route, version: int, command: str) -> Remedy:
    """The canary is what is wrong."""
    if gone := _deleted(facts, route.stable.version):
        return Remedy(
            "",
            f"A rollback would give everybody version {route.stable.version}, which was deleted at {_when(gone)}: "
            f"every call would fail. Version {version} is bad, and the better of the two.",
        )
    takes = f"Takes the canary back: everybody gets version {route.stable.version} again."
    return Remedy(command, takes + _unseen(facts, route.stable.version))


def _behind_a_canary(cause: Cause, canary: int, to: int, command: str) -> Remedy:
    """Stable is what is wrong, while a canary is out: the rollback takes the canary back first.

    `to`: a version for the second rollback (0: none).
    """
    if cause.kind == "deleted" and not to:
        return Remedy(
            command.replace("promptlane rollback", "promptlane advance"),
            f"Version {cause.version} is stable and gone: a rollback would take the canary back, and give everybody "
            f"what fails. This gives the canary, version {canary}, its next share: repeat it until it is promoted.",
        )
    return Remedy(
        f"{command} && {command} --to {to}" if to else command,
        f"Version {cause.version} is stable while version {canary} is in canary: the rollback takes the canary back "
        "first, and leaves nothing to go back to; "
        + (f"the second one puts version {to} back." if to else "another version needs a release of its own."),
    )


def _earlier(facts: Gathered, route: Route, before: int) -> int:
    """A version that `rollback --to` takes: promoted once, neither rolled back nor deleted since; 0 when none is known.

    The one before comes first, then the newest.
    """
    unfit = {int(back.get("version") or 0) for back in route.quarantined.values()} | {route.stable.version}
    if route.canary is not None:
        unfit.add(route.canary.version)
    promoted = {r.version for r in facts.releases if r.outcome is Outcome.PROMOTED}
    usable = {version for version in promoted - unfit if not _deleted(facts, version)}
    return before if before in usable else max(usable, default=0)


def _unseen(facts: Gathered, version: int) -> str:
    """A word of caution about a version that Bedrock did not show: it does not answer, or the version is long gone."""
    return "" if version in facts.snapshots else f" Bedrock did not show version {version}: see what is missing."


def _when(event: TrailEvent) -> str:
    return f"{clock(event.at)} UTC"


def _deleted(facts: Gathered, version: int) -> TrailEvent | None:
    """The deletion of a version, or of the whole prompt, if CloudTrail tells of one. Numbers are never used again."""
    found = (e for e in facts.trail if e.name == "DeletePrompt" and not e.error and e.version in (0, version))
    return next(found, None)


def _restoring(facts: Gathered, cause: Cause) -> Remedy:
    version, route = cause.version, facts.route
    if not version:
        return Remedy(
            "",
            "The whole prompt is gone: publish one of this name again. The report bucket keeps each version's content "
            f"under archive/{facts.prompt_id}/.",
        )
    if route is not None and version not in {ref.version for ref in route.named}:
        return Remedy("", f"Version {version} was deleted, but the route does not name it any more.")
    return Remedy(
        f"promptlane restore {facts.prompt} {version}",
        f"A rollback would give everybody version {version}, whose calls fail. This publishes its content again, under "
        "the number that it prints; then release that number."
        if route is not None
        else f"Publishes the archived content of version {version} again; then release the number that it prints.",
    )
