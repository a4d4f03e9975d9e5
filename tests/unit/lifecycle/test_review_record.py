"""The record of a review that an auditor gets: every round, nothing secret, and the proof."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from promptlane.domain.errors import NotFound
from promptlane.domain.policy import ReviewPolicy
from promptlane.domain.release.content import canonical_json
from promptlane.lifecycle.review_record import Json, review_record
from tests.support.review import LEAD, LEGAL, QUALITY, RELEASE, UnderReview

TWO = ReviewPolicy(reviewers=(LEAD, QUALITY, LEGAL), quorum=2)


def recorded(world: UnderReview, *, briefs: bool = True) -> dict[str, Json]:
    shown = world.briefs if briefs else None
    return review_record(RELEASE, releases=world.releases, reviews=world.reviews, briefs=shown)


def test_a_record_holds_release_rounds_timeline_and_the_proof_of_all_of_it() -> None:
    world = UnderReview(TWO)
    world.ask()
    world.send(LEAD, reason="First round")
    world.ask(round=2, token="token-2")
    world.send(QUALITY, reason="Second round")
    world.send(LEAD, reason="Still fine")

    document = recorded(world)

    timeline = world.releases.timeline(RELEASE)
    asked = world.request.to_item()
    assert not {"code", "task_token"} & set(asked)
    first, second = ([d.to_dict() for d in world.reviews.decisions(RELEASE, n)] for n in (1, 2))
    assert ([d["reason"] for d in first], [d["reason"] for d in second]) == (
        ["First round"],
        ["Second round", "Still fine"],
    )
    shown = [world.briefs.get(RELEASE, n).to_dict() for n in (1, 2)]
    proof = document.pop("sha256")
    assert document == {
        "schema": 1,
        "release": world.releases.get(RELEASE).to_item(),
        "rounds": [
            {"round": 1, "request": None, "shown": shown[0], "decisions": first},
            {"round": 2, "request": asked, "shown": shown[1], "decisions": second},
        ],
        "timeline": [entry.to_dict() for entry in timeline],
        "timeline_head": timeline[-1].hash,
        "timeline_problems": [],
    }
    assert proof == hashlib.sha256(canonical_json(document).encode()).hexdigest()


def test_without_briefs_what_was_shown_is_left_out_and_a_round_that_left_nothing_too() -> None:
    world = UnderReview(TWO)
    world.ask()
    world.ask(round=2, token="token-2")
    world.send(LEAD)
    world.ask(round=3, token="token-3")

    assert [(r["round"], r["shown"], len(r["decisions"])) for r in recorded(world, briefs=False)["rounds"]] == [
        (2, None, 1),
        (3, None, 0),
    ]
    assert [r["round"] for r in recorded(world)["rounds"]] == [1, 2, 3]


def test_a_round_whose_brief_is_lost_is_there_with_its_decisions() -> None:
    world = UnderReview(TWO)
    world.ask()
    world.send(LEAD)
    world.objects.data.clear()

    [only] = recorded(world)["rounds"]

    assert (only["shown"], len(only["decisions"]), only["request"]["release_id"]) == (None, 1, RELEASE)


def test_a_release_that_was_never_reviewed_has_no_rounds() -> None:
    world = UnderReview()
    world.releases._timelines.clear()

    document = recorded(world)

    assert (document["rounds"], document["timeline"], document["timeline_head"]) == ([], [], "")


def test_an_altered_timeline_is_told() -> None:
    world = UnderReview()
    world.ask()
    entries = world.releases._timelines[RELEASE]
    entries[1] = replace(entries[1], by="somebody else")

    assert recorded(world)["timeline_problems"] == ["entry 2 was altered: its hash does not fit its content"]


def test_an_unknown_release_is_not_found() -> None:
    world = UnderReview()
    with pytest.raises(NotFound, match="PROMPTID12-9-1"):
        review_record("PROMPTID12-9-1", releases=world.releases, reviews=world.reviews)
