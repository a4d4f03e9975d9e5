"""The bankrolls at several points, against the formulas of the study written out block by block."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.canary import evidence
from promptlane.domain.canary.blocks import Arm, Block, Counts, rows
from promptlane.domain.canary.evidence import Learner, advance_gain, gain, harm_gain

HOUR = 3600.0
HARM = {1.5: 0.25, 2.2: 0.25, 4.0: 0.2, 10.0: 0.2, 50.0: 0.1}
ADVANCE = {0.0: 0.75, 0.4: 0.25}
SPLIT = (0.5, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 2.0)


def block(n0: int, y0: int, n1: int, y1: int, *, start: float = 0.0, share: float = 0.5) -> Block:
    return Block(start, 60.0, share, Arm(n0, y0), Arm(n1, y1))


def counts_of(b: Block) -> Counts:
    return b.control.n, b.control.bad, b.trial.n, b.trial.bad


def kl(q: float, s: float) -> float:
    return (q * math.log(q / s) if q else 0.0) + ((1 - q) * math.log((1 - q) / (1 - s)) if q < 1 else 0.0)


def lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a convex function is lowest, by ternary search."""
    for _ in range(120):
        one, two = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, two) if function(one) < function(two) else (one, high)
    return (low + high) / 2


def slow_gain(b: Block, q0: float, q1: float, c: float, d: float) -> float:
    """The log likelihood ratio of (q0, q1) to the nearest point of the line p1 = c p0 + d, as four sums of ln."""
    (n0, y0), (n1, y1) = (b.control.n, b.control.bad), (b.trial.n, b.trial.bad)
    tiny = 1e-12
    s0 = lowest(lambda s: n0 * kl(q0, s) + n1 * kl(q1, c * s + d), tiny, (1 - d) / c - tiny)
    s1 = c * s0 + d
    found = y0 * math.log(q0) + (n0 - y0) * math.log(1 - q0) + y1 * math.log(q1) + (n1 - y1) * math.log(1 - q1)
    null = y0 * math.log(s0) + (n0 - y0) * math.log(1 - s0) + y1 * math.log(s1) + (n1 - y1) * math.log(1 - s1)
    return found - null


def times_odds(odds: float, rate: float) -> float:
    """The rate whose odds are so many times those of `rate`."""
    larger = odds * rate / (1 - rate)
    return larger / (1 + larger)


# --- the control's rate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "rate", "expected"),
    [
        (None, None, 0.5 / 50),
        (None, 0.08, 4.0 / 50),
        (None, 0.0, 1e-6),
        (None, 1.0, 0.95),
        ((0, 0), None, 0.5 / 50),
        ((0, 0), 0.08, 4.0 / 50),
        ((1, 1), None, 1.5 / 51),
        ((200, 6), None, 6.5 / 250),
        ((450, 9), 0.08, 13.0 / 500),
        ((451, 451), 0.08, 454.0 / 500),
        ((90_000, 1800), None, (0.5 + 9.0) / 500),
    ],
)
def test_the_rate_starts_from_a_prior_worth_50_and_a_history_worth_450(
    history: tuple[int, int] | None, rate: float | None, expected: float
) -> None:
    assert Learner(history, rate).rate == pytest.approx(expected, rel=1e-12)


def test_the_rate_is_learned_from_every_block() -> None:
    learner = Learner((200, 6), 0.04)
    learner.learn(30, 4)
    learner.learn(20, 1)
    assert learner.rate == pytest.approx((2 + 6 + 4 + 1) / (50 + 200 + 30 + 20), rel=1e-12)


# --- one block ------------------------------------------------------------------------------------------------------


def test_a_gain_is_the_likelihood_ratio_of_the_bet_to_the_null() -> None:
    found = gain((7, 2, 5, 3), 0.1, 0.4, 0.2, 0.3)
    assert found == pytest.approx(
        2 * math.log(0.5) + 5 * math.log(0.9 / 0.8) + 3 * math.log(4 / 3) + 2 * math.log(0.6 / 0.7)
    )


@pytest.mark.parametrize("counts", [(30, 2, 10, 1), (4, 0, 25, 6), (11, 11, 3, 0)])
@pytest.mark.parametrize(("q0", "odds"), [(0.01, 1.5), (0.2, 10.0), (0.6, 50.0)])
@pytest.mark.parametrize("tolerance", [0.0, 0.004, 0.07])
def test_a_bet_on_harm_multiplies_the_odds_of_the_worst_harmless_rate(
    counts: tuple[int, int, int, int], q0: float, odds: float, tolerance: float
) -> None:
    expected = slow_gain(block(*counts), q0, times_odds(odds, q0 + tolerance), 1.0, tolerance)
    assert harm_gain(counts, q0, odds, tolerance) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_without_a_tolerance_the_nearest_null_is_the_pooled_rate_itself() -> None:
    for q0, odds in ((0.01, 1.5), (0.037, 4.0), (0.2, 10.0), (0.61, 50.0)):
        q1 = odds * q0 / (1 - q0 + odds * q0)
        pooled = (30 * q0 + 11 * q1) / (30 + 11)
        assert harm_gain((30, 2, 11, 4), q0, odds) == gain((30, 2, 11, 4), q0, q1, pooled, pooled)


