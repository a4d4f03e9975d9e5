"""The canary judge: advance, hold or roll back, with the evidence and a sentence that says why.

It bets against "the trial is no worse" with one bankroll and against "the trial is worse by the margin" with another
(see evidence.py). The first at 1/alpha rolls back; the second at 1/beta for every required metric advances; neither
where it rests on one group of units (see one_unit.py). A function of stored counts and a time: the same input gives the
same judgement for ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypedDict

from promptlane.domain.metrics import COST, ERROR, GuardMetric
from promptlane.domain.names import Phase
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy
from promptlane.domain.text import percent, span

from . import broken_split, dispersion, evidence, means, one_unit
from .blocks import Arm, Block, Groups, Pair, merge, rows, total, trusted, value_rows, without
from .broken_split import Past, vanished

Json = Any
Action = Literal["advance", "hold", "roll_back", "done"]
JudgementCause = Literal["", "judge", "operator", "undecided", "split", "paused", "no_data", "time"]

SPLIT_BROKEN: Final = 1000.0
_UNPRICED: Final = " Cost is known where the price of the version's model is: see tests.prices."
NO_DATA_AFTER: Final = 3600.0


@dataclass(frozen=True, slots=True)
class StepContext:
    """Where the release stands. `since`: start of the present step; `phase_since`: of the phase (epoch seconds).

    `paused` and `advance` are an operator's wishes, "" or the words "<who>: <why>".
    """

    phase: Phase
    step: int
    since: float
    phase_since: float
    watch_until: float = 0.0
    paused: str = ""
    advance: str = ""


@dataclass(frozen=True, slots=True)
class MetricEvidence:
    """Evidence on one guard metric. `advance` is None where nothing can advance (watch, or not required).

    `left_out`: the unit groups of control and trial that evidence leaves out; the arms count all requests.
    `advance_rests_on`: the (arm, group) without which the proof would fall short.
    """

    metric: GuardMetric
    control: Arm
    trial: Arm
    harm: float
    advance: float | None
    inflation: float
    share: float
    """Weight v of this metric in the combined evidence of harm."""
    left_out: one_unit.LeftOut = (frozenset(), frozenset())
    advance_rests_on: one_unit.Cell | None = None
    cap: float | None = None
    """Of a mean: what its values are shares of."""

    @property
    def name(self) -> str:
        """The metric's."""
        return self.metric.name

    def to_dict(self) -> dict[str, Json]:
        mean = {} if self.cap is None else {"cap": self.cap, "unit": self.metric.unit}
        return {
            **mean,
            "control": [self.control.n, self.control.bad],
            "trial": [self.trial.n, self.trial.bad],
            "harm": self.harm,
            "advance": self.advance,
            "inflation": self.inflation,
            "left_out": [sorted(groups) for groups in self.left_out],
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """`harm` and `split` are combined evidence with the values at which they decide beside them.

    `cause`: what decided. `notes`: what was left out or is odd about the data, one sentence each.
    """

    judgement: Action
    cause: JudgementCause
    reason: str
    metrics: tuple[MetricEvidence, ...] = ()
    harm: float = 1.0
    harm_needed: float = 20.0
    advance_needed: float = 20.0
    split: float = 1.0
    guilty: str | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Json]:
        """Plain values for the timeline."""
        return {
            "judgement": self.judgement,
            "cause": self.cause,
            "reason": self.reason,
            "harm": self.harm,
            "harm_needed": self.harm_needed,
            "advance_needed": self.advance_needed,
            "split": self.split,
            "guilty": self.guilty,
            "metrics": {m.name: m.to_dict() for m in self.metrics},
            "notes": list(self.notes),
        }


