"""Compare the judge with the rules of others: false rollbacks, delay, false promotions; what one unit moves; and means.

    python -m benchmarks.judge.run [--runs 200] [--equal-runs 400] [--hostile-runs 250] [--seed 1] [--parts equal ...]

The defaults take some 2,100 seconds of a processor (reckoned from parts), 18 minutes of two idle ones; what
docs/judge.md claims of what is beside the traffic is of `--hostile-runs 1000`. Writes .local/bench/judge.json, and the
table and plots of docs/judge.md between its markers. `--parts`: what is run; the rest stays as the last run with the
same seed and so many runs left it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.judge import bounded, decisions, hostile, no_control, peers, plots, scenarios
from benchmarks.judge.agreement import largest_difference
from benchmarks.judge.hostile import share
from benchmarks.judge.traffic import Array, Counts, Scenario, generate, steady

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / ".local" / "bench" / "judge.json"
KAYENTA_RUNS = 60
LONG_SESSION, LONG_SHARE = 60, 4
"""Users who stay all day make the search for groups to leave out slow: a quarter of the runs, as the table says."""
STEPS, LADDER = (0.05, 0.25, 0.50), (3.0, 1.5, 1.0)
OURS, JUDGE, FUSE = "promptlane", "promptlane_judge_alone", "promptlane_fuse_alone"
PARTS = (*plots.RULES, *plots.BESIDE)
PROCESSES = 2
Row = dict[str, Any]


def decide(scenario: Scenario, counts: Counts, seed: int, delta: float) -> dict[str, peers.Decisions]:
    n, y = counts.n.sum(-1), counts.y.sum(-1)
    seen = decisions.watch(scenario, counts, seed)
    never = np.full(len(n), peers.NEVER)
    found = {OURS: (seen["rolled_back"], never), JUDGE: (seen["judged"], never), FUSE: (seen["fused"], never)}
    for name, rule in peers.RULES.items():
        few = KAYENTA_RUNS if rule is peers.kayenta else len(n)
        found[name] = rule(scenario, n[:few], y[:few], delta)
    return found


def median_requests(counts: Counts, times: Array) -> float | None:
    """Canary requests until the rollback, median over all runs; None when fewer than half rolled back."""
    total = np.cumsum(counts.n[: len(times), 1].sum(-1), -1)
    spent = np.where(times < peers.NEVER, total[np.arange(len(times)), np.minimum(times, total.shape[1] - 1)], np.inf)
    middle = float(np.median(spent))
    return None if middle == np.inf else middle


class Job(Protocol):
    """Something to simulate: its row of a part's table."""

    def row(self) -> Row: ...


@dataclass(frozen=True)
class Equal:
    """Shares of runs in which each rule rolls an equal version back."""

    at: int
    runs: int
    seed: int

    def row(self) -> Row:
        scenario = scenarios.equal()[self.at]
        runs = self.runs // LONG_SHARE if scenario.session >= LONG_SESSION else self.runs
        counts = generate(scenario, runs, self.seed + self.at)
        found = decide(scenario, counts, self.seed + self.at, scenarios.margin(scenario.p0(0)))
        return {"scenario": scenario.name, **{name: share(back) for name, (back, _) in found.items()}}


@dataclass(frozen=True)
class Harmful:
    """Median canary requests until rollback relative to the oracle; empty where the oracle finds fewer than 90 %."""

    at: int
    runs: int
    seed: int

    def row(self) -> Row:
        scenario = scenarios.harmful()[self.at]
        counts = generate(scenario, self.runs, self.seed + 1000 + self.at)
        found = decide(scenario, counts, self.seed + self.at, scenarios.margin(scenario.p0(0)))
        bound = median_requests(counts, found["sprt_oracle"][0])
        if share(found["sprt_oracle"][0]) < 0.9 or not bound:
            return {}
        medians = {name: median_requests(counts, back) for name, (back, _) in found.items()}
        return {
            "scenario": scenario.name,
            **{name: None if m is None else round(m / bound, 3) for name, m in medians.items()},
        }


@dataclass(frozen=True)
class Worse:
    """Share promoted although worse; ours through its steps within a day, others at 10 % within six hours."""

    at: int
    runs: int
    seed: int

    def row(self) -> Row:
        case = scenarios.worse()[self.at]
        mine = released(case.rate, case.p0, case.p1, self.runs, self.seed + self.at)
        six = Scenario(case.name, case.rate, steady(case.p0), steady(case.p1), steady(0.1))
        counts = generate(six, self.runs, self.seed + 2000 + self.at)
        n, y = counts.n.sum(-1), counts.y.sum(-1)
        row = {"scenario": case.name, OURS: share(mine["promoted"])}
        for name, rule in peers.RULES.items():
            few = KAYENTA_RUNS if rule is peers.kayenta else self.runs
            _, go = rule(six, n[:few], y[:few], scenarios.margin(case.p0))
            row[name] = share(go)
        return row


@dataclass(frozen=True)
class Good:
    """What becomes of an equal version: promoted when, held, or rolled back."""

    rate: float
    p0: float
    runs: int
    seed: int

    def row(self) -> Row:
        made = released(self.rate, self.p0, self.p0, self.runs, self.seed)
        promoted = made["promoted"][made["promoted"] < peers.NEVER]
        return {
            "rate": self.rate,
            "p0": self.p0,
            "promoted": share(made["promoted"]),
            "rolled_back": share(made["rolled_back"]),
            "median_minutes": float(np.median(promoted)) + 1 if len(promoted) else None,
        }


