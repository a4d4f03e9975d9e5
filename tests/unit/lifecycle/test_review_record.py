"""The record of a review that an auditor gets: every round, nothing secret, and a proof that needs no deployment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from promptlane.domain.errors import InvalidInput, NotFound
from promptlane.domain.policy import ReviewPolicy
from promptlane.domain.release.content import canonical_json
from promptlane.domain.review.proof import brief_key, prove
from promptlane.lifecycle.proof import Reader
from promptlane.lifecycle.review_record import Json, check_record, review_record
from tests.support.audited import SECOND, Audited
from tests.support.review import LEAD, LEGAL, QUALITY, RELEASE, UnderReview

TWO = ReviewPolicy(reviewers=(LEAD, QUALITY, LEGAL), quorum=2)


def recorded(world: UnderReview) -> dict[str, Json]:
    reader = Reader(releases=world.releases, reviews=world.reviews, objects=world.objects, clock=world.clock)
    evidence = reader.read(RELEASE).evidence
    return review_record(evidence, prove(evidence), problems=[], copies=None)


def test_a_record_holds_release_rounds_timeline_and_what_was_shown() -> None:
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
    assert document["release"] == world.releases.get(RELEASE).to_item()
    assert document["rounds"] == [
        {"round": 1, "request": None, "shown": shown[0], "decisions": first},
        {"round": 2, "request": asked, "shown": shown[1], "decisions": second},
    ]
    assert document["timeline"] == [entry.to_dict() for entry in timeline]
    assert document["timeline_head"] == timeline[-1].hash
    assert document["locked_copies"] is None
    texts = [document["objects"][brief_key(RELEASE, n)] for n in (1, 2)]
    assert texts == [canonical_json(one) for one in shown]
    assert proof == hashlib.sha256(canonical_json(document).encode()).hexdigest()


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


def test_an_unknown_release_is_not_found() -> None:
    world = UnderReview()
    reader = Reader(releases=world.releases, reviews=world.reviews, objects=world.objects, clock=world.clock)
    with pytest.raises(NotFound, match="PROMPTID12-9-1"):
        reader.read("PROMPTID12-9-1")


@pytest.fixture(scope="module")
def written() -> str:
    return json.dumps(Audited().record())


def _decision(document: Any) -> Any:
    return document["rounds"][0]["decisions"][0]


CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "approval": (lambda d: d["release"].update(approval={}), "the record has approval {}"),
    "decision": (lambda d: _decision(d).update(reason="Looks bad"), "it has reason 'Looks bad'"),
    "decision left out": (lambda d: d["rounds"][0]["decisions"].pop(), "the table lacks it"),
    "what was shown": (lambda d: d["rounds"][0]["shown"].update(description="x"), "is not the stored record of it"),
    "stored record": (
        lambda d: d["objects"].update({brief_key(SECOND, 1): "{}"}),
        f"releases/{SECOND}/review/1.json: it has SHA-256",
    ),
    "entry": (lambda d: d["timeline"][4].update(by="eve"), "entry 5 was altered"),
    "entries left out": (lambda d: d["timeline"].pop(), "timeline_head is not the hash of the last entry"),
    "locked copy": (lambda d: d["locked_copies"][2].update(hash="0" * 64), "entry 3 is not the one that was copied"),
    "report": (
        lambda d: d["proof"]["sha256"].update({f"releases/{SECOND}/tests/1/report.json": "0" * 64}),
        f"releases/{SECOND}/tests/1/report.json: it has SHA-256 {'0' * 64}",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_document_that_was_changed_is_found_also_with_a_new_sha256(written: str, what: str) -> None:
    change, said = CHANGES[what]
    document = json.loads(written)
    assert check_record(document) == []
    change(document)
    del document["sha256"]
    document["sha256"] = hashlib.sha256(canonical_json(document).encode()).hexdigest()

    problems = check_record(document)

    assert [problem for problem in problems if said in problem], problems
    assert not [problem for problem in problems if "its sha256 does not fit" in problem]


def test_a_document_that_was_changed_without_a_new_sha256_is_told_so(written: str) -> None:
    document = json.loads(written) | {"note": "added"}

    assert check_record(document) == ["the document was changed: its sha256 does not fit"]


def test_what_is_no_record_is_refused() -> None:
    for document in ({}, {"schema": 1}, {"schema": 2}, {"schema": 2, "rounds": 5}):
        with pytest.raises(InvalidInput):
            check_record(document)