def judge(
    blocks: Mapping[str, Sequence[Block]],
    assignments: Sequence[Block],
    policy: Policy,
    context: StepContext,
    now: float,
    *,
    history: Mapping[str, Pair] | None = None,
) -> Judgement:
    """Decide. `blocks` per metric and `assignments` are this phase's, in any order; `history` is the control's
    (requests, bad) before the phase. Never raises for bad counts: they are left out and noted."""
    notes: list[str] = []
    weighed = []
    for guard in policy.canary.guard_metrics:
        before = (history or {}).get(guard.name)
        weighed.append(_weigh(guard, blocks.get(guard.name, ()), policy.canary, context, now, before, notes))
    found = [metric for metric, _, _ in weighed]
    assigned, odd = trusted(assignments, since=context.phase_since, now=now)
    notes += [f"{sentence} (assignments)" for sentence in odd]
    reported, _ = trusted(blocks.get(ERROR.name, ()), since=context.phase_since, now=now)
    split = (_split(assigned) + _split(reported)) / 2
    combined = sum(m.share * m.harm for m in found)
    guilty = max(found, key=lambda m: m.share * m.harm)
    needed = _needed(policy.canary.alpha), _needed(policy.canary.beta)
    harmful = combined >= needed[0]
    if harmful and (rests := one_unit.rests_on([(m.share, e) for m, e, _ in weighed], one_unit.GUARD_HARM)):
        harmful = False
        notes.append(f"the evidence of harm rests on {_named(rests)} alone: it does not count until others show it")
    base = Judgement("hold", "", "", tuple(found), combined, *needed, split, notes=tuple(notes))
    if split >= SPLIT_BROKEN or vanished(assigned):
        counted = (assigned, "assignments") if _split(assigned) >= _split(reported) else (reported, "outcomes")
        return _on_broken_split(base, *counted, [past for _, _, past in weighed], policy, context, now)
    if harmful:
        return replace(base, judgement="roll_back", cause="judge", guilty=guilty.name, reason=_harm(guilty, combined))
    if context.phase is Phase.WATCH:
        return _watching(base, context, now)
    return _in_canary(base, policy, context, now)


def _weigh(
    guard: GuardPolicy,
    blocks: Sequence[Block],
    policy: CanaryPolicy,
    context: StepContext,
    now: float,
    history: Pair | None,
    notes: list[str],
) -> tuple[MetricEvidence, one_unit.Evidence, Past]:
    """The metric's evidence, that of harm by what is left out, and what it can be held against without a control."""
    good, odd = trusted(blocks, since=context.phase_since, now=now)
    notes += [f"{guard.name}: {sentence}" for sentence in odd]
    if guard.metric.is_mean:
        history = None  # its cap may have been another
        good = _with_squares(guard, good, notes)
    if history is not None and Arm(*history).problem():
        notes.append(f"{guard.name}: the control's history {list(history)} is impossible; ignored")
        history = None
    scatter = dispersion.Scatter(good)
    out = one_unit.left_out(scatter)
    inflation = scatter.inflation(*out)
    notes += [f"{guard.name}: {sentence}" for sentence in _left_out(scatter, out)]
    if inflation.note:
        notes.append(f"{guard.name}: {inflation.note}")
    if silent := _silent(guard, good, context, now):
        notes.append(silent)
    merged = merge(good)
    control, trial = total(good)

    def learner() -> evidence.Learner:
        return evidence.Learner(history, guard.prior_rate)

    def harm_without(groups: one_unit.LeftOut) -> float:
        factor = scatter.inflation(*groups).factor
        if guard.metric.is_mean:
            kept = value_rows(merged, *groups)
            return means.harm(kept, guard.prior_rate, tolerance=guard.tolerance, inflation=factor)
        return evidence.harm(rows(merged, *groups), learner(), tolerance=guard.tolerance, inflation=factor)

    harm = one_unit.Evidence(harm_without, out, one_unit.CONTROL, known=scatter.known)
    advance, rests = None, None
    if guard.required and context.phase is Phase.CANARY:
        looser = ladder_factor(policy, context.step)
        margins = looser * guard.margin_abs, looser * guard.margin_rel
        step = merge([b for b in good if b.start >= context.since])
        counted = [*(b for b in good if b.start < context.since), *step]

        def advance_without(groups: one_unit.LeftOut) -> float:
            limits: _Limits = {
                "since": context.since,
                "margins": margins,
                "inflation": scatter.inflation(*groups).factor,
            }
            if guard.metric.is_mean:
                return means.advance(value_rows(counted, *groups), guard.prior_rate, **limits)
            return evidence.advance(rows(counted, *groups), learner(), **limits)

        harmless = one_unit.Evidence(advance_without, out, one_unit.TRIAL, known=scatter.known)
        advance = harmless.mixed
        if advance >= _needed(policy.beta):
            rests = one_unit.rests_on([(1.0, harmless)], one_unit.GUARD_ADVANCE)
    found = MetricEvidence(
        metric=guard.metric,
        control=control,
        trial=trial,
        harm=harm.mixed,
        advance=advance,
        inflation=inflation.factor,
        share=1 / len(policy.guard_metrics),
        left_out=out,
        advance_rests_on=rests,
        cap=guard.cap,
    )
    return found, harm, Past(guard, good, scatter, history)


class _Limits(TypedDict):
    since: float
    margins: tuple[float, float]
    inflation: float


