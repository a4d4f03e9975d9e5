"""What the queries find in records as Bedrock writes them, by the query language itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.gaps import insights_language
from promptlane.client.decision import Decision
from promptlane.domain.errors import InvalidInput
from promptlane.domain.investigation.queries import MOST_ROWS, SAVED, calls_of, calls_outside, quoted, records_of
from tests.support.investigation_case import NAME, SORRY, T0, record
from tests.support.prompt import ARN, ID

NOVA, PRO = "amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0"
APP, WEB = "arn:aws:sts::111122223333:assumed-role/App/i-1", "arn:aws:iam::111122223333:user/web"


def metadata(version: str = "3", track: str = "stable", prompt: str = NAME, **more: str) -> dict[str, str]:
    return {"prompt": prompt, "version": version, "track": track, **more}


def logged(number: int, told: Any) -> dict[str, Any]:
    """A log event, `number` seconds after T0 and with this number to point to it."""
    at = (T0 + number) * 1000
    return {
        "@timestamp": at,
        "@ptr": str(number),
        "@message": told if isinstance(told, str) else json.dumps(told, ensure_ascii=False),
    }


def call(number: int, answer: str = "Here.", **changes: Any) -> dict[str, Any]:
    told = record(3, T0 + number, f"Question {number}", answer, **{"requestMetadata": metadata(), **changes})
    return logged(number, {name: value for name, value in told.items() if value is not None})


def failed(number: int, **changes: Any) -> dict[str, Any]:
    return call(number, errorCode="ThrottlingException", output=None, **changes)


def found(query: str, *events: dict[str, Any]) -> list[dict[str, str]]:
    rows, _ = insights_language.run(query, list(events))
    return [{cell["field"]: cell["value"] for cell in row} for row in rows]


def pointers(query: str, *events: dict[str, Any]) -> list[str]:
    return [row["@ptr"] for row in found(query, *events)]


def saved(name: str) -> str:
    return next(q.text for q in SAVED if q.name == name)


NOISE = (
    logged(900, "not JSON at all"),
    logged(901, {"schemaType": "Other", "requestMetadata": metadata(release="x"), "errorCode": "x"}),
)


# Those of an investigation


def test_calls_are_counted_by_what_their_records_say() -> None:
    tokens: dict[str, Any] = {"input": {"inputTokenCount": 5, "inputBodyJson": {}}}
    backwards = dict(reversed(metadata().items()))
    events = (
        call(1),
        call(5, requestMetadata=backwards, **tokens),
        failed(3),
        call(4, requestMetadata=metadata("2", "holdback"), identity={"arn": WEB}, modelId=PRO, operation="InvokeModel"),
        call(6, requestMetadata={"prompt": NAME}, identity={}, modelId=None, operation=None),
        call(7, requestMetadata=metadata(prompt=f"{NAME}-2")),
        call(8, requestMetadata={"name": NAME}),
        call(9, requestMetadata=None),
        *NOISE,
    )

    rows = found(calls_of(NAME), *events)

    assert rows[0] == {
        "version": "3",
        "track": "stable",
        "caller": APP,
        "model": NOVA,
        "called": "Converse",
        "calls": "3",
        "errors": "1",
        "input_tokens": "45",
        "output_tokens": "18",
        "first": "2025-10-09 07:00:01.000",
        "last": "2025-10-09 07:00:05.000",
    }
    assert sorted(rows[1:], key=lambda row: row["version"]) == [
        {
            "version": "-",
            "track": "-",
            "caller": "-",
            "model": "-",
            "called": "-",
            "calls": "1",
            "errors": "0",
            "input_tokens": "20",
            "output_tokens": "9",
            "first": "2025-10-09 07:00:06.000",
            "last": "2025-10-09 07:00:06.000",
        },
        {
            "version": "2",
            "track": "holdback",
            "caller": WEB,
            "model": PRO,
            "called": "InvokeModel",
            "calls": "1",
            "errors": "0",
            "input_tokens": "20",
            "output_tokens": "9",
            "first": "2025-10-09 07:00:04.000",
            "last": "2025-10-09 07:00:04.000",
        },
    ]
    assert calls_of(NAME).endswith("| limit 10000")


def test_queries_look_for_what_the_client_library_writes() -> None:
    decision = Decision(
        prompt=NAME,
        version=7,
        version_arn="arn",
        track="canary",
        release_id="PROMPT0001-7-1",
        fingerprint="f",
        revision=1,
        phase="canary",
        salt="s",
    )
    event = call(1, requestMetadata=decision.request()["requestMetadata"])

    [row] = found(calls_of(NAME), event)
    assert (row["version"], row["track"]) == ("7", "canary")
    assert pointers(records_of(NAME, 7, 9), event) == ["1"]
    assert found(calls_outside([NOVA], ""), event) == found(saved("Requests outside the split"), event) == []


@pytest.mark.parametrize("name", ["a.b", "a+b", "a/b", "a:b@c"])
def test_a_name_stands_for_itself_alone(name: str) -> None:
    """Marks of a regular expression in a name are no marks."""
    other = name.translate(str.maketrans("./", "xx")).replace("a+", "aa")

    rows = found(calls_of(name), call(1, requestMetadata={"prompt": name}), call(2, requestMetadata={"prompt": other}))

    assert [row["calls"] for row in rows] == ["2" if other == name else "1"]


def test_calls_outside_are_of_the_prompts_models_or_of_itself_and_name_neither_prompt_nor_purpose() -> None:
    profile = f"arn:aws:bedrock:us-east-1:111122223333:inference-profile/{PRO}"
    prompt = f"{ARN}:3"
    odd: dict[str, Any] = {"requestMetadata": {"team": "x"}}
    events = (
        call(1, requestMetadata=None),
        call(2, **odd),
        failed(3, requestMetadata=None, modelId=profile, identity={"arn": WEB}),
        call(4, requestMetadata=None, modelId=prompt, operation="ConverseStream"),
        call(5, requestMetadata={"purpose": "test"}),
        call(6, requestMetadata=metadata()),
        call(7, requestMetadata=None, modelId="mistral"),
        call(8, requestMetadata=None, modelId=f"eu.{NOVA}"),
        *NOISE,
    )

    rows = found(calls_outside([NOVA, f"arn:aws:bedrock:x:y/z/{PRO}"], ID), *events)

    assert [(r["caller"], r["model"], r["called"], r["calls"], r["errors"]) for r in rows[:1]] == [
        (APP, NOVA, "Converse", "2", "0")
    ]
    assert {(r["caller"], r["model"], r["called"], r["calls"], r["errors"]) for r in rows[1:]} == {
        (WEB, profile, "Converse", "1", "1"),
        (APP, prompt, "ConverseStream", "1", "0"),
    }
    assert [r["model"] for r in found(calls_outside([], ID), *events)] == [prompt]
    assert [r["model"] for r in found(calls_outside([NOVA], ""), *events)] == [NOVA]
    assert found(calls_outside([], ""), *events) == []
    assert calls_outside([], "").endswith("| limit 10000")


def test_records_are_the_newest_of_one_version_and_whole() -> None:
    events = (
        call(1),
        call(2, requestMetadata=metadata("33")),
        call(3, requestMetadata=metadata(prompt="other")),
        failed(4),
        call(5),
        *NOISE,
    )

    assert pointers(records_of(NAME, 3, 2), *events) == ["5", "4"]
    assert pointers(records_of(NAME, 3, 9), *events) == ["5", "4", "1"]
    [row] = found(records_of(NAME, 33, 9), *events)
    assert row == {"@timestamp": "2025-10-09 07:00:02.000", "@message": events[1]["@message"], "@ptr": "2"}


def test_suspicious_records_are_those_that_failed_ended_early_or_read_like_a_refusal() -> None:
    def ended(number: int, reason: str) -> dict[str, Any]:
        return call(number, output={"outputBodyJson": {"stopReason": reason}})

    stops = (
        "max_tokens",
        "model_context_window_exceeded",
        "content_filtered",
        "guardrail_intervened",
        "malformed_model_output",
        "malformed_tool_use",
        "refusal",
    )
    events = (
        call(1),
        call(2, SORRY),
        call(3, "Üzgünüm"),
        failed(4),
        *(ended(10 + k, reason) for k, reason in enumerate(stops)),
        ended(20, "end_turn"),
        call(21, SORRY, requestMetadata=metadata("2")),
    )

    suspicious = pointers(records_of(NAME, 3, 99, suspicious=True), *events)

    assert suspicious == ["16", "15", "14", "13", "12", "11", "10", "4", "3", "2"]
    assert pointers(records_of(NAME, 3, 99), *events) == ["20", *suspicious, "1"]


def test_no_more_rows_are_asked_for_than_a_query_can_return() -> None:
    assert MOST_ROWS == 10_000
    assert records_of(NAME, 3, 10_001).endswith("| limit 10000")
    assert records_of(NAME, 3, 9_999).endswith("| limit 9999")


def test_what_could_end_a_literal_or_an_expression_is_refused() -> None:
    assert quoted("a@b:c/d.e,f+g =-_9") == '"a@b:c/d.e,f+g =-_9"'
    with pytest.raises(InvalidInput, match=r"^'a\"b' cannot be used in a Logs Insights query"):
        quoted('a"b')
    with pytest.raises(InvalidInput):
        quoted("a\n")
    for models, prompt_id in ((['a"b'], ""), ([], 'a"b')):
        with pytest.raises(InvalidInput):
            calls_outside(models, prompt_id)


# Those that people find in the console


def test_people_find_the_queries_by_these_names() -> None:
    assert [q.name for q in SAVED] == [
        "What was sent and answered, by version",
        "Likely refusals by version",
        "Who invoked what",
        "Requests outside the split",
        "Cost by version",
    ]
    assert all(q.about for q in SAVED)


def test_saved_what_was_sent_and_answered() -> None:
    """Of the prompt and version that the query names, the newest first."""
    one, two = metadata("1"), metadata("1", "canary")
    events = (
        call(1, requestMetadata=one),
        call(2, "Sure.", requestMetadata=two),
        failed(3, requestMetadata=one),
        call(4, requestMetadata=metadata("2")),
        call(5, requestMetadata=metadata("1", prompt="other")),
        *NOISE,
    )
    asked = "You help customers. Decline what is not about orders.\nQuestion: Question {}\nAnswer:"

    assert found(saved("What was sent and answered, by version"), *events) == [
        {
            "@timestamp": "2025-10-09 07:00:03.000",
            "requestMetadata.track": "stable",
            "sent": asked.format(3),
            "errorCode": "ThrottlingException",
            "@ptr": "3",
        },
        {
            "@timestamp": "2025-10-09 07:00:02.000",
            "requestMetadata.track": "canary",
            "sent": asked.format(2),
            "answered": "Sure.",
            "stopped": "end_turn",
            "@ptr": "2",
        },
        {
            "@timestamp": "2025-10-09 07:00:01.000",
            "requestMetadata.track": "stable",
            "sent": asked.format(1),
            "answered": "Here.",
            "stopped": "end_turn",
            "@ptr": "1",
        },
    ]


def test_saved_likely_refusals() -> None:
    events = (
        call(1),
        call(2, SORRY),
        call(3, "I am not able to do that."),
        call(4),
        call(400, SORRY),
        call(5, SORRY, requestMetadata={"prompt": NAME}),
        call(6, SORRY, requestMetadata=None),
        *NOISE,
    )

    rows = found(saved("Likely refusals by version"), *events)

    shared = {"requestMetadata.prompt": NAME, "bin(5m)": "2025-10-09 07:00:00.000"}
    assert sorted(rows, key=lambda row: (row["version"], row["bin(5m)"])) == [
        {**shared, "version": "-", "calls": "1", "refusals": "1", "percent": "100"},
        {**shared, "version": "3", "calls": "4", "refusals": "2", "percent": "50"},
        {
            **shared,
            "version": "3",
            "calls": "1",
            "refusals": "1",
            "percent": "100",
            "bin(5m)": "2025-10-09 07:05:00.000",
        },
    ]
    assert [row["percent"] for row in rows] == ["100", "100", "50"]


def test_saved_who_invoked_what() -> None:
    events = (
        call(1),
        call(8),
        call(3, identity={"arn": WEB}),
        call(4, requestMetadata=None, modelId=None, identity={}),
        *NOISE,
    )

    rows = found(saved("Who invoked what"), *events)

    assert rows[0] == {
        "caller": APP,
        "prompt": NAME,
        "version": "3",
        "model": NOVA,
        "calls": "2",
        "first": "2025-10-09 07:00:01.000",
        "last": "2025-10-09 07:00:08.000",
    }
    assert sorted((r["caller"], r["prompt"], r["version"], r["model"], r["calls"]) for r in rows[1:]) == [
        ("-", "-", "-", "-", "1"),
        (WEB, NAME, "3", NOVA, "1"),
    ]


def test_saved_requests_outside_the_split() -> None:
    events = (
        call(1, requestMetadata=metadata(release="r")),
        call(2),
        call(7, requestMetadata=None),
        call(3, requestMetadata={"purpose": "test"}),
        call(4, requestMetadata=None, identity={}, modelId=None, operation=None),
        *NOISE,
    )

    assert found(saved("Requests outside the split"), *events) == [
        {"caller": APP, "model": NOVA, "called": "Converse", "calls": "2", "last": "2025-10-09 07:00:07.000"},
        {"caller": "-", "model": "-", "called": "-", "calls": "1", "last": "2025-10-09 07:00:04.000"},
    ]


def test_saved_cost() -> None:
    """A million tokens in, as many written to the cache, four million read from it, and half a million out."""
    many: dict[str, Any] = {
        "input": {
            "inputTokenCount": 1_000_000,
            "cacheReadInputTokenCount": 4_000_000,
            "cacheWriteInputTokenCount": 1_000_000,
        },
        "output": {"outputTokenCount": 500_000},
    }
    events = (
        call(1, **many),
        failed(2, input={"inputTokenCount": 0}),
        call(3, requestMetadata={"prompt": NAME}, **many),
        call(4, requestMetadata=None, **many),
        call(5, requestMetadata=metadata("2"), input={}, output={"outputTokenCount": 1_000_000}, modelId=PRO),
        *NOISE,
    )

    rows = found(saved("Cost by version"), *events)

    counted = {
        "requestMetadata.prompt": NAME,
        "modelId": NOVA,
        "input_tokens": "1000000",
        "output_tokens": "500000",
        "cache_read_tokens": "4000000",
        "cache_write_tokens": "1000000",
        "usd": "0.3",
        "usd_uncached": "0.48",
    }
    assert sorted(rows[:2], key=lambda row: row["version"]) == [
        {**counted, "version": "-", "calls": "1"},
        {**counted, "version": "3", "calls": "2"},
    ]
    assert rows[2:] == [
        {
            "requestMetadata.prompt": NAME,
            "version": "2",
            "modelId": PRO,
            "calls": "1",
            "input_tokens": "0",
            "output_tokens": "1000000",
            "cache_read_tokens": "0",
            "cache_write_tokens": "0",
            "usd": "0.24",
            "usd_uncached": "0.24",
        }
    ]
