"""What services tell CloudWatch of themselves, as far as an alarm may read it.

MiniStack tells of Lambda's invocations alone. Here: executions of state machines, requests of HTTP APIs, what waits in
queues, how old the records of a stream are that a function reads, and what SNS could not deliver to a function.
Queues are told of every few seconds; CloudWatch shows them by the minute. As on AWS a queue that nobody used has no
datapoints: here one that was never sent a message."""

from __future__ import annotations

import time
from typing import Any

from ministack.services import apigateway, lambda_svc, sqs
from ministack.services import stepfunctions as sfn

from local import seams
from local.gaps import metric_store

TICK_SECONDS = 2.0
_EXECUTIONS = {
    "RUNNING": "ExecutionsStarted",
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}
_used: set[tuple[str, str, str]] = set()


def install() -> None:
    seams.require(sqs, "_queues", "_ensure_msg_fields")
    seams.require(lambda_svc, "_get_func_record_for_ref")

    @seams.replace(sfn, "_emit_execution_status_event")
    def status(original: Any, execution: dict[str, Any]) -> None:
        original(execution)
        if name := _EXECUTIONS.get(execution["status"]):
            metric_store.record("AWS/States", name, 1, "Count", {"StateMachineArn": execution["stateMachineArn"]})

    @seams.replace(apigateway, "handle_execute")
    async def execute(original: Any, api_id: str, *arguments: Any, **named: Any) -> Any:
        reply = await original(api_id, *arguments, **named)
        if owner := apigateway.find_api_scope(api_id):
            with seams.scope(*owner):
                _request(api_id, int(reply[0]))
        return reply

    @seams.replace(lambda_svc, "_execute_function")
    def run(original: Any, record: dict[str, Any], event: Any, *arguments: Any, **named: Any) -> Any:
        _stream_age(record, event)
        return original(record, event, *arguments, **named)

    seams.ticker(TICK_SECONDS, queues, "service-metrics")
    seams.keep("used-services", _used)


def _request(api_id: str, status: int) -> None:
    """Every request has a datapoint of each name: 0 where it was well."""
    for name, counts in (("Count", True), ("4xx", 400 <= status < 500), ("5xx", status >= 500)):
        metric_store.record("AWS/ApiGateway", name, float(counts), "Count", {"ApiId": api_id})


def _stream_age(record: dict[str, Any], event: Any) -> None:
    records = event.get("Records") if isinstance(event, dict) else None
    stamps = [r.get("dynamodb", {}).get("ApproximateCreationDateTime") for r in records or [] if isinstance(r, dict)]
    if known := [float(stamp) for stamp in stamps if stamp]:
        name = record["config"]["FunctionName"]
        age = max(0.0, time.time() - min(known)) * 1000
        metric_store.record("AWS/Lambda", "IteratorAge", age, "Milliseconds", {"FunctionName": name})


def queues() -> None:
    for _ in seams.scopes(sqs._queues):
        for queue in list(sqs._queues.values()):
            seams.logged(_queue, queue)


def _queue(queue: dict[str, Any]) -> None:
    name, now, messages = queue["name"], time.time(), list(queue["messages"])
    here = (seams.account(), seams.region(), name)
    if messages:
        _used.add(here)
    if here not in _used:
        return
    visible = sum(message.get("visible_at", 0) <= now for message in messages)
    oldest = max((now - message.get("sent_at", now) for message in messages), default=0.0)
    for metric, value, unit in (
        ("ApproximateNumberOfMessagesVisible", float(visible), "Count"),
        ("ApproximateAgeOfOldestMessage", oldest, "Seconds"),
    ):
        metric_store.record("AWS/SQS", metric, value, unit, {"QueueName": name})
