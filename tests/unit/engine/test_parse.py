"""Suites read from plain data: what each part becomes, and each mistake with its path and sentence."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import SuiteInvalid
from promptlane.engine.assertions import KINDS
from promptlane.engine.kinds import ALIASES, REFUSED
from promptlane.engine.parse import parse as parse_suite
from promptlane.engine.promptfoo import ASSERT_KEYS, SUITE_KEYS, TEST_KEYS
from promptlane.engine.suite import Assertion, Case, Suite

HAS = {"type": "contains", "value": "yes"}
YES = Assertion("contains", value="yes")


def parse(data: Any, **files: str | bytes | Exception) -> Suite:
    def read(name: str) -> bytes:
        content = files[name.replace(".", "_").replace("/", "_")]
        if isinstance(content, Exception):
            raise content
        return content if isinstance(content, bytes) else content.encode()

    return parse_suite(data, read=read)


def problems(data: Any, **files: str | bytes | Exception) -> list[tuple[str, str]]:
    with pytest.raises(SuiteInvalid) as caught:
        parse(data, **files)
    return list(caught.value.problems)


def case(**test: Any) -> Case:
    return parse({"tests": [{"assert": [HAS], **test}]}).cases[0]


def refused(**test: Any) -> list[tuple[str, str]]:
    return problems({"tests": [{"assert": [HAS], **test}]})


def assertion(**data: Any) -> Assertion:
    return parse({"tests": [{"vars": {"q": "x"}, "assert": [data]}]}).cases[0].asserts[0]


def complaint(**data: Any) -> list[tuple[str, str]]:
    """Of one assertion, paths without what they have in common."""
    found = problems({"tests": [{"vars": {"q": "x"}, "assert": [data]}]})
    return [(path.removeprefix("tests[0].assert[0]"), message) for path, message in found]


def test_a_case_takes_everything_from_its_test_and_what_it_lacks_from_the_default() -> None:
    data = {
        "description": "Support",
        "repeats": 3,
        "assertionTemplates": {"polite": {"type": "not-icontains", "value": "stupid", "metric": "tone", "weight": 2}},
        "defaultTest": {
            "vars": {"name": "Ana", "place": "Rome"},
            "assert": [{"$ref": "#/assertionTemplates/polite", "weight": 3}],
            "threshold": 0.5,
            "tags": "every",
            "critical": True,
            "metadata": {"tags": ["of-file", "every"], "team": "desk", "kind": "a"},
            "options": {"disableVarExpansion": True},
        },
        "tests": [
            {
                "id": " first ",
                "description": "Says hello",
                "vars": {"name": "Ben", "items": [1, "b"], "n": 1.5, "none": None, "on": True},
                "assert": [HAS, {"type": "llm-rubric", "value": "kind", "threshold": 0.5, "metric": "tone"}],
                "threshold": 0.75,
                "tags": ["own", "every"],
                "critical": False,
                "metadata": {"tags": "late", "kind": "b", "id": "not this", "critical": True},
            },
            {"options": {"disableDefaultAsserts": True}, "assert": [HAS]},
        ],
    }
    polite = Assertion("icontains", True, "stupid", weight=3.0, metric="tone")
    assert parse(data) == Suite(
        cases=(
            Case(
                id="first",
                vars={"name": "Ben", "place": "Rome", "items": '[1, "b"]', "n": "1.5", "none": "", "on": "true"},
                asserts=(YES, Assertion("llm-rubric", value="kind", threshold=0.5, metric="tone"), polite),
                description="Says hello",
                threshold=0.75,
                tags=("every", "of-file", "own", "late"),
                critical=False,
                metadata={"team": "desk", "kind": "b"},
            ),
            Case(
                id="case-2",
                vars={"name": "Ana", "place": "Rome"},
                asserts=(YES,),
                threshold=0.5,
                tags=("every", "of-file"),
                critical=True,
                metadata={"team": "desk", "kind": "a"},
            ),
        ),
        description="Support",
        repeats=3,
    )


def test_a_test_that_says_nothing_is_a_case_with_nothing() -> None:
    assert parse({"tests": [{"assert": [HAS]}]}) == Suite((Case("case-1", {}, (YES,)),))


def test_lists_of_values_are_multiplied_out_in_order() -> None:
    data = {
        "defaultTest": {"vars": {"a": ["x" * 31, "y"]}, "assert": [HAS]},
        "tests": [{"assert": [HAS]}, {"id": "t", "vars": {"b": [1, [2]], "c": "z"}}],
    }
    long = "x" * 31
    assert [(c.id, c.vars) for c in parse(data).cases] == [
        (f"case-1[a={'x' * 30}]", {"a": long}),
        ("case-1[a=y]", {"a": "y"}),
        (f"t[a={'x' * 30}, b=1]", {"a": long, "b": "1", "c": "z"}),
        (f"t[a={'x' * 30}, b=[2]]", {"a": long, "b": "[2]", "c": "z"}),
        ("t[a=y, b=1]", {"a": "y", "b": "1", "c": "z"}),
        ("t[a=y, b=[2]]", {"a": "y", "b": "[2]", "c": "z"}),
    ]


@pytest.mark.parametrize(("first", "second", "count"), [(10, 100, 1_000), (7, 143, None), (0, 2, None)])
def test_a_thousand_combinations_are_made_and_no_more(first: int, second: int, count: int | None) -> None:
    variables = {"a": list(range(first)), "b": list(range(second))}
    if count:
        assert len(parse({"tests": [{"vars": variables, "assert": [HAS]}]}).cases) == count
    elif first:
        assert refused(vars=variables) == [
            ("tests[0].vars", "lists of values multiply out to 1,001 cases; 1 to 1,000 are allowed")
        ]
    else:
        assert refused(vars=variables) == [
            (
                "tests[0].vars",
                "lists of values include an empty list, which makes no case at all; 1 to 1,000 are allowed",
            )
        ]


@pytest.mark.parametrize(
    ("test", "case_id"),
    [
        ({}, "case-1"),
        ({"description": " Größe: 5 -- ok! "}, "1-gr-e-5-ok"),
        ({"description": "x" * 70}, "1-" + "x" * 60),
        ({"description": "!?"}, "case-1"),
        ({"id": 7}, "7"),
        ({"id": "x" * 120}, "x" * 120),
        ({"metadata": {"id": "meta"}}, "meta"),
    ],
)
def test_a_case_is_called_by_its_id_or_after_its_description_and_number(test: dict[str, Any], case_id: str) -> None:
    assert case(**test).id == case_id


@pytest.mark.parametrize("given", ["x" * 121, " ", True, 1.5, []])
def test_an_id_that_is_none_is_refused(given: Any) -> None:
    assert refused(id=given) == [("tests[0].id", f"is {given!r}; an id is a text of 1 to 120 characters")]


def test_ids_are_unique_and_both_places_are_named() -> None:
    data = {"tests": [{"id": "a", "assert": [HAS]}, "c.csv", {"id": "b", "assert": [HAS]}]}
    content = "q,__id,__expected\n1,b,x\n2,a,x\n3,c,x\n"
    assert problems(data, c_csv=content) == [
        ("tests[1].id", "c.csv line 3: case id 'a' is used twice (also by tests[0]); ids are unique"),
        ("tests[2].id", "case id 'b' is used twice (also by c.csv line 2); ids are unique"),
    ]


@pytest.mark.parametrize(
    ("test", "found"),
    [
        ({"id": 0.5}, [("id", "is 0.5; an id is a text of 1 to 120 characters")]),
        ({"tags": 7}, [("tags", "is 7; tags are a list of names")]),
        ({"tags": ["a", " "]}, [("tags", "is ['a', ' ']; tags are a list of names")]),
        ({"metadata": {"tags": [1]}}, [("metadata.tags", "is [1]; tags are a list of names")]),
        ({"critical": "yes"}, [("critical", "is 'yes'; write true or false")]),
        ({"metadata": {"critical": 1}}, [("metadata.critical", "is 1; write true or false")]),
        ({"metadata": []}, [("metadata", "must be a mapping")]),
        (
            {"vars": "c.csv"},
            [("vars", "must be a mapping of names to values; variables from files are named one by one")],
        ),
        ({"vars": 7}, [("vars", "must be a mapping")]),
        ({"assert": {}}, [("assert", "must be a list of assertions, each a mapping with `type`")]),
        ({"options": []}, [("options", "must be a mapping")]),
        (
            {"options": {"transform": 1}},
            [
                (
                    "options.transform",
                    "promptfoo's option `transform` is not supported; supported are disableVarExpansion, "
                    "disableDefaultAsserts",
                )
            ],
        ),
        ({"assert": []}, [("", "has no assertion and would always pass; add `assert`, here or in defaultTest")]),
    ],
)
def test_each_part_of_a_test_that_is_wrong_is_named(test: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert refused(**test) == [(f"tests[0].{path}".rstrip("."), message) for path, message in found]


@pytest.mark.parametrize("threshold", [0, 1.01, -0.5, True, "high", math.nan, math.inf])
def test_a_threshold_of_a_case_lies_above_0_and_at_most_at_1(threshold: Any) -> None:
    assert refused(threshold=threshold) == [
        (
            "tests[0].threshold",
            f"is {threshold!r}; a case's threshold lies above 0 (which would always pass) and at most at 1",
        )
    ]
    assert (case(threshold=1).threshold, case(threshold=0.01).threshold) == (1.0, 0.01)


@pytest.mark.parametrize("weight", [0, -1, True, "2", math.inf])
def test_a_weight_lies_above_0(weight: Any) -> None:
    assert complaint(**HAS, weight=weight) == [
        (
            ".weight",
            f"is {weight!r}; a weight lies above 0: with 0 the assertion would always pass. Remove it instead",
        )
    ]
    assert assertion(**HAS, weight=0.01).weight == 0.01


@pytest.mark.parametrize("repeats", [0, 21, True, 2.0, "3"])
def test_repeats_are_a_whole_number_from_1_to_20(repeats: Any) -> None:
    message = f"is {repeats!r}; it must be a whole number from 1 to 20"
    tests = [{"assert": [HAS]}]
    assert problems({"tests": tests, "repeats": repeats}) == [("repeats", message)]
    assert problems({"tests": tests, "evaluateOptions": {"repeat": repeats}}) == [("evaluateOptions.repeat", message)]


def test_repeats_are_ours_or_promptfoos() -> None:
    tests = [{"assert": [HAS]}]
    assert parse({"tests": tests, "repeats": 1}).repeats == 1
    assert parse({"tests": tests, "evaluateOptions": {"repeat": 20}}).repeats == 20
    assert parse({"tests": tests, "evaluateOptions": {"repeat": 20}, "repeats": 2}).repeats == 2
    assert parse({"tests": tests, "evaluateOptions": {"maxConcurrency": 4}}).repeats is None


NO_TESTS = "a list of cases, or the path of a .csv or .jsonl file"
LIKE_A_FILE: list[tuple[Any, list[tuple[str, str]]]] = [
    ([], [("", "a suite is a mapping with `tests`, a list of cases")]),
    ({}, [("tests", f"is required: {NO_TESTS}")]),
    ({"tests": 7}, [("tests", f"must be {NO_TESTS}")]),
    ({"tests": []}, [("tests", "holds no case; a suite without cases can show nothing")]),
    (
        {"tests": [7, "x"]},
        [
            ("tests[0]", "must be a mapping with `vars` and `assert`"),
            ("tests[1]", "x: cannot be read (gone); paths are relative to the suite"),
        ],
    ),
    (
        {"tests": [{"assert": [HAS]}], "assertionTemplates": [1]},
        [("assertionTemplates", "must be a mapping of names to assertions")],
    ),
    (
        {"tests": [{"assert": [HAS]}], "defaultTest": []},
        [("defaultTest", "must be a mapping with `vars`, `assert`, `threshold` or `metadata`")],
    ),
    (
        {"tests": [{"assert": [HAS]}], "defaultTest": {"vars": 1, "assert": 2, "tags": 3, "options": {"prefix": 4}}},
        [
            (
                "defaultTest.options.prefix",
                "promptfoo's option `prefix` is not supported; supported are "
                "disableVarExpansion, disableDefaultAsserts",
            ),
            ("defaultTest.vars", "must be a mapping"),
            ("defaultTest.assert", "must be a list of assertions, each a mapping with `type`"),
            ("defaultTest.tags", "is 3; tags are a list of names"),
        ],
    ),
    ({"tests": [{"assert": [HAS]}], "evaluateOptions": 7}, [("evaluateOptions", "must be a mapping")]),
]


@pytest.mark.parametrize(("data", "found"), LIKE_A_FILE)
def test_each_part_of_a_suite_that_is_wrong_is_named(data: Any, found: list[tuple[str, str]]) -> None:
    assert problems(data, x=OSError("gone")) == found


def test_a_hundred_problems_are_enough() -> None:
    found = problems({"tests": [7] * 101})
    assert found[0] == ("tests[0]", "must be a mapping with `vars` and `assert`")
    assert found[99:] == [
        ("tests[99]", "must be a mapping with `vars` and `assert`"),
        ("", "stopped after 100 problems"),
    ]
    assert len(problems({"tests": [7] * 99})) == 99


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_a_suite_takes_so_many_cases_wherever_they_stand(
    more: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlane.engine.parse.MAX_CASES", 1_000)
    data = {"tests": [{"assert": [HAS]}, "c.csv", *[{"assert": [HAS]}] * more]}
    content = "q,__expected\n" + "a,b\n" * 999
    if fits:
        assert len(parse(data, c_csv=content).cases) == 1_000
    else:
        most = "more than 1,000 cases; a suite takes at most so many, draw a sample"
        assert problems(data, c_csv=content) == [("tests", most)]


def test_the_limit_that_a_row_of_a_file_passes_is_no_matter_of_that_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptlane.engine.parse.MAX_CASES", 2)
    assert problems({"tests": "c.csv"}, c_csv="q,__expected\n" + "a,b\n" * 3) == [
        ("tests", "more than 2 cases; a suite takes at most so many, draw a sample")
    ]


def test_problems_of_rows_name_file_and_line_and_those_after_the_file_do_not() -> None:
    data = {"tests": [{"id": 1.5, "assert": [HAS]}, "file://a.jsonl", {"id": 2.5, "assert": [HAS]}, "b.csv"]}
    lines = '{"id": 7.5, "assert": [{"type": "contains"}]}\n{"tags": 1, "assert": [{"type": "contains", "value": 1}]}\n'
    assert problems(data, a_jsonl=lines, b_csv="q\n") == [
        ("tests[0].id", "is 1.5; an id is a text of 1 to 120 characters"),
        (
            "tests[1].assert[0].value",
            "a.jsonl line 1: contains needs a value; without one it would prove nothing",
        ),
        ("tests[1].id", "a.jsonl line 1: is 7.5; an id is a text of 1 to 120 characters"),
        ("tests[1].tags", "a.jsonl line 2: is 1; tags are a list of names"),
        ("tests[2].id", "is 2.5; an id is a text of 1 to 120 characters"),
        ("tests[3]", "b.csv holds no case"),
    ]


def test_a_file_that_breaks_off_is_refused_after_what_came_before() -> None:
    data = {"tests": ["a.jsonl", {"assert": []}]}
    assert problems(data, a_jsonl='{"assert": []}\n{]\n') == [
        ("tests[0]", "a.jsonl line 1: has no assertion and would always pass; add `assert`, here or in defaultTest"),
        (
            "tests[0]",
            "a.jsonl line 2: is not valid JSON (Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1))",
        ),
        ("tests[1]", "has no assertion and would always pass; add `assert`, here or in defaultTest"),
    ]


def test_no_file_is_read_where_none_can_be() -> None:
    with pytest.raises(SuiteInvalid) as caught:
        parse_suite({"defaultTest": {"vars": {"a": "file://a.txt"}}, "tests": "file://b.csv"})
    assert list(caught.value.problems) == [
        ("defaultTest.vars.a", "names the file 'a.txt', but no files can be read here"),
        ("tests", "names the file 'file://b.csv', but no files can be read here"),
    ]


def test_variables_and_values_may_be_files() -> None:
    data = {
        "tests": [
            {
                "vars": {"q": "file://sub/q.TXT", "r": "plain"},
                "assert": [
                    {"type": "contains", "value": "file://sub/q.TXT"},
                    {"type": "equals", "value": "file://e.json"},
                    {"type": "equals", "value": "file://sub/q.TXT"},
                    {"type": "is-json", "value": "file://e.json"},
                    {"type": "contains", "value": "file://e.json"},
                ],
            }
        ]
    }
    found = parse(data, sub_q_TXT="\ufeffgrüß", e_json='{"type": "object"}').cases[0]
    assert found.vars == {"q": "grüß", "r": "plain"}
    assert [a.value for a in found.asserts] == [
        "grüß",
        {"type": "object"},
        "grüß",
        {"type": "object"},
        '{"type": "object"}',
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        *[
            (f"x.{s}", "", f"'x.{s}' is code; suites are data, code is never taken from them")
            for s in ("js", "cjs", "MJS", "ts", "py")
        ],
        (
            "x.txt",
            FileNotFoundError(2, "No such file"),
            "'x.txt' cannot be read (No such file); paths are relative to the suite",
        ),
        ("x.txt", OSError("too far up"), "'x.txt' cannot be read (too far up); paths are relative to the suite"),
        ("x.txt", b"a\n\xff", "x.txt line 2: byte 0xff is not valid UTF-8; save the file as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_taken_is_named(name: str, content: str | bytes | Exception, message: str) -> None:
    data = {"tests": [{"vars": {"v": f"file://{name}"}, "assert": [HAS]}]}
    assert problems(data, **{name.replace(".", "_"): content}) == [("tests[0].vars.v", message)]


def test_a_value_refers_to_variables_that_the_case_has() -> None:
    tests = [
        {"vars": {"a": "x"}, "assert": [{"type": "contains-any", "value": ["{{a}}", "{{c}} {{b}}"]}, HAS]},
        {"vars": {"b": "x", "c": ["y", "z"]}, "assert": [{"type": "not-equals", "value": {"k": "{{a}}{{c}}"}}]},
    ]
    tail = "which is not among the case's vars"
    assert problems({"tests": tests}) == [
        ("tests[0].assert", f"contains-any refers to {{{{b}}}}, {tail}"),
        ("tests[0].assert", f"contains-any refers to {{{{c}}}}, {tail}"),
        ("tests[1].assert", f"not-equals refers to {{{{a}}}}, {tail}"),
        ("tests[1].assert", f"not-equals refers to {{{{a}}}}, {tail}"),
    ]


NOTHING = "needs a value; without one it would prove nothing"
EMPTY: tuple[Any, ...] = (None, "", [])
TEXTS = "takes a text or a list of texts, none of them empty"
TEXTUAL = (
    "contains",
    "icontains",
    "starts-with",
    "regex",
    "levenshtein",
    "rouge-n",
    "llm-rubric",
    "factuality",
    "select-best",
    "python",
)
LISTED = ("contains-any", "contains-all", "icontains-any", "icontains-all", "similar", "bleu", "g-eval")
SILENT = ("is-refusal", "latency", "cost", "output-tokens", "guardrail-intervened", "assert-set")
FETCHED = ("answer-relevance", "context-faithfulness", "context-recall", "context-relevance")
"""Kinds that read variables of their own: tests/unit/engine/test_judged.py."""
THRESHOLD = {"latency": 800, "cost": 0.5, "output-tokens": 70}
CHILD = {"assert-set": {"assert": [HAS]}}


def of(kind: str, **data: Any) -> dict[str, Any]:
    """An assertion with what its kind needs besides."""
    needed = {"threshold": THRESHOLD[kind]} if kind in THRESHOLD else {}
    return {"type": kind} | needed | CHILD.get(kind, {}) | data


def test_every_kind_takes_a_text_texts_json_a_schema_names_or_nothing() -> None:
    others = {"equals", "is-json", "contains-json", "is-valid-tool-call"}
    assert KINDS.keys() == {*TEXTUAL, *LISTED, *SILENT, *FETCHED, *others}


@pytest.mark.parametrize("kind", TEXTUAL)
def test_a_text_is_taken_and_numbers_are_written_out(kind: str) -> None:
    near: dict[str, Any] = {"threshold": 0} if kind == "levenshtein" else {}
    for value, text in (("a b", "a b"), (7, "7"), (1.5, "1.5"), (5.0, "5"), (True, "true")):
        assert assertion(type=f"not-{kind}", value=value, **near) == Assertion(kind, True, text, **near)
    for nothing in EMPTY:
        assert complaint(type=kind, value=nothing) == [(".value", f"{kind} {NOTHING}")]
    assert complaint(type=kind, value=["a"]) == [(".value", f"{kind} takes a text, not list")]
    assert complaint(type=kind, value={"a": 1}) == [(".value", f"{kind} takes a text, not dict")]


@pytest.mark.parametrize("kind", LISTED)
def test_a_list_of_texts_is_taken_or_one(kind: str) -> None:
    commas = ["a", "b"] if kind.startswith(("contains", "icontains")) else ["a , ,b"]
    for value, texts in ((["a", 7, 1.5], ["a", "7", "1.5"]), ("a , ,b", commas), (7, ["7"])):
        assert assertion(type=kind, value=value) == Assertion(kind, value=texts)
    for nothing in EMPTY:
        assert complaint(type=kind, value=nothing) == [(".value", f"{kind} {NOTHING}")]
    for wrong in (["a", ""], ["a", ["b"]], {"a": 1}):
        assert complaint(type=kind, value=wrong) == [(".value", f"{kind} {TEXTS}")]
    if len(commas) == 2:
        assert complaint(type=kind, value=" , ") == [(".value", f"{kind} {TEXTS}")]


@pytest.mark.parametrize("kind", SILENT)
def test_nothing_is_taken_where_nothing_is_needed(kind: str) -> None:
    children = (YES,) if kind == "assert-set" else ()
    expected = Assertion(kind, threshold=THRESHOLD.get(kind), children=children)
    assert assertion(**of(kind)) == expected
    if kind in ("latency", "cost", "guardrail-intervened"):
        assert assertion(**of(kind, value="promptfoo writes one")) == expected
    else:
        assert complaint(**of(kind, value="x")) == [(".value", f"{kind} takes no value")]


def test_equals_takes_text_and_json() -> None:
    for value in ("a", ["a"], {"a": 1}):
        assert assertion(type="equals", value=value) == Assertion("equals", value=value)
    for number, text in ((0, "0"), (False, "false"), (1.5, "1.5")):
        assert assertion(type="equals", value=number) == Assertion("equals", value=text)
    assert complaint(type="equals") == [(".value", f"equals {NOTHING}")]


@pytest.mark.parametrize("kind", ["is-json", "contains-json"])
def test_a_schema_is_optional_and_must_be_one_that_needs_nothing_from_outside(kind: str) -> None:
    inside = {"$defs": {"n": {"type": "number"}}, "items": [{"$ref": "#/$defs/n"}]}
    for value, schema in (
        (None, None),
        ("", None),
        ('{"type": "array"}', {"type": "array"}),
        ("type: array", {"type": "array"}),
    ):
        assert assertion(type=kind, value=value) == Assertion(kind, value=schema)
    draft_7 = {"$schema": "http://json-schema.org/draft-07/schema#", **inside}
    assert assertion(type=kind, value=draft_7) == Assertion(kind, value=draft_7)
    for wrong, what in (("no json", "str"), ([1], "list"), (True, "true"), (False, "false")):
        message = f"{kind} takes a JSON Schema, a mapping in JSON or YAML, not {what}"
        assert complaint(type=kind, value=wrong) == [(".value", message)]
    assert complaint(type=kind, value={"properties": {"a": {"minimum": "1"}}}) == [
        (".value", "is not a valid JSON Schema: '1' is not of type 'number' (at properties/a/minimum)")
    ]
    assert complaint(type=kind, value={"$defs": 7, "prefixItems": 8})[0][1].startswith("is not a valid JSON Schema: ")
    outside = {"anyOf": [{"$ref": "b.json#"}, {"properties": {"$ref": {"$ref": "https://x"}, "y": {"$ref": "#"}}}]}
    assert complaint(type=kind, value=outside) == [
        (f".value.{place}", f"$ref '{ref}' points outside the schema; nothing is fetched, write it out")
        for place, ref in (("anyOf[0]", "b.json#"), ("anyOf[1].properties.$ref", "https://x"))
    ]


def test_a_schema_that_is_wrong_at_its_root_needs_no_place() -> None:
    found = complaint(type="is-json", value={"$schema": "http://json-schema.org/draft-07/schema#", "type": 7})
    assert found == [(".value", "is not a valid JSON Schema: 7 is not valid under any of the given schemas (at type)")]
    wrong = {"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": True}
    assert complaint(type="is-json", value=wrong) == [
        (".value", "is not a valid JSON Schema: 'minimum' is a dependency of 'exclusiveMinimum'")
    ]


def test_names_of_tools_are_optional() -> None:
    for value, names in ((None, None), ([], None), ("a", ["a"]), (["a", "b"], ["a", "b"])):
        assert assertion(type="is-valid-tool-call", value=value) == Assertion("is-valid-tool-call", value=names)
    for wrong in (7, ["a", ""], ["a", 7]):
        assert complaint(type="is-valid-tool-call", value=wrong) == [
            (".value", "is-valid-tool-call takes the name of a tool or a list of names")
        ]


def test_a_regular_expression_is_checked_unless_variables_make_it() -> None:
    assert complaint(type="regex", value="(a") == [
        (".value", "'(a' is not a valid regular expression: Unbalanced parenthesis")
    ]
    assert assertion(type="regex", value="({{q}}").value == "({{q}}"


# The most that a threshold can be, or None; whether 0 is one.
LIMITS: dict[str, tuple[float | None, bool]] = {
    "similar": (1, False),
    "levenshtein": (None, True),
    "rouge-n": (1, False),
    "bleu": (1, False),
    "llm-rubric": (1, False),
    "factuality": (1, False),
    "g-eval": (1, False),
    "assert-set": (1, False),
    "latency": (None, False),
    "cost": (None, False),
    "output-tokens": (None, False),
}


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {*FETCHED}))
def test_a_threshold_is_taken_where_it_means_something(kind: str) -> None:
    value = {} if kind in SILENT else {"value": '{"type": "array"}' if "json" in kind else "x" * 10_000}
    if kind not in LIMITS:
        assert complaint(**of(kind, **value, threshold=0.5)) == [
            (".threshold", f"{kind} takes no threshold; it holds or it does not")
        ]
        return
    most, zero = LIMITS[kind]
    for fine in (0.25, 1, *([] if most else [9_000.5]), *([0] if zero else [])):
        assert assertion(**of(kind, **value, threshold=fine)).threshold == fine
    for wrong in ("high", True, math.nan):
        assert complaint(**of(kind, **value, threshold=wrong)) == [
            (".threshold", f"is {wrong!r}; a threshold is a number")
        ]
    for small in (-1, *([] if zero else [0])):
        assert complaint(**of(kind, **value, threshold=small)) == [
            (".threshold", f"is {small}, with which {kind} would mean nothing; give one above 0")
        ]
    if most:
        assert complaint(**of(kind, **value, threshold=1.25)) == [(".threshold", f"is 1.25; scores of {kind} end at 1")]


@pytest.mark.parametrize(("kind", "unit"), [("latency", "milliseconds"), ("cost", "USD"), ("output-tokens", "tokens")])
def test_a_limit_without_a_number_is_none(kind: str, unit: str) -> None:
    assert complaint(type=kind) == [(".threshold", f"{kind} needs a threshold, in {unit}")]


def test_sets_hold_assertions_and_nothing_else_does() -> None:
    inner = {"type": "not-assert-set", "assert": [{**HAS, "weight": 2}, {"type": "is-json"}]}
    found = assertion(**{"type": "assert-set", "threshold": 0.5, "assert": [HAS, inner]})
    deep = Assertion("assert-set", True, children=(Assertion("contains", value="yes", weight=2), Assertion("is-json")))
    assert found == Assertion("assert-set", threshold=0.5, children=(YES, deep))
    empty = "an assert-set needs assertions; without any it would always pass"
    without: tuple[dict[str, Any], ...] = ({}, {"assert": []})
    for nothing in without:
        assert complaint(type="assert-set", **nothing) == [(".assert", empty)]
    assert complaint(**HAS, **{"assert": [HAS]}) == [(".assert", "only an assert-set holds assertions, not contains")]
    assert complaint(**{"type": "assert-set", "assert": [HAS, {"type": "contains"}]}) == [
        (".assert[1].value", f"contains {NOTHING}")
    ]


@pytest.mark.parametrize("data", [7, {"value": "x"}, {"type": 7}])
def test_an_assertion_is_a_mapping_with_a_type(data: Any) -> None:
    assert problems({"tests": [{"assert": [HAS, data]}]}) == [
        ("tests[0].assert[1]", "must be a mapping with `type` (and `value`, `threshold`, `weight`)")
    ]


def test_a_template_that_is_not_there_is_named() -> None:
    assert problems({"assertionTemplates": {"a": 7}, "tests": [{"assert": [{"$ref": "#/assertionTemplates/a"}]}]}) == [
        ("tests[0].assert[0].$ref", "assertionTemplates holds no 'a'"),
        ("tests[0].assert[0]", "must be a mapping with `type` (and `value`, `threshold`, `weight`)"),
    ]


CODE = "suites are data: code is never taken from them"
TAKEN = "register a check in promptlane_checks and use `python`"
JUDGED = "write it as an `llm-rubric` with the criterion in words"
INSTEAD = {
    "javascript": f"{CODE}; {TAKEN}",
    "ruby": f"{CODE}; {TAKEN}",
    "webhook": "a case must not call out",
    "model-graded-closedqa": JUDGED,
    "conversation-relevance": JUDGED,
    "pi": JUDGED,
    "max-score": "use `select-best`",
    "human": "people decide in the review step",
    "classifier": "use `llm-rubric`",
    "moderation": "use a Bedrock guardrail with `guardrail-intervened`",
    "perplexity": "Converse returns no log probabilities",
    "perplexity-score": "Converse returns no log probabilities",
    "meteor": "use `rouge-n`, `bleu` or `similar`",
    "gleu": "use `bleu`",
    "similar:dot": "use `similar`, the cosine",
    "agent-rubric": "write it as an `llm-rubric`",
    "search-rubric": "the criterion of an `llm-rubric`",
    "skill-used": "use `is-valid-tool-call`",
    "similar:euclidean": "use `similar`, the cosine",
    "f-score": "`python` check",
    "is-xml": "use `regex`",
    "contains-xml": "use `regex`",
    "is-html": "use `regex`",
    "contains-html": "use `regex`",
    "is-sql": "`python` check",
    "contains-sql": "`python` check",
    "word-count": "use `output-tokens`",
    "finish-reason": "use `output-tokens`",
    "tool-call-f1": "use `is-valid-tool-call`",
}


def test_promptfoos_other_types_are_refused_with_what_to_write_instead() -> None:
    assert REFUSED.keys() == INSTEAD.keys()
    for name, instead in INSTEAD.items():
        for written in (name, f"not-{name}"):
            [(path, message)] = complaint(type=written, value="x")
            assert path == ".type"
            assert message == f"promptfoo's assertion type {written!r} is not supported: {REFUSED[name]}"
            assert instead in message
    [(_, message)] = complaint(type="promptfoo:redteam:pii")
    assert message.endswith("is not supported: red teaming is not part of a regression suite")
    for name in ("trace-span-count", "not-trajectory:steps"):
        assert complaint(type=name) == [
            (".type", f"promptfoo's assertion type {name!r} is not supported: answers carry no trace")
        ]


def test_an_unknown_type_is_named_with_the_closest_one() -> None:
    known = f"; known are {', '.join(KINDS)}, each also with not-"
    for name, hint in (
        ("not-contians", "; did you mean 'contains'?"),
        ("lantency", "; did you mean 'latency'?"),
        ("speed", ""),
        ("tracer", ""),
    ):
        assert complaint(type=name) == [(".type", f"unknown assertion type {name!r}{hint}{known}")]


@pytest.mark.parametrize(
    ("written", "kind", "negated"),
    [
        ("guardrails", "guardrail-intervened", True),
        ("not-guardrails", "guardrail-intervened", False),
        ("is-valid-openai-tools-call", "is-valid-tool-call", False),
        ("is-valid-function-call", "is-valid-tool-call", False),
        ("is-valid-openai-function-call", "is-valid-tool-call", False),
        ("model-graded-factuality", "factuality", False),
        ("not-model-graded-factuality", "factuality", True),
        ("not-is-valid-function-call", "is-valid-tool-call", True),
        ("similar:cosine", "similar", False),
        ("not-similar:cosine", "similar", True),
        ("not-contains", "contains", True),
    ],
)
def test_promptfoos_other_names_are_understood(written: str, kind: str, negated: bool) -> None:
    value = {"contains": "yes", "factuality": "yes", "similar": ["yes"]}.get(kind)
    assert assertion(type=written, value=value) == Assertion(kind, negated, value)
    assert len(ALIASES) == 6


def test_keys_that_change_nothing_are_left_out_and_said() -> None:
    left_out = {
        "prompts": "the published version is what is tested",
        "providers": "the version declares its model; the stable version is the comparison",
        "targets": "the version declares its model; the stable version is the comparison",
        "outputPath": "the report goes to the report bucket",
        "sharing": "reports stay in this account",
        "commandLineOptions": "options of promptfoo's command line",
        "env": "no environment is taken from a suite",
        "tags": "tags of the file; cases carry their own",
        "metadata": "metadata of the file; cases carry their own",
        "writeLatestResults": "an option of promptfoo's command line",
        "$schema": "an editor's hint",
    }
    options = {"evaluateOptions": {"repeat": 2, "maxConcurrency": 4, "delay": 1}}
    suite = parse({"tests": [{"assert": [HAS]}], **dict.fromkeys(left_out, 1), **options})
    assert suite.notes == (
        *(f"`{key}` is left out: {why}" for key, why in left_out.items()),
        "`evaluateOptions.maxConcurrency` is left out: the policy's max_concurrency and retries apply",
        "`evaluateOptions.delay` is left out: the policy's max_concurrency and retries apply",
    )
    assert suite == Suite((Case("case-1", {}, (YES,)),), repeats=2, notes=suite.notes)


REFUSED_KEYS = {
    "scenarios": "write each combination as a test, or give `vars` lists of values, which are multiplied out",
    "derivedMetrics": "metrics are not computed from other metrics; use slices (`tags`)",
    "extensions": CODE,
    "nunjucksFilters": CODE,
    "redteam": "red teaming is not part of a regression suite",
    "tracing": "answers carry no trace",
    "assertScoringFunction": CODE,
}
REFUSED_TEST_KEYS = {
    "assertScoringFunction": CODE,
    "provider": "the version declares its model",
    "providers": "the version declares its model",
    "prompts": "every case is run against the published version",
    "providerOutput": "an answer that was not given by the model proves nothing",
    "vars_file": "write the path in `vars`",
}
REFUSED_ASSERT_KEYS = {
    "provider": "the policy's judge_model and embedding_model grade",
    "transform": CODE,
    "contextTransform": CODE,
    "rubricPrompt": "the judge's instructions are fixed; put the criterion in `value`",
    "config": "registered checks take no configuration",
}


def test_keys_that_would_change_the_meaning_are_refused_with_what_to_do() -> None:
    def said(keys: dict[str, str], place: str) -> list[tuple[str, str]]:
        return [(f"{place}{key}", f"promptfoo's `{key}` is not supported: {why}") for key, why in keys.items()]

    tests = [{"assert": [HAS], **dict.fromkeys(REFUSED_TEST_KEYS, 1)}]
    assert problems({"tests": tests, **dict.fromkeys(REFUSED_KEYS, 1)}) == [
        *said(REFUSED_KEYS, ""),
        *said(REFUSED_TEST_KEYS, "tests[0]."),
    ]
    assert complaint(**HAS, **dict.fromkeys(REFUSED_ASSERT_KEYS, 1)) == said(REFUSED_ASSERT_KEYS, ".")


def test_unknown_keys_are_named_with_the_closest_one() -> None:
    data = {"tests": [{"assert": [{**HAS, "wieght": 1, "zz": 1}], "critcal": 1, "zz": 2}], "test": 3, "zz": 4}
    suite, test, has = (f"; known are {', '.join(known)}" for known in (SUITE_KEYS, TEST_KEYS, ASSERT_KEYS))
    assert problems(data) == [
        ("test", f"unknown key; did you mean 'tests'?{suite}"),
        ("zz", f"unknown key{suite}"),
        ("tests[0].critcal", f"unknown key; did you mean 'critical'?{test}"),
        ("tests[0].zz", f"unknown key{test}"),
        ("tests[0].assert[0].wieght", f"unknown key; did you mean 'weight'?{has}"),
        ("tests[0].assert[0].zz", f"unknown key{has}"),
    ]
    assert problems({"tests": [{"assert": [HAS]}], "defaultTest": {"zz": 1}}) == [
        ("defaultTest.zz", f"unknown key{test}")
    ]


NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9).map(str.strip).filter(bool)
NUMBER = st.floats(0.01, 1)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="{"), min_size=1, max_size=9).filter(
    lambda t: t.strip() and not t.endswith("\n") and not t.startswith("file://")
)
PLAIN = st.builds(
    Assertion,
    kind=st.sampled_from(["contains", "rouge-n", "llm-rubric"]),
    negated=st.booleans(),
    value=TEXT,
    weight=NUMBER,
    metric=st.just("") | NAME,
) | st.builds(
    Assertion,
    kind=st.sampled_from(["levenshtein", "rouge-n", "llm-rubric"]),
    value=TEXT.map("at least one: {}".format),
    threshold=NUMBER,
)
ASSERTION = PLAIN | st.builds(
    Assertion,
    kind=st.just("assert-set"),
    negated=st.booleans(),
    threshold=st.none() | NUMBER,
    weight=NUMBER,
    metric=st.just("") | NAME,
    children=st.lists(PLAIN, min_size=1, max_size=3).map(tuple),
)
CASES = st.lists(
    st.builds(
        Case,
        id=NAME,
        vars=st.dictionaries(NAME, TEXT, max_size=2),
        asserts=st.lists(ASSERTION, min_size=1, max_size=3).map(tuple),
        description=st.just("") | NAME,
        threshold=st.none() | NUMBER,
        tags=st.lists(NAME, max_size=3, unique=True).map(tuple),
        critical=st.booleans(),
        metadata=st.dictionaries(
            NAME.filter(lambda k: k not in ("tags", "critical", "id")), NAME | st.integers(), max_size=2
        ),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda c: c.id,
)


@settings(max_examples=25)
@given(st.builds(Suite, cases=CASES.map(tuple), description=st.just("") | NAME, repeats=st.none() | st.integers(1, 20)))
def test_a_suite_is_read_back_as_it_was_written(suite: Suite) -> None:
    assert parse_suite(suite.to_dict()) == suite
