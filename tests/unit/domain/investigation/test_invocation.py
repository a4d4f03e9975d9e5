"""Reading records of the model invocation log, whatever they lack."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.refusals import rows
from local.gaps import insights_language
from promptlane.domain.canary.refusal import is_refusal
from promptlane.domain.errors import InvalidInput
from promptlane.domain.investigation.invocation import Invocation, answer_of, read_record, sent_of, variables_in
from promptlane.domain.investigation.queries import SAVED, calls_of, quoted, records_of
from promptlane.domain.metrics import GUARD_METRICS, logged
from tests.support.investigation_case import SORRY, T0, TEMPLATE, record

PLAIN = st.text(st.characters(exclude_characters="{}\n:Q", codec="utf-8"), max_size=30)


CALLS_A_TOOL = {"contentBlockStart": {"start": {"toolUse": {"name": "look"}}}}


def whole(content: Any) -> dict[str, Any]:
    return {"output": {"message": {"content": content}}, "stopReason": "end_turn"}


def test_a_refusal_is_seen_in_the_answer() -> None:
    found = read_record(record(3, T0, "Where is it?", SORRY))

    assert (found.version, found.bad, found.has_text) == ("3", frozenset({"Refusal"}), True)
    assert found.at == int(T0)


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({"errorCode": "ThrottlingException", "output": None}, {"Error"}),
        ({"output": {"outputBodyJson": {"stopReason": "max_tokens"}}}, {"Truncation"}),
        ({"output": {"outputBodyJson": {"stopReason": "guardrail_intervened"}}}, {"Guardrail"}),
        ({"requestMetadata": None, "output": {}}, set()),
        ({"output": {"outputBodyJson": whole([])}}, {"Empty"}),
        ({"output": {"outputBodyJson": whole([{"text": " \n"}, {"reasoningContent": {"text": "Hm."}}])}}, {"Empty"}),
        ({"output": {"outputBodyJson": whole([{"toolUse": {"name": "look"}}])}}, set()),
        ({"output": {"outputBodyJson": whole(None)}}, set()),
        ({"output": {"outputBodyJson": [{"messageStop": {"stopReason": "end_turn"}}]}}, {"Empty"}),
        ({"output": {"outputBodyJson": [CALLS_A_TOOL, {"messageStop": {"stopReason": "tool_use"}}]}}, set()),
        ({"output": {"outputBodyJson": [{"messageStart": {}}]}}, set()),
    ],
)
def test_other_bad_events_and_lacking_parts(changes: dict[str, Any], bad: set[str]) -> None:
    assert read_record(record(3, T0, "x", "Sure.", **changes)).bad == bad


@pytest.mark.parametrize("blanks", ["", " ", " \n\t\r"])
def test_a_closer_look_misses_no_empty_answer(blanks: str) -> None:
    """Without a block, of blanks, or of reasoning alone; records are written with spaces or without."""
    reasoned = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "x"}}}
    for content in ([], [{"text": blanks}], [reasoned], [{"text": blanks}, reasoned]):
        said = record(3, T0, "x", "Sure.", output={"outputBodyJson": whole(content)})
        assert read_record(said).bad == {"Empty"}
        for separators in ((",", ":"), (", ", ": ")):
            row = {"@timestamp": 1, "@ptr": "1", "@message": json.dumps(said, separators=separators)}
            query = records_of("support-assistant", 3, 10, suspicious=True)
            assert len(insights_language.run(query, [row])[0]) == 1
    plain = {"@timestamp": 1, "@ptr": "1", "@message": json.dumps(record(3, T0, "x", "Sure."))}
    assert insights_language.run(records_of("support-assistant", 3, 10, suspicious=True), [plain])[0] == []


def test_a_closer_look_misses_no_refusal_that_the_detector_knows() -> None:
    """In any of its languages; what neither regrets nor denies anything is left out."""
    texts = [row.text for row in rows()]
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
    assert len(detected) > 600
    assert detected <= seen
    assert not seen & {
        "Certainly! Here is a poem about the sea.",
        "Yes. The warranty covers water damage.",
        "Gern helfe ich Ihnen weiter. Ihre Rückerstattung ist unterwegs.",
        "¡Claro! Tu reembolso ya está en camino.",
        "Bien sûr ! Votre remboursement est en cours.",
        "もちろんです。返金の手続きをいたしました。",
    }


def test_a_stream_of_events_reads_like_an_answer() -> None:
    pieces = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "I'm sorry, but I "}}},
        {"contentBlockDelta": {"delta": {"text": "can't help with that."}}},
        {"messageStop": {"stopReason": "end_turn"}},
    ]
    found = read_record(record(3, T0, "x", "", output={"outputBodyJson": pieces}))

    assert (found.answer, found.stop_reason, found.bad) == (SORRY, "end_turn", frozenset({"Refusal"}))


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


# Each kind of record, with all that it holds


def stream(*texts: str, stop: str = "end_turn") -> list[dict[str, Any]]:
    deltas = [{"contentBlockDelta": {"delta": {"text": text}}} for text in texts]
    return [
        {"messageStart": {"role": "assistant"}},
        *deltas,
        {"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}}},
        {"contentBlockDelta": None},
        {"messageStop": {"stopReason": stop}},
        {"metadata": {"usage": {"outputTokens": 9}}},
    ]


WHOLE = Invocation(
    at=T0,
    request_id=f"r3-{T0:.0f}",
    operation="Converse",
    model="amazon.nova-lite-v1:0",
    caller="arn:aws:sts::111122223333:assumed-role/App/i-1",
    prompt="support-assistant",
    version="3",
    track="stable",
    release_id="PROMPT0001-3-1",
    sent="You help customers. Decline what is not about orders.\nQuestion: Where?\nAnswer:",
    answer="Here.",
    stop_reason="end_turn",
    has_text=True,
    input_tokens=20,
    output_tokens=9,
)
NAMELESS = replace(WHOLE, prompt="", version="", track="", release_id="")
KINDS: dict[str, tuple[dict[str, Any], Invocation]] = {
    "Converse": ({}, WHOLE),
    "ConverseStream": (
        {"operation": "ConverseStream", "output": {"outputTokenCount": 7, "outputBodyJson": stream("He", "re", ".")}},
        replace(WHOLE, operation="ConverseStream", output_tokens=7),
    ),
    "a stream without an end": (
        {"output": {"outputBodyJson": [*stream("Here.")[:3], "odd"]}},
        replace(WHOLE, stop_reason="", output_tokens=0),
    ),
    "InvokeModel": (
        {
            "operation": "InvokeModel",
            "requestMetadata": None,
            "identity": {},
            "requestId": None,
            "input": {"inputTokenCount": 4.0, "inputBodyJson": {"prompt": "Where?"}},
            "output": {"outputTokenCount": True, "outputBodyJson": {"completion": "Here."}},
        },
        replace(
            NAMELESS,
            operation="InvokeModel",
            caller="",
            request_id="",
            sent="",
            answer="",
            stop_reason="",
            input_tokens=4,
            output_tokens=0,
        ),
    ),
    "truncated": (
        {
            "output": {
                "outputTokenCount": 9,
                "outputBodyJson": {
                    "output": {"message": {"content": [{"text": "He"}, {"toolUse": {}}, "odd", {"text": "re."}]}},
                    "stopReason": "max_tokens",
                },
            }
        },
        replace(WHOLE, answer="He\nre.", stop_reason="max_tokens", bad=frozenset({"Truncation"})),
    ),
    "without metadata": ({"requestMetadata": None}, NAMELESS),
    "without texts": (
        {"input": {"inputTokenCount": 20}, "output": {"outputTokenCount": 9}},
        replace(WHOLE, sent="", answer="", stop_reason="", has_text=False),
    ),
    "a large request": (
        {"input": {"inputTokenCount": 20, "inputBodyS3Path": "s3://large/x"}},
        replace(WHOLE, sent="", has_text=False),
    ),
    "a large answer": (
        {"output": {"outputTokenCount": 9, "outputBodyS3Path": "s3://large/x"}},
        replace(WHOLE, answer="", stop_reason="", has_text=False),
    ),
    "an error": (
        {"errorCode": "ThrottlingException", "output": None},
        replace(
            WHOLE, answer="", stop_reason="", error="ThrottlingException", bad=frozenset({"Error"}), output_tokens=0
        ),
    ),
    "an error without a text": (
        {"errorCode": "ThrottlingException", "output": None, "input": {"inputTokenCount": 20}},
        replace(
            WHOLE,
            sent="",
            answer="",
            stop_reason="",
            error="ThrottlingException",
            bad=frozenset({"Error"}),
            has_text=False,
            output_tokens=0,
        ),
    ),
    "less than its version": (
        {
            "requestMetadata": {"prompt": "other"},
            "operation": None,
            "modelId": None,
            "timestamp": "2025-10-09T09:00:00+02:00",
        },
        replace(NAMELESS, prompt="other", operation="", model=""),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_record_is_read_for_what_it_holds(kind: str) -> None:
    changes, expected = KINDS[kind]

    assert read_record(record(3, T0, "Where?", "Here.", **changes)) == expected


@pytest.mark.parametrize("changes", [{"schemaType": "Other"}, {"timestamp": None}, {"timestamp": 1_760_000_000}])
def test_another_schema_or_no_time_makes_no_record(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^not a model invocation record$"):
        read_record(record(3, T0, "x", "y", **changes))


def test_what_a_record_does_not_say_is_empty() -> None:
    assert Invocation(T0, "r", "Converse", "m", "app") == Invocation(
        T0, "r", "Converse", "m", "app", "", "", "", "", "", "", "", "", frozenset(), True, 0, 0
    )


def test_which_guard_metrics_a_record_shows() -> None:
    assert list(filter(logged, GUARD_METRICS)) == ["Error", "Refusal", "Empty", "Guardrail", "Truncation"]


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (
            {
                "messages": [
                    user({"text": "First"}),
                    {"role": "assistant", "content": [{"text": "Hm"}]},
                    user({"text": "Then"}, {"image": {}}, {"text": "last"}),
                    {"role": "assistant", "content": []},
                ]
            },
            "Then\nlast",
        ),
        ({"messages": [user({"text": "First"}), user({"toolResult": {}})]}, ""),
        ({"messages": [user({"text": "First"}), "odd", {"content": [{"text": "nobody"}]}]}, "First"),
        ({"messages": [{"role": "user", "content": "a plain text"}]}, ""),
        (
            {"messages": [{"role": "assistant", "content": [{"text": "Hm"}]}], "promptVariables": {"a": {"text": "x"}}},
            "x",
        ),
        ({"messages": "odd", "promptVariables": {"a": {"text": 7}, "b": {}, "c": {"text": "y"}}}, "7\ny"),
        ({"promptVariables": "odd"}, ""),
        ("odd", ""),
        (None, ""),
    ],
)
def test_what_was_sent_is_the_last_message_of_the_user(body: Any, sent: str) -> None:
    assert sent_of(body) == sent


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (
            {"output": {"message": {"content": [{"text": "a"}, {"text": "b"}]}}, "stopReason": "end_turn"},
            ("a\nb", "end_turn"),
        ),
        ({"output": {"message": {"content": "odd"}}, "stopReason": None}, ("", "")),
        ({"output": "odd", "stopReason": "tool_use"}, ("", "tool_use")),
        (stream("a", "b", stop="max_tokens"), ("ab", "max_tokens")),
        (["odd", {"messageStop": "odd"}], ("", "")),
        ([], ("", "")),
        ("odd", ("", "")),
    ],
)
def test_what_was_answered_is_text_and_why_it_ended(body: Any, answer: tuple[str, str]) -> None:
    assert answer_of(body) == answer


@pytest.mark.parametrize(
    ("template", "rendered", "values"),
    [
        ("{{a}}, {{b}} and {{ c }}", "x, y and z and w", {"a": "x", "b": "y", "c": "z and w"}),
        ("{{a}}, {{b}}", "x, y, z", {"a": "x", "b": "y, z"}),
        ("{{a}}. Not: {{a}}!", "x. Not: y!", {"a": "x"}),
        ("{{a}}!", "!", {"a": ""}),
        ("{{a}}, {{b}}", ", ", {"a": "", "b": ""}),
        ("{{a}}{{b}}", "xy", {"a": "", "b": "xy"}),
        ("To {{a}}", "To ", {"a": ""}),
        ("To {{a}}", "Now to x", {}),
        ("To {{a}}", "Now. To x", {}),
        ("To {{a}}. Bye \n", "To x. Bye", {"a": "x"}),
        ("To {{a}}. Bye \n", "To x. Bye \n", {"a": "x"}),
        ("To {{a}} \n", "To x", {"a": "x"}),
        ("To {{a}} \n", "To x \n", {"a": "x"}),
        ("To {{a}}. Bye", "To x. Bye now", {}),
        ("To {{a}}. Bye", "To x", {}),
        ("ab{{a}}bc", "abc", {}),
        ("ab{{a}}bc", "abbc", {"a": ""}),
        ("ab{{a}}bc {{b}}", "abbd", {}),
        ("No variable", "No variable", {}),
    ],
)
def test_values_are_what_stands_between_the_literal_parts(template: str, rendered: str, values: dict[str, str]) -> None:
    assert variables_in(template, rendered) == values


def test_what_a_record_does_not_tell_is_empty() -> None:
    assert Invocation(1.0, "r", "Converse", "m", "c") == Invocation(
        at=1.0,
        request_id="r",
        operation="Converse",
        model="m",
        caller="c",
        prompt="",
        version="",
        track="",
        release_id="",
        sent="",
        answer="",
        stop_reason="",
        error="",
        bad=frozenset(),
        has_text=True,
        input_tokens=0,
        output_tokens=0,
    )
