"""Functions and state machines for the tests of the embedded AWS."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

Client = Callable[[str], Any]
ROLE = "arn:aws:iam::000000000000:role/anything"


def zipped(source: str, name: str = "handler.py") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, source)
    return buffer.getvalue()


def deploy(client: Client, source: str, name: str = "f", **settings: Any) -> str:
    """Create a Python function from source with a `handle(event, context)`; returns its ARN."""
    made = client("lambda").create_function(
        **{
            "FunctionName": name,
            "Runtime": "python3.13",
            "Role": ROLE,
            "Handler": "handler.handle",
            "Code": {"ZipFile": zipped(source)},
            "Timeout": 10,
        }
        | settings
    )
    arn: str = made["FunctionArn"]
    return arn


def invoke(client: Client, event: Any = None, name: str = "f") -> tuple[Any, str | None]:
    """(payload, function error) of a synchronous invocation."""
    reply = client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return json.loads(reply["Payload"].read()), reply.get("FunctionError")


def machine(client: Client, states: dict[str, Any], *, start: str | None = None, **top: Any) -> str:
    """Create a JSONata state machine from its states; returns its ARN."""
    definition = {"QueryLanguage": "JSONata", "StartAt": start or next(iter(states)), "States": states, **top}
    made = client("stepfunctions").create_state_machine(name="m", definition=json.dumps(definition), roleArn=ROLE)
    arn: str = made["stateMachineArn"]
    return arn


def run(client: Client, eventually: Any, arn: str, given: Any = None, seconds: float = 20) -> dict[str, Any]:
    """Run an execution to its end; returns its description, `output` read as JSON."""
    started = client("stepfunctions").start_execution(stateMachineArn=arn, input=json.dumps(given or {}))
    return finished(client, eventually, started["executionArn"], seconds)


def finished(client: Client, eventually: Any, execution: str, seconds: float = 20) -> dict[str, Any]:
    def done() -> Any:
        found = client("stepfunctions").describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    found: dict[str, Any] = eventually(done, seconds=seconds)
    if found["status"] == "SUCCEEDED":
        found["output"] = json.loads(found["output"])
    return found
