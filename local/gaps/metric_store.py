"""CloudWatch metrics as they are kept: what comes in by call or embedded metric format, and statistics of it.

As on AWS a point belongs to the minute it was stamped with, or to the second with StorageResolution 1; points older
than two weeks or more than two hours ahead are refused (PutMetricData) or dropped (EMF); a metric is its name with
*exactly* these dimensions."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ministack.core.responses import AccountRegionScopedDict

from local.gaps import metric_math

OLDEST_SECONDS = 14 * 24 * 3600
NEWEST_SECONDS = 2 * 3600
SHORT_PERIODS = (1, 5, 10, 20, 30)
SHORT_LIVED_SECONDS = 3 * 3600
"""How long values are kept by the second; after that a period below a minute has no data."""
MAX_EMF_VALUES = 100

Key = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass
class Cell:
    """All values of one metric in one second or minute."""

    count: float = 0.0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    samples: dict[float, float] = field(default_factory=dict)
    whole: bool = True
    """False once a statistic set came in whose single values are unknown: no percentiles then."""

    def add(self, value: float, count: float = 1.0) -> None:
        self.count += count
        self.total += value * count
        self.low, self.high = min(self.low, value), max(self.high, value)
        self.samples[value] = self.samples.get(value, 0.0) + count

    def add_set(self, count: float, total: float, low: float, high: float) -> None:
        if low == high:
            self.add(low, count)
            return
        self.count += count
        self.total += total
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.whole = False

    def merge(self, other: Cell) -> None:
        self.count += other.count
        self.total += other.total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.whole = self.whole and other.whole
        for value, count in other.samples.items():
            self.samples[value] = self.samples.get(value, 0.0) + count


@dataclass
class Series:
    """One metric: cells by the second they start at, and the unit it came with."""

    unit: str = "None"
    cells: dict[int, Cell] = field(default_factory=dict)


series_of = AccountRegionScopedDict()
"""Every metric of the account and Region that asks, by key."""


def key_of(namespace: str, name: str, dimensions: dict[str, str]) -> Key:
    return namespace, name, tuple(sorted(dimensions.items()))


def dimensions_of(listed: Iterable[dict[str, str]] | None) -> dict[str, str]:
    return {dimension["Name"]: dimension["Value"] for dimension in listed or []}


def cell(
    namespace: str,
    name: str,
    dimensions: dict[str, str],
    unit: str = "None",
    at: float | None = None,
    resolution: int = 60,
) -> Cell:
    """The cell that a value of this metric belongs to; `at` in epoch seconds."""
    key = key_of(namespace, name, dimensions)
    series: Series = series_of.setdefault(key, Series(unit))
    second = int(time.time() if at is None else at)
    start = second if resolution == 1 else second - second % 60
    return series.cells.setdefault(start, Cell())


def record(
    namespace: str, name: str, value: float, unit: str = "None", dimensions: dict[str, str] | None = None
) -> None:
    """Store one value of now, as an AWS service does for its own namespace."""
    cell(namespace, name, dimensions or {}, unit).add(float(value))


def in_time(at: float) -> bool:
    return time.time() - OLDEST_SECONDS <= at <= time.time() + NEWEST_SECONDS


def take_emf(message: str) -> int:
    """Store the metrics of one log line in embedded metric format; returns how many. What the format's specification
    calls invalid (no timestamp, a dimension without value, too many values) gives no metric, silently, as on AWS."""
    try:
        document = json.loads(message)
        directives = document["_aws"]["CloudWatchMetrics"]
        at = float(document["_aws"]["Timestamp"]) / 1000
    except (ValueError, KeyError, TypeError):
        return 0
    if not in_time(at):
        return 0
    return sum(_take_directive(document, directive, at) for directive in directives)


def _take_directive(document: dict[str, Any], directive: dict[str, Any], at: float) -> int:
    stored = 0
    for names in directive.get("Dimensions") or [[]]:
        dimensions = {name: value for name in names if isinstance(value := document.get(name), str) and value}
        if len(dimensions) > 30 or len(dimensions) < len(set(names)):
            continue
        for metric in directive.get("Metrics") or []:
            given = document.get(metric["Name"])
            values = given if isinstance(given, list) else [given]
            numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
            if len(numbers) != len(values) or len(numbers) > MAX_EMF_VALUES or not all(map(math.isfinite, numbers)):
                continue
            resolution = 1 if metric.get("StorageResolution") == 1 else 60
            where = cell(directive["Namespace"], metric["Name"], dimensions, metric.get("Unit", "None"), at, resolution)
            for number in numbers:
                where.add(number)
            stored += 1
    return stored


def valid_period(period: int) -> bool:
    return period in SHORT_PERIODS or (period > 0 and period % 60 == 0)


def bad_period(period: int, also: str = "1, 5, ") -> str:
    return f"The parameter Period is {period}. It must be {also}10, 20, 30 or a multiple of 60."


def windows(key: Key, stat: str, period: int, start: int, end: int) -> dict[int, float]:
    """One statistic per window of `period` seconds from `start` to before `end`; windows without data are absent."""
    series: Series | None = series_of.get(key)
    if series is None:
        return {}
    if period < 60:
        start = max(start, math.ceil((time.time() - SHORT_LIVED_SECONDS) / period) * period)
    merged: dict[int, Cell] = {}
    for second in [s for s in list(series.cells) if start <= s < end]:
        merged.setdefault(start + (second - start) // period * period, Cell()).merge(series.cells[second])
    values = {at: statistic(found, stat) for at, found in sorted(merged.items()) if found.count}
    return {at: value for at, value in values.items() if value is not None}


_PERCENTILE = re.compile(r"(p|tm|ts|tc|wm)(\d{1,2}(?:\.\d+)?|100)")
_RANGE = re.compile(r"PR\((\d*\.?\d*):(\d*\.?\d*)\)")


def valid_statistic(stat: str) -> bool:
    return stat in ("SampleCount", "Sum", "Average", "Minimum", "Maximum") or bool(
        _PERCENTILE.fullmatch(stat) or _RANGE.fullmatch(stat)
    )


def statistic(found: Cell, stat: str) -> float | None:
    """A statistic of one window's values, or None where AWS has none (percentiles of statistic sets)."""
    basic = {
        "SampleCount": found.count,
        "Sum": found.total,
        "Average": found.total / found.count,
        "Minimum": found.low,
        "Maximum": found.high,
    }
    if stat in basic:
        return basic[stat]
    if not found.whole or found.low < 0:
        return None
    ordered = sorted(found.samples.items())
    if match := _PERCENTILE.fullmatch(stat):
        return _percentile_statistic(ordered, match[1], float(match[2]))
    if match := _RANGE.fullmatch(stat):
        low, high = float(match[1] or -math.inf), float(match[2] or math.inf)
        return 100.0 * sum(n for value, n in ordered if low <= value <= high) / found.count
    raise ValueError(f"The parameter Stat has an unsupported value: {stat}")


