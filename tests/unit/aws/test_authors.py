"""Who wrote a version, told from CloudTrail's records, and what is said when they do not tell."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from promptlane.aws.trail import CloudTrailHistory
from promptlane.domain.policy import Reviewer
from promptlane.domain.review.attribution import attribute
from promptlane.domain.review.review import Authors
from promptlane.domain.trail import EDITS, PUBLISH, TrailAnswer, TrailEvent, Window
from tests.support.review import ACCOUNT, AUTHOR, LEAD, PROMPT_ID, QUALITY, person

SSO = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Author_1a2b/author@example.com"
CI = f"arn:aws:sts::{ACCOUNT}:assumed-role/ci-deploy/GitHubActions"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def authors(
    *events: TrailEvent,
    reviewers: tuple[Reviewer, ...] = (LEAD, QUALITY),
    now: float = 1_000_000.0,
    since: float = 1_000,
    truncated: tuple[str, ...] = (),
) -> Authors:
    return attribute(TrailAnswer(events, truncated), reviewers, version=2, since=since, published_at=9_000.0, now=now)


def edit(arn: str, at: float = 8_000, kind: str = "IAMUser") -> TrailEvent:
    return TrailEvent("UpdatePrompt", at, arn, kind)


def publication(arn: str, kind: str = "IAMUser", version: int = 2, at: float = 9_000) -> TrailEvent:
    return TrailEvent("CreatePromptVersion", at, arn, kind, version=version)


def test_everybody_who_edited_since_the_last_version_and_the_publisher_are_authors() -> None:
    found = authors(
        edit(AUTHOR), edit(LEAD.principals[0], 8_500), edit(QUALITY.principals[0], 500), publication(AUTHOR)
    )
    assert found.principals == (AUTHOR, LEAD.principals[0])
    assert found.unattributed == ()
    assert found.complete


def test_an_edit_after_the_publication_is_of_the_next_version() -> None:
    assert authors(edit(AUTHOR), publication(AUTHOR), edit(LEAD.principals[0], 9_002)).principals == (AUTHOR,)


@pytest.mark.parametrize(
    ("arn", "kind", "told"),
    [
        (AUTHOR, "IAMUser", True),
        (SSO, "AssumedRole", True),
        (CI, "AssumedRole", False),
        (ROOT, "Root", False),
        ("", "AWSService", False),
    ],
)
def test_only_an_identity_of_one_person_tells_the_author(arn: str, kind: str, told: bool) -> None:
    assert (authors(edit(arn, kind=kind), publication(AUTHOR)).unattributed == ()) is told


def test_a_shared_role_that_the_policy_maps_to_a_reviewer_is_that_reviewer() -> None:
    mapped = person("support-lead", principals=[f"arn:aws:iam::{ACCOUNT}:role/ci-deploy"])
    assert authors(edit(CI, kind="AssumedRole"), publication(AUTHOR), reviewers=(mapped, QUALITY)).unattributed == ()


def test_where_a_reviewer_has_no_principals_a_stranger_might_be_that_reviewer() -> None:
    unmapped = person("support-lead", principals=[])
    assert authors(edit(AUTHOR), publication(AUTHOR), reviewers=(unmapped, QUALITY)).unattributed


def test_missing_events_are_said_and_may_still_come_for_a_quarter_of_an_hour() -> None:
    early = authors(now=9_100.0)
    assert len(early.unattributed) == 2
    assert not early.complete
    assert authors(now=9_000.0 + 901).complete
    assert not authors(edit(AUTHOR), now=9_100.0).complete
    assert authors(edit(AUTHOR), publication(AUTHOR), now=9_100.0).complete


def test_a_publication_of_another_version_does_not_count_as_this_one() -> None:
    assert authors(edit(AUTHOR), publication(AUTHOR, version=3)).unattributed
    assert authors(edit(AUTHOR), publication(AUTHOR, version=0, at=9_010)).unattributed == ()
    assert authors(edit(AUTHOR), publication(AUTHOR, version=0, at=9_100)).unattributed


def test_what_lies_beyond_cloudtrails_memory_is_said() -> None:
    later = 9_000.0 + 91 * 86_400
    assert authors(edit(AUTHOR), publication(AUTHOR), now=later).unattributed
    assert authors(edit(AUTHOR), publication(AUTHOR), truncated=("UpdatePrompt",)).unattributed


class FakeCloudTrail:
    """LookupEvents with records of AWS's shape, in pages of two."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = records
        self.queries: list[dict[str, Any]] = []

    def lookup_events(self, **query: Any) -> dict[str, Any]:
        self.queries.append(query)
        name = query["LookupAttributes"][0]["AttributeValue"]
        found = [r for r in self.records if r["eventName"] == name]
        start = int(query.get("NextToken", 0))
        answer: dict[str, Any] = {"Events": [{"CloudTrailEvent": json.dumps(r)} for r in found[start : start + 2]]}
        return answer | ({"NextToken": str(start + 2)} if start + 2 < len(found) else {})


