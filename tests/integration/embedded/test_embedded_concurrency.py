"""An account's ten concurrent executions on the embedded AWS, and what may be reserved of them."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

Client = Callable[[str], Any]
ROLE = "arn:aws:iam::000000000000:role/x"
SLEEPS = "import time\ndef h(event, context):\n    time.sleep(event.get('seconds', 0))\n    return 'done'\n"


def make(client: Client, name: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", SLEEPS)
    client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="index.h",
        Role=ROLE,
        Timeout=30,
        Code={"ZipFile": packed.getvalue()},
    )


def invoke(client: Client, name: str, seconds: float) -> str:
    """What it answered, or the reason why not."""
    functions = client("lambda")
    try:
        answer = functions.invoke(FunctionName=name, Payload=json.dumps({"seconds": seconds}))
    except functions.exceptions.TooManyRequestsException as throttled:
        return str(throttled.response["Reason"])
    return str(json.load(answer["Payload"]))


def test_the_eleventh_execution_of_an_account_is_refused_whichever_function_it_is_of(client: Client) -> None:
    for name in ("one", "two"):
        make(client, name)
    with ThreadPoolExecutor(12) as threads:
        running = [threads.submit(invoke, client, "one", 6.0) for _ in range(10)]
        time.sleep(3)
        eleventh = invoke(client, "two", 0)
        assert eleventh == "ConcurrentInvocationLimitExceeded"
        assert {one.result() for one in running} == {"done"}
    assert invoke(client, "two", 0) == "done"


def test_a_fresh_account_reserves_nothing(client: Client) -> None:
    make(client, "one")
    functions = client("lambda")
    assert functions.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 10
    with pytest.raises(functions.exceptions.InvalidParameterValueException, match=r"below its minimum value of \[10\]"):
        functions.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=1)
    functions.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=0)
    assert invoke(client, "one", 0) == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_a_stack_that_reserves_fails_before_it_makes_the_function(client: Client) -> None:
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": "reserving",
            "Runtime": "python3.13",
            "Handler": "index.h",
            "Role": ROLE,
            "Code": {"ZipFile": SLEEPS},
            "ReservedConcurrentExecutions": 5,
        },
    }
    cloudformation = client("cloudformation")
    cloudformation.create_stack(StackName="s", TemplateBody=json.dumps({"Resources": {"F": function}}))
    while (status := cloudformation.describe_stacks(StackName="s")["Stacks"][0]["StackStatus"]).endswith("PROGRESS"):
        time.sleep(0.05)
    assert status == "ROLLBACK_COMPLETE"
    events = cloudformation.describe_stack_events(StackName="s")["StackEvents"]
    assert any("below its minimum value of [10]" in e.get("ResourceStatusReason", "") for e in events)
    assert client("lambda").list_functions()["Functions"] == []
