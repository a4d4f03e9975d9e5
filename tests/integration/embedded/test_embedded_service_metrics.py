"""What services of the embedded AWS tell CloudWatch, so that alarms on ourselves can fire there, too."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.gaps import metric_filters

Client = Callable[[str], Any]


def summed(client: Client, namespace: str, name: str, statistic: str = "Sum", **dimensions: str) -> float | None:
    """The metric's statistic over the last minutes; None without a datapoint."""
    now = datetime.now(UTC)
    points = client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": n, "Value": v} for n, v in dimensions.items()],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=[statistic],
    )["Datapoints"]
    return max((float(point[statistic]) for point in points), default=None)


def test_a_queue_tells_what_waits_in_it_and_for_how_long_once_it_was_used(
    client: Client, eventually: Callable[..., Any]
) -> None:
    sqs = client("sqs")
    unused, used = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("unused", "used"))
    sqs.send_message(QueueUrl=used, MessageBody="hello")
    sqs.send_message(QueueUrl=used, MessageBody="there")
    visible = "ApproximateNumberOfMessagesVisible"
    assert eventually(lambda: summed(client, "AWS/SQS", visible, "Maximum", QueueName="used") == 2)
    assert eventually(
        lambda: (summed(client, "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", QueueName="used") or 0) > 1
    )
    assert summed(client, "AWS/SQS", visible, "Maximum", QueueName="unused") is None
    assert unused


@pytest.mark.parametrize(
    ("end", "metric"), [({"Type": "Fail"}, "ExecutionsFailed"), ({"Type": "Succeed"}, "ExecutionsSucceeded")]
)
def test_an_execution_is_counted_by_how_it_ended(
    client: Client, eventually: Callable[..., Any], end: dict[str, str], metric: str
) -> None:
    definition = json.dumps({"StartAt": "End", "States": {"End": end}})
    role = "arn:aws:iam::123456789012:role/any"
    made = client("stepfunctions").create_state_machine(name="m", definition=definition, roleArn=role)
    machine = made["stateMachineArn"]
    client("stepfunctions").start_execution(stateMachineArn=machine)
    assert eventually(lambda: summed(client, "AWS/States", metric, StateMachineArn=machine) == 1)
    other = "ExecutionsFailed" if metric != "ExecutionsFailed" else "ExecutionsSucceeded"
    assert summed(client, "AWS/States", other, StateMachineArn=machine) is None


def test_a_metric_filter_counts_the_records_that_match(client: Client, eventually: Callable[..., Any]) -> None:
    logs = client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    logs.put_metric_filter(
        logGroupName="g",
        filterName="f",
        filterPattern='{ ($.kind = "call*") && ($.who NOT EXISTS) }',
        metricTransformations=[{"metricName": "Calls", "metricNamespace": "Ours", "metricValue": "1"}],
    )
    records = [{"kind": "call"}, {"kind": "calls", "who": None}, {"kind": "callback"}, {"kind": "other"}]
    events = [{"timestamp": int(time.time() * 1000), "message": json.dumps(record)} for record in records]
    logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[*events, {**events[0], "message": "no JSON"}])
    assert eventually(lambda: summed(client, "Ours", "Calls") == 2)
    with pytest.raises(ClientError, match="Invalid filter pattern"):
        logs.put_metric_filter(
            logGroupName="g",
            filterName="wrong",
            filterPattern='{ $.kind = "a*b" }',
            metricTransformations=[{"metricName": "Calls", "metricNamespace": "Ours", "metricValue": "1"}],
        )


@pytest.mark.parametrize(
    ("pattern", "record", "matches"),
    [
        ('{ $.a = "x" }', {"a": "x"}, True),
        ('{ $.a != "x" }', {"a": "y"}, True),
        ('{ $.a != "x" }', {}, False),
        ('{ $.a = "*end" }', {"a": "the end"}, True),
        ('{ $.a = "end" }', {"a": "the end"}, False),
        ("{ $.n >= 3 }", {"n": 3}, True),
        ("{ $.n != 3 }", {"n": 3}, False),
        ("{ $.a.b[0] IS NULL }", {"a": {"b": [None]}}, True),
        ("{ $.a IS TRUE }", {"a": True}, True),
        ('{ ($.a = "x") || ($.b = "y") && ($.c = "z") }', {"a": "x"}, True),
        ('{ (($.a = "x") || ($.b = "y")) && ($.c NOT EXISTS) }', {"b": "y", "c": 1}, False),
    ],
)
def test_a_pattern_says_which_records_match(pattern: str, record: dict[str, Any], matches: bool) -> None:
    assert metric_filters.compiled(pattern)(record) is matches


@pytest.mark.parametrize(
    "pattern", ["ERROR", "{ $.a }", "{ $.a = x }", '{ $.a > "x" }', '{ ($.a = "x" }', "{ " + "$.a = 1 && " * 100 + " }"]
)
def test_what_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(metric_filters.Invalid):
        metric_filters.compiled(pattern)
