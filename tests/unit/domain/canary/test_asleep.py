"""When the fuse sleeps: told from the judge's counts of assignments by group."""

from __future__ import annotations

import pytest

from promptlane.domain.canary.asleep import sentence, sleeping
from promptlane.domain.canary.blocks import Arm, Block
from promptlane.domain.names import UNIT_GROUPS
from promptlane.domain.policy import FusePolicy

POLICY = FusePolicy(min_requests=32, periods=3)
WINDOWS = (180.0, 120.0, 60.0, 0.0)


def arm(first: int, second: int) -> Arm:
    """So many requests of either half of the unit groups."""
    half = UNIT_GROUPS // 2
    groups = [(0, 0)] * UNIT_GROUPS
    groups[0], groups[half - 1] = (first // 2, 0), (first - first // 2, 0)
    groups[half], groups[-1] = (second // 2, 0), (second - second // 2, 0)
    return Arm(first + second, 0, tuple(groups))


def block(at: float, trial: Arm, control: Arm, seconds: float = 60.0) -> Block:
    return Block(at, seconds, 0.5, control, trial)


ENOUGH, OTHER = arm(8, 24), arm(24, 8)


@pytest.mark.parametrize(
    ("trial", "control", "sleeps"),
    [
        (ENOUGH, OTHER, False),
        (arm(8, 23), OTHER, True),
        (ENOUGH, arm(23, 8), True),
        (arm(7, 40), OTHER, True),
        (ENOUGH, arm(40, 7), True),
        (arm(400, 0), arm(400, 0), True),
        (Arm(64, 0), OTHER, True),
    ],
)
def test_it_sleeps_below_its_least_sample_in_an_arm_or_in_a_half(trial: Arm, control: Arm, sleeps: bool) -> None:
    assert sleeping([block(at, trial, control) for at in WINDOWS], WINDOWS, POLICY, period=60) is sleeps


def test_it_is_awake_with_as_many_periods_as_an_alarm_needs_and_no_fewer() -> None:
    thin = [block(at, arm(1, 1), OTHER) for at in WINDOWS]
    for awake in range(5):
        blocks = [block(at, ENOUGH, OTHER) for at in WINDOWS[:awake]] + thin[awake:]
        assert sleeping(blocks, WINDOWS, POLICY, period=60) is (awake < 3)
    assert sleeping(thin[:1], WINDOWS, POLICY, period=60) is True


def test_nothing_is_said_before_there_are_so_many_periods_without_a_change_of_the_route() -> None:
    assert sleeping([], WINDOWS[:2], POLICY, period=60) is None
    assert sleeping([], WINDOWS[:3], POLICY, period=60) is True


def test_a_longer_block_counts_by_its_part_of_a_period() -> None:
    five = [block(0.0, arm(40, 120), arm(120, 40), seconds=300)]
    assert sleeping(five, WINDOWS, POLICY, period=60) is False
    assert sleeping([block(0.0, arm(39, 120), arm(120, 40), seconds=300)], WINDOWS, POLICY, period=60) is True


def test_people_are_told_what_it_needs() -> None:
    assert "need 32 a period on either track, 8 from each half of the units" in sentence(POLICY)
