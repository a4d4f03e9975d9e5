"""The judge's counts, read from CloudWatch.

What one read costs: a query per version, metric, statistic and (unit group or total). Two versions, six guard metrics
with Sum and SampleCount, and assignments with Sum, over sixteen groups and the total, are 442 queries: one
GetMetricData call (500 queries at most) of 0.00442 USD at 0.01 USD per 1,000 metrics, and more pages only after a long
pause. A mean takes 102 more: its squares are a metric of their own. Two means make it two calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from promptlane.domain.canary.blocks import Arm, Pair
from promptlane.domain.canary.counts import Windows, check_period
from promptlane.domain.errors import Unavailable
from promptlane.domain.investigation.sources import Cell
from promptlane.domain.metrics import DIGITS, SQUARED, is_mean
from promptlane.domain.names import ASSIGNED, GROUP, NAMESPACE, STALE_ROUTE, UNIT_GROUPS
from promptlane.domain.trail import Window

from .errors import translated

QUERIES_PER_CALL: Final = 500
USD_PER_QUERY: Final = 0.01 / 1000
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_SQUARES: Final = "Squares"
"""A statistic that CloudWatch does not have: the sum of another metric."""


class _Series(NamedTuple):
    """What one query asks for: which version's metric (0 for the prompt's), of which group ("" for all), which
    statistic."""

    version: int
    metric: str
    group: str
    stat: str


class CloudWatchCounts:
    """`CountReader` on GetMetricData. `client` is a boto3 CloudWatch client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def windows(
        self, prompt: str, *, control: int, trial: int, metrics: Sequence[str], start: float, end: float, period: float
    ) -> Windows:
        series = [
            _Series(version, metric, group, stat)
            for version in (control, trial)
            for metric in metrics
            for group in ("", *map(str, range(UNIT_GROUPS)))
            for stat in _stats(metric)
        ]
        values = self._read(prompt, series, start, end, check_period(period))
        found: dict[str, dict[float, tuple[Arm, Arm]]] = {}
        for metric in metrics:
            moments = {at for one, points in values.items() if one.metric == metric for at in points}
            found[metric] = {
                at: (_arm(values, control, metric, at), _arm(values, trial, metric, at)) for at in sorted(moments)
            }
        return found

    def history(
        self, prompt: str, *, version: int, metrics: Sequence[str], start: float, end: float
    ) -> dict[str, Pair]:
        series = [_Series(version, metric, "", stat) for metric in metrics for stat in _stats(metric)]
        hour = start - start % _HOUR
        values = self._read(prompt, series, hour, end - end % _HOUR, int(_HOUR))
        sums = {one: _count(sum(points.values())) for one, points in values.items()}
        past = {
            m: (sums.get(_Series(version, m, "", "SampleCount"), 0), sums.get(_Series(version, m, "", "Sum"), 0))
            for m in metrics
        }
        return {metric: pair for metric, pair in past.items() if pair[0] > 0}

    def stale_refreshes(self, prompt: str, *, start: float, end: float) -> tuple[int, float]:
        """(how many refreshes over [start, end) left a client with a stale route, the age of the oldest in seconds)."""
        series = [_Series(0, STALE_ROUTE, "", stat) for stat in ("SampleCount", "Maximum")]
        found = self._read(prompt, series, start - start % _MINUTE, end, int(_MINUTE))
        counts, ages = (found.get(one, {}).values() for one in series)
        return _count(sum(counts)), max(ages, default=0.0)

    def cells(
        self, prompt: str, *, versions: Sequence[int], metrics: Sequence[str], window: Window, seconds: float
    ) -> list[Cell]:
        """`RateReader`: counts of any number of versions, without groups; periods without requests are absent."""
        series = [_Series(v, m, "", stat) for v in versions for m in metrics for stat in ("Sum", "SampleCount")]
        start = window.since - window.since % seconds
        values = self._read(prompt, series, start, window.until, check_period(seconds))
        found: list[Cell] = []
        for version in versions:
            for metric in metrics:
                bad = values.get(_Series(version, metric, "", "Sum"), {})
                for at, n in values.get(_Series(version, metric, "", "SampleCount"), {}).items():
                    if n > 0:
                        of = bad.get(at, 0.0)
                        found.append(
                            Cell(at, seconds, version, metric, _count(n), _sum(of) if is_mean(metric) else _count(of))
                        )
        return sorted(found, key=lambda c: (c.at, c.version, c.metric))

    def _read(
        self, prompt: str, series: Sequence[_Series], start: float, end: float, period: int
    ) -> dict[_Series, dict[float, float]]:
        """Values by series and period start. A failed or partial answer raises: half a sum is worse than none."""
        values: dict[_Series, dict[float, float]] = {}
        if end <= start:
            return values
        for first in range(0, len(series), QUERIES_PER_CALL):
            asked = {f"q{i}": one for i, one in enumerate(series[first : first + QUERIES_PER_CALL])}
            request: dict[str, Any] = {
                "MetricDataQueries": [_query(name, prompt, one, period) for name, one in asked.items()],
                "StartTime": datetime.fromtimestamp(start, UTC),
                "EndTime": datetime.fromtimestamp(end, UTC),
                "ScanBy": "TimestampAscending",
            }
            with translated(f"reading the counts of {prompt}"):
                pages = self._client.get_paginator("get_metric_data").paginate(**request)
                for page in pages:
                    _add(values, asked, page)
        return values


