"""No bad input and no heavy user makes the judge decide anything. Its rules one by one: test_judge.py."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain import metrics
from promptlane.domain.canary.blocks import Arm, Block, Chunk
from promptlane.domain.canary.judge import Judgement, StepContext, judge
from promptlane.domain.errors import InvalidInput
from promptlane.domain.names import UNIT_GROUPS, Phase
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Policy, Reviewer, ReviewPolicy, Step

START = 1_700_000_000.0
CONTEXT = StepContext(Phase.CANARY, 0, since=START, phase_since=START)


def policy(*guards: GuardPolicy, **canary: Any) -> Policy:
    return Policy(
        review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)),
        canary=CanaryPolicy(
            steps=(Step(1000, 600, 6 * 3600),),
            ladder=(1.0,),
            guard_metrics=guards or (GuardPolicy(metrics.ERROR),),
            **canary,
        ),
    )


def arm(rng: random.Random, n: int, rate: float) -> Arm:
    sizes = [n // UNIT_GROUPS + (g < n % UNIT_GROUPS) for g in range(UNIT_GROUPS)]
    groups = tuple((m, sum(rng.random() < rate for _ in range(m))) for m in sizes)
    return Arm(n, sum(b for _, b in groups), groups)


def minutes(count: int, n0: int, p0: float, n1: int, p1: float) -> list[Block]:
    rng = random.Random(3)
    return [Block(START + 60 * i, 60, 0.1, arm(rng, n0, p0), arm(rng, n1, p1)) for i in range(count)]


def decide(blocks: list[Block], made: Policy | None = None) -> Judgement:
    made = made or policy()
    return judge({g.name: blocks for g in made.canary.guard_metrics}, blocks, made, CONTEXT, START + 3 * 3600)


CALM = minutes(150, 90, 0.01, 10, 0.01)


NONE = ((0, 0),) * (UNIT_GROUPS - 8)


def test_heavy_units_do_not_look_like_a_broken_split() -> None:
    """All requests of a group come from one heavy unit, which sits in one arm for good."""
    control = Arm(900, 0, ((300, 0), *((100, 0),) * 6, (0, 0), *NONE))
    trial = Arm(207, 0, (*((11, 0),) * 7, (130, 0), *NONE))
    found = decide([Block(START + 60 * i, 60, 0.1, control, trial) for i in range(60)])
    assert found.cause != "split"


impossible = st.sampled_from(
    [
        Arm(-1, 0),
        Arm(5, 6),
        Arm(5, -1),
        Arm(math.nan, 0),  # type: ignore[arg-type]
        Arm(5, math.nan),
        Arm(math.inf, 1),  # type: ignore[arg-type]
        Arm(5, 1, ((1, 2),) * UNIT_GROUPS),
    ]
)


@settings(max_examples=30)
@given(bad=impossible, at=st.integers(0, 149), in_trial=st.booleans())
def test_impossible_counts_are_left_out_and_noted(bad: Arm, at: int, in_trial: bool) -> None:
    blocks = list(CALM)
    b = blocks[at]
    blocks[at] = Block(b.start, 60, b.share, *((b.control, bad) if in_trial else (bad, b.trial)))
    found = decide(blocks)
    assert found.judgement == decide([x for x in CALM if x is not b]).judgement
    assert any("impossible" in note for note in found.notes)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=True, allow_infinity=True),
            st.integers(-5, 50),
            st.integers(-5, 50),
            st.integers(-5, 50),
            st.integers(-5, 50),
        ),
        max_size=30,
    ),
    st.floats(0, 2e9),
)
def test_whatever_comes_in_the_judge_answers(rows: list[tuple[float, int, int, int, int]], now: float) -> None:
    blocks = [Block(at, 60, 0.1, Arm(a, b), Arm(c, d)) for at, a, b, c, d in rows]
    found = judge({metrics.ERROR.name: blocks}, blocks, policy(), CONTEXT, now)
    assert found.judgement in ("advance", "hold", "roll_back")
    assert math.isfinite(found.harm)
    assert found.reason


def test_a_clock_that_jumps_back_holds() -> None:
    blocks = minutes(150, 900, 0.01, 100, 0.01)
    found = judge({metrics.ERROR.name: blocks}, blocks, policy(), CONTEXT, START - 3600)
    assert found.judgement == "hold"


def test_errors_of_zero_can_never_be_proved_and_therefore_hold() -> None:
    found = decide(minutes(60, 90, 0.01, 10, 0.5), policy(alpha=0.0, beta=0.0))
    assert found.judgement == "hold"


def test_a_margin_of_zero_never_advances() -> None:
    made = policy(GuardPolicy(metrics.ERROR, margin_abs=0.0, margin_rel=0.0))
    assert decide(minutes(150, 900, 0.01, 100, 0.01), made).judgement == "hold"


@given(st.lists(st.one_of(st.none(), st.text(), st.lists(st.floats(allow_nan=True), max_size=6)), max_size=6))
def test_a_stored_row_that_is_no_block_is_refused(row: list[object]) -> None:
    with pytest.raises(InvalidInput, match="stored block"):
        Block.from_list(row)
    item = {"phase": "canary", "metric": "Error", "start": 0, "end": 60, "blocks": [row]}
    assert Chunk.from_item(item).blocks == ()


def test_equal_sessions_are_rolled_back_rarely() -> None:
    """Requests of a session go wrong together; judged as independent, one release in three would be rolled back."""
    wrong = 0
    for seed in range(60):
        rng = random.Random(seed)
        cells = [[[[0, 0] for _ in range(UNIT_GROUPS)] for _ in range(2)] for _ in range(60)]
        for _ in range(400):
            side, group, begin, rate = (
                int(rng.random() < 0.2),
                rng.randrange(UNIT_GROUPS),
                rng.random() * 55,
                rng.betavariate(0.05, 0.95),
            )
            for _ in range(10):
                cell = cells[int(begin + rng.random() * 5)][side][group]
                cell[0] += 1
                cell[1] += rng.random() < rate
        blocks = []
        for i, (control, trial) in enumerate(cells):
            groups = [tuple((n, bad) for n, bad in side) for side in (control, trial)]
            sides = [Arm(sum(n for n, _ in g), sum(bad for _, bad in g), g) for g in groups]
            blocks.append(Block(START + 60 * i, 60, 0.2, *sides))
        wrong += decide(blocks).judgement == "roll_back"
    assert wrong <= 6
