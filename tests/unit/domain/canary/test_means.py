"""Evidence on means of values in [0, 1]: bets that are valid for any values, and that grow bolder where these scatter
little."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.canary import evidence, means
from promptlane.domain.canary.blocks import Arm, Block, Triple, rows, value_rows
from promptlane.domain.canary.dispersion import Scatter
from promptlane.domain.canary.means import Known

Law = tuple[tuple[float, float], ...]
"""(value, probability) of an answer."""
COIN: Law = ((0.0, 0.7), (1.0, 0.3))
RARE: Law = ((0.05, 0.95), (1.0, 0.05))
CALM: Law = ((0.2, 0.5), (0.3, 0.5))
WIDE: Law = ((0.0, 0.4), (0.4, 0.3), (1.0, 0.3))
NEVER: Law = ((0.0, 1.0),)
ALWAYS: Law = ((1.0, 1.0),)
LAWS = (COIN, RARE, CALM, WIDE, NEVER, ALWAYS)
KNOWN = (
    Known((0.25, 0.25), (0.0025, 0.0025)),
    Known((0.25, 0.4), (0.2, 0.01)),
    Known((0.9, 0.05), (1e-6, 1e-6)),
    Known((0.0, 1.0), (0.0, 0.0)),
    Known((1.0, 0.0), (0.25, 0.0)),
)


def mean_of(law: Law) -> float:
    return math.fsum(value * chance for value, chance in law)


def arms(law: Law, n: int) -> Iterator[tuple[Triple, float]]:
    """Everything that n answers can sum to, with its probability."""
    for drawn in itertools.product(law, repeat=n):
        values = [value for value, _ in drawn]
        yield (n, math.fsum(values), math.fsum(v * v for v in values)), math.prod(chance for _, chance in drawn)


def expected(control: Law, trial: Law, shape: tuple[int, int], gains: Callable[[Triple, Triple], list[float]]) -> float:
    """The largest expected factor of a bet on one block, over the bets."""
    sums: dict[int, list[float]] = {}
    for (arm0, chance0), (arm1, chance1) in itertools.product(arms(control, shape[0]), arms(trial, shape[1])):
        for k, gain in enumerate(gains(arm0, arm1)):
            sums.setdefault(k, []).append(chance0 * chance1 * math.exp(gain))
    return max(map(math.fsum, sums.values()))


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (2, 3)])
@pytest.mark.parametrize("known", KNOWN)
def test_no_block_expects_to_gain_where_the_trial_is_no_worse(known: Known, shape: tuple[int, int]) -> None:
    for tolerance in (0.0, 0.1):
        nulls = [(a, b) for a in LAWS for b in LAWS if mean_of(b) <= mean_of(a) + tolerance + 1e-12]
        for control, trial in nulls:
            found = expected(control, trial, shape, lambda a, b: means.harm_gains(a, b, known, tolerance))  # noqa: B023
            assert found <= 1 + 1e-9


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (2, 3)])
@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("margins", [(0.05, 0.0), (0.0, 0.2), (0.02, 0.5)])
def test_no_block_expects_to_gain_where_the_trial_is_worse_by_the_margin(
    known: Known, shape: tuple[int, int], margins: tuple[float, float]
) -> None:
    absolute, relative = margins
    for control, trial in itertools.product(LAWS, LAWS):
        if mean_of(trial) >= mean_of(control) + max(absolute, relative * mean_of(control)) - 1e-12:
            found = expected(control, trial, shape, lambda a, b: means.advance_gains(a, b, known, margins))
            assert found <= 1 + 1e-9


laws = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), min_size=1, max_size=3).map(
    lambda pairs: tuple((value, weight / sum(w for _, w in pairs)) for value, weight in pairs)
)
parts = st.floats(0, 1)
knowledge = st.builds(Known, st.tuples(parts, parts), st.tuples(st.floats(0, 0.25), st.floats(0, 0.25)))


@given(laws, laws, knowledge)
def test_no_bet_expects_to_gain_under_any_law_and_whatever_is_known(one: Law, other: Law, known: Known) -> None:
    low, high = sorted((one, other), key=mean_of)
    assert expected(high, low, (2, 1), lambda a, b: means.harm_gains(a, b, known)) <= 1 + 1e-9
    margin = mean_of(high) - mean_of(low)
    if margin > 0:
        found = expected(low, high, (2, 1), lambda a, b: means.advance_gains(a, b, known, (margin, 0.0)))
        assert found <= 1 + 1e-9


@pytest.mark.parametrize("law", [COIN, RARE, CALM, WIDE])
def test_bets_that_learn_from_earlier_blocks_expect_no_gain_over_several(law: Law) -> None:
    """Each block's bets rest on the blocks before it, which are drawn too: whoever bet on what he sees would gain."""
    shapes = ((2, 1), (1, 1), (2, 1))
    outcomes = [list(itertools.product(arms(law, n0), arms(law, n1))) for n0, n1 in shapes]
    worse = tuple((min(value + 0.1, 1.0), chance) for value, chance in law)
    margin = mean_of(worse) - mean_of(law)
    beyond = [list(itertools.product(arms(law, n0), arms(worse, n1))) for n0, n1 in shapes]
    harmful: list[float] = []
    harmless: list[float] = []
    for path, others in zip(itertools.product(*outcomes), itertools.product(*beyond), strict=True):
        for way, found in ((path, harmful), (others, harmless)):
            chance = math.prod(chance0 * chance1 for (_, chance0), (_, chance1) in way)
            data = [(60.0 * i, arm0, arm1) for i, ((arm0, _), (arm1, _)) in enumerate(way)]
            if way is path:
                found.append(chance * means.harm(data, 0.3))
            else:
                found.append(chance * means.advance(data, 0.3, since=0.0, margins=(margin, 0.0)))
    assert math.fsum(harmful) <= 1 + 1e-9
    assert math.fsum(harmless) <= 1 + 1e-9
    assert max(harmful) > min(harmful)


