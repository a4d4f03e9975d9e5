"""When Promptlane's judge and fuse decide, in many runs at once."""

from __future__ import annotations

import numpy as np

from benchmarks.judge.ours import NEEDED, Judge
from benchmarks.judge.traffic import GROUPS, Array, Counts, Scenario
from promptlane.domain.canary import fuse, one_unit
from promptlane.domain.canary.judge import SPLIT_BROKEN
from promptlane.domain.policy import FusePolicy

NEVER = 10**9
FUSE = FusePolicy()
MARGIN_ABS, MARGIN_REL = 0.01, 0.5
BAKE = 10
"""The least minutes of a step."""


def watch(scenario: Scenario, counts: Counts, seed: int) -> dict[str, Array]:
    """When judge and fuse roll back (minute, or NEVER), for the scenario's own weights."""
    judged, fused = rolled_back(scenario, counts, seed), fuse_trips(counts)
    return {"rolled_back": np.minimum(judged, fused), "judged": judged, "fused": fused}


def rolled_back(scenario: Scenario, counts: Counts, seed: int, metrics: int = 1) -> Array:
    """The minute of the judge's rollback in each run. `metrics`: among how many that show nothing the errors are
    shared."""
    past = history(scenario, len(counts.n), seed)
    guard = one_unit.GUARD_HARM * metrics
    judge = Judge(len(counts.n), scenario.minutes, past, needed=NEEDED * metrics, guard=guard)
    return _first(judge, scenario, counts, None)


def advanced(scenario: Scenario, counts: Counts, seed: int, margin: float) -> Array:
    """The minute of the first advance in each run, as if nothing rolled back."""
    judge = Judge(len(counts.n), scenario.minutes, history(scenario, len(counts.n), seed), harmful=False)
    return _first(judge, scenario, counts, margin)


def _first(judge: Judge, scenario: Scenario, counts: Counts, margin: float | None) -> Array:
    times = np.full(judge.runs, NEVER)
    live, waiting = np.arange(judge.runs), np.ones(judge.runs, bool)
    for t in range(scenario.minutes):
        share = np.full(judge.runs, scenario.weights(t))
        limits = None if margin is None else (np.full(judge.runs, margin), np.zeros(judge.runs))
        n = counts.n[live, :, t]
        assigned = n if counts.assigned is counts.n else counts.assigned[live, :, t]
        judge.minute(t, n, counts.y[live, :, t], assigned, share, limits)
        grown = judge.harm if margin is None else judge.advance
        now = waiting & (judge.split < SPLIT_BROKEN) & (grown >= judge.needed)
        times[live[now]] = t
        waiting &= ~now
        if not waiting.any():
            break
        if waiting.mean() < 0.8:
            judge.only(waiting)
            live, waiting = live[waiting], np.ones(judge.runs, bool)
    return times


def fuse_trips(counts: Counts) -> Array:
    """The minute in which the alarm on errors trips, in each run."""
    return _trips(_halves(counts.n), _halves(counts.y))


