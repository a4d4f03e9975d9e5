"""Where requests do not fall on the arms as declared: what is said, and harm that shows without a comparison.

A comparison needs a split that is as declared. Where it is not, waiting would protect a version that fails everywhere,
so the trial's rate is held against the control's own history: worse than that by the margin, beyond what chance does,
and not for one group of units alone. Rates move with the time of day, which no history can tell from harm; that is why
this is asked of broken splits only, and why it needs the margin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from promptlane.domain.policy import GuardPolicy
from promptlane.domain.text import percent

from . import one_unit
from .blocks import NO_GROUPS, Block, Groups, Pair, total, without
from .dispersion import Scatter
from .evidence import HARM_BETS
from .one_unit import TRIAL

HISTORY: Final = 24 * 3600.0
"""How long before the phase the control's history begins; a younger prompt has fewer requests in it."""
SAME: Final = 0.8
"""The least part of a group's share of requests that it must have had before the release, to be the traffic itself."""
MOST_GROWTH: Final = 2.0
_CAP: Final = 50.0


@dataclass(frozen=True, slots=True)
class Past:
    """One metric's blocks of the phase, and (requests, bad) of the control in the day before it."""

    guard: GuardPolicy
    blocks: Sequence[Block]
    scatter: Scatter
    history: Pair | None

    def evidence(self, out: Groups = NO_GROUPS) -> float:
        """Evidence that the trial's rate is above the control's by more than the margin; 1 without history or data.

        A likelihood ratio against the margin's end, mixed over the bets on harm: at most 1 in the mean wherever the
        rate is below that. It is raised to 1/inflation of the trial.
        """
        if self.history is None or self.history[0] <= 0:
            return 1.0
        before = (self.history[1] + 0.5) / (self.history[0] + 1)
        edge = before + max(self.guard.margin_abs, self.guard.margin_rel * before)
        if edge >= 1:
            return 1.0
        _, trial = total(without(self.blocks, out))
        inflation = self.scatter.inflation(trial=out).factor
        grown = 0.0
        for odds, weight in HARM_BETS:
            bet = odds * edge / (1 - edge + odds * edge)
            gain = trial.bad * math.log(bet / edge) + (trial.n - trial.bad) * math.log((1 - bet) / (1 - edge))
            grown += weight * math.exp(min(gain / inflation, _CAP))
        return grown

    def largest(self) -> Groups:
        """The trial's group with most requests."""
        requests = self.scatter.requests[TRIAL]
        return frozenset([max(range(len(requests)), key=requests.__getitem__)]) if any(requests) else NO_GROUPS

    def was_there(self, group: Groups) -> bool:
        """Whether a group had the same share of all requests before the release.

        Groups are not counted then, but all requests are: what was there beyond what others send now was the group's.
        Not where there is far more traffic than on the mean of the day: what came on top may be anybody's.
        """
        if self.history is None or not group or not self.blocks:
            return False
        seconds = sum(b.seconds for b in self.blocks)
        own = sum(self.scatter.requests[arm][g] for arm in (0, 1) for g in group) / seconds
        everything = sum(b.n for b in self.blocks) / seconds
        before = self.history[0] / HISTORY
        return everything <= MOST_GROWTH * before and 1 - (everything - own) / before >= SAME * own / everything


def vanished(counted: Sequence[Block], least: float = 20.0) -> bool:
    """Whether the control, to which so many requests should have gone, got none."""
    control, _ = total(counted)
    return control.n == 0 and sum(b.n * (1 - b.share) for b in counted) >= least


def sentence(counted: Sequence[Block], what: str, *, watch: bool) -> str:
    """What is broken. `what`: assignments or outcomes. `watch`: the control is the holdback."""
    control, trial = total(counted)
    n = control.n + trial.n
    declared = percent(sum(b.share * b.n for b in counted) / n)
    then = "No comparison can be trusted until this is explained (lost telemetry, an old client)."
    if vanished(counted):
        return (
            f"The split is broken: {'the holdback' if watch else 'stable'} got none of {n:,} {what}, where the trial "
            f"should get {declared}; one unit for all requests sends them all one way. {then}"
        )
    said = f"The split is broken: the trial has {percent(trial.n / n)} of {n:,} {what} instead of {declared}."
    if busy := one_unit.busy_groups(counted):
        of_busy = percent((n - sum(b.n for b in without(counted, busy))) / n)
        said += f" {one_unit.named(busy).capitalize()} alone had {of_busy} of all, and counts for neither."
    return f"{said} {then}"


def worse_than_before(pasts: Sequence[Past], needed: float) -> tuple[str, str] | None:
    """(metric, sentence) where the trial is worse than the control was before the release, by the margin.

    It must also show without the trial's largest group, unless that group is the traffic itself. The error of 1/needed
    is shared out over the metrics.
    """
    for past in pasts:
        largest = past.largest()
        if past.history is None or past.evidence() < needed * len(pasts):
            continue
        beside = ""
        if past.evidence(largest) < needed * len(pasts):
            if not past.was_there(largest):
                continue
            beside = f", nearly all from {one_unit.named(largest)}, which sent as much before the release"
        _, trial = total(past.blocks)
        n, bad = past.history
        return past.guard.name, (
            f"{past.guard.name}: {trial.bad:,} of {trial.n:,} requests to the new version "
            f"({percent(trial.bad / trial.n)}) {past.guard.metric.happened}, against {percent(bad / n)} of the day "
            f"before the release{beside}: roll back."
        )
    return None
