"""What one unit moves: false decisions, harm that is missed, and how long everything takes beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.judge import ours, scenarios
from benchmarks.judge.traffic import Array, Scenario, Unit, generate, steady

NEVER = 10**9


@dataclass(frozen=True)
class Case:
    """One unit beside others, at a rate of traffic (requests a minute) and a share of bad requests on stable."""

    name: str
    rate: float
    p0: float
    units: tuple[Unit, ...]
    runs: int
    seed: int

    def row(self) -> dict[str, Any]:
        """Shares of runs, and median minutes over all runs (None where fewer than half decide)."""
        margin = scenarios.margin(self.p0)
        equal, _ = self._decide(self.p0, margin, 360, 1, first="rolled_back")
        _, at_margin = self._decide(self.p0 + margin, margin, 360, 2, first="advanced")
        harmful, _ = self._decide(self.p0 + 0.1, margin, 180, 3, first="rolled_back")
        _, good = self._decide(self.p0, margin, 360, 4, first="advanced")
        return {
            "scenario": f"{self.name}; {self.rate:g}/min, {self.p0:.0%}",
            "false_rollback": _share(equal),
            "false_advance": _share(at_margin),
            "missed": round(1 - _share(harmful), 4),
            "median_minutes": _median(harmful),
            "median_minutes_to_advance": _median(good),
        }

    def _decide(self, p1: float, margin: float, minutes: int, salt: int, *, first: str) -> tuple[Array, Array]:
        scenario = Scenario(
            self.name, self.rate, steady(self.p0), steady(p1), steady(0.1), minutes=minutes, units=self.units
        )
        counts = generate(scenario, self.runs, self.seed + salt)
        return ours.decide(scenario, counts, self.seed + salt, margin, first=first)


def cases(units: Mapping[str, tuple[Unit, ...]], rate: float, p0: float, runs: int, seed: int) -> list[Case]:
    return [Case(name, rate, p0, given, runs, seed + 10 * i) for i, (name, given) in enumerate(units.items())]


def _share(times: Array) -> float:
    return round(float((times < NEVER).mean()), 4)


def _median(times: Array) -> float | None:
    middle = float(np.median(np.where(times < NEVER, times + 1.0, np.inf)))
    return None if middle == np.inf else middle
