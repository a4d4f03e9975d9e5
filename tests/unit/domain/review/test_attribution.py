"""Who wrote a version, and each sentence about what CloudTrail cannot tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.policy import Reviewer
from promptlane.domain.review.attribution import attribute
from promptlane.domain.review.review import Authors
from promptlane.domain.trail import CREATE, EDITS, PUBLISH, TRAIL_KEPT, TRAIL_LATE, TrailAnswer, TrailEvent
from tests.support.review import ACCOUNT, LEAD, QUALITY, person

ADA, BO, CY = (f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in ("ada", "bo", "cy"))
ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/run"
SSO = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Authors_1f/dee"
SINCE, PUBLISHED, LATER = 1_000.5, 9_000.0, 20_000.0


def edit(arn: str, at: float = 8_000, kind: str = "IAMUser", name: str = "UpdatePrompt") -> TrailEvent:
    return TrailEvent(name, at, arn, kind)


def publication(arn: str, version: int = 2, at: float = PUBLISHED, kind: str = "IAMUser") -> TrailEvent:
    return TrailEvent("CreatePromptVersion", at, arn, kind, version=version)


def found(*events: TrailEvent, reviewers: tuple[Reviewer, ...] = (LEAD, QUALITY), **more: Any) -> Authors:
    told = TrailAnswer(events, more.pop("truncated", ()), unreadable=more.pop("unreadable", 0))
    asked = {"version": 2, "since": SINCE, "published_at": PUBLISHED, "now": LATER, **more}
    return attribute(told, reviewers, **asked)


def test_what_cloudtrail_calls_its_events_and_how_late_and_long_it_tells() -> None:
    assert (PUBLISH, CREATE, EDITS) == (
        "CreatePromptVersion",
        "CreatePrompt",
        ("CreatePrompt", "UpdatePrompt"),
    )
    assert (TRAIL_LATE, TRAIL_KEPT) == (900.0, 7_776_000.0)


def test_editors_and_the_publisher_are_authors_each_once_and_nobody_else() -> None:
    assert found(edit(CY), edit(BO, 8_100), edit(CY, 8_200), publication(ADA)) == Authors((ADA, BO, CY), (), True)


def test_edits_count_from_the_second_of_the_version_before_to_that_of_the_publication() -> None:
    inside = [edit(ADA, 1_000), edit(BO, 9_001), publication(ADA)]
    outside = [edit(CY, 999.9), edit(CY, 9_001.5), TrailEvent("DeletePrompt", 8_000, CY, "IAMUser")]

    assert found(*inside, *outside) == Authors((ADA, BO), (), True)


def test_an_untold_publication_is_that_nearest_to_the_time_within_half_a_minute() -> None:
    far, near = publication(BO, 0, PUBLISHED + 30), publication(CY, 0, PUBLISHED - 20)

    assert found(edit(ADA), far, near).principals == (ADA, CY)
    assert found(edit(ADA), far).principals == (ADA, BO)
    assert found(edit(ADA), publication(BO, 0, PUBLISHED + 30.5)).principals == (ADA,)
    assert found(edit(ADA), far, near, publication(LEAD.principals[0], 2, PUBLISHED + 90)).principals == tuple(
        sorted((ADA, LEAD.principals[0]))
    )
    assert found(edit(ADA), publication(BO, 3)).principals == (ADA,)


def test_no_other_event_near_the_publication_is_taken_for_it() -> None:
    untold = ("CloudTrail has no event of the publication of version 2",)

    assert found(edit(ADA, PUBLISHED - 1)) == Authors((ADA,), untold, True)
    assert found(edit(ADA), TrailEvent("TagResource", PUBLISHED, CY, "IAMUser", version=2)) == Authors(
        (ADA,), untold, True
    )


@pytest.mark.parametrize(
    ("arn", "kind", "told"), [(ADA, "IAMUser", True), (SSO, "AssumedRole", True), (ROLE, "AssumedRole", False)]
)
def test_an_identity_that_may_be_several_people_is_named(arn: str, kind: str, told: bool) -> None:
    doubts = () if told else (f"{arn} may stand for several people",)

    assert found(edit(arn, kind=kind), publication(BO)) == Authors(tuple(sorted((arn, BO))), doubts, True)


def test_an_identity_of_two_kinds_is_no_single_person() -> None:
    assert found(edit(ADA), edit(ADA, 8_100, kind="AssumedRole"), publication(BO)).unattributed == (
        f"{ADA} may stand for several people",
    )


def test_a_principal_of_any_reviewer_tells_that_reviewer() -> None:
    mapped = person("second", principals=[f"arn:aws:iam::{ACCOUNT}:role/other", f"arn:aws:iam::{ACCOUNT}:role/ci"])
    unmapped = person("third", principals=[])

    assert found(edit(ROLE, kind="AssumedRole"), publication(LEAD.principals[0]), reviewers=(LEAD, mapped)) == Authors(
        tuple(sorted((ROLE, LEAD.principals[0]))), (), True
    )
    assert found(edit(ADA), publication(LEAD.principals[0]), reviewers=(LEAD, unmapped)).unattributed == (
        f"{ADA} may stand for several people",
    )


def test_events_without_a_principal_are_counted() -> None:
    nobody = edit("", kind="AWSService")

    assert found(nobody, nobody, edit(ADA), publication("", kind="AWSService")) == Authors(
        (ADA,), ("3 event(s) in CloudTrail name no principal",), True
    )
    assert found(nobody, edit(ADA), publication(BO)).unattributed == ("1 event(s) in CloudTrail name no principal",)
    assert found(edit(ADA), publication("", kind="AWSService")).unattributed == (
        "1 event(s) in CloudTrail name no principal",
    )


NO_EDIT = "CloudTrail has no event of an edit of the draft since the version before"


@pytest.mark.parametrize(("now", "early"), [(PUBLISHED + 899.9, True), (PUBLISHED + 900, False)])
def test_what_is_missing_may_come_within_a_quarter_of_an_hour(now: float, early: bool) -> None:
    no_publication = f"CloudTrail has no event of the publication of version 2{' yet' if early else ''}"

    assert found(now=now) == Authors((), (no_publication, NO_EDIT), not early)
    assert found(edit(ADA), now=now) == Authors((ADA,), (no_publication,), not early)
    assert found(publication(BO), now=now) == Authors((BO,), (NO_EDIT,), not early)
    assert found(edit(ADA), publication(BO), now=now) == Authors((ADA, BO), (), True)


@pytest.mark.parametrize(("age", "doubted"), [(TRAIL_KEPT, False), (TRAIL_KEPT + 1, True)])
def test_edits_may_be_missing_from_before_cloudtrails_memory(age: float, doubted: bool) -> None:
    told = ("the version before it is older than the 90 days that CloudTrail can look back, so edits may be missing",)

    assert found(edit(ADA), publication(BO), now=SINCE + age) == Authors((ADA, BO), told if doubted else (), True)


def test_a_first_version_is_told_from_its_prompts_creation_on() -> None:
    created, again = edit(CY, 2_000, name="CreatePrompt"), edit(CY, 4_000, name="CreatePrompt")
    missing = ("CloudTrail has no event of the prompt's creation, so edits may be missing",)
    ours = (again, created, edit(ADA, 1_500), publication(BO))

    assert found(*ours, since=0, now=2_000 + TRAIL_KEPT) == Authors((ADA, BO, CY), (), True)
    assert found(*ours, since=0, now=2_001 + TRAIL_KEPT).unattributed == missing
    assert found(edit(ADA), publication(BO), since=0).unattributed == missing


def test_events_that_could_not_be_read_are_a_doubt() -> None:
    assert found(edit(ADA), publication(BO), truncated=("UpdatePrompt",)).unattributed == (
        "there were more events than could be read",
    )
    assert found(edit(ADA), publication(BO), unreadable=2).unattributed == (
        "2 event(s) in CloudTrail cannot be read, or do not say which prompt they changed",
    )


def test_a_call_that_failed_changed_nothing() -> None:
    assert found(replace(edit(CY), error="AccessDenied"), edit(ADA), publication(BO)) == Authors((ADA, BO), (), True)


def test_a_service_that_called_for_somebody_is_no_principal() -> None:
    assert found(edit("cloudformation.amazonaws.com"), edit(ADA), publication(BO)) == Authors(
        (ADA, BO), ("1 event(s) in CloudTrail name no principal",), True
    )
