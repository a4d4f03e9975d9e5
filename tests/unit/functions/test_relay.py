"""Timeline entries on their way to the audit bucket and the event bus."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.relay import handler
from promptlane.aws.audit_copies import AuditCopies
from promptlane.aws.events import EventBus
from promptlane.domain.errors import InvalidInput, Unavailable
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes import InMemoryReleases
from tests.support.functions import BUS, COPIES, NOW, RELEASES, UNRELAYED, Context, World, real
from tests.support.prompt import ID, PROMPT, RELEASE

NAME = "PROMPT0001-1-1"


class Bucket:
    """S3 with versions and conditional writes; a delete marker lies on what is `hidden`."""

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


class Aside:
    """Where records are set aside; `down` for a queue that does not answer."""

    def __init__(self) -> None:
        self.put_there: list[tuple[str, str]] = []
        self.down = False

    def put(self, key: str, why: str) -> None:
        if self.down:
            raise Unavailable("SQS does not answer")
        self.put_there.append((key, why))


class Bus:
    """EventBridge, which takes every event."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.aside = Aside()

    @property
    def numbers(self) -> list[int]:
        return [json.loads(event["Detail"])["seq"] for event in self.sent]

    def put_events(self, **request: Any) -> dict[str, Any]:
        self.sent += request["Entries"]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]}


@pytest.fixture
def entries() -> list[TimelineEntry]:
    store = InMemoryReleases()
    for key in "abc":
        store.append(TimelineEntry(key, NAME, 1000.0, Event.CANARY_JUDGED))
    return store.timeline(NAME)


