"""What tests of the client share: a world in canary, a clock moved by hand, threads that run when told, AWS fakes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from itertools import cycle
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from botocore.exceptions import ClientError

from promptlane.client import (
    aio,
    answer,
    aws,
    breaker,
    calls,
    cloudwatch,
    observation,
    receipt_keys,
    request,
    routes,
    sync,
)
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, fake_client
from promptlane.domain import split

T = TypeVar("T")

THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "GetItem")


class AwsError(Exception):
    """Shaped like the SDK's ClientError."""

    def __init__(self, code: str) -> None:
        super().__init__(f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}}


def eventually(condition: Any, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.005)


class Clock:
    """The client's clocks, moved by hand: `wall` is epoch seconds, `ticks` monotonic; sleeping moves both."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = 1_700_000_030.5
        self.ticks = 5_000.0
        self.slept: list[float] = []
        for module in (aio, answer, aws, breaker, calls, cloudwatch, observation, receipt_keys, request, routes, sync):
            for name, fake in (("time", lambda: self.wall), ("monotonic", lambda: self.ticks), ("sleep", self.sleep)):
                if callable(getattr(module, name, None)):
                    monkeypatch.setattr(module, name, fake)

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)


class Threads:
    """In place of the routes' threads: run when the lock is let go, or with `hold` set when told. `waits` lists how
    long callers would wait for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, hold: bool = False) -> None:
        self.hold = hold
        self.held: list[Callable[[], None]] = []
        self.started: list[tuple[str, bool]] = []
        self.waits: list[float] = []
        self.before_lock: Callable[[], object] = lambda: None
        these = self

        class Condition(threading.Condition):
            def __enter__(self) -> bool:
                these.before_lock()
                return super().__enter__()

            def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
                assert timeout is not None
                these.waits.append(timeout)
                these.let_run()
                return predicate()

            def __exit__(self, *exc: Any) -> None:
                super().__exit__(*exc)
                these.let_run()

        class Thread:
            def __init__(self, *, target: Callable[[], None], name: str, daemon: bool) -> None:
                self.target = target
                these.started.append((name, daemon))

            def start(self) -> None:
                these.held.append(self.target)

        monkeypatch.setattr(routes, "threading", SimpleNamespace(Condition=Condition, Thread=Thread))

    def let_run(self) -> None:
        if not self.hold:
            self.run()

    def run(self) -> None:
        """Let the threads that were started do their work."""
        while self.held:
            self.held.pop(0)()


class InCanary:
    """A client in canary (stable 1, canary 2) over fakes, and one unit of either track.

    `canaries` gives a canary unit of either half of the unit groups by turns: only both open the breaker.
    """

    def __init__(self, replies: Any, *, variables: list[str] | None = None, **settings: Any) -> None:
        self.routes = StaticRoutes()
        self.routes.put("greeter", stable=1, canary=2, weight=3000, variables=variables)
        self.bedrock = FakeBedrock(replies)
        self.sink = ListSink()
        self.client = fake_client(self.routes, self.bedrock, sink=self.sink, **{"refresh": 3600, **settings})
        self.canary = self.unit("canary")
        self.stable = self.unit("stable")
        self.canaries = cycle(self.unit("canary", half) for half in "01")

    def unit(self, track: str, half: str = "") -> str:
        units = (u for u in (f"u{i}" for i in range(999)) if self.client.route("greeter", u).track == track)
        return next(u for u in units if half in ("", self.half(u)))

    def half(self, unit: str) -> str:
        return split.half(split.group(self.routes.items["greeter"]["salt"], unit))

    def judge(self, metric: str, version: int) -> tuple[float, int]:
        return self.sink.total(metric, Prompt="greeter", Version=str(version))

    def fuse(self, metric: str, track: str) -> tuple[float, int]:
        return self.sink.total(metric, Prompt="greeter", Track=track)

    def called(self) -> list[int]:
        """The versions that Bedrock was called with, in order."""
        return [int(call["modelId"].rpartition(":")[2]) for call in self.bedrock.calls]


class FakeCloudWatch(aws.Aws):
    """Keeps data by (metric, dimensions, timestamp) as (sum, count); fails while `down`."""

    def __init__(self) -> None:
        self.data: dict[tuple[str, tuple[tuple[str, str], ...], int], list[float]] = {}
        self.requests: list[list[dict[str, Any]]] = []
        self.down = False

    def client(self, service: str, *, read_timeout: float, attempts: int = 1) -> FakeCloudWatch:
        assert (service, read_timeout, attempts) == ("cloudwatch", 5.0, 1)
        return self

    def close(self) -> None:
        """No connection is kept between two requests."""

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803
        if self.down:
            raise ConnectionError("no route to host")
        assert Namespace == "Promptlane"
        assert 0 < len(MetricData) <= 1000
        self.requests.append(MetricData)
        for datum in MetricData:
            assert 0 < len(datum["Values"]) == len(datum["Counts"]) <= 150
            dims = tuple((d["Name"], d["Value"]) for d in datum["Dimensions"])
            kept = self.data.setdefault((datum["MetricName"], dims, datum["Timestamp"]), [0.0, 0.0])
            kept[0] += sum(v * c for v, c in zip(datum["Values"], datum["Counts"], strict=True))
            kept[1] += sum(datum["Counts"])


