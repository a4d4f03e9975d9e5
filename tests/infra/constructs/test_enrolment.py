"""What a stack says of a prompt is what `enrol` takes."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from aws_cdk import App, Stack
from aws_cdk.assertions import Annotations, Match, Template

from promptlane.cdk import Enrolment, Platform
from promptlane.domain.enrolment.enrolment import RESOURCE_TYPE, Configuration
from promptlane.domain.release.content import canonical_json
from promptlane.project import load_one
from tests.support.alone import alone, plain

PROJECT = load_one(Path(__file__).resolve().parents[3] / "prompts" / "support-assistant")
POLICY = PROJECT.policy.scaled(0.5)
LANE = Platform(deployment="lane")
BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"


def enrolled(*, staged: bool = False) -> tuple[Stack, dict[str, Any]]:
    stack = alone(staged=staged)
    Enrolment(stack, "Enrolment", project=PROJECT, policy=POLICY, platform=LANE)
    (resource,) = Template.from_stack(stack).find_resources(RESOURCE_TYPE).values()
    return stack, resource["Properties"]


def test_policy_and_suite_are_objects_named_by_their_content_and_one_resource_says_that_they_count() -> None:
    _, said = enrolled()
    policy = canonical_json(POLICY.to_dict()).encode()
    suite = canonical_json(PROJECT.suite.to_dict()).encode()
    assert plain(said) == {
        "ServiceToken": "arn:<aws>:lambda:<here>:function:lane-pipeline-enrol",
        "ServiceTimeout": "900",
        "Name": "support-assistant",
        "Policy": {"uri": f"s3://{BUCKET}/HASH.json", "sha256": "HASH"},
        "Suite": {"uri": f"s3://{BUCKET}/HASH.json", "sha256": "HASH"},
    }
    assert (said["Policy"]["sha256"], said["Suite"]["sha256"]) == (
        hashlib.sha256(policy).hexdigest(),
        hashlib.sha256(suite).hexdigest(),
    )


def test_enrol_can_read_what_the_stack_says_and_what_lies_there() -> None:
    stack, said = enrolled(staged=True)
    folder = Path(str(App.of(stack).outdir))  # type: ignore[union-attr]
    parts = {
        key: {"uri": "s3://assets/" + said[key.capitalize()]["uri"]["Fn::Join"][1][-1].rpartition("/")[2]}
        | {"sha256": said[key.capitalize()]["sha256"]}
        for key in ("policy", "suite")
    }
    says = Configuration.from_dict(parts)
    for part in (says.policy, says.suite):
        body = (folder / f"asset.{part.place[1]}").read_bytes()
        assert hashlib.sha256(body).hexdigest() == part.sha256


def test_every_weakness_of_a_suite_is_a_warning_of_its_own() -> None:
    weak = replace(PROJECT, suite=replace(PROJECT.suite, cases=PROJECT.suite.cases[:8]))
    must = replace(weak.policy.tests, must_pass=("no-such-tag",))
    stack = alone()
    policy = replace(weak.policy, tests=must)
    Enrolment(stack, "Enrolment", project=replace(weak, policy=policy), policy=policy, platform=LANE)
    said = Annotations.from_stack(stack).find_warning("*", Match.any_value())
    texts = [str(one.entry.data) for one in said]
    assert [text.split(": ")[0] for text in texts] == ["support-assistant/suite.yaml"] * 2
    assert "8 cases can never prove" in texts[0]
    assert "slice 'no-such-tag' must pass" in texts[1]
    assert [text.rsplit("[ack: ")[-1].rstrip("]") for text in texts] == [
        "promptlane:suite-support-assistant-1",
        "promptlane:suite-support-assistant-2",
    ]


def test_who_watches_slow_answers_of_a_cached_prompt_is_warned() -> None:
    cached = replace(PROJECT, draft=replace(PROJECT.draft, cache_point=True))
    stack = alone()
    Enrolment(stack, "Enrolment", project=cached, policy=POLICY, platform=LANE)
    [said] = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("cache points"))
    text = str(said.entry.data)
    assert text.startswith("support-assistant/release.yaml: the prompt has cache points")
    assert "at 10% of the traffic" in text
    assert text.rsplit("[ack: ")[-1].rstrip("]") == "promptlane:cache-support-assistant"
