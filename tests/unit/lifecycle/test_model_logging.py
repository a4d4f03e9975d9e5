"""Model invocation logging: what is remembered before each write, what is said, and what counts as the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import Unavailable
from promptlane.lifecycle.model_logging import ForeignLogging, describe, switch_back, switch_on

Json = Any


def logging(group: str, **more: Json) -> dict[str, Json]:
    kinds = {"textDataDeliveryEnabled": True, "imageDataDeliveryEnabled": False, "videoDataDeliveryEnabled": False}
    return {"cloudWatchConfig": {"logGroupName": group, "roleArn": "arn:role"}, **kinds, **more}


OURS, NEWER, OLDEST = logging("/ours"), logging("/newer"), logging("/oldest")
THEIRS = {"cloudWatchConfig": {"logGroupName": "/theirs"}, "s3Config": {"bucketName": "theirs"}}


class Account:
    """Bedrock's setting and our memory of it; `did` tells in order what was written to which."""

    def __init__(self, present: Mapping[str, Json] | None = None, remembered: Mapping[str, Json] | None = None) -> None:
        self.present, self.remembered = present, remembered
        self.did: list[Any] = []

    def read(self) -> Mapping[str, Json] | None:
        return self.present

    def write(self, configuration: Mapping[str, Json]) -> None:
        self.did.append(("write", dict(configuration)))

    def clear(self) -> None:
        self.did.append("clear")

    def load(self) -> Mapping[str, Json] | None:
        return self.remembered

    def keep(self, remembered: Mapping[str, Json]) -> None:
        self.did.append(("keep", dict(remembered)))

    def forget(self) -> None:
        self.did.append("forget")


def on(account: Account, wanted: Mapping[str, Json] = OURS) -> str:
    return switch_on(account, account, wanted)


def back(account: Account) -> str:
    return switch_back(account, account)


# On


@pytest.mark.parametrize(
    ("present", "remembered", "found", "replaced"),
    [
        (None, None, None, []),
        (None, {"found": THEIRS, "ours": OURS}, THEIRS, []),
        (NEWER, {"found": None, "ours": NEWER}, None, [NEWER]),
        (OLDEST, {"found": THEIRS, "ours": NEWER, "replaced": [OLDEST, OURS]}, THEIRS, [NEWER, OLDEST]),
    ],
    ids=["off", "off meanwhile", "ours from before", "cut off between two of ours"],
)
def test_what_was_found_and_what_is_replaced_is_remembered_before_it_is_written(
    present: Json, remembered: Json, found: Json, replaced: Json
) -> None:
    account = Account(present, remembered)

    assert on(account) == "model invocation logging is on"
    settled = {"found": found, "ours": OURS}
    assert account.did == [("keep", {**settled, "replaced": replaced}), ("write", OURS), ("keep", settled)]


@pytest.mark.parametrize(
    ("remembered", "found"),
    [(None, OURS), ({"found": None, "ours": OURS}, None), ({"found": THEIRS, "ours": NEWER}, THEIRS)],
)
def test_what_is_as_wanted_already_is_only_remembered(remembered: Json, found: Json) -> None:
    account = Account(OURS, remembered)

    assert on(account) == "model invocation logging is as wanted already"
    assert account.did == [("keep", {"found": found, "ours": OURS})]


@pytest.mark.parametrize("remembered", [None, {"found": None, "ours": OURS, "replaced": [NEWER]}])
def test_what_somebody_else_set_up_is_refused_by_where_it_logs_to_and_left(remembered: Json) -> None:
    account = Account(THEIRS, remembered)

    with pytest.raises(ForeignLogging, match=r"\(log group /theirs and bucket theirs\).*invocation_logging=off"):
        on(account)
    assert account.did == []


# Back


def test_without_a_memory_nothing_is_taken_back() -> None:
    account = Account(OURS)

    assert back(account) == "nothing of ours to take back"
    assert account.did == []


@pytest.mark.parametrize(
    ("present", "remembered", "said", "did"),
    [
        (OURS, {"found": None, "ours": OURS}, "model invocation logging is off, as it was found", ["clear"]),
        (
            NEWER,
            {"found": None, "ours": OURS, "replaced": [OLDEST, NEWER]},
            "model invocation logging is off, as it was found",
            ["clear"],
        ),
        (
            OURS,
            {"found": THEIRS, "ours": OURS},
            "model invocation logging is as it was found (log group /theirs and bucket theirs)",
            [("write", THEIRS)],
        ),
        (
            THEIRS,
            {"found": None, "ours": OURS, "replaced": [NEWER]},
            "somebody changed model invocation logging meanwhile; it was left as it is",
            [],
        ),
        (None, {"found": THEIRS, "ours": OURS}, "model invocation logging is off already", []),
    ],
)
def test_what_was_found_comes_back_unless_it_is_no_longer_ours(
    present: Json, remembered: Json, said: str, did: list[Json]
) -> None:
    account = Account(present, remembered)

    assert back(account) == said
    assert account.did == [*did, "forget"]


