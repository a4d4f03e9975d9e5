"""How much counts scatter between groups, against fractions written out and enumerated chances."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from promptlane.domain.canary import dispersion
from promptlane.domain.canary.blocks import Arm, Block, Pair
from promptlane.domain.canary.dispersion import Inflation, Scatter
from promptlane.domain.names import UNIT_GROUPS
from tests.support.near import near

Groups = tuple[Pair, ...]
EIGHT = (0,) * 8
OTHERS = ((0, 0),) * (UNIT_GROUPS - 8)
MISSING = "unit groups are missing; evidence is divided by 3 to be safe"
FEW = "requests come from too few units to tell; evidence is divided by 3"


def arm(n: tuple[int, ...], bad: tuple[int, ...] = EIGHT) -> Arm:
    """Of eight groups; the others have no requests."""
    return Arm(sum(n), sum(bad), (*zip(n, bad, strict=True), *OTHERS))


def blocks(*pairs: tuple[Arm, Arm]) -> list[Block]:
    return [Block(60.0 * i, 60.0, 0.5, control, trial) for i, (control, trial) in enumerate(pairs)]


def one_bad(group: int, times: int = 1) -> tuple[int, ...]:
    return tuple(times if g == group else 0 for g in range(8))


# --- the formula, slowly --------------------------------------------------------------------------------------------


def window(groups: list[Groups]) -> tuple[Fraction, Fraction, Fraction]:
    """(found, expected, variance) of one window."""
    n_g = [sum(g[i][0] for g in groups if g) for i in range(UNIT_GROUPS)]
    y_g = [sum(int(g[i][1]) for g in groups if g) for i in range(UNIT_GROUPS)]
    n, y = sum(n_g), sum(y_g)
    if n < 2:
        return Fraction(0), Fraction(0), Fraction(0)
    f = [Fraction(g, n) for g in n_g]
    finite = Fraction(n - y, n - 1)
    found = sum(((yg - fg * y) ** 2 for yg, fg in zip(y_g, f, strict=True)), Fraction())
    squares, cubes = sum((x**2 for x in f), Fraction()), sum((x**3 for x in f), Fraction())
    return found, y * (1 - squares) * finite, 2 * y * (y - 1) * (squares - 2 * cubes + squares**2) * finite**2


def inflation(rows: list[list[Groups]], significant: float) -> float:
    """The largest significant ratio over arms (each alone, then all together) and window lengths."""
    largest = 1.0
    for length in (1, 4, 16, 64, max(len(rows[0]), 1)):
        sums = [[window(row[i : i + length]) for i in range(0, len(row), length)] or [window([])] for row in rows]
        for windows in (*sums, list(itertools.chain(*sums))):
            found, expected, variance = (sum(w[k] for w in windows) for k in range(3))
            if expected < Fraction(3, 10):
                continue
            if found / expected > 1 + significant * math.sqrt(variance) / expected:
                largest = max(largest, float(found / expected))
    return largest


def of_metric(found: list[Block]) -> float:
    return inflation([[b.control.groups for b in found], [b.trial.groups for b in found]], 2.2)


def of_assignments(found: list[Block]) -> float:
    empty = ((0, 0),) * UNIT_GROUPS
    both: list[Groups] = [
        tuple((c[0] + t[0], t[0]) for c, t in zip(b.control.groups or empty, b.trial.groups or empty, strict=True))
        for b in found
    ]
    return inflation([both], 0.0)


def kept_whole(found: list[Block]) -> Inflation:
    """Of a guard metric with every group."""
    return Scatter(found).inflation()


def test_what_is_expected_is_the_mean_over_all_ways_to_draw_the_bad_ones() -> None:
    """5 bad of 12 requests in groups of 5, 4 and 3: each set of 5 is equally likely."""
    owners = [0] * 5 + [1] * 4 + [2] * 3
    scatter = []
    for drawn in itertools.combinations(range(12), 5):
        counts = [sum(owners[i] == g for i in drawn) for g in range(3)]
        scatter.append(sum((c - 5 * Fraction(size, 12)) ** 2 for c, size in zip(counts, (5, 4, 3), strict=True)))
    groups = (*zip((5, 4, 3), (1, 2, 2), strict=True), *((0, 0),) * (UNIT_GROUPS - 3))
    assert sum(scatter) / len(scatter) == window([groups])[1]


def test_its_variance_is_that_of_draws_from_even_groups() -> None:
    """6 bad ones over two groups of a great many requests: twice a binomial's squared deviation."""
    ways = [math.comb(6, k) for k in range(7)]
    scatter = [2 * Fraction(k - 3) ** 2 for k in range(7)]
    mean = Fraction(sum(w * s for w, s in zip(ways, scatter, strict=True)), 64)
    variance = sum(w * (s - mean) ** 2 for w, s in zip(ways, scatter, strict=True)) / 64
    groups = ((10**12, 3), (10**12, 3), *((0, 0),) * (UNIT_GROUPS - 2))
    assert float(window([groups])[2]) == pytest.approx(float(variance))


