"""`promptlane init` and `versions`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from promptlane.domain.names import Outcome
from promptlane.project import load_one
from tests.support.cli_desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_is_made_can_be_loaded_and_published_as_it_is(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "reviewers.yaml").write_text("ana: {email: ana@example.com}\nbo: {email: bo@example.com}\n")
    said = desk.json("init", "order-help", "--to", str(tmp_path / "prompts"))
    made = tmp_path / "prompts" / "order-help"

    project = load_one(made)
    assert (project.name, said["reviewers"]) == ("order-help", ["ana", "bo"])
    assert {reviewer.name for reviewer in project.policy.review.reviewers} == {"ana", "bo"}
    assert len(project.suite.cases) == 2
    assert desk.json("publish", str(made), "-m", "first")["version"] == 1


def test_without_declared_reviewers_a_stand_in_is_written_and_said(desk: Desk, tmp_path: Path) -> None:
    said = desk.json("init", "order-help", "--to", str(tmp_path))
    assert "name a reviewer" in said["next"][0]
    assert load_one(tmp_path / "order-help").policy.review.reviewers[0].email == "you@example.com"


@pytest.mark.parametrize("name", ["two words", "a--b", "../out", ".", "a/b", "", "ä"])
def test_a_name_that_is_none_writes_nothing(name: str, desk: Desk, tmp_path: Path) -> None:
    result = desk.type("init", name, "--to", str(tmp_path / "prompts"))
    assert result.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "order-help").mkdir()
    (tmp_path / "order-help" / "prompt.yaml").write_text("mine")
    assert "is there already" in desk.type("init", "order-help", "--to", str(tmp_path)).stderr
    assert (tmp_path / "order-help" / "prompt.yaml").read_text() == "mine"


def test_versions_say_who_gets_them_and_what_became_of_them(desk: Desk) -> None:
    first = desk.publish("Greet {{name}}.")
    desk.serve(first)
    second = desk.publish("Welcome {{name}}.")
    release = desk.start(second.version)
    desk.releases.update(replace(release, state="ended", outcome=Outcome.ROLLED_BACK, reason="refusals"))

    rows = desk.json("versions", "greeter")["versions"]

    assert [(row["version"], row["serves"], row["state"]) for row in rows] == [
        (2, "", "rolled_back"),
        (1, "stable", None),
    ]
    shown = desk.type("versions", "greeter").stdout
    assert "rolled back" in shown
    assert "stable" in shown
