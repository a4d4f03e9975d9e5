"""Each rule of the judge: what it decides, what it says, and which of two rules comes first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain import metrics
from promptlane.domain.canary import dispersion, evidence, one_unit
from promptlane.domain.canary import judge as judge_module
from promptlane.domain.canary.blocks import NO_GROUPS, Arm, Block, Groups, Pair, merge, rows, total
from promptlane.domain.canary.judge import Judgement, MetricEvidence, StepContext, judge, ladder_factor
from promptlane.domain.names import UNIT_GROUPS, Phase
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy, Reviewer, ReviewPolicy, Step
from tests.support.near import near

START = 1_700_000_000.0
MINUTE, HOUR = 60.0, 3600.0
ERROR, REFUSAL, SLOW, FEEDBACK = "Error", "Refusal", "Slow", "NegativeFeedback"
STEPS = (Step(1000, 600, 2 * HOUR), Step(2500, 1200, 3 * HOUR), Step(5000, 1800, 4 * HOUR))
CANARY = StepContext(Phase.CANARY, 0, since=START, phase_since=START)
WATCH = StepContext(Phase.WATCH, 0, since=START, phase_since=START, watch_until=START + 2 * HOUR)


def side(n: int, bad: int, first: int = 0) -> Arm:
    """Requests spread evenly over the groups, those that are over and bad ones over the groups from `first` on."""
    over = {(first + k) % UNIT_GROUPS for k in range(n % UNIT_GROUPS)}
    groups = [[n // UNIT_GROUPS + (g in over), 0] for g in range(UNIT_GROUPS)]
    for k in range(bad):
        groups[(first + k) % UNIT_GROUPS][1] += 1
    return Arm(n, bad, tuple((size, wrong) for size, wrong in groups))


def series(
    count: int,
    control: tuple[int, int],
    trial: tuple[int, int],
    *,
    every: int = 1,
    begin: float = START,
    share: float = 0.1,
) -> list[Block]:
    """A block a minute; bad requests in one of `every`."""
    found = []
    for i in range(count):
        (n0, y0), (n1, y1), turn = control, trial, i // every
        wrong = i % every == 0
        control_from, trial_from = (i if n < UNIT_GROUPS else turn * y for n, y in (control, trial))
        arms = side(n0, y0 * wrong, control_from), side(n1, y1 * wrong, 3 + trial_from)
        found.append(Block(begin + MINUTE * i, MINUTE, share, *arms))
    return found


def without(block: Block, arm: str) -> Block:
    silent: dict[str, Any] = {arm: Arm()}
    return replace(block, **silent)


GOOD = series(40, (288, 3), (32, 0))
HARMFUL = series(30, (288, 2), (32, 4))
UNSURE = series(11, (216, 2), (24, 1), every=4)
SKEWED = series(30, (288, 3), (96, 1))


def policy(*guards: GuardPolicy, **canary: Any) -> Policy:
    given = {"steps": STEPS, "ladder": (1.0,), "guard_metrics": guards or (GuardPolicy(metrics.ERROR),), **canary}
    return Policy(
        review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)), canary=CanaryPolicy(**given)
    )


def decide(
    blocks: Sequence[Block],
    context: StepContext = CANARY,
    *,
    now: float = START + HOUR,
    made: Policy | None = None,
    assigned: Sequence[Block] | None = None,
) -> Judgement:
    """The judgement where all metrics have the same counts, as many as were assigned."""
    made = made or policy()
    counts = {g.name: blocks for g in made.canary.guard_metrics}
    return judge(counts, blocks if assigned is None else assigned, made, context, now)


# --- what each metric is weighed by ---------------------------------------------------------------------------------

GUARDS = (
    GuardPolicy(metrics.ERROR, 0.02, 0.5),
    GuardPolicy(metrics.REFUSAL, 0.03, 0.25, tolerance=0.004, prior_rate=0.05),
    GuardPolicy(metrics.SLOW, 0.04, 0.2, required=False),
    GuardPolicy(metrics.NEGATIVE_FEEDBACK, 0.05, 0.0, prior_rate=0.02, lag=900.0),
)
COUNTS = {
    ERROR: series(40, (288, 3), (32, 1), every=2),
    REFUSAL: series(36, (216, 9), (24, 1)),
    SLOW: series(31, (160, 2), (16, 1), every=5),
    FEEDBACK: [b if i % 3 else replace(b, trial=Arm()) for i, b in enumerate(series(23, (8, 1), (2, 1), every=6))],
}
HISTORY = {ERROR: (900, 11), REFUSAL: (300, 7)}


def weighed(guard: GuardPolicy, factor: float | None, since: float, history: Pair | None) -> MetricEvidence:
    """By the bankrolls themselves; `factor` None where nothing can advance."""
    blocks = COUNTS[guard.name]
    scatter = dispersion.Scatter(blocks)
    assert one_unit.left_out(scatter) == (NO_GROUPS, NO_GROUPS)
    control, trial = total(blocks)
    before, step = [b for b in blocks if b.start < since], [b for b in blocks if b.start >= since]

    def learner() -> evidence.Learner:
        return evidence.Learner(history, guard.prior_rate)

    def harm(*out: Groups) -> float:
        inflation = scatter.inflation(*out).factor
        return evidence.harm(rows(merge(blocks), *out), learner(), tolerance=guard.tolerance, inflation=inflation)

    def advance(*out: Groups) -> float:
        return evidence.advance(
            rows([*before, *merge(step)], *out),
            learner(),
            since=since,
            margins=(guard.margin_abs * (factor or 0), guard.margin_rel * (factor or 0)),
            inflation=scatter.inflation(*out).factor,
        )

    each = [frozenset([group]) for group in range(UNIT_GROUPS)]
    harmful = 0.8 * harm() + 0.2 * sum(harm(group) for group in each) / UNIT_GROUPS
    harmless = 0.8 * advance() + 0.2 * sum(advance(NO_GROUPS, group) for group in each) / UNIT_GROUPS
    return MetricEvidence(
        guard.metric,
        control,
        trial,
        near(harmful),
        None if factor is None else near(harmless),
        scatter.inflation().factor,
        0.25,
    )


@pytest.mark.parametrize(("step", "factor"), [(0, 3.0), (1, 1.5), (2, 1.0), (3, 1.0)])
@pytest.mark.parametrize("history", [None, HISTORY])
def test_each_metric_is_weighed_by_its_own_counts_margins_and_rates(
    step: int, factor: float, history: Mapping[str, Pair] | None
) -> None:
    """Advance evidence counts from the step's start, harm from the phase's; a block on the start is the step's."""
    since = START + 7 * MINUTE
    made = policy(*GUARDS, ladder=(3.0, 1.5, 1.0), alpha=0.001, beta=0.02)
    context = replace(CANARY, step=step, since=since)
    shuffled = {name: [*blocks[5:], *blocks[:5]] for name, blocks in COUNTS.items()}
    found = judge(shuffled, COUNTS[ERROR][::-1], made, context, START + HOUR, history=history)
    expected = tuple(weighed(g, factor if g.required else None, since, (history or {}).get(g.name)) for g in GUARDS)
    assert found.metrics == expected
    assert found.harm == pytest.approx(sum(m.harm for m in found.metrics) / 4)
    assert (found.harm_needed, found.advance_needed) == (1 / 0.001, 1 / 0.02)
    assert any(m.inflation > 1 for m in expected)
    assert len(found.notes) == sum(m.inflation > 1 for m in expected)


