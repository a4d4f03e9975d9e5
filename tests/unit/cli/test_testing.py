"""`promptlane test`: the engine at the desk, its exit codes and what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from promptlane.cli.session import Session
from promptlane.cli.test import Models, run_suite
from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.route import first_route
from promptlane.domain.suite.answers import ModelRequest
from promptlane.fakes.objects import ScriptedModel
from promptlane.fakes.stores import InMemoryRoutes
from promptlane.fakes.world import FakePrompts
from promptlane.project import ProjectInvalid
from tests.support.prompt import ID

PROMPT = """
name: greeter
model: amazon.nova-lite-v1:0
template: "New: {{question}}"
variables: [question]
inference: {max_tokens: 50}
"""
POLICY = """
review: {reviewers: [{name: support-lead, email: support-lead@example.com}]}
tests: {repeats: 1}
"""


class Deployed:
    """What `test` needs of a deployment."""

    models = ("eu-central-1", "eu")

    def __init__(self) -> None:
        self.prompts, self.routes = FakePrompts(), InMemoryRoutes()
        old = {
            "name": "greeter",
            "model": "amazon.nova-lite-v1:0",
            "template": "Old: {{question}}",
            "variables": ["question"],
        }
        version = self.prompts.publish(PromptDraft.from_dict(old), prompt_id=ID)
        route = first_route(
            prompt="greeter",
            prompt_id=ID,
            candidate=version.ref,
            release_id="PROMPT0001-1-1",
            now=1.0,
            by="author",
        )
        self.routes.put(route, expected=None)

    def prompt(self, name: str) -> tuple[str, str]:
        return ID, name


def folder(root: Path, cases: int) -> Path:
    tests = [
        {"id": f"q{i}", "vars": {"question": f"hi {i}"}, "assert": [{"type": "contains", "value": "hi"}]}
        for i in range(cases)
    ]
    (root / "prompt.yaml").write_text(PROMPT)
    (root / "release.yaml").write_text(POLICY)
    (root / "suite.yaml").write_text(json.dumps({"tests": tests}))
    return root


def said(request: ModelRequest) -> str:
    return str(request.body["messages"][0]["content"][0]["text"])


def no_helper(model_id: str) -> Any:
    raise AssertionError("nothing in this suite asks a judge")


def run(root: Path, model: Any, cases: int = 60, *, against: str | None = "stable", as_json: bool = True) -> int:
    session = Session(connect=Deployed, clock=lambda: 1.8e9)  # type: ignore[arg-type]
    return run_suite(
        session,
        folder(root, cases),
        against=against,
        output=root / "out",
        repeats=None,
        concurrency=4,
        as_json=as_json,
        models=lambda: Models(ScriptedModel(model), no_helper, no_helper),
    )


def test_exit_code_0_for_pass_with_the_report_in_three_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, said) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "pass"
    assert document["stable"] == "version 1"
    assert {"report.html", "report.json", "junit.xml"} <= {p.name for p in (tmp_path / "out").iterdir()}


def test_the_model_is_called_as_the_deployment_calls_it(tmp_path: Path) -> None:
    asked: set[str] = set()

    def remembered(request: ModelRequest) -> str:
        asked.add(request.model_id)
        return said(request)

    run(tmp_path, remembered, against=None)
    assert asked == {"eu.amazon.nova-lite-v1:0"}


def test_exit_code_1_for_fail_names_the_broken_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, lambda r: "no" if said(r).startswith("New") else said(r), as_json=False) == 1
    shown = capsys.readouterr().out
    assert "newly failing (60): q0, q1" in shown
    assert "FAIL" in shown
    assert "report.html" in shown


def test_exit_code_2_for_inconclusive_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, said, cases=8, as_json=False) == 2
    assert "8 cases are too few" in capsys.readouterr().out


def test_a_version_number_or_nothing_may_be_compared_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, said, against="1") == 0
    assert json.loads(capsys.readouterr().out)["absolute"] is False
    assert run(tmp_path, said, against=None) == 0
    assert json.loads(capsys.readouterr().out)["absolute"] is True
    with pytest.raises(InvalidInput, match="--against 'newest'"):
        run(tmp_path, said, against="newest")


def test_a_broken_suite_is_named_with_its_line(tmp_path: Path) -> None:
    folder(tmp_path, 3)
    (tmp_path / "suite.yaml").write_text("tests:\n  - vars: {question: hi}\n    assert:\n      - type: contians\n")
    with pytest.raises(ProjectInvalid, match=r"suite.yaml:4:\d+.*did you mean 'contains'"):
        run_suite(
            Session(),
            tmp_path,
            against=None,
            output=None,
            repeats=None,
            concurrency=None,
            as_json=True,
            models=lambda: pytest.fail("no model may be asked"),
        )
