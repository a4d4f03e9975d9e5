"""The conditions that every rule meets."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.judge.traffic import Crowd, Scenario, Unit, steady


def margin(p0: float) -> float:
    """How much worse counts as worse: one point, or half the stable rate if that is more."""
    return max(0.01, 0.5 * p0)


def _fixed(name: str, rate: float, p0: float, p1: float, weight: float, **more: float) -> Scenario:
    return Scenario(name, rate, steady(p0), steady(p1), steady(weight), history_rate=p0, **more)  # type: ignore[arg-type]


def equal() -> list[Scenario]:
    """The version is as good as stable: 18 steady scenarios, and what real traffic does."""
    plain = [
        _fixed(f"equal, {rate}/min, {p0:.1%}, weight {w:.0%}", rate, p0, p0, w)
        for w in (0.05, 0.10)
        for rate in (10, 100, 1000)
        for p0 in (0.001, 0.01, 0.05)
    ]
    sessions = [
        _fixed("sessions of 3, ICC .3, 3 min", 100, 0.05, 0.05, 0.1, session=3, spread=3, icc=0.3),
        _fixed("sessions of 10, ICC .5, 1 min", 100, 0.05, 0.05, 0.1, session=10, spread=1, icc=0.5),
        _fixed("sessions of 10, ICC .5, 10 min", 100, 0.05, 0.05, 0.1, session=10, spread=10, icc=0.5),
        _fixed("sessions of 10, ICC .5, 10 min, 1 %", 100, 0.01, 0.01, 0.1, session=10, spread=10, icc=0.5),
        _fixed("users of 60 all day, ICC .3", 100, 0.05, 0.05, 0.1, session=60, spread=240, icc=0.3),
        _fixed("sessions of 5, ICC .3, 10/min", 10, 0.05, 0.05, 0.1, session=5, spread=5, icc=0.3),
        _fixed("sessions of 5, ICC .3, weight 50 %", 100, 0.02, 0.02, 0.5, session=5, spread=5, icc=0.3),
    ]

    def drift(t: int) -> float:
        return 0.01 if t < 120 else 0.02 if t < 240 else 0.04

    def ramp(t: int) -> float:
        return 0.05 if t < 120 else 0.25 if t < 240 else 0.5

    def outages(t: int) -> float:
        return 0.4 if t in {m for start in (40, 110, 200, 300) for m in range(start, start + 5)} else 0.01

    special = [
        Scenario("rates drift while the weight grows", 100, drift, drift, ramp),
        Scenario("rates drift while the weight grows, 1,000/min", 1000, drift, drift, ramp),
        Scenario("four shared outages, 100/min", 100, outages, outages, steady(0.1)),
        Scenario("four shared outages, 1,000/min", 1000, outages, outages, steady(0.1)),
        Scenario("four shared outages, 1,000/min, weight 50 %", 1000, outages, outages, steady(0.5)),
        _fixed("half of the canary's data lost", 100, 0.01, 0.01, 0.1, lost_all=0.5),
        _fixed("half of the canary's successes lost", 100, 0.01, 0.01, 0.1, lost=0.5),
        _fixed("1 request a minute, weight 50 %", 1, 0.05, 0.05, 0.5),
    ]
    return plain + sessions + special


def harmful() -> list[Scenario]:
    """The version is worse from the first minute."""
    pairs = [
        (0.001, 0.002),
        (0.001, 0.01),
        (0.001, 0.051),
        (0.01, 0.015),
        (0.01, 0.02),
        (0.01, 0.06),
        (0.01, 0.10),
        (0.05, 0.075),
        (0.05, 0.10),
        (0.05, 0.5),
    ]
    return [
        _fixed(f"{p0:.1%} to {p1:.1%}, {rate}/min, weight {w:.0%}", rate, p0, p1, w)
        for w in (0.05, 0.10)
        for rate in (10, 100, 1000)
        for p0, p1 in pairs
    ]


STABLE, CANARY = 0, 1


@dataclass(frozen=True)
class Beside:
    """What is beside everyday traffic. `metrics`: how many guard metrics share the errors of the judge."""

    units: tuple[Unit, ...] = ()
    crowd: Crowd | None = None
    partial: float = 0.0
    metrics: int = 1


ALONE = "nobody else"


def _always(rate: float, kinds: tuple[tuple[str, int, float], ...]) -> dict[str, Beside]:
    return {
        f"one unit, always {kind}, {'canary' if arm else 'stable'}, {part:.0%} of traffic": Beside(
            (Unit(arm, part * rate, bad=bad),)
        )
        for kind, arm, bad in kinds
        for part in (0.01, 0.03, 0.10)
    }


BAD = (("bad", STABLE, 1.0), ("bad", CANARY, 1.0))
GOOD = (("good", CANARY, 0.0),)


def thin() -> dict[str, Beside]:
    """One unit that knows nothing of its track, beside 10 requests a minute."""
    return {ALONE: Beside(), **_always(10, BAD)}


def hostile(rate: float = 100) -> dict[str, Beside]:
    """Who and what knows nothing of tracks, beside `rate` requests a minute."""
    eight = {
        f"one unit, always bad, {name}, 1 % in each of 8 processes": Beside((Unit(arm, 0.01 * rate),) * 8)
        for arm, name in ((STABLE, "stable"), (CANARY, "canary"))
    }
    attack = {
        f"fresh sessions, always bad, {part:.0%} of traffic": Beside(crowd=Crowd(part * rate))
        for part in (0.01, 0.03, 0.10)
    }
    shared = {
        f"a shared unit, as good as others, {name}, as much as all others": Beside((Unit(arm, rate, bad=None),))
        for arm, name in ((STABLE, "stable"), (CANARY, "canary"))
    }
    return {
        ALONE: Beside(),
        **_always(rate, (*BAD, *GOOD)),
        **eight,
        **attack,
        **shared,
        "half of the minutes read before they were whole": Beside(partial=0.5),
    }


def knowing() -> dict[str, Beside]:
    """Units that know their track: one that stays just below what would give it away, and many."""
    paced = {
        f"one unit, paced at {sigmas:g} deviations, {name}": Beside((Unit(arm, paced=sigmas),))
        for arm, name in ((STABLE, "stable"), (CANARY, "canary"))
        for sigmas in (2.0, 3.0)
    }
    many = {
        f"fresh sessions, always bad, {name}, {each:g} a minute": Beside(crowd=Crowd(each, arm=arm))
        for arm, name, rates in ((STABLE, "stable", (10.0,)), (CANARY, "canary", (0.1, 0.3, 1.0)))
        for each in rates
    }
    return {**paced, **many}


@dataclass(frozen=True)
class Worse:
    """A version at the edge of the margin or beyond, for the question whether it is promoted."""

    name: str
    rate: float
    p0: float
    p1: float


def worse() -> list[Worse]:
    at_margin = [
        Worse(f"worse by the margin, {rate}/min, {p0:.1%}", rate, p0, p0 + margin(p0))
        for rate in (100, 1000)
        for p0 in (0.001, 0.01, 0.05)
    ]
    tenfold = [Worse(f"ten times worse, {rate}/min", rate, 0.005, 0.05) for rate in (10, 100, 1000)]
    return at_margin + tenfold
