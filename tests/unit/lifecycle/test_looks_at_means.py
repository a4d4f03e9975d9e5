"""Looks at a release that watches the mean cost of its answers, from counts to the judgement and its mail."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from promptlane.domain.canary.blocks import Arm, Block
from promptlane.domain.canary.plan import estimate
from promptlane.domain.metrics import COST, ERROR
from promptlane.domain.policy import GuardPolicy
from promptlane.lifecycle.judge_step import replay
from tests.support.judged import PROMPT, RELEASE, T0, Judged, judged, policy

CAP = 0.02
NAME = COST.name


def watching(**settings: Any) -> Judged:
    guard = GuardPolicy(COST, 0.01, 0.2, cap=CAP, **settings)
    return judged(guard_metrics=(GuardPolicy(ERROR, margin_abs=0.05), guard))


def serve(w: Judged, minutes: int, control: float, trial: float, *, scatter: float = 0.5, silent: bool = False) -> None:
    """100 answers a minute that cost so much on average, a tenth of them the trial's, which is `silent` on cost."""
    w.serve(T0, minutes, per_minute=100, share=0.1, p0=0.0, p1=0.0)
    drawn = random.Random(5)
    for number in range(100 * minutes):
        of_trial = number % 10 == 0
        if of_trial and silent:
            continue
        mean = (trial if of_trial else control) / CAP
        value = round(min(drawn.gammavariate(1 / scatter**2, mean * scatter**2), 1.0), 3)
        at, group = T0 + 0.6 * number, drawn.randrange(16)
        w.counts.record(PROMPT, 2 if of_trial else 1, NAME, at, bad=value, squares=value * value, group=group)


def detail(w: Judged) -> Mapping[str, Any]:
    return w.judgements()[-1].detail


def test_a_third_more_cost_is_rolled_back_within_minutes_and_told_in_money() -> None:
    w = watching()
    serve(w, 40, 0.004, 0.0052)
    seen = w.look(T0 + 43 * 60)
    assert seen.judgement == "roll_back"
    assert seen.evidence["guilty"] == NAME
    assert "CostShare: answers cost 0.005" in seen.reason
    assert "each counted as 0.02 at most" in seen.reason
    chunks = w.blocks.load(RELEASE, "canary")
    assert {c.metric for c in chunks} == {"Error", NAME, "Assigned"}
    assert all(c.history is None for c in chunks if c.metric == NAME)
    again = replay(detail(w), chunks, w.policy)
    assert (again.judgement, again.harm) == ("roll_back", detail(w)["harm"])


def test_answers_as_dear_as_before_advance() -> None:
    w = watching()
    serve(w, 90, 0.004, 0.004)
    seen = w.look(T0 + 93 * 60)
    assert seen.judgement == "advance"
    assert "CostShare" in seen.reason


def test_nothing_advances_on_a_cost_that_is_not_known_and_the_judge_says_why() -> None:
    w = watching()
    serve(w, 90, 0.004, 0.004, silent=True)
    seen = w.look(T0 + 93 * 60)
    assert seen.judgement == "hold"
    assert "CostShare (canary): no data is never a pass. Cost is known where the price" in seen.reason
    w = watching(required=False)
    serve(w, 90, 0.004, 0.004, silent=True)
    assert w.look(T0 + 93 * 60).judgement == "advance"


def test_one_unit_whose_answers_are_always_as_dear_as_can_be_moves_nothing() -> None:
    w = watching()
    serve(w, 60, 0.004, 0.004)
    for number in range(120):
        w.counts.record(PROMPT, 2, NAME, T0 + 30 * number, bad=1.0, squares=1.0, group=3)
    assert w.look(T0 + 63 * 60).judgement != "roll_back"
    assert any("group 3" in note for note in detail(w)["notes"])


def test_sums_without_squares_are_left_out_and_noted() -> None:
    w = watching()
    serve(w, 5, 0.004, 0.004)
    w.look(T0 + 8 * 60)

    def bare(arm: Arm) -> Arm:
        return replace(arm, squares=())

    def plain(block: Block) -> Block:
        return replace(block, control=bare(block.control), trial=bare(block.trial))

    chunks = [replace(c, blocks=tuple(map(plain, c.blocks))) for c in w.blocks.load(RELEASE, "canary")]
    again = replay(detail(w), chunks, w.policy)
    assert any(note.startswith("CostShare: ") and "have no sum of squares" in note for note in again.notes)
    assert next(m for m in again.metrics if m.name == NAME).trial.n == 0


def test_a_plan_waits_for_a_mean_longer_the_narrower_its_margin() -> None:
    def answers(margin: float, mean: float | None = None) -> float:
        guard = GuardPolicy(COST, 0.0, margin, cap=CAP, prior_rate=mean)
        return estimate(policy(guard_metrics=(guard,)), 100.0).steps[0].canary_requests

    assert answers(0.1) > 2 * answers(0.2) > 6 * answers(0.5)
    assert answers(0.2, 0.2) == answers(0.2)
    assert answers(0.2, 0.01) > answers(0.2)
    unprovable = GuardPolicy(COST, 0.9, 0.0, cap=CAP, prior_rate=0.2)
    assert not estimate(policy(guard_metrics=(unprovable,)), 100.0).finishes
