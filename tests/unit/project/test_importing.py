"""promptfoo configurations on disk: what carries over is written whole and loads, what does not is told."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from promptlane.domain.errors import AlreadyExists, InvalidInput, PromptlaneError
from promptlane.domain.suite.answers import Answer
from promptlane.engine.assertions import Grader
from promptlane.engine.checks import unknown
from promptlane.engine.document import parse_document, read_document
from promptlane.engine.imported.defaults import Usual
from promptlane.engine.parse import parse
from promptlane.engine.suite import Suite
from promptlane.engine.written import yaml_text
from promptlane.project import ProjectInvalid
from promptlane.project.importing import LIST_FILE, Written, import_suite
from promptlane.project.load import inside
from tests.support.promptfoo_shapes import SHAPES

CONFIG = "promptfooconfig.yaml"
ONE = "tests: [{vars: {q: hi}, assert: [{type: contains, value: hello}]}]"


def put(folder: Path, config: str, files: dict[str, str] | None = None) -> Path:
    for name, content in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="")
    (folder / CONFIG).write_text(textwrap.dedent(config), encoding="utf-8")
    return folder / CONFIG


def loaded(folder: Path) -> Suite:
    document = read_document(folder / "suite.yaml")
    assert not document.problems
    return parse(document.data, read=inside(folder))


def all_files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_that_users_publish_carries_over_as_far_as_it_does(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    source, target = tmp_path / "theirs", tmp_path / "ours"
    source.mkdir()
    target.mkdir()
    written = import_suite(put(source, shape.config, shape.files), target)

    suite = loaded(target)
    assert (written.found.cases, len(suite.cases)) == (shape.cases, shape.cases)
    assert [" ".join(a.type for a in case.asserts) for case in suite.cases] == shape.types
    told = "\n".join(f"{one.what}: {one.why} {' '.join(one.places)}" for one in written.found.left)
    assert [text for text in shape.left if text not in told] == []
    assert bool(told) == bool(shape.left)
    assert tuple(stub.name for stub in written.found.stubs) == shape.stubs
    assert suite.checks == set(shape.stubs)
    assert written.found.policy == shape.policy
    assert (target / LIST_FILE).exists() == bool(told or shape.stubs or shape.policy)

    beside = put(source, shape.config)
    import_suite(beside)
    assert loaded(source) == suite
    once = all_files(source)
    import_suite(beside, force=True)
    assert all_files(source) == once


def brought(tmp_path: Path, config: str, **files: str) -> Written:
    return import_suite(put(tmp_path, config, files))


def test_a_run_is_refused_until_its_checks_are_written(tmp_path: Path) -> None:
    brought(tmp_path, SHAPES["python file"].config)
    [said] = unknown(loaded(tmp_path).checks)
    assert "'tone-polite' is not registered" in said
    listed = (tmp_path / LIST_FILE).read_text()
    assert "file://checks/tone.py:polite" in listed
    assert '{"threshold": 0.8}' in listed


def test_what_stands_in_where_nothing_is_asserted_is_written_out_and_can_fail(tmp_path: Path) -> None:
    prompt = "{name: p, inference: {max_tokens: 300}, guardrail: {id: g, version: 1}}"
    (tmp_path / "prompt.yaml").write_text(prompt)
    brought(tmp_path, "tests: [{vars: {a: 1}}, {vars: {a: 2}}]")
    data = read_document(tmp_path / "suite.yaml").data
    assert data["defaultTest"]["assert"] == list(Usual(300, guardrail=True).assertions().values())
    assert data["tests"] == [{"vars": {"a": 1}}, {"vars": {"a": 2}}]
    case = loaded(tmp_path).cases[0]

    def verdict(text: str, tokens: int = 20, stop: str = "end_turn") -> bool:
        return Grader().case(case, Answer(text, output_tokens=tokens, stop_reason=stop)).passed

    assert verdict("Hello, Ana.", tokens=299)
    assert not verdict(" \n")
    assert not verdict("I'm sorry, but I can't help with that.")
    assert not verdict("Hello.", tokens=300)
    assert not verdict("Hello.", stop="guardrail_intervened")


def test_the_suite_grades_as_the_configuration_did(tmp_path: Path) -> None:
    config = "tests: [{vars: {w: green}, threshold: 0.5, assert: [{type: contains, value: '{{w}}'}, {type: is-json}]}]"
    brought(tmp_path, config)
    [mine] = loaded(tmp_path).cases
    [theirs] = parse(parse_document(config, "c").data).cases
    for text in ("green", "red", "{}", '{"green": 1}', ""):
        answer = Answer(text)
        assert Grader().case(mine, answer) == Grader().case(theirs, answer)


def test_nothing_is_overwritten_without_being_told_to(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text("mine")
    source = put(tmp_path, ONE)
    before = all_files(tmp_path)
    with pytest.raises(AlreadyExists, match=r"suite\.yaml would be overwritten"):
        import_suite(source)
    assert all_files(tmp_path) == before
    import_suite(source, force=True)
    assert len(loaded(tmp_path).cases) == 1

    target = tmp_path / "other"
    target.mkdir()
    put(tmp_path, "tests: cases.csv", {"cases.csv": "q,__expected\na,b\n", "other/cases.csv": "another"})
    with pytest.raises(AlreadyExists, match=r"cases\.csv would be overwritten"):
        import_suite(source, target)
    assert all_files(target) == {"cases.csv": b"another"}


def test_a_failure_while_writing_leaves_everything_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "ours"
    target.mkdir()
    (target / "suite.yaml").write_text("mine")
    source = put(tmp_path, SHAPES["csv with code"].config, SHAPES["csv with code"].files)
    real, calls = Path.replace, [0]
    for last in (1, 2, 3):
        calls[0] = 0

        def replace(self: Path, to: Path, last: int = last) -> Path:
            calls[0] += 1
            if calls[0] == last:
                raise OSError(28, "No space left on device", str(to))
            return real(self, to)

        with mock.patch.object(Path, "replace", replace), pytest.raises(InvalidInput, match="nothing was written"):
            import_suite(source, target, force=True)
        assert all_files(target) == {"suite.yaml": b"mine"}
    import_suite(source, target, force=True)
    assert sorted(all_files(target)) == ["cases.imported.jsonl", LIST_FILE, "suite.yaml"]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join(['*' + p] * 9)}]\n" for p, n in zip("abcdefg", "bcdefgh", strict=True)
)
HOSTILE = {
    "bomb": (BOMB + "tests: [{vars: {q: *h}}]", "holds more than"),
    "depth": ("tests: " + "[" * 3_000, "nested too deeply"),
    "itself": ("tests: &t [*t]", "contains itself"),
    "tag": ("tests: !!python/object/apply:os.system [ls]", "not valid YAML"),
    "no mapping": ("text", "no configuration of promptfoo"),
    "no cases": ("[1, 2]", "no case carries over"),
    "no tests": ("prompts: [a]", "holds no `tests`"),
    "nothing": ("tests: []", "no case carries over"),
    "no case": ("tests: [1, x.py]", "is code"),
    "twice": ("tests: []\ntests: []", "given twice"),
    "default": ("{defaultTest: 'file://../d.yaml', tests: [{vars: {a: 1}}]}", "lies outside"),
    "default code": ("{defaultTest: 'file://d.js', tests: [{vars: {a: 1}}]}", "is code"),
    "pattern outside": ("tests: '../*.yaml'", "leads out of"),
    "too many": (
        "scenarios: [{config: [" + "{vars: {a: 1}}, " * 200 + "], tests: [" + "{vars: {b: 1}}, " * 200 + "]}]",
        "more than 20,000 cases",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_configuration_is_refused_and_nothing_written(name: str, tmp_path: Path) -> None:
    config, said = HOSTILE[name]
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "d.yaml").write_text("vars: {a: secret}")
    source = put(folder, config)
    with pytest.raises(PromptlaneError, match=said):
        import_suite(source)
    assert list(all_files(folder)) == [CONFIG]


def test_cases_alone_are_a_configuration(tmp_path: Path) -> None:
    row = '{"vars": {"q": "a"}, "assert": [{"type": "is-json"}]}'
    for name, content in (
        ("c.csv", "q;__expected\na;is-json\n"),
        ("c.jsonl", row + "\n"),
        ("c.json", f"[{row}]"),
        ("c.yaml", f"- {row}\n"),
    ):
        (tmp_path / name).write_text(content)
        import_suite(tmp_path / name, force=True)
        [case] = loaded(tmp_path).cases
        assert (case.vars, [a.type for a in case.asserts]) == ({"q": "a"}, ["is-json"])


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s3cret")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "more").symlink_to(tmp_path)
    case = "{vars: {a: 'file://NAME'}, assert: [{type: is-json}]}"
    names = ("a.txt", "more/secret.txt")
    cases = ", ".join(case.replace("NAME", name) for name in names)
    import_suite(put(folder, f"tests: [{cases}, 'more/*.txt', {{assert: [{{type: is-json}}]}}]"))
    assert len(loaded(folder).cases) == 1
    assert not any(b"s3cret" in content for name, content in all_files(folder).items() if name != "a.txt")


def test_what_is_no_configuration_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "c.js").write_text("module.exports = {}")
    (tmp_path / "c.json").write_text('{"tests": ')
    (tmp_path / "empty").mkdir()
    for name, said in (
        ("pipe.yaml", "is no file"),
        ("c.js", "is code"),
        ("c.json", "is not valid JSON"),
        ("gone.yaml", "does not exist"),
        ("empty", "holds no promptfooconfig.yaml"),
    ):
        with pytest.raises(InvalidInput, match=said):
            import_suite(tmp_path / name)
    (tmp_path / "empty" / "promptfooconfig.json").write_text('{"tests": [{"assert": [{"type": "is-json"}]}]}')
    assert import_suite(tmp_path / "empty").found.cases == 1
    with pytest.raises(InvalidInput, match="is not a directory"):
        import_suite(tmp_path / "empty", tmp_path / "none")


def test_the_list_is_text_whatever_the_configuration_holds(tmp_path: Path) -> None:
    config = {
        "tests": [
            {"assert": [{"type": "javascript", "value": "```\n# Approved\n````"}, {"type": "is-json"}]},
            {"vars": {"a`<b>\n# x": "{{ 1 + 1 }}"}, "assert": [{"type": "<script>`", "value": "x"}]},
        ]
    }
    brought(tmp_path, yaml_text(config))
    listed = (tmp_path / LIST_FILE).read_text()
    assert "\n`````\n```\n# Approved\n````\n`````\n" in listed
    assert "\n# x" not in listed
    assert listed.count("\n# ") == 1


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=14)
    | st.sampled_from(["no", "1:30", "0o17", "1e3", "0x1f", ".5", "~", "=", "<<", "2026-01-31", "1_0", "# a", "a: b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), inner, max_size=3)
    ),
    max_leaves=10,
)


@example({"\x85": "a\u2028b", "\ufeff": ["\u2029", "\r", "a\nb\x85", "a\n \nb", " a\nb", "a\n\n"]})
@given(VALUES)
def test_what_is_written_is_read_back_as_it_was(value: Any) -> None:
    text = yaml_text({"value": value})
    document = parse_document(text, "t")
    assert document.problems == ()
    assert document.data == {"value": value}
    assert yaml_text({"value": value}) == text


def test_problems_of_yaml_name_their_line(tmp_path: Path) -> None:
    with pytest.raises(ProjectInvalid, match=f"{CONFIG}:2:"):
        brought(tmp_path, "a: 1\nb: [")


BESIDE = """
tests:
  - ../../cases/one.yaml
  - ../../cases/more-*.yaml