def test_in_watch_all_metrics_are_weighed_for_harm_only() -> None:
    found = judge(COUNTS, COUNTS[ERROR], policy(*GUARDS, alpha=0.001), WATCH, START + HOUR)
    assert found.metrics == tuple(weighed(g, None, START, None) for g in GUARDS)


@pytest.mark.parametrize(("context", "step_blocks"), [(CANARY, 11), (replace(CANARY, since=START + 4 * MINUTE), 7)])
def test_thin_blocks_are_merged_within_a_step_only(context: StepContext, step_blocks: int) -> None:
    thin = series(11, (4, 1), (2, 0), every=3)
    found = decide(thin, context, now=START + 11 * MINUTE)
    step = merge(thin[-step_blocks:])
    before = thin[: 11 - step_blocks]

    def alone(*out: Groups) -> float:
        return evidence.advance(
            rows([*before, *step], *out),
            evidence.Learner(),
            since=context.since,
            margins=(0.01, 0.5),
            inflation=dispersion.Scatter(thin).inflation(*out).factor,
        )

    each = [alone(NO_GROUPS, frozenset([group])) for group in range(UNIT_GROUPS)]
    assert found.metrics[0].advance == near(0.8 * alone() + 0.2 * sum(each) / UNIT_GROUPS)


def test_evidence_of_the_split_is_that_of_assignments_and_of_errors_counted_for_half_each() -> None:
    lumpy = [replace(b, trial=Arm(32, 0, ((3, 0),) * 8 + ((1, 0),) * 8), control=side(288, 0)) for b in GOOD[:9]]
    counts = {ERROR: COUNTS[ERROR], REFUSAL: SKEWED}
    found = judge(counts, lumpy, policy(*GUARDS[:2]), CANARY, START + HOUR)
    inflation = dispersion.of_assignments(lumpy).factor
    assert inflation > 1
    parts = (evidence.split(lumpy, inflation=inflation), evidence.split(COUNTS[ERROR], inflation=1.0))
    assert dispersion.of_assignments(COUNTS[ERROR]).factor == 1.0
    assert found.split == pytest.approx(sum(parts) / 2)
    silent = judge({}, [], policy(), CANARY, START)
    assert silent.split == pytest.approx(1.0)


