"""What a timeline may say: which entries may stand where, under which id, and by whom.

The chain and the locked copies prove that nothing was altered after it was written. A function that went wrong can
still append: then the head moves along and the entry is copied as any other. It is found because a release has one
beginning, one end, rounds that follow each other, and traffic only after an approval.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from promptlane.domain.names import Outcome, parse_release_id

from .findings import Findings
from .timeline import COPIED_WITHIN, SYSTEM, Event, TimelineEntry, iso

Json = Any

_OF_ROUTE: Final = r"route/(\d+)(?:/(\d+))?"
"""Its revision, and since a table may be restored, the milliseconds in which it was written."""
IDS: Final[Mapping[Event, str]] = {
    Event.STARTED: r"started",
    Event.PROMPT_REPLACED: r"replaced",
    Event.ADMITTED: r"admitted",
    Event.TESTS_PLANNED: r"tests/(?P<round>\d+)/planned",
    Event.TESTS_FINISHED: r"tests/(?P<round>\d+)/finished",
    Event.REVIEW_REQUESTED: r"review/(?P<round>\d+)/requested",
    Event.AUTHORS_FOUND: r"review/\d+/authors/.+",
    Event.REVIEW_VIEWED: r"review/\d+/viewed/.+",
    Event.REVIEW_LINK_REFUSED: r"review/\d+/refused/.+",
    Event.REVIEWER_DECIDED: r"review/\d+/decision/(?P<reviewer>[0-9a-f]{16})",
    Event.REVIEW_REMINDED: r"review/\d+/reminded/.+",
    Event.REVIEW_HINDERED: r"review/\d+/hindered/.+",
    Event.REVIEW_DECIDED: r"review/(?P<round>\d+)/decided(/.+)?",
    Event.REVIEW_REOPENED: r"review/(?P<round>\d+)/reopened",
    Event.CANARY_WAITING: r"(waiting|asked)/.+",
    Event.CANARY_SHIFTED: _OF_ROUTE,
    Event.CANARY_JUDGED: r"judged/.+",
    Event.DECISION_NEEDED: r"asked/.+",
    Event.CANARY_PAUSED: r"pause/\d+",
    Event.CANARY_RESUMED: r"resume/\d+",
    Event.CANARY_ADVANCED: r"advance/\d+",
    Event.PROMOTED: _OF_ROUTE,
    Event.ROLLED_BACK: _OF_ROUTE,
    Event.ROLLBACK_IMPOSSIBLE: r"impossible/\d+",
    Event.ROUTE_RESTORED: _OF_ROUTE,
    Event.ENDED: r"ended",
}
"""What follows the release id in the id of an entry. What it names must be what the entry's detail says."""

_ONCE: Final = (Event.STARTED, Event.PROMPT_REPLACED, Event.ADMITTED, Event.PROMOTED, Event.ENDED)
_OURS: Final = frozenset(
    {
        Event.PROMPT_REPLACED,
        Event.ADMITTED,
        Event.TESTS_PLANNED,
        Event.TESTS_FINISHED,
        Event.REVIEW_REQUESTED,
        Event.AUTHORS_FOUND,
        Event.REVIEW_REMINDED,
        Event.REVIEW_HINDERED,
        Event.REVIEW_REOPENED,
        Event.CANARY_WAITING,
        Event.CANARY_SHIFTED,
        Event.CANARY_JUDGED,
        Event.DECISION_NEEDED,
        Event.PROMOTED,
        Event.ROLLBACK_IMPOSSIBLE,
        Event.ROUTE_RESTORED,
        Event.ENDED,
    }
)
"""What no person does."""
_OPERATED: Final = (Event.CANARY_PAUSED, Event.CANARY_RESUMED, Event.CANARY_ADVANCED)
_NEEDS: Final[Mapping[Event, tuple[Event, ...]]] = {
    Event.PROMPT_REPLACED: (Event.STARTED,),
    Event.ADMITTED: (Event.STARTED,),
    Event.TESTS_PLANNED: (Event.ADMITTED,),
    Event.TESTS_FINISHED: (Event.TESTS_PLANNED,),
    Event.REVIEW_REQUESTED: (Event.ADMITTED,),
    Event.REVIEW_REOPENED: (Event.REVIEW_DECIDED,),
    Event.CANARY_SHIFTED: (Event.ADMITTED,),
    Event.PROMOTED: (Event.ADMITTED,),
    Event.ROLLED_BACK: (Event.CANARY_SHIFTED, Event.PROMOTED),
    **dict.fromkeys(_OPERATED, (Event.CANARY_SHIFTED,)),
}
"""One of these must stand before. Only what is written by one step after another, whatever crashes in between."""
_TOLD_LATER: Final = (
    Event.CANARY_SHIFTED,
    Event.PROMOTED,
    Event.ROLLED_BACK,
    Event.ROUTE_RESTORED,
    Event.REVIEW_DECIDED,
)
"""What may be appended long after it happened: it waited on the route, or on the request of a review."""
_NEVER_AFTER_THE_END: Final = (Event.STARTED, Event.PROMPT_REPLACED, Event.ADMITTED, Event.TESTS_PLANNED, *_OPERATED)


