"""When model calls were not logged, or a trail stood still, as CloudTrail tells of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from promptlane.domain.release.timeline import iso
from promptlane.domain.trail import TrailEvent, Window

LOGGING_ON: Final = "PutModelInvocationLoggingConfiguration"
LOGGING_OFF: Final = "DeleteModelInvocationLoggingConfiguration"
_TRAIL_ON: Final = ("StartLogging",)
_TRAIL_OFF: Final = ("StopLogging", "DeleteTrail")


@dataclass(frozen=True, slots=True)
class Dark:
    """Nothing was recorded from `since` to `until`, epoch seconds; `until` 0: nobody switched it on again."""

    since: float
    until: float
    by: str

    def within(self, window: Window) -> bool:
        """Whether any of it lies in the window."""
        return self.since < window.until and (not self.until or self.until > window.since)

    def __str__(self) -> str:
        end = f"to {iso(self.until)}" if self.until else "on"
        return f"from {iso(self.since)} {end}{f' (switched off by {self.by})' if self.by else ''}"


def logging_gaps(events: Sequence[TrailEvent], window: Window) -> list[Dark]:
    """When model invocation logging was off within the window, oldest first."""
    return [d for d in _dark(events, (LOGGING_OFF,), (LOGGING_ON,)) if d.within(window)]


def logging_changes(events: Iterable[TrailEvent], window: Window) -> list[TrailEvent]:
    """When logging was set up or changed within the window, without having been seen to be off before."""
    found: list[TrailEvent] = []
    off = False
    for event in _done(events, (LOGGING_OFF, LOGGING_ON)):
        if event.name == LOGGING_ON and not off and window.holds(event.at):
            found.append(event)
        off = event.name == LOGGING_OFF
    return found


def trail_gaps(events: Sequence[TrailEvent], window: Window) -> dict[str, list[Dark]]:
    """When each trail stood still within the window, by its name."""
    stopped = _done(events, (*_TRAIL_OFF, *_TRAIL_ON))
    names = sorted({_trail(e) for e in stopped})
    found = {name: list(_dark([e for e in stopped if _trail(e) == name], _TRAIL_OFF, _TRAIL_ON)) for name in names}
    return {name: mine for name, dark in found.items() if (mine := [d for d in dark if d.within(window)])}


def _trail(event: TrailEvent) -> str:
    return event.target.rpartition("/")[2] or "of unknown name"


def _dark(events: Sequence[TrailEvent], off: Sequence[str], on: Sequence[str]) -> Iterator[Dark]:
    turns = [next(run) for _, run in groupby(_done(events, (*off, *on)), key=lambda e: e.name in off)]
    for number, turn in enumerate(turns, 1):
        if turn.name in off:
            yield Dark(turn.at, turns[number].at if number < len(turns) else 0.0, turn.arn)


def _done(events: Iterable[TrailEvent], names: Sequence[str]) -> list[TrailEvent]:
    return sorted((e for e in events if e.name in names and not e.error), key=lambda e: e.at)
