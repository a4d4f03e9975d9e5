"""What goes to CloudWatch, whole: documents, EMF lines, PutMetricData; start and completion in different minutes."""

from __future__ import annotations

import atexit
import gc
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from promptlane.client import cloudwatch, metrics
from promptlane.client.cloudwatch import CloudWatchSink
from promptlane.client.decision import Decision
from promptlane.client.emf import EmfSink, line
from promptlane.client.metrics import Directive, Document
from promptlane.client.receipts import Receipt
from promptlane.domain import names
from promptlane.domain.canary.outcome import CallOutcome
from promptlane.domain.metrics import GUARD_METRICS
from tests.support.client import FakeCloudWatch

STARTED, NOW = 1_700_000_030.5, 1_700_000_103.25
VERSION = ("Prompt", "Version")
GROUP = ("Prompt", "Version", "Group")
TRACK = ("Prompt", "Track")
HALF = ("Prompt", "Track", "Half")
OUTCOME = CallOutcome(
    frozenset({"Error", "Truncation"}),
    1234.5,
    67.8,
    input_tokens=90,
    output_tokens=12,
    stop_reason="end_turn",
    error_type="x",
)
GUARDS = {"Error": 1, "Refusal": 0, "Empty": 0, "Guardrail": 0, "Truncation": 1, "Slow": 0}
FIGURES = {"Latency": 1234.5, "TimeToFirstToken": 67.8, "InputTokens": 90, "OutputTokens": 12}


@pytest.fixture(autouse=True, scope="module")
def _early() -> Iterator[None]:
    """Documents here are stamped in the first hours of 1970."""
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr("promptlane.client.cloudwatch.time", lambda: 60_000.0)
        yield


def decided(track: str = "canary", version: int = 7) -> Decision:
    return Decision(
        prompt="greeter", version=version, version_arn="arn:x/P:7", track=track, release_id="R-7-1", phase="canary"
    )


def of(track: str = "canary", **more: str) -> dict[str, str]:
    return {"Prompt": "greeter", "Version": "7", "Track": track, **more}


def test_an_assignment_is_the_judges_and_start_stamped() -> None:
    assert metrics.assigned(decided(), "3", started_at=STARTED) == Document(
        STARTED, of(Group="3"), (Directive((VERSION, GROUP), ("Assigned",)),), {"Assigned": 1}, "R-7-1"
    )
    assert metrics.assigned(decided("stable"), "", started_at=STARTED) == Document(
        STARTED, of("stable"), (Directive((VERSION,), ("Assigned",)),), {"Assigned": 1}, "R-7-1"
    )


def test_a_finished_canary_call_tells_the_judge_by_group_and_the_fuse_by_track() -> None:
    judge, fuse = metrics.finished(decided(), "3", "1", OUTCOME, started_at=STARTED, now=NOW)
    told = {**GUARDS, "Shielded": 0}
    assert judge == Document(STARTED, of(Group="3"), (Directive((VERSION, GROUP), tuple(told)),), told, "R-7-1")
    assert fuse == Document(
        NOW,
        of(Half="1"),
        (
            Directive((TRACK,), ("Assigned", *told)),
            Directive((HALF,), ("Error", "Refusal", "Shielded")),
            Directive((VERSION,), tuple(FIGURES)),
        ),
        {"Assigned": 1, **told, **FIGURES},
        "R-7-1",
    )


@pytest.mark.parametrize("track", ["stable", "holdback"])
def test_other_tracks_have_no_shield_and_what_a_call_does_not_tell_is_no_figure(track: str) -> None:
    outcome = OUTCOME._replace(time_to_first_token_ms=None, input_tokens=0, output_tokens=None)
    judge, fuse = metrics.finished(decided(track), "", "0", outcome, started_at=STARTED, now=NOW)
    assert judge == Document(STARTED, of(track), (Directive((VERSION,), tuple(GUARDS)),), GUARDS, "R-7-1")
    assert fuse == Document(
        NOW,
        of(track, Half="0"),
        (
            Directive((TRACK,), ("Assigned", *GUARDS)),
            Directive((HALF,), ("Error", "Refusal")),
            Directive((VERSION,), ("Latency", "InputTokens")),
        ),
        {"Assigned": 1, **GUARDS, "Latency": 1234.5, "InputTokens": 0},
        "R-7-1",
    )


