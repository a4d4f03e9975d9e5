"""The record of a release beside its timeline, which alone is chained and copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .findings import TABLE, Findings, copy_of
from .release import Release
from .replay import approvals_told
from .timeline import Event, TimelineEntry, iso

Json = Any
NOT_TOLD: Final = ("request_id", "revision", "step")
"""Fields of a record that no entry tells: nobody is shown them, and they decide nothing that an entry does not say."""
_STATES: Final[Mapping[Event, str]] = {
    Event.STARTED: "started",
    Event.ADMITTED: "admitted",
    Event.TESTS_PLANNED: "testing",
    Event.REVIEW_REQUESTED: "review",
    Event.CANARY_SHIFTED: "canary",
    Event.PROMOTED: "watch",
    Event.ENDED: "ended",
}


def record_findings(record: Release, entries: Sequence[TimelineEntry], found: Findings) -> None:
    """Note every field of the record that tells another story. Both are of one moment."""
    compare = _Comparison(record, entries, found)
    compare.beginning()
    compare.admission()
    compare.rounds()
    compare.operations()
    compare.end()


class _Comparison:
    def __init__(self, record: Release, entries: Sequence[TimelineEntry], found: Findings) -> None:
        self._record, self._entries, self._found = record, entries, found
        self._last = {entry.event: entry for entry in entries}

    def _same(self, entry: TimelineEntry, **recorded: Json) -> None:
        """Each is what the entry says; what an entry of long ago does not say is not compared."""
        said = {**entry.detail, "by": entry.by, "at": iso(entry.at)}
        for name, value in recorded.items():
            if name in said:
                differs = f"the record has {name} {value!r}, the entry {entry.event!s} has {said[name]!r}"
                self._found.agree(said[name] == value, "release record", differs, self._where(entry))
            else:
                self._found.uncovered.append(
                    f"release record: {name} (entry {entry.seq} was written before it told it)"
                )

    def _untold(self, event: Event, **recorded: Json) -> None:
        """None of these has a value, since nothing says how it came to one."""
        for name, value in recorded.items():
            differs = f"the record has {name} {value!r}, and no entry says {event!s}"
            self._found.agree(not value, "release record", differs, TABLE)

    def _where(self, entry: TimelineEntry) -> str:
        return f"{copy_of(entry)}; {TABLE}"

    def beginning(self) -> None:
        record = self._record
        if (started := self._last.get(Event.STARTED)) is not None:
            at, by = iso(record.started_at), record.requested_by
            self._same(started, by=by, at=at, prompt=record.prompt, explicit=record.explicit)

    def admission(self) -> None:
        record, candidate = self._record, self._record.candidate
        admitted = self._last.get(Event.ADMITTED)
        if admitted is None:
            fields = {"policy": record.policy_sha256, "suite": record.suite_sha256, "description": record.description}
            self._untold(Event.ADMITTED, candidate=candidate, stable=record.stable, **fields)
            return
        content = {name: getattr(candidate, name, None) for name in ("version", "fingerprint", "arn")}
        self._same(
            admitted,
            **content,
            description=record.description,
            policy=record.policy_sha256,
            suite=record.suite_sha256,
        )
        stable = record.stable
        version, fingerprint = (stable.version, stable.fingerprint) if stable else (None, None)
        self._same(self._last.get(Event.TESTS_PLANNED, admitted), stable=version, stable_fingerprint=fingerprint)

    def rounds(self) -> None:
        """The present round of tests and review: its verdict and its approval."""
        record, planned = self._record, self._last.get(Event.TESTS_PLANNED)
        if planned is None:
            self._untold(Event.TESTS_PLANNED, round=record.round)
        else:
            self._same(planned, round=record.round)
        finished = self._of_round(Event.TESTS_FINISHED)
        if not finished:
            self._untold(Event.TESTS_FINISHED, verdict=dict(record.verdict))
        else:
            verdict = {name: record.verdict.get(name) for name in ("verdict", "proceed", "reason", "round")}
            sides = {name: record.verdict.get(name) for name in ("candidate", "stable")}
            self._same(finished[-1], **verdict, **sides)
            key = f"releases/{record.release_id}/tests/{record.round}/report.json"
            named = record.verdict.get("report_key")
            self._found.agree(named == key, "release record", f"its verdict names the report {named!r}", key)
        self._approval()

    def _approval(self) -> None:
        record = self._record
        approved = [e for e in approvals_told(self._entries) if e.detail.get("round") == record.round]
        ended = self._last.get(Event.ENDED)
        if not approved:
            self._untold(Event.REVIEW_DECIDED, approval=dict(record.approval))
            return
        entry = approved[-1]
        if ended is not None and ended.seq < entry.seq and not record.approval:
            return  # told after the end, which changes no record
        says = (
            f"the record has approval {dict(record.approval)!r}, the entry {entry.event!s} has {dict(entry.detail)!r}"
        )
        self._found.agree(dict(record.approval) == dict(entry.detail), "release record", says, self._where(entry))

    def _of_round(self, event: Event) -> list[TimelineEntry]:
        return [e for e in self._entries if e.event is event and e.detail.get("round") == self._record.round]

    def operations(self) -> None:
        """What an operator set, and whether the release still is where its entries say."""
        record, ended = self._record, Event.ENDED in self._last
        switched = [e for e in self._entries if e.event in (Event.CANARY_PAUSED, Event.CANARY_RESUMED)]
        paused = switched[-1] if switched and switched[-1].event is Event.CANARY_PAUSED and not ended else None
        self._mark("paused", record.paused, paused)
        advanced = self._last.get(Event.CANARY_ADVANCED)
        overtaken = advanced and paused and paused.seq > advanced.seq
        if record.advance or (advanced and not ended and not overtaken and not self._cleared(advanced)):
            self._mark("advance", record.advance, None if ended else advanced)
        self._state()

    def _cleared(self, advanced: TimelineEntry) -> bool:
        """Whether a later pause took the advance back, which a resumption does not bring again."""
        return any(e.event is Event.CANARY_PAUSED and e.seq > advanced.seq for e in self._entries)

    def _mark(self, name: str, mark: Mapping[str, Json] | None, entry: TimelineEntry | None) -> None:
        said = {"by": entry.by, "reason": entry.detail.get("reason")} if entry else None
        recorded = {"by": mark.get("by"), "reason": mark.get("reason")} if mark else None
        differs = f"the record has {name} {recorded!r}, the timeline has {said!r}"
        self._found.agree(recorded == said, "release record", differs, self._where(entry) if entry else TABLE)

    def _state(self) -> None:
        """A route is written before its release's record: the record may be one step behind what the route tells."""
        states = [
            _STATES[e.event]
            for e in self._entries
            if e.event in _STATES and not (e.event is Event.CANARY_SHIFTED and not e.detail.get("weight"))
        ]
        if not states or "ended" in states:
            return
        told = states[-1]
        behind = {"canary": "review", "watch": "canary" if "canary" in states else "review"}.get(told)
        state = self._record.state
        says = f"the record is in state {state}, the timeline in {told}"
        self._found.agree(state in (told, behind) or self._record.ended, "release record", says, TABLE)

    def end(self) -> None:
        record, ended = self._record, self._last.get(Event.ENDED)
        if ended is not None:
            outcome = str(record.outcome) if record.outcome else ""
            self._same(ended, outcome=outcome, reason=record.reason, at=iso(record.ended_at))
            says = f"the timeline has ended, the record is still in state {record.state}"
            self._found.agree(record.ended, "release record", says, self._where(ended))
            return
        says = f"the record has ended ({record.outcome}), the timeline does not say so"
        if self._found.agree(not record.ended, "release record", says, TABLE):
            outcome = str(record.outcome) if record.outcome else ""
            self._untold(Event.ENDED, outcome=outcome, reason=record.reason, ended_at=record.ended_at)