def _percentile_statistic(ordered: list[tuple[float, float]], kind: str, percent: float) -> float:
    border = percentile(ordered, percent)
    if kind == "p":
        return border
    kept = [(value, n) for value, n in ordered if value <= border]
    count = sum(n for _, n in kept)
    total = sum(value * n for value, n in kept)
    if kind == "wm":  # winsorized: what lies above counts as the border
        above = sum(n for value, n in ordered if value > border)
        return (total + border * above) / (count + above)
    return {"tc": count, "ts": total, "tm": total / count if count else border}[kind]


def percentile(ordered: list[tuple[float, float]], percent: float) -> float:
    """Linear interpolation between the two nearest ranks of weighted, sorted values."""
    total = sum(count for _, count in ordered)
    rank = percent / 100 * (total - 1) if total > 1 else 0.0

    def at(index: float) -> float:
        seen = 0.0
        for value, count in ordered:
            seen += count
            if index < seen:
                return value
        return ordered[-1][0]

    low = at(math.floor(rank))
    share = rank - math.floor(rank)
    return low + share * (at(math.floor(rank) + 1) - low) if share else low


def compute(queries: list[dict[str, Any]], start: int, end: int) -> tuple[dict[str, dict[int, float]], int]:
    """Values of every metric and expression of a list of MetricDataQueries by query id, and the shortest period.

    Raises metric_math.Invalid for an expression that cannot be read or names an unknown id."""
    values: dict[str, Any] = {}
    periods = []
    for query in queries:
        if stat := query.get("MetricStat"):
            period = int(stat.get("Period") or 60)
            metric = stat["Metric"]
            key = key_of(metric["Namespace"], metric["MetricName"], dimensions_of(metric.get("Dimensions")))
            values[query["Id"]] = windows(key, stat["Stat"], period, start, end)
            periods.append(period)
    shortest = min(periods, default=int(next((q["Period"] for q in queries if q.get("Period")), 60)))
    timeline = list(range(start, end, shortest))
    expressions = {query["Id"]: query["Expression"] for query in queries if query.get("Expression")}
    solved = metric_math.solve(expressions, values, timeline, shortest)
    return solved, shortest


def align(start: float, period: int) -> int:
    """Where windows begin for a StartTime: whole minutes, or whole periods below one minute."""
    base = period if period < 60 else 60
    return int(start) // base * base
