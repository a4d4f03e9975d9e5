"""The evidence curve of a release, from the judge's timeline entries: what status and pages draw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlane.domain.release.timeline import Event, TimelineEntry

Json = Any


@dataclass(frozen=True, slots=True)
class Point:
    """One look. `harm` and `advance` are shares of what decides, on a logarithmic scale: 0 nothing known, 1 decides.

    Below 0 the data speak against it. `advance` is that of the weakest required metric; None in watch.
    """

    at: float
    phase: str
    step: int
    weight: int
    judgement: str
    harm: float
    advance: float | None
    reason: str


def points(entries: Iterable[TimelineEntry]) -> list[Point]:
    """The looks among a release's entries, in order. An entry that cannot be read is left out."""
    found: list[Point] = []
    for entry in entries:
        if entry.event is Event.CANARY_JUDGED:
            try:
                found.append(_point(entry.at, entry.detail))
            except (AttributeError, KeyError, TypeError, ValueError):
                continue
    return found


def _point(at: float, detail: Mapping[str, Json]) -> Point:
    proofs = [m["advance"] for m in detail["metrics"].values() if m.get("advance") is not None]
    return Point(
        at=at,
        phase=str(detail["phase"]),
        step=int(detail["step"]),
        weight=int(detail["weight"]),
        judgement=str(detail["judgement"]),
        harm=_part(float(detail["harm"]), float(detail["harm_needed"])),
        advance=_part(min(map(float, proofs)), float(detail["advance_needed"])) if proofs else None,
        reason=str(detail["reason"]),
    )


def _part(evidence: float, needed: float) -> float:
    if not needed > 1 or math.isinf(needed):
        return 0.0
    return max(min(math.log(max(evidence, 1e-30)) / math.log(needed), 1.0), -1.0)


_BARS = " ▁▂▃▄▅▆▇█"


def sparkline(parts: Sequence[float | None], *, width: int = 48) -> str:
    """The last values as bars of one line of text, full height at 1; `·` where nothing is known."""
    return "".join(
        "·" if part is None else _BARS[round(max(part, 0.0) * (len(_BARS) - 1))] for part in list(parts)[-width:]
    )