def record(entry: TimelineEntry, *, old: bool = False, number: int = 0) -> dict[str, Any]:
    """As the stream shows it; `old`: written longer ago than one record is tried alone."""
    image = {
        "pk": {"S": f"timeline#{entry.release_id}"},
        "sk": {"S": f"{entry.seq:06d}"},
        "body": {"S": canonical_json(entry.to_dict())},
    }
    written = time.time() - (handler.PATIENCE + 60 if old else 5)
    place = {"SequenceNumber": str(number or entry.seq), "ApproximateCreationDateTime": written}
    return {"eventName": "INSERT", "dynamodb": {"NewImage": image, **place}}


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def bus(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bus:
    releases, bus = InMemoryReleases(), Bus()
    releases.record_ended(Release(NAME, "support", 1.0, "x"))
    relay = handler.Relay(releases, EventBus(bus, "bus"), AuditCopies(bucket, "audit"), bus.aside)
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


@pytest.fixture
def refusing(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The ends of keys that the bucket does not take."""
    refused: set[str] = set()
    puts = bucket.put_object

    def put(**request: Any) -> None:
        if any(request["Key"].endswith(end) for end in refused):
            raise ClientError({"Error": {"Code": "InternalError", "Message": "again"}}, "PutObject")
        puts(**request)

    monkeypatch.setattr(bucket, "put_object", put)
    return refused


def test_a_record_that_alone_cannot_be_put_is_set_aside_and_what_stands_behind_it_is_told_once_and_in_order(
    entries: list[TimelineEntry], bucket: Bucket, bus: Bus, refusing: set[str]
) -> None:
    refusing.add("000001.json")

    answer = handler.handle({"Records": [record(e, old=True) for e in entries]}, None)

    assert answer == {"batchItemFailures": []}
    assert bus.numbers == [2, 3]
    [(key, why)] = bus.aside.put_there
    assert (key, "InternalError" in why) == (f"timeline#{NAME} 000001", True)


def test_all_entries_of_one_release_that_cannot_be_put_hold_up_no_other_release(
    entries: list[TimelineEntry], bus: Bus, refusing: set[str]
) -> None:
    other = "PROMPT0001-2-1"
    store = InMemoryReleases()
    store.append(TimelineEntry("x", other, 1000.0, Event.CANARY_JUDGED))
    handler.wire().releases.record_ended(Release(other, "support", 1.0, "x"))
    refusing |= {f"{NAME}/00000{n}.json" for n in (1, 2)}
    records = [*(record(e, old=True) for e in entries), record(store.timeline(other)[0], old=True, number=4)]

    answer = handler.handle({"Records": records}, None)

    assert answer == {"batchItemFailures": []}
    assert sorted(bus.numbers) == [1, 3]
    assert [key for key, _ in bus.aside.put_there] == [f"timeline#{NAME} 00000{n}" for n in (1, 2)]


def test_in_an_outage_nothing_is_set_aside_however_long_it_lasts(
    entries: list[TimelineEntry], bus: Bus, refusing: set[str]
) -> None:
    refusing.add(".json")

    answer = handler.handle({"Records": [record(e, old=True) for e in entries]}, None)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert (bus.numbers, bus.aside.put_there) == ([], [])


def test_one_record_is_tried_for_a_while_before_it_is_set_aside(
    entries: list[TimelineEntry], bus: Bus, refusing: set[str]
) -> None:
    refusing.add("000001.json")

    answer = handler.handle({"Records": [record(e) for e in entries]}, None)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert (bus.numbers, bus.aside.put_there) == ([], [])


def test_what_cannot_be_set_aside_is_read_again(entries: list[TimelineEntry], bus: Bus, refusing: set[str]) -> None:
    refusing.add("000001.json")
    bus.aside.down = True

    answer = handler.handle({"Records": [record(e, old=True) for e in entries]}, None)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}


@pytest.mark.parametrize("body", ["no JSON", "[]", "{}", '{"seq": 1}', "[" * 100_000])
def test_an_item_that_is_no_entry_is_set_aside_at_once(entries: list[TimelineEntry], bus: Bus, body: str) -> None:
    poison = record(entries[0])
    poison["dynamodb"]["NewImage"]["body"] = {"S": body}
    poison["dynamodb"]["NewImage"]["pk"] = {"S": "timeline#" + "x" * 3_000}

    answer = handler.handle({"Records": [poison, *(record(e) for e in entries[1:])]}, None)

    assert (answer, bus.numbers) == ({"batchItemFailures": []}, [2, 3])
    [(key, why)] = bus.aside.put_there
    assert (len(key), why.startswith("no entry of a timeline")) == (207, True)


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


def test_the_version_that_was_written_first_is_the_copy_also_where_a_marker_hides_it(
    entries: list[TimelineEntry],
) -> None:
    bucket = Bucket()
    copies = AuditCopies(bucket, "audit")
    assert [copies.put(e.to_dict()) for e in entries] == [True] * 3
    bucket.hidden.add(f"timeline/{NAME}/000002.json")
    assert copies.put({**entries[1].to_dict(), "by": "somebody else"}) is True

    assert [copy.entry for copy in copies.timeline(NAME)] == entries
    assert copies.kept(ID) == {NAME: {1, 2, 3}}
    assert copies.kept("PROMPT") == {}


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b"{}", b'{"seq": 1}'])
def test_what_is_no_entry_is_refused_by_name(body: bytes) -> None:
    bucket = Bucket()
    bucket.put_object(Key=f"timeline/{NAME}/000001.json", Body=body)

    with pytest.raises(InvalidInput, match=r"000001\.json in the audit bucket is no timeline entry"):
        AuditCopies(bucket, "audit").timeline(NAME)


# Over the real adapters

Said = list[dict[str, Any]]


@pytest.fixture
def heard(world: World) -> Said:
    """What is put on the bus."""
    told: Said = []
    real("events").create_event_bus(Name=BUS)
    world.before("events", "PutEvents", lambda params: told.extend(params["Entries"]))
    return told


def stream() -> list[dict[str, Any]]:
    """The table's items as its stream shows them, in the order of their keys."""
    items = real("dynamodb").scan(TableName=RELEASES)["Items"]
    return [
        {"eventName": "INSERT", "dynamodb": {"NewImage": item, "SequenceNumber": f"{100 + i}"}}
        for i, item in enumerate(sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"])))
    ]


def relay(world: World, records: list[dict[str, Any]], **changed: str) -> dict[str, Any]:
    return dict(world.function("relay", **changed).handle({"Records": records}, Context()))


def two_entries(world: World) -> list[TimelineEntry]:
    world.start(2)
    world.releases.append(TimelineEntry("judged", RELEASE, NOW, Event.CANARY_JUDGED, "judge", {"harm": 1.5}))
    return world.releases.timeline(RELEASE)


def test_every_entry_is_copied_and_told_with_its_prompt_and_version(world: World, heard: Said) -> None:
    entries = two_entries(world)

    assert relay(world, stream()) == {"batchItemFailures": []}

    assert world.objects(COPIES) == {
        f"timeline/{RELEASE}/{e.seq:06d}.json": canonical_json(e.to_dict()).encode() for e in entries
    }
    assert [{**event, "Detail": json.loads(event["Detail"])} for event in heard] == [
        {
            "Source": "promptlane",
            "DetailType": event,
            "Detail": {"schema": 1, "prompt": PROMPT, "version": 2, **entry.to_dict()},
            "EventBusName": BUS,
            "Resources": [f"promptlane:release/{RELEASE}"],
        }
        for event, entry in zip(("Release Started", "Canary Judged"), entries, strict=True)
    ]


def test_without_an_audit_bucket_entries_are_only_told(world: World, heard: Said) -> None:
    two_entries(world)

    assert relay(world, stream(), AUDIT_BUCKET="") == {"batchItemFailures": []}

    assert len(heard) == 2


def test_the_first_entry_that_cannot_be_told_is_where_the_stream_is_read_again(world: World, heard: Said) -> None:
    two_entries(world)
    records = stream()
    of_entries = [r for r in records if r["dynamodb"]["NewImage"]["pk"]["S"].startswith("timeline#")]
    second = of_entries[1]["dynamodb"]["SequenceNumber"]

    def only_the_first(params: dict[str, Any]) -> None:
        if json.loads(params["Entries"][0]["Detail"])["seq"] == 2:
            raise ValueError("the test lets no second entry through")

    world.before("events", "PutEvents", only_the_first)

    assert relay(world, records) == {"batchItemFailures": [{"itemIdentifier": second}]}
    assert ([json.loads(e["Detail"])["seq"] for e in heard], len(world.objects(COPIES))) == ([1, 2], 2)


def test_a_bus_that_takes_an_event_not_although_it_answers_is_noticed(world: World, heard: Said) -> None:
    two_entries(world)
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "Throttling", "ErrorMessage": "slow down"}]}
    bus = type("Bus", (), {"put_events": staticmethod(lambda **_: refused)})

    with pytest.raises(Unavailable, match=r"^the event bus refused an event: slow down$"):
        EventBus(bus, BUS).put(world.releases.timeline(RELEASE)[0].to_dict(), prompt=PROMPT, version=2)


