"""Puts again the locked copies of timeline entries that `relay` could not put."""

from __future__ import annotations

from typing import Final

from promptlane.domain.errors import InvalidInput
from promptlane.domain.ports import LockedCopies, ReleaseStore
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import COPIED_WITHIN, chain_problems

LOOKED_BACK: Final = 30 * 86_400.0
"""Seconds. The bucket drops copies no earlier than this after their retention: no copy that expired is put again."""


def settled(release: Release, now: float) -> bool:
    """Whether a release ended so long ago that nothing of it is copied any more."""
    return release.ended and now - release.ended_at > LOOKED_BACK


def copy_missing(copies: LockedCopies, releases: ReleaseStore, release: Release, *, now: float) -> list[int]:
    """Copy the entries of a release that have no copy though they should; returns their numbers.

    InvalidInput for a timeline that does not hold: what was altered is told, not locked as if it were true.
    """
    head = releases.head(release.release_id)
    if head is None or settled(release, now):
        return []
    kept = copies.numbers(release.release_id)
    if len(kept) >= head.seq:
        return []
    entries = releases.timeline(release.release_id)
    if problems := chain_problems(entries):
        raise InvalidInput(
            f"the timeline does not hold, so it was not copied ({'; '.join(problems)}); "
            f"`promptlane history {release.release_id} --verify` compares it with the copies that there are"
        )
    late = [e for e in entries if e.seq not in kept and COPIED_WITHIN < now - e.at <= LOOKED_BACK]
    return [entry.seq for entry in late if copies.put(entry.to_dict())]