def test_a_shielded_unit_is_a_canary_unit_that_was_not_called() -> None:
    assert metrics.shielded(decided(), "5", "0", started_at=STARTED, now=NOW) == (
        Document(STARTED, of(Group="5"), (Directive((VERSION, GROUP), ("Shielded",)),), {"Shielded": 1}, "R-7-1"),
        Document(
            NOW,
            of(Half="0"),
            (Directive((TRACK,), ("Assigned", "Shielded")), Directive((HALF,), ("Shielded",))),
            {"Assigned": 1, "Shielded": 1},
            "R-7-1",
        ),
    )


@pytest.mark.parametrize(("negative", "value"), [(True, 1), (False, 0)])
def test_feedback_is_a_rate_among_the_feedback_given(negative: bool, value: int) -> None:
    receipt = Receipt("greeter", 7, "holdback", "R-7-1", "5", STARTED, "greeter/0")
    values = {"NegativeFeedback": value}
    fuse = Document(NOW, of("holdback"), (Directive((TRACK,), ("NegativeFeedback",)),), values, "R-7-1")
    grouped = Directive((VERSION, GROUP), ("NegativeFeedback",))
    assert metrics.feedback(receipt, negative=negative, now=NOW) == (
        Document(STARTED, of("holdback", Group="5"), (grouped,), values, "R-7-1"),
        fuse,
    )
    plain = Directive((VERSION,), ("NegativeFeedback",))
    unwatched = metrics.feedback(receipt._replace(group=""), negative=negative, now=NOW)
    assert unwatched == (Document(STARTED, of("holdback"), (plain,), values, "R-7-1"), fuse)


def test_a_stale_route_says_its_age() -> None:
    assert metrics.stale_route("greeter", 12.5, now=NOW) == Document(
        NOW, {"Prompt": "greeter"}, (Directive((("Prompt",),), ("StaleRoute",)),), {"StaleRoute": 12.5}, ""
    )


def test_metrics_are_named_as_judge_and_fuse_read_them() -> None:
    judge, fuse = metrics.finished(decided(), "3", "1", OUTCOME, started_at=STARTED, now=NOW)
    counted = {name for name, row in GUARD_METRICS.items() if not row.is_mean}
    assert set(judge.values) | {"NegativeFeedback"} == counted | {names.SHIELDED}
    assert {names.ASSIGNED, names.SHIELDED} < set(fuse.values)
    assert names.GROUP in judge.dimensions
    assert fuse.dimensions[names.HALF] in names.UNIT_HALVES
    assert metrics.NAMESPACE == names.NAMESPACE


MIXED = Document(
    NOW,
    {"Prompt": "greeter", "Version": "7"},
    (
        Directive((VERSION, ("Prompt",)), ("Latency", "Error")),
        Directive((("Prompt",),), ("StaleRoute", "TimeToFirstToken")),
    ),
    {"Latency": 1234.5, "Error": 0, "StaleRoute": 3.5, "TimeToFirstToken": 67.8},
    "R-7-1",
)


def emf(storage: dict[str, int]) -> dict[str, Any]:
    def metric(name: str, unit: str) -> dict[str, Any]:
        return {"Name": name, "Unit": unit, **storage}

    return {
        "_aws": {
            "Timestamp": 1_700_000_103_250,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Promptlane",
                    "Dimensions": [["Prompt", "Version"], ["Prompt"]],
                    "Metrics": [metric("Latency", "Milliseconds"), metric("Error", "Count")],
                },
                {
                    "Namespace": "Promptlane",
                    "Dimensions": [["Prompt"]],
                    "Metrics": [metric("StaleRoute", "Seconds"), metric("TimeToFirstToken", "Milliseconds")],
                },
            ],
        },
        "Prompt": "greeter",
        "Version": "7",
        "Latency": 1234.5,
        "Error": 0,
        "StaleRoute": 3.5,
        "TimeToFirstToken": 67.8,
        "Release": "R-7-1",
    }


@pytest.mark.parametrize(("resolution", "high"), [(60, False), (300, False), (59, True), (1, True)])
def test_an_emf_line_is_the_whole_document(resolution: int, high: bool) -> None:
    storage = {"StorageResolution": 1} if high else {}
    stream = io.StringIO()
    sink = EmfSink(resolution=resolution, stream=stream)
    sink.emit(MIXED)
    sink.emit(MIXED._replace(release_id=""))
    first, second = stream.getvalue().splitlines()
    assert first == json.dumps(emf(storage), separators=(",", ":"))
    without = emf(storage)
    del without["Release"]
    assert json.loads(second) == without
    sink.after_fork()
    sink.flush()
    sink.close()
    assert len(stream.getvalue().splitlines()) == 2


