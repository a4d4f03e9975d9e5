"""A prompt's folder: loaded as a whole, refused with every problem at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptlane.domain.errors import InvalidInput
from promptlane.project import ProjectInvalid, load, load_draft, load_one

PROMPT = """\
name: greeter
model: amazon.nova-lite-v1:0
variables: [name]
template: |
  Greet {{name}}.
"""
RELEASE = """\
review:
  reviewers: [{name: lead, email: lead@example.com}]
canary:
  steps:
    - {weight: 5%}
    - {weight: 25%}
"""
SUITE = """\
tests:
  - id: ana
    vars: {name: Ana}
    assert: [{type: contains, value: Ana}]
"""


def write(folder: Path, *, prompt: str = PROMPT, release: str | None = RELEASE, suite: str | None = SUITE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("prompt.yaml", prompt), ("release.yaml", release), ("suite.yaml", suite)):
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ProjectInvalid) as caught:
        load_one(folder)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_good_folder_loads(tmp_path: Path) -> None:
    project = load_one(write(tmp_path / "greeter"))

    assert project.name == "greeter"
    assert [s.weight for s in project.policy.canary.steps] == [500, 2500]
    assert [c.id for c in project.suite.cases] == ["ana"]


def test_problems_of_all_files_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    said = refusal(
        write(
            tmp_path / "p",
            prompt=PROMPT.replace("variables: [name]", "variables: [name, mood]"),
            release=RELEASE.replace("25%", "3%") + "wach: {}\n",
            suite=SUITE.replace("contains", "contians"),
        )
    )

    assert "prompt.yaml:3:19: variables[1]: 'mood' is declared but the template never uses it" in said
    assert "release.yaml:6:8: canary.steps[1].weight: weights must grow" in said
    assert "release.yaml:7:1: wach: unknown key" in said
    assert "suite.yaml:4:15: tests[0].assert[0].type: unknown assertion type 'contians'" in said


def test_a_template_that_uses_an_undeclared_variable_is_refused_at_the_desk(tmp_path: Path) -> None:
    said = refusal(write(tmp_path / "p", prompt=PROMPT.replace("{{name}}", "{{name}} from {{city}}")))

    assert "prompt.yaml:4:1: template: uses {{city}}, which `variables` does not declare" in said


def test_a_suite_that_names_a_variable_the_template_lacks_is_refused(tmp_path: Path) -> None:
    said = refusal(write(tmp_path / "p", suite=SUITE.replace("{name: Ana}", "{name: Ana, city: Oslo}")))

    assert "suite.yaml:1:1: tests: variable 'city' of case 'ana' is not in the template" in said


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (RELEASE.replace("5%}", "five}", 1), "canary.steps[0].weight: 'five' is not a share of traffic"),
        (RELEASE + "review: {}\n", "is given twice"),
        (RELEASE.replace("reviewers:", "reviewer:"), "unknown key"),
        ("review: [\n", "is not valid YAML"),
        ("", "is empty"),
        ("just text\n", "must be a mapping"),
    ],
)
def test_a_bad_policy_is_named_with_its_field(tmp_path: Path, changed: str, expected: str) -> None:
    said = refusal(write(tmp_path / "p", release=changed))

    assert "release.yaml" in said
    assert expected in said


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "suite.yaml: does not exist" in refusal(write(tmp_path / "p", suite=None))


def test_case_files_are_read_from_the_prompts_folder_only(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", suite="tests: file://cases.csv\n")
    (folder / "cases.csv").write_text("name,__expected\nAna,contains:Ana\nBo,contains:Bo\n", encoding="utf-8")
    assert len(load_one(folder).suite.cases) == 2

    (tmp_path / "outside.csv").write_text("name,__expected\nAna,contains:Ana\n", encoding="utf-8")
    (folder / "suite.yaml").write_text("tests: file://../outside.csv\n", encoding="utf-8")
    assert "lies outside" in refusal(folder)


def test_all_enrolled_prompts_are_loaded_and_others_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "b")
    write(tmp_path / "a", prompt=PROMPT.replace("greeter", "another"))
    write(tmp_path / "draft-only", prompt="not even: [yaml", release=None, suite=None)

    assert [p.name for p in load(tmp_path)] == ["another", "greeter"]


def test_two_folders_with_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")

    with pytest.raises(ProjectInvalid, match="is also the name of"):
        load(tmp_path)


def test_a_folder_that_does_not_exist_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a directory"):
        load(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match=r"prompt\.yaml"):
        load_one(tmp_path / "nowhere")


def test_a_draft_can_be_read_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", suite=None)

    assert load_draft(folder).name == "greeter"


ASKING = """\
tests:
  - id: ana
    vars: {name: Ana}
    assert: [{type: guardrails}, {type: contains, value: Ana}]
"""
GUARDED = PROMPT + "guardrail: {id: gr1234567890, version: 2}\n"


def test_a_suite_that_asks_about_a_guardrail_needs_a_prompt_that_has_one(tmp_path: Path) -> None:
    said = refusal(write(tmp_path / "p", suite=ASKING))

    assert "suite.yaml:1:1: tests: guardrail-intervened asks whether a guardrail intervened, and the prompt has" in said
    assert load_one(write(tmp_path / "q", prompt=GUARDED, suite=ASKING)).draft.guardrail is not None


def test_a_guardrail_that_can_change_is_refused_at_its_line(tmp_path: Path) -> None:
    said = refusal(write(tmp_path / "p", prompt=GUARDED.replace("version: 2", "version: DRAFT")))

    assert "prompt.yaml:6:1: guardrail: is DRAFT, which can change under a release; create a version of" in said
