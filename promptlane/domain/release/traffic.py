"""When the route gave a version traffic, as the timeline tells it, and what it gets now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from promptlane.domain.incoming import version_number
from promptlane.domain.names import Phase, Track

from .route import Route
from .timeline import Event, TimelineEntry


@dataclass(frozen=True, slots=True)
class Giving:
    """A change of the route that gave a version traffic, or more of it. `before`: what users had (0: not known).

    `begins`: the version got none until then, or a holdback's share. `restored`: a rollback put it back.
    """

    at: float
    version: int
    before: int
    begins: bool
    restored: bool = False


def givings(entries: Iterable[TimelineEntry], until: float) -> list[Giving]:
    """Every one before `until`, oldest first."""
    found: list[Giving] = []
    begun: set[str] = set()
    for entry in sorted(entries, key=lambda e: (e.at, e.seq)):
        giving = _of(entry, entry.release_id not in begun)
        if giving is not None and entry.at < until:
            found.append(giving)
            if not giving.restored:
                begun.add(entry.release_id)
    return found


def _of(entry: TimelineEntry, first: bool) -> Giving | None:
    detail = entry.detail
    version = _number(detail.get("version"))
    if entry.event is Event.CANARY_SHIFTED and version and float(detail.get("weight") or 0) > 0:
        return Giving(entry.at, version, _number(detail.get("stable")), first)
    if entry.event is Event.PROMOTED and version:
        return Giving(entry.at, version, _number(detail.get("previous")), first)
    # A canary that is taken back gives stable nothing but the canary's share: stable did not begin.
    if entry.event is Event.ROLLED_BACK and detail.get("phase") != Phase.CANARY and detail.get("restored"):
        return Giving(entry.at, _number(detail["restored"]), version, True, restored=True)
    return None


def _number(value: object) -> int:
    return version_number(str(value)) or 0


def beginning(version: int, given: Sequence[Giving], since: float) -> Giving | None:
    """Where a version last began to get traffic, of those at or after `since`; else its last beginning before."""
    mine = [g for g in given if g.version == version and g.begins]
    return next((g for g in reversed(mine) if g.at >= since), mine[-1] if mine else None)


def track_of(route: Route | None, version: int) -> Track | None:
    """The track on which the route gives a version traffic now; None where it gives it none."""
    if route is None:
        return None
    if route.stable.version == version:
        return Track.STABLE
    if route.canary is not None and route.canary.version == version:
        return Track.CANARY
    held_back = route.phase is Phase.WATCH and route.holdback > 0
    if held_back and route.previous is not None and route.previous.version == version:
        return Track.HOLDBACK
    return None
