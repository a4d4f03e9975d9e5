"""CloudWatch metrics in the embedded AWS: embedded metric format, PutMetricData, GetMetricData with metric math."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.gaps import metric_math

Client = Callable[[str], Any]
PROMPT = [{"Name": "Prompt", "Value": "support"}, {"Name": "Track", "Value": "canary"}]


def emf(values: dict[str, Any], at: float, *, resolution: int = 60, **dimensions: str) -> str:
    metrics = [{"Name": name, "Unit": "Count", "StorageResolution": resolution} for name in values]
    directive = {"Namespace": "Promptlane", "Dimensions": [list(dimensions)], "Metrics": metrics}
    return json.dumps({"_aws": {"Timestamp": int(at * 1000), "CloudWatchMetrics": [directive]}, **dimensions, **values})


def log(client: Client, *lines: str) -> None:
    logs = client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/gateway")
    logs.create_log_stream(logGroupName="/aws/lambda/gateway", logStreamName="s")
    events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
    logs.put_log_events(logGroupName="/aws/lambda/gateway", logStreamName="s", logEvents=events)


def stat(name: str, statistic: str, period: int = 60, dimensions: Any = None) -> dict[str, Any]:
    metric = {"Namespace": "Promptlane", "MetricName": name, "Dimensions": PROMPT if dimensions is None else dimensions}
    return {"Metric": metric, "Period": period, "Stat": statistic}


def read(
    client: Client, *queries: dict[str, Any], start: float, end: float, **options: Any
) -> dict[str, dict[int, float]]:
    reply = client("cloudwatch").get_metric_data(
        MetricDataQueries=list(queries),
        StartTime=datetime.fromtimestamp(start, UTC),
        EndTime=datetime.fromtimestamp(end, UTC),
        **options,
    )
    return {
        row["Id"]: dict(zip((int(at.timestamp()) for at in row["Timestamps"]), row["Values"], strict=True))
        for row in reply["MetricDataResults"]
    }


def test_emf_lines_become_metrics_of_the_minute_they_are_stamped_with(client: Client) -> None:
    minute = int(time.time()) // 60 * 60
    earlier = minute - 300
    log(
        client,
        emf({"Error": 1}, earlier + 5, Prompt="support", Track="canary"),
        emf({"Error": [0, 0, 1]}, earlier + 59, Prompt="support", Track="canary"),
        "an ordinary line",
    )
    got = read(
        client,
        {"Id": "bad", "MetricStat": stat("Error", "Sum")},
        {"Id": "n", "MetricStat": stat("Error", "SampleCount")},
        {"Id": "other", "MetricStat": stat("Error", "Sum", dimensions=[])},
        start=earlier,
        end=minute,
    )
    assert got == {"bad": {earlier: 2.0}, "n": {earlier: 4.0}, "other": {}}


def test_high_resolution_metrics_keep_their_second(client: Client) -> None:
    ten = int(time.time()) // 10 * 10 - 60
    log(client, *[emf({"Error": 1}, ten + s, resolution=1, Prompt="support", Track="canary") for s in (0, 9, 10)])
    got = read(client, {"Id": "bad", "MetricStat": stat("Error", "Sum", 10)}, start=ten, end=ten + 60)
    assert got["bad"] == {ten: 2.0, ten + 10: 1.0}


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"_aws": {"CloudWatchMetrics": []}}),
        emf({"Error": 1}, time.time() - 15 * 24 * 3600, Prompt="support", Track="canary"),
        emf({"Error": "many"}, time.time(), Prompt="support", Track="canary"),
        emf({"Error": list(range(101))}, time.time(), Prompt="support", Track="canary"),
        json.dumps({"_aws": {"Timestamp": 1, "CloudWatchMetrics": "x"}}),
    ],
    ids=["no timestamp", "two weeks old", "not a number", "too many values", "malformed"],
)
def test_invalid_emf_gives_no_metric_and_no_error(client: Client, line: str) -> None:
    log(client, line, emf({"Fine": 1}, time.time(), Prompt="support", Track="canary"))
    assert [m["MetricName"] for m in client("cloudwatch").list_metrics()["Metrics"]] == ["Fine"]


def test_put_metric_data_takes_values_with_counts_and_statistic_sets(client: Client) -> None:
    minute = int(time.time()) // 60 * 60
    base = {"Dimensions": PROMPT, "Timestamp": datetime.fromtimestamp(minute, UTC)}
    client("cloudwatch").put_metric_data(
        Namespace="Promptlane",
        MetricData=[
            {"MetricName": "Latency", "Values": [100.0, 300.0], "Counts": [9.0, 1.0], **base},
            {"MetricName": "Set", "StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4}, **base},
        ],
    )
    got = read(
        client,
        {"Id": "mean", "MetricStat": stat("Latency", "Average")},
        {"Id": "median", "MetricStat": stat("Latency", "p50")},
        {"Id": "trimmed", "MetricStat": stat("Latency", "tm90")},
        {"Id": "set", "MetricStat": stat("Set", "Average")},
        {"Id": "none", "MetricStat": stat("Set", "p50")},
        start=minute,
        end=minute + 60,
    )
    assert got == {
        "mean": {minute: 120.0},
        "median": {minute: 100.0},
        "trimmed": {minute: 100.0},
        "set": {minute: 2.5},
        "none": {},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"Timestamp": datetime.now(UTC) - timedelta(days=15)},
        {"Value": float("nan")},
        {"Values": [1.0] * 151, "Value": None},
        {"Values": [1.0], "Value": 1.0},
        {"Timestamp": 0},
        {"Value": 2.0**361},
        {"Value": 2.0**-361},
        {"Values": [1.0], "Counts": [0.0], "Value": None},
        {"StorageResolution": 30},
        {"Dimensions": [{"Name": "Prompt", "Value": " "}]},
        {"Dimensions": [{"Name": "Prompt", "Value": "résumé"}]},
        {"Dimensions": [{"Name": ":Prompt", "Value": "x"}]},
    ],
)
def test_put_metric_data_refuses_what_cloudwatch_refuses(client: Client, change: dict[str, Any]) -> None:
    datum = {name: value for name, value in ({"MetricName": "m", "Value": 1.0} | change).items() if value is not None}
    good = {"MetricName": "good", "Value": 1.0}
    with pytest.raises(ClientError, match="InvalidParameter"):
        client("cloudwatch").put_metric_data(Namespace="Promptlane", MetricData=[good, datum, good])
    assert client("cloudwatch").list_metrics(Namespace="Promptlane")["Metrics"] == [], "all of a request or nothing"
    with pytest.raises(ClientError, match="InvalidParameter"):
        client("cloudwatch").put_metric_data(Namespace="Promptlane", MetricData=[datum])


def test_get_metric_data_computes_rates_newest_first(client: Client) -> None:
    minute = int(time.time()) // 60 * 60 - 120
    for offset, values in ((0, [1, 0, 0, 0]), (60, [1, 1, 0, 0])):
        log_lines = [emf({"Error": values}, minute + offset, Prompt="support", Track="canary")]
        if offset == 0:
            log(client, *log_lines)
        else:
            events = [{"timestamp": int(time.time() * 1000), "message": line} for line in log_lines]
            client("logs").put_log_events(logGroupName="/aws/lambda/gateway", logStreamName="s", logEvents=events)
    got = read(
        client,
        {"Id": "bad", "MetricStat": stat("Error", "Sum"), "ReturnData": False},
        {"Id": "n", "MetricStat": stat("Error", "SampleCount"), "ReturnData": False},
        {"Id": "rate", "Expression": "IF(n >= 4, 100 * bad / n, 0)"},
        {"Id": "twice", "Expression": "rate * 2"},
        start=minute,
        end=minute + 120,
    )
    assert list(got["rate"].items()) == [(minute + 60, 50.0), (minute, 25.0)]
    assert got["twice"] == {minute: 50.0, minute + 60: 100.0}
    assert set(got) == {"rate", "twice"}


def test_an_unknown_statistic_or_expression_is_an_error(client: Client) -> None:
    now = time.time()
    for query in (
        {"Id": "a", "MetricStat": stat("Error", "median")},
        {"Id": "a", "Expression": "b + 1"},
        {"Id": "a", "Expression": "1 +"},
    ):
        with pytest.raises(ClientError, match="ValidationError"):
            read(client, query, start=now - 60, end=now)


A = {0: 1.0, 60: 2.0, 120: 4.0}
B = {0: 2.0, 120: 0.0}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a + b", {0: 3.0, 120: 4.0}),
        ("a / b", {0: 0.5}),
        ("a ^ 2 - -1", {0: 2.0, 60: 5.0, 120: 17.0}),
        ("FILL(b, 0)", {0: 2.0, 60: 0.0, 120: 0.0}),
        ("FILL(b, LINEAR)", {0: 2.0, 60: 1.0, 120: 0.0}),
        ("FILL(b, REPEAT)", {0: 2.0, 60: 2.0, 120: 0.0}),
        ("IF(a > 1 AND b == 0, 1, 0)", {0: 0.0, 120: 1.0}),
        ("IF(a > 1, b, a)", {0: 1.0, 120: 0.0}),
        ("SUM([a, b])", {0: 3.0, 60: 2.0, 120: 4.0}),
        ("MAX(METRICS())", {0: 2.0, 60: 2.0, 120: 4.0}),
        ("DIFF(a)", {60: 1.0, 120: 2.0}),
        ("RATE(a) * PERIOD(a)", {60: 1.0, 120: 2.0}),
        ("RUNNING_SUM(a)", {0: 1.0, 60: 3.0, 120: 7.0}),
        ("AVG(a) - 1", {0: 4 / 3, 60: 4 / 3, 120: 4 / 3}),
    ],
)
def test_metric_math(expression: str, expected: dict[int, float]) -> None:
    solved = metric_math.solve({"e": expression}, {"a": dict(A), "b": dict(B)}, [0, 60, 120], 60)
    assert solved["e"] == pytest.approx(expected)


@pytest.mark.parametrize("expression", ["a +", "nothere", "e", "NOSUCH(a)", "a $ b", "IF(a)", "(a"])
def test_expressions_that_cannot_be_read(expression: str) -> None:
    with pytest.raises(metric_math.Invalid):
        metric_math.solve({"e": expression}, {"a": dict(A)}, [0, 60, 120], 60)


@pytest.mark.parametrize(("period", "taken"), [(1, True), (20, True), (50, False), (90, False), (120, True)])
def test_a_period_that_cloudwatch_does_not_have_is_refused(client: Any, period: int, taken: bool) -> None:
    metric = {"Namespace": "Promptlane", "MetricName": "Error"}
    end = datetime.now(UTC)
    asked = {"StartTime": end - timedelta(hours=1), "EndTime": end}
    query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}
    cloudwatch = client("cloudwatch")
    calls: dict[str, Callable[[], Any]] = {
        "ValidationError": lambda: cloudwatch.get_metric_data(MetricDataQueries=[query], **asked),
        "InvalidParameterValue": lambda: cloudwatch.get_metric_statistics(
            **metric, Period=period, Statistics=["Sum"], **asked
        ),
    }
    for code, call in calls.items():
        if taken:
            call()
            continue
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code
        assert f"Period is {period}" in refused.value.response["Error"]["Message"]


def test_counts_by_seconds_are_there_for_three_hours_and_by_minutes_after_that(client: Any) -> None:
    now = time.time()
    cloudwatch = client("cloudwatch")
    for age in (3600.0, 4 * 3600.0):
        datum = {"MetricName": "Error", "Value": 1.0, "StorageResolution": 1, "Timestamp": now - age}
        cloudwatch.put_metric_data(Namespace="Promptlane", MetricData=[datum])

    def found(period: int) -> int:
        stat = {"Metric": {"Namespace": "Promptlane", "MetricName": "Error"}, "Period": period, "Stat": "Sum"}
        answer = cloudwatch.get_metric_data(
            MetricDataQueries=[{"Id": "q", "MetricStat": stat}],
            StartTime=datetime.fromtimestamp(now - 5 * 3600, UTC),
            EndTime=datetime.fromtimestamp(now, UTC),
        )
        return len(answer["MetricDataResults"][0]["Values"])

    assert (found(10), found(60)) == (1, 2)
