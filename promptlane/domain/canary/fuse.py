"""The fuse: when a CloudWatch alarm trips, as arithmetic; `infra` writes the same as metric math.

Coarse on purpose and independent of the judge: it looks at single periods, has no memory, and needs no code of ours to
run. In canary it compares the canary with stable, in watch stable with the holdback, so that an outage that hits both
condemns nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from promptlane.domain.names import OUTAGE, SHIELDED, GuardName, Track
from promptlane.domain.policy import FusePolicy, Policy

from .blocks import Pair

USD_PER_ALARM_METRIC: Final = {60: 0.10, 10: 0.30}
"""Per metric that an alarm reads and month: standard and high resolution."""


def excess(policy: FusePolicy, trial: Pair, control: Pair) -> float:
    """How far the trial's rate lies above the control's in one period; 0 while that may be chance or data is thin.

    Chance is `sigmas` standard deviations of the control's rate, with one bad request added to it: requests of one user
    go wrong together, so a plain binomial bound would trip on noise.
    """
    (n1, y1), (n0, y0) = trial, control
    if n1 < policy.min_requests or n0 < policy.min_requests:
        return 0.0
    gap = y1 / n1 - y0 / n0
    rate = (y0 + 1) / (n0 + 2)
    noise = policy.sigmas**2 * rate * (1 - rate) / n1
    return gap if gap > 0 and gap * gap > noise else 0.0


@dataclass(frozen=True, slots=True)
class FuseAlarm:
    """One alarm of a prompt. `control` None: the rate itself is judged. `acts`: whether it rolls back.

    `metrics`: how many metrics it reads, which is what AWS charges for.
    """

    track: Track
    metric: str
    threshold: float
    control: Track | None
    acts: bool = True

    @property
    def metrics(self) -> int:
        return 2 if self.control is None else 4


def alarms(policy: Policy) -> list[FuseAlarm]:
    """The alarms of a prompt. Without a holdback there is no control in watch, and stable's own rate is judged."""
    fuse = policy.fuse
    holdback = Track.HOLDBACK if policy.watch.holdback else None
    return [
        FuseAlarm(Track.CANARY, GuardName.ERROR, fuse.error, Track.STABLE),
        FuseAlarm(Track.CANARY, GuardName.REFUSAL, fuse.refusal, Track.STABLE),
        FuseAlarm(Track.CANARY, SHIELDED, fuse.shielded, Track.STABLE),
        FuseAlarm(Track.STABLE, GuardName.ERROR, fuse.error, holdback),
        FuseAlarm(Track.STABLE, GuardName.REFUSAL, fuse.refusal, holdback),
        FuseAlarm(Track.STABLE, OUTAGE, fuse.outage, None, acts=False),
    ]


def monthly_usd(policy: Policy, resolution: int) -> float:
    """What the alarms of one prompt cost a month, in US dollars (us-east-1 prices of 2026)."""
    return round(sum(a.metrics for a in alarms(policy)) * USD_PER_ALARM_METRIC[resolution], 2)
