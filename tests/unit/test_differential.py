"""`make differential` without promptfoo: what is drawn and recognised, and that the documentation lists all of it."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks.differential import ours
from benchmarks.differential.__main__ import CASES, OUTPUTS, differences, unheard_of
from benchmarks.differential.cases import cases
from benchmarks.differential.kinds import KINDS, flat, kind_of, same
from benchmarks.differential.texts import Output, outputs
from benchmarks.promptfoo import fits
from promptlane.engine.assertions import KINDS as OURS
from promptlane.engine.assertions import Grader
from promptlane.engine.kinds import split_negation

Json = Any
ROOT = Path(__file__).parents[2]


def test_the_documentation_lists_every_kind_of_difference_and_no_other() -> None:
    text = (ROOT / "docs" / "write-a-suite.md").read_text()
    table = text.partition("| kind | what is done here, and there |\n|---|---|\n")[2].partition("\n\n")[0]
    assert table == "\n".join(f"| {kind.name} | {kind.reason} |" for kind in KINDS)
    assert len({kind.name for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("seed", [1, 2])
def test_enough_is_drawn_and_of_everything_that_needs_no_model(seed: int) -> None:
    made, answers = cases(Random(seed), CASES), outputs(Random(seed), OUTPUTS)
    different = {json.dumps(case["assert"], sort_keys=True) for case in made}
    assert len(different) >= 500
    assert len({answer.text for answer in answers}) == len(answers) >= 100
    assert len(different) * len(answers) >= 50_000
    kinds = {split_negation(a["type"])[0] for case in made for a in flat(case["assert"])}
    asking = {name for name, kind in OURS.items() if kind.asks or kind.compares}
    assert kinds == OURS.keys() - asking - {"python", "output-tokens"}
    assert cases(Random(seed), CASES) == made != cases(Random(seed + 9), CASES)


def test_ours_raises_nothing_and_says_one_of_four_things() -> None:
    rows, raised = ours.rows(cases(Random("few"), 40), outputs(Random("few"), 60)[-20:])
    assert raised == []
    assert {len(row) for row in rows} == {20}
    assert {"p", "f"} < set("".join(rows)) <= set("pfmr")


def test_what_nobody_should_raise_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Grader, "case", lambda *_: 1 / 0)
    case = {"vars": {}, "assert": [{"type": "contains", "value": "a"}]}
    rows, raised = ours.rows([case], [Output("a", 1, 0.0), Output("b", 1, 0.0)])
    assert rows == ["xx"]
    assert len(raised) == 2
    assert "ZeroDivisionError" in raised[0]


def outcome(kind: str, value: Json, text: str, both: str, **more: Json) -> str:
    variables = more.pop("vars", {})
    made = {"type": kind, **more} | ({} if value is None else {"value": value})
    return kind_of({"vars": variables, "assert": [made]}, Output(text, 1, 0.0), both[0], both[1])


SAME = {"type": "object", "required": ["a"]}
RECOGNISED: list[tuple[str, str, Json, str, str, dict[str, Json]]] = [
    ("proves nothing", "contains-any", ["", "x"], "y", "rp", {}),
    ("proves nothing", "not-contains", "{{a}}", "y", "mf", {"vars": {"a": " "}}),
    ("templates", "contains", "{{ a | lower }}", "y", "rp", {"vars": {"a": "x"}}),
    ("templates", "contains", "{{ b }}", "y", "rp", {"vars": {"a": "x"}}),
    ("patterns", "regex", r"\Ax", "x", "rf", {}),
    ("schemas", "is-json", {"minLenght": 3}, "{}", "rf", {}),
    ("newer schemas", "is-json", {"dependentRequired": {"a": ["b"]}}, "{}", "pe", {}),
    ("doubled entries", "is-json", {"enum": [1, 1.0]}, "2", "fe", {}),
    ("near anything", "levenshtein", "yes", "no", "rp", {}),
    ("numbers as texts", "starts-with", 5, "5 a", "pe", {}),
    ("space around", "equals", "yes", "yes\n", "pf", {}),
    ("folded case", "icontains", "STRASSE", "Straße", "pf", {}),
    ("lists in answers", "contains-json", None, "[1]", "pf", {}),
    ("loose JSON", "not-contains-json", None, "{maybe}", "pf", {}),
    ("large numbers", "equals", {"a": 2**53 + 1}, '{"a": 9007199254740992}', "fp", {}),
    ("endless numbers", "not-is-json", {"type": "object"}, '{"a": 1e400}', "mf", {}),
    ("endless numbers", "equals", {"a": 1}, '{"a": -2E+999}', "mf", {}),
    ("refusals", "is-refusal", None, "I don't recommend it.", "fp", {}),
    ("no tool call", "not-is-valid-openai-tools-call", None, "x", "pf", {}),
    ("characters", "levenshtein", "Great job 😀", "Great job 👨", "pf", {"threshold": 1}),
    ("variables in mappings", "equals", {"a": "{{a}}"}, '{"a": "x"}', "pf", {"vars": {"a": "x"}}),
    ("time", "regex", "a+b+c", "a" * 2_000, "mf", {}),
    ("reached to the last digit", "rouge-n", "a b c d", "a", "pf", {"threshold": 0.4}),
    ("several references", "bleu", ["a b", "c d"], "a d", "pf", {}),
    ("last full stop", "rouge-n", "at 10 a.m.", "at 10 a.m", "pf", {}),
]


@pytest.mark.parametrize(("name", "kind", "value", "text", "both", "more"), RECOGNISED)
def test_a_difference_is_recognised_by_assertion_and_answer(
    name: str, kind: str, value: Json, text: str, both: str, more: dict[str, Json]
) -> None:
    assert outcome(kind, value, text, both, **more) == name
    inside = {"type": "assert-set", "assert": [{"type": kind, **({} if value is None else {"value": value})}]}
    if "vars" not in more and "threshold" not in more:
        assert kind_of({"vars": {}, "assert": [inside]}, Output(text, 1, 0.0), both[0], both[1]) == name


def test_each_kind_has_an_example() -> None:
    assert {row[0] for row in RECOGNISED} == {kind.name for kind in KINDS}


@pytest.mark.parametrize(
    ("kind", "value", "text", "both", "more"),
    [
        ("contains", "x", "x", "pf", {}),
        ("contains", "x", "x", "rp", {}),
        ("not-contains", "{{a}}", "y", "pf", {"vars": {"a": "x"}}),
        ("regex", "^a$", "a", "rf", {}),
        ("regex", "a+b+c", "aaa", "mf", {}),
        ("is-json", SAME, '{"a": 1}', "rf", {}),
        ("is-json", SAME, '{"a": 1}', "pf", {}),
        ("is-json", SAME, '{"a": 1e40}', "mf", {}),
        ("contains-json", SAME, 'x {"a": 1}', "pf", {}),
        ("equals", "yes", "no", "pf", {}),
        ("icontains", "street", "Straße", "pf", {}),
        ("levenshtein", "Great job", "Great jab", "pf", {"threshold": 1}),
        ("rouge-n", "a b c d", "a b", "pf", {"threshold": 0.4}),
        ("bleu", "a b c d", "a b c d", "fp", {}),
        ("contains", 5, "5", "pf", {}),
        ("is-refusal", None, " ", "pf", {}),
    ],
)
def test_what_has_no_reason_is_of_no_kind(kind: str, value: Json, text: str, both: str, more: dict[str, Json]) -> None:
    assert outcome(kind, value, text, both, **more) == ""


def test_neither_gives_a_grade_is_the_same_and_a_grade_against_none_is_not() -> None:
    case = {"vars": {}, "assert": [{"type": "contains", "value": "x"}]}
    answers = [Output(text, 1, 0.0) for text in "abcdef"]
    found = [*differences([case], answers, ["pfrmpr"], ["pfeefp"])]
    assert [(answer.text, both) for _, answer, both, _ in found] == [("e", "pf"), ("f", "rp")]
    assert not same("p", "e")


def test_a_type_that_nobody_here_has_heard_of_is_found() -> None:
    known = ["contains", "similar:cosine", "guardrails", "javascript", "trace-span-count", "select-best", "human"]
    assert unheard_of([*known, "new-kind"]) == ["new-kind"]


def test_promptfoo_runs_on_the_nodes_that_it_names() -> None:
    taken = ["v20.20.0", "v20.21.3", "v22.22.0", "v24.0.0", "v26.10.0"]
    assert [v for v in [*taken, "v20.19.9", "v21.7.0", "v22.21.1", "v18.0.0", "?"] if fits(v)] == taken


def test_one_version_of_promptfoo_is_named_once() -> None:
    makefile = (ROOT / "benchmarks" / "Makefile.inc").read_text()
    assert makefile.count("PROMPTFOO := 0.121.20") == 1
    assert makefile.count("0.121.20") == 1
    assert makefile.count("$(PROMPTFOO_READY)") == 3