def answers(random: Random, n: int, mean: float, scatter: float) -> Triple:
    values = [min(max(random.gauss(mean, scatter * mean), 0.0), 1.0) for _ in range(n)]
    return n, math.fsum(values), math.fsum(v * v for v in values)


def minutes(random: Random, count: int, control: float, trial: float, scatter: float) -> list[Block]:
    found = []
    for i in range(count):
        arms_ = [answers(random, n, mean, scatter) for n, mean in ((90, control), (10, trial))]
        found.append(Block(60.0 * i, 60.0, 0.1, *(Arm(n, y, (), (q,)) for n, y, q in arms_)))
    return found


@pytest.mark.parametrize("scatter", [0.05, 0.3])
def test_the_less_values_scatter_the_sooner_a_third_more_is_found_and_bounds_for_events_decide_nothing(
    scatter: float,
) -> None:
    blocks = minutes(Random(3), 30, 0.2, 0.26, scatter)
    found = means.harm(value_rows(blocks))
    assert found > 1000
    assert evidence.harm(rows(blocks), evidence.Learner(rate=0.2)) < 20
    wilder = means.harm(value_rows(minutes(Random(3), 30, 0.2, 0.26, 4 * scatter)))
    assert wilder < found


@pytest.mark.parametrize(("trial", "advances"), [(0.2, True), (0.24, False)])
def test_an_equal_mean_is_proved_within_the_margin_and_one_at_it_is_not(trial: float, advances: bool) -> None:
    data = value_rows(minutes(Random(5), 60, 0.2, trial, 0.6))
    found = means.advance(data, since=0.0, margins=(0.0, 0.2))
    assert (found >= 20) is advances
    assert means.advance(data, since=1e9, margins=(0.0, 0.2)) == pytest.approx(1.0)


