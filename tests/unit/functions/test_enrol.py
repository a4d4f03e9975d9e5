"""The custom resource that enrols prompts: what CloudFormation asks, in every order in which it may, and is told."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import pytest

from promptlane.aws import custom_resource
from promptlane.aws.identities import DynamoIdentities
from promptlane.domain.errors import InvalidInput
from promptlane.domain.policy import Policy
from promptlane.domain.release.meant import Identity
from promptlane.domain.release.route import first_route
from tests.support.enrolling import KIND, LAX, OTHER, STACK, Cloud
from tests.support.functions import (
    ACCOUNT,
    ASSETS,
    DEPLOYMENT,
    POLICY,
    REGION,
    RELEASES,
    SUITE,
    Context,
    World,
    real,
)
from tests.support.prompt import PROMPT

Json = Any


@pytest.fixture
def cloud(world: World, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    return Cloud(world, monkeypatch)


def failed(answer: dict[str, Json], *said: str) -> None:
    assert answer["Status"] == "FAILED"
    for part in said:
        assert part in answer["Reason"]


def test_a_prompt_is_enrolled_changed_and_given_up_and_cloudformation_is_told(cloud: Cloud) -> None:
    assert cloud.create() == {
        "Status": "SUCCESS",
        "Reason": "support is enrolled (log stream stream)",
        "PhysicalResourceId": "enrolled:support",
        "StackId": STACK,
        "RequestId": "request-0000",
        "LogicalResourceId": "EnrolSupport",
        "Data": {"Said": "support is enrolled"},
    }
    assert cloud.counts == POLICY
    assert cloud.enrolments.suite(cloud.enrolments.capture(PROMPT)[1]) == SUITE

    assert cloud.update(POLICY, LAX)["PhysicalResourceId"] == "enrolled:support"
    assert cloud.counts == LAX

    assert cloud.delete()["Status"] == "SUCCESS"
    assert cloud.counts is None
    assert cloud.delete()["Data"]["Said"] == "support is not enrolled"


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_a_request_that_is_delivered_twice_is_done_once_and_answered_twice(cloud: Cloud, kind: str) -> None:
    if kind != "Create":
        cloud.create()
    if kind == "Delete":
        cloud.delete()
    else:
        cloud.create() if kind == "Create" else cloud.update(POLICY, LAX)
    counts, asked = cloud.counts, cloud.asked[-1]
    assert cloud.ask(asked.pop("RequestType"), **asked)["Status"] == "SUCCESS"
    assert cloud.counts == counts


def test_a_deployment_that_fails_elsewhere_brings_back_what_counted(cloud: Cloud) -> None:
    cloud.create()
    cloud.update(POLICY, LAX)
    back = cloud.update(LAX, POLICY, status="UPDATE_ROLLBACK_IN_PROGRESS")
    assert (back["Status"], cloud.counts) == ("SUCCESS", POLICY)


def test_an_update_that_is_refused_is_rolled_back_without_a_complaint(cloud: Cloud) -> None:
    """CloudFormation sends a resource that refused its update back to what it was, though nothing was changed."""
    cloud.create()
    cloud.floor = '{"review": {"quorum": 2}}'
    refused = cloud.update(POLICY, LAX)
    failed(refused, "support: review.quorum: is 1; the platform floor asks for at least 2")
    assert refused["PhysicalResourceId"] == "enrolled:support"
    assert cloud.update(LAX, POLICY, status="UPDATE_ROLLBACK_IN_PROGRESS")["Status"] == "SUCCESS"
    assert cloud.counts == POLICY


def test_a_rollback_to_what_is_below_a_floor_that_was_raised_with_it_does_not_stick(cloud: Cloud) -> None:
    cloud.create(LAX)
    cloud.floor = '{"review": {"quorum": 2}}'
    cloud.update(LAX, POLICY)
    failed(cloud.update(POLICY, LAX), "review.quorum")
    assert cloud.update(POLICY, LAX, status="UPDATE_ROLLBACK_IN_PROGRESS")["Status"] == "SUCCESS"
    assert cloud.counts == LAX  # admit refuses it


def test_a_creation_that_fails_elsewhere_is_taken_back(cloud: Cloud) -> None:
    cloud.create()
    assert cloud.delete(status="ROLLBACK_IN_PROGRESS")["Status"] == "SUCCESS"
    assert cloud.counts is None


def test_a_creation_that_was_never_answered_is_taken_back_under_the_id_that_cloudformation_made_up(
    cloud: Cloud,
) -> None:
    cloud.create()
    answer = cloud.delete(PhysicalResourceId="team-a-EnrolSupport-1ABCDEF", status="ROLLBACK_IN_PROGRESS")
    assert (answer["Status"], cloud.counts) == ("SUCCESS", None)


def test_a_creation_that_was_refused_leaves_what_others_enrolled(cloud: Cloud) -> None:
    cloud.create()
    refused = cloud.create(LAX, StackId=OTHER)
    failed(refused, f"support is enrolled by the stack {STACK}", "deploy that stack first, or give this prompt another")
    assert refused["PhysicalResourceId"] == "enrolled-nothing"
    gone = cloud.delete(StackId=OTHER, PhysicalResourceId="enrolled-nothing", status="ROLLBACK_IN_PROGRESS")
    assert (gone["Status"], cloud.counts) == ("SUCCESS", POLICY)
    assert cloud.delete(StackId=OTHER)["Status"] == "SUCCESS"
    assert cloud.counts == POLICY


def test_a_new_name_is_enrolled_before_the_old_one_is_given_up(cloud: Cloud) -> None:
    cloud.create()
    moved = cloud.update(POLICY, POLICY, name="renamed")
    assert moved["PhysicalResourceId"] == "enrolled:renamed"
    assert cloud.enrolments.names() == ["renamed", "support"]
    cloud.delete(status="UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    assert cloud.enrolments.names() == ["renamed"]


def test_a_new_name_that_is_rolled_back_leaves_the_old_one(cloud: Cloud) -> None:
    cloud.create()
    cloud.update(POLICY, POLICY, name="renamed")
    back = {"PhysicalResourceId": "enrolled:renamed", "OldResourceProperties": cloud.properties(name="renamed")}
    kept = cloud.update(POLICY, POLICY, status="UPDATE_ROLLBACK_IN_PROGRESS", **back)
    assert kept["PhysicalResourceId"] == "enrolled:support"
    cloud.delete("renamed", status="UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
    assert cloud.enrolments.names() == ["support"]


def test_a_resource_with_a_new_logical_id_takes_over_from_the_old_one(cloud: Cloud) -> None:
    cloud.create()
    cloud.create(LAX, LogicalResourceId="Renamed", status="UPDATE_IN_PROGRESS")
    assert cloud.counts == LAX
    said = cloud.delete(status="UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")["Data"]["Said"]
    assert (said, cloud.counts) == ("support stays enrolled by Renamed", LAX)


def test_a_new_logical_id_that_is_rolled_back_leaves_the_old_ones_policy(cloud: Cloud) -> None:
    cloud.create()
    cloud.create(LAX, LogicalResourceId="Renamed", status="UPDATE_IN_PROGRESS")
    cloud.delete(LogicalResourceId="Renamed", status="UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
    assert cloud.counts == POLICY


@pytest.mark.parametrize("gone", ["DELETE_COMPLETE", None], ids=["deleted", "forgotten"])
def test_a_name_whose_stack_is_gone_is_free(cloud: Cloud, gone: str | None) -> None:
    """Deleted with the resource retained, say: nobody need free the name by hand."""
    cloud.create()
    if gone:
        cloud.world.stacks.stacks[STACK] = gone
    else:
        del cloud.world.stacks.stacks[STACK]
    assert cloud.create(LAX, StackId=OTHER)["Status"] == "SUCCESS"
    assert cloud.counts == LAX
    failed(cloud.create(StackId=STACK), f"enrolled by the stack {OTHER}")


@pytest.mark.parametrize("state", ["DELETE_SKIPPED", "DELETE_COMPLETE", None, "renamed"])
def test_a_name_whose_resource_left_its_stack_is_free(cloud: Cloud, state: str | None) -> None:
    """Retained, it goes on counting until the next stack takes it over: how a prompt moves without a gap."""
    cloud.create()
    if state is None:
        del cloud.world.stacks.resources[STACK, "EnrolSupport"]
    elif state == "renamed":
        cloud.world.stacks.show(STACK, "EnrolSupport", KIND, "UPDATE_COMPLETE", "enrolled:another")
    else:
        cloud.world.stacks.show(STACK, "EnrolSupport", KIND, state, "enrolled:support")
    assert cloud.counts == POLICY
    assert cloud.create(LAX, StackId=OTHER)["Status"] == "SUCCESS"


def test_a_name_is_not_free_while_cloudformation_does_not_tell(cloud: Cloud) -> None:
    cloud.create()
    cloud.world.stacks.away = "ThrottlingException"
    failed(cloud.create(LAX, StackId=OTHER), "CloudFormation does not confirm this request", "later")
    assert cloud.counts == POLICY


def test_an_update_of_what_is_not_there_enrols(cloud: Cloud) -> None:
    """After the table was restored to a time before the prompt was enrolled."""
    assert cloud.update(LAX, POLICY)["Status"] == "SUCCESS"
    assert cloud.counts == POLICY


FIRST, SECOND = "PROMPT0001", "PROMPT0002"


def meaning(prompt_id: str, reason: str = "") -> Policy:
    return replace(POLICY, prompt_id=prompt_id, prompt_id_reason=reason)


def released(cloud: Cloud, prompt_id: str = FIRST) -> None:
    """What the first admission does."""
    table = real("dynamodb.resource").Table(RELEASES)
    DynamoIdentities(table).fix(Identity(PROMPT, prompt_id, 1.0, f"{prompt_id}-1-1"), expected=None)


@pytest.mark.parametrize("known", ["fixed", "served", "deployed"])
def test_another_prompt_needs_a_reason_before_anything_is_deployed(cloud: Cloud, known: str) -> None:
    before = meaning(FIRST) if known == "deployed" else POLICY
    cloud.create(before)
    if known == "fixed":
        released(cloud)
    elif known == "served":
        one = cloud.world.publish(1)
        served = first_route(prompt=PROMPT, prompt_id=FIRST, candidate=one, release_id=f"{FIRST}-1-1", now=1.0, by="x")
        cloud.world.routes.put(served, expected=None)

    refused = cloud.update(before, meaning(SECOND))
    failed(refused, f"'support' meant prompt {FIRST} until now", f"say why it means {SECOND}", "`prompt_id_reason` in")
    assert cloud.counts == before
    assert cloud.update(before, meaning(SECOND, "It was made again"))["Status"] == "SUCCESS"
    assert cloud.enrolments.deployed_id(PROMPT) == SECOND


def test_a_name_that_was_given_up_means_what_it_meant(cloud: Cloud) -> None:
    cloud.create()
    released(cloud)
    cloud.delete()
    failed(cloud.create(meaning(SECOND), StackId=OTHER), "prompt_id_reason")
    assert cloud.create(meaning(SECOND, "It was made again"), StackId=OTHER)["Status"] == "SUCCESS"


def test_the_prompt_that_a_name_means_needs_no_reason(cloud: Cloud) -> None:
    assert cloud.create(meaning(SECOND))["Status"] == "SUCCESS"  # the first to be named
    released(cloud)
    assert cloud.update(meaning(SECOND), meaning(FIRST))["Status"] == "SUCCESS"
    assert cloud.update(meaning(FIRST), POLICY)["Status"] == "SUCCESS"


def test_a_rollback_to_another_prompt_without_a_reason_does_not_stick(cloud: Cloud) -> None:
    old, new = meaning(SECOND), meaning(FIRST)
    cloud.create(old)
    released(cloud)
    cloud.update(old, new)
    assert cloud.update(new, old, status="UPDATE_ROLLBACK_IN_PROGRESS")["Status"] == "SUCCESS"
    assert cloud.counts == old  # admit refuses it


@pytest.mark.parametrize(("expires", "said"), [(900.0, "is 900 s"), (1.0, "is 1 s"), (901.0, "")])
def test_a_policy_whose_reviews_expire_before_they_can_be_approved_is_refused(
    cloud: Cloud, expires: float, said: str
) -> None:
    short = replace(POLICY, review=replace(POLICY.review, expires_after=expires, remind_before=0.5))
    answer = cloud.create(short)
    if not said:
        assert answer["Status"] == "SUCCESS"
        return
    failed(answer, f"support: review.expires_after: {said}", "before 900 s after", "raise it above 900 s")
    assert cloud.counts is None


def test_a_policy_of_a_reviewer_whom_others_may_act_as_is_refused(cloud: Cloud) -> None:
    shared = f"arn:aws:sts::{ACCOUNT}:assumed-role/{DEPLOYMENT}-access-ReviewerRoleA1-B2/ann"
    first, *others = POLICY.review.reviewers
    people = (replace(first, principals=(shared,)), *others)
    answer = cloud.create(replace(POLICY, review=replace(POLICY.review, reviewers=people)))
    failed(answer, f"support: {first.name}: is named by {shared}")
    assert cloud.counts is None


ODD: dict[str, tuple[dict[str, Json], str]] = {
    "another account's stack": ({"StackId": STACK.replace(ACCOUNT, "999999999999")}, "no stack of this account"),
    "another Region's stack": ({"StackId": STACK.replace(REGION, "eu-west-1")}, "no stack of this account"),
    "a stack's name": ({"StackId": "team-a"}, "StackId is 'team-a': this is no request of CloudFormation"),
    "another type": ({"ResourceType": "Custom::Other"}, "ResourceType is 'Custom::Other'"),
    "no request id": ({"RequestId": ""}, "RequestId is ''"),
    "a request id that is a key": ({"RequestId": "current#1/../x"}, "RequestId is"),
    "an odd logical id": ({"LogicalResourceId": "a b"}, "LogicalResourceId is 'a b'"),
    "another kind": ({"RequestType": "Upsert"}, "RequestType is 'Upsert'"),
    "no properties": ({"ResourceProperties": None}, "Name is None"),
    "a list for properties": ({"ResourceProperties": []}, "Name is None"),
    "an empty name": ({"ResourceProperties": {"Name": ""}}, "Name is ''"),
    "a key for a name": ({"ResourceProperties": {"Name": "a#current"}}, "Name is 'a#current'"),
    "a name that ends a line": ({"ResourceProperties": {"Name": "support\n"}}, "Name is 'support\\n'"),
    "a long name": ({"ResourceProperties": {"Name": "n" * 5000}}, "Name is 'nnn"),
    "no policy": ({"ResourceProperties": {"Name": PROMPT}}, "ResourceProperties.policy.uri is None"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_no_stack_can_have_sent_changes_nothing_and_is_named(cloud: Cloud, name: str) -> None:
    changed, said = ODD[name]
    event = {"ResourceProperties": cloud.properties(), **changed}
    failed(cloud.ask(str(event.pop("RequestType", "Create")), **event), said)
    assert cloud.counts is None


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"uri": "https://example.com/x", "sha256": "0" * 64}, "it must be s3://<bucket>/<key>"),
        ({"uri": f"s3://{ASSETS}/nothing", "sha256": "0" * 64}, "NoSuchKey"),
        ({"uri": f"s3://{ASSETS}/{'k' * 2000}", "sha256": "0" * 64}, "it must be s3://<bucket>/<key>"),
        ({"uri": f"s3://{ASSETS}/policy", "sha256": "ABC"}, "it must be the SHA-256"),
        ("s3://assets/policy", "Policy"),
    ],
)
def test_a_part_that_cannot_be_read_is_named(cloud: Cloud, part: Json, said: str) -> None:
    properties = {**cloud.properties(), "Policy": part}
    failed(cloud.ask("Create", ResourceProperties=properties), said if said != "Policy" else "policy.uri is None")
    assert cloud.counts is None


def test_what_is_deployed_must_be_a_policy_and_a_suite(cloud: Cloud) -> None:
    good = cloud.properties()
    for key, said in (("Policy", "review: is required"), ("Suite", "tests")):
        part = cloud.world.deploy(f"odd-{key}", {"colour": "blue"})
        properties = {**good, key: {"uri": part.uri, "sha256": part.sha256}}
        failed(cloud.ask("Create", ResourceProperties=properties), said)
    part = cloud.world.deploy("list", [])  # type: ignore[arg-type]
    properties = {**good, "Suite": {"uri": part.uri, "sha256": part.sha256}}
    failed(cloud.ask("Create", ResourceProperties=properties), "is not a JSON object")
    assert cloud.counts is None


def test_an_answer_that_does_not_get_through_is_sent_again(cloud: Cloud) -> None:
    cloud.deaf = 2
    assert cloud.create()["Status"] == "SUCCESS"
    assert len(cloud.answers) == 1
    cloud.deaf = 99
    with pytest.raises(urllib.error.URLError):  # Lambda invokes the function again
        cloud.update(POLICY, LAX)
    cloud.deaf = 0
    again = cloud.asked[-1]
    assert cloud.ask(again.pop("RequestType"), **again)["Status"] == "SUCCESS"
    assert cloud.counts == LAX


@pytest.mark.parametrize("said", ["é𐀀" * 5_000, "\0" * 5_000, '"\\' * 5_000, "half \ud800 of a pair"])
def test_whatever_is_said_fits_into_what_cloudformation_takes(cloud: Cloud, said: str) -> None:
    event = {"ResponseURL": "https://x", "StackId": "s" * 200, "RequestId": "r" * 36, "LogicalResourceId": "l" * 255}
    custom_resource.answer(event, "FAILED", said, physical="p" * 600, stream="t" * 60)
    assert len(cloud.answers[0]["Reason"]) > 10


def test_a_bug_is_answered_too(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud.world.stacks, "describe_stacks", lambda **_: {"Stacks": [{}]})
    failed(cloud.create(), "enrol failed (KeyError); its log says why")


def test_a_call_that_gives_no_url_is_none_of_cloudformation(world: World) -> None:
    with pytest.raises(InvalidInput, match="ResponseURL 'None' is not a web address"):
        world.function("enrol").handle({"RequestType": "Create"}, Context())


def test_it_waits_for_cloudformation_to_show_what_it_does(cloud: Cloud) -> None:
    stacks, shown = cloud.world.stacks, []

    def late(**request: str) -> dict[str, Json]:
        shown.append(request)
        status = "CREATE_COMPLETE" if len(shown) < 3 else "CREATE_IN_PROGRESS"
        detail = {"ResourceType": KIND, "ResourceStatus": status, "PhysicalResourceId": ""}
        return {"StackResourceDetail": detail}

    stacks.describe_stack_resource = late  # type: ignore[method-assign]
    assert cloud.create()["Status"] == "SUCCESS"
    assert len(shown) == 3
