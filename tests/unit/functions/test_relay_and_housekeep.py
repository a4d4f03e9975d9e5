"""Copies: of timeline entries in the audit bucket and on the event bus, of versions in the archive."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptlane.aws.events import EventBus
from promptlane.domain.errors import Unavailable
from promptlane.domain.release.housekeeping import archive_key, from_archive
from promptlane.domain.release.prompt import canonical_json
from promptlane.domain.release.timeline import Event, TimelineEntry
from tests.support.functions import (
    BUS,
    COPIES,
    NOW,
    PROMPT,
    PROMPT_ID,
    RELEASES,
    REPORTS,
    Context,
    World,
    real,
)

Json = Any
RELEASE = f"{PROMPT_ID}-2-1"


Said = list[dict[str, Json]]


@pytest.fixture
def heard(world: World) -> Said:
    """What is put on the bus."""
    told: Said = []
    real("events").create_event_bus(Name=BUS)
    world.before("events", "PutEvents", lambda params: told.extend(params["Entries"]))
    return told


def stream() -> list[dict[str, Json]]:
    """The table's items as its stream shows them, in the order of their keys."""
    items = real("dynamodb").scan(TableName=RELEASES)["Items"]
    return [
        {"eventName": "INSERT", "dynamodb": {"NewImage": item, "SequenceNumber": f"{100 + i}"}}
        for i, item in enumerate(sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"])))
    ]


def relay(world: World, records: list[dict[str, Json]], **changed: str) -> dict[str, Json]:
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

    def only_the_first(params: dict[str, Json]) -> None:
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


def test_an_entry_of_a_release_that_has_no_record_is_tried_again(world: World, heard: Said) -> None:
    world.releases.append(TimelineEntry("a", RELEASE, NOW, Event.ENDED))
    (record,) = [r for r in stream() if r["dynamodb"]["NewImage"]["pk"]["S"].startswith("timeline#")]

    failed = {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    assert relay(world, [record]) == failed


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


def housekeep(world: World, **changed: str) -> dict[str, Json]:
    return dict(world.function("housekeep", **changed).handle({}, Context()))


def shelf(world: World) -> None:
    """Five versions, of which 1 and 2 are in no use, and a release whose first entry has no copy yet."""
    world.enrol()
    for version in range(1, 6):
        world.publish(version)
    stable, previous = (world.store.version(PROMPT_ID, v).ref for v in (4, 3))
    world.route(stable, previous=previous)
    world.start(5, state="testing")
    world.now += 100


def test_versions_are_archived_the_oldest_go_and_people_are_warned(world: World) -> None:
    shelf(world)

    assert housekeep(world) == {
        "archived": [f"{PROMPT} {v}" for v in range(1, 6)],
        "deleted": [f"{PROMPT} 1", f"{PROMPT} 2"],
        "nearly_full": [PROMPT],
        "copied": [f"{PROMPT_ID}-5-1 1"],
        "failed": [],
    }

    assert sorted(world.prompts.answers) == [(PROMPT_ID, v) for v in (3, 4, 5)]
    archive = world.objects(REPORTS, "archive/")
    assert set(archive) == {archive_key(PROMPT_ID, v) for v in range(1, 6)}
    kept = from_archive(archive[archive_key(PROMPT_ID, 1)], "1")
    assert (kept.version, kept.description) == (1, "Why version 1")
    assert set(world.objects(COPIES)) == {f"timeline/{PROMPT_ID}-5-1/000001.json"}
    ((subject, body),) = world.told()
    assert subject == f"[Promptlane] {PROMPT}: 3 of 4 versions"
    assert "version 4: stable" in body

    again = {"archived": [], "deleted": [], "nearly_full": [PROMPT], "copied": [], "failed": []}
    assert housekeep(world, VERSION_QUOTA="5") == {**again, "nearly_full": []}


def test_without_an_audit_bucket_nothing_is_copied(world: World) -> None:
    shelf(world)

    assert housekeep(world, AUDIT_BUCKET="", KEEP_VERSIONS="4") == {
        "archived": [f"{PROMPT} {v}" for v in range(1, 6)],
        "deleted": [f"{PROMPT} 1"],
        "nearly_full": [PROMPT],
        "copied": [],
        "failed": [],
    }


def test_what_fails_is_told_and_a_version_without_an_archived_copy_stays(world: World) -> None:
    shelf(world)

    world.refuse("s3", "PutObject", "SlowDown", times=1)

    done = housekeep(world)

    assert done["archived"] == [f"{PROMPT} {v}" for v in range(2, 6)]
    assert done["deleted"] == [f"{PROMPT} 2"]
    (failure,) = done["failed"]
    assert failure.startswith(f"{PROMPT} 1: writing {archive_key(PROMPT_ID, 1)}: SlowDown")
    subjects = [subject for subject, _ in world.told()]
    assert subjects == [f"[Promptlane] {PROMPT}: 4 of 4 versions", "[Promptlane] housekeeping: 1 failed"]
    assert failure in world.told()[-1][1]


def test_too_few_versions_to_keep_are_refused(world: World) -> None:
    shelf(world)

    done = housekeep(world, KEEP_VERSIONS="1")

    assert done["deleted"] == []
    assert done["failed"] == [
        f"{PROMPT}: keep_versions is 1; at least 2 must stay, or there is nothing to roll back to"
    ]


def test_a_prompt_that_is_gone_or_another_deployments_is_left_alone(world: World) -> None:
    world.enrol(prompt="gone")
    world.publish(1)
    real("ssm").put_parameter(Name=f"/another/enrolled/{PROMPT}", Value="{}", Type="String")

    assert housekeep(world) == {"archived": [], "deleted": [], "nearly_full": [], "copied": [], "failed": []}
    assert world.told() == []
