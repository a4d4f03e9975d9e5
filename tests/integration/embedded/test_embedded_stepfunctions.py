"""Step Functions in the embedded AWS: JSONata everywhere, tokens, ends of every kind, the Distributed Map."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.embedded_functions import deploy, finished, machine, run

Client = Callable[[str], Any]
LAMBDA = "arn:aws:states:::lambda:invoke"


def call(function: str, payload: Any, **more: Any) -> dict[str, Any]:
    arguments = {"FunctionName": function, "Payload": payload}
    return {"Type": "Task", "Resource": LAMBDA, "Arguments": arguments, "End": True, **more}


def code_of(attempt: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as raised:
        attempt()
    code: str = raised.value.response["Error"]["Code"]
    return code


def test_jsonata_on_succeed_and_parallel(client: Client, eventually: Any) -> None:
    branch = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Output": "{% $states.input.n + 1 %}", "End": True}}}
    arn = machine(
        client,
        {
            "Both": {
                "Type": "Parallel",
                "Arguments": {"n": "{% $states.input.number * 10 %}"},
                "Branches": [branch, branch],
                "Assign": {"sum": "{% $sum($states.result) %}"},
                "Output": {"both": "{% $states.result %}"},
                "Next": "Done",
            },
            "Done": {"Type": "Succeed", "Output": {"sum": "{% $sum %}", "both": "{% $states.input.both %}"}},
        },
    )
    assert run(client, eventually, arn, {"number": 4})["output"] == {"sum": 82, "both": [41, 41]}


def test_errors_are_caught_and_retried_by_the_name_of_the_exception(client: Client, eventually: Any) -> None:
    function = deploy(
        client,
        "class StableChanged(Exception): pass\n"
        "class Busy(Exception): pass\n"
        "tries = 0\n"
        "def handle(event, context):\n"
        "    global tries\n"
        "    tries += 1\n"
        "    if event['kind'] == 'busy' and tries < 3: raise Busy('wait')\n"
        "    if event['kind'] == 'changed': raise StableChanged('version 4 is stable now')\n"
        "    return tries\n",
    )
    retry = [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1, "MaxAttempts": 3, "BackoffRate": 1}]
    caught = {
        "Error": "{% $states.errorOutput.Error %}",
        "Cause": "{% $parse($states.errorOutput.Cause).errorMessage %}",
    }
    arn = machine(
        client,
        {
            "Shift": call(
                function,
                "{% $states.input %}",
                Retry=retry,
                Catch=[{"ErrorEquals": ["StableChanged"], "Output": caught, "Next": "Back"}],
            ),
            "Back": {"Type": "Pass", "End": True},
        },
    )
    assert run(client, eventually, arn, {"kind": "busy"})["output"]["Payload"] == 3
    assert run(client, eventually, arn, {"kind": "changed"})["output"] == {
        "Error": "StableChanged",
        "Cause": "version 4 is stable now",
    }


def waiting(client: Client, function: str, **more: Any) -> str:
    wait = call(function, {"token": "{% $states.context.Task.Token %}"}, **more)
    return machine(client, {"Review": {**wait, "Resource": f"{LAMBDA}.waitForTaskToken"}})


def token_of(client: Client, eventually: Any, function: str = "f") -> str:
    def printed() -> Any:
        groups = client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{function}")["logGroups"]
        return (
            groups
            and client("logs").filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern="TOKEN")[
                "events"
            ]
        )

    message: str = eventually(printed)[-1]["message"]
    return message.split()[1]


PRINTS = "def handle(event, context): print('TOKEN', event['token'])\n"


def test_a_token_is_answered_once(client: Client, eventually: Any) -> None:
    sfn = client("stepfunctions")
    arn = waiting(client, deploy(client, PRINTS))
    execution = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    token = token_of(client, eventually)

    assert code_of(lambda: sfn.send_task_success(taskToken="AAAA", output="{}")) == "InvalidToken"
    assert code_of(lambda: sfn.send_task_success(taskToken=token, output="{oops")) == "InvalidOutput"
    sfn.send_task_success(taskToken=token, output=json.dumps({"decision": "approved"}))

    assert finished(client, eventually, execution)["output"] == {"decision": "approved"}
    assert code_of(lambda: sfn.send_task_success(taskToken=token, output="{}")) == "TaskTimedOut"


@pytest.mark.parametrize(
    ("field", "error"), [("TimeoutSeconds", "States.Timeout"), ("HeartbeatSeconds", "States.HeartbeatTimeout")]
)
def test_a_token_that_nobody_answers(client: Client, eventually: Any, field: str, error: str) -> None:
    settings = {"TimeoutSeconds": 60, field: "{% $states.input.seconds %}"}
    arn = waiting(client, deploy(client, PRINTS), **settings)
    ended = run(client, eventually, arn, {"seconds": 1})
    assert (ended["status"], ended["error"]) == ("FAILED", error)


def test_a_failing_function_fails_the_task_that_waits_for_a_token(client: Client, eventually: Any) -> None:
    arn = waiting(client, deploy(client, "def handle(event, context): raise KeyError('topic')\n"), TimeoutSeconds=60)
    assert run(client, eventually, arn)["error"] == "KeyError"


def test_stopping_an_execution_ends_its_tasks_and_stays_aborted(client: Client, eventually: Any) -> None:
    sfn = client("stepfunctions")
    arn = waiting(client, deploy(client, PRINTS), TimeoutSeconds=60)
    execution = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    token = token_of(client, eventually)
    sfn.stop_execution(executionArn=execution, cause="a drill")
    eventually(lambda: code_of(lambda: sfn.send_task_success(taskToken=token, output="{}")) == "TaskTimedOut")
    time.sleep(0.5)  # long enough for the task that waits to notice, and to fail
    assert sfn.describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_the_end_of_an_execution_is_an_event(client: Client, eventually: Any) -> None:
    queue = client("sqs").create_queue(QueueName="ends")["QueueUrl"]
    queue_arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    pattern = {"source": ["aws.states"], "detail": {"status": ["TIMED_OUT", "ABORTED", "FAILED"]}}
    client("events").put_rule(Name="ends", EventPattern=json.dumps(pattern))
    client("events").put_targets(Rule="ends", Targets=[{"Id": "q", "Arn": queue_arn}])
    arn = machine(client, {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}, TimeoutSeconds=1)
    sfn = client("stepfunctions")
    late = sfn.start_execution(stateMachineArn=arn, name="late")["executionArn"]
    stopped = sfn.start_execution(stateMachineArn=arn, name="stopped")["executionArn"]
    sfn.stop_execution(executionArn=stopped)

    assert finished(client, eventually, late)["status"] == "TIMED_OUT"
    seen: dict[str, str] = {}

    def both() -> bool:
        for message in client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(message["Body"])
            assert event["detail-type"] == "Step Functions Execution Status Change"
            seen[event["detail"]["executionArn"]] = event["detail"]["status"]
        return len(seen) == 2

    eventually(both)
    assert seen == {late: "TIMED_OUT", stopped: "ABORTED"}


def test_starting_again_is_idempotent_only_for_the_same_input_while_running(client: Client, eventually: Any) -> None:
    sfn = client("stepfunctions")
    arn = machine(client, {"Wait": {"Type": "Wait", "Seconds": 1, "End": True}})
    first = sfn.start_execution(stateMachineArn=arn, name="r-1-1", input='{"a": 1}')["executionArn"]
    assert sfn.start_execution(stateMachineArn=arn, name="r-1-1", input='{"a": 1}')["executionArn"] == first
    assert code_of(lambda: sfn.start_execution(stateMachineArn=arn, name="r-1-1", input='{"a": 2}')) == (
        "ExecutionAlreadyExists"
    )
    finished(client, eventually, first)
    assert code_of(lambda: sfn.start_execution(stateMachineArn=arn, name="r-1-1", input='{"a": 1}')) == (
        "ExecutionAlreadyExists"
    )


def test_a_state_larger_than_the_limit_fails(client: Client, eventually: Any) -> None:
    function = deploy(client, "def handle(event, context): return 'x' * 300_000\n")
    assert run(client, eventually, machine(client, {"Big": call(function, {})}))["error"] == "States.DataLimitExceeded"


def test_aws_sdk_tasks_reach_services_that_the_emulator_does_not_know(client: Client, eventually: Any) -> None:
    made = client("bedrock-agent").create_prompt(name="support", variants=[])
    get = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:bedrockagent:getPrompt",
        "Arguments": {"PromptIdentifier": "{% $states.input.id %}"},
        "Output": "{% $states.result.Name %}",
        "Catch": [{"ErrorEquals": ["BedrockAgent.ResourceNotFoundException"], "Output": "gone", "Next": "End"}],
        "Next": "End",
    }
    arn = machine(client, {"Get": get, "End": {"Type": "Succeed"}})
    assert run(client, eventually, arn, {"id": made["id"]})["output"] == "support"
    assert run(client, eventually, arn, {"id": "AAAAAAAAAA"})["output"] == "gone"


def distributed(function: str, **fields: Any) -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Run",
        "States": {"Run": call(function, "{% $states.input %}", Output="{% $states.result.Payload %}")},
    }
    return {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}


def test_a_distributed_map_reads_batches_and_writes(client: Client, account: str, eventually: Any) -> None:
    bucket = f"cases-{account}"
    client("s3").create_bucket(Bucket=bucket)
    lines = "\n".join(json.dumps({"case": n}) for n in range(7))
    client("s3").put_object(Bucket=bucket, Key="r/items.jsonl", Body=lines.encode())
    function = deploy(
        client, "def handle(event, context): return {'done': len(event['Items']), **event['BatchInput']}\n"
    )
    state = distributed(
        function,
        ItemReader={
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSONL"},
            "Arguments": {"Bucket": "{% $states.input.bucket %}", "Key": "{% $states.input.key %}"},
        },
        ItemSelector={
            "case": "{% $states.context.Map.Item.Value.case %}",
            "index": "{% $states.context.Map.Item.Index %}",
        },
        ItemBatcher={
            "MaxItemsPerBatch": "{% $states.input.size %}",
            "BatchInput": {"round": "{% $states.input.round %}"},
        },
        MaxConcurrency="{% $states.input.at_once %}",
        ResultWriter={
            "Resource": "arn:aws:states:::s3:putObject",
            "Arguments": {"Bucket": "{% $states.input.bucket %}", "Prefix": "results"},
        },
        Output={"manifest": "{% $states.result.ResultWriterDetails.Key %}"},
    )
    given = {"bucket": bucket, "key": "r/items.jsonl", "size": 3, "round": 1, "at_once": 2}
    output = run(client, eventually, machine(client, {"Cases": state}), given)["output"]

    def read(key: str) -> Any:
        return json.loads(client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    files = read(output["manifest"])["ResultFiles"]
    # Two at once: which child's row comes first is nobody's promise.
    rows = sorted(
        read(files["SUCCEEDED"][0]["Key"]), key=lambda row: int(json.loads(row["Input"])["Items"][0]["index"])
    )
    assert [json.loads(row["Output"]) for row in rows] == [{"done": n, "round": 1} for n in (3, 3, 1)]
    assert json.loads(rows[0]["Input"])["Items"][1] == {"case": 1, "index": 1}
    assert files["FAILED"] == []


def test_a_distributed_map_tolerates_what_it_is_told_to(client: Client, eventually: Any) -> None:
    function = deploy(client, "def handle(event, context): return 10 // event\n")
    items = [0, 1, 2, 5]
    tolerant = distributed(function, Items=items, ToleratedFailurePercentage="{% 25 %}")
    assert run(client, eventually, machine(client, {"M": tolerant}))["output"] == [10, 5, 2]
    client("stepfunctions").delete_state_machine(
        stateMachineArn=client("stepfunctions").list_state_machines()["stateMachines"][0]["stateMachineArn"]
    )
    strict = machine(client, {"M": distributed(function, Items=items)})
    assert run(client, eventually, strict)["error"] == "States.ExceedToleratedFailureThreshold"


def test_a_stopped_distributed_map_starts_no_further_child(client: Client, eventually: Any) -> None:
    function = deploy(client, "import time\ndef handle(event, context):\n    print('RAN')\n    time.sleep(0.4)\n")
    arn = machine(client, {"M": distributed(function, Items=list(range(40)), MaxConcurrency=1)})
    execution = client("stepfunctions").start_execution(stateMachineArn=arn)["executionArn"]

    def ran() -> int:
        groups = client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/f")["logGroups"]
        return (
            len(client("logs").filter_log_events(logGroupName="/aws/lambda/f", filterPattern="RAN")["events"])
            if groups
            else 0
        )

    eventually(lambda: ran() >= 1)
    client("stepfunctions").stop_execution(executionArn=execution)
    time.sleep(1.5)
    assert ran() <= 4
    assert client("stepfunctions").describe_execution(executionArn=execution)["status"] == "ABORTED"
