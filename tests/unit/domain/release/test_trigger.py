"""What a message of the intake queue asks for, read whole."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput, NotApplicable, PromptlaneError
from promptlane.domain.release.trigger import ReleaseRequest, read

ACCOUNT, REGION = "111122223333", "eu-west-1"
ARN = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:prompt/PROMPT0001"
ADA = f"arn:aws:sts::{ACCOUNT}:assumed-role/Author/ada"
VOUCHED = f'arn:aws:sts::{ACCOUNT}:assumed-role/Author (session "ada")'
EXPLICIT = {
    "source": "promptlane.request",
    "prompt": "support",
    "version": 4,
    "requested_by": ADA,
    "explicit": True,
    "request_id": "req-1",
}
DETAIL = {
    "eventSource": "bedrock.amazonaws.com",
    "eventName": "CreatePromptVersion",
    "awsRegion": REGION,
    "requestParameters": {"promptIdentifier": "PROMPT0001"},
    "responseElements": {"version": "7"},
    "userIdentity": {"arn": ADA},
    "eventID": "event-1",
}
MISSING = object()
RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[3] / "events/create-prompt-version.json").read_text())


def event(**changes: Any) -> dict[str, Any]:
    detail = {k: v for k, v in {**DETAIL, **changes}.items() if v is not MISSING}
    return {"detail-type": "AWS API Call via CloudTrail", "account": ACCOUNT, "detail": detail}


def asked(**changes: Any) -> dict[str, Any]:
    return {k: v for k, v in {**EXPLICIT, **changes}.items() if v is not MISSING}


def taken(message: Any, sender: str = "") -> ReleaseRequest:
    return read(message, account=ACCOUNT, region=REGION, sender=sender)


def test_an_explicit_request_is_read_whole() -> None:
    assert taken(EXPLICIT) == ReleaseRequest(
        "support", 4, f'unknown (says "{ADA}")', explicit=True, request_id="req-1", sent_by=""
    )


def test_a_request_that_says_only_what_it_must() -> None:
    plain = ReleaseRequest(
        prompt=ARN, version=99_999, requested_by='unknown (says "unknown")', explicit=False, request_id="", sent_by=""
    )

    assert taken({"source": "promptlane.request", "prompt": ARN, "version": "99999"}) == plain
    assert taken(asked(prompt=ARN, version="99999", requested_by="", explicit="true", request_id=None)) == plain
    assert ReleaseRequest(ARN, 99_999, plain.requested_by) == plain


def test_an_event_is_read_whole() -> None:
    assert taken(event()) == ReleaseRequest("PROMPT0001", 7, VOUCHED, explicit=False, request_id="event-1", sent_by="")


def test_a_recorded_event_is_read_without_its_response() -> None:
    request = read(RECORDED, account="111122223333", region="us-east-1")
    assert (request.prompt, request.version, request.explicit) == ("PROMPT0001", None, False)
    assert request.requested_by.endswith('PromptAuthor (session "release-pipeline")')


def test_the_other_service_that_may_sign_the_event_names_the_prompt_by_its_arn() -> None:
    other = event(eventSource="bedrock-agent.amazonaws.com", requestParameters={"promptIdentifier": ARN})
    assert taken(other) == ReleaseRequest(ARN, 7, VOUCHED, request_id="event-1")


def test_an_event_that_tells_little_is_of_this_deployment_and_of_nobody_known() -> None:
    message = event(awsRegion=MISSING, responseElements=MISSING, userIdentity=MISSING, eventID=MISSING)
    del message["account"]

    assert taken(message) == ReleaseRequest("PROMPT0001", None, "unknown")
    assert taken(event(userIdentity={}, eventID="")) == ReleaseRequest("PROMPT0001", 7, "unknown")
    assert taken(event(userIdentity={"arn": ""})).requested_by == "unknown"


@pytest.mark.parametrize("version", [None, "", "0", "DRAFT", "100000", "²", "-1", "9" * 5_000])
def test_what_is_no_version_number_is_looked_up_for_an_event_and_refused_in_a_request(version: Any) -> None:
    assert taken(event(responseElements={"version": version})).version is None
    with pytest.raises(InvalidInput, match=r"^'.*' is not a version number; DRAFT is never released"):
        taken(asked(version=version))


def test_a_request_without_a_version_says_so() -> None:
    with pytest.raises(InvalidInput, match=r"^'' is not a version number"):
        taken(asked(version=MISSING))


@pytest.mark.parametrize("version", [1, "1", 99_999])
def test_the_least_and_the_largest_version(version: Any) -> None:
    assert taken(asked(version=version)).version == int(version)
    assert taken(event(responseElements={"version": version})).version == int(version)


@pytest.mark.parametrize("session", ["ada", "sam"])
def test_who_sent_it_is_told_by_the_role_and_what_they_say_as_a_claim(session: str) -> None:
    """A session of any role may be named as that of another: agreeing with the message proves nothing."""
    sender = f"AROAEXAMPLEROLEID0001:{session}"
    role = f'role AROAEXAMPLEROLEID0001 (session "{session}"; says '
    asked_for = ReleaseRequest("support", 4, f'{role}"{ADA}")', True, "req-1", sent_by=sender)
    assert taken(EXPLICIT, sender) == asked_for
    quoted = VOUCHED.replace('"', "'")
    moved = ReleaseRequest("PROMPT0001", 7, f'{role}"{quoted}")', False, "event-1", sent_by=sender)
    assert taken(event(), sender) == moved


def test_a_user_who_sends_a_request_is_told_and_one_that_looks_like_eventbridge_is_not() -> None:
    user = "AIDAEXAMPLEUSERID0001"

    request = taken(asked(requested_by="x"), user)
    assert (request.requested_by, request.sent_by) == (f'user {user} (says "x")', user)
    assert taken(event(), user) == taken(event())
    assert taken(EXPLICIT, ACCOUNT) == taken(EXPLICIT), "a sender of which only the account is known"


@pytest.mark.parametrize(
    ("message", "error", "says"),
    [
        ("text", InvalidInput, "^the message is not a JSON object"),
        ({}, InvalidInput, "^the message is neither an AWS API call via CloudTrail nor a release request$"),
        (asked(prompt=MISSING), InvalidInput, "^the release request names no prompt: None$"),
        (asked(prompt="a b"), InvalidInput, "^the release request names no prompt: 'a b'$"),
        ({**event(), "detail": "x"}, InvalidInput, "^the CloudTrail event has no detail$"),
        (event(requestParameters=None), InvalidInput, "^the CloudTrail event names no prompt: None$"),
        (event(requestParameters={"promptIdentifier": "a b"}), InvalidInput, "names no prompt: 'a b'$"),
        (event(eventSource="s3.aws"), NotApplicable, "^s3.aws CreatePromptVersion starts no release$"),
        (event(eventName="GetPrompt"), NotApplicable, "^bedrock.amazonaws.com GetPrompt starts no release$"),
        (event(errorCode="Throttled"), NotApplicable, "^the call failed with Throttled: nothing was changed$"),
        (
            event(awsRegion="eu-west-2"),
            NotApplicable,
            f"^the event is from {ACCOUNT}/eu-west-2, this deployment serves {ACCOUNT}/eu-west-1$",
        ),
        ({**event(), "account": "999988887777"}, NotApplicable, "^the event is from 999988887777/eu-west-1, this"),
    ],
)
def test_a_message_that_starts_nothing_says_why(message: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        taken(message)
    assert type(caught.value) is error


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from(["detail", "account", "requestParameters", "userIdentity", "responseElements"]))
def test_whatever_a_message_holds_it_is_read_or_refused_by_name(value: Any, where: str) -> None:
    message = copy.deepcopy(RECORDED)
    (message if where in message else message["detail"])[where] = value
    try:
        request = read(message, account="111122223333", region="us-east-1")
    except PromptlaneError:
        return
    assert request.version is None or request.version > 0