def test_emf_goes_to_standard_output_of_the_moment_and_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = EmfSink()
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BufferedWriter(written, 10**6)))
    sink.emit(MIXED)
    assert json.loads(written.getvalue()) == emf({}) == json.loads(line(MIXED))


def datum(
    metric: str, dimensions: dict[str, str], period: int, values: Mapping[int, int], **more: Any
) -> dict[str, Any]:
    return {
        "MetricName": metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Timestamp": period,
        "Values": [float(value) for value in values],
        "Counts": [float(count) for count in values.values()],
        "Unit": "Count",
        "StorageResolution": 60,
        **more,
    }


def sink_of(cloud: FakeCloudWatch, **settings: Any) -> CloudWatchSink:
    return CloudWatchSink(cloud, **{"interval": 3600, **settings})


def test_what_is_put_is_every_metric_of_every_minute_with_values_and_counts() -> None:
    cloud = FakeCloudWatch()
    sink = sink_of(cloud)
    for at, error, latency in ((59.5, 1, 1234.5), (60.0, 0, 1239.9), (61.0, 0, 1201.0), (119.9, 1, 77.7)):
        directive = Directive((VERSION, ("Prompt",)), ("Error", "Latency"))
        sink.emit(Document(at, of(), (directive,), {"Error": error, "Latency": latency}))
    sink.flush()
    both, prompt = {"Prompt": "greeter", "Version": "7"}, {"Prompt": "greeter"}
    expected = []
    for period, errors, latencies in ((0, {1: 1}, {1200: 1}), (60, {0: 2, 1: 1}, {78: 1, 1200: 2})):
        for dimensions in (both, prompt):
            expected.append(datum("Error", dimensions, period, errors))
            expected.append(datum("Latency", dimensions, period, latencies, Unit="Milliseconds"))
    assert cloud.requests == [expected]
    sink.close()
    assert len(cloud.requests) == 1


@pytest.mark.parametrize(("resolution", "period", "storage"), [(60, 120, 60), (300, 0, 60), (59, 118, 1), (1, 130, 1)])
def test_periods_are_as_long_as_the_resolution(resolution: int, period: int, storage: int) -> None:
    cloud = FakeCloudWatch()
    sink = sink_of(cloud, resolution=resolution)
    sink.emit(metrics.stale_route("greeter", 2.0, now=130.9))
    sink.close()
    assert cloud.requests == [
        [datum("StaleRoute", {"Prompt": "greeter"}, period, {2: 1}, Unit="Seconds", StorageResolution=storage)]
    ]


def latencies(sink: CloudWatchSink, count: int) -> None:
    for i in range(count):
        value = (i % 90 + 10) * 10 ** (i // 90)
        sink.emit(Document(0.0, of(), (Directive((TRACK,), ("Latency",)),), {"Latency": value}))


@pytest.mark.parametrize(("count", "sizes"), [(150, [150]), (151, [150, 1]), (301, [150, 150, 1])])
def test_a_metric_of_many_values_is_as_many_data_points_as_it_needs(count: int, sizes: list[int]) -> None:
    cloud = FakeCloudWatch()
    sink = sink_of(cloud)
    latencies(sink, count)
    sink.close()
    (request,) = cloud.requests
    assert [len(d["Values"]) for d in request] == sizes
    values = [value for d in request for value in d["Values"]]
    assert values == sorted(set(values))
    assert len(values) == count


def minutes(sink: CloudWatchSink, count: int) -> None:
    for minute in range(count):
        sink.emit(metrics.stale_route("greeter", 2.0, now=minute * 60.0))


@pytest.mark.parametrize(("count", "sizes"), [(500, [500]), (501, [500, 1]), (1000, [500, 500])])
def test_a_request_puts_five_hundred_data_points_at_most(count: int, sizes: list[int]) -> None:
    cloud = FakeCloudWatch()
    sink = sink_of(cloud)
    minutes(sink, count)
    sink.close()
    assert [len(request) for request in cloud.requests] == sizes
    assert [d["Timestamp"] for request in cloud.requests for d in request] == [60 * i for i in range(count)]


def test_what_was_put_before_cloudwatch_failed_is_not_put_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cloudwatch, "MAX_DATA", 2)
    cloud = FakeCloudWatch()
    put: Callable[..., None] = cloud.put_metric_data

    def once(**given: Any) -> None:
        put(**given)
        cloud.down = True

    monkeypatch.setattr(cloud, "put_metric_data", once)
    sink = sink_of(cloud)
    latencies(sink, 450)  # three data points
    latencies(sink, 450)
    minutes(sink, 3)
    sink.flush()
    monkeypatch.setattr(cloud, "put_metric_data", put)
    cloud.down = False
    minutes(sink, 1)
    sink.close()
    assert cloud.data["Latency", (("Prompt", "greeter"), ("Track", "canary")), 0][1] == 900
    stale = {key[2]: kept for key, kept in cloud.data.items() if key[0] == "StaleRoute"}
    assert stale == {0: [4.0, 2.0], 60: [2.0, 1.0], 120: [2.0, 1.0]}
    told = [(r.name, r.levelno) for r in caplog.records if "will be retried: no route to host" in r.getMessage()]
    assert told == [("promptlane.client", logging.WARNING)]


