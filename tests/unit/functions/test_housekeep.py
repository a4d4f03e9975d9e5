"""What is archived, deleted and copied on the schedule, and whom that is told."""

from __future__ import annotations

from typing import Any

import pytest

from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.housekeeping import archive_key, from_archive
from promptlane.domain.release.release import Release
from tests.support.functions import COPIES, REPORTS, Context, World
from tests.support.prompt import ID, PROMPT

Json = Any


def housekeep(world: World, **changed: str) -> dict[str, Json]:
    return dict(world.function("housekeep", **changed).handle({}, Context()))


def shelf(world: World) -> None:
    """Five versions, of which 1 and 2 are in no use, and a release whose first entry has no copy yet."""
    world.enrol()
    for version in range(1, 6):
        world.publish(version)
    for version in range(1, 5):
        world.releases.record_ended(Release(f"{ID}-{version}-1", PROMPT, 0, "somebody", state="ended"))
    stable, previous = (world.store.version(ID, v).ref for v in (4, 3))
    world.route(stable, previous=previous)
    world.start(5, state="testing")
    world.now += 100


def test_versions_are_archived_the_oldest_go_and_people_are_warned(world: World) -> None:
    shelf(world)

    assert housekeep(world) == {
        "archived": [f"{PROMPT} {v}" for v in range(1, 6)],
        "readable": [f"{PROMPT} 4", f"{PROMPT} 3"],
        "deleted": [f"{PROMPT} 1", f"{PROMPT} 2"],
        "nearly_full": [PROMPT],
        "copied": [f"{ID}-5-1 1"],
        "failed": [],
        "left": 0,
    }

    assert sorted(world.prompts.answers) == [(ID, v) for v in (3, 4, 5)]
    archive = world.objects(REPORTS, "archive/")
    assert set(archive) == {archive_key(ID, v) for v in range(1, 6)}
    kept = from_archive(archive[archive_key(ID, 1)], "1")
    assert (kept.version, kept.description) == (1, "Why version 1")
    assert set(world.objects(COPIES)) == {f"timeline/{ID}-5-1/000001.json"}
    ((subject, body),) = world.told()
    assert subject == f"[Promptlane] {PROMPT}: 3 of 4 versions"
    assert "version 4: stable" in body

    again = {
        "archived": [],
        "readable": [],
        "deleted": [],
        "nearly_full": [PROMPT],
        "copied": [],
        "failed": [],
        "left": 0,
    }
    assert housekeep(world, VERSION_QUOTA="5") == {**again, "nearly_full": []}


def test_without_an_audit_bucket_nothing_is_copied(world: World) -> None:
    shelf(world)

    assert housekeep(world, AUDIT_BUCKET="", KEEP_VERSIONS="4") == {
        "archived": [f"{PROMPT} {v}" for v in range(1, 6)],
        "readable": [f"{PROMPT} 4", f"{PROMPT} 3"],
        "deleted": [f"{PROMPT} 1"],
        "nearly_full": [PROMPT],
        "copied": [],
        "failed": [],
        "left": 0,
    }


def test_what_fails_is_told_and_a_version_without_an_archived_copy_stays(world: World) -> None:
    shelf(world)

    world.refuse("s3", "PutObject", "SlowDown", times=1)

    done = housekeep(world)

    assert done["archived"] == [f"{PROMPT} {v}" for v in range(2, 6)]
    assert done["deleted"] == [f"{PROMPT} 2"]
    (failure,) = done["failed"]
    assert failure.startswith(f"{PROMPT} 1: writing {archive_key(ID, 1)}: SlowDown")
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


def test_a_prompt_that_is_gone_or_not_enrolled_is_left_alone(world: World) -> None:
    world.enrol(prompt="gone")
    world.publish(1)

    assert housekeep(world) == {
        "archived": [],
        "readable": [],
        "deleted": [],
        "nearly_full": [],
        "copied": [],
        "failed": [],
        "left": 0,
    }
    assert world.told() == []


STARTED = {"detail-type": "Release Started", "source": "promptlane"}


@pytest.mark.parametrize("event", [{"prompt": PROMPT}, {**STARTED, "detail": {"prompt": PROMPT, "version": 5}}])
def test_room_is_made_for_one_prompt_when_its_release_starts_or_somebody_asks(
    world: World, event: dict[str, Json]
) -> None:
    shelf(world)
    world.enrol(prompt="other")

    done = world.function("housekeep").handle(event, Context())

    assert (done["deleted"], done["copied"], done["failed"]) == ([f"{PROMPT} 1", f"{PROMPT} 2"], [], [])
    assert sorted(world.prompts.answers) == [(ID, v) for v in (3, 4, 5)]


def test_a_prompt_that_is_not_enrolled_gets_no_room(world: World) -> None:
    shelf(world)
    done = world.function("housekeep").handle({"prompt": "another"}, Context())
    assert not any(done.values())
    with pytest.raises(InvalidInput, match="does not name the prompt"):
        world.function("housekeep").handle({**STARTED, "detail": {}}, Context())
    assert len(world.prompts.answers) == 5
