"""Model invocation logging is set up without overwriting anybody's, and taken back as it was found."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from functions.invocation_logging import handler
from promptlane.aws.model_logging import BedrockLogging
from promptlane.domain.errors import InvalidInput, PromptlaneError, Unauthorized, Unavailable
from promptlane.lifecycle.model_logging import ForeignLogging, switch_back, switch_on

Json = Any
PROPERTIES = {
    "LogGroupName": "/promptlane/invocations",
    "RoleArn": "arn:aws:iam::111122223333:role/log",
    "LargeDataBucket": "large",
    "LargeDataPrefix": "bodies",
}
OURS = handler.configuration(PROPERTIES)
THEIRS = {"s3Config": {"bucketName": "theirs", "keyPrefix": ""}, "textDataDeliveryEnabled": True}


class Switch:
    """Bedrock's setting; `failing` makes the next write fail after it took effect or before."""

    def __init__(self, present: Mapping[str, Json] | None = None) -> None:
        self.present = present
        self.failing = ""

    def read(self) -> Mapping[str, Json] | None:
        return self.present

    def write(self, configuration: Mapping[str, Json]) -> None:
        if self.failing == "before":
            self.failing = ""
            raise Unavailable("no answer")
        self.present = dict(configuration)
        if self.failing == "after":
            self.failing = ""
            raise Unavailable("no answer")

    def clear(self) -> None:
        self.present = None


class Memory:
    def __init__(self) -> None:
        self.kept: str | None = None

    def load(self) -> Mapping[str, Json] | None:
        return json.loads(self.kept) if self.kept else None

    def keep(self, remembered: Mapping[str, Json]) -> None:
        self.kept = json.dumps(remembered)

    def forget(self) -> None:
        self.kept = None


def test_where_nobody_logs_it_is_switched_on_and_off_again() -> None:
    switch, memory = Switch(), Memory()

    switch_on(switch, memory, OURS)
    assert switch.present == OURS
    assert "off, as it was found" in switch_back(switch, memory)
    assert switch.present is None
    assert memory.kept is None


def test_somebody_elses_configuration_is_refused_by_name_and_left_alone() -> None:
    switch, memory = Switch(THEIRS), Memory()

    with pytest.raises(ForeignLogging, match=r"bucket theirs.*invocation_logging=off"):
        switch_on(switch, memory, OURS)
    assert switch.present == THEIRS
    assert memory.kept is None
    assert switch_back(switch, memory) == "nothing of ours to take back"
    assert switch.present == THEIRS


def test_one_that_equals_ours_is_taken_over_and_given_back() -> None:
    answered = {k: v for k, v in OURS.items() if v is not False and k != "textDataDeliveryEnabled"}
    switch, memory = Switch(answered), Memory()
    found = switch.present

    assert "already" in switch_on(switch, memory, OURS)
    switch_on(switch, memory, OURS)
    switch_back(switch, memory)

    assert switch.present == found


