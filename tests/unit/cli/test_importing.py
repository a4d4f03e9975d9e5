"""`promptlane import` as it is typed: what it prints, and how it ends."""

from __future__ import annotations

from pathlib import Path

from tests.support.cli_desk import Desk

CONFIG = """\
providers: [openai:gpt-4o]
tests:
  - vars: {q: "\\e[31m"}
    assert: [{type: is-json}, {type: javascript, value: "output > 1", metric: large}]
  - assert: [{type: llm-rubric, value: kind, provider: "bedrock:amazon.nova-pro-v1:0"}]
"""


def test_it_says_what_there_is_what_was_left_and_what_to_do(tmp_path: Path) -> None:
    desk = Desk()
    (tmp_path / "promptfooconfig.yaml").write_text(CONFIG)
    said = desk.json("import", str(tmp_path))
    assert (said["cases"], said["suite"]) == (2, str(tmp_path / "suite.yaml"))
    assert said["files"] == [str(tmp_path / "suite.left.md"), str(tmp_path / "suite.yaml")]
    assert [one["what"] for one in said["left"]] == ["`providers`"]
    assert [stub["name"] for stub in said["checks"]] == ["large"]
    assert said["policy"] == {"tests": {"judge_model": "amazon.nova-pro-v1:0"}}

    shown = desk.type("import", str(tmp_path), "--force")
    assert shown.exit_code == 0
    assert "2 cases" in shown.output
    assert "write the check large" in shown.output
    assert "set tests.judge_model to amazon.nova-pro-v1:0" in shown.output


def test_it_fails_with_a_sentence_and_without_a_trace(tmp_path: Path) -> None:
    desk = Desk()
    (tmp_path / "promptfooconfig.yaml").write_text(CONFIG)
    (tmp_path / "suite.yaml").write_text("mine")
    refused = desk.type("import", str(tmp_path))
    assert refused.exit_code == 1
    assert "would be overwritten" in refused.output.replace("\n", " ")
    assert (tmp_path / "suite.yaml").read_text() == "mine"
    assert desk.type("import", str(tmp_path / "gone.yaml")).exit_code == 1
