"""What AWS vouches for and what somebody says, told apart in one line that no claim can imitate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.release.identity import MAX_CLAIM, known, sent, vouched

ROLE = "arn:aws:sts::111122223333:assumed-role"
SENDER = "AROAEXAMPLEROLEID0001:ada"


@pytest.mark.parametrize(
    ("arn", "told"),
    [
        (f"{ROLE}/Operators/ada", f'{ROLE}/Operators (session "ada")'),
        (f"{ROLE}/Operators/boss@example.com", f'{ROLE}/Operators (session "boss@example.com")'),
        (
            "arn:aws-us-gov:sts::111122223333:assumed-role/R/xy",
            'arn:aws-us-gov:sts::111122223333:assumed-role/R (session "xy")',
        ),
        (
            f"{ROLE}/AWSReservedSSO_Operators_0123/ada@example.com",
            f"{ROLE}/AWSReservedSSO_Operators_0123/ada@example.com",
        ),
        ("arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/ada"),
        ("arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root"),
        ("x" * 181, "x" * 179 + "\u2026"),
    ],
)
def test_the_name_of_a_session_is_its_holders_choice_but_in_identity_center(arn: str, told: str) -> None:
    assert vouched(arn) == told


@pytest.mark.parametrize(
    ("sender", "told", "is_known"),
    [
        (SENDER, 'role AROAEXAMPLEROLEID0001 (session "ada"; says "I")', True),
        ("AIDAEXAMPLEUSERID0001", 'user AIDAEXAMPLEUSERID0001 (says "I")', True),
        ("111122223333", 'unknown (says "I")', False),
        ("", 'unknown (says "I")', False),
        ("AROAEXAMPLEROLEID0001:", 'unknown (says "I")', False),
        ('AROAEXAMPLEROLEID0001:x" boss', 'unknown (says "I")', False),
    ],
)
def test_a_sender_is_named_as_the_queue_knows_it(sender: str, told: str, is_known: bool) -> None:
    assert (sent(sender, "I"), known(sender)) == (told, is_known)


@given(st.text(max_size=2_000))
def test_a_claim_stays_between_its_quotes_on_one_line_and_short(says: str) -> None:
    told = sent(SENDER, says)
    before, after = 'role AROAEXAMPLEROLEID0001 (session "ada"; says "', '")'
    assert (told[: len(before)], told[-2:]) == (before, after)
    claim = told[len(before) : -2]
    assert not set(claim) & {'"', "\n", "\r", "\u2028"}
    assert len(claim) <= MAX_CLAIM
