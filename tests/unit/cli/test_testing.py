"""`promptlane test`: the engine at the desk, its exit codes and what it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from promptlane.cli import test
from promptlane.cli.app import app
from promptlane.cli.app import run as run_typed
from promptlane.cli.bench import Models
from promptlane.cli.session import Session
from promptlane.cli.test import run_suite
from promptlane.domain.errors import InvalidInput, Unavailable
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.route import first_route
from promptlane.domain.suite.answers import Answer, ModelNotEnabled, ModelRequest
from promptlane.fakes.objects import ScriptedModel
from promptlane.fakes.stores import InMemoryRoutes
from promptlane.fakes.world import FakeEnrolments, FakePrompts
from promptlane.project import ProjectInvalid, load_one
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
    time_scale = 0.5

    def __init__(self, enrolments: FakeEnrolments | None = None) -> None:
        self.prompts, self.routes = FakePrompts(), InMemoryRoutes()
        self.enrolments = enrolments or FakeEnrolments({})
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


def run(
    root: Path,
    model: Any,
    cases: int = 60,
    *,
    against: str | None = "stable",
    as_json: bool = True,
    reach: Callable[[], None] = lambda: None,
    enrolments: FakeEnrolments | None = None,
) -> int:
    session = Session(connect=lambda: Deployed(enrolments), clock=lambda: 1.8e9)  # type: ignore[arg-type, return-value]
    return run_suite(
        session,
        folder(root, cases),
        against=against,
        output=root / "out",
        repeats=None,
        concurrency=4,
        as_json=as_json,
        models=lambda: Models(ScriptedModel(model), no_helper, no_helper, reach),
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


def test_answers_and_reasons_of_failing_cases_are_told_within_the_width(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = "I would rather not, " * 60 + "\n\nbye\x1b[2J"
    assert run(tmp_path, lambda r: long if said(r).startswith("New") else said(r), as_json=False) == 1
    shown = capsys.readouterr().out
    assert "\nq0\n  contains: the output does not contain 'hi'\n  answered:\n  | I would rather not, I" in shown
    assert f"({len(long):,} characters; the report has more of it)" in shown
    assert "55 more with their answers are in the report" in shown
    assert "\x1b[2J" not in shown
    assert max(len(line) for line in shown.splitlines() if line.startswith("  ")) in range(70, 81)


def test_an_empty_answer_is_told_with_why_the_model_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, lambda _: Answer("", "content_filtered"), against=None, as_json=False) == 1
    assert "  answered nothing (content_filtered)\n" in capsys.readouterr().out


def test_exit_code_3_where_not_one_case_could_be_run_with_the_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = ModelNotEnabled("nova: AccessDeniedException: ask for access")
    assert run(tmp_path, lambda _: refused, against=None, as_json=False) == 3
    shown = capsys.readouterr().out
    assert "missing because of candidate: nova: AccessDeniedException: ask for access (60 cases)" in shown
    assert "COULD NOT RUN" in shown
    assert run(tmp_path, lambda _: refused, against=None) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["could_not_run"] == ["candidate: nova: AccessDeniedException: ask for access (60 cases)"]
    assert (tmp_path / "out/report.json").exists()


def test_nothing_is_paid_for_before_the_output_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InvalidInput, match="choose another --output"):
        run(tmp_path, lambda _: pytest.fail("no model may be asked"))


def test_nothing_is_run_where_no_endpoint_answers(tmp_path: Path) -> None:
    def reach() -> None:
        raise Unavailable("no answer from bedrock: ConnectionRefusedError")

    with pytest.raises(Unavailable, match="ConnectionRefusedError"):
        run(tmp_path, lambda _: pytest.fail("no model may be asked"), reach=reach)


def test_a_suite_or_policy_that_is_not_the_deployed_one_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = load_one(folder(tmp_path, 200)).called_in("eu-central-1", "eu")
    same = FakeEnrolments({"greeter": project.policy.scaled(0.5)}, project.suite.to_dict())
    run(tmp_path, said, 200, enrolments=same)
    assert json.loads(capsys.readouterr().out)["notes"] == []
    other = FakeEnrolments({"greeter": project.policy}, {"tests": []})
    run(tmp_path, said, 200, enrolments=other)
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert [note.split(" (here ")[0] for note in notes] == [
        "release.yaml is not the deployed one",
        "suite.yaml is not the deployed one",
    ]
    run(tmp_path, said, 200, enrolments=other, as_json=False)
    assert notes[1] in capsys.readouterr().out
    run(tmp_path, said, 200, enrolments=FakeEnrolments({}))
    assert json.loads(capsys.readouterr().out)["notes"] == []


@pytest.mark.parametrize(
    "words",
    [
        ("test",),
        ("test", "x", "--nonsense"),
        ("test", "x", "--repeats", "many"),
        ("test", "x", "--repeats", "0"),
        ("--nonsense", "test", "x"),
        ("test", "nowhere"),
    ],
)
def test_exit_code_3_for_wrong_usage_which_is_no_verdict(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, list(words), obj=Session(connect=Deployed))  # type: ignore[arg-type]
    assert result.exit_code == 3, result.output


def test_other_commands_keep_their_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CliRunner().invoke(app, ["status", "--nonsense"]).exit_code == 2
    assert CliRunner().invoke(app, ["nonsense"]).exit_code == 2
    assert CliRunner().invoke(app, ["test", "--help"]).exit_code == 0
    monkeypatch.setattr(test, "run_suite", lambda *_, **__: 1 // 0)
    broken = CliRunner().invoke(app, ["test", "x"])
    assert (broken.exit_code, "ZeroDivisionError" in broken.output) == (3, True)


SHORT = """
import sys
from promptlane.cli.app import app, run
from promptlane.cli import test
from typer.testing import CliRunner

from promptlane.cli import test
from promptlane.cli.app import app
from promptlane.cli.app import run as run_typed
from promptlane.cli.bench import Models
from promptlane.fakes.objects import ScriptedModel
test.run_suite.__kwdefaults__["models"] = lambda: Models(ScriptedModel(lambda r: "h\\u00e9 \\u2192 no"), None, None)
raise SystemExit(run())
"""


@pytest.mark.parametrize(("as_json", "reads"), [(False, True), (False, False), (True, False)])
def test_a_verdict_reaches_its_exit_code_through_closed_pipes_and_ascii(
    tmp_path: Path, as_json: bool, reads: bool
) -> None:
    root = folder(tmp_path, 60)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "NO_COLOR": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    environment |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1", "AWS_REGION": "eu-central-1"}
    command = [sys.executable, "-c", SHORT, "test", str(root), "--output", str(tmp_path / "out")]
    command += ["--json"] if as_json else []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        shown = process.stdout.read() if reads else b""
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert (process.returncode, errors) == (1, "")
    assert shown.isascii()
    assert b"\x1b" not in shown
    assert (b"FAIL" in shown) is reads


def test_the_region_may_be_named_as_the_aws_cli_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setattr(sys, "argv", ["promptlane", "--version"])
    assert run_typed() == 0
    assert os.environ["AWS_DEFAULT_REGION"] == "eu-central-1"
