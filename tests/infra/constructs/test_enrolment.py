"""What a deployment enrols is what the functions' adapter reads back."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from aws_cdk import App, Stack
from aws_cdk.assertions import Annotations, Match, Template

from infra.constructs.enrolment import Enrolment
from promptlane.aws.enrolment import SsmEnrolments
from promptlane.domain.release.content import canonical_json
from promptlane.project import load_one
from tests.support.alone import KEPT, alone, plain

PROJECT = load_one(Path(__file__).resolve().parents[3] / "prompts" / "support-assistant")
DRILL = replace(KEPT, time_scale=0.5)
NAME = "/lane/enrolled/support-assistant"
BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"


class Deployed:
    """One enrolment's parameter and objects, answered as SSM and S3 do."""

    def __init__(self, stack: Stack) -> None:
        (resource,) = Template.from_stack(stack).find_resources("AWS::SSM::Parameter").values()
        parts = resource["Properties"].pop("Value")["Fn::Join"][1]
        self.parameter = resource["Properties"]
        self.value = "".join(part if isinstance(part, str) else plain(part) for part in parts)
        self.folder = Path(str(App.of(stack).outdir))  # type: ignore[union-attr]
        self.captured: dict[str, bytes] = {}

    def get_parameter(self, **asked: str) -> dict[str, Any]:
        assert asked == {"Name": self.parameter["Name"]}
        return {"Parameter": {"Value": self.value}}

    def get_object(self, **asked: str) -> dict[str, Any]:
        bucket, key = asked["Bucket"], asked["Key"]
        body = self.captured[key] if bucket == "reports" else (self.folder / f"asset.{key}").read_bytes()
        return {"Body": io.BytesIO(body)}

    def put_object(self, **asked: Any) -> None:
        assert asked["Bucket"] == "reports"
        self.captured[asked["Key"]] = asked["Body"]


def enrolled() -> Deployed:
    stack = alone()
    Enrolment(stack, "Enrolment", config=DRILL, project=PROJECT)
    return Deployed(stack)


def test_policy_and_suite_are_objects_named_by_their_content_and_a_parameter_points_at_them() -> None:
    deployed = enrolled()
    policy = canonical_json(PROJECT.policy.scaled(0.5).to_dict()).encode()
    suite = canonical_json(PROJECT.suite.to_dict()).encode()
    value = json.loads(deployed.value)
    assert {name: part["sha256"] for name, part in value.items()} == {
        "policy": hashlib.sha256(policy).hexdigest(),
        "suite": hashlib.sha256(suite).hexdigest(),
    }
    assert {name: plain(part["uri"]) for name, part in value.items()} == {
        "policy": f"s3://{BUCKET}/HASH.json",
        "suite": f"s3://{BUCKET}/HASH.json",
    }
    assert deployed.parameter == {
        "Name": NAME,
        "Type": "String",
        "Description": "Release policy and regression suite of the prompt support-assistant",
    }


def test_the_functions_capture_the_policy_and_the_suite_that_were_deployed() -> None:
    deployed = enrolled()
    enrolments = SsmEnrolments(ssm=deployed, s3=deployed, deployment="lane", report_bucket="reports")
    policy, suite = enrolments.capture("support-assistant")
    assert enrolments.policy(policy) == PROJECT.policy.scaled(0.5)
    assert enrolments.suite(suite) == PROJECT.suite.to_dict()


def test_every_weakness_of_a_suite_is_a_warning_of_its_own() -> None:
    weak = replace(PROJECT, suite=replace(PROJECT.suite, cases=PROJECT.suite.cases[:8]))
    must = replace(weak.policy.tests, must_pass=("no-such-tag",))
    stack = alone()
    Enrolment(stack, "Enrolment", config=KEPT, project=replace(weak, policy=replace(weak.policy, tests=must)))
    said = Annotations.from_stack(stack).find_warning("*", Match.any_value())
    texts = [str(one.entry.data) for one in said]
    assert [text.split(": ")[0] for text in texts] == ["support-assistant/suite.yaml"] * 2
    assert "8 cases can never prove" in texts[0]
    assert "slice 'no-such-tag' must pass" in texts[1]
    assert [text.rsplit("[ack: ")[-1].rstrip("]") for text in texts] == [
        "promptlane:suite-support-assistant-1",
        "promptlane:suite-support-assistant-2",
    ]
