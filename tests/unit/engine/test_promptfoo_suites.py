"""Reading suites: promptfoo's words, files of cases, and every mistake named with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import SuiteInvalid
from promptlane.domain.policy import Policy
from promptlane.engine.assertions import KINDS
from promptlane.engine.dataset import expected
from promptlane.engine.kinds import REFUSED
from promptlane.engine.parse import parse as parse_suite
from promptlane.engine.plan import size_warnings
from promptlane.engine.suite import MAX_CASES, Suite, problems

ASSERT = [{"type": "contains", "value": "yes"}]


def parse(data: Any, **files: bytes) -> Suite:
    def read(name: str) -> bytes:
        key = name.replace(".", "_")
        if key not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return files[key]

    return parse_suite(data, read=read)


def complaints(data: Any, **files: bytes) -> str:
    with pytest.raises(SuiteInvalid) as caught:
        parse(data, **files)
    return str(caught.value)


def one(assertion: dict[str, Any]) -> dict[str, Any]:
    return {"tests": [{"vars": {"q": "x"}, "assert": [assertion]}]}


def test_a_promptfoo_file_is_read_unchanged_and_what_is_left_out_is_said() -> None:
    config = {
        "$schema": "https://promptfoo.dev/config-schema.json",
        "description": "Translations",
        "prompts": ["Translate {{input}} to {{language}}"],
        "providers": ["openai:gpt-4o-mini", {"id": "bedrock:amazon.nova-lite-v1:0"}],
        "evaluateOptions": {"repeat": 3, "maxConcurrency": 4},
        "assertionTemplates": {"polite": {"type": "not-icontains", "value": "stupid"}},
        "defaultTest": {"assert": [{"$ref": "#/assertionTemplates/polite"}], "metadata": {"tags": ["all"]}},
        "tests": [
            {
                "description": "Greets",
                "vars": {"language": ["French", "German"], "input": "Hello"},
                "assert": [
                    {"type": "icontains-any", "value": "bonjour, hallo"},
                    {"type": "similar", "value": "{{input}}", "threshold": 0.6},
                ],
            },
            {
                "vars": {"language": "Spanish", "input": "Bye"},
                "threshold": 0.5,
                "metadata": {"tags": "farewell", "critical": True},
                "assert": [
                    {
                        "type": "assert-set",
                        "threshold": 0.5,
                        "assert": [
                            {"type": "equals", "value": "Adiós"},
                            {"type": "levenshtein", "value": "Adios", "threshold": 2},
                        ],
                    },
                    {"type": "llm-rubric", "value": "is Spanish", "weight": 2},
                    {"type": "guardrails"},
                ],
            },
        ],
    }
    suite = parse(config)
    assert suite.repeats == 3
    assert [c.id for c in suite.cases] == ["1-greets[language=French]", "1-greets[language=German]", "case-3"]
    assert suite.cases[0].vars == {"language": "French", "input": "Hello"}
    assert suite.cases[0].asserts[0].value == ["bonjour", "hallo"]
    assert [a.type for a in suite.cases[2].asserts][-2:] == ["not-guardrail-intervened", "not-icontains"]
    assert suite.cases[2].critical
    assert suite.cases[2].tags == ("all", "farewell")
    assert any(note.startswith("`providers` is left out") for note in suite.notes)
    assert parse_suite(suite.to_dict()).cases == suite.cases


def test_cases_come_from_csv_as_promptfoo_writes_it() -> None:
    csv = (
        "﻿language,input,__expected,__expected2,__description,__metadata:team,__tags,__critical,__id\n"
        'French,"Hello, you","icontains-any:bonjour,salut",similar(0.8):Bonjour,greets,desk,"a;b",true,fr\n'
        "German,Bye,Tschüss,,,,,,\n"
    ).encode()
    suite = parse({"tests": "file://cases.csv"}, cases_csv=csv)
    first, second = suite.cases
    assert (first.id, first.tags, first.critical, first.metadata) == ("fr", ("a", "b"), True, {"team": "desk"})
    assert first.vars["input"] == "Hello, you"
    assert [(a.type, a.value, a.threshold) for a in first.asserts] == [
        ("icontains-any", ["bonjour", "salut"], None),
        ("similar", ["Bonjour"], 0.8),
    ]
    assert [(a.type, a.value) for a in second.asserts] == [("equals", "Tschüss")]


def test_cases_come_from_jsonl_beside_inline_ones() -> None:
    lines = b'{"vars": {"q": "a"}, "assert": [{"type": "is-json"}]}\n\n{"vars": {"q": "b"}, "critical": true}\n'
    data = {"defaultTest": {"assert": ASSERT}, "tests": [{"id": "inline", "vars": {"q": 1.5}}, "cases.jsonl"]}
    suite = parse(data, cases_jsonl=lines)
    assert [c.id for c in suite.cases] == ["inline", "case-2", "case-3"]
    assert suite.cases[0].vars == {"q": "1.5"}
    assert [a.type for a in suite.cases[1].asserts] == ["is-json", "contains"]


@pytest.mark.parametrize(
    ("assertion", "message"),
    [
        ({"type": "contians", "value": "x"}, "did you mean 'contains'"),
        ({"type": "javascript", "value": "output.length"}, "code is never taken"),
        ({"type": "not-pi", "value": "x"}, "llm-rubric"),
        ({"type": "contains"}, "needs a value"),
        ({"type": "contains", "value": ""}, "needs a value"),
        ({"type": "contains-all", "value": []}, "needs a value"),
        ({"type": "contains", "value": "x", "weight": 0}, "would always pass"),
        ({"type": "similar", "value": "x", "threshold": 0}, "above 0"),
        ({"type": "rouge-n", "value": "x", "threshold": 1.5}, "end at 1"),
        ({"type": "contains", "value": "x", "threshold": 0.5}, "takes no threshold"),
        ({"type": "latency"}, "needs a threshold, in milliseconds"),
        ({"type": "regex", "value": "(unclosed"}, "not a valid regular expression"),
        ({"type": "is-json", "value": {"type": "objekt"}}, "not a valid JSON Schema"),
        ({"type": "is-json", "value": {"$ref": "https://example.com/s.json"}}, "nothing is fetched"),
        ({"type": "contains", "value": "{{other}}"}, "not among the case's vars"),
        ({"type": "llm-rubric", "value": "ok", "provider": "openai:gpt-4"}, "judge_model"),
        ({"type": "contains", "valeu": "x", "value": "x"}, "did you mean 'value'"),
        ({"type": "assert-set"}, "needs assertions"),
        ({"type": "is-refusal", "value": "x"}, "takes no value"),
        ({"type": "$ref"}, "unknown assertion type"),
        ({"$ref": "#/assertionTemplates/none"}, "holds no 'none'"),
        ({"type": "contains", "value": "file://gone.txt"}, "cannot be read"),
        ({"type": "equals", "value": "file://check.py"}, "is code"),
    ],
)
def test_an_assertion_that_could_prove_nothing_is_refused(assertion: dict[str, Any], message: str) -> None:
    said = complaints(one(assertion))
    assert message in said
    assert said.startswith("tests[0].assert")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "a suite is a mapping"),
        ({}, "tests: is required"),
        ({"tests": []}, "holds no case"),
        ({"tests": "cases.csv", "test": []}, "did you mean 'tests'"),
        ({"tests": [{"vars": {"q": "a"}}]}, "has no assertion and would always pass"),
        ({"tests": [{"id": "a", "assert": ASSERT}, {"id": "a", "assert": ASSERT}]}, "used twice"),
        ({"tests": [{"assert": ASSERT, "threshold": 0}]}, "would always pass"),
        ({"tests": [{"assert": ASSERT, "critical": "yes"}]}, "write true or false"),
        ({"tests": [{"assert": ASSERT, "options": {"transform": "x"}}]}, "option `transform` is not supported"),
        ({"tests": [{"assert": ASSERT, "vars": {"q": []}}]}, "empty list"),
        ({"tests": [{"assert": ASSERT, "vars": {"q": list(range(2000))}}]}, "multiply out to 2,000"),
        ({"tests": [{"assert": ASSERT}], "scenarios": []}, "`scenarios` is not supported"),
        ({"tests": [{"assert": ASSERT}], "repeats": 0}, "from 1 to 20"),
        ({"tests": [{"assert": ASSERT, "providerOutput": "x"}]}, "proves nothing"),
        ({"tests": [7]}, "must be a mapping"),
    ],
)
def test_a_suite_that_could_prove_nothing_is_refused(data: Any, message: str) -> None:
    assert message in complaints(data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cases.csv", b"q,__expected\na,b,c\n", "cases.csv line 2: 3 columns where the header names 2"),
        ("cases.csv", b"q,r,__expected\na,b\n", "column '__expected' is missing"),
        ("cases.csv", b"q,q\na,b\n", "column 'q' appears twice"),
        ("cases.csv", b"q,__expect\na,b\n", "special column '__expect' is not supported"),
        ("cases.csv", b"", "is empty"),
        ("cases.csv", b"q,__expected\n", "holds no case"),
        ("cases.csv", b"q,__expected\nfine,x\nbad \xff,x\n", "cases.csv line 3: byte 0xff is not valid UTF-8"),
        ("cases.csv", b'q,__expected\n"open,x\n', "not valid CSV"),
        ("cases.csv", b"q,__expected,__critical\na,b,perhaps\n", "write true or false"),
        ("cases.csv", b"q,__expected\na,similar(high):b\n", "is not a number"),
        ("cases.jsonl", b'{"vars": }\n', "cases.jsonl line 1: is not valid JSON"),
        (
            "cases.jsonl",
            b'{"vars": {"q": "a"}, "assert": [{"type": "nope"}]}\n',
            "cases.jsonl line 1: unknown assertion",
        ),
        ("cases.json", b'{"a": 1}', "must hold a list"),
        ("cases.yaml", b"- a: [", "is not valid YAML"),
        ("cases.xlsx", b"PK", "is a workbook"),
    ],
)
def test_a_file_of_cases_is_refused_with_its_line(name: str, content: bytes, message: str) -> None:
    assert message in complaints({"tests": name}, **{name.replace(".", "_"): content})


def test_a_missing_file_and_too_many_rows_are_refused() -> None:
    assert "No such file" in complaints({"tests": "gone.csv"})
    rows = b"q,__expected\n" + b"a,b\n" * (MAX_CASES + 1)
    assert f"more than {MAX_CASES:,} cases" in complaints({"tests": "cases.csv"}, cases_csv=rows)


def test_every_problem_is_reported_at_once_but_not_without_end() -> None:
    tests = [{"assert": [{"type": "nope"}]} for _ in range(500)]
    with pytest.raises(SuiteInvalid) as caught:
        parse_suite({"tests": tests})
    assert 100 <= len(caught.value.problems) <= 102
    assert caught.value.problems[1][0] == "tests[1].assert[0].type"


def test_suite_and_template_must_agree() -> None:
    suite = parse_suite(
        {
            "tests": [
                {"id": "a", "vars": {"q": "x", "wanted": "y"}, "assert": [{"type": "contains", "value": "{{wanted}}"}]},
                {"id": "b", "vars": {"qq": "x"}, "assert": ASSERT},
            ]
        }
    )
    found = problems(suite, {"q"})
    assert len(found) == 2
    assert "variable 'qq' of case 'b' is not in the template" in found[0]
    assert "case 'b' gives no value for template variable 'q'" in found[1]


def test_there_is_a_warning_of_suites_that_can_prove_nothing() -> None:
    def warnings(n: int, **tests: Any) -> list[str]:
        cases = [{"vars": {"q": "x"}, "assert": ASSERT, "tags": ["unsafe"] if i < 3 else []} for i in range(n)]
        review = {"reviewers": [{"name": "support-lead", "email": "support-lead@example.com"}]}
        policy = Policy.from_dict({"review": review, "tests": tests}).tests
        return size_warnings(parse_suite({"tests": cases}), policy)

    assert "8 cases can never prove a margin of 5 points" in warnings(8)[0]
    assert "at least 45 cases" in warnings(8)[0]
    assert "only when hardly any case differs" in warnings(50)[0]
    assert warnings(400) == []
    assert "its 3 cases can never prove" in warnings(400, must_pass=["unsafe"])[0]
    assert "no case carries this tag" in warnings(400, must_pass=["refunds"])[0]


def test_the_example_suites_are_whole() -> None:
    from promptlane.project import load

    projects = load(Path(__file__).parents[3] / "prompts")
    for project in projects:
        assert problems(project.suite, project.draft.variables) == []
        assert parse_suite(project.suite.to_dict()).cases == project.suite.cases


def test_no_type_is_both_known_and_refused() -> None:
    assert not KINDS.keys() & REFUSED.keys()


@given(st.text(max_size=80))
def test_any_expected_cell_becomes_an_assertion(cell: str) -> None:
    from promptlane.engine.dataset import DatasetInvalid

    try:
        found = expected(cell)
    except DatasetInvalid:
        return
    assert isinstance(found["type"], str)


KEYS = ["tests", "vars", "assert", "type", "value", "threshold", "weight", "x"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_data_is_read_or_refused_with_reasons(data: Any) -> None:
    try:
        suite = parse_suite(data)
    except SuiteInvalid as error:
        if not error.problems:
            pytest.fail("refused without a reason")
        return
    assert suite.cases
    assert all(case.asserts for case in suite.cases)
    assert parse_suite(suite.to_dict()).cases == suite.cases
