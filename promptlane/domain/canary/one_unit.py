"""Evidence that no single unit moves, however busy it is and whatever it does.

A unit is in one of the groups that requests are counted in, so what one unit did can be left out by leaving out its
group. Three things are done with that, for each metric:

1. *Left out for good* is each arm's busiest group, where it has far more requests than the others (told by counts of
   requests alone), and up to two groups without which the inflation of the arm falls by a factor of 4 each.
2. *Mixed*: 0.8 of the evidence is that of what is kept, 0.2 the mean over leaving out one more group of the arm in
   which a unit could hide the truth: stable's where harm is looked for, the trial's where harmlessness is.
3. *Guarded*: nothing is decided on evidence that falls below a threshold as soon as any one group of either arm is left
   out too.

For groups that are fixed beforehand, the kept requests' evidence is an e-process, and so is a mean of such; a guard
only lowers it. Where one arbitrary unit is in group c, a decision needs evidence that never saw c: it is wrong with a
chance of at most 1/threshold, beside that of choosing the groups by what happened in them. docs/judge.md says what was
measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Final

from promptlane.domain.names import UNIT_GROUPS

from .blocks import NO_GROUPS, Block, Groups
from .dispersion import Scatter, requests_by_group

BUSY_RATIO: Final = 1.5
BUSY_SIGMAS: Final = 5.0
WORTH: Final = 4.0
"""By what factor the inflation must fall for one more group to be left out."""
MOST: Final = 2
"""Groups of an arm that are left out at most."""
KEPT: Final = 0.8
GUARD_HARM: Final = 4.0
GUARD_ADVANCE: Final = 10.0

CONTROL: Final = 0
TRIAL: Final = 1
Cell = tuple[int, int]
"""(arm, unit group)."""
CELLS: Final = tuple((arm, group) for arm in (CONTROL, TRIAL) for group in range(UNIT_GROUPS))
LeftOut = tuple[Groups, Groups]
"""Groups of the control and of the trial."""


def busiest(requests: list[int]) -> Groups:
    """The group that has far more requests than the others have on average, if there is one."""
    group = max(range(len(requests)), key=requests.__getitem__)
    most = requests[group]
    rest = (sum(requests) - most) / (len(requests) - 1)
    busy = most >= BUSY_RATIO * rest and most - rest > BUSY_SIGMAS * math.sqrt(max(rest, 1.0))
    return frozenset([group]) if busy else NO_GROUPS


def busy_groups(blocks: Sequence[Block]) -> Groups:
    """The busiest group of either arm."""
    arms = [b.control.groups for b in blocks], [b.trial.groups for b in blocks]
    return frozenset().union(*(busiest(requests_by_group(arm)) for arm in arms))


def named(groups: Groups) -> str:
    """Groups for people, as the dimension of the metrics names them."""
    return f"group{'s' if len(groups) > 1 else ''} {' and '.join(map(str, sorted(groups)))}"


def left_out(scatter: Scatter) -> LeftOut:
    """What is left out of each arm; nothing where unit groups are not known."""
    if not scatter.known:
        return NO_GROUPS, NO_GROUPS
    return _of_arm(scatter, CONTROL), _of_arm(scatter, TRIAL)


def _of_arm(scatter: Scatter, arm: int) -> Groups:
    """The groups with the least inflation, a further one counted WORTH times worse."""
    best = busy = busiest(scatter.requests[arm])
    least = scatter.alone(arm, busy)
    others = [g for g in range(UNIT_GROUPS) if g not in busy]
    for more in range(1, MOST - len(busy) + 1):
        price = WORTH**more
        if least <= price:
            break  # an inflation is at least 1
        for extra in combinations(others, more):
            out = busy.union(extra)
            found = scatter.alone_below(arm, out, least / price)
            if found is not None:
                best, least = out, found * price
    return best


class Evidence:
    """One metric's evidence, by which groups are left out; each is reckoned when it is needed, once.

    `value`: the evidence without these groups, raised to 1/inflation of what is kept. `hiding`: the arm in which a unit
    could hide what is looked for.
    """

    def __init__(self, value: Callable[[LeftOut], float], out: LeftOut, hiding: int, *, known: bool) -> None:
        self._value, self._out, self._known = value, out, known
        self._found: dict[LeftOut, float] = {}
        cells = [(hiding, group) for group in range(UNIT_GROUPS)] if known else []
        mean = sum(map(self.without, cells)) / len(cells) if cells else self._of(out)
        self.mixed = KEPT * self._of(out) + (1 - KEPT) * mean

    def without(self, cell: Cell) -> float:
        """Evidence without one more group; one that is out already changes nothing, nor does one that is not known."""
        if not self._known:
            return self._of(self._out)
        arm, group = cell
        groups = list(self._out)
        groups[arm] = groups[arm] | {group}
        return self._of((groups[CONTROL], groups[TRIAL]))

    def _of(self, out: LeftOut) -> float:
        found = self._found.get(out)
        if found is None:
            found = self._found[out] = self._value(out)
        return found


def rests_on(weighted: Sequence[tuple[float, Evidence]], threshold: float) -> Cell | None:
    """The group without which the weighted sum of evidence is least, if it is below a threshold then."""
    left = {cell: sum(weight * evidence.without(cell) for weight, evidence in weighted) for cell in CELLS}
    weakest = min(CELLS, key=left.__getitem__)
    return weakest if left[weakest] < threshold else None
