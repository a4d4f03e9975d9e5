"""How long a good release takes, before it starts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain import metrics
from promptlane.domain.canary.plan import at_synth, estimate, least_traffic
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy, RequestPolicy, Reviewer, ReviewPolicy, Step

HOUR = 3600.0


def policy(weight: int = 1000, max_time: float = 6 * HOUR, **guard: Any) -> Policy:
    metric = GuardPolicy(metrics.ERROR, **{"margin_abs": 0.01, "margin_rel": 0.0, **guard})
    canary = CanaryPolicy(steps=(Step(weight, 600, max_time),), guard_metrics=(metric,), ladder=(1.0,))
    return Policy(review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)), canary=canary)


@pytest.mark.parametrize(("rate", "margin", "requests"), [(0.001, 0.01, 350), (0.01, 0.01, 880), (0.05, 0.025, 615)])
def test_the_requests_it_takes_are_those_of_the_study(rate: float, margin: float, requests: float) -> None:
    [step] = estimate(policy(margin_abs=margin), 1000, {metrics.ERROR.name: rate}).steps
    assert step.canary_requests == pytest.approx(requests, rel=0.1)


def test_too_little_traffic_is_said_before_the_release_starts() -> None:
    plan = estimate(policy(weight=500), 1, {metrics.ERROR.name: 0.01})
    assert not plan.finishes
    assert "will not finish" in plan.sentence()
    assert "the weight or max_time" in plan.warnings[0]


@pytest.mark.parametrize("traffic", [0.0, -3.0, math.nan])
def test_no_traffic_never_finishes(traffic: float) -> None:
    plan = estimate(policy(), traffic)
    assert not plan.finishes
    assert "No traffic" in plan.sentence()


@given(traffic=st.floats(1, 1e5), more=st.floats(1, 10), weight=st.integers(100, 9000), rate=st.floats(0, 0.5))
def test_more_traffic_never_takes_longer(traffic: float, more: float, weight: int, rate: float) -> None:
    rates = {metrics.ERROR.name: rate}
    slow, fast = estimate(policy(weight), traffic, rates), estimate(policy(weight), traffic * more, rates)
    assert fast.seconds <= slow.seconds * (1 + 1e-9)
    assert slow.seconds >= 600


def test_the_least_traffic_is_just_enough() -> None:
    least = least_traffic(policy())
    assert estimate(policy(), least).finishes
    assert not estimate(policy(), least * 0.99).finishes


def test_a_step_shorter_than_the_counts_need_can_never_finish() -> None:
    assert least_traffic(policy(max_time=100)) == math.inf
    assert at_synth(policy(max_time=100))[0] is False


@pytest.mark.parametrize(
    ("per_minute", "well", "words"), [(1000.0, True, "takes about"), (0.5, False, "will not finish")]
)
def test_synth_says_what_the_declared_traffic_means(per_minute: float, well: bool, words: str) -> None:
    declared = replace(policy(), request=RequestPolicy(per_minute=per_minute))
    assert Policy.from_dict(declared.to_dict()) == declared
    assert at_synth(declared)[0] is well
    assert words in at_synth(declared)[1]