def test_what_is_odd_about_the_data_is_noted_metric_by_metric() -> None:
    lumpy = [replace(b, trial=Arm(32, 8, ((2, 2),) * 4 + ((2, 0),) * 12)) for b in GOOD]
    counts = {
        ERROR: [*GOOD, replace(GOOD[3], share=0.2), replace(GOOD[0], start=START - 60)],
        REFUSAL: lumpy,
        SLOW: [replace(b, control=Arm(288, 0)) for b in GOOD],
    }
    assigned = [*GOOD, replace(GOOD[5], start=START + 2 * HOUR)]
    history = {ERROR: (3, 4), REFUSAL: (30, 1)}
    made = policy(*GUARDS[:3], alpha=1e-30)
    found = judge(counts, assigned, made, CANARY, START + HOUR, history=history)
    factor = dispersion.Scatter(lumpy).inflation().factor
    assert found.notes == (
        f"Error: the block at {START + 180:.0f} came twice with different counts; the first is kept",
        f"Error: the block at {START - 60:.0f} lies before this phase; ignored",
        "Error: the control's history [3, 4] is impossible; ignored",
        f"Refusal: requests of the same users go wrong together; evidence is divided by {factor:.1f}",
        "Slow: unit groups are missing; evidence is divided by 3 to be safe",
        f"the block at {START + 2 * HOUR:.0f} lies in the future (clock moved?); ignored (assignments)",
    )
    plain = judge(counts, assigned, made, CANARY, START + HOUR, history={REFUSAL: (30, 1)})
    assert found.metrics == plain.metrics


@pytest.mark.parametrize(("silent", "end"), [("trial", 10), ("control", 10), ("trial", 0), ("control", 0)])
def test_an_arm_that_has_sent_nothing_for_an_hour_is_named(silent: str, end: int) -> None:
    """Counted from its last block, or from the phase's start; the time that its events may take comes on top."""
    blocks = [b if i < end else without(b, silent) for i, b in enumerate(series(200, (288, 3), (32, 0)))]
    made = policy(GuardPolicy(metrics.ERROR, lag=500.0))
    last = START + end * MINUTE
    for now, notes in ((last + 4099.9, ()), (last + 4100, (f"Error: the {silent} has sent no data for 68 min",))):
        assert decide(blocks[:60], now=now, made=made).notes == notes
    late = decide(blocks[:60], now=last + 5400, made=made)
    assert late.notes == (f"Error: the {silent} has sent no data for 1.5 h",)


