"""The fuse's arithmetic, its alarms, and what they cost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from promptlane.domain.canary.fuse import alarms, excess, monthly_usd
from promptlane.domain.names import Track
from promptlane.domain.policy import FusePolicy, Policy, Reviewer, ReviewPolicy, WatchPolicy

POLICY = Policy(
    review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)),
    fuse=FusePolicy(error=0.11, refusal=0.16, shielded=0.51, outage=0.61),
)
TWO = FusePolicy(sigmas=2.0, min_requests=20)


def test_without_chance_the_excess_is_the_gap_between_the_rates() -> None:
    bold = FusePolicy(sigmas=1e-6, min_requests=1)
    assert excess(bold, (40, 10), (200, 8)) == pytest.approx(0.25 - 0.04)
    assert excess(bold, (40, 1), (200, 8)) == 0.0
    assert excess(bold, (50, 2), (200, 8)) == 0.0


def test_an_excess_counts_beyond_so_many_standard_deviations_of_the_controls_rate() -> None:
    """Control 3 of 98: with one bad and one good added 4 of 100; sd of 48 requests is sqrt(.04 x .96 / 48)."""
    bound = 2 * math.sqrt(0.04 * 0.96 / 48)
    gaps = {y: y / 48 - 3 / 98 for y in range(49)}
    for y, gap in gaps.items():
        assert excess(TWO, (48, y), (98, 3)) == (pytest.approx(gap) if gap > bound else 0.0)
    assert sum(0 < gap <= bound for gap in gaps.values()) == 3


def test_an_excess_that_is_exactly_the_bound_is_chance() -> None:
    """Control 7 of 14: its rate is 1/2, and so is the gap of 16 of 16 requests; sqrt(.25 / 16) is 1/8, four times."""
    four = FusePolicy(sigmas=4.0, min_requests=1)
    assert excess(four, (16, 16), (14, 7)) == 0.0
    assert excess(replace(four, sigmas=3.999), (16, 16), (14, 7)) == 0.5


@pytest.mark.parametrize(
    ("trial", "control", "trips"),
    [((20, 20), (20, 0), True), ((19, 19), (20, 0), False), ((20, 20), (19, 0), False)],
)
def test_thin_data_never_trips(trial: tuple[int, int], control: tuple[int, int], trips: bool) -> None:
    assert excess(TWO, trial, control) == (1.0 if trips else None)


def test_a_prompt_has_six_alarms() -> None:
    assert [(a.name, a.source, a.threshold, a.control, a.row.acts) for a in alarms(POLICY)] == [
        ("canary/Error", "Error", 0.11, Track.STABLE, True),
        ("canary/Refusal", "Refusal", 0.16, Track.STABLE, True),
        ("canary/Shielded", "Shielded", 0.51, Track.STABLE, True),
        ("stable/Error", "Error", 0.11, Track.HOLDBACK, True),
        ("stable/Refusal", "Refusal", 0.16, Track.HOLDBACK, True),
        ("stable/Outage", "Error", 0.61, None, False),
    ]


def test_without_a_holdback_stables_own_rate_is_judged() -> None:
    bare = replace(POLICY, watch=WatchPolicy(holdback=0))
    assert [(a.name, a.control, len(a.reads)) for a in alarms(bare)[3:]] == [
        ("stable/Error", None, 2),
        ("stable/Refusal", None, 2),
        ("stable/Outage", None, 2),
    ]


@pytest.mark.parametrize(
    ("holdback", "resolution", "usd"), [(500, 60, 2.2), (500, 10, 6.6), (0, 60, 1.8), (0, 10, 5.4)]
)
def test_an_alarm_costs_by_the_metrics_that_it_reads(holdback: int, resolution: int, usd: float) -> None:
    """Two for a rate, four for two rates: 0.10 USD each and month, 0.30 at high resolution."""
    assert monthly_usd(replace(POLICY, watch=WatchPolicy(holdback=holdback)), resolution) == usd
