"""CloudWatch metrics: storage, embedded metric format, and reading with metric math.

Lacking in MiniStack: EMF, metric math, storage resolution, exact dimensions (a query without dimensions merges all
sets), newest-first results, and it scans every point ever stored on every call. Here: an aggregated store of our own.
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
from xml.sax.saxutils import escape

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import cloudwatch, cloudwatch_logs

from local import seams
from local.gaps import metric_math

OLDEST_SECONDS = 14 * 24 * 3600
NEWEST_SECONDS = 2 * 3600
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


_series = AccountRegionScopedDict()
_error, _xml = seams.replies(cloudwatch, "_error"), seams.replies(cloudwatch, "_xml")
_cbor_ok, _json_ok = seams.replies(cloudwatch, "_cbor_ok"), seams.replies(cloudwatch, "_json_ok")


def install() -> None:
    seams.require(cloudwatch, "_parse_ts", "_ts_iso", "_cbor_metric_data_result", "_cbor_datapoint")
    _replace_api("_put_metric_data", put_metric_data)
    _replace_api("_get_metric_data", get_metric_data)
    _replace_api("_get_metric_statistics", get_metric_statistics)
    _replace_api("_list_metrics", list_metrics)
    seams.put(cloudwatch, "_evict_old_metrics", lambda: None)
    seams.on_reset(_series.clear)

    @seams.replace(cloudwatch, "record_metric")
    def from_service(
        original: Any, namespace: str, name: str, value: float, unit: str = "None", dimensions: Any = None
    ) -> None:
        record(namespace, name, value, unit, dimensions or {})

    @seams.replace(cloudwatch_logs, "_append_log_events")
    def append(original: Any, stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
        original(stream, events)
        for event in events:
            if '"_aws"' in event["message"]:
                take_emf(event["message"])


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
    series: Series = _series.setdefault(key, Series(unit))
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


# Reading


def windows(key: Key, stat: str, period: int, start: int, end: int) -> dict[int, float]:
    """One statistic per window of `period` seconds from `start` to before `end`; windows without data are absent."""
    series: Series | None = _series.get(key)
    if series is None:
        return {}
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


# The API operations


class BadRequest(Exception):
    """An error of the API: code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def _replace_api(name: str, operation: Any) -> None:
    """Take over one operation in each of the three protocols that CloudWatch speaks."""

    @seams.replace(cloudwatch, name)
    def call(
        original: seams.Replies, params: dict[str, Any], data: Any, is_cbor: bool, is_json: bool = False
    ) -> seams.Response:
        request = data if is_cbor or is_json else unflatten(params)
        try:
            result = operation(request or {})
        except BadRequest as bad:
            return _error(bad.code, bad.message, 400, use_json=is_json, use_cbor=is_cbor)
        if is_cbor:
            for row in result.get("MetricDataResults", []):
                row.update(cloudwatch._cbor_metric_data_result(row))
            if "Datapoints" in result:
                result["Datapoints"] = [cloudwatch._cbor_datapoint(point) for point in result["Datapoints"]]
            return _cbor_ok(result)
        if is_json:
            return _json_ok(result)
        action = "".join(part.capitalize() for part in name.strip("_").split("_"))
        return _xml(200, f"{action}Response", f"<{action}Result>{_to_xml(result)}</{action}Result>")


def unflatten(params: dict[str, Any]) -> Any:
    """`A.member.1.B=x` of the query protocol as `{"A": [{"B": "x"}]}`."""
    tree: dict[str, Any] = {}
    for name, value in params.items():
        node = tree
        *parents, last = name.split(".")
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = value[0] if isinstance(value, list) else value

    def fold(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        if set(node) == {"member"}:
            return [fold(item) for _, item in sorted(node["member"].items(), key=lambda pair: int(pair[0]))]
        return {name: fold(value) for name, value in node.items()}

    return fold(tree)


def _to_xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_to_xml(part)}</{name}>" for name, part in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_to_xml(part)}</member>" for part in value)
    return escape(str(value))


