"""A broken split suspends the comparison and protects no version that fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain import metrics
from promptlane.domain.canary.blocks import Arm, Block, Pair
from promptlane.domain.canary.judge import Judgement, StepContext, judge
from promptlane.domain.names import UNIT_GROUPS, Phase
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy, Reviewer, ReviewPolicy, Step

START = 1_700_000_000.0
CONTEXT = StepContext(Phase.CANARY, 0, since=START, phase_since=START)
GUARDS = (GuardPolicy(metrics.ERROR, 0.02, 0.5), GuardPolicy(metrics.REFUSAL, 0.02, 0.5))
POLICY = Policy(
    review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)),
    canary=CanaryPolicy(steps=(Step(500, 600, 86_400),), guard_metrics=GUARDS, ladder=(1.0,)),
)
DAY = 1440
"""Minutes."""


def arm(n: int, bad: int = 0, home: int | None = None) -> Arm:
    """Requests spread over the groups, or all in one."""
    if home is not None:
        return Arm(n, bad, tuple((n, bad) if g == home else (0, 0) for g in range(UNIT_GROUPS)))
    groups = tuple(
        (n // UNIT_GROUPS + (g < n % UNIT_GROUPS), bad // UNIT_GROUPS + (g < bad % UNIT_GROUPS))
        for g in range(UNIT_GROUPS)
    )
    return Arm(n, bad, groups)


def minutes(count: int, control: Arm, trial: Arm) -> list[Block]:
    return [Block(START + 60 * i, 60, 0.05, control, trial) for i in range(count)]


def decide(blocks: list[Block], history: Pair | None, context: StepContext = CONTEXT) -> Judgement:
    past = {} if history is None else {"Error": history, "Refusal": (history[0], 0)}
    calm = [replace(b, control=_well(b.control), trial=_well(b.trial)) for b in blocks]
    now = START + 60 * len(blocks)
    return judge({"Error": blocks, "Refusal": calm}, blocks, POLICY, context, now, history=past)


def _whole(side: Arm) -> Arm:
    return Arm(sum(n for n, _ in side.groups), sum(bad for _, bad in side.groups), side.groups)


def _well(side: Arm) -> Arm:
    return Arm(side.n, 0, tuple((n, 0) for n, _ in side.groups))


ANONYMOUS = minutes(10, Arm(), arm(100, 100, home=4))
"""One unit for all requests, which falls into the canary's share, where every call fails."""


def test_a_control_that_vanished_is_told_in_the_first_minute() -> None:
    found = decide(minutes(1, Arm(), arm(60, 0, home=4)), None)
    assert (found.judgement, found.cause) == ("hold", "split")
    assert found.reason.startswith(
        "The split is broken: stable got none of 60 assignments, where the trial should get 5%; one unit for all "
        "requests sends them all one way."
    )
    watch = replace(CONTEXT, phase=Phase.WATCH, watch_until=START + 9000)
    assert "the holdback got none of 60" in decide(minutes(1, Arm(), arm(60, 0, home=4)), None, watch).reason


@pytest.mark.parametrize(("n", "told"), [(21, False), (22, True)])
def test_a_few_requests_more_to_the_canary_are_chance(n: int, told: bool) -> None:
    """Twenty should have gone to stable."""
    assert (decide(minutes(1, Arm(), arm(n, home=4)), None).cause == "split") == told


def test_one_unit_for_all_requests_that_all_fail_goes_back_within_minutes() -> None:
    found = decide(ANONYMOUS, (100 * DAY, DAY))
    assert (found.judgement, found.cause, found.guilty) == ("roll_back", "judge", "Error")
    assert found.reason.startswith(
        "Error: 1,000 of 1,000 requests to the new version (100%) failed, against 1% of the day before the release, "
        "nearly all from group 4, which sent as much before the release: roll back. The split is broken: stable got "
    )


def test_one_unit_that_was_not_there_before_proves_nothing() -> None:
    """Less than half of these requests came before; or all of them, but others send as much now."""
    found = decide(ANONYMOUS, (49 * DAY, DAY // 2))
    assert (found.judgement, found.cause) == ("hold", "split")
    crowded = minutes(10, Arm(), Arm(200, 100, tuple((100, 100) if g == 4 else (7, 0) for g in range(UNIT_GROUPS))))
    found = decide([replace(b, trial=_whole(b.trial)) for b in crowded], (105 * DAY, DAY))
    assert (found.judgement, found.cause) == ("hold", "split")


def test_without_a_history_nothing_is_held_against_it() -> None:
    assert decide(ANONYMOUS, None).judgement == "hold"
    assert decide(ANONYMOUS, (0, 0)).judgement == "hold"


def test_many_units_that_fail_beyond_the_margin_go_back_though_the_split_is_broken() -> None:
    found = decide(minutes(20, arm(64), arm(64, 16)), (128 * DAY, DAY))
    assert (found.judgement, found.guilty) == ("roll_back", "Error")
    assert "320 of 1,280 requests to the new version (25%) failed, against 0.78% of the day" in found.reason
    assert "nearly all" not in found.reason


@given(rate=st.sampled_from([0.0, 0.01, 0.02, 0.028]), weight=st.integers(1, 4))
def test_within_the_margin_nothing_goes_back(rate: float, weight: int) -> None:
    """1 % before, and three at the end of the margin."""
    n = 1_000 * weight
    found = decide(minutes(20, arm(n), arm(n, round(n * rate))), (2 * n * DAY, round(0.02 * n * DAY)))
    assert found.cause == "split"
    assert found.judgement == "hold"


def test_one_group_that_fails_condemns_nobody_though_the_split_is_broken() -> None:
    """A unit that always fails, in a canary that gets too much for another reason."""
    trial = arm(64)
    failing = Arm(84, 20, (*trial.groups[:-1], (trial.groups[-1][0] + 20, 20)))
    found = decide(minutes(20, arm(64), failing), (128 * DAY, DAY))
    assert (found.judgement, found.cause) == ("hold", "split")
    assert "Group 15 alone had 18.9% of all, and counts for neither." in found.reason


def test_it_counts_before_an_operators_wishes() -> None:
    for context in (replace(CONTEXT, advance="ana: known"), replace(CONTEXT, paused="ana: lunch")):
        assert decide(ANONYMOUS, (100 * DAY, DAY), context).judgement == "roll_back"
