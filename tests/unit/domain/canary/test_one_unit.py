"""What one unit can move: nothing, whatever it does and however much of it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain import metrics
from promptlane.domain.canary import one_unit
from promptlane.domain.canary.blocks import NO_GROUPS, Arm, Block, Groups
from promptlane.domain.canary.dispersion import Scatter
from promptlane.domain.canary.judge import Judgement, StepContext, judge
from promptlane.domain.canary.one_unit import CONTROL, TRIAL, Evidence, LeftOut, busiest, rests_on
from promptlane.domain.names import UNIT_GROUPS, Phase
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy, Reviewer, ReviewPolicy, Step

START = 1_700_000_000.0
HOME = 5
"""The group of the unit that is tried."""
CONTEXT = StepContext(Phase.CANARY, 0, since=START, phase_since=START)
POLICY = Policy(
    review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)),
    canary=CanaryPolicy(
        steps=(Step(1000, 600, 86_400),), guard_metrics=(GuardPolicy(metrics.ERROR, 0.02, 0.5),), ladder=(1.0,)
    ),
)
Extra = tuple[int, int, int]
"""(arm, its requests a minute, bad ones among them) of one unit."""


def traffic(minutes: int, p0: float, p1: float, *extras: Extra, seed: int, per_minute: int = 100) -> list[Block]:
    """A tenth of the requests on the trial, independent but for the extra unit's."""
    rng = random.Random(seed)
    blocks = []
    for minute in range(minutes):
        cells = [[[0, 0] for _ in range(UNIT_GROUPS)] for _ in range(2)]
        for _ in range(per_minute):
            arm = int(rng.random() < 0.1)
            cell = cells[arm][rng.randrange(UNIT_GROUPS)]
            cell[0] += 1
            cell[1] += rng.random() < (p0, p1)[arm]
        for arm, n, bad in extras:
            cells[arm][HOME][0] += n
            cells[arm][HOME][1] += bad
        sides = (Arm(sum(n for n, _ in c), sum(b for _, b in c), tuple((n, b) for n, b in c)) for c in cells)
        blocks.append(Block(START + 60 * minute, 60, 0.1, *sides))
    return blocks


def judged(blocks: list[Block], minutes: int, policy: Policy = POLICY) -> Judgement:
    return judge({"Error": blocks[:minutes]}, [], policy, CONTEXT, START + 60 * minutes)


def decides(blocks: list[Block], wanted: str, every: int = 4) -> int:
    """Minutes until the judge decides so; 10,000 where it decides otherwise or not at all."""
    for minutes in range(every, len(blocks) + 1, every):
        found = judged(blocks, minutes).judgement
        if found != "hold":
            return minutes if found == wanted else 10_000
    return 10_000


# --- what is left out -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "rest", "busy"),
    [
        (151, 100, True),
        (149, 100, False),
        (150, 100, False),
        (60, 40, False),
        (1501, 1000, True),
        (8, 0, True),
        (5, 0, False),
    ],
)
def test_a_group_is_busy_by_half_more_than_the_others_and_five_standard_errors(
    most: int, rest: int, busy: bool
) -> None:
    requests = [rest] * UNIT_GROUPS
    requests[HOME] = most
    assert busiest(requests) == (frozenset([HOME]) if busy else NO_GROUPS)


@pytest.mark.parametrize("arm", [CONTROL, TRIAL])
@pytest.mark.parametrize("bad", [0, 3])
def test_a_busy_group_is_left_out_whatever_its_requests_did(arm: int, bad: int) -> None:
    """By counts of requests alone: what they came to must not decide."""
    blocks = traffic(90, 0.02, 0.02, (arm, 8, bad and 8), seed=3)
    out = one_unit.left_out(Scatter(blocks))
    assert out[arm] == {HOME}
    assert out[1 - arm] == NO_GROUPS


