"""Counts of both arms in short blocks of time: what the judge decides from, and nothing else.

A block holds the requests that *started* in it. It is read once, after everything that belongs to it must have arrived,
and stored; the judge is a function of stored blocks, so that every look can be repeated later.

The *control* arm is what everybody gets (in watch: the holdback on `previous`), the *trial* arm the version on trial.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from promptlane.domain.errors import InvalidInput
from promptlane.domain.names import UNIT_GROUPS

Json = Any
Pair = tuple[int, int]
"""(requests, bad ones among them)."""

Counts = tuple[int, int, int, int]
"""(control's requests, bad ones, trial's requests, bad ones)."""
Row = tuple[float, int, int, int, int]
"""A block's start and its counts."""
_GROUPS_BEFORE: Final = 8
"""Of blocks that were stored by 0.1; they count, their groups do not."""
Groups = frozenset[int]
"""Unit groups that are left out."""
NO_GROUPS: Final[Groups] = frozenset()

MIN_BLOCK_REQUESTS: Final = 10
LEAST_OF_AGE: Final = 1 / 600
MAX_BLOCK_SECONDS: Final = 1800.0
"""A thin block is closed after this time whatever it holds: both arms must have seen the same half hour."""


@dataclass(frozen=True, slots=True)
class Arm:
    """`n` requests, `bad` bad ones; `groups` splits both by unit group (empty: unknown)."""

    n: int = 0
    bad: int = 0
    groups: tuple[Pair, ...] = ()

    def __add__(self, other: Arm) -> Arm:
        return Arm(self.n + other.n, self.bad + other.bad, _add_groups(self, other))

    def problem(self) -> str | None:
        """Why these counts cannot be true, or None."""
        for n, bad in ((self.n, self.bad), *self.groups):
            if not (math.isfinite(n) and math.isfinite(bad)):
                return f"{bad} bad of {n} is not a number"
            if n < 0 or bad < 0:
                return f"{bad} bad of {n} is negative"
            if bad > n:
                return f"{bad} bad of {n} is more than all"
        return None


@dataclass(frozen=True, slots=True)
class Block:
    """Counts of both arms over [start, start + seconds). `share`: the part of traffic the trial was given."""

    start: float
    seconds: float
    share: float
    control: Arm
    trial: Arm

    @property
    def end(self) -> float:
        return self.start + self.seconds

    @property
    def n(self) -> int:
        return self.control.n + self.trial.n

    def to_list(self) -> list[Json]:
        """Compact form for storage; `from_list` reads it back."""
        return [self.start, self.seconds, self.share, *(_flat(a) for a in (self.control, self.trial))]

    @classmethod
    def from_list(cls, data: Sequence[Json]) -> Block:
        try:
            start, seconds, share, control, trial = data
            return cls(float(start), float(seconds), float(share), _arm(control), _arm(trial))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{data!r} is not a stored block: {error}") from None


def _flat(arm: Arm) -> list[int]:
    return [arm.n, arm.bad, *(v for pair in arm.groups for v in pair)]


def _arm(flat: Sequence[Json]) -> Arm:
    values = [_whole(v) for v in flat]
    if len(values) == 2 + 2 * _GROUPS_BEFORE:
        values = values[:2]
    if len(values) not in (2, 2 + 2 * UNIT_GROUPS):
        raise ValueError(f"an arm has 2 or {2 + 2 * UNIT_GROUPS} numbers, not {len(values)}")
    return Arm(values[0], values[1], tuple(zip(values[2::2], values[3::2], strict=True)))


def _whole(value: Json) -> int:
    number = float(value)
    if number != number or number in (math.inf, -math.inf) or number != int(number):
        raise ValueError(f"{value!r} is not a count")
    return int(number)


def _add_groups(one: Arm, other: Arm) -> tuple[Pair, ...]:
    """Group counts of a sum; unknown as soon as an arm with requests does not know its own."""
    known = [a for a in (one, other) if a.n]
    if any(len(a.groups) != UNIT_GROUPS for a in known):
        return ()
    if len(known) == 1:
        return known[0].groups
    return tuple((n + m, y + z) for (n, y), (m, z) in zip(one.groups, other.groups, strict=True)) if known else ()


def trusted(blocks: Iterable[Block], *, since: float, now: float) -> tuple[list[Block], list[str]]:
    """Blocks in order of time without impossible, repeated, older and future ones; and a sentence on each left out."""
    kept: dict[float, Block] = {}
    notes: list[str] = []
    for block in blocks:
        at = f"the block at {block.start:.0f}"
        problem = block.control.problem() or block.trial.problem()
        if not all(map(math.isfinite, (block.start, block.seconds, block.share))) or block.seconds <= 0:
            notes.append(f"{at} has no valid time; ignored")
        elif problem:
            notes.append(f"{at} holds impossible counts ({problem}); ignored")
        elif block.start < since:
            notes.append(f"{at} lies before this phase; ignored")
        elif block.end > now:
            notes.append(f"{at} lies in the future (clock moved?); ignored")
        elif block.start in kept:
            if kept[block.start] != block:
                notes.append(f"{at} came twice with different counts; the first is kept")
        else:
            kept[block.start] = block
    return [kept[start] for start in sorted(kept)], notes