defaultTest: file://../../cases/default.yaml
"""


def test_cases_beside_the_configuration_are_read_below_a_folder_that_is_named(tmp_path: Path) -> None:
    case = "- vars: {q: Q}\n  assert: [{type: contains, value: hello}]\n"
    files = {
        "cases/one.yaml": case.replace("Q", "a"),
        "cases/more-1.yaml": case.replace("Q", "b"),
        "cases/more-2.yaml": case.replace("Q", "{x: [c, d]}"),
        "cases/default.yaml": "{assert: [{type: latency, threshold: 900}]}",
        "secret.yaml": case,
        "runs/one/.keep": "",
    }
    put(tmp_path / "theirs", "", files)
    source, target = put(tmp_path / "theirs/runs/one", BESIDE), tmp_path / "ours"
    target.mkdir()

    with pytest.raises(InvalidInput, match=r"name a folder that holds it and promptfooconfig\.yaml by --root"):
        import_suite(source, target)
    with pytest.raises(InvalidInput, match="does not hold"):
        import_suite(source, target, root=target)
    assert all_files(target) == {}

    written = import_suite(source, target, root=tmp_path / "theirs")
    suite = loaded(target)
    assert [case.vars["q"] for case in suite.cases][:2] == ["a", "b"]
    assert (written.found.cases, written.found.left) == (len(suite.cases), ())
    assert set(written.files) == {"suite.yaml", *(f"{name}.imported.jsonl" for name in ("one", "more-1", "more-2"))}
    assert all("latency" in [a.kind for a in case.all_asserts] for case in suite.cases)


@pytest.mark.parametrize("outside", ["../../../secret.yaml", "file:///etc/hosts", "../../cases/../../../secret.yaml"])
def test_nothing_is_read_outside_of_it(outside: str, tmp_path: Path) -> None:
    put(
        tmp_path, "", {"secret.yaml": "- {vars: {q: secret}, assert: [{type: is-json}]}\n", "theirs/runs/one/.keep": ""}
    )
    config = f"tests: ['{outside}', {{vars: {{q: 'file://../../../secret.yaml'}}, assert: [{{type: is-json}}]}}]"
    source = put(tmp_path / "theirs/runs/one", config)
    with pytest.raises(InvalidInput, match="no case carries over") as refused:
        import_suite(source, root=tmp_path / "theirs")
    assert "lies outside" in str(refused.value)
    assert [path.name for path in source.parent.iterdir() if path.name.startswith("suite")] == []
