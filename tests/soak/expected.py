"""What must have been counted of a request, by what the application saw and what the model was asked.

Where neither tells, several ways are possible: a request that was cancelled may have come to its end unseen. A figure
is then known from its least to its most.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from tests.soak.bedrock import Called
from tests.soak.history import History, canary_of
from tests.soak.notes import Line

GOOD: Final = ("fine", "refusal", "empty")
BAD: Final = {"refusal": "Refusal", "empty": "Empty"}
INVALID: Final = "ValidationException"
OLDEST, NEWEST = -13.5 * 86_400, 1.9 * 3600
"""How far off a clock may be for CloudWatch to take what it stamps: two weeks back, two hours ahead."""


class Cell(NamedTuple):
    """A figure of CloudWatch: `of` is a version's number or a track; `kind` whether points or values are summed."""

    prompt: str
    of: str
    metric: str
    kind: Literal["n", "sum"]


SETTLED: Final = "settled"
"""Not a metric: all that a version's requests came to, each being one of `Error`'s points, `Shielded` or `NOBODYS`."""
NOBODYS: Final = ("InvalidRequest", "Cancelled")
COMPARED: Final = frozenset(
    {
        ("Assigned", "n"),
        ("Error", "n"),
        ("Error", "sum"),
        ("Refusal", "sum"),
        ("Empty", "sum"),
        ("Shielded", "sum"),
        ("InvalidRequest", "sum"),
        ("Cancelled", "sum"),
        ("NegativeFeedback", "n"),
        ("NegativeFeedback", "sum"),
    }
)
"""Metrics, and what of them, that are compared."""


class Way(NamedTuple):
    """What may have become of a request: the version and track that the split decided for, and what it came to there:
    the metric that counts it, `Finished` for a good answer."""

    version: int
    track: str
    came_to: str


@dataclass
class Counted:
    """A figure as it must be, and the requests that it comes from."""

    least: int = 0
    most: int = 0
    ids: list[str] = field(default_factory=list)


def settled(counted: Mapping[Cell, float]) -> dict[Cell, float]:
    """What a version's requests came to, of what was counted."""
    found: dict[Cell, float] = defaultdict(float)
    for cell, value in counted.items():
        whole = cell.metric == "Error" if cell.kind == "n" else cell.metric in ("Shielded", *NOBODYS)
        if whole and cell.of.isdigit():
            found[Cell(cell.prompt, cell.of, SETTLED, "n")] += value
    return found


class Tally:
    """What must have been counted, of all requests."""

    def __init__(self) -> None:
        self.cells: dict[Cell, Counted] = defaultdict(Counted)

    def request(self, begin: Line, end: Line, calls: list[Called], history: History) -> None:
        found = [_counts(begin, end, way) for way in ways(begin, end, calls, history)]
        if end["saw"] == "interrupted":
            found.append(defaultdict(lambda: (0, 0)))
        for cell in {cell for counts in found for cell in counts}:
            self._add(cell, begin["id"], min(c[cell][0] for c in found), max(c[cell][1] for c in found))

    def feedback(self, line: Line, begin: Line, end: Line) -> None:
        for of, stamp in (
            (str(line["version"]), _stamp(begin["off"], end["off"])),
            (line["track"], _stamp(line["off"], line["off"])),
        ):
            self._add(Cell(line["prompt"], of, "NegativeFeedback", "n"), line["of"], *stamp)
            if line["negative"]:
                self._add(Cell(line["prompt"], of, "NegativeFeedback", "sum"), line["of"], *stamp)

    def _add(self, cell: Cell, request_id: str, least: int, most: int) -> None:
        counted = self.cells[cell]
        counted.least += least
        counted.most += most
        counted.ids.append(request_id)


def ways(begin: Line, end: Line, calls: list[Called], history: History) -> list[Way]:
    """All that may have become of a request; none when no model was asked: then nothing is counted."""
    return [way for arm in _arms(begin, end, calls, history) for way in _ways(arm, end, calls)]


def _arms(begin: Line, end: Line, calls: list[Called], history: History) -> Iterator[tuple[int, str]]:
    """The version and track that the split may have decided for: of the first call, or a canary's that was shielded."""
    if not calls:
        return
    first = calls[0]
    kept = end.get("shielded") is False or first.track != "stable"
    if not end.get("shielded") or first.track != "stable":
        yield first.version, first.track
    if kept:
        return
    routes = history.routes(begin["prompt"], begin["at"], end["at"], pid=begin["pid"])
    if end.get("revision") is not None:
        routes = [route for route in routes if route.revision == end["revision"]]
    for version in {canary_of(route, begin["unit"]) for route in routes} - {None}:
        assert version is not None
        yield version, "canary"


def _ways(arm: tuple[int, str], end: Line, calls: list[Called]) -> Iterator[Way]:
    own = [call.said for call in calls if (call.version, call.track) == arm]
    if not own:
        yield Way(*arm, "Shielded")
        return
    good = own[-1] in GOOD and end["saw"] != "failed"
    came_to = BAD.get(own[-1], "Finished") if good else "Error"
    if own[-1] == INVALID and end["saw"] != "answered" and calls[-1].said == INVALID:
        came_to = "InvalidRequest"
    yield Way(*arm, came_to)
    if end["saw"] in ("cancelled", "interrupted"):
        yield Way(*arm, "Cancelled")
        yield Way(*arm, "Finished")


def _counts(begin: Line, end: Line, way: Way) -> dict[Cell, tuple[int, int]]:
    """Each figure's part, from the least to the most: what CloudWatch refuses for its stamp is not counted."""
    stamp = _stamp(begin["off"], end["off"])
    version, prompt = str(way.version), begin["prompt"]
    found: dict[Cell, tuple[int, int]] = defaultdict(lambda: (0, 0))
    cells = [Cell(prompt, version, "Assigned", "n"), Cell(prompt, version, SETTLED, "n")]
    if way.came_to not in NOBODYS:
        cells.append(Cell(prompt, way.track, "Assigned", "n"))
    for of in (version, way.track):
        if way.came_to not in (*NOBODYS, "Shielded"):
            cells.append(Cell(prompt, of, "Error", "n"))
        if way.came_to != "Finished":
            cells.append(Cell(prompt, of, way.came_to, "sum"))
    found.update(dict.fromkeys(cells, stamp))
    return found


def _stamp(*off: float) -> tuple[int, int]:
    """(least, most) of the points that CloudWatch takes, of one stamped while the clock was that far off."""
    taken = Counter(OLDEST < seconds < NEWEST for seconds in off)
    return int(not taken[False]), int(taken[True] > 0)
