"""Metrics reach CloudWatch with their sums and counts, off the request path, and survive its absence."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.client import metrics
from promptlane.client.cloudwatch import CloudWatchSink
from promptlane.client.decision import Decision
from promptlane.client.emf import EmfSink
from promptlane.client.testing import FakeBedrock, StaticRoutes, client_over
from promptlane.domain.canary.outcome import of_answer
from tests.support.client import FakeCloudWatch

CANARY = Decision(
    prompt="greeter", version=7, version_arn="arn:x/P:7", track="canary", release_id="PPPPPPPPPP-7-1", phase="canary"
)


@pytest.fixture(autouse=True, scope="module")
def _early() -> Iterator[None]:
    """Documents here are stamped in the first hours of 1970."""
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr("promptlane.client.cloudwatch.time", lambda: 60_000.0)
        yield


def outcome(error: bool = False, latency: float = 120.0) -> Any:
    return of_answer(
        text="",
        stop_reason="malformed_model_output" if error else "end_turn",
        latency_ms=latency,
        slow_after_ms=1e4,
        usage={"inputTokens": 100, "outputTokens": 20},
        time_to_first_token_ms=50.0,
    )


def sink_of(cloud: FakeCloudWatch, **settings: Any) -> CloudWatchSink:
    return CloudWatchSink(cloud, interval=3600, **settings)


def test_emf_lines_say_what_the_contract_says() -> None:
    stream = io.StringIO()
    sink = EmfSink(stream=stream)
    sink.emit(metrics.assigned(CANARY, "3", started_at=1000.25))
    for document in metrics.finished(CANARY, "3", "0", outcome(), started_at=1000.25, now=1002.5):
        sink.emit(document)
    first, judge, fuse = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["_aws"]["Timestamp"] == judge["_aws"]["Timestamp"] == 1_000_250
    assert fuse["_aws"]["Timestamp"] == 1_002_500
    for document in (first, judge):
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Promptlane"
        assert directive["Dimensions"] == [["Prompt", "Version"], ["Prompt", "Version", "Group"]]
        assert (document["Prompt"], document["Version"], document["Group"]) == ("greeter", "7", "3")
    assert first["Assigned"] == 1
    assert all(judge[name] == 0 for name in ("Error", "Refusal", "Guardrail", "Truncation", "Slow", "Shielded"))
    by_dims = {tuple(d["Dimensions"][0]): d["Metrics"] for d in fuse["_aws"]["CloudWatchMetrics"]}
    assert {m["Name"] for m in by_dims["Prompt", "Track"]} >= {"Assigned", "Error", "Shielded"}
    assert {m["Name"]: m["Unit"] for m in by_dims["Prompt", "Version"]} == {
        "Latency": "Milliseconds",
        "TimeToFirstToken": "Milliseconds",
        "InputTokens": "Count",
        "OutputTokens": "Count",
    }
    assert not any("StorageResolution" in m for d in by_dims.values() for m in d)
    for document in (first, judge, fuse):
        for directive in document["_aws"]["CloudWatchMetrics"]:
            assert all(name in document for dims in directive["Dimensions"] for name in dims)
            assert all(metric["Name"] in document for metric in directive["Metrics"])


def test_a_resolution_below_a_minute_is_stored_at_high_resolution() -> None:
    stream = io.StringIO()
    EmfSink(resolution=10, stream=stream).emit(metrics.assigned(CANARY, "", started_at=1.0))
    (directive,) = json.loads(stream.getvalue())["_aws"]["CloudWatchMetrics"]
    assert directive["Metrics"] == [{"Name": "Assigned", "Unit": "Count", "StorageResolution": 1}]
    cloud = FakeCloudWatch()
    sink = sink_of(cloud, resolution=10)
    for at in (100.0, 109.9, 110.0):
        sink.emit(metrics.assigned(CANARY, "", started_at=at))
    sink.close()
    assert {(d["Timestamp"], d["StorageResolution"]) for r in cloud.requests for d in r} == {(100, 1), (110, 1)}


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 300), st.floats(1, 90_000)), max_size=60))
def test_aggregation_keeps_every_sum_and_count_per_start_and_completion_period(
    requests: list[tuple[bool, float, float]],
) -> None:
    cloud = FakeCloudWatch()
    sink = sink_of(cloud)
    errors: dict[tuple[str, int], list[int]] = {}
    for error, start, latency in requests:
        now = start + latency / 1000
        for document in metrics.finished(CANARY, "5", "0", outcome(error, latency), started_at=start, now=now):
            sink.emit(document)
        for kind, at in (("judge", start), ("fuse", now)):
            kept = errors.setdefault((kind, int(at // 60) * 60), [0, 0])
            kept[0] += error
            kept[1] += 1
    sink.close()
    judge = (("Prompt", "greeter"), ("Version", "7"))
    dims = {"judge": judge, "fuse": (("Prompt", "greeter"), ("Track", "canary"))}
    for (kind, period), kept in errors.items():
        assert cloud.data["Error", dims[kind], period] == kept
    grouped = (*judge, ("Group", "5"))
    for (metric, found, period), counted in list(cloud.data.items()):
        if found == grouped:
            assert cloud.data[metric, judge, period] == counted


def test_latencies_keep_two_digits_and_any_number_of_values() -> None:
    cloud = FakeCloudWatch()
    sink = sink_of(cloud)
    for i in range(1, 2000):
        document = metrics.finished(CANARY, "", "0", outcome(latency=i * 37.7), started_at=0.0, now=30.0)[1]
        sink.emit(document)
    sink.close()
    data = [d for r in cloud.requests for d in r if d["MetricName"] == "Latency"]
    assert len(data) > 1
    exact = sum(i * 37.7 for i in range(1, 2000))
    total = sum(v * c for d in data for v, c in zip(d["Values"], d["Counts"], strict=True))
    assert abs(total / exact - 1) < 0.01


def test_what_cloudwatch_did_not_take_is_sent_later_and_nothing_twice() -> None:
    cloud = FakeCloudWatch()
    sink = sink_of(cloud)
    cloud.down = True
    for _ in range(3):
        sink.emit(metrics.assigned(CANARY, "1", started_at=5.0))
        sink.flush()
    cloud.down = False
    sink.emit(metrics.assigned(CANARY, "1", started_at=5.0))
    sink.close()
    sink.flush()
    assert cloud.data["Assigned", (("Prompt", "greeter"), ("Version", "7")), 0] == [4, 4]


def test_the_buffer_is_bounded_and_says_what_it_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("promptlane.client.cloudwatch.MAX_HELD", 4)
    cloud = FakeCloudWatch()
    sink = sink_of(cloud)
    for minute in range(10):
        sink.emit(metrics.assigned(CANARY, "", started_at=minute * 60.0))
    sink.close()
    assert len(cloud.data) == 4
    assert "6 data points dropped" in caplog.text


def test_data_are_sent_by_a_thread_while_a_split_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = FakeCloudWatch()
    arrived = threading.Event()
    put = cloud.put_metric_data

    def putting(**request: Any) -> None:
        put(**request)
        arrived.set()

    monkeypatch.setattr(cloud, "put_metric_data", putting)
    sink = CloudWatchSink(cloud, interval=0.02)
    sink.emit(metrics.assigned(CANARY, "1", started_at=5.0))
    assert arrived.wait(5)
    sink.close()


def test_in_lambda_metrics_are_emf_and_elsewhere_they_are_put(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    routes = StaticRoutes()
    routes.put("greeter", stable=1)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "app")
    client = client_over(routes, bedrock=lambda timeout: FakeBedrock("hi"))
    client.converse("greeter", unit="u")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("Assigned" in line, "Latency" in line) for line in lines] == [(True, False), (False, False), (True, True)]
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME")
    elsewhere = client_over(routes, bedrock=lambda timeout: FakeBedrock("hi"))
    assert isinstance(elsewhere._sink(), CloudWatchSink)
    elsewhere._sink().close()
