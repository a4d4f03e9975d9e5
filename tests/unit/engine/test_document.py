"""YAML with places: every path can be found again, and nothing ambiguous gets through."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from promptlane.engine.document import parse_document, read_document

_KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=6).filter(lambda k: k not in ("true", "false", "null"))
_SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(string.printable, max_size=20)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


def _paths(value: object, path: str = "") -> list[str]:
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            found += _paths(inner, f"{path}[{i}]")
    return found


@given(st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=4))
def test_every_path_of_a_document_has_a_place(data: dict[str, object]) -> None:
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)

    document = parse_document(text, "x.yaml")

    assert not document.problems
    assert set(_paths(data)) <= set(document.places)
    lines = len(text.splitlines())
    assert all(1 <= line <= lines and column >= 1 for line, column in document.places.values())


@given(st.dictionaries(_KEYS, st.integers() | st.booleans() | st.none(), min_size=1))
def test_values_come_back_as_they_were_written(data: dict[str, object]) -> None:
    assert parse_document(yaml.safe_dump(data), "x.yaml").data == data


def test_a_problem_stands_at_the_line_of_its_field() -> None:
    document = parse_document("canary:\n  steps:\n    - weight: 5%\n    - weight: 3%\n", "release.yaml")

    assert str(document.problem("canary.steps[1].weight", "must grow")) == (
        "release.yaml:4:7: canary.steps[1].weight: must grow"
    )


def test_a_field_that_is_missing_stands_at_its_nearest_parent() -> None:
    document = parse_document("review:\n  quorum: 1\ncanary:\n  steps:\n    - weight: 5%\n", "release.yaml")

    assert document.place("canary.steps[0].min_bake") == (5, 7)
    assert document.place("review.reviewers[3].email") == (1, 1)
    assert document.place("watch.for") == (1, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a: is given twice (first on line 1); keep one"),
        ("a:\n  b: 1\n  b: 2\n", "f.yaml:3:3: a.b: is given twice (first on line 2); keep one"),
        ("? [1, 2]\n: 3\n", "a key must be text"),
        ("a: &x [*x]\n", "an alias contains itself"),
        ("a: [1\n", "f.yaml:2:1: is not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]\n", "is not valid YAML: could not determine a constructor"),
        ("a: b\x00c", "f.yaml:1:5: character U+0000 is not allowed"),
        ("a: 1\n---\nb: 2\n", "is not valid YAML"),
        ("", "f.yaml: is empty"),
        ("[" * 5000, "is nested too deeply"),
        ("a: " + "9" * 5000, "is not valid YAML"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_place(text: str, expected: str) -> None:
    document = parse_document(text, "f.yaml")

    assert document.data is None
    assert expected in "\n".join(str(p) for p in document.problems)


def test_aliases_that_multiply_without_end_are_refused() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )

    assert "holds more than" in str(parse_document(text, "bomb.yaml").problems[0])


def test_words_that_older_yaml_turns_into_something_else_stay_text() -> None:
    document = parse_document("a: no\nb: on\nc: 1:30\nd: 2026-01-31\ne: 0123\nf: 1_000\n", "x.yaml")

    assert document.data == {"a": "no", "b": "on", "c": "1:30", "d": "2026-01-31", "e": 123, "f": "1_000"}


def test_invalid_utf8_is_named_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "prompt.yaml"
    path.write_bytes(b"name: a\ntemplate: caf\xe9\n")

    [problem] = read_document(path, shown_as="prompt.yaml").problems

    assert str(problem) == "prompt.yaml:2:14: byte 0xe9 is not valid UTF-8; save the file as UTF-8"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "prompt.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: a\n")

    assert read_document(path).data == {"name": "a"}


def test_a_file_that_does_not_exist_says_so(tmp_path: Path) -> None:
    [problem] = read_document(tmp_path / "release.yaml").problems

    assert "does not exist" in str(problem)
