"""How often the verdict errs, by simulation with our own verdict code.

A cell is a number of cases and repeats. Case pass rates are drawn from beta distributions with mean .7 or .9 whose
repeats correlate by .2 or .6. Drops come in two shapes: every case a little worse, and a few cases broken for good.
Per cell: the worst false pass of a candidate that is worse by exactly the margin, the false fail of an equal one, and
how often the 90 % interval covers the true difference. Writes `.local/bench/verdict.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from promptlane.domain.suite.statistics import paired_interval
from promptlane.domain.suite.verdict import CaseTally, Finding, Rules, compare

ROOT = Path(__file__).resolve().parents[1]
CASES = (20, 50, 200)
REPEATS = (1, 3, 5)
WORLDS = tuple((rate, correlation) for rate in (0.7, 0.9) for correlation in (0.2, 0.6))
ALPHA = 0.05


def margin_of(cases: int) -> float:
    """10 points where 20 cases could prove no less, else 5."""
    return 0.10 if cases <= 20 else 0.05


class World:
    """Draws runs of both versions; `shape`: equal, uniform or broken."""

    def __init__(self, dice: random.Random, rate: float, correlation: float, shape: str, drop: float) -> None:
        self.dice, self.shape = dice, shape
        self.a = rate * (1 - correlation) / correlation
        self.b = (1 - rate) * (1 - correlation) / correlation
        self.left = 1 - drop / rate

    def passes(self, rate: float, repeats: int) -> int:
        draw = self.dice.random
        return sum(draw() < rate for _ in range(repeats))

    def draw(self, cases: int, repeats: int) -> Iterator[tuple[int, int]]:
        for _ in range(cases):
            rate = self.dice.betavariate(self.a, self.b)
            worse = rate
            if self.shape == "uniform":
                worse = rate * self.left
            elif self.shape == "broken" and self.dice.random() >= self.left:
                worse = 0.0
            yield self.passes(rate, repeats), self.passes(worse, repeats)


def cell(cases: int, repeats: int, runs: int, seed: int) -> dict[str, Any]:
    """One cell; `runs` simulated test runs for each world and shape."""
    margin = margin_of(cases)
    rules = Rules(margin=margin, alpha=ALPHA)
    false_pass: list[float] = []
    false_fail: list[float] = []
    right_pass: list[float] = []
    covered = counted = 0
    for rate, correlation in WORLDS:
        for shape in ("equal", "uniform", "broken"):
            truth = 0.0 if shape == "equal" else -margin
            world = World(
                random.Random(f"{seed}/{cases}/{repeats}/{rate}/{correlation}/{shape}"),
                rate,
                correlation,
                shape,
                margin,
            )
            passed = failed = 0
            for _ in range(runs):
                drawn = list(world.draw(cases, repeats))
                interval = paired_interval([(b - a) / repeats for a, b in drawn], ALPHA)
                covered += interval.lower <= truth <= interval.upper
                counted += 1
                if shape == "equal":
                    tallies = [CaseTally(str(i), repeats, b, a) for i, (a, b) in enumerate(drawn)]
                    finding = compare(tallies, rules).finding
                    failed += finding is Finding.FAIL
                    passed += finding is Finding.PASS
                else:
                    passed += interval.lower > -margin
            if shape == "equal":
                false_fail.append(failed / runs)
                right_pass.append(passed / runs)
            else:
                false_pass.append(passed / runs)
    return {
        "n": cases,
        "repeats": repeats,
        "margin": margin,
        "false_pass_at_margin": round(max(false_pass), 4),
        "false_pass_mean": round(statistics.fmean(false_pass), 4),
        "false_fail_when_equal": round(max(false_fail), 4),
        "false_fail_mean": round(statistics.fmean(false_fail), 4),
        "pass_when_equal": round(statistics.fmean(right_pass), 4),
        "coverage": round(covered / counted, 4),
        "runs": counted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000, help="simulated runs for each world and shape of a cell")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.perf_counter()
    wanted = [(n, r, options.runs, options.seed) for n in CASES for r in REPEATS]
    with ProcessPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        cells = list(pool.map(cell, *zip(*reversed(wanted), strict=True)))[::-1]
    for c in cells:
        print(
            f"n={c['n']:>3} r={c['repeats']}: false pass at the margin {c['false_pass_at_margin']:.1%} (worst of "
            f"{2 * len(WORLDS)}), false fail when equal {c['false_fail_when_equal']:.1%} (worst of {len(WORLDS)}), "
            f"pass when equal {c['pass_when_equal']:.0%}, coverage {c['coverage']:.1%} over {c['runs']:,} runs"
        )
    path = ROOT / ".local" / "bench" / "verdict.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    conditions = {
        "alpha": ALPHA,
        "worlds": WORLDS,
        "seed": options.seed,
        "seconds": round(time.perf_counter() - started, 1),
    }
    path.write_text(json.dumps({"cells": cells, "conditions": conditions}, indent=2) + "\n")
    print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