def test_an_entry_of_a_release_that_has_no_record_is_copied_and_holds_nothing_up(world: World, heard: Said) -> None:
    """Record and first entry are written together and read consistently: no second try would find one."""
    world.releases.append(TimelineEntry("a", RELEASE, NOW, Event.ENDED))
    (record,) = [r for r in stream() if r["dynamodb"]["NewImage"]["pk"]["S"].startswith("timeline#")]

    assert relay(world, [record]) == {"batchItemFailures": []}
    assert heard == []
    url = real("sqs").get_queue_url(QueueName=UNRELAYED)["QueueUrl"]
    [message] = real("sqs").receive_message(QueueUrl=url)["Messages"]
    said = json.loads(message["Body"])
    assert (said["source"], said["key"]) == ("promptlane.relay", f"timeline#{RELEASE} 000001")
    assert "an entry of no release" in said["why"]


@pytest.mark.parametrize(("letters", "cut"), [(199_400, False), (200_000, True)])
def test_an_entry_is_told_without_its_detail_where_the_bus_could_not_take_it(
    world: World, heard: Said, letters: int, cut: bool
) -> None:
    world.start(2)
    world.releases.append(TimelineEntry("j", RELEASE, NOW, Event.CANARY_JUDGED, detail={"text": "x" * letters}))

    assert relay(world, stream()) == {"batchItemFailures": []}

    told = json.loads(heard[-1]["Detail"])
    assert (told["schema"], told["prompt"], told["version"], told["seq"]) == (1, PROMPT, 2, 2)
    assert told["detail"] == ({"cut": True} if cut else {"text": "x" * letters})
    assert (len(heard[-1]["Detail"].encode()) > 199_500) is not cut