def test_where_both_arms_are_silent_the_trial_is_named() -> None:
    assert decide([], now=START + 3600).notes == ("Error: the trial has sent no data for 60 min",)
    assert decide([], now=START + 5399).notes == ("Error: the trial has sent no data for 90 min",)
    assert decide([], now=START + 86_221).notes == ("Error: the trial has sent no data for 24.0 h",)


@pytest.mark.parametrize(
    ("steps", "ladder", "factors"),
    [
        (3, (3.0, 1.5, 1.0), [3.0, 1.5, 1.0, 1.0]),
        (2, (3.0, 1.5, 1.0), [1.5, 1.0, 1.0]),
        (5, (2.0, 1.0), [2.0, 2.0, 2.0, 2.0, 1.0, 1.0]),
    ],
)
def test_the_ladder_is_aligned_to_the_last_step(steps: int, ladder: tuple[float, ...], factors: list[float]) -> None:
    made = CanaryPolicy(steps=tuple(Step(100 + i) for i in range(steps)), ladder=ladder)
    assert [ladder_factor(made, i) for i in range(len(factors))] == factors


# --- harm -----------------------------------------------------------------------------------------------------------


def test_proved_harm_rolls_back_and_says_how_unlikely_it_was() -> None:
    made = policy(*GUARDS[:3])
    harmful = series(30, (160, 1), (16, 3))
    found = judge({ERROR: GOOD, REFUSAL: UNSURE, SLOW: harmful}, GOOD, made, CANARY, START + HOUR)
    assert (found.judgement, found.cause, found.guilty) == ("roll_back", "judge", SLOW)
    assert found.harm > 20
    assert found.reason == (
        "Slow: 90 of 480 canary requests (18.8%) were slow, against 30 of 4,800 stable requests (0.62%). If the new "
        "version were no worse, evidence this strong would turn up in at most 1 of "
        f"{min(int(found.harm), 10**12):,} releases: roll back."
    )


def test_more_than_a_trillion_is_called_a_trillion() -> None:
    found = decide(series(60, (288, 1), (32, 8)))
    assert found.harm > 1e13
    assert "at most 1 of 1,000,000,000,000 releases" in found.reason


def test_harm_decides_at_exactly_one_over_alpha() -> None:
    harms = {count: decide(series(count, (288, 2), (32, 2)), made=policy(alpha=1e-30)).harm for count in range(3, 20)}
    count, harm = next((c, h) for c, h in harms.items() if h > 3 and 1 / (1 / h) == h)
    blocks = series(count, (288, 2), (32, 2))
    assert decide(blocks, made=policy(alpha=1 / harm)).judgement == "roll_back"
    assert decide(blocks, made=policy(alpha=1 / math.nextafter(harm, math.inf) * (1 - 1e-15))).judgement == "hold"


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (metrics.ERROR, "failed"),
        (metrics.REFUSAL, "were refused"),
        (metrics.GUARDRAIL, "were stopped by the guardrail"),
        (metrics.TRUNCATION, "were truncated"),
        (metrics.SLOW, "were slow"),
        (metrics.NEGATIVE_FEEDBACK, "got negative feedback"),
    ],
)
def test_each_metric_says_what_happened_to_the_requests(metric: metrics.GuardMetric, words: str) -> None:
    found = decide(HARMFUL, made=policy(GuardPolicy(metric)))
    assert found.reason.startswith(
        f"{metric.name}: 120 of 960 canary requests (12.5%) {words}, against 60 of 8,640 stable "
    )


def test_harm_counts_before_an_operators_wishes_and_the_end_of_a_watch() -> None:
    for context in (
        replace(CANARY, advance="ana: known"),
        replace(CANARY, paused="ana: lunch"),
        replace(WATCH, watch_until=START),
    ):
        assert decide(HARMFUL, context).cause == "judge"
        assert decide(HARMFUL, context).judgement == "roll_back"


# --- the split ------------------------------------------------------------------------------------------------------

BROKEN = (
    "The split is broken: the trial has 25% of 11,520 assignments instead of 10%. No comparison can be trusted "
    "until this is explained (lost telemetry, an old client)."
)


def test_without_a_history_a_broken_split_holds_before_harm_and_harmlessness() -> None:
    for blocks in (SKEWED, [replace(b, trial=side(96, 40)) for b in SKEWED]):
        found = decide(blocks)
        assert (found.judgement, found.cause, found.reason, found.guilty) == ("hold", "split", BROKEN, None)


