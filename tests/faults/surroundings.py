"""What moto lacks or takes too long for: CloudWatch with traffic, executions that are driven, Bedrock's answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final

from botocore.exceptions import ClientError

from promptlane.domain.names import ASSIGNED, UNIT_GROUPS
from promptlane.domain.release.route import Route
from tests.support.functions import DEPLOYMENT, MACHINE

Json = Any
_META: Final = SimpleNamespace(events=SimpleNamespace(register=lambda *_, **__: None))
PER_MINUTE: Final = 64_000
"""Requests: enough for a decision after a few looks."""


class CloudWatch:
    """The client `cloudwatch`. `bad`: the rate of refusals by version, the other events never happen."""

    meta = _META

    def __init__(self, bad: Mapping[int, float]) -> None:
        self.bad = bad
        self.red: dict[str, float] = {}
        """Alarms that stand in ALARM, by name, since when."""
        self._shares: list[tuple[float, dict[int, float]]] = []

    def routed(self, route: Route | None, now: float) -> None:
        """Remember who gets what from now on."""
        shares: dict[int, float] = {}
        if route is not None:
            trial, weight = (route.canary, route.weight) if route.canary else (route.previous, route.holdback)
            share = weight / 10_000 if trial else 0.0
            shares = {route.stable.version: 1 - share, **({trial.version: share} if trial else {})}
        if not self._shares or self._shares[-1][1] != shares:
            self._shares.append((now, shares))

    def get_paginator(self, operation: str) -> _Paginator:
        return _Paginator(getattr(self, operation))

    def get_metric_data(self, **request: Json) -> dict[str, Json]:
        start, end = request["StartTime"].timestamp(), request["EndTime"].timestamp()
        return {"MetricDataResults": [self._series(one, start, end) for one in request["MetricDataQueries"]]}

    def describe_alarms(self, **request: Json) -> dict[str, Json]:
        found = [
            {"AlarmName": name, "StateTransitionedTimestamp": datetime.fromtimestamp(at, UTC)}
            for name, at in self.red.items()
            if name.startswith(request["AlarmNamePrefix"])
        ]
        return {"MetricAlarms": found}

    def _series(self, query: Mapping[str, Json], start: float, end: float) -> dict[str, Json]:
        stat = query["MetricStat"]
        dimensions = {d["Name"]: d["Value"] for d in stat["Metric"]["Dimensions"]}
        groups = 1 if len(dimensions) > 2 else UNIT_GROUPS
        version, period = int(dimensions["Version"]), float(stat["Period"])
        times: list[datetime] = []
        values: list[float] = []
        at = start
        while at < end:
            each = round(PER_MINUTE * period / 60 * self._share(version, at) / UNIT_GROUPS)
            if each:
                times.append(datetime.fromtimestamp(at, UTC))
                values.append(groups * self._value(stat, version, each))
            at += period
        return {"Id": query["Id"], "Timestamps": times, "Values": values, "StatusCode": "Complete"}

    def _value(self, stat: Mapping[str, Json], version: int, each: int) -> int:
        metric = stat["Metric"]["MetricName"]
        if stat["Stat"] == "SampleCount" or metric == ASSIGNED:
            return each
        return round(each * self.bad.get(version, 0.0)) if metric == "Refusal" else 0

    def _share(self, version: int, at: float) -> float:
        past = [shares for since, shares in self._shares if since <= at]
        return past[-1].get(version, 0.0) if past else 0.0


@dataclass(frozen=True)
class _Paginator:
    page: Callable[..., Json]

    def paginate(self, **request: Json) -> Iterator[Json]:
        yield self.page(**request)


class _AlreadyThere(ClientError):  # type: ignore[misc]  # botocore has no types
    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ExecutionAlreadyExists", "Message": "it exists"}}, "StartExecution")


@dataclass
class Executions:
    """The client `stepfunctions`: executions by name, and the tokens of those that wait for people."""

    meta = _META
    exceptions = SimpleNamespace(ExecutionAlreadyExists=_AlreadyThere)
    inputs: dict[str, str] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    answers: dict[str, Json] = field(default_factory=dict)

    def start_execution(self, **request: str) -> dict[str, str]:
        name = request["name"]
        if name in self.status and (self.status[name] != "RUNNING" or self.inputs[name] != request["input"]):
            raise _AlreadyThere
        self.inputs[name], self.status[name] = request["input"], "RUNNING"
        return {"executionArn": self._arn(name)}

    def describe_execution(self, **request: str) -> dict[str, str]:
        return {"status": self.status[self._name(request)]}

    def stop_execution(self, **request: str) -> dict[str, Json]:
        name = self._name(request)
        if self.status[name] == "RUNNING":
            self.status[name] = "ABORTED"
        return {}

    def send_task_success(self, **request: str) -> dict[str, Json]:
        token = request["taskToken"]
        if token not in self.waiting:
            raise ClientError({"Error": {"Code": "TaskDoesNotExist", "Message": "answered"}}, "SendTaskSuccess")
        self.waiting.remove(token)
        self.answers[token] = json.loads(request["output"])
        return {}

    @staticmethod
    def _arn(name: str) -> str:
        return f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"

    def _name(self, request: Mapping[str, str]) -> str:
        name = request["executionArn"].rpartition(":")[2]
        if name not in self.status:
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": "no"}}, "DescribeExecution")
        return name


class Bedrock:
    """The transport of test calls: every answer is well."""

    def post(self, model_id: str, operation: str, body: Mapping[str, Json]) -> tuple[int, str, bytes]:
        answer = {"output": {"message": {"content": [{"text": "Hello, 30 days."}]}}, "stopReason": "end_turn"}
        return 200, "", json.dumps(answer).encode()


def alarm_name(prompt: str, track: str, metric: str = "Refusal") -> str:
    return f"{DEPLOYMENT}/{prompt}/{track}/{metric}"
