"""Results of a small run in which every case fared differently, and the report over them."""

from __future__ import annotations

from typing import Any

from promptlane.engine.plan import Plan
from promptlane.engine.records import Collector
from promptlane.engine.report import Heading
from promptlane.engine.suite import Case

PLAN = Plan(
    cases=7,
    repeats=2,
    sides=2,
    calls=28,
    judge_calls=3,
    cost_usd=0.5,
    margin=0.05,
    detectable=0.25,
    provable=0.125,
    cases_needed=99,
    batch_size=5,
    threads=4,
    parallel=3,
    warnings=("few cases",),
)
HEADING = Heading("support", 1.8e9, "version 8", "f8", "acme-8", "version 7", "f7", "acme-7", "P-8-1", 3)
LOST = "the output does not contain 'yes'"


def runs(*passed: bool | None, cost: float | None, latency: float) -> list[dict[str, Any]]:
    def run(i: int, passed: bool | None) -> dict[str, Any]:
        if passed is None:
            return {"missing": "gave up"}
        return {
            "output": f"answer {i}",
            "stop_reason": "end_turn",
            "latency_ms": latency + i,
            "input_tokens": 10,
            "output_tokens": int(latency / 10) + i,
            "cost_usd": cost,
            "passed": passed,
            "asserts": [
                {"type": "contains", "passed": passed, "score": 1} | ({} if passed else {"reason": LOST}),
                {"type": "is-json", "passed": True, "score": 1},
            ],
        }

    return [run(i, p) for i, p in enumerate(passed)]


# (id, tags, critical, description), passes of candidate and stable by run.
Y, N = True, False
ROWS: list[tuple[tuple[str, tuple[str, ...], bool, str], tuple[bool | None, bool | None], tuple[bool, bool]]] = [
    (("late", ("b", "a"), False, ""), (N, N), (Y, Y)),
    (("fine", ("a",), False, "All right"), (Y, Y), (Y, Y)),
    (("grave", ("a",), True, "Promises nothing"), (N, Y), (Y, Y)),
    (("better", (), False, ""), (Y, Y), (N, Y)),
    (("shaky", (), True, ""), (Y, N), (N, Y)),
    (("bad", ("b",), False, ""), (N, N), (N, N)),
    (("gone", (), True, ""), (Y, None), (Y, Y)),
]


def collected(rows: list[Any] = ROWS, *, absolute: bool = False, cost: float | None = 0.125) -> Collector:
    made = Collector([r[0][0] for r in rows], repeats=2, absolute=absolute)
    for (case_id, tags, critical, description), candidate, stable in rows:
        record = {"candidate": runs(*candidate, cost=0.25, latency=100)}
        if not absolute:
            record["stable"] = runs(*stable, cost=cost, latency=50)
        made.add(Case(case_id, {"q": case_id}, (), description, tags=tags, critical=critical), record)
    return made


FIRST = [(("a", ("x",), False, ""), (Y, Y), ()), (("b", (), False, ""), (N, N), ()), (("c", (), False, ""), (Y, N), ())]


def equal(n: int, passed: bool = True) -> list[Any]:
    return [((str(i), (), False, ""), (passed, passed), (Y, Y)) for i in range(n)]
