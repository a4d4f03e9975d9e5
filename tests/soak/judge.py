"""What was noted, held against what the route named and what CloudWatch counted.

Three things are known apart from the client: what the application saw (notes), what the model was asked (Bedrock's
calls), and what the route named when (the writer). From them follows what must have been counted, for which version.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

from tests.soak.bedrock import Called
from tests.soak.expected import GOOD, Cell, Counted, Tally, settled
from tests.soak.history import History
from tests.soak.notes import Line

RELEARNT = 65.0
"""Seconds after a new key within which who did not read it yet may refuse receipts that it sealed."""
CLOCKS_APART = 240.0
"""Seconds between two processes' clocks from which a receipt may be refused: it is of the future, or too old."""


class Problem(NamedTuple):
    """`kind`: the figure that it counts in; `id`: the request; `at`: epoch seconds."""

    kind: str
    id: str
    at: float
    what: str


@dataclass
class Evidence:
    """All that is known of a run. `disturbed`: (slot, from, until) in which a process stood still, or its clock ran on.

    `weathers`: (from, until, what) of AWS. `rotated`: when new receipt keys were there. `timeout`: seconds that a
    request may take.
    """

    lines: list[Line]
    calls: list[Called]
    history: History
    counted: Mapping[Cell, float]
    disturbed: list[tuple[int, float, float]] = field(default_factory=list)
    weathers: list[tuple[float, float, str]] = field(default_factory=list)
    rotated: list[float] = field(default_factory=list)
    timeout: float = 28.0

    def __post_init__(self) -> None:
        self.begun = {line["id"]: line for line in self.lines if line["k"] == "begin"}
        self.ended = {line["id"]: line for line in self.lines if line["k"] == "end"}
        self.asked: dict[str, list[Called]] = defaultdict(list)
        for call in sorted(self.calls):
            self.asked[call.id].append(call)

    def frozen(self, request_id: str) -> float:
        """Seconds of the request in which its process was disturbed."""
        slot = int(request_id.partition(".")[0])
        begin, end = float(self.begun[request_id]["at"]), float(self.ended[request_id]["at"])
        return sum(max(0.0, min(end, until) - max(begin, since)) for of, since, until in self.disturbed if of == slot)


@dataclass
class Verdict:
    requests: int
    problems: list[Problem]
    leaked_mb: float
    beneath: dict[str, Any]

    def number(self, kind: str) -> int:
        return sum(1 for problem in self.problems if problem.kind == kind)


def judge(evidence: Evidence) -> Verdict:
    """Everything that is wrong, oldest first."""
    problems = [
        *_unanswered(evidence),
        *_wrong_versions(evidence),
        *_miscounted(evidence),
        *_receipts(evidence),
        *_processes(evidence.lines),
    ]
    grown = _held(evidence.lines)
    waits = [end["at"] - evidence.begun[i]["at"] - evidence.frozen(i) for i, end in evidence.ended.items()]
    beneath = {
        "saw": dict(Counter(end["saw"] for end in evidence.ended.values())),
        "model_calls": len(evidence.calls),
        "feedback": dict(Counter(x["saw"].partition(":")[0] for x in evidence.lines if x["k"] == "feedback")),
        "told_stale": sum(1 for x in evidence.lines if x["k"] == "stale"),
        "processes": len({x["pid"] for x in evidence.lines}),
        "longest_seconds": round(max(waits, default=0.0), 2),
        "leaked_threads": grown["threads"],
        "leaked_files": grown["files"],
    }
    return Verdict(len(evidence.begun), sorted(problems, key=lambda p: p.at), round(grown["bytes"] / 1e6, 2), beneath)


def _unanswered(evidence: Evidence) -> Iterable[Problem]:
    for request_id, begin in evidence.begun.items():
        end = evidence.ended.get(request_id)
        why = "it never came to an end" if end is None else _why_not(evidence, request_id, end)
        if why:
            yield Problem("unanswered", request_id, begin["at"], why)


def _why_not(evidence: Evidence, request_id: str, end: Line) -> str:
    """Why this is no answer and no failure that the model's own explains; "" where it is one."""
    if end.get("text"):
        return f"the text is another than the model's: {end['text'][:100]!r}"
    if end["saw"] != "failed":
        return ""
    if not end["typed"]:
        return f"an error that is not the client's own: {end['error']}"
    calls = evidence.asked[request_id]
    if evidence.frozen(request_id) > 0:
        return ""
    if not calls:
        return f"no model was asked: {end['error']}"
    if calls[-1].said in GOOD:
        return f"the model answered, and the application got {end['error']}"
    if not end["broke"] and all(call.track == "canary" for call in calls):
        return f"a canary failed, and stable was not asked: {end['error']}"
    return ""


