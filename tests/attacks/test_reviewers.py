"""Somebody who is no reviewer makes themselves one, or goes on as one after they left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from promptlane.domain.errors import PromptlaneError
from promptlane.domain.policy import Reviewer, ReviewPolicy
from promptlane.domain.review import declared as declaring_rules
from promptlane.domain.review.declared import Declared
from promptlane.domain.review.link import Link
from promptlane.domain.review.visit import Origin
from promptlane.lifecycle.declare import Declaring
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.lifecycle.stack_requests import Witness
from tests.support.attacks import anything, attack, patched
from tests.support.enrolling import STACK, Cloud, clouds
from tests.support.functions import DEPLOYMENT, POLICY
from tests.support.review import LEAD, LEGAL, QUALITY, RELEASE, UnderReview, key

LEFT, SELF_MADE = "a reviewer who left", "a reviewer whom nobody declared"
MALLORY = Reviewer("mallory", "mallory@example.com", principals=("arn:aws:iam::111122223333:user/mallory",))
ANN = Reviewer("ann", "ann@example.com")
PIPELINE = STACK.replace("team-a", f"{DEPLOYMENT}-pipeline")
CALLER = Origin("203.0.113.7")


def _declare(cloud: Cloud, *people: Reviewer, stack: str = PIPELINE, **more: Any) -> bool:
    declared = Declared(people).to_dict()
    part = cloud.world.deploy(f"{'-'.join(declared)}.json", declared)
    asked = {"StackId": stack, "LogicalResourceId": "Declared", "ResourceType": "Custom::PromptlaneReviewers", **more}
    answer = cloud.ask("Create", ResourceProperties={"Reviewers": part.to_dict()}, **asked)
    return bool(answer["Status"] == "SUCCESS")


@attack("a team's stack declares its own reviewers", kind=SELF_MADE, without=patched(Declaring, "_ours", anything))
def test_declared_by_a_team() -> bool:
    with clouds() as cloud:
        _declare(cloud, ANN)
        return _declare(cloud, ANN, MALLORY, stack=STACK)


@attack(
    "a reviewer is declared in the Pipeline stack's name while it does nothing",
    kind=SELF_MADE,
    without=patched(Witness, "confirmed", lambda self, asked, resource_type: "UPDATE_IN_PROGRESS"),
)
def test_declared_past_cloudformation() -> bool:
    with clouds() as cloud:
        _declare(cloud, ANN)
        return _declare(cloud, ANN, MALLORY, status="UPDATE_COMPLETE")


@attack(
    "a team's policy brings a reviewer with an address of its own",
    kind=SELF_MADE,
    without=patched(declaring_rules.Declared, "resolve", lambda self, policy: policy),
)
def test_brought_by_a_policy() -> bool:
    with clouds() as cloud:
        _declare(cloud, ANN)
        own = replace(POLICY, review=replace(POLICY.review, reviewers=(MALLORY,), quorum=1, required_groups=()))
        return bool(cloud.create(own)["Status"] == "SUCCESS")


@attack(
    "a team's policy puts a reviewer of its own into a group of the deployment's",
    kind=SELF_MADE,
    without=patched(declaring_rules.Declared, "_wrong", lambda self, given, found: []),
)
def test_put_into_a_group() -> bool:
    legal = Reviewer("lea", "lea@example.com", ("legal",))
    with clouds() as cloud:
        _declare(cloud, ANN, legal)
        helper = replace(ANN, email="", groups=("legal",))
        own = replace(POLICY, review=replace(POLICY.review, reviewers=(helper,), quorum=1, required_groups=("legal",)))
        return bool(cloud.create(own)["Status"] == "SUCCESS")


def _open() -> UnderReview:
    world = UnderReview(ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=1))
    world.directory.found = Declared((LEAD, QUALITY, LEGAL))
    world.ask()
    return world


def _everybody(self: ReviewDesk, reviewers: Any) -> list[Any]:
    return list(reviewers)


def _by_identity(world: UnderReview, arn: str) -> bool:
    try:
        return world.desk.decide_by_identity(
            RELEASE,
            arn=arn,
            choice="approve",
            reason="Read it",
            caller=CALLER,
            fingerprint=world.request.candidate.fingerprint,
        ).fresh
    except PromptlaneError:
        return False


@attack(
    "somebody who left approves by the link they kept",
    kind=LEFT,
    without=patched(ReviewDesk, "as_declared", _everybody),
)
def test_left_by_link() -> bool:
    world = _open()
    link = Link(RELEASE, 1, key(LEAD), int(world.request.expires_at))
    world.directory.found = Declared((QUALITY, LEGAL))
    visit = world.desk.enter(RELEASE, link.token(world.signer.sign(link.message)))
    done = world.desk.decide_by_link(visit, choice="approve", code=world.code(), reason="Read it", caller=CALLER)
    return done.fresh


@attack("somebody who left approves by identity", kind=LEFT, without=patched(ReviewDesk, "as_declared", _everybody))
def test_left_by_identity() -> bool:
    world = _open()
    world.directory.found = Declared((QUALITY, LEGAL))
    return _by_identity(world, LEAD.principals[0])


@attack(
    "a role that was taken from a reviewer approves in their name",
    kind=LEFT,
    without=patched(ReviewDesk, "_still_acts_as", lambda self, reviewer, arn: True),
)
def test_lost_principal() -> bool:
    world = _open()
    world.directory.found = Declared((replace(LEAD, principals=()), QUALITY, LEGAL))
    return _by_identity(world, LEAD.principals[0])
