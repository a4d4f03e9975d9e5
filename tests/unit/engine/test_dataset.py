"""Files of cases: CSV, JSON, JSONL and YAML rows as the tests that a suite would hold inline."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.engine.assertions import KINDS
from promptlane.engine.dataset import MAX_BYTES, DatasetInvalid, expected, load_rows
from promptlane.engine.kinds import ALIASES, REFUSED
from promptlane.engine.suite import MAX_CASES


def rows(name: str, content: str | bytes) -> list[tuple[str, Any]]:
    """What a file of the suite holds; it is asked for by its path alone."""
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        return content if isinstance(content, bytes) else content.encode()

    found = list(load_rows(name, read))
    assert asked == [name.removeprefix("file://")]
    return found


def refusal(name: str, content: str | bytes) -> str:
    with pytest.raises(DatasetInvalid) as caught:
        rows(name, content)
    return str(caught.value)


def test_a_csv_row_becomes_a_test_with_everything_that_its_columns_say() -> None:
    content = (
        "\ufeffq, name ,__expected,__expected2,__expected10,__metric,__description,__threshold,__id,__tags,__critical,"
        "__metadata:team,__metadata:langs[]\r\n"
        '"Where, is it?", Ana ,contains: a: b,"icontains-any:x, y",Bonjour, tone ,"Says ""hi""",0.75,fr-1,'
        "a; b ,yes,desk,fr; de\r\n"
        "\r\n"
        " , ,\t,,,,,,,,,,\r\n"
        '"two\r\nlines",Ben,is-json,,,,,,,,FALSE,,\r\n'
        "Why?,,,,,,,,,,,,\r\n"
    )
    assert rows("file://sub/Cases.CSV", content) == [
        (
            "sub/Cases.CSV line 2",
            {
                "vars": {"q": "Where, is it?", "name": " Ana "},
                "id": "fr-1",
                "description": 'Says "hi"',
                "tags": ["a", "b"],
                "critical": True,
                "threshold": 0.75,
                "assert": [
                    {"type": "contains", "value": "a: b", "metric": "tone"},
                    {"type": "icontains-any", "value": "x, y", "metric": "tone"},
                    {"type": "equals", "value": "Bonjour", "metric": "tone"},
                ],
                "metadata": {"team": "desk", "langs": ["fr", "de"]},
            },
        ),
        (
            "sub/Cases.CSV line 6",
            {"vars": {"q": "two\r\nlines", "name": "Ben"}, "critical": False, "assert": [{"type": "is-json"}]},
        ),
        ("sub/Cases.CSV line 7", {"vars": {"q": "Why?", "name": ""}}),
    ]


@pytest.mark.parametrize(
    ("cell", "critical"),
    [("true", True), ("Yes", True), ("1", True), ("False", False), ("no", False), ("0", False), ("", None)],
)
def test_a_critical_cell_is_true_or_false(cell: str, critical: bool | None) -> None:
    assert rows("c.csv", f"q,__critical\na,{cell}\n")[0][1].get("critical") is critical


LONG = "x" * 80
REFUSALS = [
    ("c.csv", "", "c.csv line 1: is empty; the first line must name the columns"),
    ("c.csv", " , \na,b\n", "c.csv line 1: is empty; the first line must name the columns"),
    ("c.csv", "b,a,q,b,a\n", "c.csv line 1: column 'a' appears twice"),
    ("c.csv", ",q\na,b\n", "c.csv line 1: a column has no name"),
    ("c.csv", "q,,a\na,b,c\n", "c.csv line 1: a column has no name"),
    (
        "c.csv",
        "q,__expect\na,b\n",
        "c.csv line 1: special column '__expect' is not supported; known are __expected, "
        "__config:__expected:threshold, __metadata:<key>, "
        "__description, __threshold, __id, __tags, __critical, __metric",
    ),
    ("c.csv", "q,__expected1x\na,b\n", "c.csv line 1: special column '__expected1x' is not supported; known are"),
    ("c.csv", "q,__metadata\na,b\n", "c.csv line 1: special column '__metadata' is not supported; known are"),
    (
        "c.csv",
        "q,r,s\na,b,c\n\na,b\n",
        "c.csv line 4: 2 columns where the header names 3 (column 's' is missing); "
        "quote values that hold commas or line breaks",
    ),
    (
        "c.csv",
        "q,r\na,b,c\n",
        "c.csv line 2: 3 columns where the header names 2 (too many columns); "
        "quote values that hold commas or line breaks",
    ),
    ("c.csv", 'q\nfine\n"open\n', "c.csv line 3: is not valid CSV (unexpected end of data)"),
    ("c.csv", 'q\n"a"b\n', "c.csv line 2: is not valid CSV (',' expected after '\"')"),
    ("c.csv", "q,__critical\na,perhaps\n", "c.csv line 2: __critical is 'perhaps'; write true or false"),
    ("c.csv", "q,__threshold\na,half\n", "c.csv line 2: __threshold: 'half' is not a number"),
    (
        "c.csv",
        f"__expected\nsimilar(x):{LONG}\n",
        f"c.csv line 2: __expected {f'similar(x):{LONG}'[:60]!r}: 'x' is not a number",
    ),
    ("c.csv", b"q\nfine\nbad \xff\n", "c.csv line 3: byte 0xff is not valid UTF-8; save the file as UTF-8"),
    ("c.jsonl", '{}\n\n{"vars": }\n', "c.jsonl line 3: is not valid JSON (Expecting value: line 1 column 10 (char 9))"),
    ("c.json", "[1,", "c.json: is not valid JSON (Expecting value: line 1 column 4 (char 3))"),
    ("c.json", '{"a": 1}', "c.json: must hold a list of tests"),
    ("c.yaml", "- a: [\n", "c.yaml line 2: is not valid YAML: while parsing a flow node, expected the node content"),
    (
        "sub/cases.XLSX",
        "PK",
        "sub/cases.XLSX: is a workbook; save its sheet as CSV",
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), REFUSALS)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(name: str, content: str | bytes, message: str) -> None:
    assert refusal(name, content).startswith(message)


