"""One bad data point costs itself: the rest reaches CloudWatch once, whatever it refuses, drops or does not answer.

CloudWatch here is the embedded one, which refuses a whole request for one data point, as AWS does.
"""

from __future__ import annotations

import io
import json
import logging
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from local.gaps import metrics as embedded
from local.gaps.metric_store import series_of
from promptlane.client import cloudwatch
from promptlane.client.cloudwatch import CloudWatchSink
from promptlane.client.emf import EmfSink
from promptlane.client.metrics import Directive, Document
from promptlane.client.testing import FakeBedrock, StaticRoutes, client_over
from tests.support.client import FakeCloudWatch, Session

NOW = time.time()


class Embedded(FakeCloudWatch):
    """Counts what the embedded CloudWatch took; `fails` are raised first, before or after it took the request."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: list[tuple[Exception, bool]] = []
        self.sizes: list[int] = []

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803
        self.sizes.append(len(MetricData))
        error, took = self.fails.pop(0) if self.fails else (None, True)
        if took:
            request = {"Namespace": Namespace, "MetricData": MetricData}
            try:
                embedded.put_metric_data(request)
            except embedded.BadRequest as bad:
                raise client_error(bad.code, 400) from None
        if error is not None:
            raise error

    def counted(self, metric: str = "Error") -> dict[str, float]:
        """How many of a metric were counted, by prompt."""
        found: dict[str, float] = {}
        for (_, name, dimensions), series in series_of.items():
            if name == metric:
                prompt = dict(dimensions)["Prompt"]
                found[prompt] = found.get(prompt, 0.0) + sum(cell.count for cell in series.cells.values())
        return found


def client_error(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutMetricData")


@pytest.fixture
def cloud() -> Iterator[Embedded]:
    series_of.clear()
    yield Embedded()
    series_of.clear()


def error(prompt: str = "greeter", *, at: float = NOW, value: Any = 1, metric: str = "Error") -> Document:
    return Document(at, {"Prompt": prompt}, (Directive((("Prompt",),), (metric,)),), {metric: value})


MANY = tuple(f"D{i}" for i in range(31))
BAD = [
    error(at=0.0),
    error(at=1.0),
    error(at=NOW - 14 * 86_400),
    error(at=NOW + 3 * 3600),
    error(at=math.nan),
    error(at=math.inf),
    error(value=math.nan),
    error(value=-math.inf),
    error(value=2.0**361),
    error(value=-(2.0**-361)),
    error(value="1"),
    error(value=None),
    error("résumé"),
    error(" "),
    error(""),
    error("x" * 1025),
    error("a\nb"),
    Document(
        NOW, {f"D{i}": "x" for i in range(31)}, (Directive((tuple(f"D{i}" for i in range(31)),), ("Error",)),), {}
    ),
    Document(NOW, {}, (Directive((("Prompt",),), ("Error",)),), {"Error": 1}),
    Document(NOW, {"Prompt": "greeter"}, (Directive((("Prompt",),), ("Error",)),), {}),
]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_point_is_dropped_with_a_log_line_and_the_good_ones_are_sent_once(
    cloud: Embedded, caplog: pytest.LogCaptureFixture, bad: Document
) -> None:
    sink = CloudWatchSink(cloud, interval=3600)
    for _ in range(3):
        sink.emit(error("good"))
        sink.emit(bad)
        sink.flush()
    sink.close()
    assert cloud.counted() == {"good": 3}
    assert len(cloud.sizes) == (6 if math.isfinite(bad.at) and bad.at != NOW else 3), "of stamps CloudWatch is asked"
    lines = [record for record in caplog.records if "data points dropped" in record.getMessage()]
    assert [(line.name, line.levelno) for line in lines] == [("promptlane.client", logging.WARNING)], "once a minute"


def test_what_only_cloudwatch_knows_to_be_bad_is_found_by_halves(
    cloud: Embedded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("promptlane.client.points.wrong_dimensions", lambda dimensions: "")
    sink = CloudWatchSink(cloud, interval=3600)
    for i in range(500):
        sink.emit(error("" if i in (7, 300) else f"p{i}"))
        sink.emit(error(" ", metric="Refusal"))
    sink.close()
    assert cloud.counted() == {f"p{i}": 1 for i in range(500) if i not in (7, 300)}
    assert len(cloud.sizes) < 40
    assert "CloudWatch does not take them" in caplog.text


def test_where_it_takes_nothing_the_asking_ends(cloud: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloudwatch, "MAX_REFUSALS", 10)
    monkeypatch.setattr("promptlane.client.points.wrong_dimensions", lambda dimensions: "")
    sink = CloudWatchSink(cloud, interval=3600)
    for i in range(500):
        sink.emit(error(" " * (i + 1)))
    sink.close()
    assert (cloud.counted(), len(cloud.sizes), len(sink._held)) == ({}, 21, 0)


UNANSWERED = {
    "no answer in time": ReadTimeoutError(endpoint_url="x"),
    "a connection that broke": ConnectionClosedError(endpoint_url="x"),
    "an error of the service's own": client_error("InternalServiceFault", 500),
    "an error of a load balancer": client_error("502", 502),
}
NOT_TAKEN = {
    "no connection": EndpointConnectionError(endpoint_url="x"),
    "throttled": client_error("ThrottlingException", 400),
    "unavailable": client_error("ServiceUnavailable", 503),
    "not allowed": client_error("AccessDenied", 403),
    "a clock that is off": client_error("RequestExpired", 400),
}


@pytest.mark.parametrize("took", [False, True])
@pytest.mark.parametrize("way", UNANSWERED)
def test_what_may_have_been_taken_is_not_sent_again(
    cloud: Embedded, caplog: pytest.LogCaptureFixture, way: str, took: bool
) -> None:
    cloud.fails = [(UNANSWERED[way], took)]
    sink = CloudWatchSink(cloud, interval=3600)
    sink.emit(error())
    sink.flush()
    sink.emit(error())
    sink.close()
    assert cloud.counted() == {"greeter": 1 + took}
    assert "it is not known whether CloudWatch took them" in caplog.text


@pytest.mark.parametrize("way", NOT_TAKEN)
def test_what_was_surely_not_taken_is_sent_again(cloud: Embedded, way: str) -> None:
    cloud.fails = [(NOT_TAKEN[way], False)] * 2
    sink = CloudWatchSink(cloud, interval=3600)
    sink.emit(error())
    sink.flush()
    assert len(sink._held) == 1
    cloud.fails = cloud.fails[:1] if way in ("throttled", "unavailable") else []
    sink.close()
    assert (cloud.counted(), len(sink._held)) == ({"greeter": 1}, 0)


def test_of_several_requests_only_the_one_that_is_not_known_of_is_lost(
    cloud: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudwatch, "MAX_DATA", 10)
    cloud.fails = [(OSError(), True), (UNANSWERED["no answer in time"], True), (NOT_TAKEN["throttled"], False)]
    cloud.fails.pop(0)
    sink = CloudWatchSink(cloud, interval=3600)
    for i in range(35):
        sink.emit(error(f"p{i}"))
    for _ in range(3):
        sink.flush()
    assert (cloud.counted(), cloud.sizes) == ({f"p{i}": 1 for i in range(35)}, [10, 10, 10, 10, 5])
    sink.close()


def test_requests_are_no_larger_than_cloudwatch_takes_them_and_memory_is_bounded(cloud: Embedded) -> None:
    sink = CloudWatchSink(cloud, interval=3600)
    for prompt in range(30):
        for tokens in range(2_000):
            sink.emit(error(f"p{prompt}", metric="InputTokens", value=tokens * 7919))
    assert sink._pairs <= 30 * (cloudwatch.MAX_DISTINCT + 90 * 8) <= cloudwatch.MAX_PAIRS
    sink.close()
    assert cloud.counted("InputTokens") == {f"p{prompt}": 2_000 for prompt in range(30)}
    assert len(cloud.sizes) > 3


@pytest.mark.parametrize("bad", BAD)
def test_an_emf_line_is_json_whatever_was_counted_and_no_request_fails(
    bad: Document, caplog: pytest.LogCaptureFixture
) -> None:
    stream = io.StringIO()
    sink = EmfSink(stream=stream)
    both = bad._replace(values={**bad.values, "Refusal": 0}, directives=(*bad.directives, Directive((), ("Refusal",))))
    sink.emit(both)
    for line in stream.getvalue().splitlines():
        json.loads(line, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    stream.close()
    sink.emit(error())  # standard output is gone
    assert "data points dropped" in caplog.text


@pytest.mark.parametrize("jump", [-2 * 86_400.0, -30 * 86_400.0, 3 * 3600.0, -1.7e9])
def test_a_clock_that_jumps_between_stamping_and_sending_costs_nothing(
    cloud: Embedded, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    sink = CloudWatchSink(cloud, interval=3600)
    for i in range(300):
        sink.emit(error(f"p{i}", at=NOW - 60 * (i % 3)))
    with monkeypatch.context() as clock:
        clock.setattr("promptlane.client.cloudwatch.time", lambda: time.time() + jump)
        for i in range(300):
            sink.emit(error(f"bad{i}", at=NOW + 5 * 86_400))
        sink.flush()
    sink.close()
    assert cloud.counted() == {f"p{i}": 1 for i in range(300)}
    assert len(cloud.sizes) <= 8


def test_a_clock_that_jumped_to_1970_and_back_costs_the_points_of_that_time(
    cloud: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = StaticRoutes()
    routes.put("greeter", stable=1)
    client = client_over(
        routes, session=Session(cloudwatch=cloud, bedrock_runtime=FakeBedrock("hi")), refresh=3600, receipt_key=""
    )
    for jumped in (False, True, False):
        with monkeypatch.context() as clock:
            if jumped:
                for module in ("request", "sync", "routes", "cloudwatch"):
                    clock.setattr(f"promptlane.client.{module}.time", lambda: 86_400.0, raising=False)
            for _ in range(3):
                client.converse("greeter", unit="u")
    client.close()
    assert cloud.counted("Assigned")["greeter"] == 2 * 6, "of judge and fuse"