@pytest.mark.parametrize("tolerance", [0.05, 0.0499999999, 0.2])
def test_where_nothing_could_be_worse_there_is_no_bet_on_harm(tolerance: float) -> None:
    assert harm_gain((20, 19, 10, 4), 0.95, 50.0, tolerance) == 0.0


@pytest.mark.parametrize("counts", [(30, 2, 10, 1), (4, 0, 25, 6), (11, 11, 3, 0)])
@pytest.mark.parametrize("depth", [0.0, 0.4])
@pytest.mark.parametrize(
    ("q0", "margin_abs", "margin_rel", "c", "d"),
    [
        (0.01, 0.02, 0.5, 1.0, 0.02),
        (0.3, 0.02, 0.5, 1.5, 0.0),
        (0.5, 0.25, 0.5, 1.0, 0.25),
        (0.2, 0.0, 1.5, 2.5, 0.0),
        (0.2, 0.1, 0.0, 1.0, 0.1),
    ],
)
def test_a_bet_on_harmlessness_is_against_the_nearer_line_of_the_margin(
    counts: tuple[int, int, int, int], depth: float, q0: float, margin_abs: float, margin_rel: float, c: float, d: float
) -> None:
    """Of an absolute and a relative margin the larger one at q0; the absolute one where they are equal."""
    q1 = q0 + depth * (c * q0 + d - q0)
    found = advance_gain(counts, q0, depth, margin_abs, margin_rel)
    assert found == pytest.approx(slow_gain(block(*counts), q0, q1, c, d), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(("q0", "margin_abs", "margin_rel"), [(0.5, 0.5, 0.0), (0.9, 0.2, 0.0), (0.7, 0.01, 0.5)])
def test_where_nothing_could_be_worse_by_the_margin_there_is_no_bet(
    q0: float, margin_abs: float, margin_rel: float
) -> None:
    assert advance_gain((20, 9, 10, 4), q0, 0.4, margin_abs, margin_rel) == 0.0


@pytest.mark.parametrize("counts", [(0, 0, 10, 3), (10, 3, 0, 0), (0, 0, 0, 0)])
def test_a_block_without_one_of_the_arms_is_no_bet(counts: tuple[int, int, int, int]) -> None:
    gains = harm_gain(counts, 0.1, 2.0), harm_gain(counts, 0.1, 2.0, 0.01), advance_gain(counts, 0.1, 0.4, 0.1, 0.0)
    assert gains == (0, 0, 0)


# --- bankrolls ------------------------------------------------------------------------------------------------------

BLOCKS = [
    block(30, 1, 10, 3, start=500.0),
    block(25, 0, 12, 0, start=560.0),
    block(28, 2, 9, 2, start=500.0 + HOUR),
    block(40, 1, 0, 0, start=560.0 + HOUR),
    block(31, 0, 11, 4, start=499.0 + 3 * HOUR),
    block(22, 3, 17, 1, start=500.0 + 5 * HOUR),
]


def rates_before(blocks: list[Block], n: float, bad: float) -> list[float]:
    """What is known of the control before each block, from a prior of `bad` in `n`."""
    return [
        (bad + sum(b.control.bad for b in blocks[:i])) / (n + sum(b.control.n for b in blocks[:i]))
        for i in range(len(blocks))
    ]


def slow_harm(blocks: list[Block], rates: list[float], tolerance: float = 0.0, inflation: float = 1.0) -> float:
    opened = int((blocks[-1].start - blocks[0].start) // HOUR)
    total = 0.1 / (opened + 1)
    for hour in range(opened + 1):
        weight = 0.9 if hour == 0 else 0.1 / (hour * (hour + 1))
        for odds, prior in HARM.items():
            won = sum(
                harm_gain(counts_of(b), q0, odds, tolerance)
                for b, q0 in zip(blocks, rates, strict=True)
                if b.start - blocks[0].start >= hour * HOUR
            )
            total += weight * prior * math.exp(won / inflation)
    return total


@pytest.mark.parametrize("upto", range(1, len(BLOCKS) + 1))
@pytest.mark.parametrize(("tolerance", "inflation"), [(0.0, 1.0), (0.03, 1.0), (0.0, 2.5), (0.01, 1.7)])
def test_harm_adds_up_bets_opened_each_hour(upto: int, tolerance: float, inflation: float) -> None:
    blocks = BLOCKS[:upto]
    found = evidence.harm(rows(blocks), Learner((200, 6), 0.04), tolerance=tolerance, inflation=inflation)
    assert found == pytest.approx(slow_harm(blocks, rates_before(blocks, 250, 8), tolerance, inflation), rel=1e-9)


def test_harm_is_one_without_data_and_takes_no_tolerance_by_itself() -> None:
    assert evidence.harm([], Learner()) == 1.0
    assert evidence.harm(rows(BLOCKS), Learner()) == evidence.harm(
        rows(BLOCKS), Learner(), tolerance=0.0, inflation=1.0
    )


def test_no_more_bets_are_opened_after_a_leap_year() -> None:
    """8,784 hours; the blocks lie 9,000 hours apart, so that all later starts hold the second block alone."""
    blocks = [block(30, 1, 10, 3), block(25, 2, 12, 6, start=9000 * HOUR)]
    first, second = rates_before(blocks, 50, 0.5)
    opening = [
        (p, harm_gain(counts_of(blocks[0]), first, k), harm_gain(counts_of(blocks[1]), second, k))
        for k, p in HARM.items()
    ]
    both, alone = (sum(p * math.exp(early * use + late) for p, early, late in opening) for use in (1, 0))
    later = 24 * 366 - 1
    expected = 0.9 * both + 0.1 * (1 - 1 / (later + 1)) * alone + 0.1 / (later + 1)
    assert evidence.harm(rows(blocks), Learner()) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("since", "from_block"), [(0.0, 0), (500.0, 0), (560.0, 1), (561.0, 2), (1e9, 6)])
@pytest.mark.parametrize("inflation", [1.0, 2.5])
def test_harmlessness_counts_from_a_steps_beginning_and_learns_from_all(
    since: float, from_block: int, inflation: float
) -> None:
    rates = rates_before(BLOCKS, 50, 2.0)
    expected = 0.0
    for depth, prior in ADVANCE.items():
        counted = list(zip(BLOCKS, rates, strict=True))[from_block:]
        won = sum(advance_gain(counts_of(b), q0, depth, 0.03, 0.5) for b, q0 in counted)
        expected += prior * math.exp(won / inflation)
    found = evidence.advance(rows(BLOCKS), Learner(rate=0.04), since=since, margins=(0.03, 0.5), inflation=inflation)
    assert found == pytest.approx(expected, rel=1e-12)
    if inflation == 1:
        assert found == evidence.advance(rows(BLOCKS), Learner(rate=0.04), since=since, margins=(0.03, 0.5))


def test_evidence_is_capped_at_e_to_the_50() -> None:
    fine = [block(90_000, 900, 90_000, 900, start=60.0 * i) for i in range(5)]
    found = evidence.advance(rows(fine), Learner(), since=0.0, margins=(0.05, 0.0))
    assert found == pytest.approx(math.exp(50))


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.sampled_from([0.05, 0.3, 0.7])), max_size=6),
    st.sampled_from([1.0, 2.5]),
)
def test_a_split_is_bet_on_at_eight_multiples_of_its_odds(told: list[tuple[int, int, float]], inflation: float) -> None:
    """The chance of each assignment if the odds were so many times the declared ones, over the declared chance."""
    blocks = [block(n0, 0, n1, 0, share=share) for n0, n1, share in told]
    expected = 0.0
    for odds in SPLIT:
        won = 0.0
        for n0, n1, share in told:
            bet = times_odds(odds, share)
            won += n1 * math.log(bet / share) + n0 * math.log((1 - bet) / (1 - share))
        expected += math.exp(won / inflation) / 8
    assert evidence.split(blocks, inflation=inflation) == pytest.approx(expected, rel=1e-9)


def test_where_all_goes_to_one_arm_there_is_no_split_to_doubt() -> None:
    whole = [block(0, 0, 9, 0, share=1.0), block(7, 0, 5, 0, share=0.0)]
    told = [block(3, 0, 9, 0, share=0.2)]
    assert evidence.split(whole) == pytest.approx(1.0)
    assert evidence.split([*whole, *told]) == evidence.split(told)
    assert evidence.split(told) == evidence.split(told, inflation=1.0) > 5


def test_the_bets_are_these() -> None:
    assert dict(evidence.HARM_BETS) == HARM
    assert dict(evidence.ADVANCE_BETS) == ADVANCE
    assert evidence.SPLIT_BETS == SPLIT
    assert (evidence.FIRST_START, evidence.START_EVERY) == (0.9, HOUR)