def _with_squares(guard: GuardPolicy, blocks: Sequence[Block], notes: list[str]) -> list[Block]:
    """The blocks of a mean that say how its values scatter: without that nothing can be bet on them."""
    kept = [b for b in blocks if all(arm.squares or not arm.n for arm in (b.control, b.trial))]
    if left := len(blocks) - len(kept):
        notes.append(f"{guard.name}: {left} blocks have no sum of squares; ignored")
    return kept


def _left_out(scatter: dispersion.Scatter, out: one_unit.LeftOut) -> list[str]:
    """What counts for no evidence, a sentence for each arm."""
    found = []
    for arm, groups in enumerate(out):
        if groups:
            of_all = sum(scatter.requests[arm])
            share = percent(sum(scatter.requests[arm][g] for g in groups) / of_all)
            found.append(
                f"{_units(arm, groups)} ({share} of its requests) count for no evidence: they are far busier than "
                "others, or go wrong together"
            )
    return found


def _units(arm: int, groups: Groups) -> str:
    """Which units are meant; people see the groups as the dimension of the metrics."""
    of = "the trial" if arm == one_unit.TRIAL else "the control"
    return f"the units of {of} in {one_unit.named(groups)}"


def _named(cell: one_unit.Cell) -> str:
    arm, group = cell
    return _units(arm, frozenset([group]))


def _split(counted: Sequence[Block]) -> float:
    """Evidence that requests do not fall on the arms as declared: of assignments, or of outcomes, which every assigned
    request has: outcomes that get lost from one arm say nothing about its rate any more. One busy unit is in one arm
    whole, which breaks nothing: its group counts in neither."""
    kept = without(counted, one_unit.busy_groups(counted))
    return evidence.split(kept, inflation=dispersion.of_assignments(kept).factor)


def _needed(error: float) -> float:
    return 1 / error if error > 0 else math.inf


def _silent(guard: GuardPolicy, blocks: Sequence[Block], context: StepContext, now: float) -> str:
    """A sentence when an arm has sent nothing for long."""
    for name in ("trial", "control"):
        last = max((b.end for b in blocks if getattr(b, name).n), default=context.phase_since)
        if now - last >= NO_DATA_AFTER + guard.lag:
            return f"{guard.name}: the {name} has sent no data for {span(now - last)}"
    return ""


def ladder_factor(policy: CanaryPolicy, step: int) -> float:
    """How much looser the margins are at a step (counted from 0). The ladder is aligned to the last step."""
    from_end = len(policy.steps) - 1 - min(step, len(policy.steps) - 1)
    return policy.ladder[max(len(policy.ladder) - 1 - from_end, 0)]


def _in_canary(base: Judgement, policy: Policy, context: StepContext, now: float) -> Judgement:
    steps = policy.canary.steps
    step = steps[min(context.step, len(steps) - 1)]
    missing = [m for m in base.metrics if m.advance is not None and (not m.trial.n or not m.control.n)]
    short = [m for m in base.metrics if m.advance is not None and _falls_short(m, base)]
    baked = now - context.since >= step.min_bake
    if context.advance:
        return _by_operator(base, context)
    if context.paused:
        reason = f"Paused by an operator; harm would still roll back. {context.paused}"
        return replace(base, cause="paused", reason=reason)
    if not short and not missing and baked:
        return replace(base, judgement="advance", cause="judge", reason=_harmless(base, context, policy))
    undecided = _undecided(base, step.min_bake, now - context.since, missing, short)
    if now - context.since >= step.max_time:
        return _time_is_up(base, policy, undecided)
    return replace(base, cause="no_data" if missing else "", reason=undecided)


def _falls_short(m: MetricEvidence, base: Judgement) -> bool:
    return m.advance_rests_on is not None or (m.advance or 0.0) < base.advance_needed


def _by_operator(base: Judgement, context: StepContext) -> Judgement:
    return replace(base, judgement="advance", cause="operator", reason=f"Advanced by an operator. {context.advance}")


def _time_is_up(base: Judgement, policy: Policy, why: str) -> Judgement:
    what = {
        "return_to_stable": "the policy returns to stable",
        "stay": "the policy stays at this weight",
        "ask": "the policy asks a human: `promptlane advance` or `promptlane rollback`",
    }[policy.canary.undecided]
    verb: Action = "roll_back" if policy.canary.undecided == "return_to_stable" else "hold"
    reason = f"The step's time is over without a decision: {what}. {why}"
    return replace(base, judgement=verb, cause="undecided", reason=reason)


