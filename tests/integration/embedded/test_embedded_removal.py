"""What CloudFormation of the embedded AWS refuses: names that are taken, and to delete what AWS keeps."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

Json = Any
Client = Callable[[str], Any]
TRUST = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}
READS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
WAITS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
ROLE = "arn:aws:iam::000000000000:role/x"
ALARM = {
    "MetricName": "m",
    "Namespace": "n",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1,
    "ComparisonOperator": "GreaterThanThreshold",
    "Statistic": "Sum",
}
TABLE = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
}
FUNCTION = {"Runtime": "python3.13", "Handler": "index.h", "Role": ROLE, "Code": {"ZipFile": "def h(e, c): pass"}}
NAMED: dict[str, Json] = {
    "AWS::Events::EventBus": {"Name": "taken"},
    "AWS::Logs::LogGroup": {"LogGroupName": "taken"},
    "AWS::CloudWatch::Alarm": {"AlarmName": "taken", **ALARM},
    "AWS::CloudWatch::Dashboard": {"DashboardName": "taken", "DashboardBody": '{"widgets": []}'},
    "AWS::SSM::Parameter": {"Name": "/taken", "Type": "String", "Value": "x"},
    "AWS::StepFunctions::StateMachine": {
        "StateMachineName": "taken",
        "DefinitionString": json.dumps(WAITS),
        "RoleArn": ROLE,
    },
    "AWS::DynamoDB::Table": {"TableName": "taken", **TABLE},
    "AWS::Lambda::Function": {"FunctionName": "taken", **FUNCTION},
    "AWS::IAM::ManagedPolicy": {"ManagedPolicyName": "taken", "PolicyDocument": READS},
    "AWS::IAM::Role": {"RoleName": "taken", "AssumeRolePolicyDocument": TRUST},
    "AWS::SNS::Topic": {"TopicName": "taken"},
    "AWS::SQS::Queue": {"QueueName": "taken"},
}


class Stacks:
    """Of one account."""

    def __init__(self, client: Client) -> None:
        self.cloudformation = client("cloudformation")

    def create(self, name: str, kind: str, properties: Json, **more: Json) -> str:
        self.start(name, kind, properties, **more)
        return self.settled(name)

    def start(self, name: str, kind: str, properties: Json, **more: Json) -> None:
        template = {"Resources": {"R": {"Type": kind, "Properties": properties, **more}}}
        self.cloudformation.create_stack(
            StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"]
        )

    def delete(self, name: str) -> str:
        """The status that it ends in."""
        found = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
        self.cloudformation.delete_stack(StackName=name)
        return self.settled(found)

    def settled(self, name: str) -> str:
        deadline = time.monotonic() + 20
        while (status := self.status(name)).endswith("IN_PROGRESS"):
            assert time.monotonic() < deadline, f"{name} is {status}"
            time.sleep(0.05)
        return status

    def status(self, name: str) -> str:
        return str(self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    def why(self, name: str) -> str:
        """What was said of the resource that failed."""
        events = self.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        return next(
            str(e["ResourceStatusReason"])
            for e in events
            if e["LogicalResourceId"] == "R" and "FAILED" in e["ResourceStatus"]
        )


@pytest.fixture
def stacks(client: Client) -> Stacks:
    return Stacks(client)


@pytest.mark.parametrize("kind", NAMED)
def test_a_name_that_is_taken_makes_no_second_resource(stacks: Stacks, kind: str) -> None:
    assert stacks.create("first", kind, NAMED[kind]) == "CREATE_COMPLETE"
    assert stacks.create("second", kind, NAMED[kind]) == "ROLLBACK_COMPLETE"
    assert "already exists" in stacks.why("second")
    assert stacks.delete("first") == "DELETE_COMPLETE"
    assert stacks.delete("second") == "DELETE_COMPLETE"
    assert stacks.create("third", kind, NAMED[kind]) == "CREATE_COMPLETE"


def test_what_is_retained_with_its_name_blocks_the_next_create(stacks: Stacks) -> None:
    """What no resource of ours may do."""
    kind = "AWS::Logs::LogGroup"
    stacks.create("first", kind, NAMED[kind], DeletionPolicy="Retain")
    assert stacks.delete("first") == "DELETE_COMPLETE"
    assert stacks.create("second", kind, NAMED[kind]) == "ROLLBACK_COMPLETE"


def test_a_create_that_failed_leaves_nothing_that_is_retained_except_on_create(stacks: Stacks, client: Client) -> None:
    taken = NAMED["AWS::SSM::Parameter"]
    client("ssm").put_parameter(**taken)
    group = {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"LogGroupName": "kept"},
        "DeletionPolicy": "RetainExceptOnCreate",
    }
    parameter = {"Type": "AWS::SSM::Parameter", "Properties": taken, "DependsOn": "Group"}
    template = json.dumps({"Resources": {"Group": group, "R": parameter}})
    for name in ("first", "second"):
        stacks.cloudformation.create_stack(StackName=name, TemplateBody=template)
        assert stacks.settled(name) == "ROLLBACK_COMPLETE"
        assert "ParameterAlreadyExists" in stacks.why(name)
    assert client("logs").describe_log_groups(logGroupNamePrefix="kept")["logGroups"] == []


@pytest.mark.parametrize("hidden", [False, True])
def test_a_bucket_that_holds_a_version_is_not_deleted(stacks: Stacks, client: Client, hidden: bool) -> None:
    s3, name = client("s3"), f"holding-{hidden}".lower()
    versioned = {"VersioningConfiguration": {"Status": "Enabled"}}
    stacks.create("first", "AWS::S3::Bucket", {"BucketName": name, **versioned})
    version = s3.put_object(Bucket=name, Key="k", Body=b"x")["VersionId"]
    if hidden:
        s3.delete_object(Bucket=name, Key="k")
    assert stacks.delete("first") == "DELETE_FAILED"
    assert "not empty" in stacks.why("first")
    marked = s3.list_object_versions(Bucket=name).get("DeleteMarkers", [])
    for one in [version, *(marker["VersionId"] for marker in marked)]:
        s3.delete_object(Bucket=name, Key="k", VersionId=one)
    assert stacks.delete("first") == "DELETE_COMPLETE"


def test_a_locked_object_stays_until_its_lock_is_lifted_and_that_of_compliance_stays(client: Client) -> None:
    s3 = client("s3")
    for mode, lifted in (("GOVERNANCE", True), ("COMPLIANCE", False)):
        name = f"locked-{mode}".lower()
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": mode, "Days": 1}}
        s3.put_object_lock_configuration(
            Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
        objects = [{"Key": "k", "VersionId": s3.put_object(Bucket=name, Key="k", Body=b"x")["VersionId"]}]
        assert s3.delete_objects(Bucket=name, Delete={"Objects": objects})["Errors"][0]["Code"] == "AccessDenied"
        answer = s3.delete_objects(Bucket=name, Delete={"Objects": objects}, BypassGovernanceRetention=True)
        assert ("Errors" not in answer) is lifted


def test_a_policy_that_somebody_attached_elsewhere_is_not_deleted(stacks: Stacks, client: Client) -> None:
    iam = client("iam")
    stacks.create("first", "AWS::IAM::ManagedPolicy", NAMED["AWS::IAM::ManagedPolicy"])
    (policy,) = iam.list_policies(Scope="Local")["Policies"]
    iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.attach_role_policy(RoleName="theirs", PolicyArn=policy["Arn"])
    assert stacks.delete("first") == "DELETE_FAILED"
    assert "attached to entities" in stacks.why("first")
    iam.detach_role_policy(RoleName="theirs", PolicyArn=policy["Arn"])
    assert stacks.delete("first") == "DELETE_COMPLETE"


def test_a_role_that_somebody_attached_a_policy_to_is_not_deleted(stacks: Stacks, client: Client) -> None:
    iam = client("iam")
    stacks.create("first", "AWS::IAM::Role", NAMED["AWS::IAM::Role"])
    policy = iam.create_policy(PolicyName="theirs", PolicyDocument=json.dumps(READS))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="taken", PolicyArn=policy)
    assert stacks.delete("first") == "DELETE_FAILED"
    iam.detach_role_policy(RoleName="taken", PolicyArn=policy)
    assert stacks.delete("first") == "DELETE_COMPLETE"


def test_a_protected_table_is_not_deleted(stacks: Stacks, client: Client) -> None:
    stacks.create("first", "AWS::DynamoDB::Table", {"TableName": "kept", **TABLE, "DeletionProtectionEnabled": True})
    assert stacks.delete("first") == "DELETE_FAILED"
    assert "protected against deletion" in stacks.why("first")
    client("dynamodb").update_table(TableName="kept", DeletionProtectionEnabled=False)
    assert stacks.delete("first") == "DELETE_COMPLETE"


def test_a_state_machine_goes_when_its_executions_have_ended_and_starts_no_others(
    stacks: Stacks, client: Client
) -> None:
    kind = "AWS::StepFunctions::StateMachine"
    stacks.create("first", kind, NAMED[kind])
    states = client("stepfunctions")
    (machine,) = [m["stateMachineArn"] for m in states.list_state_machines()["stateMachines"]]
    execution = states.start_execution(stateMachineArn=machine, name="e", input="{}")["executionArn"]
    ended: list[str] = []
    deleting = threading.Thread(target=lambda: ended.append(stacks.delete("first")))
    deleting.start()
    deadline = time.monotonic() + 10
    while states.describe_state_machine(stateMachineArn=machine)["status"] != "DELETING":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(states.exceptions.StateMachineDeleting):
        states.start_execution(stateMachineArn=machine, name="another", input="{}")
    assert not ended
    states.stop_execution(executionArn=execution)
    deleting.join(timeout=10)
    assert ended == ["DELETE_COMPLETE"]


def test_a_name_that_cloudformation_made_stays_through_updates_and_is_never_made_again(
    stacks: Stacks, client: Client
) -> None:
    def physical(name: str) -> dict[str, str]:
        found = stacks.cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}

    kinds = {kind: {k: v for k, v in NAMED[kind].items() if v not in ("taken", "/taken")} for kind in NAMED}
    kinds["AWS::S3::Bucket"] = {}
    resources = {
        kind.rpartition(":")[2]: {"Type": kind, "Properties": properties, "DeletionPolicy": "Retain"}
        for kind, properties in kinds.items()
        if kind != "AWS::Events::EventBus"  # its name is required
    }
    template = json.dumps({"Resources": resources})
    edited = json.dumps({"Resources": resources | {"Another": {"Type": "AWS::SNS::Topic"}}})
    allowed = {"Capabilities": ["CAPABILITY_IAM"]}
    stacks.cloudformation.create_stack(StackName="again", TemplateBody=template, **allowed)
    assert stacks.settled("again") == "CREATE_COMPLETE"
    first = physical("again")
    stacks.cloudformation.update_stack(StackName="again", TemplateBody=edited, **allowed)
    assert stacks.settled("again") == "UPDATE_COMPLETE"
    assert {k: v for k, v in physical("again").items() if k != "Another"} == first
    assert stacks.delete("again") == "DELETE_COMPLETE"
    stacks.cloudformation.create_stack(StackName="again", TemplateBody=template, **allowed)
    assert stacks.settled("again") == "CREATE_COMPLETE"
    second = physical("again")
    assert second.keys() == first.keys()
    assert set(second.values()).isdisjoint(first.values())
    assert "taken" not in json.dumps([first, second])