def test_assignments_or_outcomes_are_named_whichever_is_further_off() -> None:
    lost = [replace(b, trial=side(8, 0)) for b in GOOD]
    found = decide(lost, assigned=GOOD)
    assert found.cause == "split"
    assert found.reason.startswith(
        "The split is broken: the trial has 2.7% of 11,840 outcomes instead of 10%. No comparison"
    )
    found = decide(GOOD, assigned=[replace(b, trial=side(2, 0)) for b in GOOD])
    assert found.reason.startswith("The split is broken: the trial has 0.69% of 11,600 assignments instead of 10%.")


def test_the_declared_share_is_that_of_the_requests_when_it_changed() -> None:
    """30 blocks of 384 at 10%, then 10 of 192 at 40%."""
    later = series(10, (144, 1), (48, 1), begin=START + 30 * MINUTE, share=0.4)
    found = decide([*SKEWED, *later])
    declared = (0.1 * 30 * 384 + 0.4 * 10 * 192) / (30 * 384 + 10 * 192)
    assert f"the trial has 25% of 13,440 assignments instead of {100 * declared:.1f}%" in found.reason


def test_a_split_is_broken_from_a_thousand_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge_module.SPLIT_BROKEN == 1000
    split = decide(SKEWED).split
    assert split > 1000
    for limit, cause in ((split, "split"), (math.nextafter(split, math.inf), "")):
        monkeypatch.setattr(judge_module, "SPLIT_BROKEN", limit)
        assert decide(SKEWED, made=policy(alpha=1e-30, beta=1e-30)).cause == cause


def test_over_a_broken_split_an_operator_may_advance() -> None:
    found = decide(SKEWED, replace(CANARY, advance="ana: known", paused="bo: wait"), now=START + 3 * HOUR)
    assert (found.judgement, found.cause, found.reason) == (
        "advance",
        "operator",
        "Advanced by an operator. ana: known",
    )


@pytest.mark.parametrize(("step", "limit"), [(0, 2 * HOUR), (1, 3 * HOUR), (2, 4 * HOUR), (7, 4 * HOUR)])
@pytest.mark.parametrize("blocks", [SKEWED, UNSURE])
def test_a_step_ends_undecided_at_its_own_limit_unless_it_is_paused(
    blocks: list[Block], step: int, limit: float
) -> None:
    context = replace(CANARY, step=step, since=START - 10, phase_since=START - 30)
    before, after = (decide(blocks, context, now=START - 10 + limit + d) for d in (-0.1, 0.0))
    assert (before.judgement, before.cause) == ("hold", "split" if blocks is SKEWED else "")
    assert (after.judgement, after.cause) == ("roll_back", "undecided")
    assert after.reason == (
        f"The step's time is over without a decision: the policy returns to stable. {before.reason}"
    )
    paused = decide(blocks, replace(context, paused="ana: lunch"), now=START + 5 * HOUR)
    assert (paused.judgement, paused.cause) == ("hold", "split" if blocks is SKEWED else "paused")


def test_a_broken_split_in_watch_is_told_until_the_watch_ends() -> None:
    found = decide(SKEWED, WATCH)
    assert (found.judgement, found.cause, found.reason) == ("hold", "split", BROKEN)
    assert decide(SKEWED, WATCH, now=START + 2 * HOUR).judgement == "done"


# --- harmlessness ---------------------------------------------------------------------------------------------------


def test_proof_of_every_required_metric_advances_and_the_weakest_is_named() -> None:
    weaker = series(36, (216, 3), (24, 1), every=2)
    made = policy(*GUARDS[:3], ladder=(3.0, 1.5, 1.0))
    context = replace(CANARY, step=1)
    found = judge({ERROR: GOOD, REFUSAL: weaker, SLOW: series(5, (16, 1), (16, 1))}, GOOD, made, context, START + HOUR)
    assert (found.judgement, found.cause, found.guilty) == ("advance", "judge", None)
    error, refusal, slow = (m.advance for m in found.metrics)
    assert error is not None
    assert refusal is not None
    assert slow is None
    assert error > refusal > 20
    assert found.reason == (
        "Proved within the margin on Error, Refusal (margins x1.5 at this step); weakest is Refusal: 18 of 864 canary "
        "requests (2.1%) were refused, against 54 of 7,776 stable requests (0.69%)."
    )
    last = judge({ERROR: GOOD, REFUSAL: GOOD}, GOOD, made, replace(context, step=2), START + HOUR)
    assert last.reason.startswith("Proved within the margin on Error, Refusal; weakest is ")