def merge(blocks: Iterable[Block]) -> list[Block]:
    """Join blocks until each holds MIN_BLOCK_REQUESTS and one request in each arm, and is LEAST_OF_AGE as long as what
    came before it: looks grow rarer as fast, and one at a month of blocks stays quick.

    Closing depends on request counts and time only, never on outcomes. Blocks of different shares are never joined: a
    sum over a weight change would compare different times. A rest that is not full yet is left out.
    """
    merged: list[Block] = []
    open_: Block | None = None
    first: float | None = None
    for block in blocks:
        first = block.start if first is None else first
        if open_ is not None and open_.share != block.share:
            merged.append(open_)
            open_ = None
        if open_ is not None:
            arms = open_.control + block.control, open_.trial + block.trial
            block = Block(open_.start, block.end - open_.start, block.share, *arms)
        enough = block.n >= MIN_BLOCK_REQUESTS and block.control.n > 0 and block.trial.n > 0
        full = enough and block.seconds >= LEAST_OF_AGE * (block.start - first)
        if full or block.seconds >= MAX_BLOCK_SECONDS:
            merged.append(block)
            open_ = None
        else:
            open_ = block
    return merged


def rows(blocks: Sequence[Block], control: Groups = NO_GROUPS, trial: Groups = NO_GROUPS) -> list[Row]:
    """The blocks' counts without these unit groups of either arm. Arms that do not know their groups keep all."""
    n0, y0 = _kept([b.control for b in blocks], control)
    n1, y1 = _kept([b.trial for b in blocks], trial)
    return list(zip((b.start for b in blocks), n0, y0, n1, y1, strict=True))


def _kept(arms: Sequence[Arm], out: Groups) -> tuple[list[int], list[int]]:
    ns, bads = [a.n for a in arms], [a.bad for a in arms]
    for g in out:
        ns = [n - a.groups[g][0] if a.groups else n for n, a in zip(ns, arms, strict=True)]
        bads = [bad - a.groups[g][1] if a.groups else bad for bad, a in zip(bads, arms, strict=True)]
    return ns, bads


def without(blocks: Iterable[Block], out: Groups) -> list[Block]:
    """The blocks without these unit groups in both arms. Arms that do not know their groups keep all."""
    return [replace(b, control=_without(b.control, out), trial=_without(b.trial, out)) for b in blocks]


def _without(arm: Arm, out: Groups) -> Arm:
    if not arm.groups or not out:
        return arm
    kept = tuple((0, 0) if g in out else pair for g, pair in enumerate(arm.groups))
    return Arm(sum(n for n, _ in kept), sum(bad for _, bad in kept), kept)


def total(blocks: Iterable[Block]) -> tuple[Arm, Arm]:
    """(control, trial) summed over all blocks, without groups."""
    n0 = y0 = n1 = y1 = 0
    for b in blocks:
        n0, y0, n1, y1 = n0 + b.control.n, y0 + b.control.bad, n1 + b.trial.n, y1 + b.trial.bad
    return Arm(n0, y0), Arm(n1, y1)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The blocks of one metric that one look read, over [start, end): what is stored, once.

    `metric` is a guard metric or `Assigned` (then `bad` repeats `n`). `history`: (requests, bad) of the control version
    before the phase, kept with the first chunk only.
    """

    phase: str
    metric: str
    start: float
    end: float
    blocks: tuple[Block, ...]
    history: Pair | None = None

    def to_item(self) -> dict[str, Json]:
        """Plain values: the block list as rows of numbers."""
        item: dict[str, Json] = {
            "phase": self.phase,
            "metric": self.metric,
            "start": self.start,
            "end": self.end,
            "blocks": [b.to_list() for b in self.blocks],
        }
        return {**item, "history": list(self.history)} if self.history else item

    @classmethod
    def from_item(cls, item: Mapping[str, Json]) -> Chunk:
        """Read a stored chunk; a row that cannot be read is left out (a missing block means hold, never advance)."""
        rows: list[Block] = []
        for row in item.get("blocks") or ():
            try:
                rows.append(Block.from_list(row))
            except InvalidInput:
                continue
        history = item.get("history")
        return cls(
            phase=str(item["phase"]),
            metric=str(item["metric"]),
            start=float(item["start"]),
            end=float(item["end"]),
            blocks=tuple(rows),
            history=(int(history[0]), int(history[1])) if history else None,
        )
