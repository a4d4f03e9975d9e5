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

from promptlane.domain.suite.answers import Answer
from promptlane.domain.suite.statistics import all_of_k
from promptlane.domain.suite.verdict import CaseTally, Change, change_of

from .runner import CANDIDATE, STABLE, CaseRun, Run
from .suite import Case
from .transcript import OPENING, asked_in, text_of

Json = Any
Record = dict[str, Json]
STORED_CHARS: Final = 20_000
"""Characters of an output that a record keeps; assertions have seen all of it."""
SHOWN_CASES: Final = 200
SHOWN_CHARS: Final = 4_000


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
        data |= _answered(run.answer)
        if run.answer.later:
            data["later"] = [_answered(one) for one in run.answer.later]
    if run.grade is not None:
        data |= {
            "passed": run.grade.passed,
            "score": round(run.grade.score, 4),
            "asserts": [g.to_dict() for g in run.grade.grades],
        }
    return data


def _answered(a: Answer) -> Record:
    data: Record = {
        "output": a.text[:STORED_CHARS],
        "stop_reason": a.stop_reason,
        "latency_ms": round(a.latency_ms, 1),
        "input_tokens": a.input_tokens,
        "output_tokens": a.output_tokens,
        "cost_usd": a.cost_usd,
    }
    if a.cache_read_tokens or a.cache_write_tokens:
        data |= {"cache_read_tokens": a.cache_read_tokens, "cache_write_tokens": a.cache_write_tokens}
        data["paid_usd"] = a.paid_usd
    if len(a.text) > STORED_CHARS:
        data["output_chars"] = len(a.text)
    if a.tool_calls:
        data["tool_calls"] = [{"name": t.name, "input": t.input} for t in a.tool_calls][:20]
    return data


def passes(runs: Sequence[Mapping[str, Json]] | None, repeats: int) -> int | None:
    """How many of a side's runs passed; None unless all of them were run and graded."""
    if runs is None or len(runs) != repeats or any("passed" not in r for r in runs):
        return None
    return sum(bool(r["passed"]) for r in runs)


def latency_ms(runs: Iterable[Mapping[str, Json]]) -> float:
    """How long all answers of a side took together, in milliseconds."""
    answers = [answer for run in runs if "output" in run for answer in (run, *run.get("later", ()))]
    return fsum(float(answer["latency_ms"]) for answer in answers)


def missing_reason(record: Mapping[str, Json]) -> str:
    """Why a case is missing, by side."""
    found = []
    for side in (CANDIDATE, STABLE):
        reasons = [r["missing"] for r in record.get(side) or [] if r.get("missing")]
        if reasons:
            found.append(f"{side}: {reasons[0]}")
    return "; ".join(found)


