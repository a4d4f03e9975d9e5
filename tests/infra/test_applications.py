"""The policy of one application: what it may do for its own prompts, and for no other's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from infra.application import add_stacks
from infra.config import DeploymentConfig
from tests.support.synthesized import context, listed, text


@pytest.fixture(scope="module")
def runtime(config: DeploymentConfig) -> dict[str, Any]:
    applications = {"checkout": ("greeter", "support-assistant")}
    stacks = add_stacks(App(context=context()), config=replace(config, applications=applications))
    return dict(Template.from_stack(stacks.runtime).to_json())


def statements(runtime: dict[str, Any], name: str) -> list[dict[str, Any]]:
    policies = [r["Properties"] for r in runtime["Resources"].values() if r["Type"] == "AWS::IAM::ManagedPolicy"]
    (found,) = [p for p in policies if p["Description"].startswith(f"Lets the application {name} ")]
    return list(found["PolicyDocument"]["Statement"])


def of_action(runtime: dict[str, Any], action: str) -> dict[str, Any]:
    (found,) = [s for s in statements(runtime, "checkout") if action in listed(s["Action"])]
    return found


PROMPTS = ["greeter", "support-assistant"]


@pytest.mark.parametrize("action", ["kms:GenerateDataKey", "kms:Decrypt"])
def test_it_seals_and_opens_receipts_of_its_prompts(runtime: dict[str, Any], action: str) -> None:
    assert of_action(runtime, action)["Condition"] == {"StringEquals": {"kms:EncryptionContext:prompt": PROMPTS}}
    assert "ReceiptKey" in text(of_action(runtime, action)["Resource"])


def test_it_reads_what_versions_of_its_prompts_hold_and_opens_nothing_else_with_that_key(
    runtime: dict[str, Any],
) -> None:
    policies = [r["Properties"] for r in runtime["Resources"].values() if r["Type"] == "AWS::IAM::ManagedPolicy"]
    (policy,) = [p for p in policies if "versions of checkout's prompts" in p["Description"]]
    read, opened = policy["PolicyDocument"]["Statement"]
    assert (read["Action"], opened["Action"]) == ("s3:GetObject", "kms:Decrypt")
    assert [text(each).rpartition("/")[0].rpartition("/")[2] for each in read["Resource"]] == PROMPTS
    assert "Versions" in text(read["Resource"])
    assert "DataKey" in text(opened["Resource"])
    (context,) = opened["Condition"].values()
    assert [*context] == ["kms:EncryptionContext:aws:s3:arn"]
    assert all("Versions" in text(each) for each in context["kms:EncryptionContext:aws:s3:arn"])


@pytest.mark.parametrize(
    ("action", "keys"),
    [
        ("dynamodb:GetItem", PROMPTS),
        ("dynamodb:BatchGetItem", PROMPTS),
        ("dynamodb:PutItem", [f"{prompt}/*" for prompt in PROMPTS]),
    ],
)
def test_it_reads_routes_and_marks_feedback_of_its_prompts(
    runtime: dict[str, Any], action: str, keys: list[str]
) -> None:
    assert of_action(runtime, action)["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


def test_it_asks_the_gateway_for_its_prompts(runtime: dict[str, Any]) -> None:
    resources = of_action(runtime, "execute-api:Invoke")["Resource"]
    calls = {text(resource).partition("$default/")[2].rstrip('"}]') for resource in resources}
    of_prompts = {call for name in PROMPTS for call in (f"POST/prompts/{name}/converse", f"GET/prompts/{name}/route")}
    assert calls == {*of_prompts, "POST/feedback", "GET/openapi.json"}


def test_its_policy_is_an_output_by_its_name(runtime: dict[str, Any]) -> None:
    assert {"ResourcesApplicationCheckoutPolicy", "ApplicationCheckoutPolicy"} & set(runtime["Outputs"])
