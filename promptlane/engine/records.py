"""Results as plain records, one line of JSON for each case, and the sums over them.

`Collector` takes records one at a time, in whatever order they come, and keeps no more than counts, and the outputs of
so many changed cases as a report shows; a run of 10,000 cases therefore needs little memory.
"""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import Any, Final

from promptlane.domain.suite.verdict import CaseTally, Change, change_of

from .runner import CANDIDATE, STABLE, CaseRun, Run
from .suite import Case

Json = Any
Record = dict[str, Json]
STORED_CHARS: Final = 20_000
"""Characters of an output that a record keeps; assertions have seen all of it."""
SHOWN_CASES: Final = 200


def record_of(run: CaseRun) -> Record:
    """One case's results as plain JSON values."""
    record: Record = {"case": run.case.id, CANDIDATE: [_plain(r) for r in run.candidate]}
    if run.stable is not None:
        record[STABLE] = [_plain(r) for r in run.stable]
    return record


def _plain(run: Run) -> Record:
    data: Record = {}
    if run.missing:
        data["missing"] = run.missing[:1_000]
    if run.reused:
        data["reused"] = True
    if run.answer is not None:
        a = run.answer
        data |= {
            "output": a.text[:STORED_CHARS],
            "stop_reason": a.stop_reason,
            "latency_ms": round(a.latency_ms, 1),
            "input_tokens": a.input_tokens,
            "output_tokens": a.output_tokens,
            "cost_usd": a.cost_usd,
        }
        if len(a.text) > STORED_CHARS:
            data["output_chars"] = len(a.text)
        if a.tool_calls:
            data["tool_calls"] = [{"name": t.name, "input": t.input} for t in a.tool_calls][:20]
    if run.grade is not None:
        data |= {
            "passed": run.grade.passed,
            "score": round(run.grade.score, 4),
            "asserts": [g.to_dict() for g in run.grade.grades],
        }
    return data


def passes(runs: Sequence[Mapping[str, Json]] | None, repeats: int) -> int | None:
    """How many of a side's runs passed; None unless all of them were run and graded."""
    if runs is None or len(runs) != repeats or any("passed" not in r for r in runs):
        return None
    return sum(bool(r["passed"]) for r in runs)


def missing_reason(record: Mapping[str, Json]) -> str:
    """Why a case is missing, by side."""
    found = []
    for side in (CANDIDATE, STABLE):
        reasons = [r["missing"] for r in record.get(side) or [] if r.get("missing")]
        if reasons:
            found.append(f"{side}: {reasons[0]}")
    return "; ".join(found)


class Side:
    """Sums over all runs of one side."""

    def __init__(self) -> None:
        self.latency = array("d")
        self.input_tokens = self.output_tokens = self.runs = self.reused = 0
        self.costs = array("d")
        """What calls of this run cost, USD; reused answers cost nothing again."""
        self.priced = True

    def add(self, run: Mapping[str, Json]) -> None:
        if "output" not in run:
            return
        self.runs += 1
        self.latency.append(float(run["latency_ms"]))
        self.input_tokens += int(run["input_tokens"])
        self.output_tokens += int(run["output_tokens"])
        if run.get("reused"):
            self.reused += 1
        elif run.get("cost_usd") is None:
            self.priced = False
        else:
            self.costs.append(float(run["cost_usd"]))

    def to_dict(self) -> Record:
        ordered = sorted(self.latency)
        return {
            "runs": self.runs,
            "reused": self.reused,
            "latency_ms_p50": _quantile(ordered, 0.5),
            "latency_ms_p95": _quantile(ordered, 0.95),
            "input_tokens_mean": self.input_tokens / self.runs if self.runs else None,
            "output_tokens_mean": self.output_tokens / self.runs if self.runs else None,
            "cost_usd": fsum(self.costs) if self.priced else None,
        }


def _quantile(ordered: Sequence[float], q: float) -> float | None:
    """Nearest rank."""
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else None


class Collector:
    """Takes cases with their records; holds the tallies for the verdict and what the report shows.

    Both are in the order of `cases` (ids), however the threads ended: so the same results make the same report.
    """

    def __init__(self, cases: Iterable[str], *, repeats: int, absolute: bool) -> None:
        self._place = {case: i for i, case in enumerate(cases)}
        self.repeats, self.absolute = repeats, absolute
        self.tallies: list[CaseTally] = []
        self.sides = {CANDIDATE: Side()} | ({} if absolute else {STABLE: Side()})
        self.shown: dict[Change, list[Record]] = {change: [] for change in Change}

    def add(self, case: Case, record: Mapping[str, Json] | None) -> CaseTally:
        """Count one case; `record` None: it was never run (its batch failed)."""
        found: Mapping[str, Json] = record or {}
        for side, sums in self.sides.items():
            for run in found.get(side) or ():
                sums.add(run)
        reason = missing_reason(found) if record else "its batch of cases did not finish"
        tally = CaseTally(
            case=case.id,
            runs=self.repeats,
            candidate=passes(found.get(CANDIDATE), self.repeats),
            stable=None if self.absolute else passes(found.get(STABLE), self.repeats),
            tags=case.tags,
            critical=case.critical,
            reason=reason[:500],
        )
        change = change_of(tally, absolute=self.absolute)
        insort(self.tallies, tally, key=lambda t: self._place[t.case])
        if change is not Change.PASSING:
            insort(self.shown[change], self._detail(case, tally, found), key=lambda d: self._place[d["case"]])
            del self.shown[change][SHOWN_CASES:]
        return tally

    def _detail(self, case: Case, tally: CaseTally, record: Mapping[str, Json]) -> Record:
        detail: Record = {
            "case": case.id,
            "description": case.description,
            "tags": list(case.tags),
            "critical": case.critical,
            "vars": {k: v[:1_000] for k, v in case.vars.items()},
            CANDIDATE: _telling(record.get(CANDIDATE), failing=True, passed=tally.candidate),
        }
        if not self.absolute:
            detail[STABLE] = _telling(record.get(STABLE), failing=False, passed=tally.stable)
        if tally.candidate is None or (tally.stable is None and not self.absolute):
            detail["reason"] = tally.reason
        return detail


def _telling(runs: Sequence[Mapping[str, Json]] | None, *, failing: bool, passed: int | None) -> Record:
    """The run that explains a change: a failing one of the candidate, a passing one of the stable version."""
    if not runs:
        return {"passes": passed, "runs": 0}
    chosen = next((r for r in runs if r.get("passed") is (not failing)), runs[0])
    failed = [g for g in chosen.get("asserts") or [] if not g["passed"]]
    return {
        "passes": passed,
        "runs": len(runs),
        "output": str(chosen.get("output", ""))[:4_000],
        "output_chars": chosen.get("output_chars", len(str(chosen.get("output", "")))),
        "stop_reason": chosen.get("stop_reason"),
        "failed": [{"type": g["type"], "reason": g.get("reason", "")} for g in failed],
    }
