"""The CloudWatch and DynamoDB adapters of the judge against recorded shapes, without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from promptlane.aws.blocks import DynamoBlocks
from promptlane.aws.metrics import QUERIES_PER_CALL, USD_PER_QUERY, CloudWatchCounts
from promptlane.domain import metrics
from promptlane.domain.canary.blocks import Arm, Block, Chunk
from promptlane.domain.errors import Unavailable
from promptlane.domain.names import ASSIGNED
from promptlane.fakes.counts import InMemoryBlocks

T0 = 1_700_000_040.0
GROUPS = tuple((n, 0) for n in (5, 6, 4, 8, 5, 5, 4, 7, 5, 6, 5, 6, 6, 5, 4, 9))


class CloudWatch:
    """Answers GetMetricData from {(version, metric, group, stat): {time: value}}, in pages of one result."""

    def __init__(self, values: dict[tuple[int, str, str, str], dict[float, float]], status: str = "Complete") -> None:
        self.values, self.status, self.calls = values, status, []  # type: ignore[var-annotated]

    def get_paginator(self, name: str) -> CloudWatch:
        assert name == "get_metric_data"
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        self.calls.append(request)
        for query in request["MetricDataQueries"]:
            stat = query["MetricStat"]
            dimensions = {d["Name"]: d["Value"] for d in stat["Metric"]["Dimensions"]}
            version = int(dimensions.get("Version", 0))
            key = (version, stat["Metric"]["MetricName"], dimensions.get("Group", ""), stat["Stat"])
            points = self.values.get(key, {})
            yield {
                "MetricDataResults": [
                    {
                        "Id": query["Id"],
                        "Timestamps": [datetime.fromtimestamp(at, UTC) for at in points],
                        "Values": list(points.values()),
                        "StatusCode": self.status,
                    }
                ]
            }


def published(version: int, metric: str, groups: tuple[tuple[int, int], ...]) -> dict[Any, dict[float, float]]:
    total = (sum(n for n, _ in groups), sum(bad for _, bad in groups))
    values = {}
    for group, (n, bad) in [("", total), *((str(g), pair) for g, pair in enumerate(groups))]:
        values[version, metric, group, "SampleCount"] = {T0: float(n)}
        values[version, metric, group, "Sum"] = {T0: float(bad)}
    return values


def read(client: CloudWatch, metrics: tuple[str, ...] = ("Error",)) -> Any:
    return CloudWatchCounts(client).windows(
        "support", control=1, trial=2, metrics=metrics, start=T0, end=T0 + 60, period=60
    )


def test_both_versions_are_read_with_their_groups_and_nothing_else() -> None:
    bad = (*GROUPS[:15], (9, 5))
    found = read(CloudWatch(published(1, "Error", GROUPS) | published(2, "Error", bad) | published(3, "Error", bad)))
    assert found == {"Error": {T0: (Arm(90, 0, GROUPS), Arm(90, 5, bad))}}


def test_groups_that_do_not_add_up_are_unknown() -> None:
    values = published(1, "Error", GROUPS)
    values[1, "Error", "", "SampleCount"] = {T0: 200.0}
    [(control, _)] = read(CloudWatch(values))["Error"].values()
    assert (control.n, control.groups) == (200, ())


@pytest.mark.parametrize(
    ("more", "calls"),
    [((), [442]), (("NegativeFeedback",), [500, 10]), (("CostShare", "OutputTokensShare"), [500, 146])],
)
def test_one_look_is_one_call_of_bounded_price_or_two_with_more(more: tuple[str, ...], calls: list[int]) -> None:
    client = CloudWatch({})
    read(client, (*(m.name for m in metrics.GUARD_METRICS.values() if m.watched), *more, ASSIGNED))
    assert [len(call["MetricDataQueries"]) for call in client.calls] == calls
    assert max(calls) <= QUERIES_PER_CALL
    assert calls[0] * USD_PER_QUERY < 0.0051


def test_a_mean_is_read_with_the_squares_of_its_values() -> None:
    sums = tuple((n, round(n * 0.2 + 0.1 + 0.2, 6)) for n, _ in GROUPS)
    squares = tuple(n * 0.1 for n, _ in GROUPS)
    values = published(1, "CostShare", sums)  # type: ignore[arg-type]
    for group, square in [("", sum(squares)), *((str(g), square) for g, square in enumerate(squares))]:
        values[1, "CostShareSquared", group, "Sum"] = {T0: square}
    [(control, trial)] = read(CloudWatch(values), ("CostShare",))["CostShare"].values()
    assert control == Arm(90, pytest.approx(22.8), sums, tuple(round(q, 6) for q in (sum(squares), *squares)))  # type: ignore[arg-type]
    assert control.problem() is None
    assert trial == Arm(0, 0.0, ((0, 0.0),) * 16)
    values[1, "CostShare", "", "Sum"] = {T0: float("nan")}
    [(control, _)] = read(CloudWatch(values), ("CostShare",))["CostShare"].values()
    assert control.problem() == "-1.0 bad of 90 is negative"


def test_a_failed_series_is_an_outage_and_not_a_zero() -> None:
    with pytest.raises(Unavailable, match="Error"):
        read(CloudWatch(published(1, "Error", GROUPS), status="InternalError"))


def test_counts_that_are_no_numbers_reach_the_judge_as_impossible() -> None:
    values = published(1, "Error", GROUPS)
    values[1, "Error", "", "Sum"] = {T0: float("nan")}
    [(control, _)] = read(CloudWatch(values))["Error"].values()
    assert control.problem()


def test_history_sums_whole_hours_of_the_control() -> None:
    hour = 3600 * 472_000.0
    client = CloudWatch({(1, "Error", "", "SampleCount"): {hour: 400.0}, (1, "Error", "", "Sum"): {hour: 4.0}})
    past = CloudWatchCounts(client).history(
        "support", version=1, metrics=["Error", "Slow"], start=hour, end=hour + 7000
    )
    assert past == {"Error": (400, 4)}
    assert client.calls[0]["EndTime"].timestamp() == hour + 3600


def test_stale_refreshes_are_counted_over_all_versions_with_the_oldest_age() -> None:
    minute = 60.0
    counts = {(0, "StaleRoute", "", "SampleCount"): {T0: 3.0, T0 + minute: 4.0}}
    client = CloudWatch(counts | {(0, "StaleRoute", "", "Maximum"): {T0: 90.0, T0 + minute: 150.0}})
    assert CloudWatchCounts(client).stale_refreshes("support", start=T0, end=T0 + 900) == (7, 150.0)
    assert CloudWatchCounts(CloudWatch({})).stale_refreshes("support", start=T0, end=T0 + 900) == (0, 0.0)


class Table:
    """A DynamoDB table resource that knows conditional puts and prefix queries, one item a page."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}

    def put_item(self, *, Item: dict[str, Any], ConditionExpression: str) -> None:  # noqa: N803
        if (Item["pk"], Item["sk"]) in self.items:
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}}, "PutItem")
        self.items[Item["pk"], Item["sk"]] = Item

    def query(self, *, ExpressionAttributeValues: dict[str, str], **request: Any) -> dict[str, Any]:  # noqa: N803
        pk, prefix = ExpressionAttributeValues[":pk"], ExpressionAttributeValues[":prefix"]
        keys = sorted(k for k in self.items if k[0] == pk and k[1].startswith(prefix))
        keys = [k for k in keys if k > tuple(request.get("ExclusiveStartKey", ("", "")))]
        page: dict[str, Any] = {"Items": [self.items[k] for k in keys[:1]]}
        return {**page, "LastEvaluatedKey": keys[0]} if len(keys) > 1 else page


