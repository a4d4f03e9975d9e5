"""An arm without requests: one unit for everybody, and a stable that vanished. Nothing can be compared then.

Judged by `promptlane.domain` itself, since the split is broken: harm is told from what stable did the day before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.judge import hostile, scenarios
from benchmarks.judge.agreement import CONTEXT, POLICY
from benchmarks.judge.decisions import NEVER
from benchmarks.judge.traffic import GROUPS, Array
from promptlane.domain.canary.blocks import Arm, Block
from promptlane.domain.canary.judge import judge
from promptlane.domain.metrics import ERROR

LOOKS = (1, 2, 3, 4, 5, 6, 8, 10, 30, 120)
"""Minutes in which is looked; evidence is cumulative, so that later looks see all."""


@dataclass(frozen=True)
class Case:
    """All of `rate` requests a minute go to the canary, whose share should be 10 %. `groups`: in how many they are."""

    name: str
    groups: int
    rate: float
    p0: float
    runs: int
    seed: int

    def row(self) -> dict[str, Any]:
        margin = scenarios.margin(self.p0)
        back, go = self._decide(self.p0, 1)
        _, at_margin = self._decide(self.p0 + margin, 2)
        harmful, _ = self._decide(self.p0 + hostile.HARM, 3)
        return hostile.row(f"{self.name}; {self.rate:g}/min, {self.p0:.1%}", back, at_margin, harmful, go)

    def _decide(self, p1: float, salt: int) -> tuple[Array, Array]:
        rng = np.random.default_rng(self.seed + salt)
        back, go = np.full(self.runs, NEVER), np.full(self.runs, NEVER)
        for run in range(self.runs):
            before = int(rng.poisson(self.rate * 1440))
            history = {ERROR.name: (before, int(rng.binomial(before, self.p0)))}
            blocks: list[Block] = []
            for minute in LOOKS:
                blocks += [self._block(rng, p1, at) for at in range(len(blocks), minute)]
                found = judge({ERROR.name: blocks}, blocks, POLICY, CONTEXT, 60.0 * minute, history=history)
                if found.judgement == "roll_back":
                    back[run] = minute - 1
                elif found.judgement == "advance":
                    go[run] = minute - 1
                if found.judgement != "hold":
                    break
        return back, go

    def _block(self, rng: np.random.Generator, p1: float, minute: int) -> Block:
        n = np.zeros(GROUPS, int)
        n[: self.groups] = rng.poisson(self.rate / self.groups, self.groups)
        y = rng.binomial(n, p1)
        groups = tuple((int(a), int(b)) for a, b in zip(n, y, strict=True))
        return Block(60.0 * minute, 60.0, 0.1, Arm(0, 0), Arm(int(n.sum()), int(y.sum()), groups))


def cases(runs: int, seed: int) -> list[Case]:
    return [
        Case("one unit for everybody (anonymous), on the canary", 1, 100, 0.02, runs, seed),
        Case("stable vanished, all on the canary", GROUPS, 100, 0.02, runs, seed + 10),
    ]