def released(rate: float, p0: float, p1: float, runs: int, seed: int) -> dict[str, Array]:
    day = Scenario("release", rate, steady(p0), steady(p1), steady(0.1), minutes=1440)
    return decisions.release(day, runs, seed, steps=STEPS, ladder=LADDER)


def jobs(part: str, given: argparse.Namespace) -> list[Job]:
    runs, seed = given.runs, given.seed
    if part == "equal":
        return [Equal(i, given.equal_runs, seed) for i in range(len(scenarios.equal()))]
    if part == "harmful_vs_sprt":
        return [Harmful(i, runs, seed) for i in range(len(scenarios.harmful()))]
    if part == "worse_promoted":
        return [Worse(i, runs, seed) for i in range(len(scenarios.worse()))]
    if part == "good_releases":
        rates = (10, 0.01), (100, 0.005), (100, 0.02), (1000, 0.005), (1000, 0.02)
        return [Good(rate, p0, runs, seed + 50 + i) for i, (rate, p0) in enumerate(rates)]
    many = given.hostile_runs
    if part == "six_hours":
        return [hostile.SixHours(case) for case in hostile.cases(scenarios.thin(), 10, 0.05, many, seed + 3500)[:2]]
    if part == "sprt_beside_fresh_sessions":
        return [hostile.Bound(each, many, seed + 3980) for each in (0, 1, 3, 10)]
    if part == "means":
        return [*bounded.cases(many, seed + 5000)]
    if part == "knows_track":
        return [*hostile.cases(scenarios.knowing(), 100, 0.02, many, seed + 4000)]
    empty = {"empty answers, one metric of five": scenarios.Beside(metrics=5)}
    return [
        *hostile.cases(scenarios.hostile(), 100, 0.02, many, seed + 3000),
        *hostile.cases(scenarios.thin(), 10, 0.05, many, seed + 3500),
        *hostile.cases(empty, 100, 0.001, many, seed + 3900),
        *no_control.cases(many, seed + 3950),
    ]


def simulate(parts: list[str], given: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    todo = [(part, job) for part in parts for job in jobs(part, given)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        for (part, _), row in zip(todo, pool.map(_row, [job for _, job in todo]), strict=True):
            told = row.get("false_rollback", row.get(OURS, row.get("promoted", row.get("median_minutes"))))
            print(f"{time.strftime('%H:%M:%S')} {part}, {row.get('scenario', row.get('rate'))}: {told}", flush=True)
            yield part, row


def _row(job: Job) -> Row:
    return job.row()


def summary(null: Row, harm: Row, worse: Row) -> dict[str, dict[str, float | int | None]]:
    methods: dict[str, dict[str, float | int | None]] = {}
    for name in [OURS, JUDGE, FUSE, *peers.RULES]:
        backs = [row[name] or 0.0 for row in null.values()]
        ratios = [row[name] for row in harm.values()]
        reached = [r for r in ratios if r]
        promoted = [row[name] or 0.0 for row in worse.values() if name in row]
        methods[name] = {
            "false_rollback_mean": round(float(np.mean(backs)), 4),
            "false_rollback_max": max(backs),
            "median_requests_vs_sprt": round(float(np.exp(np.mean(np.log(reached)))), 3) if reached else None,
            "median_reached": len(reached),
            "harmful_scenarios": len(ratios),
            "false_promotion_max": max(promoted) if promoted else None,
        }
    return methods


def last(given: argparse.Namespace) -> dict[str, list[Row]]:
    """Rows of the parts that are not run, from the last result, if it had the same seed and as many runs of them."""
    kept = [part for part in PARTS if part not in given.parts]
    old = json.loads(RESULT.read_text()) if kept and RESULT.exists() else {}
    counts = dict.fromkeys(plots.RULES, "runs") | {"equal": "equal_runs"} | dict.fromkeys(plots.BESIDE, "hostile_runs")
    same = [part for part in kept if all(old.get(n) == getattr(given, n) for n in ("seed", counts[part]))]
    rows = {part: old["rows"][part] for part in same if part in old["rows"]}
    if missing := [part for part in kept if part not in rows]:
        print(f"{', '.join(missing)}: not in {RESULT} for this seed and so many runs; run these parts too", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--equal-runs", type=int, default=400)
    parser.add_argument("--hostile-runs", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    difference = max(largest_difference(given.seed), bounded.largest_difference(given.seed))
    if difference > 1e-9:
        sys.exit(
            f"the vectorised judge differs from promptlane.domain by {difference:g}; the figures would mean nothing"
        )
    rows = last(given) | {part: [] for part in given.parts}
    for part, row in simulate(given.parts, given):
        if row:
            rows[part].append(row)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "runs": given.runs,
        "equal_runs": given.equal_runs,
        "hostile_runs": given.hostile_runs,
        "seed": given.seed,
        "agreement_with_domain": difference,
        "rows": rows,
    }
    if all(part in rows for part in plots.RULES):
        by_name = {part: {r["scenario"]: r for r in rows[part]} for part in PARTS[:3]}
        result["methods"] = summary(*by_name.values())
        result["scenarios"] = by_name | {"good_releases": rows["good_releases"]}
        print(json.dumps(result["methods"][OURS]))
    result |= {part: rows[part] for part in plots.BESIDE if part in rows}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    plots.write(result, ROOT / "docs")


if __name__ == "__main__":
    main()