# --- guard metrics --------------------------------------------------------------------------------------------------

many = st.tuples(*[st.integers(6, 30)] * 8)
bads = st.tuples(*[st.sampled_from([0, 0, 0, 1, 2, 6])] * 8)
arms = st.builds(arm, many, bads) | st.just(Arm())


@settings(max_examples=15)
@given(st.lists(st.tuples(arms, arms), max_size=12))
@example([(arm((9,) * 8, one_bad(0, 7)), arm((5,) * 8, one_bad(1)))])
def test_the_inflation_is_the_largest_that_is_significant(pairs: list[tuple[Arm, Arm]]) -> None:
    found = blocks(*pairs)
    expected = of_metric(found)
    note = f"requests of the same users go wrong together; evidence is divided by {expected:.1f}"
    factor, said = kept_whole(found)
    assert factor == pytest.approx(expected, rel=1e-9)
    assert said == (note if expected > 1 else "")


@pytest.mark.parametrize("length", [1, 4, 16, 64])
def test_sessions_of_every_length_are_seen(length: int) -> None:
    """One group's requests go wrong for so many blocks, then another's."""
    bad = 5 if length == 1 else 1
    calm = arm((30,) * 8)
    failing = [arm((20, 21, 19, 22, 18, 23, 17, 24), one_bad(i // length % 8, bad)) for i in range(2 * length + 3)]
    found = blocks(*((calm, trial) for trial in failing))
    assert kept_whole(found).factor == pytest.approx(of_metric(found), rel=1e-9)
    assert of_metric(found) > 3


def test_a_session_as_long_as_all_is_seen_too() -> None:
    failing = [arm((20, 21, 19, 22, 18, 23, 17, 24), one_bad(3)) for _ in range(11)]
    found = blocks(*((trial, arm((30,) * 8)) for trial in failing))
    assert kept_whole(found).factor == pytest.approx(of_metric(found), rel=1e-9)
    assert of_metric(found) > 9


def test_both_arms_together_show_what_neither_shows_alone() -> None:
    """8 bad ones scatter twice as much as they should in each arm: chance in one, not in two."""
    one, other = arm((1000,) * 8, (4, 2, 1, 1, 0, 0, 0, 0)), arm((800,) * 8, (1, 0, 0, 4, 2, 0, 1, 0))
    calm = arm((900,) * 8)
    assert [kept_whole(blocks(pair)).factor for pair in ((one, calm), (calm, other))] == [1.0, 1.0]
    assert kept_whole(blocks((one, other))).factor == pytest.approx(of_metric(blocks((one, other))), rel=1e-9)
    assert of_metric(blocks((one, other))) == pytest.approx(2.0, rel=2e-3)


def test_a_window_of_two_requests_counts_and_one_of_one_does_not() -> None:
    lump = arm((20,) * 8, one_bad(0, 8))
    two, single = arm((0, 1, 1, 0, 0, 0, 0, 0), one_bad(1)), arm(one_bad(1), one_bad(1))
    calm = arm((30,) * 8)
    for last in (two, single):
        found = blocks((lump, calm), (last, calm))
        assert kept_whole(found).factor == pytest.approx(of_metric(found), rel=1e-9)


@pytest.mark.parametrize(("bad", "factor"), [((4, 2, 1, 1, 0, 0, 0, 0), 1.0), ((4, 2, 2, 0, 0, 0, 0, 0), 16 / 7)])
def test_scatter_within_two_standard_errors_and_a_bit_is_chance(bad: tuple[int, ...], factor: float) -> None:
    """8 bad ones in 8 even groups: the squares over their number less one, at 7 expected; 2.1 is the bound."""
    found = blocks((arm((10_000,) * 8), arm((10_000,) * 8, bad)))
    assert kept_whole(found).factor == pytest.approx(factor, rel=1e-3)


def test_hardly_any_expected_scatter_tells_nothing() -> None:
    """One group holds nearly all requests, so that next to none could fall elsewhere: 2 x (1 - .93) = .14."""
    lone = arm((116, 1, 1, 1, 1, 0, 0, 0), (0, 1, 1, 0, 0, 0, 0, 0))
    found = Block(0.0, 60.0, 0.5, arm((40,) * 8), lone)
    assert window([lone.groups])[1] < Fraction(3, 10)
    assert window([lone.groups])[0] > 3
    assert kept_whole([found]) == (3.0, FEW)
    wider = arm((112, 2, 2, 2, 2, 0, 0, 0), (0, 2, 2, 0, 0, 0, 0, 0))
    assert Fraction(3, 10) < window([wider.groups])[1] < 1
    found = Block(0.0, 60.0, 0.5, arm((40,) * 8), wider)
    assert kept_whole([found]).factor == pytest.approx(of_metric([found]), rel=1e-9)
    assert of_metric([found]) > 3


@pytest.mark.parametrize(("count", "factor"), [(29, 1.0), (30, 3.0)])
def test_units_in_one_group_are_too_few_once_there_are_thirty_requests(count: int, factor: float) -> None:
    single = arm(one_bad(2, count))
    for pair in ((single, arm((30,) * 8)), (arm((30,) * 8), single)):
        assert kept_whole(blocks(pair)) == Inflation(factor, FEW if factor > 1 else "")


@pytest.mark.parametrize(
    ("sizes", "factor"),
    [
        ((20, 20, 20, 0, 0, 0, 0, 0), 1.0),
        ((21, 20, 19, 0, 0, 0, 0, 0), 3.0),
        ((20, 20, 19, 1, 0, 0, 0, 0), 1.0),
        ((30, 30, 0, 0, 0, 0, 0, 0), 3.0),
    ],
)
def test_three_even_groups_are_just_enough(sizes: tuple[int, ...], factor: float) -> None:
    half = [arm(tuple(s // 2 for s in sizes)), arm(tuple(s - s // 2 for s in sizes))]
    found = blocks(*((arm((30,) * 8), a) for a in half))
    assert kept_whole(found) == Inflation(factor, FEW if factor > 1 else "")


def test_few_units_lower_no_inflation_that_was_found() -> None:
    """Two groups hold all requests, and all bad ones are in one of them."""
    trial = arm((60, 60, 0, 0, 0, 0, 0, 0), (20, 0, 0, 0, 0, 0, 0, 0))
    found = blocks((arm((30,) * 8), trial))
    assert of_metric(found) > 3
    assert kept_whole(found).factor == pytest.approx(of_metric(found), rel=1e-9)
    assert kept_whole(found).note.startswith("requests of the same users go wrong together")


# --- where groups are unknown ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("judged", [kept_whole, dispersion.of_assignments])
def test_without_the_groups_of_most_requests_the_inflation_is_three(
    judged: Callable[[list[Block]], Inflation],
) -> None:
    known = (arm((5,) * 8), arm((5,) * 8))
    bare = [(Arm(79, 0), Arm(1, 0)), (arm((5,) * 8), Arm(41, 0)), (Arm(41, 0), arm((5,) * 8))]
    assert judged(blocks(known, bare[0])) == Inflation(1.0, "")
    for more in bare[1:]:
        assert judged(blocks(known, more)) == Inflation(3.0, MISSING)
    assert judged(blocks((Arm(), arm((5,) * 8)), (arm((5,) * 8), Arm()), (Arm(70), Arm(10)))) == (1.0, "")
    assert judged([]) == Inflation(1.0, "")


def test_blocks_without_groups_are_left_out_of_the_estimate() -> None:
    lumpy = (arm((20,) * 8), arm((20,) * 8, one_bad(1, 7)))
    found = blocks(lumpy, lumpy, (Arm(30, 3), Arm(30, 30)), lumpy)
    assert kept_whole(found).factor == pytest.approx(of_metric(blocks(lumpy, lumpy, lumpy)), rel=1e-9)


# --- assignments ----------------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(st.lists(st.tuples(arms, arms), max_size=12))
def test_any_excess_of_the_split_over_the_groups_counts(pairs: list[tuple[Arm, Arm]]) -> None:
    found = blocks(*pairs)
    assert dispersion.of_assignments(found) == Inflation(near(of_assignments(found), rel=1e-9), "")


@pytest.mark.parametrize("length", [1, 4, 16, 64])
def test_a_split_that_falls_on_other_groups_each_so_many_blocks_is_seen(length: int) -> None:
    heavy = 9 if length == 1 else 2
    found = blocks(*((arm((20,) * 8), arm(one_bad(i // length % 8, heavy))) for i in range(2 * length + 3)))
    assert dispersion.of_assignments(found).factor == pytest.approx(of_assignments(found), rel=1e-9)
    assert of_assignments(found) > 5


def test_a_hair_more_than_chance_in_the_split_counts() -> None:
    """8 requests of the canary scatter twice as much as they should, which of bad ones would be chance."""
    found = blocks((arm((1000,) * 8), arm((4, 2, 1, 1, 0, 0, 0, 0))))
    assert of_assignments(found) == pytest.approx(2.0, rel=5e-3)
    assert dispersion.of_assignments(found).factor == pytest.approx(of_assignments(found), rel=1e-9)
