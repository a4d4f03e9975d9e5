"""Contents that were rolled back: what bars a version from being released again unasked.

The route holds the newest; older ones are items of their own (ADR 38), which the same functions read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .prompt import VersionRef

Json = Any
Quarantine = Mapping[str, Mapping[str, Json]]
"""By fingerprint: {version, release_id, at, rounded} of the rollback."""
QUARANTINE_HELD: Final = 100
"""Quarantined contents that the route itself holds; older ones move to items of their own (ADR 38)."""
QUARANTINE_FULL: Final = 1_000
"""More than come together while older ones are moved; an earlier version of Promptlane moved none."""
MOVED_AT_ONCE: Final = 200


def taken_back(quarantine: Quarantine, ref: VersionRef) -> Mapping[str, Json] | None:
    """The entry about this very content, as exactly as both are known."""
    return entry_that(quarantine, ref.may_hold)


def at_six_digits(fingerprint: str, entry: Mapping[str, Json]) -> str:
    """The fingerprint of the first schema of a quarantined content."""
    return str(entry.get("rounded") or fingerprint)


def entry_that(quarantine: Quarantine, fits: Callable[[VersionRef], bool]) -> Mapping[str, Json] | None:
    """The first entry whose content fits."""
    kept = ((VersionRef(0, key, "", rounded=str(entry.get("rounded", ""))), entry) for key, entry in quarantine.items())
    return next((entry for ref, entry in kept if fits(ref)), None)


def entry_of(bad: VersionRef, release_id: str, at: float) -> dict[str, Json]:
    """What is kept of a content that a release's rollback took back. `at`: epoch seconds."""
    return {
        "version": bad.version,
        "release_id": release_id,
        "at": at,
        **({"rounded": bad.rounded} if bad.rounded else {}),
    }


def _at(entry: Mapping[str, Json]) -> float:
    return float(entry.get("at") or 0.0)


def lifted_by(candidate: VersionRef) -> tuple[str, str]:
    """The quarantined fingerprints that an approved canary of this content lifts."""
    return candidate.fingerprint, candidate.at_six_digits


def outgrown(quarantined: Quarantine, release_id: str) -> Quarantine:
    """The oldest contents beyond those that a route of this release may hold, `MOVED_AT_ONCE` at most; none of its own
    release."""
    beyond = len(quarantined) - QUARANTINE_HELD
    oldest = sorted(
        (key for key, entry in quarantined.items() if entry.get("release_id") != release_id),
        key=lambda key: (_at(quarantined[key]), key),
    )
    return {key: quarantined[key] for key in oldest[: max(0, min(beyond, MOVED_AT_ONCE))]}


def newest(quarantined: Quarantine) -> Quarantine:
    """As many as the route itself holds."""
    held = sorted(quarantined, key=lambda key: (_at(quarantined[key]), key))[-QUARANTINE_HELD:]
    return {key: quarantined[key] for key in held}


def with_room(quarantined: Quarantine) -> Quarantine:
    """The same contents. Where an earlier version of Promptlane let the item grow until nothing more fits, the older
    ones are left without their time, so that it takes one more."""
    if len(quarantined) <= QUARANTINE_FULL:
        return quarantined
    newest = set(sorted(quarantined, key=lambda key: _at(quarantined[key]))[-QUARANTINE_HELD:])
    return {
        key: entry if key in newest else {name: value for name, value in entry.items() if name != "at"}
        for key, entry in quarantined.items()
    }
