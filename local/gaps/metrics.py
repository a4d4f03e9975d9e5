"""CloudWatch metrics: PutMetricData, GetMetricData, GetMetricStatistics and ListMetrics over a store of our own.

Lacking in MiniStack: EMF, metric math, storage resolution, exact dimensions (a query without dimensions merges all
sets), newest-first results, and it scans every point ever stored on every call. Here: `metric_store` keeps sums."""

from __future__ import annotations

import json
import math
import re
import time
from typing import Any
from xml.sax.saxutils import escape

from ministack.services import cloudwatch, cloudwatch_logs

from local import seams
from local.gaps import metric_math
from local.gaps.metric_store import (
    Series,
    align,
    bad_period,
    cell,
    compute,
    dimensions_of,
    in_time,
    key_of,
    record,
    series_of,
    take_emf,
    valid_period,
    valid_statistic,
    windows,
)

_error, _xml = seams.replies(cloudwatch, "_error"), seams.replies(cloudwatch, "_xml")
_cbor_ok, _json_ok = seams.replies(cloudwatch, "_cbor_ok"), seams.replies(cloudwatch, "_json_ok")


def install() -> None:
    seams.require(cloudwatch, "_parse_ts", "_ts_iso", "_cbor_metric_data_result", "_cbor_datapoint")
    _replace_api("_put_metric_data", put_metric_data)
    _replace_api("_get_metric_data", get_metric_data)
    _replace_api("_get_metric_statistics", get_metric_statistics)
    _replace_api("_list_metrics", list_metrics)
    seams.put(cloudwatch, "_evict_old_metrics", lambda: None)
    seams.keep("metrics", series_of)

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


LARGEST, SMALLEST = 2.0**360, 2.0**-360
LARGEST_REQUEST = 1024 * 1024
_PRINTABLE = re.compile(r"(?=.*[!-~])[ -~]+")


def put_metric_data(request: dict[str, Any]) -> dict[str, Any]:
    """All data points or none: one that is refused has the request refused. Sources: PutMetricData, MetricDatum and
    Dimension in the Amazon CloudWatch API reference. Bytes are counted as if the request were JSON."""
    namespace = request.get("Namespace") or ""
    if not _PRINTABLE.fullmatch(namespace) or namespace.startswith(("AWS/", ":")) or len(namespace) > 255:
        raise BadRequest("InvalidParameterValue", f"The value {namespace!r} for parameter Namespace is invalid.")
    data = list(request.get("MetricData") or [])
    for group in request.get("EntityMetricData") or []:
        data += group.get("MetricData") or []
    if len(data) > 1000:
        raise BadRequest("InvalidParameterValue", "The collection MetricData must not have a size greater than 1000.")
    if len(json.dumps(data, default=str)) > LARGEST_REQUEST:
        raise BadRequest("RequestEntityTooLarge", "The request is larger than 1 MB.")
    checked = [_checked(datum, f"MetricData.member.{number}") for number, datum in enumerate(data, start=1)]
    for at, resolution, dimensions, datum, pairs in checked:
        target = cell(namespace, datum["MetricName"], dimensions, datum.get("Unit") or "None", at, resolution)
        if stats := datum.get("StatisticValues"):
            target.add_set(*(float(stats[name]) for name in ("SampleCount", "Sum", "Minimum", "Maximum")))
        for value, count in pairs:
            target.add(value, count)
    return {}


Datum = dict[str, Any]


