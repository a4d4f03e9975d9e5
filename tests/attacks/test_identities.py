"""Somebody passes for another: by the name of a session, by a message's own word, by an address that looks the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptlane.domain import policy
from promptlane.domain.errors import PolicyInvalid
from promptlane.domain.policy import Policy
from promptlane.domain.release import identity, trigger
from promptlane.domain.review.review import reviewer_key
from tests.support.attacks import attack, patched, together

KIND = "whose name stands under an act"
ACCOUNT, REGION = "111122223333", "eu-west-1"
BOSS = f"arn:aws:sts::{ACCOUNT}:assumed-role/Operators/boss"
MALLORY = "AROAMALLORYSROLE00001:boss"


def _whole(text: str, limit: int) -> str:
    return text


UNBOUND = together(patched(identity, "one_line", _whole), patched(trigger, "one_line", _whole))


def _as_said(sender: str, says: str) -> str:
    return says


def _request(sender: str, says: str) -> str:
    message = {"source": "promptlane.request", "prompt": "support", "version": 4, "requested_by": says}
    return trigger.read(json.loads(json.dumps(message)), account=ACCOUNT, region=REGION, sender=sender).requested_by


@pytest.mark.parametrize(
    "sender",
    [MALLORY, "AROAMALLORYSROLE00001:mallory", "AIDAMALLORY0000000001", "", ACCOUNT],
    ids=["in a session of that name", "in another session", "as a user", "without a sender", "as an account"],
)
@attack("a release is asked for in another's name", kind=KIND, without=patched(identity, "sent", _as_said))
def test_ask_in_anothers_name(sender: str) -> bool:
    return _request(sender, BOSS).startswith(BOSS)


@attack(
    "a claim closes its own quotes and goes on as if AWS had said it",
    kind=KIND,
    without=patched(identity, "sent", lambda sender, says: f'role {sender.partition(":")[0]} (says "{says}")'),
)
def test_claim_that_ends_itself() -> bool:
    forged = 'nothing") role AROABOSSROLEID000001 (session "boss'
    return 'role AROABOSSROLEID000001 (session "boss")' in _request("AROAMALLORYSROLE00001:mallory", forged)


@attack("a claim takes a line of its own", kind=KIND, without=UNBOUND)
def test_claim_in_a_line_of_its_own() -> bool:
    return len(_request(MALLORY, f"x\n{BOSS}").splitlines()) > 1


@attack("a claim fills the screen", kind=KIND, without=UNBOUND)
def test_claim_without_end() -> bool:
    return len(_request(MALLORY, "x" * 100_000)) > 1_000


@attack("a publication's event names a session after somebody", kind=KIND, without=patched(identity, "vouched", str))
def test_session_named_after_somebody() -> bool:
    detail = {
        "eventSource": "bedrock.amazonaws.com",
        "eventName": "CreatePromptVersion",
        "awsRegion": REGION,
        "requestParameters": {"promptIdentifier": "PROMPT0001"},
        "userIdentity": {"arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Anybody/boss"},
    }
    event = {"detail-type": "AWS API Call via CloudTrail", "account": ACCOUNT, "detail": detail}
    return trigger.read(event, account=ACCOUNT, region=REGION).requested_by.endswith("/boss")


def _reviewers(*emails: str) -> dict[str, Any]:
    return {"review": {"reviewers": [{"name": f"R{i}", "email": e} for i, e in enumerate(emails)], "quorum": 2}}


@pytest.mark.parametrize(
    "other",
    ["Ana@example.com", "ANA@EXAMPLE.COM"],
)
@attack("one person holds two votes, as two reviewers of one key", kind=KIND, without=patched(policy, "folded", str))
def test_two_votes(other: str) -> bool:
    try:
        found = Policy.from_dict(_reviewers("ana@example.com", other))
    except PolicyInvalid:
        return False
    return len({reviewer_key(r.email) for r in found.review.reviewers}) < len(found.review.reviewers)


@pytest.mark.parametrize("other", ["A\uff4ea", "ANA", "A na"])
@attack("a reviewer is named as another is to the eye", kind=KIND, without=patched(policy, "folded", str))
def test_two_of_one_name(other: str) -> bool:
    data = _reviewers("ana@example.com", "bo@example.com")
    for reviewer, name in zip(data["review"]["reviewers"], ("Ana", other), strict=True):
        reviewer["name"] = name
    try:
        return len(Policy.from_dict(data).review.reviewers) == 2
    except PolicyInvalid:
        return False
