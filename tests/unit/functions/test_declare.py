"""The custom resource that declares reviewers: which stack may, and what CloudFormation asks in every order."""

from __future__ import annotations

from typing import Any

import pytest

from promptlane.aws.reviewers import DynamoDeclarations
from promptlane.domain.policy import Policy, Reviewer
from promptlane.domain.review.declared import Declared
from tests.support.enrolling import STACK, Cloud
from tests.support.functions import ACCOUNT, ASSETS, DEPLOYMENT, POLICY, RELEASES, Context, World, real
from tests.support.prompt import PROMPT, RELEASE

Json = Any
KIND = "Custom::PromptlaneReviewers"
PIPELINE = STACK.replace("team-a", f"{DEPLOYMENT}-pipeline")
ANN, BOB = Reviewer("ann", "ann@example.com", ("legal",)), Reviewer("bob", "bob@example.com")
ONE, BOTH = Declared((ANN,)), Declared((ANN, BOB))


@pytest.fixture
def cloud(world: World, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    return Cloud(world, monkeypatch)


def properties(cloud: Cloud, declared: Declared) -> dict[str, Json]:
    part = cloud.world.deploy(f"reviewers-{len(declared.people)}.json", declared.to_dict())
    return {"Reviewers": {"uri": part.uri, "sha256": part.sha256}}


def declare(cloud: Cloud, declared: Declared, kind: str = "Create", **more: Json) -> dict[str, Json]:
    told = {"ResourceType": KIND, "StackId": PIPELINE, "LogicalResourceId": "ReviewersDeclared", **more}
    return cloud.ask(kind, ResourceProperties=properties(cloud, declared), **told)


def update(cloud: Cloud, old: Declared, new: Declared, **more: Json) -> dict[str, Json]:
    told = {"OldResourceProperties": properties(cloud, old), "PhysicalResourceId": "declared-reviewers"}
    return declare(cloud, new, "Update", **told, **more)


def counted() -> Declared | None:
    return DynamoDeclarations(real("dynamodb.resource").Table(RELEASES)).declared()


def failed(answer: dict[str, Json], *said: str) -> None:
    assert answer["Status"] == "FAILED"
    for part in said:
        assert part in answer["Reason"]


def test_reviewers_are_declared_and_changed_by_the_pipelines_stack(cloud: Cloud) -> None:
    assert counted() is None
    first = declare(cloud, ONE)
    assert (first["Status"], first["Data"]["Said"]) == ("SUCCESS", "1 reviewers are declared")
    assert first["PhysicalResourceId"] == "declared-reviewers"
    assert counted() == ONE
    assert update(cloud, ONE, BOTH)["Status"] == "SUCCESS"
    assert counted() == BOTH
    again = update(cloud, ONE, BOTH)
    assert again["Data"]["Said"] == "these 2 reviewers are declared already"
    back = update(cloud, BOTH, ONE, status="UPDATE_ROLLBACK_IN_PROGRESS")
    assert (back["Status"], counted()) == ("SUCCESS", ONE)


def test_who_is_declared_stays_so_when_the_resource_goes(cloud: Cloud) -> None:
    """A resource with another logical id declares before the old one is deleted."""
    declare(cloud, BOTH)
    declare(cloud, ONE, LogicalResourceId="Other")
    gone = declare(cloud, BOTH, "Delete", PhysicalResourceId="declared-reviewers")
    assert (gone["Status"], counted()) == ("SUCCESS", ONE)


@pytest.mark.parametrize("name", ["team-a", f"{DEPLOYMENT}-pipeline2", f"x-{DEPLOYMENT}-pipeline", "lane"])
@pytest.mark.parametrize("kind", ["Create", "Delete"])
def test_no_other_stack_declares_anybody(cloud: Cloud, name: str, kind: str) -> None:
    declare(cloud, ONE)
    told = {"StackId": STACK.replace("team-a", name), "PhysicalResourceId": "declared-reviewers"}
    failed(declare(cloud, BOTH, kind, **told), f"the stack {name} may not declare reviewers", "reviewers.yaml")
    assert counted() == ONE


def test_nobody_is_declared_by_a_request_that_cloudformation_does_not_confirm(cloud: Cloud) -> None:
    declare(cloud, ONE)
    quiet = declare(cloud, BOTH, status="UPDATE_COMPLETE")
    failed(quiet, "CloudFormation does not confirm this request", "it is not being deployed")
    failed(declare(cloud, BOTH, shown="UPDATE_COMPLETE"), "in UPDATE_COMPLETE")
    assert counted() == ONE


def test_an_old_request_that_comes_late_changes_nothing(cloud: Cloud) -> None:
    declare(cloud, ONE)
    first = cloud.asked[-1]
    update(cloud, ONE, BOTH)
    late = {k: v for k, v in first.items() if k != "RequestType"}
    failed(cloud.ask("Create", **late), "was carried out already, and the reviewers changed since")
    failed(update(cloud, Declared((BOB,)), ONE), "starts from reviewers who no longer count")
    assert counted() == BOTH


def test_what_was_written_over_since_or_declares_nobody_exactly_is_refused(cloud: Cloud) -> None:
    declare(cloud, ONE)
    asked = properties(cloud, BOTH)
    key = asked["Reviewers"]["uri"].rpartition("/")[2]
    real("s3").put_object(Bucket=ASSETS, Key=key, Body=b"{}")
    told = {"ResourceType": KIND, "StackId": PIPELINE, "LogicalResourceId": "ReviewersDeclared"}
    failed(cloud.ask("Create", ResourceProperties=asked, **told), "somebody wrote it since")
    for content, said in (({"ann": {}}, "ann: must have an email"), ({"ann": {"email": "x"}}, "ann.email")):
        part = cloud.world.deploy("wrong.json", content)
        wrong = {"Reviewers": {"uri": part.uri, "sha256": part.sha256}}
        failed(cloud.ask("Create", ResourceProperties=wrong, **told), said)
    nothing: tuple[Json, ...] = ({}, {"Reviewers": "ann"}, {"Reviewers": {"uri": "http://x", "sha256": "y"}})
    for wrong in nothing:
        failed(cloud.ask("Create", ResourceProperties=wrong, **told), "ResourceProperties.Reviewers.uri")
    failed(cloud.ask("Replace", ResourceProperties=asked, **told), "no request of CloudFormation")
    assert counted() == ONE


NAMED = Policy.from_dict({**POLICY.to_dict(), "review": {**POLICY.to_dict()["review"], "reviewers": ["ann", "bob"]}})


def test_a_policy_is_enrolled_while_everybody_it_names_is_declared(cloud: Cloud) -> None:
    failed(cloud.create(NAMED), "support: review.reviewers[0]: 'ann' is no reviewer: this deployment declares none")
    declare(cloud, ONE)
    failed(
        cloud.create(NAMED), "support: review.reviewers[1]: 'bob' is no reviewer of this deployment; name one of ann"
    )
    update(cloud, ONE, BOTH)
    assert cloud.create(NAMED)["Status"] == "SUCCESS"
    assert cloud.counts == NAMED
    # Who is declared no longer keeps no stack from its rollback.
    update(cloud, BOTH, ONE)
    cloud.update(NAMED, NAMED)
    assert cloud.counts == NAMED


def test_the_floor_asks_about_those_whom_the_names_stand_for(cloud: Cloud) -> None:
    declare(cloud, BOTH)
    cloud.floor = '{"review": {"reviewers": ["*@example.org"]}}'
    failed(cloud.create(NAMED), "'ann@example.com' is none of the platform floor's reviewers")
    cloud.floor = '{"review": {"self_approval": false}}'
    failed(cloud.create(NAMED), "'bob' has none, so nobody could tell")


def test_a_release_captures_the_reviewers_of_its_admission(cloud: Cloud) -> None:
    declare(cloud, BOTH)
    cloud.create(NAMED)
    world = cloud.world
    world.publish(2)
    world.start(2)
    world.function("admit").handle({"release_id": RELEASE}, Context())
    record = world.releases.get(RELEASE)
    enrolled, _ = cloud.enrolments.capture(PROMPT)
    assert record.policy_sha256 != enrolled
    assert cloud.enrolments.policy(record.policy_sha256) == BOTH.resolve(NAMED)
    ((_, _, told),) = world.entries(RELEASE)
    assert (told["policy"], told["enrolled_policy"]) == (record.policy_sha256, enrolled)


def test_a_reviewer_whom_others_may_act_as_is_declared_by_nobody_but_a_rollback(cloud: Cloud) -> None:
    """The synth says so too, but what is deployed may have been synthesized by another."""
    shared = f"arn:aws:iam::{ACCOUNT}:role/{DEPLOYMENT}-access-ReviewerRoleA1-B2"
    anybody = Declared((ANN, Reviewer("bob", "bob@example.com", principals=(shared,))))
    declare(cloud, ONE)
    failed(update(cloud, ONE, anybody), f"bob: is named by {shared}", "docs/access.md")
    assert counted() == ONE
    assert update(cloud, ONE, anybody, status="UPDATE_ROLLBACK_IN_PROGRESS")["Status"] == "SUCCESS"