def _undecided(
    base: Judgement, min_bake: float, passed: float, missing: Sequence[MetricEvidence], short: Sequence[MetricEvidence]
) -> str:
    if missing:
        arms = [f"{m.name} ({'canary' if not m.trial.n else 'stable'})" for m in missing]
        for_long = f" for {span(passed)}" if passed >= NO_DATA_AFTER else " yet"
        unpriced = any(m.metric is COST for m in missing)
        return f"No data{for_long} for {', '.join(arms)}: no data is never a pass.{_UNPRICED if unpriced else ''}"
    if not short:
        return f"Proved within the margins; the step's least time has {span(min_bake - passed)} to go."
    worst = min(short, key=lambda m: m.advance or 0.0)
    if (worst.advance or 0.0) >= base.advance_needed and worst.advance_rests_on:
        return (
            f"Proved within the margin, but for {worst.name} only with {_named(worst.advance_rests_on)}: "
            f"others must show it too. {_rates(worst)}."
        )
    needed = f"evidence {_number(worst.advance or 0.0)} of {_number(base.advance_needed)}"
    return (
        f"Neither harmful nor proved within the margin yet. {worst.name} is furthest from proof ({needed}): "
        f"{_rates(worst)}."
    )


def _on_broken_split(
    base: Judgement,
    counted: Sequence[Block],
    what: str,
    pasts: Sequence[Past],
    policy: Policy,
    context: StepContext,
    now: float,
) -> Judgement:
    """Nothing is compared; a version that fails against what was before goes back all the same."""
    reason = broken_split.sentence(counted, what, watch=context.phase is Phase.WATCH)
    broken = replace(base, cause="split", reason=reason)
    if worse := broken_split.worse_than_before(pasts, base.harm_needed):
        guilty, why = worse
        return replace(broken, judgement="roll_back", cause="judge", guilty=guilty, reason=f"{why} {reason}")
    if context.phase is Phase.WATCH:
        return _watching(broken, context, now)
    if context.advance:
        return _by_operator(broken, context)
    step = policy.canary.steps[min(context.step, len(policy.canary.steps) - 1)]
    if now - context.since >= step.max_time and not context.paused:
        return _time_is_up(broken, policy, reason)
    return broken


def _watching(base: Judgement, context: StepContext, now: float) -> Judgement:
    if now >= context.watch_until:
        return replace(base, judgement="done", cause="time", reason="The watch is over without proof of harm.")
    if base.cause == "split":
        return base
    if not any(m.control.n for m in base.metrics):
        reason = "No requests on the holdback yet: the alarms alone guard the promoted version."
        return replace(base, cause="no_data", reason=reason)
    worst = max(base.metrics, key=lambda m: m.harm)
    reason = f"Watching. Evidence of harm {_number(base.harm)} of {_number(base.harm_needed)}; most on {worst.name}: "
    return replace(base, reason=f"{reason}{_rates(worst, watch=True)}.")


def _harm(guilty: MetricEvidence, combined: float) -> str:
    return (
        f"{guilty.name}: {_rates(guilty)}. If the new version were no worse, evidence this strong would turn up in "
        f"at most 1 of {int(min(combined, 1e12)):,} releases: roll back."
    )


def _harmless(base: Judgement, context: StepContext, policy: Policy) -> str:
    required = [m for m in base.metrics if m.advance is not None]
    weakest = min(required, key=lambda m: m.advance or 0.0)
    factor = ladder_factor(policy.canary, context.step)
    looser = f" (margins x{factor:g} at this step)" if factor != 1 else ""
    return (
        f"Proved within the margin on {', '.join(m.name for m in required)}{looser}; weakest is "
        f"{weakest.name}: {_rates(weakest)}."
    )


def _rates(m: MetricEvidence, *, watch: bool = False) -> str:
    names = ("new stable", "holdback") if watch else ("canary", "stable")
    if m.cap is not None:
        return _averages(m, m.cap, names)
    parts = [
        f"{arm.bad:,} of {arm.n:,} {name} requests ({percent(arm.bad / arm.n)})" if arm.n else f"no {name} request"
        for arm, name in ((m.trial, names[0]), (m.control, names[1]))
    ]
    return f"{parts[0]} {m.metric.happened}, against {parts[1]}"


def _averages(m: MetricEvidence, cap: float, names: tuple[str, str]) -> str:
    unit, digits = m.metric.unit, ".3g" if cap < 100 else ",.0f"
    parts = [
        f"{arm.bad / arm.n * cap:{digits}} {unit} ({arm.n:,} {name} answers)" if arm.n else f"no {name} answer"
        for arm, name in ((m.trial, names[0]), (m.control, names[1]))
    ]
    return f"answers {m.metric.happened} {parts[0]}, against {parts[1]}, each counted as {cap:g} at most"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