def test_a_step_advances_no_earlier_than_its_least_time() -> None:
    context = replace(CANARY, step=1, since=START + 5)
    early = decide(GOOD, context, now=START + 5 + 1199.9)
    blocks = GOOD[:19]
    assert early.judgement == "hold"
    for passed, left in ((1199.0, "1 s"), (1111.0, "89 s"), (1110.0, "2 min"), (840.0, "6 min")):
        found = decide(blocks[: int(passed / 60) - 1], context, now=START + 5 + passed)
        assert (found.judgement, found.cause) == ("hold", "")
        assert found.reason == f"Proved within the margins; the step's least time has {left} to go."
    assert decide(blocks, context, now=START + 5 + 1200).judgement == "advance"


def test_a_long_least_time_is_told_in_hours() -> None:
    made = policy(steps=(Step(1000, 3 * HOUR, 4 * HOUR),))
    for now, left in ((START + 2 * HOUR - 1800, "1.5 h"), (START + 2 * HOUR - 1799, "90 min")):
        assert f"has {left} to go" in decide(GOOD, now=now, made=made).reason


def test_proof_decides_at_exactly_one_over_beta() -> None:
    proofs = {count: decide(GOOD[:count]).metrics[0].advance for count in range(12, 40)}
    count, proof = next((c, p) for c, p in proofs.items() if p and p > 3 and 1 / (1 / p) == p)
    assert decide(GOOD[:count], made=policy(beta=1 / proof)).judgement == "advance"
    assert decide(GOOD[:count], made=policy(beta=1 / proof * (1 - 1e-9))).judgement == "hold"


def test_what_is_not_proved_names_the_metric_furthest_from_proof() -> None:
    made = policy(*GUARDS[:3], alpha=1e-9)
    slow = series(11, (216, 2), (24, 1))
    found = judge({ERROR: UNSURE, REFUSAL: slow, SLOW: HARMFUL[:1]}, UNSURE, made, CANARY, START + HOUR)
    proof = found.metrics[1].advance
    assert proof is not None
    assert proof < (found.metrics[0].advance or 0)
    assert (found.judgement, found.cause, found.guilty) == ("hold", "", None)
    assert found.reason == (
        f"Neither harmful nor proved within the margin yet. Refusal is furthest from proof (evidence {proof:.2g} of "
        "20): 11 of 264 canary requests (4.2%) were refused, against 22 of 2,376 stable requests (0.93%)."
    )


def test_evidence_that_is_nothing_at_all_is_the_furthest() -> None:
    lost = [replace(b, trial=side(32, 32)) for b in series(90, (288, 1), (32, 0))]
    made = policy(*GUARDS[:2], alpha=1e-300)
    found = judge({ERROR: UNSURE, REFUSAL: lost}, GOOD, made, CANARY, START + 1.6 * HOUR)
    assert found.metrics[1].advance == 0.0
    assert "Refusal is furthest from proof (evidence 0 of 20)" in found.reason


@pytest.mark.parametrize(("beta", "words"), [(1 / 1234.4, "1,234"), (1 / 12.6, "13"), (1 / 9.94, "9.9"), (0.3, "3.3")])
def test_what_proof_needs_is_told_in_figures_that_can_be_read(beta: float, words: str) -> None:
    found = decide(UNSURE, made=policy(beta=beta))
    assert f" of {words}): " in found.reason


