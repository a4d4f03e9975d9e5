"""`promptlane test --compare`: one suite over several models and versions, side by side."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from promptlane.cli.app import app
from promptlane.cli.bench import Models
from promptlane.cli.comparing import compare_sides
from promptlane.cli.session import Session
from promptlane.domain.errors import InvalidInput, NotFound
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.suite.answers import Answer, ModelNotEnabled, ModelRequest
from promptlane.engine.plan import TestPlanRefused
from promptlane.fakes.objects import ScriptedModel
from tests.support.cli_desk import Desk
from tests.support.prompt import ID

Json = Any
PRO, LITE, MICRO = (f"amazon.nova-{size}-v1:0" for size in ("pro", "lite", "micro"))
PROMPT = (
    f'{{name: greeter, model: "{LITE}", template: "New: {{{{q}}}}", variables: [q], inference: {{max_tokens: 50}}}}'
)
POLICY = "review: {reviewers: [{name: support-lead, email: lead@example.com}]}\n"


def folder(root: Path, cases: int = 60, tests: str = "", more: Json = None) -> Path:
    asserts = [{"type": "contains", "value": "hi"}, *(more or [])]
    rows = [{"id": f"q{i}", "vars": {"q": f"hi {i}"}, "assert": asserts} for i in range(cases)]
    (root / "prompt.yaml").write_text(PROMPT)
    (root / "release.yaml").write_text(POLICY + tests)
    (root / "suite.yaml").write_text(json.dumps({"tests": rows}))
    return root


def said(request: ModelRequest) -> str:
    return str(request.body["messages"][0]["content"][0]["text"])


def answered(request: ModelRequest) -> Answer | Exception:
    """Lite is right, micro is wrong in half of the cases, pro is right, slow and talks much; another is not there."""
    text, model = said(request), request.model_id
    if "claude" in model:
        return ModelNotEnabled("claude: AccessDeniedException: ask for access")
    slow, tokens = (900.0, 400) if model == PRO else (100.0, 40)
    wrong = model == MICRO and int(text.split()[-1]) % 2
    return Answer("no" if wrong else text, "end_turn", slow, 100, tokens)


def nowhere() -> Any:
    raise NotFound("no deployment here")


def compared(
    root: Path, *sides: str, model: Any = answered, against: str | None = None, connect: Any = nowhere, **more: Json
) -> int:
    settings: Json = {"output": root / "out", "repeats": None, "concurrency": 6, "as_json": True} | more
    made = Models(ScriptedModel(model), lambda _: pytest.fail("no judge"), lambda _: pytest.fail("no embedder"))
    session = Session(connect=connect, clock=lambda: 1.8e9)
    return compare_sides(session, root, sides=sides, against=against, models=lambda: made, **settings)


def read(root: Path) -> Json:
    return json.loads((root / "out/comparison.json").read_text())


def test_models_are_told_side_by_side_by_quality_latency_and_cost(tmp_path: Path) -> None:
    assert compared(folder(tmp_path), PRO, MICRO) == 0
    document = read(tmp_path)
    first, pro, micro = document["sides"]
    assert [side["model"] for side in document["sides"]] == [LITE, PRO, MICRO]
    assert [(s["pass_rate"], s["verdict"]) for s in document["sides"]] == [(1.0, None), (1.0, "pass"), (0.5, "fail")]
    assert [s["latency_ms_p50"] for s in document["sides"]] == [100.0, 900.0, 100.0]
    assert first["usd_per_1000_answers"] == pytest.approx(1_000 * (100 * 0.06 + 40 * 0.24) / 1e6)
    assert pro["usd_per_1000_answers"] == pytest.approx(1_000 * (100 * 0.8 + 400 * 3.2) / 1e6)
    assert (pro["newly_failing"], micro["newly_failing"]) == ([], [f"q{i}" for i in range(1, 60, 2)])
    assert micro["difference"]["estimate"] == -0.5
    assert document["differing"][0] == {"case": "q1", "runs": 1, "passes": [1, 1, 0]}
    for side in document["sides"]:
        assert (tmp_path / "out" / side["report"]).is_file()


def test_one_page_and_one_junit_file_have_every_side_beside_the_others(tmp_path: Path) -> None:
    claude = "anthropic.claude-3-haiku-20240307-v1:0"

    def model(request: ModelRequest) -> Answer | Exception:
        found = answered(request)
        wrong = isinstance(found, Answer) and found.text == "no"
        return Answer("<script>alert(1)</script>", "end_turn", 100.0, 100, 40) if wrong else found

    assert compared(folder(tmp_path, 6), PRO, MICRO, claude, model=model) == 0
    page = (tmp_path / "out/comparison.html").read_text()
    assert "Cases that do not pass everywhere (3)" in page
    assert page.count('title="failed"') == 3
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3
    assert "<script" not in page
    assert "ask for access" in page
    for side in read(tmp_path)["sides"]:
        assert f'href="{side["report"]}"' in page

    suites = ElementTree.parse(tmp_path / "out/junit.xml").getroot()
    told = [[suite.get(key) for key in ("tests", "failures", "errors")] for suite in suites]
    assert told == [["6", "0", "0"], ["6", "0", "0"], ["6", "3", "0"], ["6", "0", "6"]]
    assert [case.get("name") for case in suites[2] if case.find("failure") is not None] == ["q1", "q3", "q5"]
    assert [suites.get(key) for key in ("tests", "failures", "errors")] == ["24", "3", "6"]


def test_where_all_sides_pass_the_page_says_so(tmp_path: Path) -> None:
    assert compared(folder(tmp_path, 4), PRO) == 0
    assert "Every case passed on every side that could be run." in (tmp_path / "out/comparison.html").read_text()


def test_the_draft_with_another_model_is_the_same_in_all_else(tmp_path: Path) -> None:
    asked: dict[str, Json] = {}

    def remembered(request: ModelRequest) -> Any:
        if said(request) == "New: hi 0":
            asked[request.model_id] = request.body
        return answered(request)

    compared(folder(tmp_path), PRO, model=remembered)
    assert asked.keys() == {LITE, PRO}
    assert asked[LITE] == asked[PRO]
    assert asked[PRO]["inferenceConfig"] == {"maxTokens": 50}


def test_all_sides_are_asked_in_the_same_minutes(tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=20)

    def answer(request: ModelRequest) -> Any:
        together.wait()  # broken, unless one call of each side is in flight
        return answered(request)

    assert compared(folder(tmp_path, 4), PRO, MICRO, model=answer, concurrency=3) == 0


def test_versions_stand_beside_models_and_what_is_the_same_once(tmp_path: Path) -> None:
    desk = Desk()
    desk.prompts.write_draft(PromptDraft("greeter", LITE, ("q",), template="Old: {{q}}"))
    one = desk.prompts.publish(ID)
    desk.serve(one)
    assert compared(folder(tmp_path), "stable", PRO, "1", LITE, against="1", connect=desk.connect) == 0
    assert [s["label"] for s in read(tmp_path)["sides"]] == [
        f"version 1 ({LITE})",
        f"draft ({LITE})",
        PRO,
    ]
    with pytest.raises(InvalidInput, match="there are 1 different sides"):
        compared(folder(tmp_path), LITE)
    with pytest.raises(InvalidInput, match="--compare 'nova': give a model id"):
        compared(folder(tmp_path), "nova")


def test_a_side_that_cannot_be_run_is_told_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claude = "anthropic.claude-3-haiku-20240307-v1:0"
    assert compared(folder(tmp_path), claude, MICRO, as_json=False) == 0
    _, missing, micro = read(tmp_path)["sides"]
    assert (missing["complete"], missing["pass_rate"], micro["verdict"]) == (0, None, "fail")
    shown = capsys.readouterr().out
    assert f"{claude}: missing because of claude: AccessDeniedException: ask for access (60 cases)" in shown
    assert f"FAIL {MICRO}\nOver all cases: 100.0% passed before, 50.0% now" in shown
    assert compared(folder(tmp_path), claude) == 3


def test_the_table_fits_80_columns_with_the_longest_model_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = "us.anthropic.claude-3-5-sonnet-20241022-v2:0"
    compared(folder(tmp_path), long, PRO, MICRO, as_json=False, model=lambda r: Answer(said(r), "end_turn", 123_456.0))
    table = capsys.readouterr().out.partition("vs first")[2].split("\n\n")[0].splitlines()[1:]
    assert max(map(len, table)) <= 80
    assert "123456" in "".join(table)
    assert long in "".join(line.split("  ")[0].strip() for line in table)


def test_a_guardrail_called_by_name_needs_a_deployment_that_knows_it(tmp_path: Path) -> None:
    root = folder(tmp_path, 2)
    (root / "prompt.yaml").write_text(PROMPT[:-1] + ", guardrail: {name: shop}}")
    with pytest.raises(InvalidInput, match="calls its guardrail 'shop' by name, and no deployment can be reached"):
        compared(root, PRO, model=lambda _: pytest.fail("no model may be asked"))


def test_what_all_sides_cost_together_is_bounded_before_any_is_asked(tmp_path: Path) -> None:
    def never(_: ModelRequest) -> Any:
        pytest.fail("no model may be asked")

    alone = folder(tmp_path, tests="tests: {max_cost_usd: 0.01}\n")
    with pytest.raises(TestPlanRefused, match=r"3 sides could cost 0\.01 USD together, more than"):
        compared(alone, PRO, MICRO, model=never)
    with pytest.raises(TestPlanRefused, match="no price is known for model"):
        compared(folder(tmp_path), "own.model", model=never)


def test_an_assertion_of_pairs_is_left_out_and_said(tmp_path: Path) -> None:
    best = [{"type": "select-best", "value": "kinder"}]

    class Unasked:
        def ask(self, system: str, user: str, schema: Json) -> Json:
            pytest.fail("nothing is compared in pairs")

    made = Models(ScriptedModel(answered), lambda _: Unasked(), lambda _: pytest.fail("no embedder"))
    session = Session(connect=nowhere, clock=lambda: 1.8e9)
    settings: Json = {"output": tmp_path / "out", "repeats": None, "concurrency": 6, "as_json": True, "against": None}
    assert compare_sides(session, folder(tmp_path, more=best), sides=[PRO], models=lambda: made, **settings) == 0
    assert any(note.startswith("select-best compares two") for note in read(tmp_path)["notes"])


def test_the_command_hands_its_sides_on(tmp_path: Path) -> None:
    words = ["test", str(folder(tmp_path)), "--compare", "nova", "--compare", PRO]
    result = CliRunner().invoke(app, words, obj=Session(connect=nowhere))
    assert result.exit_code == 3
    assert "--compare 'nova': give a model id" in result.output
