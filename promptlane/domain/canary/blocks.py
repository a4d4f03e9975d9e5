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
Pair = tuple[int, float]
"""(requests, bad ones among them); of a mean: (answers, sum of their values)."""

Counts = tuple[int, float, int, float]
"""(control's requests, bad ones, trial's requests, bad ones)."""
Row = tuple[float, int, float, int, float]
"""A block's start and its counts."""
Triple = tuple[int, float, float]
"""(answers, sum of their values, sum of the squares of these)."""
ValueRow = tuple[float, Triple, Triple]
"""A block's start, and what control and trial had."""
_GROUPS_BEFORE: Final = 8
"""Of blocks that were stored by 0.1; they count, their groups do not."""
Groups = frozenset[int]
"""Unit groups that are left out."""
NO_GROUPS: Final[Groups] = frozenset()

_ROUNDED: Final = 1e-6
"""By how much sums of values may miss what they are, per answer: they travel as floats."""

MIN_BLOCK_REQUESTS: Final = 10
LEAST_OF_AGE: Final = 1 / 600
MAX_BLOCK_SECONDS: Final = 1800.0
"""A thin block is closed after this time whatever it holds: both arms must have seen the same half hour."""


@dataclass(frozen=True, slots=True)
class Arm:
    """`n` requests, `bad` bad ones; `groups` splits both by unit group (empty: unknown).

    Of a mean: `n` answers, and in place of bad ones the sum of their values, each in [0, 1]. `squares` are the sums of
    the values' squares, of all answers and then of each group's; empty for a rate, whose values are their own squares.
    """

    n: int = 0
    bad: float = 0
    groups: tuple[Pair, ...] = ()
    squares: tuple[float, ...] = ()

    def __add__(self, other: Arm) -> Arm:
        groups = _add_groups(self, other)
        squares = _add_squares(self, other, 1 + len(groups)) if self.squares or other.squares else ()
        return Arm(self.n + other.n, self.bad + other.bad, groups, squares)

    def problem(self) -> str | None:
        """Why these counts cannot be true, or None."""
        for n, bad in ((self.n, self.bad), *self.groups):
            if not (math.isfinite(n) and math.isfinite(bad)):
                return f"{bad} bad of {n} is not a number"
            if n < 0 or bad < 0:
                return f"{bad} bad of {n} is negative"
            if bad > n + (_ROUNDED * n if self.squares else 0):
                return f"{bad} bad of {n} is more than all"
        for (n, value), square in zip(((self.n, self.bad), *self.groups), self.squares, strict=False):
            room = _ROUNDED * (n + 1)
            if not (math.isfinite(square) and value * value <= (square + room) * n and square <= value + room):
                return f"{n} values in [0, 1] that sum to {value:g} have no squares that sum to {square:g}"
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


def _flat(arm: Arm) -> list[float]:
    """Numbers of a rate, or those of a mean, which are a third more and one at least."""
    return [arm.n, arm.bad, *(v for pair in arm.groups for v in pair), *arm.squares]


def _arm(flat: Sequence[Json]) -> Arm:
    if len(flat) in (3, 3 + 3 * UNIT_GROUPS):
        return _arm_of_values(flat)
    values = [_whole(v) for v in flat]
    if len(values) == 2 + 2 * _GROUPS_BEFORE:
        values = values[:2]
    if len(values) not in (2, 2 + 2 * UNIT_GROUPS):
        raise ValueError(f"an arm has 2 or {2 + 2 * UNIT_GROUPS} numbers, not {len(values)}")
    return Arm(values[0], values[1], tuple(zip(values[2::2], values[3::2], strict=True)))


def _arm_of_values(flat: Sequence[Json]) -> Arm:
    upto = len(flat) - (1 + UNIT_GROUPS if len(flat) > 3 else 1)
    ns, sums = [_whole(v) for v in flat[:upto:2]], [float(v) for v in flat[1:upto:2]]
    pairs = list(zip(ns, sums, strict=True))
    return Arm(*pairs[0], tuple(pairs[1:]), tuple(float(v) for v in flat[upto:]))


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


def _add_squares(one: Arm, other: Arm, count: int) -> tuple[float, ...]:
    """Sums of squares of a sum, of all and of its groups; unknown where an arm with answers does not know its own."""
    known = [a.squares for a in (one, other) if a.n]
    if not all(len(squares) >= count for squares in known):
        return ()
    return tuple(map(sum, zip(*(squares[:count] for squares in known), strict=True)))


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


def _kept(arms: Sequence[Arm], out: Groups) -> tuple[list[int], list[float]]:
    ns, bads = [a.n for a in arms], [a.bad for a in arms]
    for g in out:
        ns = [n - a.groups[g][0] if a.groups else n for n, a in zip(ns, arms, strict=True)]
        bads = [bad - a.groups[g][1] if a.groups else bad for bad, a in zip(bads, arms, strict=True)]
    return ns, bads


def value_rows(blocks: Sequence[Block], control: Groups = NO_GROUPS, trial: Groups = NO_GROUPS) -> list[ValueRow]:
    """The blocks of a mean without these unit groups of either arm, as `rows`."""
    return [(b.start, _values(b.control, control), _values(b.trial, trial)) for b in blocks]


def _values(arm: Arm, out: Groups) -> Triple:
    n, value, square = arm.n, arm.bad, arm.squares[0] if arm.squares else 0.0
    for g in out if arm.groups else ():
        n, value, square = n - arm.groups[g][0], value - arm.groups[g][1], square - arm.squares[1 + g]
    return n, max(value, 0.0), max(square, 0.0)


def without(blocks: Iterable[Block], out: Groups) -> list[Block]:
    """The blocks without these unit groups in both arms. Arms that do not know their groups keep all."""
    return [replace(b, control=_without(b.control, out), trial=_without(b.trial, out)) for b in blocks]


def _without(arm: Arm, out: Groups) -> Arm:
    if not arm.groups or not out:
        return arm
    kept = tuple((0, 0) if g in out else pair for g, pair in enumerate(arm.groups))
    squares = tuple(0.0 if g in out else square for g, square in enumerate(arm.squares[1:]))
    return Arm(sum(n for n, _ in kept), sum(bad for _, bad in kept), kept, (sum(squares), *squares) if squares else ())


def total(blocks: Iterable[Block]) -> tuple[Arm, Arm]:
    """(control, trial) summed over all blocks, without groups."""
    n0 = n1 = 0
    y0: float = 0
    y1: float = 0
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
