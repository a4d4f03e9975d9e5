"""The benchmark's vectorised judge must be the shipped one: compare them block by block on single runs."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.judge import decisions, ours
from benchmarks.judge.traffic import GROUPS, Array, Scenario, Unit, generate, steady
from promptlane.domain.canary.blocks import Arm, Block
from promptlane.domain.canary.judge import StepContext
from promptlane.domain.canary.judge import judge as domain_judge
from promptlane.domain.metrics import ERROR
from promptlane.domain.names import Phase
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy, Reviewer, ReviewPolicy, Step

POLICY = Policy(
    review=ReviewPolicy((Reviewer("lead", "lead@example.com"),)),
    canary=CanaryPolicy(steps=(Step(1000),), ladder=(1.0,), guard_metrics=(GuardPolicy(ERROR, 0.01, 0.5),)),
)
CONTEXT = StepContext(Phase.CANARY, 0, since=0.0, phase_since=0.0)


def largest_difference(seed: int) -> float:
    """Largest difference of ln evidence (harm, advance, split) and of the inflation, over scenarios and minutes."""
    cases = [
        Scenario("plain", 40, steady(0.02), steady(0.05), steady(0.1), minutes=150),
        Scenario("thin", 3, steady(0.05), steady(0.2), steady(0.3), minutes=150),
        Scenario("bad on stable", 90, steady(0.02), steady(0.08), steady(0.1), minutes=130, units=(Unit(0, 5.0),)),
        Scenario("bad on the canary", 90, steady(0.02), steady(0.02), steady(0.1), minutes=130, units=(Unit(1, 1.0),)),
        Scenario("sessions", 60, steady(0.05), steady(0.06), steady(0.2), minutes=130, session=6, spread=6, icc=0.4),
    ]
    return max(_difference(case, seed) for case in cases)


def _difference(case: Scenario, seed: int) -> float:
    runs = 2
    counts = generate(case, runs, seed)
    past = decisions.history(case, runs, seed)
    judge = ours.Judge(runs, case.minutes, past, needed=0)
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
            pair = (int(past[0][run]), int(past[1][run]))
            found = domain_judge(
                {ERROR.name: blocks}, blocks, POLICY, CONTEXT, 60.0 * (t + 1), history={ERROR.name: pair}
            )
            (metric,) = found.metrics
            mine = [(metric.harm, judge.harm[run]), (metric.advance or 0.0, judge.advance[run])]
            # The benchmark's evidence is 1 at most where the guard does not let it count; the product says so instead.
            pairs = [(a, b) for a, b in mine if b > 1 or a <= 1]
            worst = max(worst, *(abs(math.log(a) - math.log(b)) for a, b in [*pairs, (found.split, judge.split[run])]))
            guarded = [b <= 1 < a for a, b in mine]
            told = [any("rests on" in note for note in found.notes), metric.advance_rests_on is not None]
            decided = [metric.harm >= 20, (metric.advance or 0.0) >= 20]
            if any(d and g != s for d, g, s in zip(decided, guarded, told, strict=True)):
                return math.inf
    return worst


def _block(case: Scenario, n: Array, y: Array, minute: int) -> Block:
    def arm(a: int) -> Arm:
        groups = tuple((int(n[a, minute, g]), int(y[a, minute, g])) for g in range(GROUPS))
        return Arm(sum(m for m, _ in groups), sum(b for _, b in groups), groups)

    return Block(60.0 * minute, 60.0, case.weights(minute), arm(0), arm(1))
