"""The fuse's arithmetic, its alarms, and what they cost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.canary import fuse
from promptlane.domain.canary.blocks import Pair
from promptlane.domain.canary.fuse import Halves, alarms, awake, excess, monthly_usd
from promptlane.domain.metrics import GUARDRAIL
from promptlane.domain.names import Track
from promptlane.domain.policy import FusePolicy, Policy, Reviewer, ReviewPolicy, WatchPolicy

POLICY = Policy(
    review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)),
    fuse=FusePolicy(error=0.11, refusal=0.16, shielded=0.51, outage=0.61),
)
TWO = FusePolicy(sigmas=2.0, min_requests=20)


def even(n: int, bad: int) -> Halves:
    """An arm whose halves are alike."""
    return (n, bad), (n, bad)


def test_without_chance_the_excess_is_the_least_of_the_gaps_between_the_rates() -> None:
    bold = FusePolicy(sigmas=1e-6, min_requests=1)
    assert excess(bold, ((20, 4), (20, 8)), ((100, 4), (100, 4))) == pytest.approx(0.2 - 0.04)
    assert excess(bold, ((20, 8), (20, 4)), ((100, 4), (100, 4))) == pytest.approx(0.2 - 0.04)
    assert excess(bold, ((10, 4), (90, 30)), ((90, 9), (10, 0))) == pytest.approx(0.34 - 0.09)
    assert excess(bold, ((20, 9), (20, 0)), ((100, 4), (100, 4))) == 0.0


def test_units_of_unequal_halves_are_no_excess_that_all_together_do_not_show() -> None:
    """Either half is worse, and all units together are better: whoever is busy where decides nothing."""
    bold = FusePolicy(sigmas=1e-6, min_requests=1)
    trial, control = ((900, 90), (100, 50)), ((100, 5), (900, 360))
    assert all(y1 / n1 > y0 / n0 for (n1, y1), (n0, y0) in zip(trial, control, strict=True))
    assert excess(bold, trial, control) == 0.0


def test_an_excess_counts_beyond_so_many_standard_deviations_of_the_controls_rate() -> None:
    """Control 6 of 198: with one bad and one good added 7 of 200; half as many deviations are asked of each half."""
    whole = 2 * math.sqrt(0.035 * 0.965 / 96)
    each = 1 * math.sqrt(0.04 * 0.96 / 48)
    assert each < whole
    control = ((98, 3), (100, 3))
    for y in range(49):
        trial = even(48, y)
        gap, least = y / 48 - 6 / 198, y / 48 - 3 / 98
        assert excess(TWO, trial, control) == (pytest.approx(least) if gap > whole and least > each else 0.0)


def test_half_the_deviations_are_asked_of_each_half_and_no_fewer() -> None:
    """Half 1 beyond 1 deviation of its own, half 0 far beyond: all together are, so that half 1 decides."""
    control = even(98, 3)
    bound = math.sqrt(0.04 * 0.96 / 48)
    for y in range(41):
        gap = y / 48 - 3 / 98
        assert excess(TWO, ((48, 40), (48, y)), control) == (pytest.approx(gap) if gap > bound else 0.0)
        assert excess(TWO, ((48, y), (48, 40)), control) == (pytest.approx(gap) if gap > bound else 0.0)


def test_an_excess_that_is_exactly_the_bound_is_chance() -> None:
    """Control 14 of 28: its rate is 1/2, and so is the gap of 64 of 64 requests: eight times sqrt(.25 / 64)."""
    eight = FusePolicy(sigmas=8.0, min_requests=1)
    assert excess(eight, even(32, 32), even(14, 7)) == 0.0
    assert excess(replace(eight, sigmas=7.999), even(32, 32), even(14, 7)) == 0.5


@pytest.mark.parametrize(
    ("trial", "control", "trips"),
    [
        (even(10, 10), even(10, 0), True),
        (((5, 5), (15, 15)), ((15, 0), (5, 0)), True),
        (((9, 9), (10, 10)), even(10, 0), False),
        (even(10, 10), ((9, 0), (10, 0)), False),
        (((4, 4), (40, 40)), even(10, 0), False),
        (even(10, 10), ((40, 0), (4, 0)), False),
    ],
)
def test_thin_data_never_trips(trial: Halves, control: Halves, trips: bool) -> None:
    assert excess(TWO, trial, control) == (1.0 if trips else None)
    assert awake(TWO, trial, control) is trips


counts = st.integers(0, 5000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
honest = st.integers(0, 400)


@given(
    counts,
    st.tuples(honest, honest),
    st.sampled_from([0, 0.01, 0.05, 0.3, 0.9]),
    st.sampled_from([0, 1]),
    st.sampled_from(["canary", "stable"]),
)
def test_one_unit_at_any_rate_on_either_track_never_trips_it(
    unit: Pair, others: tuple[int, int], rate: float, half: int, track: str
) -> None:
    """All others fail at one rate on either track; the unit sends what it wants, all to its own half."""
    arms: dict[str, list[Pair]] = {
        name: [(n, round(n * rate))] * 2 for name, n in zip(("canary", "stable"), others, strict=True)
    }
    (n, bad), (more, worse) = arms[track][half], unit
    arms[track][half] = (n + more, bad + worse)
    found = excess(POLICY.fuse, (arms["canary"][0], arms["canary"][1]), (arms["stable"][0], arms["stable"][1]))
    assert (found or 0.0) < POLICY.fuse.error


@given(st.tuples(counts, counts), st.tuples(counts, counts))
def test_nothing_trips_it_that_all_units_together_would_not(trial: Halves, control: Halves) -> None:
    """The rule of before halves: the whole arm's gap beyond `sigmas`, at least as large as what both halves show."""
    found = excess(POLICY.fuse, trial, control)
    if found:
        (n1, y1), (n0, y0) = [[sum(column) for column in zip(*arm, strict=True)] for arm in (trial, control)]
        rate = (y0 + 1) / (n0 + 2)
        gap = y1 / n1 - y0 / n0
        assert gap >= found
        assert gap > POLICY.fuse.sigmas * math.sqrt(rate * (1 - rate) / n1)