def put_metric_data(request: dict[str, Any]) -> dict[str, Any]:
    namespace = request.get("Namespace") or ""
    if not namespace or namespace.startswith("AWS/"):
        raise BadRequest("InvalidParameterValue", f"The value {namespace!r} for parameter Namespace is invalid.")
    data = list(request.get("MetricData") or [])
    for group in request.get("EntityMetricData") or []:
        data += group.get("MetricData") or []
    if len(data) > 1000:
        raise BadRequest("InvalidParameterValue", "The collection MetricData must not have a size greater than 1000.")
    for number, datum in enumerate(data, start=1):
        _put_datum(namespace, datum, f"MetricData.member.{number}")
    return {}


def _put_datum(namespace: str, datum: dict[str, Any], where: str) -> None:
    stamp = datum.get("Timestamp")
    at = cloudwatch._parse_ts(stamp) if stamp else time.time()
    if at is None or not in_time(at):
        limits = "no more than two hours in the future and two weeks in the past"
        raise BadRequest("InvalidParameterValue", f"The parameter {where}.Timestamp must specify a time {limits}.")
    resolution = int(datum.get("StorageResolution") or 60)
    dimensions = dimensions_of(datum.get("Dimensions"))
    if len(dimensions) > 30 or not all(dimensions.values()):
        raise BadRequest("InvalidParameterValue", f"The parameter {where}.Dimensions is invalid.")
    target = cell(namespace, datum["MetricName"], dimensions, datum.get("Unit") or "None", at, resolution)
    given = [name for name in ("Value", "Values", "StatisticValues") if datum.get(name) is not None]
    if len(given) != 1:
        raise BadRequest(
            "InvalidParameterCombination", f"{where} must have exactly one of Value, Values and StatisticValues."
        )
    if stats := datum.get("StatisticValues"):
        target.add_set(*(float(stats[name]) for name in ("SampleCount", "Sum", "Minimum", "Maximum")))
        return
    values = [float(value) for value in datum.get("Values") or [datum.get("Value")]]
    counts = [float(count) for count in datum.get("Counts") or [1.0] * len(values)]
    if len(values) > 150 or len(counts) != len(values):
        raise BadRequest("InvalidParameterValue", f"{where} must have at most 150 Values, and as many Counts.")
    if not all(math.isfinite(value) for value in values):
        raise BadRequest("InvalidParameterValue", f"The value for parameter {where}.Value is invalid: NaN or infinite.")
    for value, count in zip(values, counts, strict=True):
        target.add(value, count)


def get_metric_data(request: dict[str, Any]) -> dict[str, Any]:
    """GetMetricData: metrics, metric math and SEARCH; newest first unless ScanBy says otherwise."""
    queries = [_searched(query) for query in request.get("MetricDataQueries") or []]
    flat = [query for group in queries for query in group]
    if not flat or len(flat) > 500:
        raise BadRequest("ValidationError", "MetricDataQueries must have between 1 and 500 members")
    for query in flat:
        if (stat := query.get("MetricStat")) and not valid_statistic(stat.get("Stat") or ""):
            raise BadRequest("ValidationError", f"The value {stat.get('Stat')!r} for parameter Stat is not supported.")
    period = min((int(q["MetricStat"].get("Period") or 60) for q in flat if q.get("MetricStat")), default=60)
    begin, until = cloudwatch._parse_ts(request.get("StartTime")), cloudwatch._parse_ts(request.get("EndTime"))
    if begin is None or until is None or begin >= until:
        raise BadRequest("ValidationError", "The parameter EndTime must be greater than StartTime.")
    try:
        values, _ = compute(flat, align(begin, period), math.ceil(until))
    except metric_math.Invalid as invalid:
        raise BadRequest("ValidationError", str(invalid)) from invalid
    newest_first = request.get("ScanBy", "TimestampDescending") != "TimestampAscending"
    results = []
    for query in flat:
        if str(query.get("ReturnData", True)).lower() == "false":
            continue
        points = sorted(values.get(query["Id"], {}).items(), reverse=newest_first)
        label = query.get("Label") or (query.get("MetricStat") or {}).get("Metric", {}).get("MetricName") or query["Id"]
        results.append(
            {
                "Id": query["Id"],
                "Label": label,
                "Timestamps": [cloudwatch._ts_iso(at) for at, _ in points],
                "Values": [value for _, value in points],
                "StatusCode": "Complete",
            }
        )
    return {"MetricDataResults": results, "Messages": []}


