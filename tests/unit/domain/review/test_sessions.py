"""Which principals name whoever takes on a shared role, however they are written."""

from __future__ import annotations

import pytest

from promptlane.domain.policy import Reviewer
from promptlane.domain.review.review import acts_as
from promptlane.domain.review.sessions import shared_sessions

ACCOUNT = "111122223333"
BOB = f"arn:aws:sts::{ACCOUNT}:assumed-role/lane-access-ReviewerRoleA1-B2/bob"


@pytest.mark.parametrize(
    "resource",
    [
        "sts::{}:assumed-role/lane-access-ReviewerRoleA1-B2/bob",
        "sts::{}:assumed-role/lane-access-ReviewerRoleA1-B2/*",
        "sts::{}:assumed-role/lane-acc*",
        "sts::{}:a*",
        "iam::{}:role/lane-access-ReviewerRoleA1-B2",
        "iam::{}:role/team/lane-access-ReviewerRoleA1-B2",
        "iam::{}:role/lane*",
        "iam::{}:role/*",
    ],
)
def test_what_a_session_of_a_shared_role_acts_as_names_nobody(resource: str) -> None:
    principal = f"arn:aws:{resource.format(ACCOUNT)}"
    assert acts_as(principal, BOB)
    ((name, says),) = shared_sessions([Reviewer("bob", "bob@example.com", principals=(principal,))], "lane")
    assert name == "bob"
    assert principal in says


@pytest.mark.parametrize(
    "resource",
    [
        "sts::{}:assumed-role/AWSReservedSSO_Reviewers_1f/bob",
        "sts::{}:assumed-role/lane2-access-ReviewerRoleA1-B2/bob",
        "iam::{}:user/lane-access-bob",
        "iam::{}:user/*",
        "iam::{}:role/bob",
    ],
)
def test_what_is_somebodys_own_names_them(resource: str) -> None:
    principal = f"arn:aws:{resource.format(ACCOUNT)}"
    assert not acts_as(principal, BOB)
    assert shared_sessions([Reviewer("bob", "bob@example.com", principals=(principal,))], "lane") == []
