"""How long a release takes, against the formula's minimum searched for and written out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from promptlane.domain import metrics
from promptlane.domain.canary.plan import CanaryPlan, StepPlan, at_synth, estimate, least_traffic
from promptlane.domain.policy import (
    CanaryPolicy,
    GuardPolicy,
    Policy,
    RequestPolicy,
    Reviewer,
    ReviewPolicy,
    Step,
)
from tests.support.near import near

HOUR, DAY = 3600.0, 86_400.0
ERROR, REFUSAL, SLOW = "Error", "Refusal", "Slow"


def policy(
    *guards: GuardPolicy,
    steps: tuple[Step, ...] = (Step(1000, 600, 6 * HOUR),),
    beta: float = 0.05,
    ladder: tuple[float, ...] = (1.0,),
) -> Policy:
    canary = CanaryPolicy(
        steps=steps, guard_metrics=guards or (GuardPolicy(metrics.ERROR, 0.02, 0.0),), beta=beta, ladder=ladder
    )
    return Policy(review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)), canary=canary)


def kl(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def needed(p0: float, share: float, absolute: float, relative: float, beta: float = 0.05) -> float:
    """Canary requests: 0.85 (ln(1/beta) + 0.29) / D, with D the least over the margin's line, by ternary search."""
    c, d = (1 + relative, 0.0) if relative * p0 > absolute else (1.0, absolute)

    def cost(s0: float) -> float:
        return (1 - share) / share * kl(p0, s0) + kl(p0, c * s0 + d)

    low, high = 1e-9, min(p0, (1 - d) / c - 1e-12)
    for _ in range(200):
        one, two = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, two) if cost(one) < cost(two) else (one, high)
    return 0.85 * (math.log(1 / beta) + 0.29) / cost((low + high) / 2)


@pytest.mark.parametrize(
    ("rate", "absolute", "relative"),
    [(0.01, 0.02, 0.5), (0.2, 0.02, 0.5), (0.5, 0.25, 0.5), (0.001, 0.05, 0.0), (0.1, 0.0, 1.5), (0.6, 0.1, 0.2)],
)
@pytest.mark.parametrize(("weight", "beta"), [(500, 0.05), (4000, 0.01)])
def test_a_step_takes_the_requests_that_prove_an_equal_version(
    rate: float, absolute: float, relative: float, weight: int, beta: float
) -> None:
    made = policy(GuardPolicy(metrics.ERROR, absolute, relative), steps=(Step(weight, 600, 30 * DAY),), beta=beta)
    share = weight / 10_000
    requests = needed(rate, share, absolute, relative, beta)
    plan = estimate(made, 50.0, {ERROR: rate}, lag=100.0)
    seconds = max(600.0, 60 * requests / (50 * share) + 100)
    assert plan == CanaryPlan(
        50.0, (StepPlan(weight, ERROR, near(requests), near(seconds), in_time=True),), plan.warnings
    )


THREE = (
    GuardPolicy(metrics.ERROR, 0.05, 0.0, lag=30.0),
    GuardPolicy(metrics.REFUSAL, 0.02, 0.0, lag=90.0, prior_rate=0.04),
    GuardPolicy(metrics.SLOW, 0.001, 0.0, lag=900.0, required=False),
)
STEPS = (Step(500, 600, 10 * DAY), Step(2500, 2 * HOUR, 5 * DAY), Step(5000, 600, 3 * HOUR))


@pytest.mark.parametrize(
    ("rates", "error", "refusal"),
    [
        (None, 0.01, 0.04),
        ({}, 0.01, 0.04),
        ({ERROR: 0.03}, 0.03, 0.04),
        ({REFUSAL: 0.06, SLOW: 0.5}, 0.01, 0.06),
        ({ERROR: 0.0, REFUSAL: 0.99}, 1e-4, 0.95),
    ],
)
def test_each_step_waits_for_the_required_metric_that_takes_longest(
    rates: Mapping[str, float] | None, error: float, refusal: float
) -> None:
    """With the step's margins, the largest lag of what is required, and 148 s until the counts are complete."""
    plan = estimate(policy(*THREE, steps=STEPS, ladder=(3.0, 1.5, 1.0)), 40.0, rates)
    expected = []
    for step, factor in zip(STEPS, (3.0, 1.5, 1.0), strict=True):
        share = step.weight / 10_000
        requests = {ERROR: needed(error, share, 0.05 * factor, 0), REFUSAL: math.inf}
        if refusal + 0.02 * factor < 1:
            requests[REFUSAL] = needed(refusal, share, 0.02 * factor, 0)
        slowest = max(requests, key=lambda name: requests[name])
        seconds = max(step.min_bake, 60 * requests[slowest] / (40 * share) + 148 + 90)
        expected.append(
            StepPlan(step.weight, slowest, near(requests[slowest]), near(seconds), seconds <= step.max_time)
        )
    assert plan.steps == tuple(expected)
    assert plan.seconds == near(sum(s.seconds for s in plan.steps))
    assert plan.unlucky_seconds == near(2 * plan.seconds)
    assert plan.finishes is all(s.in_time for s in plan.steps)


@pytest.mark.parametrize("guard", [GuardPolicy(metrics.ERROR, margin, 0.0) for margin in (0.0, 0.5, 0.6)])
def test_what_no_amount_of_requests_proves_takes_for_ever(guard: GuardPolicy) -> None:
    """A margin of nothing, and one that reaches to 100%."""
    plan = estimate(policy(guard), 1000.0, {ERROR: 0.5})
    assert (plan.steps[0].canary_requests, plan.steps[0].in_time) == (math.inf, False)
    assert plan.sentence() == f"At 1000 requests a minute a good release will not finish: {plan.warnings[0]}"
    assert plan.warnings[0].startswith("step 1 (10%) needs about for ever to prove Error")


