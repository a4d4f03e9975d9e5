"""Reading records of the model invocation log, whatever they lack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.gaps import insights_language
from promptlane.domain.errors import InvalidInput
from promptlane.domain.invocation import read_record, variables_in
from promptlane.domain.queries import SAVED, calls_of, quoted, records_of
from promptlane.domain.refusal import is_refusal
from tests.unit.investigation_case import SORRY, T0, TEMPLATE, record

REFUSALS = Path(__file__).resolve().parents[1] / "data" / "refusals.tsv"
PLAIN = st.text(st.characters(exclude_characters="{}\n:Q", exclude_categories=("Cs",)), max_size=30)


def test_a_refusal_is_seen_in_the_answer() -> None:
    found = read_record(record(3, T0, "Where is it?", SORRY))

    assert (found.version, found.bad, found.has_text) == ("3", {"Refusal"}, True)
    assert found.at == int(T0)


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({"errorCode": "ThrottlingException", "output": None}, {"Error"}),
        ({"output": {"outputBodyJson": {"stopReason": "max_tokens"}}}, {"Truncation"}),
        ({"output": {"outputBodyJson": {"stopReason": "guardrail_intervened"}}}, {"Guardrail"}),
        ({"requestMetadata": None, "output": {}}, set()),
    ],
)
def test_other_bad_events_and_lacking_parts(changes: dict[str, Any], bad: set[str]) -> None:
    assert read_record(record(3, T0, "x", "Sure.", **changes)).bad == bad


def test_a_closer_look_misses_no_refusal_that_the_detector_knows() -> None:
    """In any of its languages; of answers that decline nothing, it leaves out half or more even of the near ones."""
    rows = [line.split("\t") for line in REFUSALS.read_text("utf-8").splitlines()[1:]]
    texts = [text for _, _, _, text in rows]
    query = records_of("support-assistant", 3, 10_000, suspicious=True)
    records = [
        {
            "@timestamp": k,
            "@ptr": str(k),
            "@message": json.dumps(record(3, T0, "Is that so?", text), ensure_ascii=False),
        }
        for k, text in enumerate(texts)
    ]

    found, _ = insights_language.run(query, records)

    seen = {texts[int(cell["value"])] for row in found for cell in row if cell["field"] == "@ptr"}
    detected = {text for text in texts if is_refusal(text)}
    assert len(detected) > 150
    assert detected <= seen
    assert len(seen - detected) <= len(set(texts) - detected) / 2


def test_a_stream_of_events_reads_like_an_answer() -> None:
    pieces = [{"messageStart": {"role": "assistant"}}, {"contentBlockDelta": {"delta": {"text": "I'm sorry, but I "}}},
              {"contentBlockDelta": {"delta": {"text": "can't help with that."}}},
              {"messageStop": {"stopReason": "end_turn"}}]  # fmt: skip
    found = read_record(record(3, T0, "x", "", output={"outputBodyJson": pieces}))

    assert (found.answer, found.stop_reason, found.bad) == (SORRY, "end_turn", {"Refusal"})


@given(st.dictionaries(st.text(max_size=12), st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_nothing_but_a_record_is_taken_for_one(junk: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a model invocation record"):
        read_record(junk)


@given(
    st.sampled_from(["input", "output", "requestMetadata", "identity"]),
    st.none() | st.integers() | st.text() | st.lists(st.text()),
)
def test_a_record_with_a_part_of_another_shape_is_still_read(part: str, junk: Any) -> None:
    assert read_record(record(2, T0, "x", "y", **{part: junk})).operation == "Converse"


@given(PLAIN, PLAIN)
def test_variables_come_back_out_of_a_rendered_template(name: str, question: str) -> None:
    template = "Customer: {{name}}\nQuestion: {{ question }}\n"
    rendered = template.replace("{{name}}", name).replace("{{ question }}", question)

    assert variables_in(template, rendered) == {"name": name, "question": question}


def test_a_text_of_another_template_gives_no_variables() -> None:
    assert variables_in(TEMPLATE, "Something else entirely") == {}
    assert variables_in("", "Something") == {}


def test_a_request_that_is_not_rendered_shows_its_variables() -> None:
    variables = {"name": {"text": "Ada"}, "question": {"text": "Where is it?"}, "odd": "x"}

    assert read_record(record(3, T0, "x", "y", input={"inputBodyJson": {"promptVariables": variables}})).sent == (
        "Ada\nWhere is it?"
    )
    both = {"promptVariables": variables, "messages": [{"role": "user", "content": [{"text": "And now?"}]}]}
    assert read_record(record(3, T0, "x", "y", input={"inputBodyJson": both})).sent == "And now?"


@pytest.mark.parametrize(
    ("stop", "bad"), [("refusal", {"Refusal"}), ("malformed_tool_use", {"Error"}), ("content_filtered", {"Refusal"})]
)
def test_a_stop_reason_counts_as_it_does_for_the_canary(stop: str, bad: set[str]) -> None:
    assert read_record(record(3, T0, "x", "", output={"outputBodyJson": {"stopReason": stop}})).bad == bad


def test_hostile_names_cannot_leave_their_literal() -> None:
    assert quoted("support-assistant") == '"support-assistant"'
    with pytest.raises(InvalidInput, match="Logs Insights"):
        calls_of('x" or 1 = 1 | limit 1 #')


@pytest.mark.parametrize("value", ['a/ | limit 1 #"', "a.*", "(a)", "a\\", "a{2}", "a|b"])
def test_hostile_names_cannot_leave_their_expression(value: str) -> None:
    with pytest.raises(InvalidInput, match="Logs Insights"):
        records_of(value, 1, 10)


def test_saved_queries_have_names_of_their_own() -> None:
    assert len({q.name for q in SAVED}) == len(SAVED)
    assert all("ModelInvocationLog" in q.text and q.about for q in SAVED)