@pytest.mark.parametrize(("bad", "words"), [(0, "0%"), (9, "0.9%"), (10, "1%"), (11, "1.1%")])
def test_rates_below_one_percent_have_two_decimals(bad: int, words: str) -> None:
    block = Block(START, MINUTE, 0.5, side(1000, 10), side(1000, bad))
    assert f": {bad} of 1,000 canary requests ({words})" in decide([block], made=policy(beta=1e-30)).reason


def test_no_data_names_each_metric_and_the_arm_that_is_silent() -> None:
    made = policy(*GUARDS)
    counts = {
        ERROR: UNSURE,
        REFUSAL: [replace(b, control=Arm()) for b in GOOD],
        FEEDBACK: [replace(b, trial=Arm()) for b in GOOD],
    }
    found = judge(counts, GOOD, made, CANARY, START + 3599)
    assert (found.judgement, found.cause) == ("hold", "no_data")
    assert found.reason == "No data yet for Refusal (stable), NegativeFeedback (canary): no data is never a pass."
    later = judge(counts, GOOD, made, replace(CANARY, since=START + 10), START + 3610)
    assert later.reason == (
        "No data for 60 min for Refusal (stable), NegativeFeedback (canary): no data is never a pass."
    )
    over = judge(counts, GOOD, made, CANARY, START + 2 * HOUR)
    assert over.reason == (
        "The step's time is over without a decision: the policy returns to stable. No data for 2.0 h for Refusal "
        "(stable), NegativeFeedback (canary): no data is never a pass."
    )
    assert over.cause == "undecided"


def test_a_proof_beside_a_silent_metric_is_no_advance() -> None:
    """Evidence of a needed 1 is there at once; requests are not."""
    made = policy(*GUARDS[:2], beta=0.999999)
    for silent in ("trial", "control"):
        counts = {ERROR: GOOD, REFUSAL: [without(b, silent) for b in GOOD]}
        found = judge(counts, GOOD, policy(*GUARDS[:2], beta=1.0), CANARY, START + HOUR)
        assert (found.judgement, found.cause) == ("hold", "no_data")
    assert judge({ERROR: GOOD, REFUSAL: GOOD}, GOOD, made, CANARY, START + HOUR).judgement == "advance"


# --- operators and limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [GOOD, UNSURE, []])
def test_an_operators_wishes_come_before_what_the_judge_would_say(blocks: list[Block]) -> None:
    late = START + 9 * HOUR
    both = decide(blocks, replace(CANARY, advance="ana: known", paused="bo: wait"), now=late)
    assert (both.judgement, both.cause, both.reason) == ("advance", "operator", "Advanced by an operator. ana: known")
    paused = decide(blocks, replace(CANARY, paused="bo: wait"), now=late)
    assert (paused.judgement, paused.cause) == ("hold", "paused")
    assert paused.reason == "Paused by an operator; harm would still roll back. bo: wait"


@pytest.mark.parametrize(
    ("undecided", "verb", "words"),
    [
        ("return_to_stable", "roll_back", "the policy returns to stable"),
        ("stay", "hold", "the policy stays at this weight"),
        ("ask", "hold", "the policy asks a human: `promptlane advance` or `promptlane rollback`"),
    ],
)
def test_an_undecided_step_does_what_the_policy_says(undecided: str, verb: str, words: str) -> None:
    found = decide(UNSURE, now=START + 2 * HOUR, made=policy(undecided=undecided))
    assert (found.judgement, found.cause) == (verb, "undecided")
    assert found.reason.startswith(f"The step's time is over without a decision: {words}. Neither harmful nor proved")


def test_proof_counts_also_when_the_time_is_over() -> None:
    assert decide(GOOD, now=START + 9 * HOUR).judgement == "advance"


# --- watch ----------------------------------------------------------------------------------------------------------


def test_a_watch_ends_at_its_time_and_names_the_worst_metric_until_then() -> None:
    worse = series(11, (72, 1), (216, 8), share=0.75)
    counts = {ERROR: series(12, (72, 1), (216, 2), share=0.75), REFUSAL: worse}
    made = policy(*GUARDS[:2])
    ended = judge(counts, counts[ERROR], made, WATCH, START + 2 * HOUR)
    assert (ended.judgement, ended.cause, ended.reason) == ("done", "time", "The watch is over without proof of harm.")
    found = judge(counts, counts[ERROR], made, WATCH, START + 2 * HOUR - 0.1)
    assert (found.judgement, found.cause, found.guilty) == ("hold", "", None)
    assert found.metrics[1].harm > found.metrics[0].harm
    assert found.reason == (
        f"Watching. Evidence of harm {found.harm:.2g} of 20; most on Refusal: 88 of 2,376 new stable requests (3.7%) "
        "were refused, against 11 of 792 holdback requests (1.4%)."
    )


