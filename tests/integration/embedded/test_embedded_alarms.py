"""CloudWatch alarms in the embedded AWS: the missing-data rules, metric math, actions and message shapes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.gaps import alarm_states
from promptlane.domain.canary import fuse
from promptlane.domain.policy import FusePolicy, Policy, Reviewer, ReviewPolicy

Client = Callable[[str], Any]
POINTS = {"0": False, "X": True, "-": None}


# The tables of the CloudWatch user guide, oldest point first, for `missing`, `ignore`, `breaching`, `notBreaching`
@pytest.mark.parametrize(
    ("points", "to_alarm", "states"),
    [
        ("0 - X - X", 3, "OK OK OK OK"),
        ("- - - - 0", 3, "OK OK OK OK"),
        ("- - - - -", 3, "INSUFFICIENT_DATA kept ALARM OK"),
        ("0 X X - X", 3, "ALARM ALARM ALARM ALARM"),
        ("- - X - -", 3, "ALARM kept ALARM OK"),
        ("0 - X - X", 2, "ALARM ALARM ALARM ALARM"),
        ("0 0 X 0 X", 2, "ALARM ALARM ALARM ALARM"),
        ("0 - X - -", 2, "OK OK ALARM OK"),
        ("- - - - 0", 2, "OK OK ALARM OK"),
        ("- - - X -", 2, "ALARM kept ALARM OK"),
        ("- - - - X", 3, "kept kept ALARM OK"),
    ],
)
def test_states_with_missing_data(points: str, to_alarm: int, states: str) -> None:
    newest_first = [POINTS[point] for point in reversed(points.split())]
    found = [
        alarm_states.state(newest_first, periods=3, to_alarm=to_alarm, missing=missing, current="kept")
        for missing in ("missing", "ignore", "breaching", "notBreaching")
    ]
    assert found == states.split()


def subscribe_queue(client: Client, topic: str) -> str:
    queue: str = client("sqs").create_queue(QueueName=f"q{time.time_ns()}")["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    return queue


def received(client: Client, queue: str) -> list[dict[str, Any]]:
    messages = client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in messages]


def put(client: Client, track: str, values: list[float], at: float | None = None) -> None:
    dimensions = [{"Name": "Prompt", "Value": "support"}, {"Name": "Track", "Value": track}]
    datum: dict[str, Any] = {"MetricName": "Error", "Dimensions": dimensions, "Values": values, "StorageResolution": 1}
    client("cloudwatch").put_metric_data(Namespace="Promptlane", MetricData=[{**datum, "Timestamp": at or time.time()}])


def math_alarm(client: Client, topic: str, **change: Any) -> None:
    def metric(name: str, statistic: str) -> dict[str, Any]:
        dimensions = [{"Name": "Prompt", "Value": "support"}, {"Name": "Track", "Value": "canary"}]
        metric = {"Namespace": "Promptlane", "MetricName": "Error", "Dimensions": dimensions}
        return {"Id": name, "ReturnData": False, "MetricStat": {"Metric": metric, "Period": 10, "Stat": statistic}}

    rate = {"Id": "rate", "Expression": "IF(n >= 5, bad / n, 0)", "Label": "error rate", "ReturnData": True}
    client("cloudwatch").put_metric_alarm(
        **{
            "AlarmName": "promptlane/support/canary/error",
            "Metrics": [metric("bad", "Sum"), metric("n", "SampleCount"), rate],
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "Threshold": 0.2,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [topic],
        }
        | change
    )


def state_of(client: Client, name: str = "promptlane/support/canary/error") -> str:
    found: str = client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]
    return found


def fuse_alarm(client: Client, prompt: str) -> str:
    """The alarm on the canary's errors as a prompt's stack has it, over periods of 10 s of which one must be bad."""
    review = ReviewPolicy((Reviewer("lead", "lead@example.com"),))
    alarm = fuse.alarms(Policy(review, fuse=FusePolicy(periods=1)))[0]
    queries: list[dict[str, Any]] = [
        {"Id": id, "Expression": text, "ReturnData": id == fuse.RETURNED} for id, text in alarm.expressions.items()
    ]
    for id, read in alarm.reads.items():
        values = {"Prompt": prompt, "Track": str(read.track), "Half": read.half}
        dimensions = [{"Name": name, "Value": value} for name, value in values.items()]
        metric = {"Namespace": "Promptlane", "MetricName": read.metric, "Dimensions": dimensions}
        stat = {"Metric": metric, "Period": 10, "Stat": read.statistic}
        queries.append({"Id": id, "MetricStat": stat, "ReturnData": False})
    name = f"promptlane/{prompt}/{alarm.name}"
    client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Metrics=queries,
        EvaluationPeriods=alarm.looks_at,
        DatapointsToAlarm=1,
        Threshold=alarm.threshold,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    return name


def told_by_client(client: Client, prompt: str, track: str, half: str, bad: int, of: int, at: float) -> None:
    """What a client's process sends of one period: errors by half of the units."""
    values = {"Prompt": prompt, "Track": track, "Half": half}
    datum = {
        "MetricName": "Error",
        "Dimensions": [{"Name": name, "Value": value} for name, value in values.items()],
        "Timestamp": at,
        "Values": [0.0, 1.0] if 0 < bad < of else [float(bad > 0)],
        "Counts": [float(of - bad), float(bad)] if 0 < bad < of else [float(of)],
        "StorageResolution": 1,
    }
    client("cloudwatch").put_metric_data(Namespace="Promptlane", MetricData=[datum])


