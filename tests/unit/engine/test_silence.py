"""No assertion passes because it says nothing: what it means is done, or it is refused, or its run is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import SuiteInvalid
from promptlane.domain.suite.answers import Answer
from promptlane.engine import scores, templates
from promptlane.engine.assertions import Grader
from promptlane.engine.kinds import Ungradable
from promptlane.engine.listed import listed
from promptlane.engine.parse import parse

Json = Any


def outcome(suite: dict[str, Json], output: str, **files: str) -> str:
    """What becomes of the first case: `pass`, `fail`, `missing: why` or `refused: why`."""

    def read(name: str) -> bytes:
        return files[name.replace(".", "_")].encode()

    try:
        case = parse(suite, read=read).cases[0]
    except SuiteInvalid as error:
        return f"refused: {error}"
    try:
        return "pass" if Grader().case(case, Answer(output)).passed else "fail"
    except Ungradable as error:
        return f"missing: {error}"


def one(kind: str, value: Json = None, output: str = "", files: dict[str, str] | None = None, **variables: Json) -> str:
    made = {"type": kind} | ({} if value is None else {"value": value})
    return outcome({"tests": [{"vars": {"q": "x", **variables}, "assert": [made]}]}, output, **(files or {}))


@pytest.mark.parametrize("kind", ["icontains", "starts-with", "regex", "not-contains", "bleu", "rouge-n", "similar"])
def test_what_fills_in_to_nothing_is_missing(kind: str) -> None:
    for nothing in ("", "  ", "\n"):
        assert one(kind, "{{want}}", "hello", want=nothing).startswith("missing: "), nothing
    assert one(kind, " ", "hello").startswith("refused: ")


TAKEN_LITERALLY = {
    "{{ city | lower }}": "a filter",
    "{{city|upper}}": "a filter",
    "{{ env.HOME }}": "taken from the environment",
    "{{ env['HOME'] }}": "taken from the environment",
    "{{ order.id }}": "a field",
    "{{ cities[0] }}": "a field",
    "{{ 1 + 1 }}": "an expression",
    "{{ 'x' if city else 'y' }}": "an expression",
    "{{ now() }}": "an expression",
    "{% if city %}x{% endif %}": "a statement",
    "{% raw %}{{city}}{% endraw %}": "a statement",
    "{# todo #}": "a comment",
    "{{ city": "opens what nothing closes",
    "{% if": "opens what nothing closes",
}


@pytest.mark.parametrize("text", TAKEN_LITERALLY)
@pytest.mark.parametrize("kind", ["contains", "not-contains", "regex", "contains-any", "llm-rubric"])
def test_what_a_template_engine_would_make_something_of_is_refused_by_name(kind: str, text: str) -> None:
    assert TAKEN_LITERALLY[text] in one(kind, [text] if kind == "contains-any" else text, city="PARIS")
    assert TAKEN_LITERALLY[text] in one("is-json", {"properties": {"a": {"const": text}}}, city="PARIS")


def test_variables_are_filled_in_whatever_their_names_and_whatever_they_hold() -> None:
    assert one("not-contains", "{{ größe }}", "Größe 42", größe="42") == "fail"
    assert one("not-contains", "{{want}}", "it is 42 kg", unit="kg", want="42 {{unit}}") == "fail"
    assert one("contains", "{{want}}", "a {{ brace", want="{{ brace") == "pass"
    assert one("contains", "{{n}}", "costs 5", n=5.0) == one("contains", 5.0, "costs 5") == "pass"
    assert one("not-contains", "{{want}}", "the word foo is", want="foo\n") == "fail"
    assert one("contains", "x", a="{{b}}", b="{{a}}").startswith("refused: tests[0].vars: {{a}} holds variables")
    deep: dict[str, Any] = {f"v{i}": f"{{{{v{i + 1}}}}}" * 9 for i in range(9)} | {"v9": "x" * 900}
    assert one("contains", "x", **deep).startswith("refused: tests[0].vars: ")


@given(st.dictionaries(st.sampled_from("abc"), st.text(st.sampled_from("{} abc-"), max_size=12), max_size=3))
def test_resolved_variables_stay_as_they_are(variables: dict[str, str]) -> None:
    try:
        found = templates.resolved(variables)
    except ValueError:
        return
    assert templates.resolved(found) == found


def test_commas_part_a_list_once_its_variables_are_filled_in() -> None:
    assert one("not-contains-any", "{{colours}}", "I like green", colours="red, green") == "fail"
    assert one("contains-all", "{{colours}}", "green and red", colours="red, green") == "pass"
    assert listed('"hello, world",bye , "a ""b"" \\"c\\""') == ["hello, world", "bye", 'a "b" "c"']
    for unfit in ('"open, b', 'a, "open, b', 'a,  "b" c'):
        assert "do not fit" in one("contains-any", unfit)
    assert one("contains-any", "{{broken}}", broken='"open, b').startswith("missing: ")


@given(
    st.lists(st.text(st.sampled_from('ab ,"\\'), min_size=1, max_size=6).filter(lambda t: t == t.strip()), max_size=4)
)
def test_a_list_is_read_as_it_was_written(texts: list[str]) -> None:
    written = ",".join('"' + text.replace("\\", "\\\\").replace('"', '""') + '"' for text in texts)
    assert listed(written) == texts


def test_files_are_read_wherever_a_value_may_name_one() -> None:
    fruit = {"a_txt": "fruit apple\n"}
    assert one("contains-any", ["file://a.txt", "zzz"], "a fruit apple", fruit) == "pass"
    assert one("not-contains", "file://a.txt", "a fruit apple", fruit) == "fail"
    schema = {"s_yaml": "type: object\nrequired: [a]\n"}
    assert one("is-json", "file://s.yaml", '{"b": 1}', schema) == "fail"
    assert one("is-json", "type: object\nrequired: [a]", '{"b": 1}') == "fail"
    for name, why in (
        ("check.py:f", "is code"),
        ("https://example.com/a.txt", "nothing is fetched"),
        ("a.jpg", "which no test sends"),
        ("t/*.txt", "a glob"),
    ):
        said = one("contains", f"file://{name}")
        assert why in said
        assert said.count("\n") == 0
        assert why in outcome({"tests": name}, "")


PATTERNS = [
    (r"^yes$", "yes\n", "fail"),
    (r"^\w+$", "Straße", "fail"),
    (r"\bcaf\b", "café", "pass"),
    (r"^\d+$", "٣", "fail"),
    (r"a.b", "a\nb", "fail"),
    (r"a[^]b", "a\nb", "pass"),
    (r"(?<x>a)\k<x>", "aa", "pass"),
    (r"\cJ", "\n", "pass"),
    (r'{"a": 1}', '{"a": 1}', "pass"),
    (r"\-\"\/", '-"/', "pass"),
    (r"(?:foo){e<=1}", "fxo", "refused"),
    (r"(?:Paris){e}", "zzz", "refused"),
    (r"[[:alpha:]]", "x", "refused"),
    (r"\w\z", "x", "refused"),
    (r"\Ax", "x", "refused"),
    (r"\p{L}", "x", "refused"),
    (r"\u{61}", "a", "refused"),
    (r"\k<x>", "x", "refused"),
    (r"(?P<x>a)", "a", "refused"),
    (r"(?i)A", "a", "refused"),
    (r"a++", "a", "refused"),
    (r"(?>a)", "a", "refused"),
    (r"\h", " ", "refused"),
]


@pytest.mark.parametrize(("pattern", "output", "right"), PATTERNS)
def test_a_pattern_means_what_it_means_in_javascript(pattern: str, output: str, right: str) -> None:
    assert one("regex", pattern, output).partition(":")[0] == right
    opposite = {"pass": "fail", "fail": "pass"}.get(right, right)
    assert one("not-regex", pattern, output).partition(":")[0] == opposite


SCHEMAS: list[tuple[Json, Json, str]] = [
    ({"format": "email"}, "no", "fail"),
    ({"format": "email"}, "a@b", "fail"),
    ({"format": "email"}, "ana@example.com", "pass"),
    ({"format": "date"}, "2024-13-45", "fail"),
    ({"format": "date-time"}, "2024-12-01T10:00:00Z", "pass"),
    ({"format": "date-time"}, "2024-12-01", "fail"),
    ({"format": "uri"}, "not a uri", "fail"),
    ({"format": "ipv4"}, "300.1.1.1", "fail"),
    ({"format": "emial"}, "x", "refused"),
    ({"minLenght": 3}, "x", "refused"),
    ({"properties": {"a": {"typ": "string"}}}, {}, "refused"),
    ({"items": {"anyOf": [{"maxmum": 1}]}}, [], "refused"),
    ({"properties": {"typ": {"type": "string"}}, "enum": [{"typ": "x"}]}, {"typ": "x"}, "pass"),
    ({"pattern": "^[A-Z]{2}$"}, "AB\n", "fail"),
    ({"pattern": "^\\d$"}, "٣", "fail"),
    ({"pattern": "^\\p{Lu}$"}, "Ä", "pass"),
    ({"pattern": "(?P<x>a)"}, "a", "refused"),
    ({"patternProperties": {"^a$": {"type": "string"}}, "additionalProperties": False}, {"a\n": 1}, "fail"),
    ({"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False}, {"ab": "x"}, "pass"),
    ({"patternProperties": {"^a": {"type": "string"}}}, {"ab": 1}, "fail"),
    ({"additionalProperties": {"type": "string"}}, {"a": 1}, "fail"),
    ({"type": "integer"}, True, "fail"),
    ({"const": 1}, True, "fail"),
    ({"dependencies": {"a": ["b"]}}, {"a": 1}, "refused"),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "dependencies": {"a": ["b"]}}, {"a": 1}, "fail"),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "dependentRequired": {"a": ["b"]}}, {"a": 1}, "refused"),
    ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "fail"),
    ({"$schema": "http://json-schema.org/draft-04/schema#", "const": 1}, 2, "refused"),
    ({"items": {"additionalItems": False}}, [], "refused"),
    (True, 4, "refused"),
    ("true", 4, "refused"),
]


@pytest.mark.parametrize(("schema", "value", "right"), SCHEMAS)
def test_every_word_of_a_schema_is_checked_or_refused(schema: Json, value: Json, right: str) -> None:
    assert one("is-json", schema, json.dumps(value)).partition(":")[0] == right


def test_an_object_in_a_list_is_json_in_the_answer() -> None:
    person = {"type": "object", "required": ["name"]}
    assert one("contains-json", person, 'Found: [1, [{"name": "Ana"}]]') == "pass"
    assert one("not-contains-json", person, 'Found: [{"name": "Ana"}]') == "fail"
    assert one("contains-json", {"type": "array"}, 'Found: [{"name": "Ana"}]') == "pass"
    assert one("contains-json", person, 'Found: [{"age": 3}]') == "fail"


def test_a_number_is_the_text_that_javascript_makes_of_it() -> None:
    for number, text in ((1e-5, "0.00001"), (1.5e-6, "0.0000015"), (1.25e-7, "1.25e-7"), (-0.0, "0"), (1e21, "1e+21")):
        assert one("contains", number, f"is {text}.") == "pass"
    assert one("contains", 123456789012345680000.0, "is 123456789012345680000") == "pass"


def test_nothing_is_no_text_to_equal() -> None:
    assert one("not-equals", "{{want}}", "hello", want="").startswith("missing: ")
    assert one("equals", " ", "").startswith("refused: ")


def test_numbers_are_no_booleans_and_whole_numbers_one_number() -> None:
    assert one("equals", {"ok": True}, '{"ok": 1}') == one("equals", [1], "[true]") == "fail"
    assert one("equals", {"n": [1, {"m": 2.0}]}, '{"n": [1.0, {"m": 2}]}') == "pass"
    assert one("equals", {"n": 1}, '{"n": 1, "m": 2}') == one("equals", [1], "[1, 1]") == "fail"


def test_scores_are_those_of_the_papers() -> None:
    assert scores.rouge_1("thank you " * 40, "thank you") == pytest.approx(2 * 2 / (80 + 2))
    assert scores.rouge_1("The cat sat on the mat", "the cat sat on the mat") == 1
    # Lin 2004, 2.1, of sentences that are Papineni's: 'police killed the gunman' against 'police kill the gunman'.
    assert scores.rouge_1("police kill the gunman", "police killed the gunman") == pytest.approx(3 / 4)
    assert scores.bleu("Paris", ["paris"]) == scores.bleu("New York", ["new york"]) == 1
    # Papineni et al. 2002, 2.1: 'the' counts as often as a reference has it.
    assert scores.bleu("the the the the the the the", ["the cat is on the mat", "there is a cat on the mat"]) < 1e-9
    assert scores.bleu("\ufeffyes", ["yes"]) == scores.rouge_1("\ufeffyes", "yes") == 1
    assert scores.bleu("on the mat the cat sat", ["the cat sat on the mat"]) < 0.3


def test_what_only_variables_make_is_looked_at_when_they_are_filled_in() -> None:
    assert one("not-regex", r"\A{{a}}", "x", a="x").startswith("refused: ")
    assert "means something else" in one("not-regex", "{{a}}", "x", a=r"\Ax")
    assert one("not-regex", "({{a}}", "x", a="x").startswith("missing: ")
    assert one("regex", "{{a}}|refund", "x", a="").startswith("missing: ")
    assert one("regex", "{{a}}refund", "a refund", a="") == "pass"
    assert one("not-is-valid-tool-call", ["{{a}}"], "x", a="").startswith("missing: ")
    assert one("is-json", '{"type": 1' + "0" * 50 + "}", "1").startswith("refused: ")


def test_half_a_list_is_no_half_success_and_an_empty_answer_no_help() -> None:
    suite = {"tests": [{"vars": {}, "threshold": 0.5, "assert": [{"type": "contains-all", "value": ["red", "green"]}]}]}
    assert outcome(suite, "red") == "fail"
    assert one("not-is-refusal", output=" \n") == "fail"
    assert one("levenshtein", "yes", "no").startswith("refused: tests[0].assert[0].threshold: 5 edits")
    assert one("levenshtein", "{{a}}", "no", a="yes").startswith("missing: ")


def test_a_csv_is_read_as_spreadsheets_write_it() -> None:
    rows = {
        "sep=;\r\nq;__expected\r\nhi;contains:hi\r\n": "pass",
        "q;__expected\r\nhi;contains:hi\r\n": "pass",
        "q\t__expected\nhi\tcontains:hi\n": "pass",
        "q,__expected,,\nx,contains:hi,,\n": "pass",
        'q,__expected\nhi,"not-contains-any:""hi, you"",bye"\n': "fail",
        "q,__expected\nhi,eval:output.length > 1\n": "refused",
        "q,__expected\nhi,fn:output\n": "refused",
        "q,__expected\nhi,levenshtein:sitten\n": "refused",
        "q,__expected\nhi,levenshtein(2):hi you\n": "pass",
    }
    for content, right in rows.items():
        assert outcome({"tests": "c.csv"}, "hi, you", c_csv=content).partition(":")[0] == right, content


def test_what_changes_the_meaning_of_a_case_is_named() -> None:
    case = {"vars": {"q": "a"}, "assert": [{"type": "contains", "value": "x"}]}
    rewritten = {"providers": [{"id": "x", "config": {"transformResponse": "json.text"}}], "tests": [case]}
    assert "providers[0].config.transformResponse: changes the answer" in outcome(rewritten, "x")
    assert "from no file" in outcome({"defaultTest": "file://d.yaml", "tests": [case]}, "x")
    named = case | {"metadata": {"id": "s"}}
    assert "tests[1].metadata.id: case id 's' is used twice" in outcome({"tests": [named, named]}, "x")
    messages = case | {"vars": {"m": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}}
    assert len(parse({"tests": [messages]}).cases) == 1
