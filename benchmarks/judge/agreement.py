"""The benchmark's vectorised judge must be the shipped one: compare them block by block on single runs."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.judge import ours
from benchmarks.judge.traffic import GROUPS, Array, Scenario, generate, steady
from promptlane.domain.canary import dispersion, evidence
from promptlane.domain.canary.blocks import Arm, Block, merge


def largest_difference(seed: int) -> float:
    """Largest difference of ln evidence (harm, advance, split) and of the inflation, over scenarios and minutes."""
    cases = [
        Scenario("plain", 40, steady(0.02), steady(0.05), steady(0.1), minutes=150),
        Scenario("thin", 3, steady(0.05), steady(0.2), steady(0.3), minutes=150),
        Scenario("sessions", 60, steady(0.05), steady(0.06), steady(0.2), minutes=130, session=6, spread=6, icc=0.4),
    ]
    return max(_difference(case, seed) for case in cases)


def _difference(case: Scenario, seed: int) -> float:
    runs = 2
    counts = generate(case, runs, seed)
    past = ours.history(case, runs, seed)
    judge = ours.Judge(runs, case.minutes, past)
    margin = (np.full(runs, 0.01), np.full(runs, 0.5))
    worst = 0.0
    for t in range(case.minutes):
        judge.minute(
            t, counts.n[:, :, t], counts.y[:, :, t], counts.assigned[:, :, t], np.full(runs, case.weights(t)), margin
        )
        if t % 16 != 15 and t != case.minutes - 1:
            continue
        for run in range(runs):
            blocks = [b for b in (_block(case, counts.n[run], counts.y[run], m) for m in range(t + 1)) if b.n]
            inflation = dispersion.of_metric(blocks).factor
            few = dispersion.UNKNOWN if inflation == dispersion.UNKNOWN else None
            if few:
                continue  # so few requests that no unit groups are known yet; the benchmark starts later
            pair = (int(past[0][run]), int(past[1][run]))
            harm = evidence.harm(merge(blocks), evidence.Learner(pair), inflation=inflation)
            advance = evidence.advance(
                merge(blocks), evidence.Learner(pair), since=0, margins=(0.01, 0.5), inflation=inflation
            )
            split = evidence.split(blocks, inflation=dispersion.of_assignments(blocks).factor)
            pairs = [(harm, judge.harm[run]), (advance, judge.advance[run]), (split, judge.split[run])]
            worst = max(worst, *(abs(math.log(a) - math.log(b)) for a, b in pairs))
    return worst


def _block(case: Scenario, n: Array, y: Array, minute: int) -> Block:
    def arm(a: int) -> Arm:
        groups = tuple((int(n[a, minute, g]), int(y[a, minute, g])) for g in range(GROUPS))
        return Arm(sum(m for m, _ in groups), sum(b for _, b in groups), groups)

    return Block(60.0 * minute, 60.0, case.weights(minute), arm(0), arm(1))