def test_errors_of_both_kinds_stay_below_five_percent() -> None:
    """100 runs of an hour, of values that scatter half as much as they are large."""
    random, wrong, advanced = Random(11), 0, 0
    for _ in range(100):
        blocks = minutes(random, 60, 0.15, 0.15, 0.5)
        wrong += any(means.harm(value_rows(blocks[: i + 1])) >= 20 for i in range(9, 60, 10))
        worse = value_rows(minutes(random, 60, 0.15, 0.18, 0.5))
        advanced += any(means.advance(worse[: i + 1], since=0.0, margins=(0.0, 0.2)) >= 20 for i in range(9, 60, 10))
    assert wrong <= 5
    assert advanced <= 5


def test_nothing_is_bet_before_the_control_is_known_and_on_blocks_without_an_arm() -> None:
    one = (0.0, (10, 2.0, 0.5), (10, 9.0, 8.5))
    assert means.harm([one]) == pytest.approx(1.0)
    assert means.harm([one], 0.2) > 1
    assert means.harm([one, (60.0, *one[1:])]) == pytest.approx(1.0)
    assert means.harm([one, (60.0, *one[1:]), (120.0, *one[1:])]) > 1
    assert means.harm([(0.0, (0, 0.0, 0.0), (10, 9.0, 8.5))], 0.2) == pytest.approx(1.0)
    assert means.advance([(0.0, (30, 6.0, 1.5), (0, 0.0, 0.0))], 0.2, since=0.0, margins=(0.1, 0.0)) == 1.0
    assert means.harm([]) == 1.0


def test_evidence_is_divided_by_the_inflation_as_that_of_rates() -> None:
    data = value_rows(minutes(Random(3), 5, 0.2, 0.3, 0.3))
    plain, careful = means.harm(data), means.harm(data, inflation=4.0)
    assert 1 < careful < plain
    assert means.harm(data, tolerance=0.1) < 1.0 < plain


def scaled(blocks: Sequence[Block], by: float) -> list[Block]:
    def arm(a: Arm) -> Arm:
        return Arm(a.n, a.bad * by, tuple((n, y * by) for n, y in a.groups), tuple(q * by * by for q in a.squares))

    return [Block(b.start, b.seconds, b.share, arm(b.control), arm(b.trial)) for b in blocks]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=16, max_size=16), st.floats(0.01, 1.0))
def test_values_of_one_size_scatter_as_events_do_whatever_the_size(pairs: list[tuple[int, int]], size: float) -> None:
    groups = tuple((max(pair), min(pair)) for pair in pairs)
    n, y = sum(n for n, _ in groups), sum(y for _, y in groups)
    events = Block(0.0, 60.0, 0.5, Arm(n, y, groups), Arm(n, y, groups))
    arm = Arm(n, y, groups, (y, *(bad for _, bad in groups)))
    valued = scaled([Block(0.0, 60.0, 0.5, arm, arm)], size)
    assert Scatter(valued).inflation().factor == pytest.approx(Scatter([events]).inflation().factor, rel=1e-6)


def test_values_that_go_together_within_units_are_seen_in_their_groups() -> None:
    """Each group has values of its own: the same in all of its answers, as those of one chatty unit."""

    def block(i: int, of: Callable[[int], list[float]]) -> Block:
        groups = [of(g) for g in range(16)]
        squares = [math.fsum(v * v for v in values) for values in groups]
        sums = tuple((len(values), math.fsum(values)) for values in groups)
        arm = Arm(sum(n for n, _ in sums), math.fsum(y for _, y in sums), sums, (math.fsum(squares), *squares))
        return Block(60.0 * i, 60.0, 0.5, arm, arm)

    random = Random(7)
    alone = [block(i, lambda _: [random.random() for _ in range(8)]) for i in range(40)]
    together = [block(i, lambda _: [random.random()] * 8) for i in range(40)]
    assert Scatter(alone).inflation().factor == pytest.approx(1.0, abs=0.4)
    assert Scatter(together).inflation().factor == pytest.approx(8.0, rel=0.35)