_SEARCH = re.compile(r"\s*SEARCH\(\s*'\{([^}]*)\}\s*([^']*)'\s*,\s*'([^']+)'(?:\s*,\s*(\d+))?\s*\)\s*")


def _searched(query: dict[str, Any]) -> list[dict[str, Any]]:
    """A query, or for a SEARCH expression one query per metric that it finds."""
    match = _SEARCH.fullmatch(query.get("Expression") or "")
    if match is None:
        return [query]
    schema, terms, stat, period = match.groups()
    namespace, *names = [part.strip().strip('"') for part in schema.split(",")]
    wanted = dict(re.findall(r'(\w+)="?([^"\s]+)"?', terms))
    found = []
    for key in _series:
        dimensions = dict(key[2])
        metric_wanted = wanted.get("MetricName", key[1])
        if key[0] != namespace or set(dimensions) != set(names) or key[1] != metric_wanted:
            continue
        if all(dimensions.get(n) == v for n, v in wanted.items() if n != "MetricName"):
            listed = [{"Name": n, "Value": v} for n, v in key[2]]
            metric = {"Namespace": key[0], "MetricName": key[1], "Dimensions": listed}
            label = " ".join([*dimensions.values(), key[1]])
            stat_query = {"Metric": metric, "Stat": stat, "Period": int(period or query.get("Period") or 60)}
            found.append({"Id": f"{query['Id']}", "Label": label, "MetricStat": stat_query})
    return [{**one, "Id": f"{one['Id']}_{number}"} for number, one in enumerate(found)]


def get_metric_statistics(request: dict[str, Any]) -> dict[str, Any]:
    wanted = list(request.get("Statistics") or [])
    extended = list(request.get("ExtendedStatistics") or [])
    if not wanted and not extended:
        raise BadRequest(
            "InvalidParameterCombination", "At least one of Statistics and ExtendedStatistics must be given."
        )
    if bad := [stat for stat in wanted + extended if not valid_statistic(stat)]:
        raise BadRequest("InvalidParameterValue", f"The value {bad[0]!r} is not a supported statistic.")
    begin, until = cloudwatch._parse_ts(request.get("StartTime")), cloudwatch._parse_ts(request.get("EndTime"))
    if begin is None or until is None:
        raise BadRequest("MissingParameter", "StartTime and EndTime are required.")
    period = int(request.get("Period") or 60)
    key = key_of(request["Namespace"], request["MetricName"], dimensions_of(request.get("Dimensions")))
    points: dict[int, dict[str, Any]] = {}
    unit = (_series.get(key) or Series()).unit
    for stat in wanted + extended:
        for at, value in windows(key, stat, period, align(begin, period), math.ceil(until)).items():
            point = points.setdefault(at, {"Timestamp": cloudwatch._ts_iso(at), "Unit": unit})
            if stat in wanted:
                point[stat] = value
            else:
                point.setdefault("ExtendedStatistics", {})[stat] = value
    return {"Label": request["MetricName"], "Datapoints": list(points.values())}


def list_metrics(request: dict[str, Any]) -> dict[str, Any]:
    filters = request.get("Dimensions") or []
    found = []
    for namespace, name, dimensions in _series:
        if request.get("Namespace", namespace) != namespace or request.get("MetricName", name) != name:
            continue
        have = dict(dimensions)
        if all(f["Name"] in have and f.get("Value", have[f["Name"]]) == have[f["Name"]] for f in filters):
            listed = [{"Name": n, "Value": v} for n, v in dimensions]
            found.append({"Namespace": namespace, "MetricName": name, "Dimensions": listed})
    skip = int(request.get("NextToken") or 0)
    more = {"NextToken": str(skip + 500)} if skip + 500 < len(found) else {}
    return {"Metrics": found[skip : skip + 500], **more}