def lasting(traffic: float, *, lag: float = 0.0) -> float:
    """Seconds that the one step of `policy()` takes."""
    return 60 * needed(0.01, 0.1, 0.02, 0.0) / (traffic * 0.1) + lag


def test_a_step_that_cannot_end_in_time_names_itself_and_the_remedies() -> None:
    steps = (Step(1000, 0, 8 * HOUR), Step(2550, 0, 3600))
    plan = estimate(policy(steps=steps), 5.0, lag=0.0)
    assert [s.in_time for s in plan.steps] == [False, False]
    assert plan.warnings == (
        f"step 1 (10%) needs about {plan.steps[0].seconds / 3600:.1f} h to prove Error, and max_time is 8.0 h. "
        "Raise the weight or max_time, widen the margin, or watch Error only (required: false).",
        f"step 2 (25.5%) needs about {plan.steps[1].seconds / 3600:.1f} h to prove Error, and max_time is 60 min. "
        "Raise the weight or max_time, widen the margin, or watch Error only (required: false).",
    )


def test_a_step_is_in_time_up_to_its_limit_and_safe_up_to_half_of_it() -> None:
    seconds = estimate(policy(), 20.0, lag=60.0).steps[0].seconds
    assert seconds == near(lasting(20.0, lag=60.0))

    def with_limit(limit: float) -> CanaryPlan:
        return estimate(policy(steps=(Step(1000, 0, limit),)), 20.0, lag=60.0)

    undecided = ("step 1 (10%) may end undecided: one release in ten needs more time.",)
    assert (with_limit(seconds).finishes, with_limit(seconds).warnings) == (True, undecided)
    assert not with_limit(math.nextafter(seconds, 0)).finishes
    assert with_limit(2 * seconds).warnings == ()
    assert with_limit(math.nextafter(2 * seconds, 0)).warnings == undecided


@pytest.mark.parametrize("traffic", [0.0, -1.0, math.inf, math.nan])
def test_without_traffic_nothing_can_be_proved(traffic: float) -> None:
    plan = estimate(policy(), traffic)
    assert plan.requests_per_minute == 0.0
    assert plan.steps[0].seconds == math.inf
    assert plan.sentence() == "No traffic: a canary can prove nothing and will never advance."


def test_little_traffic_is_not_none() -> None:
    assert estimate(policy(), 0.5).steps[0].seconds == near(lasting(0.5, lag=148.0))
    assert estimate(policy(), 0.5).sentence().startswith("At 0.5 requests a minute a good release will not finish:")


@pytest.mark.parametrize(
    ("bake", "usual", "unlucky"),
    [
        (600.0, "10 min", "20 min"),
        (2699.0, "45 min", "90 min"),
        (2700.0, "45 min", "1.5 h"),
        (5400.0, "1.5 h", "3.0 h"),
        (DAY - 179, "24.0 h", "47.9 h"),
        (DAY, "24.0 h", "2 days"),
        (2 * DAY, "2 days", "4 days"),
        (100_000 * DAY, "100000 days", "200000 days"),
    ],
)
def test_a_plan_is_one_sentence(bake: float, usual: str, unlucky: str) -> None:
    plan = estimate(policy(steps=(Step(1000, bake, 10**6 * DAY),)), 100_000.0)
    assert plan.sentence() == (
        f"At 100000 requests a minute a good release takes about {usual} to be promoted, "
        f"one in ten longer than {unlucky}."
    )


def test_the_least_traffic_is_what_the_slowest_step_needs() -> None:
    """At one minute of proof for each minute left after the counts' lag."""
    steps = (Step(1000, 600, 6 * HOUR), Step(5000, 600, 1.5 * HOUR))
    found = least_traffic(policy(steps=steps))
    first = 60 * needed(0.01, 0.1, 0.02, 0.0) / (0.1 * (6 * HOUR - 148))
    second = 60 * needed(0.01, 0.5, 0.02, 0.0) / (0.5 * (1.5 * HOUR - 148))
    assert found == near(max(first, second), rel=1e-9)


def test_no_traffic_is_enough_where_the_counts_come_later_than_the_limit() -> None:
    short = policy(steps=(Step(1000, 60, 100),))
    assert least_traffic(short) == math.inf
    assert at_synth(short) == (
        False,
        "No traffic is enough for a good release to finish: widen the margins or raise max_time.",
    )


def test_a_million_requests_a_minute_is_the_most_that_is_tried() -> None:
    """A step that leaves a hundredth of a second for its proof."""
    many = 60 * needed(0.01, 0.1, 0.02, 0.0) / 0.1
    enough, too_little = (policy(steps=(Step(1000, 60, 148 + many / traffic),)) for traffic in (0.999e6, 1.001e6))
    assert least_traffic(enough) == near(0.999e6, rel=1e-6)
    assert least_traffic(too_little) == math.inf


def test_synth_says_what_declared_traffic_means_or_how_much_is_needed() -> None:
    declared = replace(policy(), request=RequestPolicy(per_minute=300.0))
    assert at_synth(declared) == (True, estimate(declared, 300.0).sentence())
    thin = replace(policy(), request=RequestPolicy(per_minute=0.01))
    assert at_synth(thin) == (False, estimate(thin, 0.01).sentence())
    assert at_synth(policy()) == (
        True,
        f"A good release needs about {math.ceil(least_traffic(policy()))} requests a minute to finish its steps in "
        "time; set request.per_minute in release.yaml to be told how long it takes.",
    )