def brute(scatter: Scatter, arm: int) -> Groups:
    busy = busiest(scatter.requests[arm])
    candidates = [
        frozenset(c) for k in range(3) for c in itertools.combinations(range(UNIT_GROUPS), k) if busy <= set(c)
    ]
    return min(candidates, key=lambda c: scatter.alone(arm, c) * 4.0 ** len(c - busy))


@settings(max_examples=8)
@given(seed=st.integers(0, 10**6), failing=st.lists(st.integers(0, UNIT_GROUPS - 1), max_size=3, unique=True))
def test_groups_that_inflate_are_left_out_up_to_two(seed: int, failing: list[int]) -> None:
    blocks = traffic(40, 0.02, 0.02, seed=seed)
    for group in failing:
        blocks = [Block(b.start, b.seconds, b.share, _more(b.control, group, 4 + group), b.trial) for b in blocks]
    scatter = Scatter(blocks)
    assert one_unit.left_out(scatter) == (brute(scatter, CONTROL), brute(scatter, TRIAL))


def _more(arm: Arm, group: int, times: int) -> Arm:
    """All of a group's requests bad, and some more of every group, so that none is busy."""
    groups = tuple((n + times, n + times if g == group else bad) for g, (n, bad) in enumerate(arm.groups))
    return Arm(sum(n for n, _ in groups), sum(bad for _, bad in groups), groups)


@pytest.mark.parametrize("out", [NO_GROUPS, frozenset([HOME]), frozenset([HOME, 2])])
def test_an_inflation_below_a_limit_is_the_inflation_itself(out: Groups) -> None:
    scatter = Scatter(traffic(90, 0.05, 0.05, (CONTROL, 3, 3), seed=3))
    found = scatter.alone(CONTROL, out)
    assert scatter.alone_below(CONTROL, out, found) is None
    assert scatter.alone_below(CONTROL, out, found + 1e-9) == found


def test_where_groups_are_not_known_nothing_is_left_out() -> None:
    bare = [Block(START + 60 * i, 60, 0.1, Arm(90, 2), Arm(10, 3)) for i in range(60)]
    assert one_unit.left_out(Scatter(bare)) == (NO_GROUPS, NO_GROUPS)
    found = judged(bare, 60)
    assert found.judgement == "roll_back"
    assert found.metrics[0].inflation == 3.0


# --- mixture and guard ----------------------------------------------------------------------------------------------


def evidence(
    values: Callable[[LeftOut], float], out: LeftOut = (NO_GROUPS, NO_GROUPS), hiding: int = CONTROL
) -> Evidence:
    return Evidence(values, out, hiding, known=True)


def test_a_fifth_of_the_evidence_is_the_mean_over_one_group_less_of_the_hiding_arm() -> None:
    def value(out: LeftOut) -> float:
        return 10.0 + sum(out[CONTROL]) + 1000 * len(out[TRIAL])

    assert evidence(value).mixed == pytest.approx(0.8 * 10 + 0.2 * (10 + 7.5))
    other = evidence(value, hiding=TRIAL)
    assert other.mixed == pytest.approx(0.8 * 10 + 0.2 * 1010)


def test_a_group_that_is_left_out_already_changes_nothing() -> None:
    asked: list[LeftOut] = []

    def value(out: LeftOut) -> float:
        asked.append(out)
        return 7.0

    left = frozenset([2]), frozenset([HOME])
    found = evidence(value, left)
    assert found.without((CONTROL, 2)) == found.without((TRIAL, HOME)) == 7.0
    assert asked.count(left) == 1
    assert len(set(asked)) == len(asked) == UNIT_GROUPS


@pytest.mark.parametrize("cell", [(CONTROL, 3), (TRIAL, HOME)])
def test_evidence_that_rests_on_one_group_is_told_by_that_group(cell: one_unit.Cell) -> None:
    def value(out: LeftOut) -> float:
        return 2.0 if cell[1] in out[cell[0]] else 50.0

    assert rests_on([(1.0, evidence(value))], 4.0) == cell
    assert rests_on([(1.0, evidence(value))], 2.0) is None
    others = evidence(lambda _: 50.0)
    assert rests_on([(0.5, evidence(value)), (0.5, others)], 4.0) is None
    assert rests_on([(0.5, evidence(value)), (0.05, others)], 4.0) == cell