def test_an_operators_wishes_mean_nothing_in_watch() -> None:
    assert decide(GOOD, replace(WATCH, advance="ana: x", paused="ana: y")).reason.startswith("Watching.")


def test_without_requests_on_the_holdback_the_alarms_guard_alone() -> None:
    bare = [replace(b, control=Arm()) for b in GOOD]
    made = policy(*GUARDS[:2])
    alone = judge({ERROR: [], REFUSAL: bare}, [], made, WATCH, START + HOUR)
    assert (alone.judgement, alone.cause) == ("hold", "no_data")
    assert alone.reason == "No requests on the holdback yet: the alarms alone guard the promoted version."
    half = judge({ERROR: GOOD, REFUSAL: bare}, [], made, WATCH, START + HOUR)
    assert half.reason.startswith("Watching.")


def test_an_arm_without_requests_is_told_as_such() -> None:
    bare = [replace(b, control=Arm()) for b in GOOD]
    found = judge({ERROR: GOOD, REFUSAL: bare}, [], policy(*GUARDS[:2]), WATCH, START + HOUR)
    assert found.metrics[1].harm == pytest.approx(1.0)
    assert found.metrics[0].harm < 0.5
    assert found.reason.endswith(
        "most on Refusal: 0 of 1,280 new stable requests (0%) were refused, against no holdback request."
    )
    lone = [replace(b, trial=Arm()) for b in GOOD]
    found = judge({ERROR: GOOD, REFUSAL: lone}, [], policy(*GUARDS[:2]), WATCH, START + HOUR)
    assert "most on Refusal: no new stable request " in found.reason
    assert found.reason.endswith(", against 120 of 11,520 holdback requests (1%).")


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_a_judgement_is_kept_under_these_names() -> None:
    found = Judgement(
        "roll_back",
        "judge",
        "Worse.",
        (
            MetricEvidence(metrics.SLOW, Arm(100, 1), Arm(11, 5), 42.5, None, 1.5, 0.5),
            MetricEvidence(
                metrics.ERROR, Arm(90, 2), Arm(12, 3), 0.5, 1.25, 1.0, 0.5, (frozenset([3]), frozenset([4, 1]))
            ),
        ),
        30.5,
        25.0,
        40.0,
        2.5,
        SLOW,
        ("One.", "Two."),
    )
    assert found.to_dict() == {
        "judgement": "roll_back",
        "cause": "judge",
        "reason": "Worse.",
        "harm": 30.5,
        "harm_needed": 25.0,
        "advance_needed": 40.0,
        "split": 2.5,
        "guilty": "Slow",
        "metrics": {
            "Slow": {
                "control": [100, 1],
                "trial": [11, 5],
                "harm": 42.5,
                "advance": None,
                "inflation": 1.5,
                "left_out": [[], []],
            },
            "Error": {
                "control": [90, 2],
                "trial": [12, 3],
                "harm": 0.5,
                "advance": 1.25,
                "inflation": 1.0,
                "left_out": [[3], [1, 4]],
            },
        },
        "notes": ["One.", "Two."],
    }
    assert type(found.to_dict()["guilty"]) is str
    assert [type(name) for name in found.to_dict()["metrics"]] == [str, str]


def test_a_judgement_that_weighed_nothing() -> None:
    bare = Judgement("hold", "no_data", "Nothing.")
    assert bare == Judgement("hold", "no_data", "Nothing.", (), 1.0, 20.0, 20.0, 1.0, None, ())
    assert bare.to_dict()["guilty"] is None
    assert StepContext(Phase.CANARY, 1, 2.0, 3.0) == StepContext(Phase.CANARY, 1, 2.0, 3.0, 0.0, "", "")
