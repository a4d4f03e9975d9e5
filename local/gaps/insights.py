"""CloudWatch Logs Insights: StartQuery over a proper subset of the language.

Lacking in MiniStack: filters on JSON fields, stats, parse, display and dedup are silently ignored, so that a query
returns every row. Here: `insights_language` evaluates them, and what it does not know is a MalformedQueryException."""

from __future__ import annotations

import time
from typing import Any

from ministack.services import cloudwatch_logs

from local import seams
from local.gaps import insights_language

_json_response = seams.replies(cloudwatch_logs, "json_response")
_error_response = seams.replies(cloudwatch_logs, "error_response_json")


def install() -> None:
    seams.require(cloudwatch_logs, "_resolve_query_log_groups", "_log_groups", "_queries")

    @seams.replace(cloudwatch_logs, "_start_query")
    def start(original: seams.Replies, request: dict[str, Any]) -> seams.Response:
        groups = cloudwatch_logs._resolve_query_log_groups(request)
        missing = [name for name in groups if name not in cloudwatch_logs._log_groups]
        if missing:
            return _error("ResourceNotFoundException", f"The specified log group does not exist: {missing[0]}")
        if not groups:
            return _error("InvalidParameterException", "logGroupName, logGroupNames or logGroupIdentifiers is required")
        begin, end = (
            int(request.get(name) or default) for name, default in (("startTime", 0), ("endTime", time.time()))
        )
        if begin > end:
            return _error("MalformedQueryException", "Query's end date and time is before its start.")
        records = _records(groups, begin * 1000, end * 1000 + 999)
        try:
            rows, matched = insights_language.run(
                request.get("queryString", ""), records, min(int(request.get("limit") or 10_000), 10_000)
            )
        except (insights_language.Malformed, TypeError) as wrong:
            return _error("MalformedQueryException", f"Malformed query: {wrong}")
        query_id = seams.new_uuid()
        cloudwatch_logs._queries[query_id] = {
            "queryId": query_id,
            "logGroupName": groups[0],
            "logGroupNames": groups,
            "startTime": begin,
            "endTime": end,
            "queryString": request.get("queryString", ""),
            "status": "Complete",
            "results": rows,
            "statistics": {
                "recordsMatched": float(matched),
                "recordsScanned": float(len(records)),
                "bytesScanned": float(sum(len(record["@message"]) for record in records)),
            },
        }
        return _json_response({"queryId": query_id})


def _error(code: str, message: str) -> seams.Response:
    return _error_response(code, message, 400)


def _records(groups: list[str], begin: int, end: int) -> list[insights_language.Record]:
    """The events of some groups between two times (milliseconds), oldest first."""
    found = []
    for name in groups:
        for stream, content in cloudwatch_logs._log_groups[name]["streams"].items():
            for number, event in enumerate(list(content["events"])):
                if begin <= event["timestamp"] <= end:
                    record = {
                        "@timestamp": event["timestamp"],
                        "@message": event["message"],
                        "@ingestionTime": event.get("ingestionTime"),
                        "@logStream": stream,
                        "@log": f"{seams.account()}:{name}",
                        "@ptr": f"{name}|{stream}|{number}",
                    }
                    found.append(record)
    return sorted(found, key=lambda record: int(record["@timestamp"]))
