"""Lambda in the embedded AWS: errors, environment, interpreter, asynchronous invocation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.embedded_functions import deploy, invoke

Client = Callable[[str], Any]


def test_an_error_has_the_name_of_its_exception_and_leaves_the_environment_warm(client: Client) -> None:
    deploy(
        client,
        "import os\nclass AdmissionRefused(Exception): pass\n"
        "def handle(event, context):\n"
        "    if event == 'pid': return os.getpid()\n"
        "    raise AdmissionRefused('variable order is not declared')\n",
    )
    before = invoke(client, "pid")[0]
    payload, kind = invoke(client, {})
    assert kind == "Unhandled"
    assert (payload["errorType"], payload["errorMessage"]) == ("AdmissionRefused", "variable order is not declared")
    assert "raise AdmissionRefused" in payload["stackTrace"][0]
    assert invoke(client, "pid")[0] == before


@pytest.mark.parametrize(
    ("source", "kind"),
    [("import no_such_package", "Runtime.ImportModuleError"), ("x = 1", "Runtime.HandlerNotFound")],
)
def test_a_function_that_cannot_start_says_why(client: Client, source: str, kind: str) -> None:
    deploy(client, source)
    payload, failed = invoke(client)
    assert (failed, payload["errorType"]) == ("Unhandled", kind)
    assert "Unable to import module 'handler'" in payload["errorMessage"]


def test_functions_see_none_of_the_emulators_packages_or_variables_and_no_boto3_but_their_own(client: Client) -> None:
    deploy(
        client,
        "import importlib.util, os\n"
        "def handle(event, context):\n"
        "    names = ('ministack', 'uvicorn', 'pytest', 'yaml', 'boto3', 'botocore')\n"
        "    found = [n for n in names if importlib.util.find_spec(n)]\n"
        "    return {'found': found, 'env': dict(os.environ),\n"
        "            'log_group': context.log_group_name}\n",
        Environment={"Variables": {"OWN": "1"}},
    )
    seen = invoke(client)[0]
    assert seen["found"] == []
    env = seen["env"]
    assert (env["OWN"], env["_HANDLER"], env["TZ"]) == ("1", "handler.handle", ":UTC")
    assert env["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert env["AWS_LAMBDA_LOG_GROUP_NAME"] == seen["log_group"] == "/aws/lambda/f"
    assert not {"STATE_DIR", "PROMPTLANE_MAIL_DIR", "GATEWAY_PORT", "VIRTUAL_ENV"} & set(env)


def test_emf_printed_by_a_function_becomes_a_metric(client: Client, eventually: Any) -> None:
    deploy(
        client,
        "import json, time\n"
        "def handle(event, context):\n"
        "    metric = {'Namespace': 'Promptlane', 'Dimensions': [['Prompt']], 'Metrics': [{'Name': 'Assigned'}]}\n"
        "    aws = {'Timestamp': int(time.time() * 1000), 'CloudWatchMetrics': [metric]}\n"
        "    print(json.dumps({'_aws': aws, 'Prompt': 'support', 'Assigned': 1}))\n",
    )
    invoke(client)
    found = eventually(lambda: client("cloudwatch").list_metrics(Namespace="Promptlane")["Metrics"])
    assert found[0]["Dimensions"] == [{"Name": "Prompt", "Value": "support"}]


def test_an_asynchronous_failure_is_retried_twice_and_then_goes_to_the_dead_letter_queue(
    client: Client, eventually: Any
) -> None:
    sqs = client("sqs")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    function = deploy(
        client, "def handle(event, context): raise ValueError('no')\n", DeadLetterConfig={"TargetArn": arn}
    )
    topic = client("sns").create_topic(Name="alarms")["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    client("sns").publish(TopicArn=topic, Message="an alarm")

    message = eventually(lambda: sqs.receive_message(QueueUrl=dead).get("Messages"), seconds=20)[0]
    assert "an alarm" in message["Body"]
    events = client("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"]
    logged = [event for event in events if event["message"].startswith("[ERROR] ValueError: no")]
    assert len(logged) == 3


def test_throttled_events_wait_for_their_turn(client: Client, eventually: Any) -> None:
    function = deploy(client, "def handle(event, context): print('GOT ' + event['Records'][0]['Sns']['Message'])\n")
    client("lambda").put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    topic = client("sns").create_topic(Name="alarms")["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    for number in range(5):
        client("sns").publish(TopicArn=topic, Message=str(number))
    time.sleep(1)
    client("lambda").delete_function_concurrency(FunctionName="f")

    def all_done() -> bool:
        try:
            events = client("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"]
        except client("logs").exceptions.ResourceNotFoundException:
            return False
        return {f"GOT {number}" for number in range(5)} <= {event["message"].strip() for event in events}

    eventually(all_done, seconds=30)


def test_an_alarm_can_call_a_function_itself(client: Client, account: str, eventually: Any) -> None:
    deploy(
        client,
        "import json\ndef handle(event, context): print('GOT ' + json.dumps(event))\n",
    )
    client("cloudwatch").put_metric_alarm(
        AlarmName="direct",
        Namespace="Promptlane",
        MetricName="Error",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[f"arn:aws:lambda:us-east-1:{account}:function:f"],
    )
    client("cloudwatch").set_alarm_state(AlarmName="direct", StateValue="ALARM", StateReason="a drill")

    def logged() -> Any:
        groups = client("logs").describe_log_groups()["logGroups"]
        return groups and client("logs").filter_log_events(logGroupName="/aws/lambda/f", filterPattern="GOT")["events"]

    event = json.loads(eventually(logged)[0]["message"].removeprefix("GOT "))
    assert (event["source"], event["accountId"]) == ("aws.cloudwatch", account)
    assert event["alarmData"]["state"]["value"] == "ALARM"
    assert event["alarmData"]["configuration"]["metrics"][0]["metricStat"]["metric"]["name"] == "Error"


def test_reserved_concurrency_holds_for_an_alias(client: Client) -> None:
    deploy(client, "import time\ndef handle(event, context): time.sleep(1)\n", Publish=True)
    client("lambda").create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    client("lambda").put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    started = time.monotonic()
    with pytest.raises(client("lambda").exceptions.TooManyRequestsException):
        client("lambda").invoke(FunctionName="f:live", Payload=b"{}")
    assert time.monotonic() >= started