def _halves(groups: Array) -> Array:
    """[runs, arms, minutes, groups] to [halves, runs, arms, minutes]."""
    return np.stack([groups[..., : GROUPS // 2].sum(-1), groups[..., GROUPS // 2 :].sum(-1)])


def _beyond(sigmas: float, n: Array, y: Array) -> Array:
    """The trial's rate less the control's where that is no chance, else 0; arms are the axis before the last."""
    n0, n1 = np.maximum(n[..., 0, :], 1), np.maximum(n[..., 1, :], 1)
    gap = y[..., 1, :] / n1 - y[..., 0, :] / n0
    rate = (y[..., 0, :] + 1) / (n0 + 2)
    return np.where((gap > 0) & (gap * gap > sigmas**2 * rate * (1 - rate) / n1), gap, 0.0)


def _trips(n: Array, y: Array) -> Array:
    """Of counts [halves, runs, arms, minutes]: so many hits as are needed among the latest minutes with enough."""
    whole = (n.sum(0) >= FUSE.min_requests).all(1)
    enough = whole & (n >= fuse.least_of_half(FUSE)).all((0, 2))
    each = _beyond(FUSE.sigmas / 2, n, y).min(0)
    hit = enough & (np.minimum(_beyond(FUSE.sigmas, n.sum(0), y.sum(0)), each) >= FUSE.error)
    span = FUSE.periods + fuse.SPARE_PERIODS
    points = np.full((n.shape[1], span + 2), -1)
    # Newest first, as far back as CloudWatch looks where points are missing: 1 bad, 0 not, -1 none.
    times = np.full(n.shape[1], NEVER)
    for t in range(n.shape[-1]):
        points = np.roll(points, 1, axis=1)
        points[:, 0] = np.where(enough[:, t], hit[:, t], -1)
        there = points >= 0
        latest = there & (there.cumsum(1) <= span)
        trips = ((points == 1) & latest).sum(1) >= FUSE.periods
        times = np.where((times == NEVER) & trips, t, times)
    return times


def release(
    scenario: Scenario, runs: int, seed: int, *, steps: tuple[float, ...], ladder: tuple[float, ...]
) -> dict[str, Array]:
    """Whole releases of independent requests through the steps: when each was promoted, rolled back, or neither."""
    rng = np.random.default_rng(seed)
    judge = Judge(runs, scenario.minutes, history(scenario, runs, seed))
    step, since, live = np.zeros(runs, int), np.zeros(runs), np.arange(runs)
    promoted, back = np.full(runs, NEVER), np.full(runs, NEVER)
    weights, factors = np.array(steps), np.array(ladder)
    # (requests, bad), halves, runs, arms, minutes
    arms = np.zeros((2, 2, runs, 2, scenario.minutes), np.float32)
    for t in range(scenario.minutes):
        share = weights[step]
        parts = np.stack([1 - share, share], 1)[..., None]
        n = rng.poisson(np.broadcast_to(scenario.rate / GROUPS * parts, (len(live), 2, GROUPS)))
        y = rng.binomial(n, np.array([scenario.p0(t), scenario.p1(t)])[:, None]).astype(float)
        counted = n.astype(float)
        margin = (MARGIN_ABS * factors[step], MARGIN_REL * factors[step])
        judge.minute(t, counted, y, counted, share, margin)
        arms[0, :, live, :, t] = _halves(counted).swapaxes(0, 1)
        arms[1, :, live, :, t] = _halves(y).swapaxes(0, 1)
        whole = judge.split < SPLIT_BROKEN
        bad = (judge.harm >= NEEDED) & whole
        go = ~bad & (judge.advance >= NEEDED) & whole & (t + 1 - since >= BAKE)
        last = step == len(steps) - 1
        back[live[bad]] = t
        promoted[live[go & last]] = t
        onward = go & ~last
        if onward.any():
            step, since = np.where(onward, step + 1, step), np.where(onward, t + 1, since)
            judge.restart(onward)
        on = ~(bad | go & last)
        if not on.all():
            judge.only(on)
            step, since, live = step[on], since[on], live[on]
        if not len(live):
            break
    fused = _trips(arms[0], arms[1])
    return {"promoted": np.where(fused <= promoted, NEVER, promoted), "rolled_back": np.minimum(back, fused)}


def history(scenario: Scenario, runs: int, seed: int) -> tuple[Array, Array]:
    """A day of stable's counts before the release."""
    rng = np.random.default_rng(seed + 99)
    n = np.full(runs, scenario.rate * 1440)
    bad = rng.binomial(n.astype(np.int64), scenario.p0(0)).astype(float)
    for unit in scenario.units:
        if unit.arm == 0:
            rate = scenario.p0(0) if unit.bad is None else unit.bad
            n, bad = n + unit.per_minute * 1440, bad + unit.per_minute * rate * 1440
    return n, bad
