"""Which versions must stay and why, which may go, and how they are kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput
from promptlane.domain.names import Phase
from promptlane.domain.release.housekeeping import (
    VersionQuota,
    archive_key,
    archived,
    from_archive,
    protected,
    to_delete,
)
from promptlane.domain.release.prompt import PromptVersion
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.route import Route
from tests.support.generated import details, numbers, words
from tests.support.prompt import ID, ref

VERSION = PromptVersion(ID, "support", 4, "arn:4", ({"modelId": "é"},), "warmer", "default")


def test_a_snapshot_lies_under_its_prompt_and_version() -> None:
    assert archive_key(ID, 4) == "archive/PROMPT0001/4.json"


def test_a_snapshot_holds_all_that_publishing_it_again_takes() -> None:
    body = archived(VERSION)

    assert json.loads(body) == {
        "schema": 1,
        "prompt_id": ID,
        "name": "support",
        "version": 4,
        "arn": "arn:4",
        "description": "warmer",
        "default_variant": "default",
        "variants": [{"modelId": "é"}],
        "fingerprint": VERSION.fingerprint,
    }
    assert "é".encode() in body


@settings(max_examples=10)
@given(
    st.builds(
        PromptVersion,
        prompt_id=words,
        name=words,
        version=numbers,
        arn=words,
        variants=st.lists(details, min_size=1, max_size=2).map(tuple),
        description=words,
        default_variant=words,
    )
)
def test_a_snapshot_reads_back_as_it_was(version: PromptVersion) -> None:
    assert from_archive(archived(version), "key") == version


@pytest.mark.parametrize("field", ["prompt_id", "version", "variants", "fingerprint"])
def test_a_snapshot_that_lacks_something_is_none(field: str) -> None:
    data = json.loads(archived(VERSION))
    del data[field]

    with pytest.raises(InvalidInput, match=f"^archive/x in the report bucket is no archived version .*{field}"):
        from_archive(json.dumps(data).encode(), "archive/x")


def test_a_snapshot_that_was_altered_is_refused() -> None:
    data = json.loads(archived(VERSION)) | {"variants": [{"modelId": "other"}]}

    with pytest.raises(InvalidInput, match=r"^archive/x in the report bucket was altered: its content does not fit"):
        from_archive(json.dumps(data).encode(), "archive/x")


def release(version: int, stable: int | None = None, **more: Any) -> Release:
    return Release(f"PROMPT0001-{version}-1", "support", 1.0, "ada", stable=ref(stable) if stable else None, **more)


def test_every_version_that_must_stay_has_its_reason() -> None:
    route = Route("support", ID, ref(5), ref(3), ref(7), 500, phase=Phase.CANARY)
    releases = [release(2, 4), release(6, 1, state="ended"), release(7, 5), release(8)]
    waiting = [Waiting("support", ID, 9, 1.0, "ada"), Waiting("support", ID, 5, 1.0, "ada")]

    found = protected(ID, range(1, 12), routes=[route], releases=releases, waiting=waiting)

    assert found == {
        1: "never released: nobody knows who uses it",
        2: "release PROMPT0001-2-1 is in flight",
        3: "previous",
        4: "release PROMPT0001-2-1 compares with it",
        5: "stable",
        7: "canary",
        8: "release PROMPT0001-8-1 is in flight",
        9: "waiting for its release",
        10: "newer than stable, and not released yet",
        11: "newer than stable, and not released yet",
    }


def test_before_a_first_promotion_all_that_was_not_released_stays() -> None:
    fresh = "newer than stable, and not released yet"

    done = [release(2, state="ended")]
    assert protected(ID, [1, 2, 3], routes=[], releases=done, waiting=[]) == {1: fresh, 3: fresh}


def test_the_oldest_go_as_far_as_there_are_too_many() -> None:
    assert to_delete([5, 3, 4, 1, 2], {}, keep=2) == [1, 2, 3]
    assert to_delete([5, 3, 4, 1, 2], {1: "previous", 3: "canary"}, keep=3) == [2, 4]
    assert to_delete([5, 3, 4, 1, 2], {}, keep=5) == []
    assert to_delete([2, 1], {}, keep=5) == []


def test_two_versions_always_stay() -> None:
    with pytest.raises(InvalidInput, match=r"^keep_versions is 1; at least 2 must stay, or there is nothing"):
        to_delete([1, 2, 3], {}, keep=1)


@pytest.mark.parametrize(("versions", "nearly"), [(7, False), (8, False), (9, True), (10, True), (11, True)])
def test_a_shelf_is_nearly_full_when_one_more_version_would_fill_it(versions: int, nearly: bool) -> None:
    assert VersionQuota("support", versions, 10, {}).nearly_full is nearly


def test_a_full_shelf_tells_what_stays_in_the_order_of_versions() -> None:
    warning = VersionQuota("support", 9, 10, {8: "stable", 3: "previous"}).warning

    assert warning.startswith(
        "Prompt support has 9 of 10 versions. Versions that are in use are never deleted:\n"
        "  version 3: previous\n  version 8: stable\n\nFinish or roll back"
    )
