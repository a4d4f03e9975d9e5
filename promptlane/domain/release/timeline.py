"""The timeline of a release: entries that are only ever appended, each holding the hash of the one before."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal

from .content import canonical_json

Json = Any
GENESIS = "0" * 64
SYSTEM = "promptlane"
COPIED_WITHIN: Final = 900.0
"""Seconds within which an entry must have its locked copy; `relay` takes one or two, and more when it tries again."""


class Event(StrEnum):
    """What a timeline entry records; also the detail-type on the event bus. `marks` say what is shown of it where.

    "moves": it may have changed what users get. "view": somebody looked at a page, which is no part of what happened to
    a prompt. "look": one of very many, left out where only the latest are shown. "good", "bad": how screens colour it.
    """

    marks: frozenset[Literal["moves", "view", "look", "good", "bad"]]

    def __new__(cls, name: str, *marks: Literal["moves", "view", "look", "good", "bad"]) -> Event:
        event = str.__new__(cls, name)
        event._value_, event.marks = name, frozenset(marks)
        return event

    STARTED = "Release Started"
    PROMPT_REPLACED = "Prompt Replaced"
    ADMITTED = "Admitted"
    TESTS_PLANNED = "Tests Planned"
    TESTS_FINISHED = "Tests Finished"
    REVIEW_REQUESTED = "Review Requested"
    REVIEW_VIEWED = "Review Viewed", "view"
    AUTHORS_FOUND = "Authors Found"
    REVIEW_LINK_REFUSED = "Review Link Refused"
    REVIEWER_DECIDED = "Reviewer Decided"
    REVIEW_REMINDED = "Review Reminded"
    REVIEW_HINDERED = "Review Hindered"
    REVIEW_DECIDED = "Review Decided"
    REVIEW_REOPENED = "Review Reopened", "bad"
    CANARY_WAITING = "Canary Waiting"
    CANARY_SHIFTED = "Canary Shifted", "moves"
    CANARY_JUDGED = "Canary Judged", "look"
    DECISION_NEEDED = "Decision Needed"
    CANARY_PAUSED = "Canary Paused"
    CANARY_RESUMED = "Canary Resumed"
    CANARY_ADVANCED = "Canary Advanced"
    PROMOTED = "Release Promoted", "moves", "good"
    ROLLED_BACK = "Release Rolled Back", "moves", "bad"
    ROLLBACK_IMPOSSIBLE = "Rollback Impossible"
    ROUTE_RESTORED = "Route Restored", "moves", "bad"
    ENDED = "Release Ended"


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
        entry = replace(self, seq=seq, prev_hash=prev_hash)
        return replace(entry, hash=entry_hash(entry))


def entry_hash(entry: TimelineEntry) -> str:
    """SHA-256 (64 hex digits) over the canonical JSON of the entry without its own hash."""
    body = {k: v for k, v in entry.to_dict().items() if k != "hash"}
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()


def digest(body: bytes) -> str:
    """How an entry names what lies outside of the timeline: SHA-256 (64 hex digits) of exactly what is stored."""
    return hashlib.sha256(body).hexdigest()


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


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The number and hash of the last entry of a timeline, as the store keeps them in an item of its own."""

    seq: int
    hash: str


def head_problems(entries: Sequence[TimelineEntry], before: ChainHead | None, after: ChainHead | None) -> list[str]:
    """Where a timeline and the head of its chain disagree: entries cut off its end, or put there without the head.

    `before` and `after` were read before and after the entries: what was appended meanwhile is no problem.
    """
    last = entries[-1].seq if entries else 0
    by_number = {entry.seq: entry for entry in entries}
    problems: list[str] = []
    if before is not None and last < before.seq:
        problems.append(f"the timeline ends with entry {last}, the head of its chain is entry {before.seq}")
    elif before is not None and before.seq in by_number and by_number[before.seq].hash != before.hash:
        problems.append(f"entry {before.seq} is not the one that the head of the chain names")
    end = after.seq if after else 0
    if end < last:
        problems.append(f"the timeline goes on to entry {last}, the head of its chain is entry {end}")
    return problems


@dataclass(frozen=True, slots=True)
class LockedCopy:
    """A copy of an entry. `at`: epoch seconds by the clock of the bucket, a time that no writer can choose."""

    entry: TimelineEntry
    at: float


@dataclass(frozen=True, slots=True)
class CopyComparison:
    """A timeline beside its locked copies: entries that agree, that are young, that are older than copies are kept.

    `late` names those that agree with a copy of another time than they are dated: they were moved there later from the
    route, or copied later by `housekeep`, or written under a false date.
    """

    agree: int
    not_copied_yet: int
    no_longer_kept: int
    problems: tuple[str, ...]
    late: tuple[str, ...]


def compare_copies(
    entries: Sequence[TimelineEntry], copies: Sequence[LockedCopy], *, now: float, kept_for: float = math.inf
) -> CopyComparison:
    """Compare each entry with its copy. `now` in epoch seconds; `kept_for`: seconds for which copies are kept.

    An entry was written no earlier than any before it, whatever time it claims: so none is made old by its date alone.
    """
    kept = {copy.entry.seq: copy for copy in copies}
    problems = [
        f"the locked copy of entry {c.entry.seq} does not fit its own hash"
        for c in copies
        if entry_hash(c.entry) != c.entry.hash
    ]
    late: list[str] = []
    counts = {"agree": 0, "not_copied_yet": 0, "no_longer_kept": 0}
    written = -math.inf
    for entry in entries:
        written = max(written, entry.at)
        copy, age = kept.pop(entry.seq, None), now - written
        if copy is not None and copy.entry.hash == entry.hash:
            counts["agree"] += 1
            if copy.at < entry.at - COPIED_WITHIN:
                problems.append(f"entry {entry.seq}, dated {iso(entry.at)}, was there at {iso(copy.at)} already")
            elif copy.at > entry.at + COPIED_WITHIN:
                late.append(f"entry {entry.seq}, dated {iso(entry.at)}, was copied at {iso(copy.at)}")
        elif copy is not None:
            problems.append(f"entry {entry.seq} is not the one that was copied when it was written")
        elif age > kept_for:
            counts["no_longer_kept"] += 1
        elif abs(age) <= COPIED_WITHIN:
            counts["not_copied_yet"] += 1
        else:
            problems.append(
                f"entry {entry.seq}, dated {iso(entry.at)}, has no locked copy: either `relay` failed (see its log; "
                "`housekeep` copies again once a day what is missing), or it was put there by somebody else, or its "
                "copy went under an `audit_retention_days` that was raised since"
            )
    problems += [f"entry {number} has a locked copy, and the table lacks it" for number in sorted(kept)]
    return CopyComparison(problems=tuple(problems), late=tuple(late), **counts)


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> float:
    """Epoch seconds of an ISO 8601 time; ValueError when it is none. A time without offset is UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