def record(name: str, at: float, arn: str = AUTHOR, **more: Any) -> dict[str, Any]:
    return {
        "eventName": name,
        "eventTime": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "userIdentity": {"type": "IAMUser", "arn": arn},
        "requestParameters": {"promptIdentifier": PROMPT_ID},
        "responseElements": None,
        **more,
    }


def look_up(trail: FakeCloudTrail, since: float = 1_000) -> TrailAnswer:
    history = CloudTrailHistory(trail, sleep=None)
    return history.events(PROMPT_ID, "support-assistant", names=(PUBLISH, *EDITS), window=Window(since, 9_060))


def told(*records: dict[str, Any]) -> TrailAnswer:
    return look_up(FakeCloudTrail(*records))


def test_records_of_this_prompt_are_read_in_every_spelling_of_its_id() -> None:
    arn = f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:prompt/{PROMPT_ID}"
    found = told(
        record("UpdatePrompt", 5_000),
        record("UpdatePrompt", 6_000, requestParameters={"promptIdentifier": arn}),
        record("UpdatePrompt", 7_000, requestParameters={"promptIdentifier": f"{arn}:1"}),
        record("CreatePromptVersion", 9_000, responseElements={"version": "2", "id": PROMPT_ID}),
    )
    assert [t.at for t in found.events] == [5_000, 6_000, 7_000, 9_000]
    assert found.events[-1].version == 2


def test_other_prompts_are_left_out() -> None:
    found = told(
        record("UpdatePrompt", 5_000, requestParameters={"promptIdentifier": "OTHERID123"}),
        record("UpdatePrompt", 5_000, requestParameters=None),
        record("CreatePrompt", 5_000, requestParameters={"name": "another"}),
    )
    assert (found.events, found.unreadable) == ((), 1)


def test_the_creation_of_a_prompt_is_known_by_its_answer_or_its_name() -> None:
    found = told(
        record("CreatePrompt", 5_000, requestParameters={"name": "support-assistant"}),
        record("CreatePrompt", 6_000, requestParameters={"name": "HIDDEN"}, responseElements={"id": PROMPT_ID}),
        record(
            "CreatePrompt",
            7_000,
            requestParameters={"name": "support-assistant"},
            responseElements={"id": "OTHERID123"},
        ),
    )
    assert [t.at for t in found.events] == [5_000, 6_000]


def test_a_trail_without_end_is_cut_and_says_so() -> None:
    found = told(*[record("UpdatePrompt", 5_000)] * 1_100)
    assert found.truncated == ("UpdatePrompt",)
    assert len(found.events) == 1_000


def test_a_first_version_is_told_from_the_creation_of_the_prompt_on() -> None:
    late = 200 * 86_400.0
    created = TrailEvent("CreatePrompt", late - 500, AUTHOR, "IAMUser")
    published = TrailEvent("CreatePromptVersion", late, AUTHOR, "IAMUser", version=2)

    def first(*events: TrailEvent) -> Authors:
        return attribute(TrailAnswer(events), (LEAD, QUALITY), version=2, since=0, published_at=late, now=late + 1_000)

    assert first(created, published).unattributed == ()
    assert "creation" in first(edit(AUTHOR, late - 10), published).unattributed[0]


def test_the_lookup_is_bounded_in_time() -> None:
    trail = FakeCloudTrail()
    look_up(trail)
    assert trail.queries[0]["StartTime"] == datetime.fromtimestamp(999, UTC)
    look_up(trail, since=0)
    assert "StartTime" not in trail.queries[-1]
