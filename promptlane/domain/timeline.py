"""The timeline of a release: entries that are only ever appended, each holding the hash of the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from .names import Event
from .prompt import canonical_json

Json = Any
GENESIS = "0" * 64
SYSTEM = "promptlane"


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Who did what, when and why. `at` is epoch seconds; `by` an ARN, an email address, or `promptlane`.

    `id` makes an append idempotent. `seq` (from 1), `prev_hash` and `hash` are set by the append.
    """

    id: str
    release_id: str
    at: float
    event: Event
    by: str = SYSTEM
    detail: Mapping[str, Json] = field(default_factory=dict)
    seq: int = 0
    prev_hash: str = ""
    hash: str = ""

    def to_dict(self) -> dict[str, Json]:
        """Plain JSON values; `at` in ISO 8601, UTC, with milliseconds."""
        return {
            "id": self.id,
            "release_id": self.release_id,
            "seq": self.seq,
            "at": iso(self.at),
            "event": str(self.event),
            "by": self.by,
            "detail": dict(self.detail),
            "prev_hash": self.prev_hash,
            "hash": self.hash,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> TimelineEntry:
        return cls(
            id=str(data["id"]),
            release_id=str(data["release_id"]),
            at=from_iso(str(data["at"])),
            event=Event(data["event"]),
            by=str(data["by"]),
            detail=dict(data["detail"]),
            seq=int(data["seq"]),
            prev_hash=str(data["prev_hash"]),
            hash=str(data["hash"]),
        )

    def chained(self, seq: int, prev_hash: str) -> TimelineEntry:
        """This entry as number `seq` after the entry with `prev_hash`, with its own hash."""
        entry = replace(self, seq=seq, prev_hash=prev_hash, hash="")
        return replace(entry, hash=entry_hash(entry))


def entry_hash(entry: TimelineEntry) -> str:
    """SHA-256 (64 hex digits) over the canonical JSON of the entry without its own hash."""
    body = {k: v for k, v in entry.to_dict().items() if k != "hash"}
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()


def chain_problems(entries: Iterable[TimelineEntry]) -> list[str]:
    """What is wrong with a chain: gaps, broken links, altered entries. Empty when it holds."""
    problems: list[str] = []
    previous, expected = GENESIS, 1
    for entry in entries:
        if entry.seq != expected:
            problems.append(f"entry {expected} is missing: found number {entry.seq}")
        if entry.prev_hash != previous:
            problems.append(f"entry {entry.seq} does not follow the one before it")
        if entry_hash(entry) != entry.hash:
            problems.append(f"entry {entry.seq} was altered: its hash does not fit its content")
        previous, expected = entry.hash, entry.seq + 1
    return problems


def copy_problems(entries: Sequence[TimelineEntry], copies: Sequence[TimelineEntry]) -> list[str]:
    """Where a timeline and its locked copy disagree. A copy that lags behind at the end is no problem by itself."""
    problems = [f"the locked copy: {problem}" for problem in chain_problems(copies)]
    kept = {entry.seq: entry for entry in copies}
    for entry in entries:
        copy = kept.get(entry.seq)
        if copy is not None and copy.hash != entry.hash:
            problems.append(f"entry {entry.seq} is not the one that was copied when it was written")
    if len(copies) > len(entries):
        problems.append(f"the locked copy has {len(copies)} entries, the table only {len(entries)}")
    return problems


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> float:
    """Epoch seconds of an ISO 8601 time; ValueError when it is none. A time without offset is UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
