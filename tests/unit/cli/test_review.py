"""`reviewers` and `record`, typed at a deployment in memory."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from promptlane.cli.app import app
from promptlane.cli.deployment import Deployment
from promptlane.cli.review import review_notes
from promptlane.cli.session import Session
from promptlane.domain.policy import ReviewPolicy
from promptlane.domain.release.content import canonical_json
from tests.support.audited import SECOND, Audited
from tests.support.review import LEAD, LEGAL, QUALITY, RELEASE, UnderReview


@pytest.fixture
def world() -> UnderReview:
    made = UnderReview(ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2), states={QUALITY.email: "pending"})
    made.ask()
    return made


def run(world: UnderReview, *words: str) -> tuple[int, str]:
    deployment = Deployment("promptlane", {})
    deployment.__dict__.update(releases=world.releases, reviews=world.reviews, objects=world.objects)
    session = Session(connect=lambda: deployment, clock=world.clock)
    result = CliRunner().invoke(app, list(words), obj=session, catch_exceptions=False)
    return result.exit_code, result.output


def test_the_record_holds_everything_and_proves_itself_without_a_deployment(tmp_path: Path) -> None:
    desk, out = Audited(), tmp_path / "record.json"

    said = desk.type("record", SECOND, "--out", str(out))

    assert said.exit_code == 0
    assert "12 timeline entries; what they say holds." in said.stdout
    document = json.loads(out.read_text())
    (only,) = document["rounds"]
    assert [d["reason"] for d in only["decisions"]] == ["Read it", "Read it"]
    assert only["request"]["outcome"]["decision"] == "approved"
    assert only["shown"]["prompt"] == "greeter"
    assert [e["event"] for e in document["timeline"]][-1] == "Release Ended"
    assert document["timeline_head"] == document["timeline"][-1]["hash"]
    assert [copy["hash"] for copy in document["locked_copies"]] == [e["hash"] for e in document["timeline"]]
    assert (document["proof"]["holds"], document["proof"]["problems"], document["proof"]["not_covered"]) == (
        True,
        [],
        [],
    )
    report = f"releases/{SECOND}/tests/1/report.html"
    assert document["proof"]["sha256"][report] == hashlib.sha256(desk.objects.data[report]).hexdigest()
    digest = document.pop("sha256")
    assert digest == hashlib.sha256(canonical_json(document).encode()).hexdigest()
    assert "is whole: 12 entries" in desk.type("record", str(out), "--check").stdout


def test_a_record_that_does_not_hold_is_written_with_what_is_wrong(tmp_path: Path) -> None:
    desk, out = Audited(), tmp_path / "record.json"
    desk.forge_record(description="harmless")

    said = desk.type("record", SECOND, "--out", str(out)).stdout

    assert "what they say does not hold: release record: the record has description 'harmless'" in said
    assert json.loads(out.read_text())["proof"]["holds"] is False
    assert desk.type("record", str(out), "--check").exit_code == 1


def test_what_is_no_record_is_told_as_such(tmp_path: Path) -> None:
    desk, path = Audited(), tmp_path / "other.json"
    for text in ("no json", "[]", '{"schema": 1}', '{"schema": 2}'):
        path.write_text(text)
        assert desk.json("record", str(path), "--check", exit_code=1)["error"]["type"] == "InvalidInput"
    assert desk.json("record", str(tmp_path / "none"), "--check", exit_code=1)["error"]["type"] == "InvalidInput"


def test_a_record_that_cannot_be_written_says_where_to(world: UnderReview, tmp_path: Path) -> None:
    code, text = run(world, "record", RELEASE, "--out", str(tmp_path / "none" / "x.json"))
    assert code == 1
    assert "--out" in text


def test_status_can_tell_who_is_missing(world: UnderReview) -> None:
    deployment = Deployment("promptlane", {})
    deployment.__dict__["reviews"] = world.reviews
    world.send(LEAD)
    release = world.releases.get(RELEASE)
    assert review_notes(deployment, release, world.now) == [
        "review: 1 of 2 approvals; waits for 1 more approval",
        "review: support-quality has not confirmed the subscription; see `promptlane reviewers list`",
    ]
    assert review_notes(deployment, replace(release, release_id="PROMPTID12-9-1"), world.now) == []
    assert review_notes(deployment, replace(release, state="canary"), world.now) == []
