"""The fuse: when a CloudWatch alarm trips, as arithmetic; `promptlane/cdk` writes the same as metric math.

Coarse on purpose and independent of the judge: it looks at single periods, has no memory, and needs no code of ours to
run. In canary it compares the canary with stable, in watch stable with the holdback, so that an outage that hits both
condemns nobody.

A unit is in one half of the unit groups, so harm counts only where both halves show it: no unit trips the fuse alone,
however busy (docs/adr/0045).

CloudWatch may look at the newest period before it is over (docs/adr/0031). So a period with too few requests has no
datapoint, and the one before counts in its place; and an alarm looks at one period more than must be bad, so that a
newest one which looks well so far forbids nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from promptlane.domain.metrics import ERROR, REFUSAL, told_by_halves
from promptlane.domain.names import OUTAGE, SHIELDED, UNIT_HALVES, Track

if TYPE_CHECKING:  # the rollback asks which alarms act, and waits for no policy
    from promptlane.domain.policy import FusePolicy, Policy

    from .blocks import Pair

Halves: TypeAlias = "tuple[Pair, Pair]"
"""An arm's counts by half of the unit groups."""
SPARE_PERIODS: Final = 1
"""How many of the periods that an alarm looks at need not be bad."""
USD_PER_ALARM_METRIC: Final = {60: 0.10, 10: 0.30}
"""Per metric that an alarm reads and month: standard and high resolution."""
RETURNED: Final = "excess"
"""The expression that is compared with the threshold."""


def least_of_half(policy: FusePolicy) -> int:
    """The least requests of each half of an arm: a quarter of the arm's, since halves are even only on average."""
    return math.ceil(policy.min_requests / 4)


def awake(policy: FusePolicy, trial: Halves, control: Halves) -> bool:
    """Whether one period's counts are enough for the fuse; below, it sleeps and the judge alone guards."""
    least = least_of_half(policy)
    return all(
        sum(n for n, _ in arm) >= policy.min_requests and all(n >= least for n, _ in arm) for arm in (trial, control)
    )


def excess(policy: FusePolicy, trial: Halves, control: Halves) -> float | None:
    """How far the trial's rate lies above the control's in one period, at least: over all units and in either half.

    0 while any of the three may be chance, None for thin data. Chance is `sigmas` standard deviations of the control's
    rate over all units, half of that in each half, with one bad request added to it: requests of one user go wrong
    together, so a plain binomial bound would trip on noise.
    """
    if not awake(policy, trial, control):
        return None
    whole = _beyond(policy.sigmas, _sum(trial), _sum(control))
    each = [_beyond(policy.sigmas / 2, t, c) for t, c in zip(trial, control, strict=True)]
    return min(whole, *each)


def _sum(halves: Halves) -> Pair:
    return sum(n for n, _ in halves), sum(y for _, y in halves)


def _beyond(sigmas: float, trial: Pair, control: Pair) -> float:
    (n1, y1), (n0, y0) = trial, control
    gap = y1 / n1 - y0 / n0
    rate = (y0 + 1) / (n0 + 2)
    noise = sigmas**2 * rate * (1 - rate) / n1
    return gap if gap > 0 and gap * gap > noise else 0.0


class Part(NamedTuple):
    """Whose requests metric math speaks of: all units', or those of one half. `sigmas`: how far chance reaches."""

    suffix: str
    sigmas: float

    def named(self, count: str) -> str:
        """The id of a count of this part: y1, n1 (bad and all, on the alarm's track), y0, n0 (on its control)."""
        return f"{count}{self.suffix}"


class AlarmRule(NamedTuple):
    """`value` of a part, the least of which is compared with the threshold while `condition` holds of every part.

    `relative`: it is an excess over the control's rate.
    """

    value: Callable[[Part], str]
    condition: Callable[[FusePolicy, Part], str]
    relative: bool


def _rate(part: Part) -> str:
    return f"{part.named('y1')} / {part.named('n1')}"


def _control_rate(part: Part) -> str:
    return f"{part.named('y0')} / {part.named('n0')}"


def _gap(part: Part) -> str:
    return f"({_rate(part)} - {_control_rate(part)})"


def _beyond_chance(policy: FusePolicy, part: Part) -> str:
    gap, rate = _gap(part), f"(({part.named('y0')} + 1) / ({part.named('n0')} + 2))"
    return f"{gap} > 0 && {gap} * {gap} > {part.sigmas**2:g} * {rate} * (1 - {rate}) / {part.named('n1')}"


EXCESS: Final = AlarmRule(_gap, _beyond_chance, relative=True)
"""The rule of `excess`."""
WHILE_CONTROL_IS_WELL: Final = AlarmRule(
    _rate, lambda policy, part: f"{_control_rate(part)} < {policy.error:g}", relative=False
)
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


class Read(NamedTuple):
    """One of the metrics that an alarm reads: counted by track and half of the unit groups."""

    track: Track
    half: str
    metric: str
    statistic: str


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
    def reads(self) -> dict[str, Read]:
        """What it reads by the id that `expressions` give it. ValueError for a metric that nobody counts by halves."""
        arms = [("1", self.row.track, self.source)]
        if self.control is not None:
            arms.append(("0", self.control, self.row.against or self.source))
        for _, _, metric in arms:
            if metric not in (*told_by_halves(), SHIELDED):
                raise ValueError(f"{self.name}: clients do not count {metric} by halves; its row must say `fused`")
        return {
            f"{count}{arm}_{half}": Read(track, half, metric, statistic)
            for arm, track, metric in arms
            for half in UNIT_HALVES
            for count, statistic in (("y", "Sum"), ("n", "SampleCount"))
        }

    @property
    def source(self) -> str:
        return self.row.source or self.row.metric

    @property
    def rule(self) -> AlarmRule | None:
        return self.row.rule if self.control is not None else None

    @property
    def expressions(self) -> dict[str, str]:
        """Metric math over `reads`, by id; `RETURNED` is compared, and has no datapoint while any half has too few."""
        counts = ["y1", "n1"] + ["y0", "n0"] * (self.control is not None)
        sums = {count: " + ".join(f"{count}_{half}" for half in UNIT_HALVES) for count in counts}
        whole = Part("", self.policy.sigmas)
        parts = [whole, *(Part(f"_{half}", self.policy.sigmas / 2) for half in UNIT_HALVES)]
        least = {whole: self.policy.min_requests}
        enough = " && ".join(
            f"{part.named(count)} >= {least.get(part, least_of_half(self.policy))}"
            for count in counts
            if count.startswith("n")
            for part in parts
        )
        lowest = f"MIN([{', '.join((self.rule.value if self.rule else _rate)(part) for part in parts)}])"
        if self.rule is not None:
            lowest = f"IF({' && '.join(self.rule.condition(self.policy, part) for part in parts)}, {lowest}, 0)"
        return {**sums, RETURNED: f"IF({enough}, {lowest})"}


def alarms(policy: Policy) -> list[FuseAlarm]:
    """The alarms of a prompt. Without a holdback there is no control in watch, and stable's own rate is judged."""
    controls = {Track.CANARY: Track.STABLE} | ({Track.STABLE: Track.HOLDBACK} if policy.watch.holdback else {})
    return [FuseAlarm(row, policy.fuse, controls.get(row.track) if row.rule else None) for row in ALARMS]


def monthly_usd(policy: Policy, resolution: int) -> float:
    """What the alarms of one prompt cost a month, in US dollars (us-east-1 prices of 2026)."""
    return round(sum(len(a.reads) for a in alarms(policy)) * USD_PER_ALARM_METRIC[resolution], 2)
