"""Suites as values: how they are written, named by their content, and compared with a template."""

from __future__ import annotations

import hashlib

from promptlane.engine.suite import Assertion, Case, Suite, flat, problems
from promptlane.engine.templates import references

HAS = Assertion("contains", value="{{wanted}}")
CHECK, JUDGED = Assertion("python", value="short"), Assertion("llm-rubric", True, "polite")
SET = Assertion("assert-set", children=(CHECK, Assertion("assert-set", children=(JUDGED,))))
CASE = Case(
    id="refund",
    vars={"q": "x", "wanted": "y"},
    asserts=(HAS, SET),
    description="Says no",
    threshold=0.5,
    tags=("b", "a"),
    critical=True,
    metadata={"team": "desk"},
)


def test_an_assertion_is_written_with_what_is_not_usual() -> None:
    made = Assertion("assert-set", True, threshold=0.0, weight=0.5, metric="tone", children=(HAS, JUDGED))
    assert made.to_dict() == {
        "type": "not-assert-set",
        "threshold": 0.0,
        "weight": 0.5,
        "metric": "tone",
        "assert": [{"type": "contains", "value": "{{wanted}}"}, {"type": "not-llm-rubric", "value": "polite"}],
    }
    assert Assertion("equals", value=False).to_dict() == {"type": "equals", "value": False}
    assert Assertion("is-json") == Assertion("is-json", False, None, None, 1.0, "", ())


def test_a_case_and_a_suite_are_written_without_what_is_empty() -> None:
    assert CASE.to_dict() == {
        "id": "refund",
        "description": "Says no",
        "vars": {"q": "x", "wanted": "y"},
        "assert": [
            {"type": "contains", "value": "{{wanted}}"},
            {
                "type": "assert-set",
                "assert": [
                    {"type": "python", "value": "short"},
                    {"type": "assert-set", "assert": [{"type": "not-llm-rubric", "value": "polite"}]},
                ],
            },
        ],
        "threshold": 0.5,
        "tags": ["b", "a"],
        "critical": True,
        "metadata": {"team": "desk"},
    }
    bare = Case("c", {}, (CHECK,))
    assert bare == Case("c", {}, (CHECK,), "", None, (), False, {})
    assert bare.to_dict() == {"id": "c", "assert": [{"type": "python", "value": "short"}]}
    assert Suite((bare,)) == Suite((bare,), "", None, ())
    assert Suite((bare,)).to_dict() == {"tests": [bare.to_dict()]}
    assert Suite((bare, CASE), "Support", 2, ("a note",)).to_dict() == {
        "description": "Support",
        "repeats": 2,
        "tests": [bare.to_dict(), CASE.to_dict()],
    }


def test_digests_are_hashes_of_canonical_json_cut_short() -> None:
    def sha256(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    assert JUDGED.digest == sha256('{"type":"not-llm-rubric","value":"polite"}')[:16]
    assert CASE.inputs(["q", "absent"]) == {"q": "x"}
    assert CASE.digest(iter(["wanted", "q"])) == sha256('{"q":"x","wanted":"y"}')[:32]
    assert CASE.digest(["q"]) == sha256('{"q":"x"}')[:32]


def test_what_a_suite_uses_is_found_within_sets() -> None:
    suite = Suite((CASE, Case("c", {}, (Assertion("latency", threshold=5),), tags=("c", "a"))))
    assert list(flat([HAS, SET])) == [HAS, SET, CHECK, SET.children[1], JUDGED]
    assert suite.checks == {"short"}
    assert suite.kinds == {"contains", "assert-set", "python", "llm-rubric", "latency"}


def test_references_are_found_at_any_depth_of_a_value() -> None:
    value = {"a": ["{{one}} {{ two }}", {"b": ("{{three}}", 7)}], "{{key}}": None}
    assert references(value) == {"one", "two", "three"}
    assert references(7) == references("{one}") == set()


def test_suite_and_template_disagree_by_case_and_variable() -> None:
    def case(number: int, **variables: str) -> Case:
        return Case(f"c{number}", variables, (SET, HAS))

    cases = [case(i, q="x", wanted="y", zz="z", yy="y") for i in range(5)]
    suite = Suite((*cases, case(5, yy="y"), case(6, yy="y", q="x"), case(7, yy="y", q="x", r="x")))
    assert problems(suite, iter(["r", "q"])) == [
        "variable 'yy' of cases 'c0', 'c1', 'c2' and 5 more is not in the template (which has q, r); "
        "rename or remove it",
        "variable 'zz' of cases 'c0', 'c1', 'c2' and 2 more is not in the template (which has q, r); "
        "rename or remove it",
        "case 'c5' gives no value for template variable 'q'; add it to `vars` or to defaultTest.vars",
        "cases 'c0', 'c1', 'c2' and 4 more gives no value for template variable 'r'; "
        "add it to `vars` or to defaultTest.vars",
    ]
    three = Suite(tuple(case(i, a="x") for i in range(3)))
    assert problems(three, []) == [
        "variable 'a' of cases 'c0', 'c1', 'c2' is not in the template (which has none); rename or remove it"
    ]
