"""What an operator may do to a running canary: pause it, resume it, or take its next step without waiting."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from promptlane.domain.errors import InvalidInput, NotApplicable
from promptlane.domain.ports import Clock, ReleaseStore
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.review import MAX_REASON
from promptlane.domain.text import clean_reason

from .recording import Update, update

Operation = Literal["pause", "resume", "advance"]
OPERATIONS: Final[tuple[Operation, ...]] = ("pause", "resume", "advance")
_EVENTS: Final = {"pause": Event.CANARY_PAUSED, "resume": Event.CANARY_RESUMED, "advance": Event.CANARY_ADVANCED}


def operate(
    release_id: str, operation: str, *, reason: str, by: str, address: str, releases: ReleaseStore, clock: Clock
) -> Release:
    """Set what the judge reads before its next look. Nothing here moves traffic, and a rollback needs none of it.

    Raises InvalidInput for an unknown operation or a missing reason, NotFound for an unknown release, NotApplicable
    when the release is not in canary, is paused already, or is not paused.
    """
    if operation not in OPERATIONS:
        raise InvalidInput(f"operation {operation[:40]!r}: must be {', '.join(OPERATIONS)}")
    why = clean_reason(reason)
    if not 1 <= len(why) <= MAX_REASON:
        raise InvalidInput(f"reason: give one of 1 to {MAX_REASON:,} characters; it had {len(reason):,}")

    def operated(release: Release) -> Update:
        changed = _changed(release, operation, {"by": by, "reason": why, "at": clock()})
        name = f"{release_id}/{operation}/{release.revision}"
        detail = {"reason": why, "step": release.step, "address": address}
        return changed, TimelineEntry(name, release_id, clock(), _EVENTS[operation], by, detail)

    return update(releases, release_id, operated)


def _changed(release: Release, operation: str, mark: dict[str, object]) -> Release:
    if release.state != "canary":
        outcome = f" ({release.outcome})" if release.outcome else ""
        raise NotApplicable(f"release {release.release_id} is not in canary but {release.state}{outcome}")
    if operation == "pause":
        if release.paused:
            raise NotApplicable(f"release {release.release_id} is paused already, by {release.paused.get('by')}")
        return replace(release, paused=mark, advance=None)
    if operation == "resume":
        if not release.paused:
            raise NotApplicable(f"release {release.release_id} is not paused")
        return replace(release, paused=None)
    if release.paused:
        raise NotApplicable(f"release {release.release_id} is paused; resume it first")
    return replace(release, advance={**mark, "step": release.step})
