"""Every kind of assertion with its exact grade: passed, score and reason; negated; and at its limit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import Throttled, Unavailable
from promptlane.domain.suite.answers import Answer, CallRefused, ToolCall
from promptlane.engine.assertions import KINDS, CaseGrade, Grade, Grader, filled
from promptlane.engine.judged import MEASURES, question_of
from promptlane.engine.kinds import Ungradable
from promptlane.engine.suite import Assertion, Case
from promptlane.fakes.objects import ScriptedJudge
from tests.support.near import near

VARS = {"name": "Ana", "q": "Where is it?"}
TOOLS = {
    "lookup": {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]},
    "refund": {"type": "object", "properties": {"cents": {"type": "integer"}}},
}
LOOKUP, REFUND = ToolCall("lookup", {"order": "17"}), ToolCall("refund", {"cents": 5})
LONG = "x" * 121


class Vectors:
    """`Embedder` that knows the vectors of a few texts."""

    def __init__(self, known: Mapping[str, Sequence[float]]) -> None:
        self.known, self.asked = known, list[str]()

    def embed(self, text: str) -> Sequence[float]:
        self.asked.append(text)
        return self.known[text]


VECTORS = Vectors({"east": (2, 0), "near": (3, 4), "north": (0, 5), "west": (-1, 0), "nowhere": (0, 0)})
CHECKS: dict[str, Callable[[str, Mapping[str, str]], Any]] = {
    "names-the-customer": lambda output, variables: variables["name"] in output,
    "share-of-a": lambda output, variables: output.count("a") / len(output),
    "whole": lambda output, variables: len(output),
    "says": lambda output, variables: output,
}


def grade(kind: str, answer: Answer | str, value: Any = None, threshold: float | None = None, **more: Any) -> Grade:
    said = answer if isinstance(answer, Answer) else Answer(answer)
    made = Assertion(kind.removeprefix("not-"), kind.startswith("not-"), value, threshold, **more)
    grader = Grader(tools=TOOLS, embedder=VECTORS, checks=CHECKS)
    return grader.assertion(made, Case("case", {**VARS, "empty": " "}, (made,)), said)


def tools(*calls: ToolCall) -> Answer:
    return Answer("", tool_calls=calls)


# kind, value, threshold, answer, score, and the reason of the failing one of the kind and its negation; a passing grade
# gives none. Where the score alone does not say whether it passed, `passed` does.
ROWS: list[tuple[str, Any, float | None, Answer | str, float, str]] = [
    ("equals", "Hello {{name}}", None, " Hello Ana\n", 1, "equals 'Hello Ana' holds"),
    ("equals", " Hello {{ name }} ", None, "Hello Ben", 0, "the output is not ' Hello Ana '"),
    ("equals", {"é": ["{{name}}", 2]}, None, '{"é": ["Ana", 2.0]}', 1, """equals '{"é": ["Ana", 2]}' holds"""),
    ("equals", ["{{name}}"], None, '["Ben"]', 0, """the output is not the JSON value '["Ana"]'"""),
    ("equals", [1], None, "[1", 0, "the output is not the JSON value '[1]'"),
    ("contains", "{{name}}", None, "Dear Ana,", 1, "contains 'Ana' holds"),
    ("contains", LONG[1:], None, "ana", 0, f"the output does not contain '{LONG[1:]}'"),
    ("contains", LONG, None, "x", 0, f"the output does not contain '{LONG[1:]}…'"),
    ("icontains", "STRASSE", None, "In der Straße", 1, "icontains 'STRASSE' holds"),
    ("icontains", "Weg", None, "In der Straße", 0, "the output does not contain 'Weg' in any case"),
    ("contains-any", ["no", "{{name}}"], None, "Ana and Ben", 1, """contains-any '["no", "Ana"]' holds"""),
    ("contains-any", ["Ön", "B"], None, "ön b", 0, """the output contains none of '["Ön", "B"]'"""),
    ("contains-all", ["A", "B"], None, "B and A", 1, """contains-all '["A", "B"]' holds"""),
    ("contains-all", ["a", "B", "C", "d"], None, "B d", 0, """the output does not contain '["a", "C"]'"""),
    ("contains-all", ["a", "B"], None, "A b", 0, """the output does not contain '["a", "B"]'"""),
    ("icontains-any", ["x", "ANA"], None, "ana", 1, """icontains-any '["x", "ANA"]' holds"""),
    ("icontains-any", ["x", "y"], None, "ana", 0, """the output contains none of '["x", "y"]'"""),
    ("icontains-all", ["a", "B"], None, "b A", 1, """icontains-all '["a", "B"]' holds"""),
    ("icontains-all", ["a", "B", "c", "d"], None, "D b A", 0, """the output does not contain '["c"]'"""),
    ("starts-with", "Dear {{name}}", None, "Dear Ana!", 1, "starts-with 'Dear Ana' holds"),
    ("starts-with", "Dear", None, "Oh Dear", 0, "the output does not start with 'Dear'"),
    ("regex", r"\d+ days for {{name}}", None, "in 30 days for Ana.", 1, r"regex '\\d+ days for Ana' holds"),
    ("regex", r"^\d$", None, "30", 0, r"the output does not match '^\\d$'"),
    ("is-json", None, None, " [1] ", 1, "is-json holds"),
    ("is-json", None, None, '{"a": NaN}', 0, "the output is not JSON: NaN is not JSON"),
    (
        "is-json",
        {"prefixItems": [{"type": "string"}]},
        None,
        '["a"]',
        1,
        """is-json '{"prefixItems": [{"type": "string"}]}' holds""",
    ),
    (
        "is-json",
        {"prefixItems": [{"type": "string"}]},
        None,
        "[1]",
        0,
        "the JSON does not fit the schema: 1 is not of type 'string' (at $[0])",
    ),
    (
        "is-json",
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"enum": ["{{name}}"]}]},
        None,
        '["Ben", 1]',
        0,
        "the JSON does not fit the schema: 'Ben' is not one of ['Ana'] (at $[0])",
    ),
    ("contains-json", None, None, "so {bad [1]", 1, "contains-json holds"),
    ("contains-json", None, None, "no { json [ here", 0, "the output contains no JSON"),
    ("contains-json", None, None, "not [Infinity] either", 0, "the output contains no JSON"),
    ("contains-json", {"type": "array"}, None, '[1] and {"a": 2}', 1, """contains-json '{"type": "array"}' holds"""),
    (
        "contains-json",
        {"required": ["b"]},
        None,
        'is {"a": 1}, {"b": [',
        0,
        "the JSON in the output does not fit the schema: 'b' is a required property (at $)",
    ),
    ("is-refusal", None, None, "I'm sorry, but I can't help with that.", 1, "is-refusal holds"),
    ("is-refusal", None, None, "Your parcel arrives on Monday.", 0, "the output is not a refusal"),
    ("latency", None, 100, Answer("x", latency_ms=100), 1, "latency holds"),
    ("latency", None, 100, Answer("x", latency_ms=100.6), 0, "the answer took 101 ms, more than 100 ms"),
    ("cost", None, 0.01, Answer("x", cost_usd=0.01), 1, "cost holds"),
    ("cost", None, 0.01, Answer("x", cost_usd=0.0123456), 0, "the answer cost 0.012346 USD, more than 0.01 USD"),
    ("output-tokens", None, 5, Answer("x", output_tokens=5), 1, "output-tokens holds"),
    ("output-tokens", None, 5, Answer("x", output_tokens=6), 0, "6 output tokens, more than 5"),
    ("is-valid-tool-call", None, None, tools(LOOKUP), 1, "is-valid-tool-call holds"),
    ("is-valid-tool-call", ["refund"], None, tools(LOOKUP, REFUND), 1, """is-valid-tool-call '["refund"]' holds"""),
    (
        "is-valid-tool-call",
        ["refund", "cancel", "lookup"],
        None,
        tools(LOOKUP),
        0,
        "tool cancel, refund was not called",
    ),
    ("is-valid-tool-call", None, None, "no call", 0, "no tool was called"),
    (
        "is-valid-tool-call",
        None,
        None,
        tools(LOOKUP, ToolCall("delete", {})),
        0,
        "tool 'delete' is not among the version's tools",
    ),
    (
        "is-valid-tool-call",
        None,
        None,
        tools(LOOKUP, ToolCall("refund", {"cents": "5"})),
        0,
        "the input of tool 'refund' does not fit its schema: '5' is not of type 'integer' (at $.cents)",
    ),
    ("guardrail-intervened", None, None, Answer("x", "guardrail_intervened"), 1, "guardrail-intervened holds"),
    ("guardrail-intervened", None, None, Answer("x", "end_turn"), 0, "no guardrail intervened"),
    ("levenshtein", "kitten", None, "kitt", 1, "levenshtein 'kitten' holds"),
    ("levenshtein", "kitten", None, "kittenish, k", 0, "edit distance is more than 5"),
    ("levenshtein", "kitten", 3, "sitting", 1, "levenshtein 'kitten' holds"),
    ("levenshtein", "kitten", 2, "sitting", 0, "edit distance is more than 2"),
    ("levenshtein", "exact", 0, "exact", 1, "levenshtein 'exact' holds"),
    ("levenshtein", "exact", 0, "exac", 0, "edit distance is more than 0"),
    ("python", "names-the-customer", None, "To Ana", 1, "python 'names-the-customer' holds"),
    ("python", "names-the-customer", None, "To Ben", 0, "python check 'names-the-customer' says no"),
]

# The same, of kinds that are measured: kind, value, threshold, answer, passed, score, reason.
MEASURED: list[tuple[str, Any, float | None, str, bool, float, str]] = [
    ("similar", ["north", "east"], 0.6, "near", True, 0.8, "similarity is 0.800, not below 0.6"),
    ("similar", ["east"], 0.6, "near", True, 0.6, "similarity is 0.600, not below 0.6"),
    ("similar", ["east"], 0.601, "near", False, 0.6, "similarity is 0.600, below 0.601"),
    ("similar", ["north"], None, "near", True, 0.8, "similarity is 0.800, not below 0.75"),
    ("similar", ["east"], None, "near", False, 0.6, "similarity is 0.600, below 0.75"),
    ("similar", ["east"], None, "west", False, 0, "similarity is -1.000, below 0.75"),
    ("similar", ["nowhere"], None, "east", False, 0, "similarity is 0.000, below 0.75"),
    ("similar", ["east"], None, " ", False, 0, "the output is empty"),
    (
        "rouge-n",
        "the cat sat on the mat",
        None,
        "the cat sat on a mat",
        True,
        10 / 12,
        "ROUGE-1 F is 0.833, not below 0.75",
    ),
    ("rouge-n", "a b c d", None, "a b c d e f", True, 0.8, "ROUGE-1 F is 0.800, not below 0.75"),
    ("rouge-n", "a b", None, "a b c d", False, 2 / 3, "ROUGE-1 F is 0.667, below 0.75"),
    ("rouge-n", "a b", 1, "a b", True, 1, "ROUGE-1 F is 1.000, not below 1"),
    ("rouge-n", "a b", 0.1, "...", False, 0, "ROUGE-1 F is 0.000, below 0.1"),
    (
        "bleu",
        ["the dog", "the cat sat on the mat"],
        None,
        "the cat sat on a mat",
        True,
        0.5372849659117709,
        "BLEU is 0.537, not below 0.5",
    ),
    ("bleu", ["a b"], None, "A b", True, 1, "BLEU is 1.000, not below 0.5"),
    ("bleu", ["the cat sat on the mat"], 0.3, "on the mat the cat sat", False, 0, "BLEU is 0.000, below 0.3"),
    ("bleu", ["a b c d"], 1, "a b c d", True, 1, "BLEU is 1.000, not below 1"),
    ("bleu", ["a b c d"], 0.1, " \n", False, 0, "BLEU is 0.000, below 0.1"),
    ("python", "share-of-a", None, "ab", True, 0.5, "python check 'share-of-a' scores 0.50"),
    ("python", "share-of-a", None, "abc", False, 1 / 3, "python check 'share-of-a' scores 0.33"),
    ("python", "share-of-a", None, "aa", True, 1, "python check 'share-of-a' scores 1.00"),
    ("python", "share-of-a", None, "b", False, 0, "python check 'share-of-a' scores 0.00"),
    ("python", "whole", None, "1", True, 1, "python check 'whole' scores 1.00"),
]
TABLE = [(*row[:4], row[4] == 1, *row[4:]) for row in ROWS] + MEASURED


@pytest.mark.parametrize(("kind", "value", "threshold", "answer", "passed", "score", "reason"), TABLE)
def test_a_kind_and_its_negation_give_these_grades(
    kind: str, value: Any, threshold: float | None, answer: Answer | str, passed: bool, score: float, reason: str
) -> None:
    plain = grade(kind, answer, value, threshold, metric="tone")
    assert plain == Grade(kind, passed, near(score, abs=1e-6), "" if passed else reason, "tone")
    negated = grade(f"not-{kind}", answer, value, threshold)
    assert negated == Grade(f"not-{kind}", not passed, near(1 - score, abs=1e-6), reason if passed else "")


def test_the_table_holds_every_kind_that_asks_no_judge() -> None:
    assert {row[0] for row in TABLE} == KINDS.keys() - {"llm-rubric", "select-best", "assert-set"} - {
        row.name for row in MEASURES
    }


UNGRADABLE: list[tuple[str, Any, Answer | str, str]] = [
    ("python", "nowhere", "x", "python check 'nowhere' is not registered"),
    ("python", "whole", "22", "python check 'whole' returned 2; it must return a bool or a score from 0 to 1"),
    ("python", "says", "yes", "python check 'says' returned 'yes'; it must return a bool or a score from 0 to 1"),
    ("python", "share-of-a", "", "python check 'share-of-a' failed: ZeroDivisionError: division by zero"),
    ("regex", "({{name}}", "x", "regular expression '(Ana' is not valid: Unbalanced parenthesis"),
    ("regex", "(a|aa)+$", "a" * 4_000 + "b", "regular expression '(a|aa)+$' took longer than 1 s"),
    ("is-json", {"$ref": "#"}, "1", "the schema refers to itself without going into the value, so it would never end"),
    ("cost", None, "x", "no price is known for the model; add it to tests.prices in release.yaml"),
    ("levenshtein", "k", "x", "levenshtein: 'k' is 1 edits from no text, and 1 are allowed"),
    ("icontains", "{{empty}}", "x", "icontains proves nothing in this case: {{empty}} fills in to nothing"),
    (
        "contains-any",
        ["{{empty}}", "x"],
        "x",
        "contains-any proves nothing in this case: {{empty}} fills in to nothing",
    ),
    ("regex", "{{empty}}", "x", "regex proves nothing in this case: {{empty}} fills in to nothing"),
]


@pytest.mark.parametrize("negation", ["", "not-"])
@pytest.mark.parametrize(("kind", "value", "answer", "reason"), UNGRADABLE)
def test_what_cannot_be_graded_says_why_also_when_negated(
    kind: str, value: Any, answer: Answer | str, reason: str, negation: str
) -> None:
    with pytest.raises(Ungradable) as caught:
        grade(negation + kind, answer, value, 1)
    assert str(caught.value) == reason


@pytest.mark.parametrize("deep", ["[" * 30_000, '{"a":' * 30_000])
def test_json_that_is_nested_without_end_is_ungradable_also_when_negated(deep: str) -> None:
    for kind, value in (("equals", [1]), ("is-json", None), ("contains-json", None)):
        for negation in ("", "not-"):
            with pytest.raises(Ungradable, match="nested deeper than 100 levels"):
                grade(negation + kind, deep, value)
    assert grade("contains-json", json.dumps({"a": "x" * 200_000})).passed


@given(st.text(max_size=300))
def test_no_output_breaks_the_grading(output: str) -> None:
    for kind in ("is-json", "contains-json", "is-refusal"):
        grade(kind, output)
    for kind in ("rouge-n", "levenshtein", "contains", "icontains", "equals"):
        grade(kind, output, "some reference text")


def test_json_is_looked_for_at_two_thousand_places() -> None:
    assert grade("contains-json", "{" * 1_999 + "[1]").passed
    assert not grade("contains-json", "{" * 2_000 + "[1]").passed


def test_why_json_does_not_fit_is_said_in_three_hundred_characters() -> None:
    reason = grade("is-json", "1", {"const": "y" * 400}).reason
    assert reason == "the JSON does not fit the schema: " + f"'{'y' * 400}' was expected"[:300] + " (at $)"


def test_twenty_thousand_characters_of_an_answer_are_embedded() -> None:
    known = {"x" * 20_000: (1.0,), "like": (1.0,)}
    made = Assertion("similar", value=["like"])
    vectors = Vectors(known)
    assert Grader(embedder=vectors).assertion(made, Case("c", {}, (made,)), Answer("x" * 20_001)).passed
    assert vectors.asked == ["x" * 20_000, "like"]


@pytest.mark.parametrize("error", [CallRefused("too long"), Throttled("busy"), Unavailable("down")])
def test_an_embedding_that_cannot_be_had_is_ungradable(error: Exception) -> None:
    class Refusing:
        def embed(self, text: str) -> Sequence[float]:
            raise error

    made = Assertion("similar", value=["like"])
    with pytest.raises(Ungradable, match=f"the embedding model could not be asked: {error}"):
        Grader(embedder=Refusing()).assertion(made, Case("c", {}, (made,)), Answer("x"))


@pytest.mark.parametrize("vectors", [{"x": (1, 2), "like": (1,)}, {"x": (), "like": ()}])
def test_vectors_that_cannot_be_compared_are_ungradable(vectors: dict[str, tuple[float, ...]]) -> None:
    made = Assertion("similar", value=["like"])
    with pytest.raises(Ungradable, match="the embedding model returned vectors of different lengths"):
        Grader(embedder=Vectors(vectors)).assertion(made, Case("c", {}, (made,)), Answer("x"))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("similar", "no embedding model is configured"),
        ("llm-rubric", "no judge model is configured"),
        ("select-best", "no judge model is configured"),
    ],
)
def test_a_kind_that_asks_a_model_needs_one(kind: str, reason: str) -> None:
    made = Assertion(kind, value="x")
    with pytest.raises(Ungradable) as caught:
        Grader(other=Answer("y")).case(Case("c", VARS, (made,)), Answer("x"))
    assert str(caught.value) == reason


def test_a_rubric_passes_when_the_judge_says_so_and_the_score_reaches_the_threshold() -> None:
    judge = ScriptedJudge(lambda user: {"pass": "wrong" not in user, "score": 0.6, "reason": "so so"})

    def graded(output: str, threshold: float | None, negated: bool = False) -> Grade:
        made = Assertion("llm-rubric", negated, "greets {{name}}", threshold)
        return Grader(judge=judge).assertion(made, Case("c", VARS, (made,)), Answer(output))

    assert graded("Hi", None) == graded("Hi", 0.6) == Grade("llm-rubric", True, 0.6, "")
    assert graded("Hi", 0.61) == Grade("llm-rubric", False, 0.6, "so so")
    assert graded("wrong", 0.1) == Grade("llm-rubric", False, 0.6, "so so")
    assert graded("Hi", None, negated=True) == Grade("not-llm-rubric", False, 0.4, "so so")
    question = "name:\nAna\n\nq:\nWhere is it?"
    assert question_of(Case("c", VARS, ())) == question
    assert judge.asked[0].startswith("Criterion:\ngreets Ana\n\nWhat the assistant was given:\n<input-")
    assert f">\n{question}\n</input-" in judge.asked[0]


def test_a_pair_is_judged_once_in_both_orders_and_serves_both_sides() -> None:
    judge = ScriptedJudge(
        lambda u: {"reason": "NEW is kinder", "better": "A" if u.index("NEW") < u.index("OLD") else "B"}
    )
    made, denied = (
        Assertion("select-best", value="kind to {{name}}"),
        Assertion("select-best", True, "kind to {{name}}"),
    )
    shared: dict[str, tuple[int, str]] = {}
    new, old = Answer("NEW"), Answer("OLD")
    candidate = Grader(judge=judge, other=old, is_candidate=True, preferences=shared)
    stable = Grader(judge=judge, other=new, is_candidate=False, preferences=shared)
    case = Case("c", VARS, (made,))
    assert stable.assertion(made, case, old) == Grade(
        "select-best", False, 0.0, "the other version's answer is better: NEW is kinder"
    )
    assert candidate.assertion(made, case, new) == Grade("select-best", True, 1.0, "")
    assert shared == {filled(made, case).digest: (1, "NEW is kinder")}
    assert len(judge.asked) == 2
    assert all("kind to Ana" in u and "Where is it?" in u for u in judge.asked)
    assert candidate.assertion(denied, case, new) == Grade(
        "not-select-best", False, 0.0, "the other version's answer is not better: NEW is kinder"
    )


def test_equal_answers_tie_with_half_a_score_for_both() -> None:
    made = Assertion("select-best", value="kind")
    for is_candidate in (True, False):
        grader = Grader(judge=ScriptedJudge(pytest.fail), other=Answer(" same"), is_candidate=is_candidate)
        assert grader.assertion(made, Case("c", {}, (made,)), Answer("same")) == Grade("select-best", True, 0.5, "")


def test_without_another_answer_a_comparison_is_left_out_unless_nothing_else_is_left() -> None:
    best, has = Assertion("select-best", value="kind", weight=9), Assertion("contains", value="x")
    alone, beside = Case("c", {}, (best,)), Case("c", {}, (best, has))
    within = Case("c", {}, (Assertion("assert-set", children=(best, has)),))
    grader = Grader(judge=ScriptedJudge(pytest.fail))
    assert grader.case(beside, Answer("x")) == CaseGrade(True, 1.0, (Grade("contains", True, 1.0, ""),))
    for case in (alone, within):
        with pytest.raises(Ungradable) as caught:
            grader.case(case, Answer("x"))
        assert str(caught.value) == "select-best compares with the stable version, and there is no answer of it"


X, Y, Z = (Assertion("contains", value=v, weight=w) for v, w in (("x", 3.0), ("y", 1.5), ("z", 0.5)))
NO_Y, NO_Z = "the output does not contain 'y'", "the output does not contain 'z'"


@pytest.mark.parametrize(
    ("threshold", "passed"), [(None, False), (0.59, True), (0.6, True), (0.6001, False), (0.61, False), (1.0, False)]
)
def test_a_case_passes_with_all_assertions_or_with_their_weighted_mean(threshold: float | None, passed: bool) -> None:
    found = Grader().case(Case("c", {}, (X, Y, Z), threshold=threshold), Answer("x"))
    assert found == CaseGrade(
        threshold is not None and threshold <= 0.6,
        0.6,
        (Grade("contains", True, 1, ""), Grade("contains", False, 0, NO_Y), Grade("contains", False, 0, NO_Z)),
    )
    assert found.passed is passed


@pytest.mark.parametrize(
    ("text", "threshold", "expected"),
    [
        ("x y z", None, Grade("assert-set", True, 1.0, "", "all")),
        ("x", None, Grade("assert-set", False, 0.6, f"contains: {NO_Y}; contains: {NO_Z}", "all")),
        ("x", 0.6, Grade("assert-set", True, 0.6, "", "all")),
        ("x", 0.65, Grade("assert-set", False, 0.6, f"score 0.60 of 0.65; contains: {NO_Y}; contains: {NO_Z}", "all")),
        ("x z", 0.7, Grade("assert-set", True, 0.7, "", "all")),
        ("x z", 0.75, Grade("assert-set", False, 0.7, f"score 0.70 of 0.75; contains: {NO_Y}", "all")),
    ],
)
def test_a_set_holds_with_all_or_with_its_own_threshold(text: str, threshold: float | None, expected: Grade) -> None:
    made = Assertion("assert-set", threshold=threshold, metric="all", children=(X, Y, Z))
    assert Grader().assertion(made, Case("c", {}, (made,)), Answer(text)) == expected


def test_a_set_that_holds_fails_its_negation_and_counts_with_its_weight() -> None:
    made = Assertion("assert-set", True, weight=3, children=(X,))
    assert Grader().case(Case("c", {}, (made, Y), threshold=0.5), Answer("x y")) == CaseGrade(
        False,
        near(1 / 3),
        (Grade("not-assert-set", False, 0, "assert-set holds"), Grade("contains", True, 1, "")),
    )


def test_variables_are_filled_in_everywhere_and_unknown_ones_stay() -> None:
    made = Assertion("equals", True, {"a": ["{{name}} {{ q }}", {"b": "{{other}}"}], "n": 7}, 0.5, 2.0, "tone", (X,))
    value = {"a": ["Ana Where is it?", {"b": "{{other}}"}], "n": 7}
    assert filled(made, Case("c", VARS, ())) == Assertion("equals", True, value, 0.5, 2.0, "tone", (X,))


def test_a_grade_is_written_without_what_is_empty() -> None:
    assert Grade("contains", True, 1.0, "").to_dict() == {"type": "contains", "passed": True, "score": 1.0}
    assert Grade("bleu", False, 0.123456, "so far", "tone").to_dict() == {
        "type": "bleu",
        "passed": False,
        "score": 0.1235,
        "reason": "so far",
        "metric": "tone",
    }


def test_a_grader_has_nothing_but_what_it_is_given_and_grades_the_candidate() -> None:
    best = Assertion("select-best", value="kind")
    kinder = ScriptedJudge(lambda u: {"reason": "", "better": "A" if u.index("NEW") < u.index("OLD") else "B"})
    assert Grader(judge=kinder, other=Answer("OLD")).assertion(best, Case("c", {}, ()), Answer("NEW")).score == 1
    assert Grader() == Grader({}, None, None, {}, None, True, {})