# The same


@pytest.mark.parametrize(
    ("present", "same"),
    [
        ({**OURS, "s3Config": {}, "largeDataDeliveryS3Config": None}, True),
        (
            {**OURS, "cloudWatchConfig": {**OURS["cloudWatchConfig"], "largeDataDeliveryS3Config": {"bucketName": ""}}},
            True,
        ),
        ({**OURS, "audioDataDeliveryEnabled": True}, True),
        ({k: v for k, v in OURS.items() if k not in ("textDataDeliveryEnabled", "imageDataDeliveryEnabled")}, True),
        ({**OURS, "textDataDeliveryEnabled": False}, False),
        ({**OURS, "imageDataDeliveryEnabled": True}, False),
        ({**OURS, "s3Config": {"bucketName": "b"}}, False),
        ({**OURS, "cloudWatchConfig": {**OURS["cloudWatchConfig"], "roleArn": "arn:other"}}, False),
        ({**OURS, "cloudWatchConfig": {**OURS["cloudWatchConfig"], "deep": {"bucketName": "b"}}}, False),
        ({**OURS, "cloudWatchConfig": {"logGroupName": "/ours"}}, False),
    ],
)
def test_what_aws_fills_in_or_leaves_out_makes_no_other_configuration(present: Json, same: bool) -> None:
    if same:
        assert on(Account(present)).endswith("as wanted already")
    else:
        with pytest.raises(ForeignLogging):
            on(Account(present))


@pytest.mark.parametrize(
    ("configuration", "where"),
    [
        ({}, "to nowhere"),
        ({"cloudWatchConfig": None, "s3Config": {}}, "to nowhere"),
        ({"cloudWatchConfig": {"logGroupName": "/a"}}, "log group /a"),
        ({"s3Config": {"bucketName": "b"}}, "bucket b"),
    ],
)
def test_a_configuration_is_described_by_where_it_logs_to(configuration: Json, where: str) -> None:
    assert describe(configuration) == where


# One configuration after another

EVERY = logging("/ours", embeddingDataDeliveryEnabled=False, audioDataDeliveryEnabled=False)


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


def test_one_that_equals_ours_is_taken_over_and_given_back() -> None:
    answered = {k: v for k, v in EVERY.items() if v is not False and k != "textDataDeliveryEnabled"}
    switch, memory = Switch(answered), Memory()
    found = switch.present

    assert "already" in switch_on(switch, memory, EVERY)
    switch_on(switch, memory, EVERY)
    switch_back(switch, memory)

    assert switch.present == found


@pytest.mark.parametrize("kind", ["image", "embedding", "video", "audio"])
def test_a_kind_of_data_that_is_off_is_off_whether_bedrock_says_so_or_not(kind: str) -> None:
    """And one that is on is another configuration: it was somebody's wish."""
    name = f"{kind}DataDeliveryEnabled"
    assert EVERY[name] is False
    for present in ({k: v for k, v in EVERY.items() if k != name}, {**EVERY, name: False}):
        switch = Switch(present)
        assert "already" in switch_on(switch, Memory(), EVERY)
        assert switch.present == present
    with pytest.raises(ForeignLogging):
        switch_on(Switch({**EVERY, name: True}), Memory(), EVERY)


def test_what_bedrock_filled_into_an_older_configuration_of_ours_does_not_make_it_foreign() -> None:
    older = {k: v for k, v in EVERY.items() if k not in ("videoDataDeliveryEnabled", "audioDataDeliveryEnabled")}
    filled = {**older, "videoDataDeliveryEnabled": True, "audioDataDeliveryEnabled": True}
    switch, memory = Switch(), Memory()
    switch_on(switch, memory, older)
    switch.present = filled

    assert switch_on(switch, memory, EVERY) == "model invocation logging is on"
    assert switch.present == EVERY
    switch_back(switch, memory)
    assert switch.present is None


def in_group(number: int) -> dict[str, Json]:
    return {**EVERY, "cloudWatchConfig": {**EVERY["cloudWatchConfig"], "logGroupName": f"/{number}"}}


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