def _checked(datum: Datum, where: str) -> tuple[float, int, dict[str, str], Datum, list[tuple[float, float]]]:
    """Time stamp, resolution, dimensions, the data point, and its values with their counts."""
    stamp = datum.get("Timestamp")
    at = cloudwatch._parse_ts(stamp) if stamp is not None else time.time()
    if at is None or not in_time(at):
        limits = "no more than two hours in the future and two weeks in the past"
        raise BadRequest("InvalidParameterValue", f"The parameter {where}.Timestamp must specify a time {limits}.")
    resolution = int(datum.get("StorageResolution") or 60)
    if resolution not in (1, 60):
        raise BadRequest("InvalidParameterValue", f"The parameter {where}.StorageResolution must be 1 or 60.")
    name = datum.get("MetricName")
    if not isinstance(name, str) or not 0 < len(name) <= 255 or not _PRINTABLE.fullmatch(name):
        raise BadRequest("InvalidParameterValue", f"The parameter {where}.MetricName is invalid.")
    listed = datum.get("Dimensions") or []
    dimensions = dimensions_of(listed)
    if len(listed) > 30 or not all(_is_dimension(key, value) for key, value in dimensions.items()):
        raise BadRequest("InvalidParameterValue", f"The parameter {where}.Dimensions is invalid.")
    given = [kind for kind in ("Value", "Values", "StatisticValues") if datum.get(kind) is not None]
    if len(given) != 1:
        raise BadRequest(
            "InvalidParameterCombination", f"{where} must have exactly one of Value, Values and StatisticValues."
        )
    if stats := datum.get("StatisticValues"):
        _in_range([float(value) for value in stats.values()], where)
        return at, resolution, dimensions, datum, []
    values = [float(value) for value in datum.get("Values") or [datum.get("Value")]]
    counts = [float(count) for count in datum.get("Counts") or [1.0] * len(values)]
    if len(values) > 150 or len(counts) != len(values):
        raise BadRequest("InvalidParameterValue", f"{where} must have at most 150 Values, and as many Counts.")
    if not all(0 < count <= LARGEST for count in counts):
        raise BadRequest("InvalidParameterValue", f"The parameter {where}.Counts must hold numbers above 0.")
    _in_range(values, where)
    return at, resolution, dimensions, datum, list(zip(values, counts, strict=True))


def _is_dimension(name: str, value: str) -> bool:
    fit = _PRINTABLE.fullmatch(name) and _PRINTABLE.fullmatch(value)
    return bool(fit) and len(name) <= 255 and len(value) <= 1024 and not name.startswith(":")


def _in_range(values: list[float], where: str) -> None:
    if not all(value == 0 or SMALLEST <= abs(value) <= LARGEST for value in values):
        raise BadRequest(
            "InvalidParameterValue", f"The value for parameter {where}.Value is NaN, infinite, too small or too large."
        )


def get_metric_data(request: dict[str, Any]) -> dict[str, Any]:
    """GetMetricData: metrics, metric math and SEARCH; newest first unless ScanBy says otherwise."""
    queries = [_searched(query) for query in request.get("MetricDataQueries") or []]
    flat = [query for group in queries for query in group]
    if not flat or len(flat) > 500:
        raise BadRequest("ValidationError", "MetricDataQueries must have between 1 and 500 members")
    for query in flat:
        if (stat := query.get("MetricStat")) and not valid_statistic(stat.get("Stat") or ""):
            raise BadRequest("ValidationError", f"The value {stat.get('Stat')!r} for parameter Stat is not supported.")
        given = stat.get("Period") if (stat := query.get("MetricStat")) else query.get("Period")
        if not valid_period(period := int(given or 60)):
            raise BadRequest("ValidationError", bad_period(period))
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
    for key in series_of:
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
    if not valid_period(period):
        raise BadRequest("InvalidParameterValue", bad_period(period))
    key = key_of(request["Namespace"], request["MetricName"], dimensions_of(request.get("Dimensions")))
    points: dict[int, dict[str, Any]] = {}
    unit = (series_of.get(key) or Series()).unit
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
    for namespace, name, dimensions in series_of:
        if request.get("Namespace", namespace) != namespace or request.get("MetricName", name) != name:
            continue
        have = dict(dimensions)
        if all(f["Name"] in have and f.get("Value", have[f["Name"]]) == have[f["Name"]] for f in filters):
            listed = [{"Name": n, "Value": v} for n, v in dimensions]
            found.append({"Namespace": namespace, "MetricName": name, "Dimensions": listed})
    skip = int(request.get("NextToken") or 0)
    more = {"NextToken": str(skip + 500)} if skip + 500 < len(found) else {}
    return {"Metrics": found[skip : skip + 500], **more}
