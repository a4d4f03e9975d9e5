"""Writing a release's record: read, decide, write conditionally, and decide again when somebody was faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from promptlane.domain.errors import Conflict, Unavailable
from promptlane.domain.ports import ReleaseStore
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import TimelineEntry

TRIES: Final = 8
"""Lost races after which a caller is told to try again."""

Update = tuple[Release, *tuple[TimelineEntry, ...]]
"""The record as it shall be, and the entries that are appended with it."""


def update(releases: ReleaseStore, release_id: str, transition: Callable[[Release], Update | None]) -> Release:
    """Apply a transition to the stored record; returns the record as it is then. None writes nothing.

    Raises NotFound for an unknown release, Unavailable after `TRIES` lost races, and whatever the transition raises.
    """
    for _ in range(TRIES):
        release = releases.get(release_id)
        change = transition(release)
        if change is None:
            return release
        try:
            return releases.update(*change)
        except Conflict:
            continue
    raise Unavailable(f"the record of {release_id} is being changed by others; try again")