def _wrong_versions(evidence: Evidence) -> Iterable[Problem]:
    for request_id, calls in evidence.asked.items():
        begin = evidence.begun[request_id]
        for call in calls:
            allowed = evidence.history.named(begin["prompt"], begin["at"], call.at, pid=begin["pid"])
            if (call.prompt_id, call.version, call.track) not in allowed:
                what = f"{call.track} was version {call.version} of {call.prompt_id}; the route named {sorted(allowed)}"
                yield Problem("wrong_version", request_id, call.at, what)
                break


def _miscounted(evidence: Evidence) -> Iterable[Problem]:
    tally = Tally()
    for request_id, end in evidence.ended.items():
        tally.request(evidence.begun[request_id], end, evidence.asked[request_id], evidence.history)
    for line in evidence.lines:
        if line["k"] == "feedback" and line["saw"] == "counted":
            tally.feedback(line, evidence.begun[line["of"]], evidence.ended[line["of"]])
    counts = {**evidence.counted, **settled(evidence.counted)}
    for cell in sorted({*tally.cells, *counts}):
        counted, got = tally.cells.get(cell) or Counted(), counts.get(cell, 0.0)
        off = max(counted.least - got, got - counted.most)
        for _ in range(round(off)):
            first = counted.ids[0] if counted.ids else ""
            at = evidence.begun[first]["at"] if first else 0.0
            what = f"{cell}: CloudWatch has {got:g}, applications saw {counted.least} to {counted.most}"
            yield Problem("miscounted", first, at, what)


def _receipts(evidence: Evidence) -> Iterable[Problem]:
    for line in evidence.lines:
        if line["k"] != "feedback":
            continue
        begin, sealed = evidence.begun[line["of"]], evidence.ended[line["of"]]["at"]
        apart = abs(line["off"] - begin["off"]) >= CLOCKS_APART
        new = any(at <= sealed and line["at"] <= at + RELEARNT for at in evidence.rotated[1:])
        if line["forged"] and line["saw"] in ("counted", "known"):
            yield Problem("receipts", line["of"], line["at"], "a forged receipt was taken")
        elif line["saw"].startswith("invalid") and not (line["forged"] or apart or new):
            yield Problem("receipts", line["of"], line["at"], f"a receipt was refused: {line['saw']}")


def _processes(lines: list[Line]) -> Iterable[Problem]:
    for line in lines:
        if line["k"] == "reaped" and (line["hung"] or line["status"] != 0):
            state = "hung and was ended" if line["hung"] else f"ended with status {line['status']}"
            yield Problem("children", "", line["at"], f"a child ({line['exit']}) of {line['pid']} {state}")
        elif line["k"] == "odd":
            yield Problem("odd", "", line["at"], line["what"])


def _held(lines: list[Line]) -> dict[str, float]:
    """What the worst process holds more of in the last quarter of the run than in the second, by medians."""
    by_process: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        if line["k"] == "memory":
            by_process[line["pid"]].append(line)
    grown = {"bytes": 0.0, "threads": 0.0, "files": 0.0}
    for held in by_process.values():
        quarter = len(held) // 4
        if quarter:
            before, after = held[quarter : 2 * quarter], held[-quarter:]
            for name, most in grown.items():
                grown[name] = max(most, median(x[name] for x in after) - median(x[name] for x in before))
    return grown


def trail(evidence: Evidence, request_id: str) -> list[str]:
    """All that is known of a request, in order: for a person who looks for the fault."""
    begin, end = evidence.begun[request_id], evidence.ended.get(request_id)
    until = end["at"] if end else begin["at"] + evidence.timeout
    rows: list[tuple[float, str]] = []
    for line in evidence.lines:
        own = request_id in (line.get("id"), line.get("of"))
        beside = line["pid"] == begin["pid"] and line["k"] in ("stale", "forked") and abs(line["at"] - begin["at"]) < 60
        if own or beside:
            told = {name: value for name, value in line.items() if name not in ("k", "at", "id")}
            rows.append((line["at"], f"{line['k']} {told}"))
    rows += [(call.at, f"model {call}") for call in evidence.asked[request_id]]
    rows += evidence.history.told(begin["prompt"], begin["at"] - 60, until)
    slot = int(request_id.partition(".")[0])
    spans = [(since, stop, "process disturbed") for of, since, stop in evidence.disturbed if of == slot]
    for since, stop, what in [*spans, *evidence.weathers]:
        if since < until and stop > begin["at"] - 60:
            rows += [(since, f"{what} ..."), (stop, f"... {what}, over")]
    return [f"{at - begin['at']:+8.2f} s  {what}" for at, what in sorted(rows)]