def _add(values: dict[_Series, dict[float, float]], asked: Mapping[str, _Series], page: Mapping[str, Any]) -> None:
    for result in page["MetricDataResults"]:
        if result.get("StatusCode") in ("InternalError", "Forbidden"):
            raise Unavailable(f"CloudWatch gave no data for {asked[result['Id']].metric}: {result['StatusCode']}")
        points = values.setdefault(asked[result["Id"]], {})
        for at, value in zip(result["Timestamps"], result["Values"], strict=True):
            points[at.timestamp()] = float(value)


def _stats(metric: str) -> tuple[str, ...]:
    if metric == ASSIGNED:
        return ("Sum",)
    return ("Sum", "SampleCount", _SQUARES) if is_mean(metric) else ("Sum", "SampleCount")


def _query(name: str, prompt: str, one: _Series, period: int) -> dict[str, Any]:
    dimensions = [{"Name": "Prompt", "Value": prompt}]
    if one.version:
        dimensions.append({"Name": "Version", "Value": str(one.version)})
    if one.group:
        dimensions.append({"Name": GROUP, "Value": one.group})
    name_, stat = (one.metric + SQUARED, "Sum") if one.stat == _SQUARES else (one.metric, one.stat)
    metric = {"Namespace": NAMESPACE, "MetricName": name_, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}, "ReturnData": True}


def _arm(values: Mapping[_Series, Mapping[float, float]], version: int, metric: str, at: float) -> Arm:
    mean = is_mean(metric)

    def found(group: str, stat: str) -> float:
        return values.get(_Series(version, metric, group, stat), {}).get(at, 0.0)

    def pair(group: str) -> Pair:
        total = found(group, "Sum")
        if metric == ASSIGNED:
            return _count(total), 0
        return _count(found(group, "SampleCount")), _sum(total) if mean else _count(total)

    n, bad = pair("")
    groups = tuple(pair(str(g)) for g in range(UNIT_GROUPS))
    # Clients that send no groups make the sum over groups fall short: then the groups are not known.
    known = sum(g for g, _ in groups) == n
    squared = ["", *(map(str, range(UNIT_GROUPS)) if known else ())] if mean and n else []
    return Arm(n, bad, groups if known else (), tuple(_sum(found(group, _SQUARES)) for group in squared))


def _count(value: float) -> int:
    """A count as CloudWatch gives it; NaN and infinity become -1, which no block survives."""
    return round(value) if abs(value) < 1e15 else -1


def _sum(value: float) -> float:
    """A sum of values, without the last digits that adding floats leaves; as `_count` where it is no number."""
    return round(value, 2 * DIGITS) if abs(value) < 1e15 else -1.0
