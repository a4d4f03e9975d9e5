"""The bets: expectations never above 1, and the same numbers from an independent slow implementation."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, getcontext
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.canary import dispersion, evidence
from promptlane.domain.canary.blocks import Arm, Block, merge, rows
from promptlane.domain.names import UNIT_GROUPS

getcontext().prec = 40
SHAPES = ((1, 1), (6, 2), (3, 9), (12, 4))
RATES = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8)


def block(n0: int, y0: int, n1: int, y1: int, *, start: float = 0.0, share: float = 0.5) -> Block:
    return Block(start, 60.0, share, Arm(n0, y0), Arm(n1, y1))


def expectation(n0: int, n1: int, p0: float, p1: float, gain) -> float:  # type: ignore[no-untyped-def]
    """Exact expected factor of one block: every outcome, weighted by its probability."""
    return math.fsum(
        math.comb(n0, y0)
        * p0**y0
        * (1 - p0) ** (n0 - y0)
        * math.comb(n1, y1)
        * p1**y1
        * (1 - p1) ** (n1 - y1)
        * math.exp(gain((n0, y0, n1, y1)))
        for y0 in range(n0 + 1)
        for y1 in range(n1 + 1)
    )


@pytest.mark.parametrize(("n0", "n1"), SHAPES)
@pytest.mark.parametrize("tolerance", [0.0, 0.005, 0.05])
def test_no_block_expects_to_gain_when_the_trial_is_harmless(n0: int, n1: int, tolerance: float) -> None:
    nulls = [(p0, p0 + tolerance) for p0 in RATES] + [(p0, p0 * 0.7) for p0 in RATES]
    for (odds, _), q0, (p0, p1) in itertools.product(evidence.HARM_BETS, RATES, nulls):
        found = expectation(n0, n1, p0, p1, lambda b, q0=q0, odds=odds: evidence.harm_gain(b, q0, odds, tolerance))
        assert found <= 1 + 1e-9


@pytest.mark.parametrize(("n0", "n1"), SHAPES)
@pytest.mark.parametrize(("margin_abs", "margin_rel"), [(0.01, 0.5), (0.05, 0.0), (0.0, 1.0)])
def test_no_block_expects_to_gain_when_the_trial_is_worse_by_the_margin(
    n0: int, n1: int, margin_abs: float, margin_rel: float
) -> None:
    for (depth, _), q0, p0 in itertools.product(evidence.ADVANCE_BETS, RATES, RATES):
        edge = p0 + max(margin_abs, margin_rel * p0)
        for p1 in (edge, edge + 0.1):
            if p1 <= 1:
                found = expectation(
                    n0,
                    n1,
                    p0,
                    p1,
                    lambda b, q0=q0, depth=depth: evidence.advance_gain(b, q0, depth, margin_abs, margin_rel),
                )
                assert found <= 1 + 1e-9


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_no_block_expects_to_gain_when_the_split_is_as_declared(share: float) -> None:
    for n in (1, 4, 12):
        for odds in evidence.SPLIT_BETS:
            expected = math.fsum(
                math.comb(n, k) * share**k * (1 - share) ** (n - k) * odds**k / (1 - share + odds * share) ** n
                for k in range(n + 1)
            )
            assert expected <= 1 + 1e-9
    mixed = math.fsum(
        math.comb(9, k) * share**k * (1 - share) ** (9 - k) * evidence.split([block(9 - k, 0, k, 0, share=share)])
        for k in range(10)
    )
    assert mixed <= 1 + 1e-9


# --- an independent implementation: 40 digits, no closed forms, no running sums -------------------------------------


def _kl(q: Decimal, s: Decimal) -> Decimal:
    return q * (q / s).ln() + (1 - q) * ((1 - q) / (1 - s)).ln()


def _nearest(n0: int, n1: int, q0: Decimal, q1: Decimal, c: Decimal, d: Decimal) -> tuple[Decimal, Decimal]:
    """Golden-section search for the point of the line s1 = c s0 + d that minimises the weighted divergence."""

    def cost(s0: Decimal) -> Decimal:
        return n0 * _kl(q0, s0) + n1 * _kl(q1, c * s0 + d)

    tiny = Decimal(10) ** -12
    low, high = max(tiny, -d / c + tiny), min(1 - tiny, (1 - d) / c - tiny)
    ratio = (Decimal(5).sqrt() - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    cost_a, cost_b = cost(a), cost(b)
    for _ in range(85):
        if cost_a < cost_b:
            high, b, cost_b = b, a, cost_a
            a = high - ratio * (high - low)
            cost_a = cost(a)
        else:
            low, a, cost_a = a, b, cost_b
            b = low + ratio * (high - low)
            cost_b = cost(b)
    s0 = (low + high) / 2
    return s0, c * s0 + d


def _factor(b: Block, q0: Decimal, q1: Decimal, s0: Decimal, s1: Decimal) -> Decimal:
    y0, y1 = int(b.control.bad), int(b.trial.bad)
    found = (q0 / s0) ** y0 * ((1 - q0) / (1 - s0)) ** (b.control.n - y0)
    return found * (q1 / s1) ** y1 * ((1 - q1) / (1 - s1)) ** (b.trial.n - y1)


def _rate_before(blocks: list[Block], i: int) -> Decimal:
    bad, n = Decimal("0.5"), Decimal(50)
    for b in blocks[:i]:
        bad, n = bad + int(b.control.bad), n + b.control.n
    return min(max(bad / n, Decimal("1e-6")), Decimal("0.95"))


def slow_harm(blocks: list[Block]) -> Decimal:
    hours = int((blocks[-1].start - blocks[0].start) // 3600)
    share = 1 - Decimal(str(evidence.FIRST_START))
    total = share / (hours + 1)
    for hour in range(hours + 1):
        weight = 1 - share if hour == 0 else share / (hour * (hour + 1))
        for odds, prior in evidence.HARM_BETS:
            bankroll = Decimal(1)
            for i, b in enumerate(blocks):
                if b.start - blocks[0].start < 3600 * hour or not b.control.n or not b.trial.n:
                    continue
                q0, k = _rate_before(blocks, i), Decimal(str(odds))
                q1 = k * q0 / (1 - q0 + k * q0)
                bankroll *= _factor(b, q0, q1, *_nearest(b.control.n, b.trial.n, q0, q1, Decimal(1), Decimal(0)))
            total += weight * Decimal(str(prior)) * bankroll
    return total


def slow_advance(blocks: list[Block], margin_abs: float, margin_rel: float) -> Decimal:
    total = Decimal(0)
    absolute, relative = Decimal(str(margin_abs)), Decimal(str(margin_rel))
    for depth, prior in evidence.ADVANCE_BETS:
        bankroll = Decimal(1)
        for i, b in enumerate(blocks):
            if not b.control.n or not b.trial.n:
                continue
            q0 = _rate_before(blocks, i)
            c, d = (1 + relative, Decimal(0)) if relative * q0 > absolute else (Decimal(1), absolute)
            q1 = q0 + Decimal(str(depth)) * (c * q0 + d - q0)
            bankroll *= _factor(b, q0, q1, *_nearest(b.control.n, b.trial.n, q0, q1, c, d))
        total += Decimal(str(prior)) * bankroll
    return total


arms = st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, min(n, 12))))


@settings(max_examples=12)
@given(counts=st.lists(st.tuples(arms, arms), min_size=1, max_size=4), gap=st.sampled_from([60.0, 2000.0]))
def test_agrees_with_a_slow_independent_implementation(
    counts: list[tuple[tuple[int, int], tuple[int, int]]], gap: float
) -> None:
    blocks = [block(*c, *t, start=gap * i) for i, (c, t) in enumerate(counts)]
    fast = evidence.harm(rows(blocks), evidence.Learner())
    assert fast == pytest.approx(float(slow_harm(blocks)), rel=1e-9)
    ready = evidence.advance(rows(blocks), evidence.Learner(), since=0, margins=(0.01, 0.5))
    assert ready == pytest.approx(float(slow_advance(blocks, 0.01, 0.5)), rel=1e-9)


# --- properties -----------------------------------------------------------------------------------------------------

histories = st.lists(st.tuples(arms, arms), max_size=30)


@given(counts=histories)
def test_nothing_is_learned_from_an_empty_arm(counts: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    lone = [block(*c, 0, 0, start=60.0 * i) for i, (c, _) in enumerate(counts)]
    assert evidence.harm(rows(lone), evidence.Learner()) == pytest.approx(1.0)
    assert evidence.advance(rows(lone), evidence.Learner(), since=0, margins=(0.01, 0.5)) == pytest.approx(1.0)


@given(counts=histories, factor=st.floats(1.0, 50.0))
def test_deflated_evidence_decides_nothing_that_full_evidence_would_not(
    counts: list[tuple[tuple[int, int], tuple[int, int]]], factor: float
) -> None:
    blocks = [block(*c, *t, start=60.0 * i) for i, (c, t) in enumerate(counts)]
    full = evidence.harm(rows(blocks), evidence.Learner())
    deflated = evidence.harm(rows(blocks), evidence.Learner(), inflation=factor)
    assert deflated <= max(full, 1.0) * (1 + 1e-9)


@given(counts=histories)
def test_merging_loses_no_request_and_joins_no_two_shares(
    counts: list[tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    blocks = [block(*c, *t, start=60.0 * i, share=0.1 if i < 10 else 0.5) for i, (c, t) in enumerate(counts)]
    merged = merge(blocks)
    assert sum(b.n for b in merged) <= sum(b.n for b in blocks)
    assert all(b.share in (0.1, 0.5) for b in merged)
    assert all(b.end <= 600 or b.start >= 600 for b in merged)
    for b in merged:
        inside = [x for x in blocks if b.start <= x.start < b.end]
        assert sum(x.control.n for x in inside) == b.control.n
        assert sum(x.trial.bad for x in inside) == b.trial.bad


# --- dispersion -----------------------------------------------------------------------------------------------------


def grouped(n: tuple[int, ...], bad: tuple[int, ...]) -> Arm:
    """Of eight groups; the others have no requests."""
    return Arm(sum(n), sum(bad), (*zip(n, bad, strict=True), *((0, 0),) * (UNIT_GROUPS - 8)))


def kept_whole(blocks: list[Block]) -> dispersion.Inflation:
    return dispersion.Scatter(blocks).inflation()


def test_bad_requests_that_fall_on_one_group_deflate_and_spread_ones_do_not() -> None:
    even = grouped((20,) * 8, (1,) * 8)
    lumpy = grouped((20,) * 8, (8, 0, 0, 0, 0, 0, 0, 0))
    blocks = [Block(60.0 * i, 60.0, 0.5, even, even) for i in range(20)]
    assert kept_whole(blocks).factor == 1.0
    clustered = [Block(60.0 * i, 60.0, 0.5, even, lumpy) for i in range(20)]
    assert kept_whole(clustered).factor > 5


def test_correlation_across_blocks_is_seen_too() -> None:
    """One group's units fail once a block: no block shows it, the sum does."""
    arm = grouped((20,) * 8, (1, 0, 0, 0, 0, 0, 0, 0))
    blocks = [Block(60.0 * i, 60.0, 0.5, arm, arm) for i in range(32)]
    assert kept_whole(blocks).factor > 10


def test_unknown_groups_and_too_few_units_are_taken_for_correlated() -> None:
    bare = [Block(60.0 * i, 60.0, 0.5, Arm(50, 1), Arm(50, 1)) for i in range(5)]
    assert kept_whole(bare) == (dispersion.UNKNOWN, kept_whole(bare).note)
    single = grouped((40, 0, 0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0, 0, 0))
    even = grouped((20,) * 8, (0,) * 8)
    found = kept_whole([Block(60.0 * i, 60.0, 0.5, even, single) for i in range(5)])
    assert found.factor == dispersion.UNKNOWN
    assert "too few units" in found.note


@given(st.lists(st.tuples(*[st.integers(0, 30)] * 8), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_inflation_is_at_least_one_and_finite(rows: list[tuple[int, ...]], random: Random) -> None:
    blocks = [
        Block(60.0 * i, 60.0, 0.5, grouped(n, tuple(random.randint(0, g) for g in n)), grouped(n, n))
        for i, n in enumerate(rows)
    ]
    for found in (kept_whole(blocks), dispersion.of_assignments(blocks)):
        assert 1 <= found.factor < math.inf
