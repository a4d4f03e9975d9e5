"""Timelines and their locked copies, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptlane.domain.release.timeline import Event, LockedCopy, TimelineEntry
from promptlane.fakes import InMemoryReleases
from tests.support.prompt import ID


def chain(count: int) -> list[TimelineEntry]:
    store = InMemoryReleases()
    for k in range(count):
        store.append(TimelineEntry(f"e{k}", f"{ID}-1-1", float(k), Event.CANARY_JUDGED))
    return store.timeline(f"{ID}-1-1")


def locked(entries: list[TimelineEntry]) -> list[LockedCopy]:
    """Copies made as soon as the entries were written."""
    return [LockedCopy(entry, entry.at) for entry in entries]


class Copies:
    """The audit bucket."""

    def __init__(self, entries: Mapping[str, list[TimelineEntry]] | None = None) -> None:
        self.entries = {release: list(copied) for release, copied in (entries or {}).items()}

    def put(self, entry: Mapping[str, Any]) -> bool:
        copy = TimelineEntry.from_dict(entry)
        there = self.entries.setdefault(copy.release_id, [])
        if any(e.seq == copy.seq for e in there):
            return False
        there.append(copy)
        return True

    def kept(self, prompt_id: str) -> dict[str, set[int]]:
        return {r: {e.seq for e in copied} for r, copied in self.entries.items() if r.startswith(f"{prompt_id}-")}

    def numbers(self, release_id: str) -> set[int]:
        return {e.seq for e in self.entries.get(release_id, [])}

    def timeline(self, release_id: str) -> list[LockedCopy]:
        return locked(sorted(self.entries.get(release_id, []), key=lambda e: e.seq))
