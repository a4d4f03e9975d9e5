"""Timeline entries on their way to the audit bucket and the event bus."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.relay import handler
from promptlane.aws.audit_copies import AuditCopies
from promptlane.aws.events import EventBus
from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.prompt import canonical_json
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes import InMemoryReleases

NAME = "PROMPT0001-1-1"


class Bucket:
    """S3 with versions and conditional writes; `hide` puts a delete marker on a key."""

    def __init__(self) -> None:
        self.versions: list[tuple[str, bytes]] = []
        self.hidden: set[str] = set()

    def put_object(self, **request: Any) -> None:
        key = request["Key"]
        there = key not in self.hidden and any(key == other for other, _ in self.versions)
        if there and request.get("IfNoneMatch") == "*":
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": "there is one"}}, "PutObject")
        self.versions.append((key, request["Body"]))
        self.hidden.discard(key)

    def get_object(self, **request: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.versions[int(request["VersionId"])][1])}

    def get_paginator(self, operation: str) -> Bucket:
        assert operation == "list_object_versions", "a plain list shows nothing of what a marker hides"
        return self

    def paginate(self, **request: Any) -> Any:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        found: list[dict[str, Any]] = [
            {"Key": key, "VersionId": str(i), "LastModified": at}
            for i, (key, _) in enumerate(self.versions)
            if key.startswith(request["Prefix"])
        ]
        for version in sorted(found, key=lambda v: (v["Key"], -int(v["VersionId"]))):
            yield {"Versions": [version]}


class Bus:
    """EventBridge; answers that it refused the event whose number is `refused`, which AWS does with a success."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.refused = 0

    @property
    def numbers(self) -> list[int]:
        return [json.loads(event["Detail"])["seq"] for event in self.sent]

    def put_events(self, **request: Any) -> dict[str, Any]:
        (event,) = request["Entries"]
        if json.loads(event["Detail"])["seq"] == self.refused:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "Throttling", "ErrorMessage": "slow down"}]}
        self.sent.append(event)
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]}


@pytest.fixture
def entries() -> list[TimelineEntry]:
    store = InMemoryReleases()
    for key in "abc":
        store.append(TimelineEntry(key, NAME, 1000.0, Event.CANARY_JUDGED))
    return store.timeline(NAME)


def record(entry: TimelineEntry) -> dict[str, Any]:
    image = {"pk": {"S": f"timeline#{NAME}"}, "body": {"S": canonical_json(entry.to_dict())}}
    return {"eventName": "INSERT", "dynamodb": {"NewImage": image, "SequenceNumber": str(entry.seq)}}


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def bus(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bus:
    releases, bus = InMemoryReleases(), Bus()
    releases.record_ended(Release(NAME, "support", 1.0, "x"))
    relay = handler.Relay(releases, EventBus(bus, "bus"), AuditCopies(bucket, "audit"))
    monkeypatch.setattr(handler, "wire", lambda: relay)
    handler._prompt_and_version.cache_clear()
    return bus


def test_a_record_read_again_keeps_the_first_copy_and_is_relayed_on(
    entries: list[TimelineEntry], bucket: Bucket, bus: Bus
) -> None:
    for _ in range(2):
        answer = handler.handle({"Records": [record(e) for e in entries]}, None)
        assert answer == {"batchItemFailures": []}

    assert len(bucket.versions) == 3
    assert bus.numbers == [1, 2, 3, 1, 2, 3]


def test_what_the_bucket_does_not_take_is_read_again_from_there(
    entries: list[TimelineEntry], bucket: Bucket, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = bucket.put_object

    def throttled(**request: Any) -> None:
        if request["Key"].endswith("000002.json"):
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "later"}}, "PutObject")
        puts(**request)

    monkeypatch.setattr(bucket, "put_object", throttled)

    answer = handler.handle({"Records": [record(e) for e in entries]}, None)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert (len(bucket.versions), bus.numbers) == (1, [1])


def test_what_the_bus_does_not_take_is_read_again_from_there_and_copied_once(
    entries: list[TimelineEntry], bucket: Bucket, bus: Bus
) -> None:
    bus.refused = 2
    records = [record(e) for e in entries]

    assert handler.handle({"Records": records}, None) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert (len(bucket.versions), bus.numbers) == (2, [1])

    bus.refused = 0
    assert handler.handle({"Records": records[1:]}, None) == {"batchItemFailures": []}
    assert (len(bucket.versions), bus.numbers) == (3, [1, 2, 3])


def test_other_items_and_other_changes_are_none_of_its_business(
    entries: list[TimelineEntry], bucket: Bucket, bus: Bus
) -> None:
    head = {**record(entries[0])}
    head["dynamodb"] = {"NewImage": {"pk": {"S": f"chain#{NAME}"}, "sk": {"S": "head"}}, "SequenceNumber": "9"}
    others = [head, {**record(entries[0]), "eventName": "MODIFY"}, {"eventName": "REMOVE", "dynamodb": {}}]

    assert handler.handle({"Records": others}, None) == {"batchItemFailures": []}
    assert (bucket.versions, bus.sent) == ([], [])
    assert handler.handle({"Records": [*others, record(entries[0])]}, None) == {"batchItemFailures": []}
    assert bus.numbers == [1], "what stands behind them is"


def test_an_entry_too_large_for_the_bus_is_copied_whole_and_told_without_its_detail(bucket: Bucket, bus: Bus) -> None:
    store = InMemoryReleases()
    store.append(TimelineEntry("a", NAME, 1.0, Event.CANARY_JUDGED, detail={"text": "ü" * 150_000}))
    (entry,) = store.timeline(NAME)

    handler.handle({"Records": [record(entry)]}, None)

    assert json.loads(bucket.versions[0][1]) == entry.to_dict()
    told = json.loads(bus.sent[0]["Detail"])
    assert (told["seq"], told["hash"], told["detail"]) == (1, entry.hash, {"cut": True})


def test_the_version_that_was_written_first_is_the_copy_also_where_a_marker_hides_it(
    entries: list[TimelineEntry],
) -> None:
    bucket = Bucket()
    copies = AuditCopies(bucket, "audit")
    assert [copies.put(e.to_dict()) for e in entries] == [True] * 3
    bucket.hidden.add(f"timeline/{NAME}/000002.json")
    assert copies.put({**entries[1].to_dict(), "by": "somebody else"}) is True

    assert [copy.entry for copy in copies.timeline(NAME)] == entries
    assert copies.kept("PROMPT0001") == {NAME: {1, 2, 3}}
    assert copies.kept("PROMPT") == {}


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b"{}", b'{"seq": 1}'])
def test_what_is_no_entry_is_refused_by_name(body: bytes) -> None:
    bucket = Bucket()
    bucket.put_object(Key=f"timeline/{NAME}/000001.json", Body=body)

    with pytest.raises(InvalidInput, match=r"000001\.json in the audit bucket is no timeline entry"):
        AuditCopies(bucket, "audit").timeline(NAME)
