"""The real stacks, deployed by the real CDK CLI to the embedded AWS: what was synthesized also works together."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from promptlane.project import load_draft
from tests.support.deployment import PROMPTS, Deployment

STACKS = ("state", "pipeline", "runtime", "observability", "audit", "access")


def status(url: str, method: str = "GET", body: bytes | None = None) -> int:
    request = urllib.request.Request(url, method=method, data=body)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_every_stack_is_up(deployed: Deployment) -> None:
    stacks = {s["StackName"]: s["StackStatus"] for s in deployed.client("cloudformation").describe_stacks()["Stacks"]}
    assert {f"promptlane-{name}" for name in STACKS} <= stacks.keys()
    assert {stacks[f"promptlane-{name}"] for name in STACKS} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


def test_the_records_that_the_cli_reads_agree_with_the_outputs(deployed: Deployment) -> None:
    for stack in STACKS:
        value = deployed.client("ssm").get_parameter(Name=f"/promptlane/resources/{stack}")["Parameter"]["Value"]
        for name, resource in json.loads(value).items():
            camel = "".join(word.capitalize() for word in name.split("_"))
            shown = resource if isinstance(resource, str) else json.dumps(resource)
            assert deployed.outputs[f"promptlane-{stack}"][camel].replace(" ", "") == shown.replace(" ", "")


def test_every_function_starts_with_the_environment_it_was_given(deployed: Deployment) -> None:
    """Wired wrongly, a function would fail on its settings or on an import, whatever it is asked."""
    functions = {k: v for k, v in deployed.outputs["promptlane-pipeline"].items() if k.endswith("Function")}
    assert len(functions) >= 17
    for name in functions.values():
        answer = deployed.client("lambda").invoke(
            FunctionName=name, Payload=b'{"Records": [], "release_id": "ABCDEFGHIJ-1-1"}'
        )
        error = json.loads(answer["Payload"].read() or b"null")
        kind = (error or {}).get("errorType", "") if isinstance(error, dict) else ""
        text = json.dumps(error)
        assert kind not in ("ImportError", "ModuleNotFoundError", "Runtime.ImportModuleError", "AttributeError"), text
        assert "environment is wrong" not in text, text


def test_reviews_are_reached_without_a_signature_and_nothing_else_is(deployed: Deployment) -> None:
    url = deployed.outputs["promptlane-pipeline"]["OperationsUrl"]
    assert status(f"{url}/review/ABCDEFGHIJ-1-1") in (400, 401, 403, 404, 410)
    assert status(f"{url}/releases/ABCDEFGHIJ-1-1/decision", "POST", b"{}") == 403
    assert status(f"{url}/prompts/support-assistant/rollback", "POST", b"{}") == 403
    assert status(f"{deployed.outputs['promptlane-runtime']['GatewayUrl']}/openapi.json") == 403


def test_a_published_version_reaches_its_reviewers(deployed: Deployment, eventually: Callable[..., Any]) -> None:
    agent, states = deployed.client("bedrock-agent"), deployed.client("stepfunctions")
    draft = load_draft(PROMPTS / "support-assistant")
    prompt = agent.create_prompt(name=draft.name, variants=draft.variants(), defaultVariant="default")
    agent.create_prompt_version(promptIdentifier=prompt["id"])

    machine = deployed.outputs["promptlane-pipeline"]["StateMachineArn"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{prompt['id']}-1-1"

    def started() -> Any:
        executions = states.list_executions(stateMachineArn=machine)["executions"]
        return [e for e in executions if e["executionArn"] == execution]

    eventually(started, seconds=60)

    def asked() -> Any:
        found = states.describe_execution(executionArn=execution)
        assert found["status"] == "RUNNING", json.dumps(found, default=str)
        return [mail for mail in deployed.aws.mails() if f"/review/{prompt['id']}-1-1" in str(mail.get_content())]

    assert eventually(asked, seconds=120, every=1)
    states.stop_execution(executionArn=execution, cause="this test is over")

    def ended() -> Any:
        table = deployed.client("dynamodb")
        name = deployed.outputs["promptlane-state"]["ReleaseTable"]
        key = {"pk": {"S": f"prompt#{prompt['id']}"}, "sk": {"S": "lock"}}
        return "Item" not in table.get_item(TableName=name, Key=key, ConsistentRead=True)

    assert eventually(ended, seconds=60)  # wind_up heard of the stopped execution and freed the lock