def test_a_full_buffer_takes_more_of_what_it_holds_and_nothing_new(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert cloudwatch.MAX_HELD == 20_000
    monkeypatch.setattr(cloudwatch, "MAX_HELD", 2)
    cloud = FakeCloudWatch()
    sink = sink_of(cloud)
    minutes(sink, 1)
    minutes(sink, 2)
    cloud.down = True
    sink.flush()
    sink.emit(metrics.stale_route("greeter", 9.0, now=600.0))
    minutes(sink, 5)
    cloud.down = False
    sink.flush()
    assert {key[2]: kept for key, kept in cloud.data.items()} == {0: [6.0, 3.0], 60: [4.0, 2.0]}
    losses = [r for r in caplog.records if "data points dropped" in r.getMessage()]
    assert [(r.name, r.levelno, r.args) for r in losses] == [("promptlane.client", logging.WARNING, (4,))]
    sink.flush()
    sink.close()
    assert len([r for r in caplog.records if "data points dropped" in r.getMessage()]) == 1


def test_what_cannot_be_put_back_is_counted_as_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cloudwatch, "MAX_HELD", 1)
    cloud = FakeCloudWatch()
    sink = sink_of(cloud)
    for _ in range(3):
        minutes(sink, 1)

    def failing(**given: Any) -> None:
        sink.emit(metrics.stale_route("other", 1.0, now=0.0))
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(cloud, "put_metric_data", failing)
        sink.flush()
    sink.close()
    assert [key[1] for key in cloud.data] == [(("Prompt", "other"),)]
    assert [r.args for r in caplog.records if "dropped" in r.getMessage()] == [(3,)]


class Timer:
    """The event that the sink's thread waits at: notes each wait, and lets `end` of them pass before it closes it."""

    def __init__(self, sink: CloudWatchSink, answers: list[bool]) -> None:
        self.sink, self.answers = sink, answers
        self.waits: list[float] = []
        self.cleared = 0

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        if not self.answers:
            self.sink._closed = True
            return True
        return self.answers.pop(0)

    def clear(self) -> None:
        self.cleared += 1

    def set(self) -> None:
        """The thread is not waiting."""


def waits(sink: CloudWatchSink, document: Document, answers: list[bool]) -> Timer:
    """What the sink's thread does after a document; the thread itself is never started."""
    timer = Timer(sink, answers)
    sink._thread = threading.current_thread()
    sink._wake = timer  # type: ignore[assignment]
    sink.emit(document)
    sink._work()
    return timer


@pytest.mark.parametrize(
    ("settings", "group", "first", "then"),
    [
        ({}, "", 55.0, 55.0),
        ({}, "3", 15.0, 55.0),
        ({"resolution": 59}, "3", 5.0, 5.0),
        ({"resolution": 10, "interval": 2.5}, "3", 2.5, 2.5),
        ({"interval": 0.0}, "", 0.0, 0.0),
    ],
)
def test_the_thread_sends_as_often_as_who_watches_needs(
    settings: dict[str, Any], group: str, first: float, then: float
) -> None:
    cloud = FakeCloudWatch()
    sink = CloudWatchSink(cloud, **settings)
    timer = waits(sink, metrics.assigned(decided(), group, started_at=0.0), [False])
    assert (timer.waits, timer.cleared) == ([first, then], 0)
    assert len(cloud.requests) == 1


