"""Logs Insights in the embedded AWS: the language by example, and the API around it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.gaps import insights_language

Client = Callable[[str], Any]
MINUTE = 1_795_366_800_000


def invocation(number: int, version: str, text: str, tokens: int) -> dict[str, Any]:
    message = {
        "modelId": "amazon.nova-lite-v1:0",
        "requestMetadata": {"promptlane-version": version, "track": "canary" if version == "2" else "stable"},
        "output": {
            "outputBodyJson": {"output": {"message": {"content": [{"text": text}]}}},
            "outputTokenCount": tokens,
        },
        "dotted.key": "yes",
    }
    return {
        "@timestamp": MINUTE + number * 40_000,
        "@message": json.dumps(message),
        "@logStream": "s",
        "@log": "0:g",
        "@ptr": f"p{number}",
    }


RECORDS = [
    invocation(0, "1", "Your order is on its way", 10),
    invocation(1, "2", "I am sorry, I cannot help with that", 20),
    invocation(2, "2", "Your refund takes 5 days", 30),
    invocation(3, "1", "Sure", 40),
]
TEXT = "output.outputBodyJson.output.message.content.0.text"


def rows(query: str, records: Any = None) -> list[dict[str, str]]:
    found, _ = insights_language.run(query, RECORDS if records is None else records)
    return [{cell["field"]: cell["value"] for cell in row if cell["field"] != "@ptr"} for row in found]


def test_filter_on_json_fields_and_newest_first() -> None:
    query = f'fields {TEXT} as said | filter requestMetadata.track = "canary"'
    assert [row["said"] for row in rows(query)] == ["Your refund takes 5 days", "I am sorry, I cannot help with that"]


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("output.outputTokenCount >= 20 and output.outputTokenCount < 40", 2),
        (f"{TEXT} like /(?i)cannot|unable/", 1),
        (f"{TEXT} not like /cannot/", 3),
        (f'{TEXT} like "order"', 1),
        ('requestMetadata.track in ["canary", "holdback"]', 2),
        ("not ispresent(errorCode)", 4),
        ('errorCode != "x"', 0),
        ("`dotted.key` = 'yes'", 4),
        ("`requestMetadata.promptlane-version` = 2 or output.outputTokenCount = 10", 3),
        ("requestMetadata.promptlane-version = '1'", 2),
        ("output.outputTokenCount / 10 % 2 = 0", 2),
        ("strlen(modelId) > 5 and tolower(modelId) =~ /nova/", 4),
        (f"@timestamp >= {MINUTE + 40_000}", 3),
    ],
)
def test_conditions(condition: str, count: int) -> None:
    assert rows(f"filter {condition} | stats count(*) as n") == [{"n": str(count)}]


def test_stats_by_field_sorted() -> None:
    query = """
      # refusals by version
      fields requestMetadata.promptlane-version as version
      | parse @message /"text": "(?<said>[^"]+)"/
      | stats count(*) as n, sum(strcontains(said, "cannot")) as refused, 100 * refused / n as wrong by version
      | sort version desc
    """
    with pytest.raises(insights_language.Malformed, match="neither aggregated"):
        rows(query)
    fixed = query.replace("100 * refused / n as wrong", '100 * sum(strcontains(said, "cannot")) / count(*) as share')
    assert rows(fixed) == [
        {"version": "2", "n": "2", "refused": "1", "share": "50"},
        {"version": "1", "n": "2", "refused": "0", "share": "0"},
    ]


def test_stats_by_time() -> None:
    assert rows("stats avg(output.outputTokenCount) as mean, pct(output.outputTokenCount, 50) by bin(1m)") == [
        {"bin(1m)": "2026-11-22 17:02:00.000", "mean": "40", "pct(output.outputTokenCount, 50)": "40"},
        {"bin(1m)": "2026-11-22 17:01:00.000", "mean": "30", "pct(output.outputTokenCount, 50)": "30"},
        {"bin(1m)": "2026-11-22 17:00:00.000", "mean": "15", "pct(output.outputTokenCount, 50)": "15"},
    ]


def test_glob_parse_dedup_display_and_limit() -> None:
    lines = [
        {"@timestamp": MINUTE + n, "@message": f"user={u} took {n} ms", "@logStream": "s", "@log": "g"}
        for n, u in enumerate(["u1", "u2", "u1"])
    ]
    query = (
        'parse @message "user=* took * ms" as user, took | sort took desc | dedup user | display user, took | limit 5'
    )
    assert rows(query, lines) == [{"user": "u1", "took": "2"}, {"user": "u2", "took": "1"}]
    assert len(rows("fields @message | limit 2")) == 2


def test_rows_without_a_key_are_grouped_by_what_stands_for_it() -> None:
    query = 'fields coalesce(requestMetadata.none, requestMetadata.track, "-") as track | stats count(*) as n by track'
    without = {**RECORDS[0], "@message": "{}"}
    assert rows(query, [*RECORDS, without]) == [
        {"track": "-", "n": "1"},
        {"track": "stable", "n": "2"},
        {"track": "canary", "n": "2"},
    ]
    assert rows("stats count(*) as n by requestMetadata.track", [without]) == []


def test_the_latest_and_distinct_values() -> None:
    query = f"stats count_distinct(requestMetadata.track) as tracks, latest({TEXT}) as last, max(@timestamp) as at"
    assert rows(query) == [{"tracks": "2", "last": "Sure", "at": "2026-11-22 17:02:00.000"}]


@pytest.mark.parametrize(
    "query",
    [
        "filter",
        "filter a =",
        "unknown x",
        "stats count(*) by",
        "fields nosuch(a)",
        "limit many",
        "parse @message '*'",
        "filter a like /(/",
    ],
)
def test_what_is_not_understood_is_an_error(query: str) -> None:
    with pytest.raises((insights_language.Malformed, TypeError)):
        rows(query)


def test_the_api(client: Client) -> None:
    logs, now = client("logs"), int(time.time() * 1000)
    logs.create_log_group(logGroupName="/g")
    logs.create_log_stream(logGroupName="/g", logStreamName="s")
    events = [
        {"timestamp": now + n, "message": json.dumps({"kind": "even" if n % 2 == 0 else "odd"})} for n in range(5)
    ]
    logs.put_log_events(logGroupName="/g", logStreamName="s", logEvents=events)
    span = {"logGroupName": "/g", "startTime": now // 1000 - 60, "endTime": now // 1000 + 60}

    query = logs.start_query(queryString="filter kind = 'odd' | stats count(*) as n by kind", **span)["queryId"]
    done = logs.get_query_results(queryId=query)
    assert done["status"] == "Complete"
    assert done["results"] == [[{"field": "kind", "value": "odd"}, {"field": "n", "value": "2"}]]
    assert done["statistics"]["recordsScanned"] == 5

    with pytest.raises(ClientError, match="MalformedQueryException"):
        logs.start_query(queryString="filter kind ~ 3", **span)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        logs.start_query(queryString="fields @message", **{**span, "logGroupName": "/none"})
