"""How to end it: the first shown cause that a command can end, and what is over already."""

from __future__ import annotations

from collections.abc import Sequence

from .findings import WORDS, Cause, Remedy, percent
from .inquiry import Gathered
from .names import Phase
from .route import Route
from .traffic import standing


def acting(facts: Gathered, causes: Sequence[Cause]) -> Cause | None:
    """The first shown cause by a version that still gets traffic of its own (not a holdback's share)."""
    served = (c for c in causes if c.shown and c.kind == "version")
    return next((c for c in served if standing(facts.route, c.version) in ("stable", "canary")), None)


def remedy_of(facts: Gathered, causes: Sequence[Cause], before: int) -> Remedy:
    """The command for the first shown cause that it can end. `before`: what users had before the acting version."""
    shown = [c for c in causes if c.shown and c.kind in ("version", "deleted")]
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


def _for(facts: Gathered, route: Route, cause: Cause, before: int) -> Remedy:
    if cause.kind == "deleted":
        return _restoring(facts, cause)
    version, stands = cause.version, standing(route, cause.version)
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
    share = f"{percent(cause.contrast.exposed_rate)} {WORDS.get(cause.contrast.metric, '')}" if cause.contrast else ""
    command = f'promptlane rollback {facts.prompt} --reason "version {version} has {share} (investigate)"'
    if standing(route, version) == "canary":
        return Remedy(command, f"Takes the canary back: everybody gets version {route.stable.version} again.")
    again = f"promptlane release {facts.prompt} {before} --again"
    if route.phase is Phase.CANARY and route.canary is not None:
        return Remedy(
            f"{command} && {again}" if before else command,
            f"Version {version} is stable while version {route.canary.version} is in canary: the rollback takes the "
            "canary back first, and leaves nothing to go back to, so the version before needs a release of its own.",
        )
    if route.previous is None:
        return Remedy(
            again if before else "",
            f"The route remembers no version to go back to from version {version}; the one before needs a release of "
            "its own.",
        )
    return Remedy(command, f"Puts version {route.previous.version} back at once, in place of version {version}.")


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
        f"Publishes the archived content of version {version} again; then release the version that it prints.",
    )
