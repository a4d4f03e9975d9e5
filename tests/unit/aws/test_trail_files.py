"""The trail's log files: which are read, in which order and how many, and what is not in them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from promptlane.aws.trail_files import TrailFiles
from promptlane.domain.errors import Unauthorized
from promptlane.domain.release.timeline import iso
from promptlane.domain.trail import Window
from tests.support.prompt import ID

ACCOUNT, REGION = "111122223333", "us-east-1"
ARN = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:prompt/{ID}"
MODEL = "amazon.nova-lite-v1:0"
T0 = 1_760_000_400.0  # 09:00 UTC
WINDOW = Window(T0, T0 + 3600)


def record(at: float, version: int = 3, name: str = "RenderPrompt", **changes: Any) -> dict[str, Any]:
    return {
        "eventName": name,
        "eventTime": iso(at)[:19] + "Z",
        "eventID": f"{name}-{at}",
        "userIdentity": {"type": "AssumedRole", "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/app/i"},
        "requestParameters": {"promptIdentifier": f"{ARN}:{version}"},
        "resources": [{"type": "AWS::Bedrock::PromptVersion", "ARN": f"{ARN}:{version}"}],
        **changes,
    }


class Bucket:
    """S3 in memory with versions; lists in the order of keys, newest version first, 100 a page."""

    def __init__(self) -> None:
        self.objects: dict[str, list[bytes]] = {}
        self.read: list[str] = []
        self.listed: list[str] = []
        self.refuse = ""

    def deliver(self, at: float, *records: Any, body: bytes | None = None, prefix: str = "", folder: str = "") -> str:
        moment = datetime.fromtimestamp(at, UTC)
        name = f"{ACCOUNT}_CloudTrail_{REGION}_{moment:%Y%m%dT%H%M}Z_{len(self.objects):016d}.json.gz"
        key = f"{prefix}AWSLogs/{ACCOUNT}/{folder or 'CloudTrail'}/{REGION}/{moment:%Y/%m/%d}/{name}"
        self.put(key, body if body is not None else packed(*records))
        return key

    def put(self, key: str, body: bytes) -> None:
        self.objects.setdefault(key, []).append(body)

    def get_paginator(self, operation: str) -> Bucket:
        assert operation == "list_object_versions", "a plain list shows nothing of what a marker hides"
        return self

    def paginate(self, **query: str) -> Iterator[dict[str, Any]]:
        self.listed.append(query["Prefix"])
        keys = sorted(k for k in self.objects if k.startswith(query["Prefix"]) and k > query["KeyMarker"])
        versions = [{"Key": k, "VersionId": str(i)} for k in keys for i in reversed(range(len(self.objects[k])))]
        for first in range(0, max(1, len(versions)), 100):
            yield {"Versions": versions[first : first + 100]}

    def get_object(self, **query: str) -> dict[str, Any]:
        self.read.append(query["Key"])
        if self.refuse:
            raise ClientError({"Error": {"Code": self.refuse, "Message": ""}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[query["Key"]][int(query["VersionId"])])}


def packed(*records: Any) -> bytes:
    return gzip.compress(json.dumps({"Records": records}).encode())


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def files(bucket: Bucket, **bounds: Any) -> TrailFiles:
    return TrailFiles(bucket, "audit", ACCOUNT, REGION, **bounds)


def test_only_files_that_may_hold_events_of_the_window_are_read(bucket: Bucket) -> None:
    bucket.deliver(T0 - 120, record(T0 - 200))
    first = bucket.deliver(T0 + 30, record(T0 - 60), record(T0 + 1))
    late = bucket.deliver(T0 + 3600 + 15 * 60, record(T0 + 3599), record(T0 + 3600))
    bucket.deliver(T0 + 3600 + 25 * 60, record(T0 + 3590))
    bucket.deliver(T0 + 60, record(T0 + 2), folder="CloudTrail-Digest")

    answer = files(bucket).events(ID, WINDOW)

    assert set(bucket.read) == {first, late}
    assert [e.at for e in answer.events] == [T0 + 1, T0 + 3599]
    assert (answer.files, answer.truncated, answer.complete_since) == (2, (), 0.0)


def test_a_file_is_read_as_it_was_delivered_whatever_was_put_over_it(bucket: Bucket) -> None:
    for minute in range(60):
        key = bucket.deliver(T0 + 60 * minute, record(T0 + 60 * minute, version=3))
        for _ in range(minute % 4):
            bucket.put(key, packed(record(T0 + 60 * minute, version=9)))

    answer = files(bucket).events(ID, WINDOW)

    assert [e.version for e in answer.events] == [3] * 60


def test_renderings_and_calls_of_the_prompt_and_direct_calls_of_its_models_are_told(bucket: Bucket) -> None:
    bucket.deliver(
        T0 + 300,
        record(T0 + 10),
        record(T0 + 11, version=0, resources=[{"type": "AWS::Bedrock::Prompt", "ARN": ARN}]),
        record(T0 + 12, name="Converse", requestParameters={"modelId": f"{ARN}:3"}, resources=None),
        record(T0 + 13, name="InvokeModel", requestParameters={"modelId": MODEL}, resources=None),
        record(T0 + 14, name="UpdatePrompt"),
        record(T0 + 15, resources=[{"type": "AWS::Bedrock::PromptVersion", "ARN": ARN.replace("0001", "0002")}]),
    )

    answer = files(bucket).events(ID, WINDOW, models=[MODEL])

    assert [(e.name, e.version) for e in answer.events] == [
        ("RenderPrompt", 3),
        ("RenderPrompt", 0),
        ("Converse", 3),
        ("InvokeModel", 0),
    ]


def test_a_window_over_midnight_reads_both_days_and_a_prefix_is_kept(bucket: Bucket) -> None:
    midnight = T0 - T0 % 86_400 + 86_400
    bucket.deliver(midnight - 300, record(midnight - 400), prefix="trails/")
    bucket.deliver(midnight + 300, record(midnight - 10), record(midnight + 10), prefix="trails/")

    answer = files(bucket, prefix="trails").events(ID, Window(midnight - 3600, midnight + 3600))

    assert [e.at for e in answer.events] == [midnight - 400, midnight - 10, midnight + 10]


def test_of_too_many_files_the_newest_are_read_and_since_when_all_is_there_is_said(bucket: Bucket) -> None:
    for minute in range(60):
        bucket.deliver(T0 + 60 * minute, record(T0 + 60 * minute - 1))

    answer = files(bucket, most_files=10).events(ID, WINDOW)

    assert len(bucket.read) == 10
    assert min(e.at for e in answer.events) == T0 + 50 * 60 - 1
    assert answer.complete_since == T0 + 50 * 60
    assert "RenderPrompt" in answer.truncated


def test_the_bound_on_bytes_leaves_out_the_oldest(bucket: Bucket) -> None:
    for minute in range(40):
        bucket.deliver(T0 + 60 * minute, *(record(T0 + 60 * minute - 1 - k / 10) for k in range(20)))

    answer = files(bucket, most_bytes=60_000).events(ID, WINDOW)

    assert 0 < answer.files < 40
    assert answer.complete_since == T0 + 60 * (40 - answer.files)
    assert min(e.at for e in answer.events) >= T0 + 60 * (40 - answer.files) - 4


def test_ten_thousand_events_are_read(bucket: Bucket) -> None:
    for minute in range(10):
        bucket.deliver(T0 + 60 * minute + 60, *(record(T0 + 60 * minute + k // 20) for k in range(1000)))

    answer = files(bucket).events(ID, WINDOW)

    assert (len(answer.events), answer.truncated) == (10_000, ())


def test_a_file_that_cannot_be_read_is_counted_and_hides_no_other(bucket: Bucket) -> None:
    whole = gzip.compress(json.dumps({"Records": [record(T0 + 1)]}).encode())
    for body in (
        b"no gzip",
        whole[:-9],
        whole[:20] + b"xx" + whole[22:],
        gzip.compress(f'{{"{ID}": 1}}'.encode()),
        gzip.compress(f"{{ {ID} cut".encode()),
    ):
        bucket.deliver(T0 + 60, body=body)
    bucket.deliver(T0 + 60, record(T0 + 1), "no record", record(T0 + 2, requestParameters=None, resources=None))

    answer = files(bucket).events(ID, WINDOW)

    assert (answer.files, answer.lost, answer.unreadable, len(answer.events)) == (6, 5, 2, 1)


def test_files_that_nobody_may_read_are_an_error_at_once(bucket: Bucket) -> None:
    for minute in range(60):
        bucket.deliver(T0 + 60 * minute, record(T0 + 60 * minute))
    bucket.refuse = "AccessDenied"

    with pytest.raises(Unauthorized, match="AccessDenied"):
        files(bucket).events(ID, WINDOW)
    assert len(bucket.read) <= 8


def test_one_object_that_is_gone_is_lost_alone(bucket: Bucket) -> None:
    bucket.deliver(T0 + 60, record(T0 + 1))
    bucket.refuse = "SlowDown"

    assert files(bucket).events(ID, WINDOW).lost == 1


def test_years_of_days_are_not_listed(bucket: Bucket) -> None:
    answer = files(bucket).events(ID, Window(T0 - 900 * 86_400, T0))

    assert len(bucket.listed) <= 102
    assert answer.complete_since > T0 - 101 * 86_400
