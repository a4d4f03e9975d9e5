"""Simulated traffic: per minute and unit group, requests and bad ones of both arms, for many runs at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from promptlane.domain.names import UNIT_GROUPS

GROUPS = UNIT_GROUPS
Array: TypeAlias = NDArray[np.float64]
Rate = Callable[[int], float]


@dataclass(frozen=True)
class Unit:
    """One unit beside all others: its arm, requests a minute, and the chance that one goes wrong (None: as of others).

    `paced`: it knows its track and what the judge looks at, and fails only so often that its group stays within so many
    standard deviations of what groups have anyway; `per_minute` and `bad` mean nothing then.
    """

    arm: int
    per_minute: float = 0.0
    bad: float | None = 1.0
    paced: float = 0.0


HOME = 3
"""The group of such units."""


@dataclass(frozen=True)
class Crowd:
    """Fresh units beside all others from the first minute of the release, each with one request, in any group.

    `arm`: None where they do not know their track, and fall on the arms as all others do.
    """

    per_minute: float
    bad: float = 1.0
    arm: int | None = None


@dataclass(frozen=True)
class Scenario:
    """One set of conditions. Rates are functions of the minute; `rate` is requests a minute.

    `session`: mean requests of a unit (1: independent) over `spread` minutes, with intra-unit correlation `icc`.
    `weights`: the trial's share by minute. `lost`: share of the trial's successes (and `lost_all`: of all its data
    points, assignments too) that never arrive, from `lost_from` on. `partial`: share of minutes of which the end is
    missing, of both arms alike, since a process had not sent it when the minute was read.
    """

    name: str
    rate: float
    p0: Rate
    p1: Rate
    weights: Rate
    minutes: int = 360
    session: float = 1.0
    spread: int = 1
    icc: float = 0.0
    lost: float = 0.0
    lost_all: float = 0.0
    lost_from: int = 60
    history_rate: float = 0.01
    units: tuple[Unit, ...] = ()
    crowd: Crowd | None = None
    partial: float = 0.0

    @property
    def null(self) -> bool:
        """Whether the versions are equal."""
        return all(abs(self.p0(t) - self.p1(t)) < 1e-12 for t in range(0, self.minutes, 5))


@dataclass
class Counts:
    """`n`, `y`, `assigned`: [runs, arm (control, trial), minute, group]. `assigned` is `n` where nothing is lost."""

    n: Array
    y: Array
    assigned: Array


def steady(value: float) -> Rate:
    return lambda _t: value


def generate(scenario: Scenario, runs: int, seed: int) -> Counts:
    rng = np.random.default_rng(seed)
    n = _independent(scenario, runs, rng) if scenario.session == 1 else None
    if n is None:
        return _lose(scenario, _sessions(scenario, runs, rng), rng)
    rates = np.array(
        [[scenario.p0(t) for t in range(scenario.minutes)], [scenario.p1(t) for t in range(scenario.minutes)]]
    )
    y = rng.binomial(n.astype(np.int64), rates[None, :, :, None]).astype(float)
    return _lose(scenario, _with_others(scenario, Counts(n, y, n), rng), rng)


def _with_others(scenario: Scenario, counts: Counts, rng: np.random.Generator) -> Counts:
    for unit in scenario.units:
        n = rng.poisson(unit.per_minute, (len(counts.n), scenario.minutes)).astype(float)
        rate = (scenario.p0, scenario.p1)[unit.arm](0) if unit.bad is None else unit.bad
        bad = rng.binomial(n.astype(np.int64), rate).astype(float)
        if unit.paced:
            n = bad = _paced(counts.y[:, unit.arm].sum(-1) / GROUPS, unit.paced)
        counts.n[:, unit.arm, :, HOME] += n
        counts.y[:, unit.arm, :, HOME] += bad
    if crowd := scenario.crowd:
        shares = np.array([scenario.weights(t) for t in range(scenario.minutes)])
        parts = np.stack([1 - shares, shares]) if crowd.arm is None else np.eye(2)[crowd.arm][:, None] + 0 * shares
        fresh = rng.poisson(np.broadcast_to(crowd.per_minute / GROUPS * parts[None, :, :, None], counts.n.shape))
        counts.n += fresh
        counts.y += rng.binomial(fresh, crowd.bad)
    return counts


def _paced(expected: Array, sigmas: float) -> Array:
    """Requests a minute, all bad, by which a group stays within so many deviations of `expected` bad ones (and one)."""
    room = np.floor(sigmas * np.sqrt(np.cumsum(expected, 1)) + 1)
    return np.diff(np.maximum.accumulate(room, 1), axis=1, prepend=0.0)


def _independent(scenario: Scenario, runs: int, rng: np.random.Generator) -> Array:
    shares = np.array([scenario.weights(t) for t in range(scenario.minutes)])
    per_group = scenario.rate / GROUPS * np.stack([1 - shares, shares])
    shape = (runs, 2, scenario.minutes, GROUPS)
    return rng.poisson(np.broadcast_to(per_group[None, :, :, None], shape)).astype(float)


def _sessions(scenario: Scenario, runs: int, rng: np.random.Generator) -> Counts:
    """Units arrive at random, stay in one arm and one group, and share a rate drawn from a beta distribution."""
    shape = (runs, 2, scenario.minutes, GROUPS)
    n, y = np.zeros(shape), np.zeros(shape)
    for run in range(runs):
        units = rng.poisson(scenario.rate * scenario.minutes / scenario.session)
        group = rng.integers(0, GROUPS, units)
        begin = rng.random(units) * (scenario.minutes + scenario.spread) - scenario.spread
        bucket = rng.random(units)
        minute = np.clip(begin.astype(int), 0, scenario.minutes - 1)
        arm = (bucket < np.array([scenario.weights(int(m)) for m in range(scenario.minutes)])[minute]).astype(int)
        mean = np.where(arm == 1, [scenario.p1(int(m)) for m in minute], [scenario.p0(int(m)) for m in minute])
        strength = 1 / scenario.icc - 1
        own = rng.beta(mean * strength, (1 - mean) * strength)
        of = np.repeat(np.arange(units), rng.poisson(scenario.session - 1, units) + 1)
        at = np.floor(begin[of] + rng.random(len(of)) * scenario.spread).astype(int)
        inside = (at >= 0) & (at < scenario.minutes)
        of, at = of[inside], at[inside]
        where = (arm[of], at, group[of])
        np.add.at(n[run], where, 1)
        np.add.at(y[run], where, rng.random(len(of)) < own[of])
    return Counts(n, y, n)


def _lose(scenario: Scenario, counts: Counts, rng: np.random.Generator) -> Counts:
    late = slice(scenario.lost_from, None)
    if scenario.lost:
        counts.assigned = counts.n.copy()
        good = (counts.n - counts.y)[:, 1, late]
        counts.n[:, 1, late] -= rng.binomial(good.astype(np.int64), scenario.lost)
    if scenario.lost_all:
        counts.n[:, 1, late], counts.y[:, 1, late] = _left(counts, 1 - scenario.lost_all, rng, 1, late)
    if scenario.partial:
        runs, minutes = len(counts.n), scenario.minutes
        left = np.where(rng.random((runs, minutes)) < scenario.partial, rng.random((runs, minutes)), 1.0)
        for arm in (0, 1):
            counts.n[:, arm], counts.y[:, arm] = _left(counts, left[..., None], rng, arm, slice(None))
    return counts


def _left(
    counts: Counts, part: float | Array, rng: np.random.Generator, arm: int, minutes: slice
) -> tuple[Array, Array]:
    """Requests and bad ones of an arm of which only a part arrived."""
    n, y = counts.n[:, arm, minutes], counts.y[:, arm, minutes]
    bad = rng.binomial(y.astype(np.int64), part).astype(float)
    return bad + rng.binomial((n - y).astype(np.int64), part), bad
