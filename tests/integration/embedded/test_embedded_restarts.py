"""A kill of the embedded AWS that keeps its state: what was there is there, and who waited waits."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.running import EmbeddedAws
from tests.support.embedded_functions import ROLE, deploy

WAITER = "import json\ndef handle(event, context):\n    print(json.dumps(event))\n"


def definition(function: str) -> str:
    ask = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Arguments": {"FunctionName": function, "Payload": {"token": "{% $states.context.Task.Token %}"}},
        "TimeoutSeconds": 600,
        "Output": {"decided": "{% $states.result %}", "asked": "{% $asked %}"},
        "Next": "Done",
    }
    states = {
        "Begin": {"Type": "Pass", "Assign": {"asked": "{% $states.input.who %}"}, "Next": "Which"},
        "Which": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $asked = 'nobody' %}", "Next": "Bake"}],
            "Default": "Ask",
        },
        "Bake": {"Type": "Wait", "Seconds": 600, "Next": "Done"},
        "Ask": ask,
        "Done": {"Type": "Succeed"},
    }
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": "Begin", "States": states})


def saved(home: Path) -> float:
    """When the state was saved the last time; a save begins a second or more after the one before."""
    return (home / "state" / "saved").stat().st_mtime


def test_what_was_there_is_there_after_a_kill(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    aws = EmbeddedAws(home=tmp_path, keep=True).start()
    try:
        function = deploy(aws.client, WAITER)
        sfn, s3, agent = aws.client("stepfunctions"), aws.client("s3"), aws.client("bedrock-agent")
        machine = sfn.create_state_machine(name="m", definition=definition(function), roleArn=ROLE)["stateMachineArn"]
        asked, baked = (
            sfn.start_execution(stateMachineArn=machine, name=who, input=json.dumps({"who": who}))["executionArn"]
            for who in ("reviewer", "nobody")
        )
        s3.create_bucket(Bucket="kept")
        s3.put_object(Bucket="kept", Key="a/b.json", Body=b"\x00\xff report")
        prompt = agent.create_prompt(name="support", variants=[])["id"]
        aws.client("cloudwatch").put_metric_data(Namespace="N", MetricData=[{"MetricName": "M", "Value": 3}])
        token = eventually(lambda: _token(aws))
        eventually(lambda: "WaitStateEntered" in _events(sfn, baked))
        made = time.time()
        eventually(lambda: saved(tmp_path) > made + 2)
        assert [(tmp_path / folder).stat().st_mode & 0o077 for folder in ("state", "mail")] == [0, 0]
        assert aws.pid is not None
        os.kill(aws.pid, signal.SIGKILL)
        aws.stop()
        aws.start()

        assert agent.get_prompt(promptIdentifier=prompt)["name"] == "support"
        assert s3.get_object(Bucket="kept", Key="a/b.json")["Body"].read() == b"\x00\xff report"
        assert aws.client("lambda").invoke(FunctionName=function, Payload=b"{}")["StatusCode"] == 200
        assert aws.client("cloudwatch").list_metrics(Namespace="N")["Metrics"]
        eventually(lambda: sfn.describe_execution(executionArn=baked)["status"] == "FAILED")
        assert "in its state Bake" in sfn.describe_execution(executionArn=baked)["cause"]

        assert sfn.describe_execution(executionArn=asked)["status"] == "RUNNING"
        sfn.send_task_success(taskToken=token, output='"yes"')
        eventually(lambda: sfn.describe_execution(executionArn=asked)["status"] == "SUCCEEDED")
        output = json.loads(sfn.describe_execution(executionArn=asked)["output"])
        assert output == {"decided": "yes", "asked": "reviewer"}
        kinds = _events(sfn, asked)
        assert kinds.count("TaskStateEntered") == 1, "nobody is asked twice"
    finally:
        aws.stop()


def _events(sfn: Any, arn: str) -> list[str]:
    return [event["type"] for event in sfn.get_execution_history(executionArn=arn)["events"]]


def _token(aws: EmbeddedAws) -> str | None:
    logs = aws.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        for event in logs.filter_log_events(logGroupName=group["logGroupName"])["events"]:
            if '"token"' in event["message"]:
                return str(json.loads(event["message"])["token"])
    return None
