"""What units, outages and gaps move: false decisions, harm that is missed, and how long all takes beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.judge import decisions, peers, scenarios
from benchmarks.judge.decisions import NEVER
from benchmarks.judge.scenarios import Beside
from benchmarks.judge.traffic import Array, Counts, Scenario, generate, steady

HARM = 0.1
"""How much worse a harmful version is."""


@dataclass(frozen=True)
class Case:
    """Something beside others, at a rate of traffic (requests a minute) and a share of bad requests on stable."""

    name: str
    rate: float
    p0: float
    beside: Beside
    runs: int
    seed: int

    def row(self) -> dict[str, Any]:
        """Shares of runs, and median minutes over all runs (None where fewer than half decide)."""
        margin, metrics = scenarios.margin(self.p0), self.beside.metrics
        equal = decisions.rolled_back(*self._runs(self.p0, 360, 1), metrics)
        at_margin = decisions.advanced(*self._runs(self.p0 + margin, 360, 2), margin)
        harmful = decisions.rolled_back(*self._runs(self.p0 + HARM, 180, 3), metrics)
        good = decisions.advanced(*self._runs(self.p0, 360, 4), margin)
        return row(self.label, equal, at_margin, harmful, good)

    @property
    def label(self) -> str:
        """For tables."""
        return f"{self.name}; {self.rate:g}/min, {self.p0:.1%}"

    def _runs(self, p1: float, minutes: int, salt: int) -> tuple[Scenario, Counts, int]:
        scenario = Scenario(
            self.name,
            self.rate,
            steady(self.p0),
            steady(p1),
            steady(0.1),
            minutes=minutes,
            units=self.beside.units,
            crowd=self.beside.crowd,
            partial=self.beside.partial,
        )
        return scenario, generate(scenario, self.runs, self.seed + salt), self.seed + salt


@dataclass(frozen=True)
class SixHours:
    """A case whose harm is looked for twice as long."""

    case: Case

    def row(self) -> dict[str, Any]:
        case = self.case
        found = decisions.rolled_back(*case._runs(case.p0 + HARM, 360, 5), case.beside.metrics)
        return {"scenario": case.label, "missed": round(1 - share(found), 4), "median_minutes": _median(found)}


@dataclass(frozen=True)
class Bound:
    """What Wald's SPRT, told both rates, needs beside fresh sessions that always fail, so many a minute beside 100."""

    per_minute: float
    runs: int
    seed: int

    def row(self) -> dict[str, Any]:
        back, _ = self._decide(0.02 + HARM, 1)
        _, go = self._decide(0.02, 2)
        return {
            "scenario": f"{self.per_minute:g} a minute",
            "median_minutes": _median(back),
            "median_minutes_to_advance": _median(go),
        }

    def _decide(self, p1: float, salt: int) -> peers.Decisions:
        total = 100 + self.per_minute
        rates = [steady((100 * p + self.per_minute) / total) for p in (0.02, p1)]
        scenario = Scenario("fresh sessions", total, rates[0], rates[1], steady(0.1))
        counts = generate(scenario, self.runs, self.seed + salt)
        return peers.sprt(scenario, counts.n.sum(-1), counts.y.sum(-1), scenarios.margin(0.02))


def row(name: str, equal: Array, at_margin: Array, harmful: Array, good: Array) -> dict[str, Any]:
    """Of the minutes in which an equal version is rolled back, one worse by the margin advances, a harmful one is
    rolled back, and a good one advances."""
    return {
        "scenario": name,
        "false_rollback": share(equal),
        "false_advance": share(at_margin),
        "missed": round(1 - share(harmful), 4),
        "median_minutes": _median(harmful),
        "median_minutes_to_advance": _median(good),
    }


def cases(beside: Mapping[str, Beside], rate: float, p0: float, runs: int, seed: int) -> list[Case]:
    return [Case(name, rate, p0, given, runs, seed + 10 * i) for i, (name, given) in enumerate(beside.items())]


def share(times: Array) -> float:
    """Of runs that decided."""
    return round(float((times < NEVER).mean()), 4)


def _median(times: Array) -> float | None:
    middle = float(np.median(np.where(times < NEVER, times + 1.0, np.inf)))
    return None if middle == np.inf else middle