def test_one_session_trips_no_fuse_alarm_and_harm_in_both_halves_does(client: Client, eventually: Any) -> None:
    """The same periods for both prompts: a session that fails 200 times, and failures of half as many on all sides."""
    one, many = fuse_alarm(client, "one-session"), fuse_alarm(client, "real-harm")
    at = time.time() // 10 * 10 - 10
    for half in ("0", "1"):
        for prompt in ("one-session", "real-harm"):
            told_by_client(client, prompt, "stable", half, 2, 200, at)
    told_by_client(client, "one-session", "canary", "0", 200, 220, at)
    told_by_client(client, "one-session", "canary", "1", 0, 20, at)
    for half in ("0", "1"):
        told_by_client(client, "real-harm", "canary", half, 50, 100, at)
    eventually(lambda: state_of(client, many) == "ALARM")
    assert state_of(client, one) == "OK"


def test_a_metric_math_alarm_fires_for_its_track_only_and_says_why(
    client: Client, account: str, eventually: Any
) -> None:
    topic = client("sns").create_topic(Name="alarms")["TopicArn"]
    queue = subscribe_queue(client, topic)
    math_alarm(client, topic)
    eventually(lambda: state_of(client) == "OK")
    put(client, "stable", [1.0] * 10, time.time() - 10)
    put(client, "canary", [0.0] * 5, time.time() - 10)
    time.sleep(1.5)
    assert state_of(client) == "OK"

    put(client, "canary", [1.0] * 5, time.time() - 10)
    message = eventually(lambda: received(client, queue))[0]

    arn = f"arn:aws:cloudwatch:us-east-1:{account}:alarm:promptlane/support/canary/error"
    assert (message["AlarmArn"], message["AWSAccountId"]) == (arn, account)
    assert (message["OldStateValue"], message["NewStateValue"]) == ("OK", "ALARM")
    # The rate of both batches, or of the second alone where a period ended between them.
    assert re.match(r"Threshold Crossed: 1 out of the last 1 datapoints \[(0\.5|1\.0) \(", message["NewStateReason"])
    assert message["StateChangeTime"].endswith("+0000")
    assert message["Region"] == "US East (N. Virginia)"
    trigger = message["Trigger"]
    assert (trigger["Period"], trigger["Threshold"], trigger["TreatMissingData"]) == (10, 0.2, "notBreaching")
    assert trigger["Metrics"][0]["MetricStat"]["Metric"]["Dimensions"] == [
        {"value": "support", "name": "Prompt"},
        {"value": "canary", "name": "Track"},
    ]
    history = client("cloudwatch").describe_alarm_history(AlarmName="promptlane/support/canary/error")
    assert any("OK to ALARM" in item["HistorySummary"] for item in history["AlarmHistoryItems"])


def test_a_single_metric_alarm_by_percentile_sends_the_classic_trigger(client: Client, eventually: Any) -> None:
    topic = client("sns").create_topic(Name="alarms")["TopicArn"]
    queue = subscribe_queue(client, topic)
    client("cloudwatch").put_metric_alarm(
        AlarmName="slow",
        Namespace="Promptlane",
        MetricName="Latency",
        Dimensions=[{"Name": "Prompt", "Value": "support"}],
        ExtendedStatistic="p90",
        Period=10,
        EvaluationPeriods=1,
        Threshold=900,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        AlarmActions=[topic],
    )
    datum = {"MetricName": "Latency", "Dimensions": [{"Name": "Prompt", "Value": "support"}], "StorageResolution": 1}
    client("cloudwatch").put_metric_data(
        Namespace="Promptlane",
        MetricData=[{**datum, "Values": [100.0, 1000.0], "Counts": [8.0, 2.0], "Timestamp": time.time() - 10}],
    )
    trigger = eventually(lambda: received(client, queue))[0]["Trigger"]
    assert trigger["StatisticType"] == "ExtendedStatistic"
    assert (trigger["MetricName"], trigger["ExtendedStatistic"]) == ("Latency", "p90")
    assert trigger["Dimensions"] == [{"value": "support", "name": "Prompt"}]


