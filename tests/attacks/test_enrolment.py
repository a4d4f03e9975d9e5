"""The policy that counts for a prompt, changed by somebody who deploys nothing, or below what the platform asks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from promptlane.aws import enrolment as stored
from promptlane.aws.enrolment import DynamoRegister
from promptlane.domain.enrolment import floor as floors
from promptlane.domain.enrolment.enrolment import Mark
from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.errors import PromptlaneError
from promptlane.domain.policy import Policy
from promptlane.engine.parse import parse
from promptlane.engine.suite import facts
from promptlane.lifecycle import enrol as enrolling
from promptlane.lifecycle.enrol import Enrolling
from promptlane.lifecycle.stack_requests import Witness
from tests.support.attacks import anything, attack, patched, together
from tests.support.enrolling import KIND, LAX, OTHER, STACK, Cloud, clouds
from tests.support.functions import ASSETS, POLICY, REPORTS, SUITE, Context, real
from tests.support.prompt import PROMPT, RELEASE

Json = Any
SWAPPED, SIDE_DOOR, TAKEN, OLD, BELOW = (
    "the policy swapped without a deployment",
    "enrolling past CloudFormation",
    "another stack's prompt",
    "an old request that arrives late",
    "a policy below the platform floor",
)
_NUMBERS = itertools.count()


# the stored copies


def _body(policy: Policy) -> bytes:
    return json.dumps(policy.to_dict()).encode()


@attack(
    "the copy that releases read is replaced before a release is admitted",
    kind=SWAPPED,
    without=patched(stored, "unaltered", lambda body, sha256: True),
)
def test_copy_replaced() -> bool:
    with clouds() as cloud:
        cloud.create()
        sha256 = cloud.enrolments.capture(PROMPT)[0]
        real("s3").put_object(Bucket=REPORTS, Key=f"config/{sha256}.json", Body=_body(LAX))
        cloud.world.publish(2)
        cloud.world.start(2)
        try:
            cloud.world.function("admit").handle({"release_id": RELEASE}, Context())
        except PromptlaneError:
            return False
        return bool(cloud.enrolments.policy(cloud.world.releases.get(RELEASE).policy_sha256) == LAX)


@attack(
    "the suite is replaced between its capture and the tests",
    kind=SWAPPED,
    without=patched(stored, "unaltered", lambda body, sha256: True),
)
def test_suite_replaced() -> bool:
    with clouds() as cloud:
        cloud.create()
        sha256 = cloud.enrolments.capture(PROMPT)[1]
        easy = {"tests": SUITE["tests"][:1]}
        real("s3").put_object(Bucket=REPORTS, Key=f"config/{sha256}.json", Body=json.dumps(easy).encode())
        try:
            return cloud.enrolments.suite(sha256) == easy
        except PromptlaneError:
            return False


@attack(
    "the deployed file is replaced before CloudFormation gets to it",
    kind=SWAPPED,
    without=patched(stored, "unaltered", lambda body, sha256: True),
)
def test_asset_replaced_before() -> bool:
    with clouds() as cloud:
        properties = cloud.properties()
        key = properties["Policy"]["uri"].rpartition("/")[2]
        real("s3").put_object(Bucket=ASSETS, Key=key, Body=_body(LAX))
        return bool(cloud.ask("Create", ResourceProperties=properties)["Status"] == "SUCCESS")


# past CloudFormation


def _confirmed() -> Any:
    return patched(Witness, "confirmed", lambda self, asked, resource_type: "UPDATE_IN_PROGRESS")


def _forged(cloud: Cloud, kind: str = "Update", **changed: Json) -> dict[str, Json]:
    """Sent by somebody who may invoke the function, about a stack that does nothing at the moment."""
    return cloud.send(
        {
            "RequestType": kind,
            "ResponseURL": "https://attacker.example/answer",
            "StackId": STACK,
            "RequestId": f"forged-{next(_NUMBERS):06d}",
            "LogicalResourceId": "EnrolSupport",
            "ResourceType": KIND,
            "PhysicalResourceId": f"enrolled:{PROMPT}",
            "OldResourceProperties": cloud.properties(),
            "ResourceProperties": cloud.properties(LAX),
            **changed,
        }
    )


@attack("a forged update in the owner's name", kind=SIDE_DOOR, without=_confirmed())
def test_forged_update() -> bool:
    with clouds() as cloud:
        cloud.create()
        _forged(cloud)
        return cloud.counts == LAX


@attack("a forged deletion drops the events of a prompt", kind=SIDE_DOOR, without=_confirmed())
def test_forged_delete() -> bool:
    with clouds() as cloud:
        cloud.create()
        _forged(cloud, "Delete")
        return cloud.counts is None


@attack("a forged creation in the name of a stack that does not exist", kind=SIDE_DOOR, without=_confirmed())
def test_forged_stack() -> bool:
    with clouds() as cloud:
        return bool(_forged(cloud, "Create", StackId=STACK.replace("team-a", "nobody"))["Status"] == "SUCCESS")


@attack(
    "a forged update while the owner's stack changes something else",
    kind=SIDE_DOOR,
    without=_confirmed(),
)
def test_forged_while_the_stack_is_at_work() -> bool:
    with clouds() as cloud:
        cloud.create()
        cloud.world.stacks.stacks[STACK] = "UPDATE_IN_PROGRESS"
        _forged(cloud)
        return cloud.counts == LAX


@attack(
    "a forged creation by a resource of another type, in a stack of the attacker's own",
    kind=SIDE_DOOR,
    without=_confirmed(),
)
def test_forged_resource() -> bool:
    with clouds() as cloud:
        cloud.world.stacks.stacks[OTHER] = "CREATE_IN_PROGRESS"
        cloud.world.stacks.show(OTHER, "Mine", "AWS::SNS::Topic", "CREATE_IN_PROGRESS")
        return bool(_forged(cloud, "Create", StackId=OTHER, LogicalResourceId="Mine")["Status"] == "SUCCESS")


# another stack's name, and old requests


@attack("a stack takes the name of another's prompt", kind=TAKEN, without=patched(Enrolling, "_given_up", anything))
def test_name_taken() -> bool:
    with clouds() as cloud:
        cloud.create()
        cloud.create(LAX, StackId=OTHER)
        return cloud.counts == LAX


@attack(
    "a stack takes a name while its owner is being deployed",
    kind=TAKEN,
    without=patched(Enrolling, "_given_up", anything),
)
def test_name_taken_while_its_owner_works() -> bool:
    with clouds() as cloud:
        cloud.create()
        cloud.world.stacks.show(STACK, "EnrolSupport", KIND, "UPDATE_IN_PROGRESS", "enrolled:support")
        cloud.create(LAX, StackId=OTHER)
        return cloud.counts == LAX


@attack(
    "a resource of an own stack is renamed to another's prompt",
    kind=TAKEN,
    without=patched(Enrolling, "_given_up", anything),
)
def test_renamed_to_anothers() -> bool:
    with clouds() as cloud:
        cloud.create()
        mine = {"StackId": OTHER, "LogicalResourceId": "Mine"}
        cloud.create(LAX, name="mine", **mine)
        cloud.update(LAX, LAX, PhysicalResourceId="enrolled:mine", **mine)
        return cloud.counts == LAX


def _forgetful() -> Any:
    """A register that keeps no marks of what was done."""
    write = DynamoRegister._write

    def unmarked(self: DynamoRegister, was: Any, becomes: Any, mark: Mark) -> None:
        write(self, was, becomes, replace(mark, asked=replace(mark.asked, request=f"other-{next(_NUMBERS)}")))

    return together(
        patched(DynamoRegister, "done", lambda self, name, request: False), patched(DynamoRegister, "_write", unmarked)
    )


@attack("an update that was carried out and taken back is delivered again", kind=OLD, without=_forgetful())
def test_replayed_update() -> bool:
    with clouds() as cloud:
        cloud.create()
        cloud.update(POLICY, LAX)
        old = cloud.asked[-1]
        cloud.update(LAX, POLICY)
        cloud.ask(old.pop("RequestType"), **old)
        return cloud.counts == LAX


@attack("a creation is delivered again after the prompt was given up", kind=OLD, without=_forgetful())
def test_replayed_creation() -> bool:
    with clouds() as cloud:
        cloud.create(LAX)
        old = cloud.asked[-1]
        cloud.delete()
        cloud.ask(old.pop("RequestType"), **old)
        return cloud.counts == LAX


@attack(
    "an update that was never delivered arrives after newer ones",
    kind=OLD,
    without=patched(enrolling, "_overtaken", lambda asked, mine: False),
)
def test_late_update() -> bool:
    with clouds() as cloud:
        strict = replace(POLICY, review=replace(POLICY.review, expires_after=90_000.0))
        cloud.create()
        cloud.update(POLICY, strict)
        cloud.update(POLICY, LAX)
        return cloud.counts == LAX


# below the floor

FLOOR = {
    "review": {"quorum": 2, "reviewers": ["*@example.com"], "self_approval": False},
    "tests": {"cases": 2, "repeats": 2, "min_pass_rate": "80%", "margin": "5%", "inconclusive": "block"},
    "canary": {"bake": "10m", "first_step": "10%"},
    "watch": {"for": "1h"},
}
_ARN = "arn:aws:iam::111122223333"
GOOD: dict[str, Json] = {
    "review": {
        "quorum": 2,
        "reviewers": [
            {"name": "Alice", "email": "alice@example.com", "principals": [f"{_ARN}:user/alice"]},
            {"name": "Bob", "email": "bob@example.com", "principals": [f"{_ARN}:role/Bob"]},
        ],
    },
    "tests": {"repeats": 2, "margin": "5%", "min_pass_rate": "80%", "inconclusive": "block"},
    "canary": {"steps": [{"weight": "10%", "min_bake": "5m"}, {"weight": "50%", "min_bake": "5m"}]},
    "watch": {"for": "1h"},
}


def _alice(**second: Json) -> dict[str, Json]:
    """Alice, and somebody who is Alice again."""
    other = {"name": "Bob", "email": "bob@example.com", "principals": [f"{_ARN}:role/Bob"], **second}
    return {"review": {**GOOD["review"], "reviewers": [GOOD["review"]["reviewers"][0], other]}}


def _steps(*steps: tuple[str, str]) -> dict[str, Json]:
    return {"canary": {"steps": [{"weight": weight, "min_bake": bake} for weight, bake in steps]}}


LOW: dict[str, Mapping[str, Json]] = {
    "a quorum of one": {"review": {**GOOD["review"], "quorum": 1}},
    "a quorum of none": {"review": {**GOOD["review"], "quorum": 0}},
    "a reviewer of another domain": _alice(email="bob@example.org"),
    "a reviewer of a domain that ends alike": _alice(email="bob@notexample.com"),
    "a reviewer of a domain that begins alike": _alice(email="bob@example.com.example.org"),
    "a Cyrillic letter in the domain": _alice(email="bob@ex\u0430mple.com"),
    "a full-width domain": _alice(email="bob@\uff45xample.com"),
    "two addresses in one": _alice(email="bob,mallory.example.org/x@example.com"),
    "the same mailbox with a tag": _alice(email="alice+two@example.com"),
    "one person under two names by a role": _alice(principals=[f"{_ARN}:user/a*"]),
    "a reviewer who is told by nothing": _alice(principals=[]),
    "unknown authors allowed": {"review": {**GOOD["review"], "unattributed": "allow"}},
    "one repeat": {"tests": {**GOOD["tests"], "repeats": 1}},
    "no repeat": {"tests": {**GOOD["tests"], "repeats": 0}},
    "a pass rate of nothing": {"tests": {**GOOD["tests"], "min_pass_rate": 0}},
    "a margin of everything": {"tests": {**GOOD["tests"], "margin": "49%"}},
    "inconclusive tests to the reviewers": {"tests": {**GOOD["tests"], "inconclusive": "review"}},
    "bakes of nothing": _steps(("10%", "0s"), ("50%", "0s")),
    "bakes that are a blink too short": _steps(("10%", "5m"), ("50%", "299s")),
    "nearly everything at once": {**_steps(("95%", "10m")), "watch": {"for": "1h", "holdback": "5%"}},
    "no watch": {"watch": {"for": "0s"}},
}


_lax = patched(Floor, "breaches", lambda self, policy, suite: [])


@pytest.mark.parametrize("name", [n for n in LOW if not n.endswith(("of none", "no repeat"))])
@attack("a team deploys less than the platform asks", kind=BELOW, without=_lax)
def test_below_the_floor(name: str) -> bool:
    with clouds() as cloud:
        cloud.floor = json.dumps(FLOOR)
        policy = Policy.from_dict({**GOOD, **LOW[name]})
        return bool(cloud.create(policy)["Status"] == "SUCCESS")


@pytest.mark.parametrize("name", ["a quorum of one", "no watch", "the same mailbox with a tag"])
@attack("a policy that was enrolled before the floor was raised starts a release", kind=BELOW, without=_lax)
def test_below_a_floor_that_was_raised(name: str) -> bool:
    with clouds() as cloud:
        cloud.create(Policy.from_dict({**GOOD, **LOW[name]}))
        cloud.world.publish(2)
        cloud.world.start(2)
        function = cloud.world.function("admit", PLATFORM_FLOOR=json.dumps(FLOOR))
        try:
            function.handle({"release_id": RELEASE}, Context())
        except PromptlaneError:
            return False
        return True


_no_tests_floor = patched(floors, "_tests", lambda floor, policy, suite: iter(()))


@attack("a suite asks the same question again and again", kind=BELOW, without=_no_tests_floor)
def test_one_question() -> bool:
    asked = [{**SUITE["tests"][0], "id": f"n{n}", "assert": [{"type": "contains", "value": str(n)}]} for n in range(5)]
    return (
        Floor.from_dict({"tests": {"cases": 2}}).breaches(Policy.from_dict(GOOD), facts(parse({"tests": asked}))) == []
    )


@attack("a suite says fewer repeats than its policy", kind=BELOW, without=_no_tests_floor)
def test_a_suite_with_repeats_of_its_own() -> bool:
    once = facts(parse({**SUITE, "repeats": 1}))
    return Floor.from_dict({"tests": {"repeats": 2}}).breaches(Policy.from_dict(GOOD), once) == []


def test_what_the_attacks_lower_is_high_enough() -> None:
    assert Floor.from_dict(FLOOR).breaches(Policy.from_dict(GOOD), SuiteFacts(2)) == []
