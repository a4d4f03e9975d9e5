"""Prompts enrolled by stacks of their own, by CloudFormation itself: names, owners, what frees them."""

from __future__ import annotations

import json
from typing import Any

from promptlane.aws.enrolment import DynamoEnrolments, DynamoRegister
from promptlane.cdk.platform import prompt_stack_name
from tests.support.deployment import Deployment

Json = Any
KIND = "Custom::PromptlaneEnrolment"
OURS = "e2e-tested"
"""A prompt that a stack of the platform's app enrols."""


class Teams:
    """Small stacks, each with one prompt."""

    def __init__(self, deployed: Deployment) -> None:
        self.deployed, self.cfn = deployed, deployed.client("cloudformation")
        dynamodb = deployed.aws.session().resource("dynamodb", endpoint_url=deployed.aws.url)
        table = dynamodb.Table(deployed.resources["release_table"])
        self.register = DynamoRegister(table)
        bucket = deployed.resources["report_bucket"]
        self.enrolments = DynamoEnrolments(table=table, s3=deployed.client("s3"), report_bucket=bucket)
        ours = self.register.get(OURS)
        assert ours is not None
        self.ours = ours.counts.says.to_dict()
        function = deployed.client("lambda").get_function(FunctionName=deployed.resources["enrol_function"])
        self.token = function["Configuration"]["FunctionArn"]

    def template(self, name: str, **more: Json) -> str:
        says = {"Policy": self.ours["policy"], "Suite": self.ours["suite"]}
        properties = {"ServiceToken": self.token, "ServiceTimeout": "60", "Name": name, **says}
        return json.dumps({"Resources": {"Prompt": {"Type": KIND, "Properties": properties, **more}}})

    def create(self, stack: str, template: str) -> tuple[str, str]:
        """(what became of it, why)."""
        made = self.cfn.create_stack(StackName=stack, TemplateBody=template)
        return self.ended(made["StackId"])

    def ended(self, stack: str) -> tuple[str, str]:
        def done() -> str | None:
            status = str(self.cfn.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
            return None if status.endswith("IN_PROGRESS") else status

        status = self.deployed.wait(done, f"{stack} did not end")
        events = self.cfn.describe_stack_events(StackName=stack)["StackEvents"]
        failed = [e["ResourceStatusReason"] for e in events if e["ResourceStatus"].endswith("FAILED")]
        return str(status), " ".join(failed)

    def delete(self, stack: str) -> str:
        found = self.cfn.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
        self.cfn.delete_stack(StackName=stack)
        return self.ended(found)[0]


def test_a_stack_of_its_own_enrols_a_prompt_and_gives_it_up(deployed: Deployment) -> None:
    teams = Teams(deployed)
    assert teams.create("team-one", teams.template("of-team-one")) == ("CREATE_COMPLETE", "")
    assert teams.enrolments.capture("of-team-one") == teams.enrolments.capture(OURS)
    assert teams.delete("team-one") == "DELETE_COMPLETE"
    assert not teams.enrolments.enrolled("of-team-one")
    assert "of-team-one" not in teams.enrolments.names()


def test_no_other_stack_takes_a_name_and_its_deployer_reads_why(deployed: Deployment) -> None:
    teams = Teams(deployed)
    status, why = teams.create("team-two", teams.template(OURS))
    assert status == "ROLLBACK_COMPLETE"
    assert f"{OURS} is enrolled by the stack arn:" in why
    assert "no other stack may take it: remove it there and deploy that stack first" in why
    kept = teams.register.get(OURS)
    assert kept is not None
    assert f"stack/{prompt_stack_name('promptlane', OURS)}/" in kept.owner
    teams.delete("team-two")
    assert teams.enrolments.enrolled(OURS)


def test_what_a_deleted_stack_left_enrolled_is_taken_over_by_the_next(deployed: Deployment) -> None:
    teams = Teams(deployed)
    teams.create("team-three", teams.template("moved", DeletionPolicy="Retain"))
    assert teams.delete("team-three") == "DELETE_COMPLETE"
    assert teams.enrolments.enrolled("moved")
    assert teams.create("team-four", teams.template("moved"))[0] == "CREATE_COMPLETE"
    taken = teams.register.get("moved")
    assert taken is not None
    assert "stack/team-four/" in taken.owner
    teams.delete("team-four")
