"""A deployment with a streaming gateway: what it may do, who may ask it, what bounds it, and that it can go again."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra.application import add_stacks
from infra.config import MOST_STREAM_SECONDS, DeploymentConfig
from infra.constructs import function
from infra.constructs.bounds import explained
from tests.support.alarm_play import state
from tests.support.alone import plain
from tests.support.synthesized import Json, Synthesized, context, listed, text

PROMPTS = ("greeter", "support-assistant")
ARN = "arn:<aws>:lambda:<here>:function:promptlane-stream"


@pytest.fixture(scope="module")
def streaming(config: DeploymentConfig, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """Synthesized with cdk-nag, which raises for what it finds."""
    directory = tmp_path_factory.mktemp("streaming")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(function, "node_code", _unbundled(tmp_path_factory.mktemp("code")))
        app = App(context=context(), outdir=str(directory))
        Validations.of(app).add_plugins(AwsSolutionsChecks(app))
        settings = {"streams": 7, "stream_seconds": 600, "applications": {"checkout": PROMPTS}}
        add_stacks(app, config=replace(config, **settings))  # type: ignore[arg-type]
        app.synth()
    made = {path: json.loads(path.read_text()) for path in directory.glob("*.template.json")}
    name = {path: path.name.removesuffix(".template.json").removeprefix("promptlane-") for path in made}
    return Synthesized(directory, {name[path]: template for path, template in made.items() if "Resources" in template})


def _unbundled(folder: Path) -> object:
    """In place of what esbuild makes; `files` are written beside."""

    def node_code(verb: str, *, files: dict[str, str]) -> Path:
        (folder / "handler.js").touch()
        for name, content in files.items():
            (folder / name).write_text(content)
        return folder

    return node_code


def one(streaming: Synthesized, kind: str) -> Json:
    (found,) = [p for stack, _, p in streaming.resources(kind) if stack == "runtime"]
    return plain(found)


def test_by_default_there_is_none(synthesized: Synthesized) -> None:
    assert not list(synthesized.resources("AWS::Lambda::Url"))


def test_its_function_streams_so_many_answers_at_once_for_so_long(streaming: Synthesized) -> None:
    (found,) = [
        plain(p) for _, _, p in streaming.resources("AWS::Lambda::Function") if p["Runtime"].startswith("nodejs")
    ]
    wanted = {
        "FunctionName": "promptlane-stream",
        "Runtime": "nodejs22.x",
        "Handler": "handler.handle",
        "Architectures": ["arm64"],
        "Timeout": 620,
        "ReservedConcurrentExecutions": 7,
    }
    assert {name: found[name] for name in wanted} == wanted
    assert "Layers" not in found
    given = found["Environment"]["Variables"]
    assert set(given) == {"ROUTE_TABLE", "RECEIPT_KEY_ID", "RESOLUTION_SECONDS", "REQUEST_TIMEOUT_SECONDS"}
    assert given["REQUEST_TIMEOUT_SECONDS"] == "600"
    assert MOST_STREAM_SECONDS + 20 == 900, "what Lambda allows"


def test_its_addresses_take_signed_requests_alone(streaming: Synthesized) -> None:
    urls = [plain(p) for _, _, p in streaming.resources("AWS::Lambda::Url")]
    assert {(u["AuthType"], u["InvokeMode"]) for u in urls} == {("AWS_IAM", "RESPONSE_STREAM")}
    assert [u.get("Qualifier") for u in urls] == [None, "checkout"]
    assert {"StreamUrl", "ApplicationCheckoutStreamUrl"} <= set(streaming.templates["runtime"]["Outputs"])
    alias = one(streaming, "AWS::Lambda::Alias")
    assert (alias["Name"], alias["FunctionVersion"]) == ("checkout", "$LATEST")
    opened = [p for s, _, p in streaming.resources("AWS::Lambda::Permission") if "apigateway" not in text(p)]
    assert not [p for p in opened if "Stream" in text(p)], "no policy of its own lets anybody in"


def test_its_role_reads_routes_seals_receipts_and_answers_and_does_nothing_else(streaming: Synthesized) -> None:
    (role,) = [p["Role"] for _, _, p in streaming.resources("AWS::Lambda::Function") if "nodejs" in p["Runtime"]]
    statements = streaming.grants(role["Fn::GetAtt"][0])
    assert {action for s in statements for action in listed(s["Action"])} == {
        *("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "kms:GenerateDataKey"),
        *("bedrock:RenderPrompt", "bedrock:GetPrompt", "bedrock:InvokeModelWithResponseStream"),
        *("bedrock:ApplyGuardrail", "logs:CreateLogStream", "logs:PutLogEvents"),
        *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    }


@pytest.mark.parametrize(
    ("stack", "description", "function"),
    [
        ("runtime", "Lets the application checkout use ", f"{ARN}:checkout"),
        ("runtime", "Lets an application use every prompt ", ARN),
        ("access", "Promptlane runtime: ", ARN),
    ],
)
def test_callers_have_both_permissions_and_may_not_invoke_it_directly(
    streaming: Synthesized, stack: str, description: str, function: str
) -> None:
    policies = [p for s, _, p in streaming.resources("AWS::IAM::ManagedPolicy") if s == stack]
    (policy,) = [p for p in policies if p["Description"].startswith(description)]
    of_lambda = [s for s in policy["PolicyDocument"]["Statement"] if "lambda:" in text(s["Action"])]
    allowed = [plain(s) for s in of_lambda if s["Effect"] == "Allow"]
    assert {s["Action"]: (s["Resource"], s["Condition"]) for s in allowed} == {
        "lambda:InvokeFunctionUrl": (function, {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}),
        "lambda:InvokeFunction": (function, {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
    }


def test_people_hear_of_answers_that_fail_and_of_callers_that_are_refused(streaming: Synthesized) -> None:
    named = {p["AlarmName"].rpartition("health-")[2]: p for _, _, p in streaming.resources("AWS::CloudWatch::Alarm")}
    failing, refused = named["streams-failing"], named["streams-refused"]
    assert "promptlane-stream" in text(failing)
    assert state(failing, {"faults": (19, 19, 19), "requests": (19, 19, 19)}) == "OK"
    assert state(failing, {"faults": (0, 5, 90), "requests": (1, 100, 900)}) == "ALARM"
    assert (refused["MetricName"], state(refused, {"only": (1, 0, 0, 1)})) == ("Throttles", "OK")
    assert state(refused, {"only": (1, 1, 1, 0)}) == "ALARM"
    runbook = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
    assert all(f"`{name}`" in runbook for name in ("streams-failing", "streams-refused"))


def test_it_may_be_left_out_again_since_no_other_stack_refers_to_it(
    synthesized: Synthesized, streaming: Synthesized
) -> None:
    def exported(made: Synthesized) -> set[str]:
        outputs = made.templates["runtime"]["Outputs"].values()
        return {text(o["Export"]["Name"]) for o in outputs if "Export" in o}

    assert exported(streaming) == exported(synthesized)


def test_synth_names_policies_that_promise_an_earlier_end(synthesized: Synthesized, streaming: Synthesized) -> None:
    def told(made: Synthesized) -> list[str]:
        files = made.directory.glob("promptlane-runtime.metadata.json")
        return [said for file in files for said in re.findall(r"promptlane:stream_seconds\).*?\"", file.read_text())]

    assert not told(synthesized)
    (said,) = told(streaming)
    assert "support-assistant" in said


def test_synth_says_what_the_reservation_needs() -> None:
    assert "must be 117 or more" in explained(DeploymentConfig(streams=7, reserved_concurrency=5))
    assert "must be 107 or more" in explained(DeploymentConfig(streams=7))