# --- one unit in whole traffic --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 3, 10])
def test_a_unit_that_always_fails_on_stable_hides_no_harm(rate: int) -> None:
    """Of the same traffic without it, the judge needs 4 minutes more at most."""
    for seed in range(3):
        plain = decides(traffic(60, 0.02, 0.3, seed=seed), "roll_back")
        assert decides(traffic(60, 0.02, 0.3, (CONTROL, rate, rate), seed=seed), "roll_back") <= plain + 4


@pytest.mark.parametrize(("arm", "rate"), [(CONTROL, 3), (TRIAL, 3), (TRIAL, 10)])
def test_a_unit_that_always_fails_stops_no_good_version_and_condemns_none(arm: int, rate: int) -> None:
    """Without it the judge needs half of the time at least."""
    for seed in range(3):
        plain = decides(traffic(240, 0.01, 0.01, seed=seed), "advance", every=20)
        assert plain <= 120
        assert decides(traffic(240, 0.01, 0.01, (arm, rate, rate), seed=seed), "advance", every=20) <= 2 * plain


@pytest.mark.parametrize("rate", [1, 3, 10])
def test_a_unit_that_never_fails_advances_no_harmful_version(rate: int) -> None:
    """15 % against 10 %: at the edge of the margin."""
    for seed in range(2):
        blocks = traffic(160, 0.1, 0.15, (TRIAL, rate, 0), seed=seed)
        assert decides(blocks, "advance", every=20) == 10_000


def test_who_cannot_tell_the_tracks_fails_on_both_alike_and_moves_neither_decision() -> None:
    """Ten fresh sessions of a hundred requests always fail, on whichever track they fall: both rates rise alike."""
    good, harmful = 0.9 * 0.02 + 0.1, 0.9 * 0.3 + 0.1
    for seed in range(3):
        assert decides(traffic(120, good, good, seed=seed), "roll_back", every=20) == 10_000
        assert decides(traffic(60, good, harmful, seed=seed), "roll_back") <= 20


@pytest.mark.parametrize(("groups", "then"), [((HOME, HOME), "hold"), ((HOME, 9, 2, 14), "roll_back")])
def test_harm_that_one_group_alone_shows_does_not_roll_back_and_says_so(groups: tuple[int, ...], then: str) -> None:
    """A request each that goes wrong, where none does on stable."""
    calm = traffic(len(groups) + 2, 0.0, 0.0, seed=1)
    wrong = [replace(b, trial=_swapped(b.trial, group)) for b, group in zip(calm, groups, strict=False)]
    ready = replace(POLICY, canary=replace(POLICY.canary, alpha=0.4))
    found = judged([*wrong, *calm[len(groups) :]], len(calm), ready)
    assert found.harm > 2.5
    assert found.judgement == then
    told = (
        "the evidence of harm rests on the units of the trial in group 5 alone: it does not count until others show it"
    )
    assert (told in found.notes) == (then == "hold")


def _swapped(arm: Arm, group: int) -> Arm:
    """One request of the group more, and bad."""
    groups = tuple((n + 1, bad + 1) if g == group else (n, bad) for g, (n, bad) in enumerate(arm.groups))
    return Arm(arm.n + 1, arm.bad + 1, groups)


def test_what_is_left_out_is_told_with_its_share() -> None:
    found = judged(traffic(60, 0.02, 0.02, (TRIAL, 10, 10), seed=1), 60)
    (note,) = [n for n in found.notes if "count for no evidence" in n]
    assert note.startswith("Error: the units of the trial in group 5 (5")
    assert "they are far busier than others" in note
    assert found.metrics[0].to_dict()["left_out"] == [[], [HOME]]
