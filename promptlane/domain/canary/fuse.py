"""The fuse: when a CloudWatch alarm trips, as arithmetic; `infra` writes the same as metric math.

Coarse on purpose and independent of the judge: it looks at single periods, has no memory, and needs no code of ours to
run. In canary it compares the canary with stable, in watch stable with the holdback, so that an outage that hits both
condemns nobody.

CloudWatch may look at the newest period before it is over (docs/adr/0031). So a period with too few requests has no
datapoint, and the one before counts in its place; and an alarm looks at one period more than must be bad, so that a
newest one which looks well so far forbids nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from promptlane.domain.metrics import ERROR, REFUSAL
from promptlane.domain.names import OUTAGE, SHIELDED, Track
from promptlane.domain.policy import FusePolicy, Policy

from .blocks import Pair

SPARE_PERIODS: Final = 1
"""How many of the periods that an alarm looks at need not be bad."""
USD_PER_ALARM_METRIC: Final = {60: 0.10, 10: 0.30}
"""Per metric that an alarm reads and month: standard and high resolution."""


def excess(policy: FusePolicy, trial: Pair, control: Pair) -> float | None:
    """How far the trial's rate lies above the control's in one period; 0 while that may be chance, None for thin data.

    Chance is `sigmas` standard deviations of the control's rate, with one bad request added to it: requests of one user
    go wrong together, so a plain binomial bound would trip on noise.
    """
    (n1, y1), (n0, y0) = trial, control
    if n1 < policy.min_requests or n0 < policy.min_requests:
        return None
    gap = y1 / n1 - y0 / n0
    rate = (y0 + 1) / (n0 + 2)
    noise = policy.sigmas**2 * rate * (1 - rate) / n1
    return gap if gap > 0 and gap * gap > noise else 0.0


class AlarmRule(NamedTuple):
    """Metric math over y1, n1 (bad and all, on the alarm's track) and y0, n0 (on its control).

    `value` is compared with the threshold while `condition` holds. `relative`: it is an excess over the control's rate.
    """

    value: str
    condition: Callable[[FusePolicy], str]
    relative: bool


_GAP: Final = "(y1 / n1 - y0 / n0)"


def _beyond_chance(policy: FusePolicy) -> str:
    rate = "((y0 + 1) / (n0 + 2))"
    return f"{_GAP} > 0 && {_GAP} * {_GAP} > {policy.sigmas**2:g} * {rate} * (1 - {rate}) / n1"


EXCESS: Final = AlarmRule(_GAP, _beyond_chance, relative=True)
"""The rule of `excess`."""
WHILE_CONTROL_IS_WELL: Final = AlarmRule("y1 / n1", lambda policy: f"y0 / n0 < {policy.error:g}", relative=False)
"""A breaker that opened because everything fails says nothing about the canary."""


class AlarmRow(NamedTuple):
    """An alarm as it is for every prompt. `metric` is its own name; `source`: whose rate is judged, `against`: which
    metric of the control by `rule` (both: `metric` where empty); without a rule the rate itself is judged.

    `acts`: whether it rolls back; one that does not keeps releases from moving, and condemns none.
    """

    track: Track
    metric: str
    threshold: Callable[[FusePolicy], float]
    source: str = ""
    against: str = ""
    rule: AlarmRule | None = EXCESS
    acts: bool = True


ALARMS: Final = [
    AlarmRow(Track.CANARY, ERROR.name, lambda policy: policy.error),
    AlarmRow(Track.CANARY, REFUSAL.name, lambda policy: policy.refusal),
    AlarmRow(Track.CANARY, SHIELDED, lambda policy: policy.shielded, against=ERROR.name, rule=WHILE_CONTROL_IS_WELL),
    AlarmRow(Track.STABLE, ERROR.name, lambda policy: policy.error),
    AlarmRow(Track.STABLE, REFUSAL.name, lambda policy: policy.refusal),
    AlarmRow(Track.STABLE, OUTAGE, lambda policy: policy.outage, source=ERROR.name, rule=None, acts=False),
]
"""Every alarm. Read when it is needed, so that a row more is all that one takes."""


def acts(metric: str) -> bool:
    """Whether the alarms of this name roll back; those of earlier deployments, which have no row any more, do."""
    return all(row.acts for row in ALARMS if row.metric == metric)


@dataclass(frozen=True, slots=True)
class FuseAlarm:
    """One alarm of one prompt: `row` with the policy's numbers. `control` None: the rate itself is judged.

    AWS charges for each metric that it `reads`.
    """

    row: AlarmRow
    policy: FusePolicy
    control: Track | None

    @property
    def name(self) -> str:
        """<track>/<metric>"""
        return f"{self.row.track}/{self.row.metric}"

    @property
    def threshold(self) -> float:
        return self.row.threshold(self.policy)

    @property
    def looks_at(self) -> int:
        """The latest periods with datapoints that are looked at; `policy.periods` of them must be bad."""
        return self.policy.periods + SPARE_PERIODS

    @property
    def reads(self) -> dict[str, tuple[Track, str, str]]:
        """(track, metric, statistic) by the name that `expression` gives it."""
        track, source = self.row.track, self.source
        found = {"y1": (track, source, "Sum"), "n1": (track, source, "SampleCount")}
        if self.control is not None:
            against = self.row.against or source
            found |= {"y0": (self.control, against, "Sum"), "n0": (self.control, against, "SampleCount")}
        return found

    @property
    def source(self) -> str:
        return self.row.source or self.row.metric

    @property
    def rule(self) -> AlarmRule | None:
        return self.row.rule if self.control is not None else None

    @property
    def expression(self) -> str:
        """Metric math over `reads`: no datapoint while an arm has too few requests in the period."""
        enough = f"n1 >= {self.policy.min_requests}"
        if self.rule is None:
            return f"IF({enough}, y1 / n1)"
        enough += f" && n0 >= {self.policy.min_requests}"
        return f"IF({enough}, IF({self.rule.condition(self.policy)}, {self.rule.value}, 0))"


def alarms(policy: Policy) -> list[FuseAlarm]:
    """The alarms of a prompt. Without a holdback there is no control in watch, and stable's own rate is judged."""
    controls = {Track.CANARY: Track.STABLE} | ({Track.STABLE: Track.HOLDBACK} if policy.watch.holdback else {})
    return [FuseAlarm(row, policy.fuse, controls.get(row.track) if row.rule else None) for row in ALARMS]


def monthly_usd(policy: Policy, resolution: int) -> float:
    """What the alarms of one prompt cost a month, in US dollars (us-east-1 prices of 2026)."""
    return round(sum(len(a.reads) for a in alarms(policy)) * USD_PER_ALARM_METRIC[resolution], 2)