def test_a_state_change_is_an_event_too(client: Client, eventually: Any) -> None:
    topic = client("sns").create_topic(Name="alarms")["TopicArn"]
    queue = client("sqs").create_queue(QueueName="events")["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"]}
    pattern["detail"] = {"state": {"value": ["ALARM"]}}  # type: ignore[assignment]
    client("events").put_rule(Name="alarms", EventPattern=json.dumps(pattern))
    client("events").put_targets(Rule="alarms", Targets=[{"Id": "q", "Arn": arn}])
    math_alarm(client, topic)
    client("cloudwatch").set_alarm_state(
        AlarmName="promptlane/support/canary/error", StateValue="ALARM", StateReason="a drill"
    )
    event = eventually(lambda: received(client, queue))[0]
    assert event["detail"]["alarmName"] == "promptlane/support/canary/error"
    assert event["detail"]["state"]["reason"] == "a drill"
    assert event["detail"]["configuration"]["metrics"][0]["metricStat"]["metric"]["dimensions"]["Track"] == "canary"


def test_an_alarm_set_by_hand_goes_back_to_what_its_data_says(client: Client, eventually: Any) -> None:
    math_alarm(client, client("sns").create_topic(Name="alarms")["TopicArn"])
    client("cloudwatch").set_alarm_state(
        AlarmName="promptlane/support/canary/error", StateValue="ALARM", StateReason="a drill"
    )
    assert state_of(client) == "ALARM"
    eventually(lambda: state_of(client) == "OK", seconds=20)


def test_a_composite_alarm_follows_its_children(client: Client, eventually: Any) -> None:
    topic = client("sns").create_topic(Name="alarms")["TopicArn"]
    queue = subscribe_queue(client, topic)
    math_alarm(client, topic, AlarmActions=[])
    rule = 'ALARM("promptlane/support/canary/error")'
    client("cloudwatch").put_composite_alarm(AlarmName="any", AlarmRule=rule, AlarmActions=[topic])
    client("cloudwatch").set_alarm_state(
        AlarmName="promptlane/support/canary/error", StateValue="ALARM", StateReason="a drill"
    )
    message = eventually(lambda: received(client, queue))[0]
    assert (message["AlarmName"], message["AlarmRule"]) == ("any", rule)
    assert message["TriggeringChildren"][0]["Arn"].endswith("alarm:promptlane/support/canary/error")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm"),
        ({"Metrics": [{"Id": "a", "Expression": "b + 1"}]}, "b"),
        ({"Metrics": [{"Id": "a", "Expression": "SEARCH('{Promptlane,Prompt} x', 'Sum')"}]}, "SEARCH"),
    ],
)
def test_alarms_that_cloudwatch_refuses(client: Client, change: dict[str, Any], why: str) -> None:
    with pytest.raises(ClientError, match=why):
        math_alarm(client, "arn:aws:sns:us-east-1:000000000000:t", **change)


@pytest.mark.parametrize(
    ("single", "period", "periods", "taken"),
    [
        (True, 10, 3, True),
        (True, 5, 3, False),
        (True, 50, 3, False),
        (True, 60, 1441, False),
        (True, 3600, 168, True),
        (False, 5, 3, True),
        (False, 50, 3, False),
    ],
)
def test_an_alarm_over_a_period_that_does_not_exist_is_refused(
    client: Client, single: bool, period: int, periods: int, taken: bool
) -> None:
    metric = {"Namespace": "Promptlane", "MetricName": "Error"}
    one = {**metric, "Period": period, "Statistic": "Sum"}
    math = {"Metrics": [{"Id": "m", "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}]}
    given: dict[str, Any] = {
        "AlarmName": "odd",
        "EvaluationPeriods": periods,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
        **(one if single else math),
    }
    if taken:
        client("cloudwatch").put_metric_alarm(**given)
        return
    with pytest.raises(ClientError) as refused:
        client("cloudwatch").put_metric_alarm(**given)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_an_alarm_is_looked_at_while_its_newest_period_runs(client: Client, eventually: Any) -> None:
    """And so one of which every period must be bad may go to ALARM before a period is over, or never."""
    math_alarm(client, client("sns").create_topic(Name="alarms")["TopicArn"], AlarmActions=[])
    eventually(lambda: state_of(client) == "OK")
    eventually(lambda: time.time() % 10 < 4)
    put(client, "canary", [1.0] * 10)
    begun = time.time() // 10
    eventually(lambda: state_of(client) == "ALARM")
    assert time.time() // 10 == begun


def test_setting_a_state_runs_the_actions_of_a_change_alone_and_the_next_look_puts_it_back(
    client: Client, eventually: Any
) -> None:
    """AWS documents both of SetAlarmState; a drill goes through OK for it."""
    topic = client("sns").create_topic(Name="alarms")["TopicArn"]
    queue, cloudwatch = subscribe_queue(client, topic), client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="promptlane/drill",
        Namespace="Promptlane",
        MetricName="Nothing",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        AlarmActions=[topic],
    )
    for value, reason in (("OK", "a"), ("ALARM", "b"), ("ALARM", "c"), ("OK", "d"), ("ALARM", "e")):
        cloudwatch.set_alarm_state(AlarmName="promptlane/drill", StateValue=value, StateReason=reason)
    told: list[str] = []

    def both() -> bool:
        told.extend(message["NewStateReason"] for message in received(client, queue))
        return len(told) >= 2

    eventually(both)
    assert sorted(told) == ["b", "e"]
    eventually(lambda: state_of(client, "promptlane/drill") == "OK")
