"""Blocks of counts: what is believed, what is joined, and what is stored."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.canary.blocks import Arm, Block, Chunk, merge, total, trusted
from promptlane.domain.errors import InvalidInput
from promptlane.domain.names import UNIT_GROUPS

GROUPS = tuple((2 * g + 1, g) for g in range(UNIT_GROUPS))
OTHER = tuple((g, g // 2) for g in range(UNIT_GROUPS))


def block(start: float, n0: int, n1: int, *, seconds: float = 60.0, share: float = 0.1, bad: int = 0) -> Block:
    return Block(start, seconds, share, Arm(n0, bad), Arm(n1))


# --- arms -----------------------------------------------------------------------------------------------------------


def test_an_arm_of_which_nothing_is_known_is_empty() -> None:
    assert Arm() == Arm(0, 0, ())


def test_arms_add_up_group_by_group() -> None:
    added = tuple((3 * g + 1, g + g // 2) for g in range(UNIT_GROUPS))
    assert Arm(64, 28, GROUPS) + Arm(28, 12, OTHER) == Arm(92, 40, added)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Arm(64, 28, GROUPS), Arm(), Arm(64, 28, GROUPS)),
        (Arm(), Arm(28, 12, OTHER), Arm(28, 12, OTHER)),
        (Arm(64, 28, GROUPS), Arm(0, 0, OTHER), Arm(64, 28, GROUPS)),
        (Arm(), Arm(), Arm()),
        (Arm(64, 28, GROUPS), Arm(5, 1), Arm(69, 29)),
        (Arm(5, 1), Arm(64, 28, GROUPS), Arm(69, 29)),
        (Arm(5, 1), Arm(), Arm(5, 1)),
    ],
)
def test_groups_are_unknown_as_soon_as_an_arm_with_requests_does_not_know_its_own(
    one: Arm, other: Arm, expected: Arm
) -> None:
    assert one + other == expected


@pytest.mark.parametrize(
    ("arm", "problem"),
    [
        (Arm(0, 0), None),
        (Arm(5, 5), None),
        (Arm(5, 1, ((5, 1), (0, 0))), None),
        (Arm(5, 6), "6 bad of 5 is more than all"),
        (Arm(-1, 0), "0 bad of -1 is negative"),
        (Arm(5, -1), "-1 bad of 5 is negative"),
        (Arm(math.nan, 0), "0 bad of nan is not a number"),  # type: ignore[arg-type]
        (Arm(5, math.inf), "inf bad of 5 is not a number"),
        (Arm(5, 1, ((4, 0), (0, 1))), "1 bad of 0 is more than all"),
    ],
)
def test_counts_that_cannot_be_true_say_why(arm: Arm, problem: str | None) -> None:
    assert arm.problem() == problem


# --- what is believed -----------------------------------------------------------------------------------------------


def test_blocks_are_believed_within_the_phase_and_the_past_and_once_each() -> None:
    believed = [block(100, 1, 0), block(160, 2, 1), block(240, 3, 1)]
    found = [
        believed[1],
        block(99, 4, 1),
        believed[0],
        block(241, 5, 1),
        block(160, 2, 1),
        block(160, 2, 7),
        believed[2],
    ]
    assert trusted(found, since=100.0, now=300.0) == (
        believed,
        [
            "the block at 99 lies before this phase; ignored",
            "the block at 241 lies in the future (clock moved?); ignored",
            "the block at 160 came twice with different counts; the first is kept",
        ],
    )


@pytest.mark.parametrize(
    "bad",
    [
        block(math.nan, 1, 1),
        block(math.inf, 1, 1),
        block(120, 1, 1, seconds=math.nan),
        block(120, 1, 1, share=math.nan),
        block(120, 1, 1, seconds=0.0),
        block(120, 1, 1, seconds=-60.0),
    ],
)
def test_a_block_without_a_valid_time_is_left_out(bad: Block) -> None:
    good = block(180, 1, 1, seconds=0.5)
    kept, notes = trusted([bad, good], since=0.0, now=1000.0)
    assert kept == [good]
    assert notes == [f"the block at {bad.start:.0f} has no valid time; ignored"]


@pytest.mark.parametrize("arms", [(Arm(3, 4), Arm(3)), (Arm(3), Arm(3, 4))])
def test_a_block_with_impossible_counts_is_left_out(arms: tuple[Arm, Arm]) -> None:
    kept, notes = trusted([Block(60, 60, 0.1, *arms), block(120, 1, 1)], since=0.0, now=1000.0)
    assert kept == [block(120, 1, 1)]
    assert notes == ["the block at 60 holds impossible counts (4 bad of 3 is more than all); ignored"]


# --- merging --------------------------------------------------------------------------------------------------------


def test_a_block_is_full_with_ten_requests_and_one_in_each_arm() -> None:
    full = [block(0, 9, 1), block(60, 1, 9), block(120, 5, 6)]
    assert merge(full) == full
    assert merge([block(0, 8, 1)]) == []
    assert merge([block(0, 10, 0)]) == []
    assert merge([block(0, 0, 10)]) == []


def test_thin_blocks_are_joined_until_they_are_full() -> None:
    thin = [
        Block(0, 60, 0.1, Arm(4, 1, ((4, 1), *((0, 0),) * (UNIT_GROUPS - 1))), Arm(1, 1)),
        Block(60, 60, 0.1, Arm(2, 0, ((1, 0), (1, 0), *((0, 0),) * (UNIT_GROUPS - 2))), Arm(2, 0)),
        Block(150, 30, 0.1, Arm(3, 2, ((3, 2), *((0, 0),) * (UNIT_GROUPS - 1))), Arm(0, 0)),
        block(180, 9, 3),
        block(240, 9, 0),
    ]
    assert merge(thin) == [
        Block(0, 180, 0.1, Arm(9, 3, ((8, 3), (1, 0), *((0, 0),) * (UNIT_GROUPS - 2))), Arm(3, 1)),
        block(180, 9, 3),
    ]


@pytest.mark.parametrize(("at", "joined"), [(35_940.0, 1), (36_060.0, 2), (90_000.0, 3)])
def test_a_block_is_as_long_as_a_sixth_of_a_percent_of_what_came_before(at: float, joined: int) -> None:
    """From ten hours on more than a minute, so that a month has few thousand of them."""
    merged = merge([block(0, 90, 10), *(block(at + 60 * i, 90, 10) for i in range(6))])
    assert merged[1] == block(at, 90 * joined, 10 * joined, seconds=60 * joined)


def test_blocks_of_different_shares_are_never_joined() -> None:
    found = [
        block(0, 4, 1, share=0.1),
        block(60, 4, 1, share=0.1, bad=2),
        block(120, 3, 1, share=0.5),
        block(180, 8, 2, share=0.5),
    ]
    assert merge(found) == [
        block(0, 8, 2, seconds=120, bad=2),
        block(120, 11, 3, seconds=120, share=0.5),
    ]
    assert merge([*found[:1], *found[2:]])[0] == found[0]


@pytest.mark.parametrize(("last", "closed"), [(1739.0, False), (1740.0, True)])
def test_half_an_hour_closes_a_block_whatever_it_holds(last: float, closed: bool) -> None:
    found = [block(0, 3, 0), block(last, 1, 0, bad=1), block(1800, 9, 1)]
    expected = [block(0, 4, 0, seconds=1800, bad=1), block(1800, 9, 1)]
    assert merge(found) == (expected if closed else [block(0, 13, 1, seconds=1860, bad=1)])


def test_the_total_is_both_arms_without_groups() -> None:
    found = [Block(0, 60, 0.1, Arm(64, 28, GROUPS), Arm(5, 1)), Block(60, 60, 0.5, Arm(6, 2), Arm(28, 12, OTHER))]
    assert total(found) == (Arm(70, 30), Arm(33, 13))
    assert total([]) == (Arm(0, 0), Arm(0, 0))


# --- storage --------------------------------------------------------------------------------------------------------

pairs = st.integers(0, 10**6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
arms = st.builds(
    lambda pair, groups: Arm(pair[0], pair[1], groups), pairs, st.just(()) | st.tuples(*[pairs] * UNIT_GROUPS)
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
stored = st.builds(Block, numbers, numbers, numbers, arms, arms)
chunks = st.builds(
    Chunk,
    phase=st.text(),
    metric=st.text(),
    start=numbers,
    end=numbers,
    blocks=st.lists(stored, max_size=2).map(tuple),
    history=st.none() | pairs,
)


@settings(max_examples=20)
@given(chunks)
def test_a_chunk_is_read_back_as_it_was_stored(chunk: Chunk) -> None:
    assert Chunk.from_item(chunk.to_item()) == chunk


def test_a_chunk_is_stored_under_these_names() -> None:
    held = Block(60.0, 30.0, 0.25, Arm(64, 28, GROUPS), Arm(5, 1))
    chunk = Chunk("canary", "Error", 60.0, 120.0, (held, block(90, 2, 1)), (500, 5))
    row = [60.0, 30.0, 0.25, [64, 28, *(v for pair in GROUPS for v in pair)], [5, 1]]
    item = {
        "phase": "canary",
        "metric": "Error",
        "start": 60.0,
        "end": 120.0,
        "blocks": [row, [90, 60.0, 0.1, [2, 0], [1, 0]]],
        "history": [500, 5],
    }
    assert chunk.to_item() == item
    assert held.end == 90.0
    assert held.n == 69
    bare = {k: v for k, v in item.items() if k != "history"}
    assert Chunk("canary", "Error", 60.0, 120.0, chunk.blocks).to_item() == bare
    assert Chunk("canary", "Error", 60.0, 120.0, chunk.blocks).history is None
    assert Chunk.from_item({**bare, "blocks": None}) == Chunk("canary", "Error", 60.0, 120.0, ())
    assert Chunk.from_item({k: v for k, v in bare.items() if k != "blocks"}).blocks == ()


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ([0, 60, 0.1, [1, 0]], "not enough values"),
        ([0, 60, 0.1, [1, 0, 0, 0], [1, 0]], "an arm has 2 or 34 numbers, not 4"),
        ([0, 60, 0.1, [1, 0], [1] * 16], "an arm has 2 or 34 numbers, not 16"),
        ([0, 60, 0.1, [1, 0.5], [1, 0]], "0.5 is not a count"),
        ([0, 60, 0.1, [1, math.nan], [1, 0]], "nan is not a count"),
        ([0, 60, 0.1, [-math.inf, 0], [1, 0]], "-inf is not a count"),
        ([0, 60, 0.1, [math.inf, 0], [1, 0]], "inf is not a count"),
        ([0, 60, "wide", [1, 0], [1, 0]], "could not convert"),
        ([None, 60, 0.1, [1, 0], [1, 0]], "NoneType"),
    ],
)
def test_a_row_that_is_no_block_is_refused_and_left_out_of_its_chunk(row: list[Any], why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Block.from_list(row)
    assert str(caught.value).startswith(f"{row!r} is not a stored block: ")
    assert why in str(caught.value)
    good = block(60, 2, 1)
    item = {"phase": "canary", "metric": "Error", "start": 0, "end": 120, "blocks": [row, good.to_list()]}
    assert Chunk.from_item(item).blocks == (good,)


def test_numbers_that_were_stored_as_decimals_or_text_are_read() -> None:
    assert Block.from_list(["0", 60, 0.1, ["3", 1.0], [2, 0]]) == Block(0.0, 60.0, 0.1, Arm(3, 1), Arm(2, 0))
