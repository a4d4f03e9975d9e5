"""A second deployment in one account and Region: nothing that must be named once is named twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.config import DeploymentConfig
from tests.support.rendered import Rendered
from tests.support.synthesized import Synthesized, listed, synthesize, text

# It begins with the other's name, and what follows is how the other's stacks of prompts go on.
SECOND = "promptlane-prom"
NAMES = {
    "AWS::CloudTrail::Trail": "TrailName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Logs::QueryDefinition": "Name",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}
"""What must be unique in an account and Region. API Gateway's names need not be."""


@pytest.fixture(scope="module")
def second(config: DeploymentConfig, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize(replace(config, name=SECOND, existing_trail=True), tmp_path_factory.mktemp("second"))


def names(found: Synthesized, deployment: str) -> set[tuple[str, str]]:
    """(type, name) of all that a deployment names itself, with its stacks and exports."""
    rendered = Rendered(found, deployment)
    given = {
        (kind, str(rendered.value(stack, properties[field])))
        for kind, field in NAMES.items()
        for stack, _, properties in found.resources(kind)
        if field in properties
    }
    stacks = {("stack", path.name) for path in Path(found.directory).glob("*.template.json")}
    exports = {
        ("export", text(output["Export"]["Name"]))
        for template in found.templates.values()
        for output in template.get("Outputs", {}).values()
        if "Export" in output
    }
    return given | stacks | exports


def test_no_two_deployments_name_anything_alike(synthesized: Synthesized, second: Synthesized) -> None:
    ours, theirs = names(synthesized, "promptlane"), names(second, SECOND)
    assert {kind for kind, _ in ours} >= {"AWS::CloudWatch::Dashboard", "AWS::SSM::Parameter", "stack", "export"}
    assert ours & theirs == set()


def test_every_named_kind_is_compared(synthesized: Synthesized) -> None:
    """A fixed name of another kind would go unseen."""
    kinds = {
        resource["Type"] for template in synthesized.templates.values() for resource in template["Resources"].values()
    }
    unnamed = {kind for kind in kinds - NAMES.keys() if not kind.startswith("Custom::")}
    nameless = (
        "::Policy",
        "Policy",
        "Permission",
        "Subscription",
        "Mapping",
        "Route",
        "Integration",
        "Stage",
        "Filter",
        "Config",
    )
    assert {kind for kind in unnamed if not kind.endswith(nameless)} == {
        "AWS::ApiGatewayV2::Api",
        "AWS::KMS::Key",
        "AWS::Lambda::Alias",
    }


def test_each_alarm_topic_takes_alarms_of_its_own_deployment_alone(
    synthesized: Synthesized, second: Synthesized
) -> None:
    """The fuse alarms of one must never roll back by the other's function."""
    for found, deployment in ((synthesized, "promptlane"), (second, SECOND)):
        rendered = Rendered(found, deployment)
        allowed = [
            pattern
            for stack, _, policy in found.resources("AWS::SNS::TopicPolicy")
            for statement in rendered.value(stack, policy["PolicyDocument"])["Statement"]
            for pattern in listed(statement.get("Condition", {}).get("ArnLike", {}).get("aws:SourceArn", []))
            if ":alarm:" in pattern and not pattern.endswith(":alarm:*")
        ]
        assert allowed
        assert all(
            f":alarm:{deployment}/*" in pattern or f":alarm:{deployment}-health-" in pattern for pattern in allowed
        )
