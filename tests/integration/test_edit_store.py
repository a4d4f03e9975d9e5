"""Recorded edits, in memory and in DynamoDB: the same promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from local.running import EmbeddedAws
from promptlane.aws.edits import DynamoEdits
from promptlane.aws.releases import DynamoReleases
from promptlane.domain.review.edits import Edit
from promptlane.domain.review.ports import EditStore
from promptlane.domain.trail import TrailEvent, Window
from promptlane.fakes.edits import InMemoryEdits
from tests.support.prompt import ID
from tests.support.tables import make_table

ADA = "arn:aws:iam::111122223333:user/ada"


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest, embedded_aws: EmbeddedAws, account: str) -> EditStore:
    if request.param == "memory":
        return InMemoryEdits()
    dynamodb = embedded_aws.session(account=account).resource("dynamodb", endpoint_url=embedded_aws.url)
    return DynamoEdits(make_table(dynamodb, "releases", "pk", "sk"))


def edit(at: float, event_id: str = "11111111-aaaa", **changed: object) -> Edit:
    event = TrailEvent(
        "CreatePromptVersion", at, ADA, "AssumedRole", ID, 3, "", "203.0.113.7", event_id, "a.amazonaws.com", "arn:role"
    )
    known = Edit(event, at + 60.5, newest=3, draft="d" * 64, sent_by="AROAX:kim")
    return replace(known, **changed)  # type: ignore[arg-type]


def test_an_edit_is_kept_once_whole_and_in_the_order_of_time(store: EditStore) -> None:
    late, early = edit(2_000.0), edit(999.0, "22222222-bbbb")

    assert [store.record(ID, late), store.record(ID, early), store.record(ID, replace(late, draft=""))] == [
        True,
        True,
        False,
    ]
    assert store.record("PROMPT0002", edit(5.0))
    assert store.edits(ID) == [early, late]


def test_a_time_is_asked_for_in_whole_seconds_both_ends_included(store: EditStore) -> None:
    each = [edit(at, f"{at:.0f}-aaaa") for at in (998.0, 999.0, 1_000.0, 1_001.0)]
    for one in each:
        store.record(ID, one)

    assert store.edits(ID, 999.7, 1_000.2) == each[1:3]
    assert store.edits(ID, 1_000.0) == each[2:]
    assert store.edits(ID, 0, 998.0) == each[:1]


def test_what_the_history_tells_takes_the_place_of_what_an_event_told_and_keeps_its_hints(store: EditStore) -> None:
    claimed = edit(1_000.0)
    real = replace(claimed, event=replace(claimed.event, arn=ADA + "-really"), told_by="history", newest=0, draft="")

    assert store.record(ID, claimed)
    assert store.record(ID, real)
    assert not store.record(ID, claimed)
    assert not store.record(ID, replace(real, arrived=9.0))
    assert store.edits(ID) == [replace(real, newest=3, draft="d" * 64)]


def test_how_far_the_history_was_copied_is_kept_and_is_no_edit(store: EditStore) -> None:
    assert store.watched(ID) is None
    for window in (Window(1.5, 2.0), Window(1.5, 99.25)):
        store.watch(ID, window)
        assert store.watched(ID) == window
    assert store.edits(ID) == []
    assert store.watched("PROMPT0002") is None


@pytest.mark.parametrize("at", [-5.0, 0.0, 1e13])
def test_a_time_out_of_all_bounds_is_kept_too(store: EditStore, at: float) -> None:
    assert store.record(ID, edit(at))
    assert [e.event.at for e in store.edits(ID)] == [at]


def test_an_enrolment_of_an_earlier_release_of_promptlane_begins_with_what_there_is(
    embedded_aws: EmbeddedAws, account: str
) -> None:
    dynamodb = embedded_aws.session(account=account).resource("dynamodb", endpoint_url=embedded_aws.url)
    table = make_table(dynamodb, "releases", "pk", "sk")
    table.put_item(Item={"pk": f"prompt#{ID}", "sk": "enrolment", "since": 450})

    assert [DynamoReleases(table).at_enrolment(ID, newest, 9.0) for newest in (4, 7)] == [4, 4]
    assert table.get_item(Key={"pk": f"prompt#{ID}", "sk": "enrolment"})["Item"]["since"] == 450