def test_the_thread_is_woken_once_when_a_split_begins_and_then_sends_sooner() -> None:
    cloud = FakeCloudWatch()
    sink = CloudWatchSink(cloud)
    timer = waits(sink, metrics.assigned(decided(), "3", started_at=0.0), [True, False])
    assert (timer.waits, timer.cleared) == ([15.0, 15.0, 55.0], 1)
    woken = []
    timer.set = lambda: woken.append(True)  # type: ignore[method-assign]
    for group in ("", "3", "4"):
        sink.emit(metrics.assigned(decided(), group, started_at=0.0))
    assert woken == [True]


def test_one_daemon_sends_for_all_and_none_starts_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[Any, str, bool]] = []

    class Thread:
        def __init__(self, *, target: Any, name: str, daemon: bool) -> None:
            self.given = (target, name, daemon)

        def start(self) -> None:
            started.append(self.given)

    monkeypatch.setattr(threading, "Thread", Thread)
    cloud = FakeCloudWatch()
    sink = sink_of(cloud)
    minutes(sink, 3)
    assert started == [(sink._work, "promptlane-metrics", True)]
    sink.close()
    closed = sink_of(cloud)
    closed.close()
    minutes(closed, 1)
    assert len(started) == 1
    sink._work()  # the thread of a closed sink ends
    closed.flush()
    assert [len(request) for request in cloud.requests] == [3, 1]


def test_a_closed_sink_wakes_its_thread_so_that_it_ends() -> None:
    sink = sink_of(FakeCloudWatch())
    minutes(sink, 1)
    thread = sink._thread
    assert thread is not None
    assert thread.is_alive()
    sink.close()
    thread.join(10)
    assert not thread.is_alive()


def test_at_exit_what_is_held_is_sent_and_a_sink_that_is_gone_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[Any] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    monkeypatch.setattr(atexit, "unregister", registered.remove)
    monkeypatch.setattr(CloudWatchSink, "_work", lambda sink: None)
    cloud = FakeCloudWatch()
    sink, gone, closed = sink_of(cloud), sink_of(cloud), sink_of(cloud)
    assert len(registered) == 3
    minutes(sink, 1)
    minutes(gone, 1)
    closed.close()
    del gone
    gc.collect()
    assert len(registered) == 2
    for at_exit in list(registered):
        at_exit()
    assert [len(request) for request in cloud.requests] == [1]


def dear(group: str, **more: Any) -> tuple[Document, Document]:
    made = decided()
    made.per_token = {"CostShare": (0.001, 0.0005), "OutputTokensShare": (0.0, 0.01)}
    outcome = OUTCOME._replace(input_tokens=100, output_tokens=40)._replace(**more)
    return metrics.finished(made, group, "1", outcome, started_at=STARTED, now=NOW)


def test_means_are_told_to_the_judge_with_their_squares_and_by_track_without() -> None:
    judge, fuse = dear("3")
    told = {"CostShare": 0.12, "CostShareSquared": 0.0144, "OutputTokensShare": 0.4, "OutputTokensShareSquared": 0.16}
    assert {name: value for name, value in judge.values.items() if "Share" in name} == told
    assert {name for directive in judge.directives for name in directive.metrics} == set(judge.values)
    by_track = {"CostShare": 0.12, "OutputTokensShare": 0.4}
    assert {name: value for name, value in fuse.values.items() if "Share" in name} == by_track
    assert set(by_track) < set(fuse.directives[0].metrics)
    assert fuse.directives[0].dimension_sets == (TRACK,)


@pytest.mark.parametrize(
    ("input_tokens", "output_tokens", "cost"),
    [(0, 0, 0.0), (0, 3, 0.002), (600, 800, 1.0), (10**9, 10**9, 1.0), (333, 1, 0.334)],
)
def test_a_value_is_a_share_of_the_cap_to_a_thousandth_and_never_more_than_one(
    input_tokens: int, output_tokens: int, cost: float
) -> None:
    judge, _ = dear("3", input_tokens=input_tokens, output_tokens=output_tokens)
    assert (judge.values["CostShare"], judge.values["CostShareSquared"]) == (cost, round(cost * cost, 6))


@pytest.mark.parametrize("tokens", [{"input_tokens": None}, {"output_tokens": None}, {"output_tokens": -1}])
def test_an_answer_that_told_no_tokens_adds_nothing_to_a_mean(tokens: dict[str, Any]) -> None:
    assert not any("Share" in name for document in dear("3", **tokens) for name in document.values)


def test_no_mean_is_told_while_nothing_is_compared() -> None:
    assert not any("Share" in name for document in dear("") for name in document.values)
