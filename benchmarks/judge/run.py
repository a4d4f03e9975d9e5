"""Compare the judge with the rules of others: false rollbacks, delay, false promotions.

    python -m benchmarks.judge.run [--runs 300] [--seed 1]

Writes .local/bench/judge.json, and the table and plots of docs/judge.md between its markers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judge import hostile, ours, peers, plots, scenarios
from benchmarks.judge.agreement import largest_difference
from benchmarks.judge.traffic import Array, Counts, Scenario, generate, steady

ROOT = Path(__file__).resolve().parents[2]
KAYENTA_RUNS = 60
STEPS, LADDER = (0.05, 0.25, 0.50), (3.0, 1.5, 1.0)
OURS, JUDGE, FUSE = "promptlane", "promptlane_judge_alone", "promptlane_fuse_alone"
Row = dict[str, dict[str, float | None]]
HOSTILE_RUNS = 1000
PROCESSES = 2


def decide(scenario: Scenario, counts: Counts, seed: int, delta: float) -> dict[str, peers.Decisions]:
    n, y = counts.n.sum(-1), counts.y.sum(-1)
    seen = ours.watch(scenario, counts, seed)
    never = np.full(len(n), peers.NEVER)
    found = {OURS: (seen["rolled_back"], never), JUDGE: (seen["judged"], never), FUSE: (seen["fused"], never)}
    for name, rule in peers.RULES.items():
        few = KAYENTA_RUNS if rule is peers.kayenta else len(n)
        found[name] = rule(scenario, n[:few], y[:few], delta)
    return found


def share(times: Array) -> float:
    return round(float((times < peers.NEVER).mean()), 4)


def median_requests(counts: Counts, times: Array) -> float | None:
    """Canary requests until the rollback, median over all runs; None when fewer than half rolled back."""
    total = np.cumsum(counts.n[: len(times), 1].sum(-1), -1)
    spent = np.where(times < peers.NEVER, total[np.arange(len(times)), np.minimum(times, total.shape[1] - 1)], np.inf)
    middle = float(np.median(spent))
    return None if middle == np.inf else middle


def equal_versions(runs: int, seed: int) -> Row:
    rows: Row = {}
    for i, scenario in enumerate(scenarios.equal()):
        counts = generate(scenario, runs, seed + i)
        found = decide(scenario, counts, seed + i, scenarios.margin(scenario.p0(0)))
        rows[scenario.name] = {name: share(back) for name, (back, _) in found.items()}
        tell(scenario.name, rows[scenario.name])
    return rows


def harmful_versions(runs: int, seed: int) -> Row:
    """Median canary requests until rollback relative to the oracle, where the oracle finds 90 % or more."""
    rows: Row = {}
    for i, scenario in enumerate(scenarios.harmful()):
        counts = generate(scenario, runs, seed + 1000 + i)
        found = decide(scenario, counts, seed + i, scenarios.margin(scenario.p0(0)))
        bound = median_requests(counts, found["sprt_oracle"][0])
        if share(found["sprt_oracle"][0]) < 0.9 or not bound:
            continue
        medians = {name: median_requests(counts, back) for name, (back, _) in found.items()}
        rows[scenario.name] = {name: None if m is None else round(m / bound, 3) for name, m in medians.items()}
        tell(scenario.name, rows[scenario.name])
    return rows


def worse_versions(runs: int, seed: int) -> Row:
    """Share promoted although worse; ours through its steps within a day, others at 10 % within six hours."""
    rows: Row = {}
    for i, case in enumerate(scenarios.worse()):
        day = Scenario(case.name, case.rate, steady(case.p0), steady(case.p1), steady(0.1), minutes=1440)
        mine = ours.release(day, runs, seed + i, steps=STEPS, ladder=LADDER, margin_abs=0.01, margin_rel=0.5)
        six = Scenario(case.name, case.rate, steady(case.p0), steady(case.p1), steady(0.1))
        counts = generate(six, runs, seed + 2000 + i)
        n, y = counts.n.sum(-1), counts.y.sum(-1)
        rows[case.name] = {OURS: share(mine["promoted"])}
        for name, rule in peers.RULES.items():
            few = KAYENTA_RUNS if rule is peers.kayenta else runs
            _, go = rule(six, n[:few], y[:few], scenarios.margin(case.p0))
            rows[case.name][name] = share(go)
        tell(case.name, rows[case.name])
    return rows


def good_releases(runs: int, seed: int) -> list[dict[str, Any]]:
    """What becomes of equal versions by traffic: promoted when, held, or rolled back."""
    rows = []
    for i, (rate, p0) in enumerate([(10, 0.01), (100, 0.005), (100, 0.02), (1000, 0.005), (1000, 0.02)]):
        day = Scenario("equal", rate, steady(p0), steady(p0), steady(0.1), minutes=1440)
        made = ours.release(day, runs, seed + 50 + i, steps=STEPS, ladder=LADDER, margin_abs=0.01, margin_rel=0.5)
        promoted = made["promoted"][made["promoted"] < peers.NEVER]
        minutes = float(np.median(promoted)) + 1 if len(promoted) else None
        rows.append(
            {
                "rate": rate,
                "p0": p0,
                "promoted": share(made["promoted"]),
                "rolled_back": share(made["rolled_back"]),
                "median_minutes": minutes,
            }
        )
    return rows


def beside_one_unit(runs: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """What one unit moves, whether it knows its track or not."""
    unknowing = [
        case
        for rate, p0 in ((100, 0.02), (10, 0.05))
        for case in hostile.cases(scenarios.hostile(rate), rate, p0, runs, seed + 3000)
    ]
    knowing = hostile.cases(scenarios.knowing(), 100, 0.02, runs, seed + 4000)
    with ProcessPoolExecutor(PROCESSES) as pool:
        rows = []
        for row in pool.map(hostile.Case.row, [*unknowing, *knowing]):
            print(f"{time.strftime('%H:%M:%S')} {row['scenario']}: {row['false_rollback']}", flush=True)
            rows.append(row)
    return {"hostile": rows[: len(unknowing)], "knows_track": rows[len(unknowing) :]}


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


def tell(name: str, row: dict[str, float | None]) -> None:
    print(f"{time.strftime('%H:%M:%S')} {name}: promptlane {row[OURS]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--hostile-runs", type=int, default=HOSTILE_RUNS)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    difference = largest_difference(given.seed)
    if difference > 1e-9:
        sys.exit(
            f"the vectorised judge differs from promptlane.domain by {difference:g}; the figures would mean nothing"
        )
    null = equal_versions(given.runs, given.seed)
    harm = harmful_versions(given.runs, given.seed)
    worse = worse_versions(given.runs, given.seed)
    good = good_releases(given.runs, given.seed)
    methods = summary(null, harm, worse)
    result = {
        "runs": given.runs,
        "hostile_runs": given.hostile_runs,
        "seed": given.seed,
        "agreement_with_domain": difference,
        "methods": methods,
        **beside_one_unit(given.hostile_runs, given.seed),
        "scenarios": {"equal": null, "harmful_vs_sprt": harm, "worse_promoted": worse, "good_releases": good},
    }
    out = ROOT / ".local" / "bench" / "judge.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    plots.write(result, ROOT / "docs")
    mine = methods[OURS]
    print(json.dumps(mine))


if __name__ == "__main__":
    main()