def test_a_prompt_has_six_alarms() -> None:
    assert [(a.name, a.source, a.threshold, a.control, a.row.acts) for a in alarms(POLICY)] == [
        ("canary/Error", "Error", 0.11, Track.STABLE, True),
        ("canary/Refusal", "Refusal", 0.16, Track.STABLE, True),
        ("canary/Shielded", "Shielded", 0.51, Track.STABLE, True),
        ("stable/Error", "Error", 0.11, Track.HOLDBACK, True),
        ("stable/Refusal", "Refusal", 0.16, Track.HOLDBACK, True),
        ("stable/Outage", "Error", 0.61, None, False),
    ]


@pytest.mark.parametrize("holdback", [0, 500])
def test_no_alarm_reads_more_metrics_than_one_may(holdback: int) -> None:
    for alarm in alarms(replace(POLICY, watch=WatchPolicy(holdback=holdback))):
        assert len(alarm.reads) <= 10
        assert max(map(len, alarm.expressions.values())) < 1024


def test_an_alarm_of_a_metric_that_no_client_counts_by_halves_is_refused() -> None:
    """It would sleep for ever."""
    row = fuse.AlarmRow(Track.CANARY, GUARDRAIL.name, lambda policy: 0.25)
    with pytest.raises(ValueError, match="clients do not count Guardrail by halves; its row must say `fused`"):
        _ = fuse.FuseAlarm(row, POLICY.fuse, Track.STABLE).reads


def test_without_a_holdback_stables_own_rate_is_judged() -> None:
    bare = replace(POLICY, watch=WatchPolicy(holdback=0))
    assert [(a.name, a.control, len(a.reads)) for a in alarms(bare)[3:]] == [
        ("stable/Error", None, 4),
        ("stable/Refusal", None, 4),
        ("stable/Outage", None, 4),
    ]


@pytest.mark.parametrize(
    ("holdback", "resolution", "usd"), [(500, 60, 4.4), (500, 10, 13.2), (0, 60, 3.6), (0, 10, 10.8)]
)
def test_an_alarm_costs_by_the_metrics_that_it_reads(holdback: int, resolution: int, usd: float) -> None:
    """Four for a rate, eight for two rates: 0.10 USD each and month, 0.30 at high resolution."""
    assert monthly_usd(replace(POLICY, watch=WatchPolicy(holdback=holdback)), resolution) == usd