def test_an_error_of_the_reader_that_is_no_yaml_error_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(loader: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("promptlane.engine.document.yaml.SafeLoader.get_single_node", broken)
    with pytest.raises(ZeroDivisionError):
        rows("c.yaml", "[]")


def test_yaml_without_pyyaml_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "promptlane.engine.document", raising=False)
    assert refusal("c.yml", "[]") == "c.yml: reading YAML needs PyYAML; install promptlane[cli]"
    assert rows("c.json", "[]") == []


def test_a_file_that_is_not_there_is_named_with_what_the_system_says() -> None:
    def missing(path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", path)

    def odd(path: str) -> bytes:
        raise OSError("outside of the suite")

    for read, why in ((missing, "No such file or directory"), (odd, "outside of the suite")):
        with pytest.raises(DatasetInvalid) as caught:
            load_rows("file://gone.csv", read)
        assert str(caught.value) == f"gone.csv: cannot be read ({why}); paths are relative to the suite"


class Sized(bytes):
    """Content that says it is so large without being it."""

    size = 0

    def __len__(self) -> int:
        return self.size


@pytest.mark.parametrize(("size", "fits"), [(33_554_432, True), (33_554_433, False)])
def test_thirty_two_megabytes_are_read(size: int, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    content = Sized(b"q\na\n")
    monkeypatch.setattr(Sized, "size", size)
    if fits:
        assert rows("c.csv", content) == [("c.csv line 2", {"vars": {"q": "a"}})]
    else:
        said = refusal("c.csv", content)
        assert said == "c.csv: 33,554,433 bytes; at most 33,554,432 are read. Sample the cases"


def test_a_cell_may_be_as_large_as_a_file() -> None:
    """The csv module's own limit is 131,072 characters."""
    assert rows("c.csv", "q\n" + "x" * 200_000 + "\n") == [("c.csv line 2", {"vars": {"q": "x" * 200_000}})]
    assert MAX_BYTES == 32 * 1024 * 1024


@pytest.mark.parametrize(
    ("name", "row", "between", "before", "after"),
    [("c.csv", "a", "\n", "q\n", "\n\n"), ("c.jsonl", "{}", "\n", "\n", "\n"), ("c.json", "{}", ",", "[", "]")],
)
def test_a_file_holds_as_many_cases_as_a_suite_takes(
    name: str, row: str, between: str, before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_CASES == 20_000
    monkeypatch.setattr("promptlane.engine.dataset.MAX_CASES", 1_000)
    assert len(rows(name, before + between.join([row] * 1_000) + after)) == 1_000
    assert refusal(name, before + between.join([row] * 1_001) + after) == (
        f"{name}: holds more than 1,000 cases, which is the most a suite takes; draw a sample. "
        "A few hundred cases already show drops of a few points"
    )


ITEMS = [{"vars": {"q": "größer: ja"}, "critical": True}, {"id": "b", "threshold": 0.5}, "odd"]


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("c.jsonl", "\n".join(["", *map(json.dumps, ITEMS), " "]), ["line 2", "line 3", "line 4"]),
        ("c.JSON", json.dumps(ITEMS), ["item 1", "item 2", "item 3"]),
        ("c.yaml", json.dumps(ITEMS), ["item 1", "item 2", "item 3"]),
        (
            "c.yml",
            "- {vars: {q: 'größer: ja'}, critical: true}\n- {id: b, threshold: 0.5}\n- odd\n",
            ["item 1", "item 2", "item 3"],
        ),
    ],
)
def test_rows_of_documents_are_taken_as_they_are_in_order(name: str, content: str, places: list[str]) -> None:
    assert rows(name, content) == [(f"{name} {p}", item) for p, item in zip(places, ITEMS, strict=True)]


@pytest.mark.parametrize(
    ("cell", "assertion"),
    [
        ("contains:refund: none", {"type": "contains", "value": "refund: none"}),
        (" not-contains : a ", {"type": "not-contains", "value": "a"}),
        ("similar(0.8):text", {"type": "similar", "value": "text", "threshold": 0.8}),
        ("latency(800)", {"type": "latency", "threshold": 800.0}),
        ("levenshtein( 3 ):kitten", {"type": "levenshtein", "value": "kitten", "threshold": 3.0}),
        ("contains-any: a , ,b", {"type": "contains-any", "value": "a , ,b"}),
        ("contains-all:a,b", {"type": "contains-all", "value": "a,b"}),
        ("icontains-any:a,b", {"type": "icontains-any", "value": "a,b"}),
        ("not-icontains-all:a,b", {"type": "not-icontains-all", "value": "a,b"}),
        ("contains:a,b", {"type": "contains", "value": "a,b"}),
        ('is-json:{"type": "array"}', {"type": "is-json", "value": '{"type": "array"}'}),
        ('not-contains-json:{"type": "array"}', {"type": "not-contains-json", "value": '{"type": "array"}'}),
        ("is-json:{no", {"type": "is-json", "value": "{no"}),
        ("regex:[0-9]+\nand more", {"type": "regex", "value": "[0-9]+\nand more"}),
        ("is-json", {"type": "is-json"}),
        ("not-is-refusal", {"type": "not-is-refusal"}),
        ("is-valid-tool-call", {"type": "is-valid-tool-call"}),
        ("guardrails", {"type": "guardrails"}),
        ("contains: ", {"type": "contains"}),
        ("contains", {"type": "equals", "value": "contains"}),
        ("similar(0.8)", {"type": "equals", "value": "similar(0.8)"}),
        ("grade:is polite", {"type": "llm-rubric", "value": "is polite"}),
        ("javascript:output.length", {"type": "javascript", "value": "output.length"}),
        ("javascript", {"type": "equals", "value": "javascript"}),
        ("note: a colon", {"type": "equals", "value": "note: a colon"}),
        ("Contains:x", {"type": "equals", "value": "Contains:x"}),
        (" Bonjour ", {"type": "equals", "value": " Bonjour "}),
        ("", {"type": "equals", "value": ""}),
    ],
)
def test_an_expected_cell_is_an_assertion(cell: str, assertion: dict[str, Any]) -> None:
    assert expected(cell) == assertion


def test_a_column_of_configuration_is_the_threshold_of_its_assertion() -> None:
    columns = "q,__expected1,__expected2,__config:__expected2:threshold,__config:__expected:threshold"
    [(_, test)] = rows("c.csv", f"{columns}\nhi,contains:x,similar:cosine(0.3):hello,0.8,\n")
    assert test["assert"] == [
        {"type": "contains", "value": "x"},
        {"type": "similar:cosine", "value": "hello", "threshold": 0.8},
    ]
    with pytest.raises(DatasetInvalid, match=r"line 2: __config:__expected:threshold: 'high' is not a number"):
        rows("c.csv", "q,__expected,__config:__expected:threshold\nhi,similar:x,high\n")
    with pytest.raises(DatasetInvalid, match="special column '__config:__expected:weight' is not supported"):
        rows("c.csv", "q,__expected,__config:__expected:weight\nhi,similar:x,1\n")


KNOWN = sorted([*KINDS, *REFUSED, *ALIASES, *(f"not-{k}" for k in KINDS)])


@settings(max_examples=40)
@given(st.sampled_from(KNOWN), st.text(min_size=1).filter(str.strip), st.floats(0, 10) | st.none())
def test_every_known_type_is_read_with_its_value_and_threshold(name: str, value: str, threshold: float | None) -> None:
    found = expected(f"{name}:{value}" if threshold is None else f"{name}({threshold!r}):{value}")
    assert found["type"] == name
    assert found.get("threshold") == threshold
    if not name.endswith(("-any", "-all", "is-json", "contains-json")):
        assert found["value"] == value.strip()


CELL = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=12)


@settings(max_examples=40)
@given(st.lists(st.tuples(CELL.filter(str.strip), CELL), min_size=1, max_size=5))
def test_whatever_cells_hold_comes_back_when_quoted(cells: list[tuple[str, str]]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    content = "q,r\n" + "".join(f"{quoted(a)},{quoted(b)}\n" for a, b in cells)
    assert [test for _, test in rows("c.csv", content)] == [{"vars": {"q": a, "r": b}} for a, b in cells]