class Dynamo(aws.Aws):
    """The SDK's client of one table of routes: prompts in `throttled` are not read, in a batch as alone."""

    class exceptions:  # noqa: N801 - as the SDK names it
        class ConditionalCheckFailedException(Exception):
            """The receipt was put before."""

    def __init__(self, routes: StaticRoutes) -> None:
        self.routes = routes
        self.throttled: set[str] = set()
        self.forbidden = False
        self.reads = 0
        self.asked: list[dict[str, Any]] = []
        self.settings: set[tuple[Any, ...]] = set()
        self.puts: list[dict[str, Any]] | None = None

    def client(self, service: str, **settings: Any) -> Dynamo:
        self.settings.add((service, *sorted(settings.items())))
        return self

    def _item(self, name: str) -> dict[str, Any] | None:
        item = self.routes.items.get(name)
        return None if item is None else attribute(item)["M"]

    def get_item(self, **given: Any) -> dict[str, Any]:
        self.reads += 1
        self.asked.append(given)
        name = given["Key"]["prompt"]["S"]
        if name in self.throttled:
            raise THROTTLED
        item = self._item(name)
        return {} if item is None else {"Item": item}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        self.reads += 1
        ((table, wanted),) = RequestItems.items()
        names = [key["prompt"]["S"] for key in wanted["Keys"]]
        self.asked.append({"table": table, "names": names})
        left = [{"prompt": {"S": name}} for name in names if name in self.throttled]
        found = [item for name in names if name not in self.throttled and (item := self._item(name))]
        return {"Responses": {table: found}, "UnprocessedKeys": {table: {"Keys": left}} if left else {}}

    def query(self, **given: Any) -> dict[str, Any]:
        if self.forbidden:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not you"}}, "Query")
        wanted = given["ExpressionAttributeValues"][":id"]["S"]
        assert given == {
            "TableName": "routes",
            "IndexName": "by_id",
            "KeyConditionExpression": "prompt_id = :id",
            "ExpressionAttributeValues": {":id": {"S": wanted}},
        }
        names = [name for name, item in self.routes.items.items() if item["prompt_id"] == wanted]
        return {"Items": [{"prompt": {"S": name}, "prompt_id": {"S": wanted}} for name in names]}

    def put_item(self, **given: Any) -> None:
        """Keeps what is put in `puts`, each key once; throttled while that is None."""
        if self.puts is None:
            raise THROTTLED
        if any(put["Item"]["receipt"] == given["Item"]["receipt"] for put in self.puts):
            raise self.exceptions.ConditionalCheckFailedException
        self.puts.append(given)


class Kms:
    """The SDK's client of KMS: data keys that open under the context that they were made with; fails while `down`."""

    def __init__(self) -> None:
        self.down: Exception | None = None
        self.asked: list[dict[str, Any]] = []
        self.opened: list[dict[str, Any]] = []
        self.decrypts = 0
        self.gate = threading.Event()
        self.gate.set()
        self._made: dict[bytes, tuple[str, dict[str, str], bytes]] = {}

    def generate_data_key(self, **given: Any) -> dict[str, bytes]:
        self.asked.append(given)
        assert self.gate.wait(10)
        if self.down is not None:
            raise self.down
        plain, wrapped = os.urandom(32), os.urandom(184)
        self._made[wrapped] = (given["KeyId"], given["EncryptionContext"], plain)
        return {"Plaintext": plain, "CiphertextBlob": wrapped}

    def decrypt(self, **given: Any) -> dict[str, bytes]:
        if self.down is not None:
            raise self.down
        self.decrypts += 1
        key, context, plain = self._made.get(given["CiphertextBlob"], ("", {}, b""))
        code = "IncorrectKeyException" if key and key != given["KeyId"] else "InvalidCiphertextException"
        if key != given["KeyId"] or context != given["EncryptionContext"]:
            raise ClientError({"Error": {"Code": code, "Message": ""}}, "Decrypt")
        self.opened.append(given)
        return {"Plaintext": plain}


class Session:
    """A boto3 session over fakes by service; `made` lists what clients were made, and each one's config."""

    def __init__(self, **services: Any) -> None:
        self.services = services
        self.made: list[tuple[str, Any]] = []

    def client(self, service: str, *, config: Any) -> Any:
        self.made.append((service, config))
        return self.services[service.replace("-", "_")]


def attribute(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"M": {name: attribute(inner) for name, inner in value.items()}}
    if isinstance(value, list):
        return {"L": [attribute(inner) for inner in value]}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}