class Side:
    """Sums over all answers of one side, those of each turn."""

    def __init__(self) -> None:
        self.latency = array("d")
        self.input_tokens = self.output_tokens = self.runs = self.reused = 0
        self.cache_read_tokens = self.cache_write_tokens = 0
        self.costs = array("d")
        """What calls of this run cost, USD, as if nothing were cached; reused answers cost nothing again."""
        self.paid = array("d")
        """What they really cost."""
        self.priced = True

    def add(self, run: Mapping[str, Json]) -> None:
        if "output" not in run:
            return
        for answer in (run, *run.get("later", ())):
            self.runs += 1
            self.latency.append(float(answer["latency_ms"]))
            self.input_tokens += int(answer["input_tokens"])
            self.output_tokens += int(answer["output_tokens"])
            self.cache_read_tokens += int(answer.get("cache_read_tokens", 0))
            self.cache_write_tokens += int(answer.get("cache_write_tokens", 0))
            if run.get("reused"):
                self.reused += 1
            elif answer.get("cost_usd") is None:
                self.priced = False
            else:
                self.costs.append(float(answer["cost_usd"]))
                self.paid.append(float(answer.get("paid_usd", answer["cost_usd"])))

    def to_dict(self) -> Record:
        """`cost_usd` counts every input token as uncached; where the cache was in use `paid_usd` is what was paid."""
        ordered = sorted(self.latency)
        found = {
            "runs": self.runs,
            "reused": self.reused,
            "latency_ms_p50": _quantile(ordered, 0.5),
            "latency_ms_p95": _quantile(ordered, 0.95),
            "input_tokens_mean": self.input_tokens / self.runs if self.runs else None,
            "output_tokens_mean": self.output_tokens / self.runs if self.runs else None,
            "cost_usd": fsum(self.costs) if self.priced else None,
        }
        if self.cache_read_tokens or self.cache_write_tokens:
            found["cache_read_tokens_mean"] = self.cache_read_tokens / self.runs
            found["cache_write_tokens_mean"] = self.cache_write_tokens / self.runs
            found["paid_usd"] = fsum(self.paid) if self.priced else None
        return found


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
        self.passes: dict[str, dict[str, tuple[int, int]]] = {side: {} for side in self.sides}
        """By side and case: (passes, runs) of those that were run completely, before `at_least` makes one of them."""
        self.latency_ms: dict[str, float] = {}
        """By case: how long the candidate took for all of its answers."""

    def add(self, case: Case, record: Mapping[str, Json] | None) -> CaseTally:
        """Count one case; `record` None: it was never run (its batch failed)."""
        found: Mapping[str, Json] = record or {}
        for side, sums in self.sides.items():
            for run in found.get(side) or ():
                sums.add(run)
        self.latency_ms[case.id] = latency_ms(found.get(CANDIDATE) or ())
        reason = missing_reason(found) if record else "its batch of cases did not finish"
        runs, least = case.runs(self.repeats), case.at_least
        won = {side: passes(found.get(side), runs) for side in self.sides}
        for side, count in won.items():
            if count is not None:
                self.passes[side][case.id] = (count, runs)
        if least is not None:
            won = {side: None if count is None else int(count >= least) for side, count in won.items()}
        tally = CaseTally(
            case=case.id,
            runs=runs if least is None else 1,
            candidate=won[CANDIDATE],
            stable=won.get(STABLE),
            tags=case.tags,
            critical=case.critical,
            reason=reason[:500],
            behind=None if least is None else runs,
        )
        change = change_of(tally, absolute=self.absolute)
        insort(self.tallies, tally, key=lambda t: self._place[t.case])
        if change is not Change.PASSING:
            insort(self.shown[change], self._detail(case, tally, found), key=lambda d: self._place[d["case"]])
            del self.shown[change][SHOWN_CASES:]
        return tally

    def _passed(self, case: Case, side: str) -> int | None:
        return self.passes[side].get(case.id, (None, 0))[0]

    def all_of_k(self) -> Record | None:
        """pass^k by side, over the cases that both sides ran completely and more than once; None where there is none.

        `k` is the fewest of their runs, `cases` their number, each side a list of pass^1 … pass^k.
        """
        both = set[str].intersection(*({c for c, (_, n) in found.items() if n > 1} for found in self.passes.values()))
        if not both:
            return None
        chosen = {side: [found[case] for case in sorted(both)] for side, found in self.passes.items()}
        k = min(n for _, n in chosen[CANDIDATE])
        return {"k": k, "cases": len(both)} | {
            side: [all_of_k(found, j) for j in range(1, k + 1)] for side, found in chosen.items()
        }

    def _detail(self, case: Case, tally: CaseTally, record: Mapping[str, Json]) -> Record:
        detail: Record = {
            "case": case.id,
            "description": case.description,
            "tags": list(case.tags),
            "critical": case.critical,
            "vars": {k: v[:1_000] for k, v in case.vars.items()},
            CANDIDATE: telling(case, record.get(CANDIDATE), failing=True, passed=self._passed(case, CANDIDATE)),
        }
        if case.at_least is not None:
            detail["at_least"] = case.at_least
        if case.messages:
            detail["messages"] = [{"role": m["role"], "text": text_of(m["content"])[:1_000]} for m in case.messages]
        if not self.absolute:
            detail[STABLE] = telling(case, record.get(STABLE), failing=False, passed=self._passed(case, STABLE))
        if tally.candidate is None or (tally.stable is None and not self.absolute):
            detail["reason"] = tally.reason
        return detail


def telling(case: Case, runs: Sequence[Mapping[str, Json]] | None, *, failing: bool, passed: int | None) -> Record:
    """The run that explains a change: a failing one of the candidate, a passing one of the stable version.

    Of a conversation `turns` holds what was asked and answered, and `output` all of it as one text.
    """
    if not runs:
        return {"passes": passed, "runs": 0}
    chosen = next((r for r in runs if r.get("passed") is (not failing)), runs[0])
    failed = [g for g in chosen.get("asserts") or [] if not g["passed"]]
    answers = [chosen, *chosen.get("later", ())]
    told: Record = {
        "passes": passed,
        "runs": len(runs),
        "output": _output(chosen),
        "output_chars": max(a.get("output_chars", len(str(a.get("output", "")))) for a in answers),
        "stop_reason": answers[-1].get("stop_reason"),
        "failed": [{"type": _about(g), "reason": g.get("reason", "")} for g in failed],
    }
    if case.turns and "output" in chosen:
        told["turns"] = [
            {"asked": asked[:SHOWN_CHARS], "output": _output(answer)}
            for asked, answer in zip(("", *(asked_in(turn, case) for turn in case.turns)), answers, strict=False)
        ]
        told["output"] = "\n\n".join(_as_text(i, turn) for i, turn in enumerate(told["turns"], start=OPENING))
    return told


def _output(answer: Mapping[str, Json]) -> str:
    """What an answer says, cut for showing; of one without text, the tools that it calls."""
    text = str(answer.get("output", ""))[:SHOWN_CHARS]
    calls = [{"toolUse": call} for call in answer.get("tool_calls") or ()]
    return text if text.strip() or not calls else text_of(calls)[:SHOWN_CHARS]


def _about(grade: Mapping[str, Json]) -> str:
    """Which assertion it is, and of which turn."""
    return f"turn {grade['turn']}, {grade['type']}" if grade.get("turn") else str(grade["type"])


def _as_text(number: int, turn: Mapping[str, Json]) -> str:
    asked = f" user: {turn['asked']}\n" if turn["asked"] else "\n"
    return f"[turn {number}]{asked}{turn['output']}"
