"""How to end it: the first shown cause that a command can end, and what is over already."""

from __future__ import annotations

from collections.abc import Sequence

from .findings import WORDS, Cause, Remedy, clock, percent
from .inquiry import Gathered, TrailEvent
from .names import Phase
from .route import Route
from .traffic import standing


def acting(facts: Gathered, causes: Sequence[Cause]) -> Cause | None:
    """The first shown cause by a version that still gets traffic of its own (not a holdback's share)."""
    served = (c for c in causes if c.shown and c.kind == "version")
    return next((c for c in served if standing(facts.route, c.version) in ("stable", "canary")), None)


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
    return cause.kind == "deleted" and standing(facts.route, cause.version) in ("stable", "canary")


def _for(facts: Gathered, route: Route, cause: Cause, before: int) -> Remedy:
    version, stands = cause.version, standing(route, cause.version)
    if cause.kind == "deleted" and (not version or stands not in ("stable", "canary")):
        return _restoring(facts, cause)
    if stands == "none":
        return Remedy("", f"Version {version} gets no traffic any more; version {route.stable.version} is stable.")
    if stands == "holdback":
        return Remedy(
            "",
            f"Version {version} gets the held-back share only, which ends with the watch; a rollback would give it to "
            "everybody.",
        )
    return _rollback(facts, route, cause, before)


def _rollback(facts: Gathered, route: Route, cause: Cause, before: int) -> Remedy:
    version = cause.version
    why = "was deleted"
    if cause.kind != "deleted":
        share = (
            f"{percent(cause.contrast.exposed_rate)} {WORDS.get(cause.contrast.metric, '')}" if cause.contrast else ""
        )
        why = f"has {share}"
    command = f'promptlane rollback {facts.prompt} --reason "version {version} {why} (investigate)"'
    in_canary = standing(route, version) == "canary"
    if cause.kind == "deleted" and not in_canary and route.phase is Phase.CANARY and route.canary is not None:
        return Remedy(
            f'promptlane advance {route.release_id} --reason "version {version} {why} (investigate)"',
            f"Version {version} is stable and gone: a rollback would take the canary back, and give everybody what "
            f"fails. This gives the canary, version {route.canary.version}, its next share: repeat it until it is "
            "promoted.",
        )
    safe = route.stable if in_canary else route.previous
    if safe is not None and (gone := _deleted(facts, safe.version)):
        return _without(facts, route, cause, safe.version, clock(gone.at), before)
    if in_canary:
        return Remedy(command, f"Takes the canary back: everybody gets version {route.stable.version} again.")
    again = _again(facts, before, version)
    if route.phase is Phase.CANARY and route.canary is not None:
        return Remedy(
            f"{command} && {again}" if again else command,
            f"Version {version} is stable while version {route.canary.version} is in canary: the rollback takes the "
            "canary back first, and leaves nothing to go back to, so the version before needs a release of its own.",
        )
    if safe is None:
        return Remedy(
            again,
            f"The route remembers no version to go back to from version {version}; another one needs a release of its "
            "own (`promptlane history` lists them).",
        )
    return Remedy(command, f"Puts version {safe.version} back at once, in place of version {version}.")


def _without(facts: Gathered, route: Route, cause: Cause, safe: int, when: str, before: int) -> Remedy:
    """Where the version that a rollback would give everybody was deleted."""
    says = f"A rollback would give everybody version {safe}, which was deleted at {when} UTC: every call would fail."
    if again := _again(facts, before, cause.version, safe):
        return Remedy(again, f"{says} Another version needs a release of its own.")
    if safe != route.stable.version:
        return Remedy(
            f"promptlane restore {facts.prompt} {safe}",
            f"{says} This publishes its content again, under the number that it prints; then release that number.",
        )
    return Remedy("", f"{says} Release another version; `promptlane history {facts.prompt}` lists them.")


def _again(facts: Gathered, version: int, *others: int) -> str:
    """The command that releases a version again; empty where there is none that exists."""
    usable = version and version not in others and not _deleted(facts, version)
    return f"promptlane release {facts.prompt} {version} --again" if usable else ""


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