@pytest.mark.parametrize("store", [InMemoryBlocks(), DynamoBlocks(Table())])
def test_a_chunk_is_stored_once_and_read_back_equal(store: InMemoryBlocks | DynamoBlocks) -> None:
    block = Block(T0, 60.0, 0.1, Arm(90, 1, (*GROUPS[:15], (9, 1))), Arm(3, 0))
    first = Chunk("canary", "Error", T0, T0 + 60, (block,), (500, 5))
    rival = Chunk("canary", "Error", T0, T0 + 120, ())
    other = Chunk("canary", "Slow", T0, T0 + 60, ())
    valued = Arm(90, 20.25, tuple((n, n * 0.225) for n, _ in GROUPS), (5.5, *(n * 0.055 for n, _ in GROUPS)))
    mean = Chunk("canary", "CostShare", T0, T0 + 60, (Block(T0, 60.0, 0.1, valued, Arm(3, 0.5, (), (0.125,))),))
    assert store.put_once("R-3-1", mean)
    assert store.load("R-3-1", "canary") == [mean]
    later = Chunk("watch", "Error", T0, T0 + 60, ())
    assert [store.put_once("R-1-1", c) for c in (first, rival, other, later)] == [True, False, True, True]
    assert store.load("R-1-1", "canary") == [first, other]
    assert store.load("R-2-1", "canary") == []