def approvals_told(entries: Sequence[TimelineEntry]) -> list[TimelineEntry]:
    """The entries that say that a round of review approved."""
    return [e for e in entries if e.event is Event.REVIEW_DECIDED and e.detail.get("decision") == "approved"]


def story_findings(release_id: str, entries: Sequence[TimelineEntry], found: Findings) -> None:
    """Note every entry that could not have come to stand where it stands."""
    walk = _Walk(release_id, found)
    for number, entry in enumerate(entries):
        walk.take(entry, entries[:number])
    walk.end(entries)


class _Walk:
    def __init__(self, release_id: str, found: Findings) -> None:
        self._release_id, self._version = release_id, parse_release_id(release_id)[1]
        self._found = found
        self._seen: dict[Event, list[TimelineEntry]] = defaultdict(list)

    def take(self, entry: TimelineEntry, before: Sequence[TimelineEntry]) -> None:
        self._found.compared += 1
        problems = (*self._own(entry), *self._place(entry), *self._traffic(entry, before), *_date(entry, before))
        for problem in problems:
            self._found.add(f"entry {entry.seq}, {entry.event!s}", problem)
        self._seen[entry.event].append(entry)

    def _own(self, entry: TimelineEntry) -> list[str]:
        """What is wrong with it wherever it stands."""
        if entry.release_id != self._release_id:
            return [f"it is of release {entry.release_id}"]
        problems: list[str] = []
        own = entry.id.removeprefix(f"{self._release_id}/")
        form = re.fullmatch(IDS.get(entry.event, r"(?s:.+)"), own, re.DOTALL) if own != entry.id else None
        if form is None:
            problems.append(f"no function writes it under the id {entry.id!r}")
        else:
            said = {name: str(entry.detail.get(name)) for name in form.groupdict()}
            problems += [
                f"its id says {name} {value}, its detail {said[name]}"
                for name, value in form.groupdict().items()
                if value != said[name]
            ]
        if entry.event in _OURS and entry.by != SYSTEM:
            problems.append(f"no person does this, and it is said to be by {entry.by!r}")
        if entry.event in _OPERATED and not entry.by.startswith("arn:"):
            problems.append(f"only an IAM identity does this, and it is said to be by {entry.by!r}")
        told = entry.detail.get("version", self._version)
        if entry.event in (Event.STARTED, Event.ADMITTED, Event.CANARY_SHIFTED, Event.PROMOTED) and (
            told != self._version
        ):
            problems.append(f"it is about version {told}")
        return problems

    def _place(self, entry: TimelineEntry) -> list[str]:
        problems: list[str] = []
        event, seen = entry.event, self._seen
        if event in _ONCE and seen[event]:
            problems.append(f"entry {seen[event][0].seq} says so already")
        needed = _NEEDS.get(event, ())
        if needed and not any(seen[one] for one in needed):
            problems.append(f"nothing before it says {' or '.join(map(str, needed))}")
        ended = seen[Event.ENDED]
        late = event in _NEVER_AFTER_THE_END or (event is Event.PROMOTED and not entry.detail.get("first"))
        if ended and late:
            problems.append(f"the release ended with entry {ended[0].seq}")
        if event in (Event.TESTS_PLANNED, Event.TESTS_FINISHED):
            problems += self._rounds(entry)
        if event is Event.ENDED:
            problems += self._outcome(entry)
        return problems

    def _rounds(self, entry: TimelineEntry) -> list[str]:
        number, planned = entry.detail.get("round"), [e.detail.get("round") for e in self._seen[Event.TESTS_PLANNED]]
        if entry.event is Event.TESTS_PLANNED:
            return [] if number == len(planned) + 1 else [f"it is of round {number}, after {len(planned)} rounds"]
        if number not in planned:
            return [f"round {number} of the tests was not begun"]
        again = [e.seq for e in self._seen[Event.TESTS_FINISHED] if e.detail.get("round") == number]
        return [f"entry {again[0]} finished round {number} already"] if again else []

    def _outcome(self, entry: TimelineEntry) -> list[str]:
        outcome = entry.detail.get("outcome")
        needed = {Outcome.PROMOTED: Event.PROMOTED, Outcome.ROLLED_BACK: Event.ROLLED_BACK}
        event = next((event for one, event in needed.items() if one == outcome), None)
        if event is not None and not self._seen[event]:
            return [f"it ended {outcome}, and nothing before it says {event!s}"]
        superseded = outcome == Outcome.SUPERSEDED
        return [] if superseded or self._seen[Event.STARTED] else [f"it ended {outcome} without a beginning"]

    def _traffic(self, entry: TimelineEntry, before: Sequence[TimelineEntry]) -> list[str]:
        """Traffic comes after an approval of the very content that was admitted."""
        gives = entry.event is Event.PROMOTED or (entry.event is Event.CANARY_SHIFTED and entry.detail.get("weight"))
        if not gives:
            return []
        admitted = [e.detail.get("fingerprint") for e in before if e.event is Event.ADMITTED]
        reopened = {e.detail.get("round") for e in before if e.event is Event.REVIEW_REOPENED}
        standing = [e for e in approvals_told(before) if e.detail.get("round") not in reopened]
        approved = [e.detail.get("candidate") for e in standing]
        return (
            [] if set(admitted) & set(approved) else ["no review before it approved what was admitted, and still does"]
        )

    def end(self, entries: Sequence[TimelineEntry]) -> None:
        if not entries:
            self._found.add("timeline", "it is empty, and a release is written together with its first entry")
        elif entries[0].event not in (Event.STARTED, Event.ENDED):
            self._found.add(f"entry {entries[0].seq}, {entries[0].event!s}", "no release begins so")


def _date(entry: TimelineEntry, before: Sequence[TimelineEntry]) -> list[str]:
    """Who appends says when it is; a little is allowed for clocks, and for what is tried again."""
    latest = max(before, key=lambda e: e.at, default=entry)
    if entry.event in _TOLD_LATER or entry.at >= latest.at - COPIED_WITHIN:
        return []
    return [f"it is dated {iso(entry.at)}, before entry {latest.seq} of {iso(latest.at)}, which was there already"]


def route_revision(entry_id: str, release_id: str) -> int:
    """The revision of the route that an entry came with; 0 for one that came with none."""
    match = re.fullmatch(_OF_ROUTE, entry_id.removeprefix(f"{release_id}/"))
    return int(match[1]) if match else 0


def route_epoch(entry_id: str) -> int:
    """The moment of the write that an entry came with, in milliseconds since 1970: no later than the route's epoch."""
    match = re.search(f"/{_OF_ROUTE}$", entry_id)
    return int(match[2] or 0) if match else 0
