"""Edits and publications of a prompt, as CloudTrail told them, kept for longer than CloudTrail can look back.

An item says who called, when, and what the draft held when the event arrived. That content is a hint: several edits may
have been made before the first event arrived. A hint may name further authors; it clears nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

from promptlane.domain.trail import EDITS, PUBLISH, TrailAnswer, TrailEvent, Window

Json = Any
RECORDED: Final = (*EDITS, PUBLISH)
"""What is recorded: each of them may make somebody an author."""
_PROMPT: Final = 25 * 3600.0
"""EventBridge tries for a day: what arrives later was not sent by it."""
_MOST: Final = 2048
"""Characters of a text that is kept: of the longest ARN, and more than any other."""
_TEXTS: Final = ("name", "arn", "kind", "target", "source_ip", "event_id", "invoked_by", "issuer")


@dataclass(frozen=True, slots=True)
class Edit:
    """One call that changed a prompt's draft or published it. Times are epoch seconds.

    `told_by`: CloudTrail's `history`, which was asked, or an `event` that arrived; `sent_by` names who put such an
    event into the queue where that was not EventBridge. `newest`: the highest version number when the event arrived,
    0 where that is not known. `draft`: the fingerprint that the draft had by then.
    """

    event: TrailEvent
    arrived: float
    told_by: Literal["history", "event"] = "event"
    newest: int = 0
    draft: str = ""
    sent_by: str = ""

    @property
    def id(self) -> str:
        """CloudTrail's id of the event; where it gives none that can be a key, one made of what it says."""
        given = self.event.event_id
        if 0 < len(given) <= 64 and given.isascii() and given.replace("-", "").isalnum():
            return given
        return "made-" + hashlib.sha256(repr(self.event).encode("utf-8", "backslashreplace")).hexdigest()[:32]

    @property
    def number(self) -> int:
        """Of a publication: its version, or one that is not lower; 0 where neither is known."""
        return (self.event.version or self.newest) if self.event.name == PUBLISH else 0

    @property
    def prompt(self) -> bool:
        """Whether it came from EventBridge, as far as can be told, and in time."""
        return not self.sent_by and -300 <= self.arrived - self.event.at <= _PROMPT

    def to_item(self) -> dict[str, Json]:
        """Plain values as stored, of bounded size; empty ones are left out."""
        told = {f.name: getattr(self.event, f.name) for f in fields(TrailEvent)}
        more = {"arrived": self.arrived, "told_by": self.told_by, "newest": self.newest, "draft": self.draft}
        item = {**told, **more, "sent_by": self.sent_by}
        return {k: _bounded(v) if isinstance(v, str) else v for k, v in item.items() if v not in ("", 0)}

    @classmethod
    def from_item(cls, item: Mapping[str, Json]) -> Edit:
        texts = {name: str(item.get(name, "")) for name in _TEXTS}
        return cls(
            TrailEvent(
                at=float(item.get("at", 0)),
                version=int(item.get("version", 0)),
                by_name=bool(item.get("by_name")),
                **texts,
            ),
            arrived=float(item.get("arrived", 0)),
            told_by="history" if item.get("told_by") == "history" else "event",
            newest=int(item.get("newest", 0)),
            draft=str(item.get("draft", "")),
            sent_by=str(item.get("sent_by", "")),
        )


def _bounded(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:_MOST]


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of a prompt's edits, oldest first.

    `complete_since`: from when on nothing that CloudTrail has told by now is missing, None where that cannot be told;
    `answered`: whether its history answered. `gaps`: sentences about what could not be read. `unsure`: ids of edits
    that arrived as events and that the history, which should have them, does not have; they may name authors, but limit
    nothing.
    """

    edits: tuple[Edit, ...]
    complete_since: float | None
    answered: bool = True
    gaps: tuple[str, ...] = ()
    unsure: frozenset[str] = frozenset()


def merged(
    told: TrailAnswer | None, asked: Window, recorded: Sequence[Edit], watched: Window | None, *, settled: float
) -> Known:
    """What was recorded and what the history tells now, each event once; the history's word counts for more.

    `told` is the answer about `asked`, None where there is none. `watched`: the time of which the whole history was
    recorded. What is younger than `settled` may not have arrived in the history yet.
    """
    whole = told is not None and not told.failed and not told.truncated
    looked_up = [Edit(e, e.at, "history") for e in told.events] if told else []
    by_id: dict[str, Edit] = {}
    for edit in sorted((*recorded, *looked_up), key=lambda e: e.event.at):
        if edit.event.error or edit.event.name not in RECORDED:
            continue
        there = by_id.get(edit.id)
        if there is None:
            by_id[edit.id] = edit
        elif edit.told_by == "history" or there.told_by == "history":
            known, other = (edit, there) if edit.told_by == "history" else (there, edit)
            by_id[edit.id] = replace(known, newest=known.newest or other.newest, draft=known.draft or other.draft)

    def looked(at: float) -> bool:
        return at < settled and ((whole and asked.holds(at)) or (watched is not None and watched.holds(at)))

    unsure = frozenset(e.id for e in by_id.values() if e.told_by != "history" and (looked(e.event.at) or not e.prompt))
    since: float | None = None
    if whole:
        since = asked.since
        if watched is not None and watched.since <= since <= watched.until:
            since = watched.since
    answered = told is not None and not told.failed
    return Known(tuple(by_id.values()), since, answered, tuple(_gaps(told)), unsure)


def _gaps(told: TrailAnswer | None) -> Iterable[str]:
    if told is None or told.failed:
        why = f": {told.failure}" if told and told.failure else ""
        yield f"CloudTrail did not answer{why}"
        return
    if told.truncated:
        yield "there were more events than could be read"
    if told.unreadable:
        yield f"{told.unreadable} event(s) in CloudTrail cannot be read, or do not say which prompt they changed"
