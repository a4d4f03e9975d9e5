"""Whether the fuse sleeps: whether its alarms have too few requests to look at, as the judge's counts show it.

The alarms read counts by half of the unit groups; the judge reads them by group, a few minutes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from promptlane.domain.names import UNIT_GROUPS
from promptlane.domain.policy import FusePolicy

from . import fuse
from .blocks import Arm, Block


def sleeping(assigned: Iterable[Block], windows: Sequence[float], policy: FusePolicy, *, period: float) -> bool | None:
    """Whether fewer of these windows than an alarm needs hold enough requests; None where there are not so many.

    `windows`: starts of the latest periods of the alarms, `period` seconds each, in which the route did not change.
    `assigned`: blocks of assignments, which may be longer; an arm whose groups are not known wakes nothing, since the
    clients that told it do not count by half either.
    """
    if len(windows) < policy.periods:
        return None
    blocks = list(assigned)
    enough = 0
    for at in windows:
        found = next((b for b in blocks if b.start <= at < b.end), None)
        if found is not None:
            part = period / found.seconds
            enough += fuse.awake(policy, _halves(found.trial, part), _halves(found.control, part))
    return enough < policy.periods


def sentence(policy: FusePolicy) -> str:
    """What people are told of a fuse that sleeps."""
    return (
        f"the fuse sleeps: too few requests for its alarms, which need {policy.min_requests} a period on either track, "
        f"{fuse.least_of_half(policy)} from each half of the units; the judge alone guards"
    )


def _halves(arm: Arm, part: float) -> fuse.Halves:
    """Requests of one period, of which a block holds 1/`part`; bad ones do not matter here."""
    half = UNIT_GROUPS // 2
    counts = [n for n, _ in arm.groups] or [0] * UNIT_GROUPS
    first, second = sum(counts[:half]), sum(counts[half:])
    return (int(first * part), 0), (int(second * part), 0)