def test_an_sdk_that_cannot_name_a_kind_of_data_yet_leaves_it_out() -> None:
    """The Lambda runtime brings its own SDK, which may be older than what Bedrock can log."""
    bedrock = botocore.session.get_session().create_client(
        "bedrock", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    description = bedrock.meta.service_model._service_description["shapes"]["LoggingConfig"]["members"]
    del description["audioDataDeliveryEnabled"]
    with Stubber(bedrock) as stub:
        told = {k: v for k, v in OURS.items() if k != "audioDataDeliveryEnabled"}
        stub.add_response("put_model_invocation_logging_configuration", {}, {"loggingConfig": told})
        BedrockLogging(bedrock).write(OURS)
    with pytest.raises(InvalidInput, match="audioDataDeliveryEnabled"):  # on, it is somebody's wish
        BedrockLogging(bedrock).write({**OURS, "audioDataDeliveryEnabled": True})


KINDS = ("image", "embedding", "video", "audio")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_data_that_is_off_is_off_whether_bedrock_says_so_or_not(kind: str) -> None:
    """And one that is on is another configuration: it was somebody's wish."""
    name = f"{kind}DataDeliveryEnabled"
    assert OURS[name] is False
    for present in ({k: v for k, v in OURS.items() if k != name}, {**OURS, name: False}):
        switch = Switch(present)
        assert "already" in switch_on(switch, Memory(), OURS)
        assert switch.present == present
    with pytest.raises(ForeignLogging):
        switch_on(Switch({**OURS, name: True}), Memory(), OURS)


def test_texts_are_on_unless_they_are_switched_off() -> None:
    absent = {k: v for k, v in OURS.items() if k != "textDataDeliveryEnabled"}
    assert "already" in switch_on(Switch(absent), Memory(), OURS)
    with pytest.raises(ForeignLogging):
        switch_on(Switch({**OURS, "textDataDeliveryEnabled": False}), Memory(), OURS)


def test_what_bedrock_filled_into_an_older_configuration_of_ours_does_not_make_it_foreign() -> None:
    older = {k: v for k, v in OURS.items() if k not in ("videoDataDeliveryEnabled", "audioDataDeliveryEnabled")}
    filled = {**older, "videoDataDeliveryEnabled": True, "audioDataDeliveryEnabled": True}
    switch, memory = Switch(), Memory()
    switch_on(switch, memory, older)
    switch.present = filled

    assert switch_on(switch, memory, OURS) == "model invocation logging is on"
    assert switch.present == OURS
    switch_back(switch, memory)
    assert switch.present is None


@pytest.mark.parametrize("refusal", [InvalidInput, Unauthorized])
def test_a_role_that_was_just_made_is_tried_again(
    refusal: type[PromptlaneError], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fresh(Switch):
        tries = 0

        def write(self, configuration: Mapping[str, Json]) -> None:
            self.tries += 1
            if self.tries < 3:
                raise refusal("the role does not work yet")
            super().write(configuration)

    switch = Fresh()
    monkeypatch.setattr(handler, "wire", lambda: (switch, Memory()))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    assert handler.act(event("Create")) == "model invocation logging is on"
    assert switch.present == OURS


def test_an_update_of_ours_replaces_ours() -> None:
    switch, memory = Switch(), Memory()
    switch_on(switch, memory, OURS)
    other = {**OURS, "cloudWatchConfig": {**OURS["cloudWatchConfig"], "logGroupName": "/promptlane/other"}}

    switch_on(switch, memory, other)
    assert switch.present == other
    switch_back(switch, memory)
    assert switch.present is None


def test_what_others_changed_meanwhile_is_left_to_them() -> None:
    switch, memory = Switch(), Memory()
    switch_on(switch, memory, OURS)
    switch.present = THEIRS

    assert "left as it is" in switch_back(switch, memory)
    assert switch.present == THEIRS


def in_group(number: int) -> dict[str, Json]:
    return {**OURS, "cloudWatchConfig": {**OURS["cloudWatchConfig"], "logGroupName": f"/promptlane/{number}"}}


@given(st.booleans(), st.lists(st.tuples(st.sampled_from(["before", "after", ""]), st.integers(1, 3))), st.booleans())
def test_whatever_fails_on_the_way_what_was_found_comes_back(
    same: bool, attempts: list[tuple[str, int]], done: bool
) -> None:
    """Updates to other groups among them, each of which may fail before it took effect or after."""
    switch, memory = Switch(in_group(1) if same else None), Memory()
    found = switch.present
    for failing, group in [("", 1), *attempts, *[("", 2)] * done]:
        switch.failing = failing
        try:
            switch_on(switch, memory, in_group(group))
        except Unavailable:
            continue
        assert switch.present == in_group(group)
    switch.failing = ""
    switch_back(switch, memory)
    assert (switch.present, memory.kept) == (found, None)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Json]]:
    """Bodies that were PUT to CloudFormation."""
    bodies: list[dict[str, Json]] = []

    class Reply:
        def __enter__(self) -> Reply:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def read(self) -> bytes:
            return b""

    def urlopen(request: Any, timeout: float) -> Reply:
        bodies.append(json.loads(request.data))
        return Reply()

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return bodies


def event(kind: str) -> dict[str, Json]:
    return {
        "RequestType": kind,
        "ResponseURL": "https://cloudformation.example/answer",
        "StackId": "s",
        "RequestId": "r",
        "LogicalResourceId": "Logging",
        "ResourceProperties": PROPERTIES,
    }


def test_cloudformation_is_always_answered(sent: list[dict[str, Json]], monkeypatch: pytest.MonkeyPatch) -> None:
    switch, memory = Switch(THEIRS), Memory()
    monkeypatch.setattr(handler, "wire", lambda: (switch, memory))

    handler.handle(event("Create"), None)
    switch.present = None
    handler.handle(event("Create"), None)
    handler.handle(event("Delete"), None)

    assert [b["Status"] for b in sent] == ["FAILED", "SUCCESS", "SUCCESS"]
    assert "bucket theirs" in sent[0]["Reason"]
    assert len({b["PhysicalResourceId"] for b in sent}) == 1
    assert switch.present is None
