"""What `make destroy` does before it deletes stacks, on an AWS in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from infra.teardown import CannotDestroy, Teardown
from tests.support.second_emulator import empty_aws
from tests.support.tables import make_table

Json = Any
REGION, ACCOUNT = "us-east-1", "123456789012"
READS = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
)
TRUST = json.dumps(
    {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
)
WAITS = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}
RELEASE = "PROMPT0001-2-1"


class Mappings:
    """The client `lambda`, as far as event source mappings go: one is disabled a while after it was asked to be."""

    def __init__(self) -> None:
        self.state, self.asked = "Enabled", 0

    def get_paginator(self, operation: str) -> Mappings:
        assert operation == "list_event_source_mappings"
        return self

    def paginate(self, **request: str) -> Iterator[Json]:
        yield self.list_event_source_mappings(**request)

    def list_event_source_mappings(self, *, FunctionName: str) -> Json:  # noqa: N803 - boto3's name
        assert FunctionName == "the-intake"
        if self.state == "Disabling":
            self.asked += 1
            self.state = "Disabled" if self.asked > 2 else "Disabling"
        return {"EventSourceMappings": [{"UUID": "the-mapping", "State": self.state}]}

    def update_event_source_mapping(self, *, UUID: str, Enabled: bool) -> None:  # noqa: N803
        assert (UUID, Enabled) == ("the-mapping", False)
        self.state = "Disabling"


class StackService:
    """The client `cloudformation`."""

    def __init__(self) -> None:
        self.stacks: list[Json] = []

    def get_paginator(self, operation: str) -> StackService:
        assert operation == "describe_stacks"
        return self

    def paginate(self) -> Iterator[Json]:
        yield {"Stacks": self.stacks}


class Account:
    """A deployment whose `wind_up` ends a release after `patience` questions."""

    def __init__(self, *, patience: int = 2) -> None:
        self.said: list[str] = []
        self.now, self.patience, self.mappings = 0.0, patience, Mappings()
        self.stacks = StackService()
        self.tables = boto3.resource("dynamodb", REGION)
        make_table(self.client("dynamodb"), "releases", "pk", "sk")
        self.table = self.tables.Table("releases")
        self.machine = self.client("stepfunctions").create_state_machine(
            name="lane-release", definition=json.dumps(WAITS), roleArn=f"arn:aws:iam::{ACCOUNT}:role/machine"
        )["stateMachineArn"]
        self.policy = self.client("iam").create_policy(PolicyName="shop", PolicyDocument=READS)["Policy"]["Arn"]
        self.resources({"application_policy": self.policy}, "runtime")
        self.resources({"release_table": "releases", "audit_bucket": "copies", "audit_retention_days": "30"}, "state")
        self.resources(
            {"state_machine_arn": self.machine, "intake_function": "the-intake", "wind_up_function": "wind-up"},
            "pipeline",
        )

    def resources(self, named: dict[str, str], stack: str) -> None:
        self.client("ssm").put_parameter(Name=f"/lane/resources/{stack}", Type="String", Value=json.dumps(named))

    def client(self, service: str) -> Any:
        stand_ins = {"lambda": self.mappings, "cloudformation": self.stacks}
        return stand_ins.get(service) or boto3.client(service, REGION)

    def release(self, state: str) -> None:
        self.table.put_item(Item={"pk": "prompt#PROMPT0001", "sk": "release#00002#001", "state": state})

    def running(self) -> str:
        self.release("review")
        states = self.client("stepfunctions")
        started = states.start_execution(stateMachineArn=self.machine, name=RELEASE, input="{}")
        return str(started["executionArn"])

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.patience -= 1
        if self.patience == 0:
            self.release("ended")

    def teardown(self) -> None:
        Teardown(name="lane", client=self.client, say=self.said.append, clock=lambda: self.now, sleep=self.sleep).run()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with empty_aws():
        yield Account()


def test_no_more_is_taken_in_and_every_release_ends_before_anything_is_deleted(account: Account) -> None:
    account.patience = 6
    execution = account.running()
    account.teardown()
    assert account.mappings.state == "Disabled"
    stopped = account.client("stepfunctions").describe_execution(executionArn=execution)
    assert stopped["status"] == "ABORTED"
    assert account.said == [
        "no more versions are taken in",
        f"release {RELEASE} ended; its prompt is on its safe route",
        "this is a trial: nothing of it stays but keys, which KMS deletes after 7 days",
    ]


def test_a_release_that_does_not_end_is_named(account: Account) -> None:
    account.patience = 10_000
    account.running()
    with pytest.raises(CannotDestroy, match=f"have not ended: {RELEASE}. Look at the log of wind-up"):
        account.teardown()


def test_an_attachment_elsewhere_is_named_before_anything_changes(account: Account) -> None:
    iam = account.client("iam")
    iam.create_role(RoleName="lane-access-Operator", AssumeRolePolicyDocument=TRUST)
    iam.attach_role_policy(RoleName="lane-access-Operator", PolicyArn=account.policy)
    iam.create_role(RoleName="shop", AssumeRolePolicyDocument=TRUST)
    iam.attach_role_policy(RoleName="shop", PolicyArn=account.policy)
    with pytest.raises(CannotDestroy) as refused:
        account.teardown()
    assert str(refused.value).splitlines()[1:] == [f"  - detach {account.policy} from the role shop"]
    assert account.mappings.state == "Enabled"


@pytest.mark.parametrize(
    ("name", "there", "held"),
    [("lane-prompt-support", True, False), ("team", True, True), ("lanes", True, True), ("team", False, False)],
)
def test_a_stack_of_another_app_that_enrols_here_goes_first(
    account: Account, name: str, there: bool, held: bool
) -> None:
    stack = {"StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/0123"}
    account.stacks.stacks += [stack] if there else []
    account.table.put_item(Item={"pk": "enrolments", "sk": "support"})
    account.table.put_item(Item={"pk": "enrolment#support", "sk": "current", "owner": stack["StackId"]})
    if not held:
        account.teardown()
        return
    with pytest.raises(CannotDestroy, match=f"destroy the stack {name} first, in its own app: it enrols support"):
        account.teardown()


def test_what_stays_is_said_of_a_deployment_that_is_kept(account: Account) -> None:
    account.client("dynamodb").update_table(TableName="releases", DeletionProtectionEnabled=True)
    account.teardown()
    assert account.said[-1].startswith("what stays: the tables releases, buckets")
    assert "copies can be deleted by nobody within 30 days" in account.said[-1]


def test_a_deployment_of_which_nothing_is_left_is_no_obstacle(account: Account) -> None:
    ssm = account.client("ssm")
    for stack in ("runtime", "state", "pipeline"):
        ssm.delete_parameter(Name=f"/lane/resources/{stack}")
    account.teardown()
    assert account.mappings.state == "Enabled"
