"""Where versions came from, and everything that happened, as the joined sources tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.investigation.findings import Happening, Story
from promptlane.domain.investigation.provenance import stories_of, timeline_of
from promptlane.domain.investigation.sources import AlarmChange, Gathered
from promptlane.domain.names import Outcome
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.trail import TrailEvent
from tests.support.investigation_case import AUTHOR, EDITOR, T0, entry
from tests.support.known_facts import LEAD, SECOND, WINDOW, cell, facts, release, version
from tests.support.prompt import ID

OTHER = "arn:aws:iam::111122223333:user/other"


def changed(name: str, at: float, by: str = EDITOR, number: int = 0, error: str = "") -> TrailEvent:
    return TrailEvent(name, at, by, "IAMUser", ID, number, error)


def published(number: int, at: float, by: str = AUTHOR) -> TrailEvent:
    return changed("CreatePromptVersion", at, by, number)


def again(number: int, name: str, at: float, event: Event, **detail: Any) -> TimelineEntry:
    """An entry of a version's second release."""
    one = f"{ID}-{number}-2"
    return TimelineEntry(f"{one}/{name}", one, at, event, detail=detail)


def story(known: Gathered, number: int) -> Story:
    return next(s for s in stories_of(known) if s.version == number)


def test_a_story_has_its_own_people_and_times() -> None:
    """Version 8 of two releases between its neighbours 3 and 9; who edits, publishes, asks and approves all differ."""
    known = facts(
        snapshots={
            3: version(3),
            8: version(8, description="Firmer"),
            9: version(9),
        },
        releases=(
            release(3, T0 - 8_000, by="cyd", verdict={"verdict": "fail"}),
            release(8, T0 - 4_000, by="ada", outcome=Outcome.ROLLED_BACK),
            release(8, T0 - 300, attempt=2, by="bob", description="again", verdict={"verdict": "pass"}),
            release(9, T0 - 600, by="eve", outcome=Outcome.REJECTED),
        ),
        entries=(
            again(8, "p", T0 + 900, Event.PROMOTED, version=8),
            entry(8, "a", T0 - 3_900, Event.REVIEWER_DECIDED, LEAD, choice="approve"),
            entry(8, "b", T0 - 3_800, Event.REVIEWER_DECIDED, OTHER, choice="reject"),
            entry(8, "c", T0 - 3_700, Event.REVIEWER_DECIDED, SECOND, choice="approve"),
            entry(8, "d", T0 - 3_650, Event.REVIEWER_DECIDED, LEAD, choice="approve"),
            entry(8, "e", T0 - 3_640, Event.REVIEW_VIEWED, OTHER, choice="approve"),
            entry(8, "w", T0 - 3_600, Event.CANARY_SHIFTED, version=8, weight=0, stable=3),
            entry(8, "s", T0 - 3_500, Event.CANARY_SHIFTED, version=8, weight=1, stable=3),
            entry(8, "t", T0 - 3_400, Event.CANARY_SHIFTED, version=8, weight=900, stable=3),
            entry(8, "p", T0 - 3_000, Event.PROMOTED, version=8, previous=3),
            entry(8, "r", T0 - 2_500, Event.ROLLED_BACK, version=8, restored=3, phase="watch"),
            again(8, "s", T0 + 100, Event.CANARY_SHIFTED, version=8, weight=1_000, stable=3),
            again(8, "r", T0 + 1_500, Event.ROLLED_BACK, version=8, restored=3, phase="watch"),
            entry(3, "r", T0 + 2_000, Event.ROLLED_BACK, version=3, restored=8, phase="steady"),
            entry(9, "a", T0 - 500, Event.REVIEWER_DECIDED, OTHER, choice="approve"),
        ),
        trail=(
            changed("CreatePrompt", T0 - 9_500, OTHER),
            published(3, T0 - 9_000, OTHER),
            changed("UpdatePrompt", T0 - 8_000),
            changed("UpdatePrompt", T0 - 7_500, error="AccessDenied", by="denied"),
            changed("UpdatePrompt", T0 - 7_000, ""),
            changed("CreatePrompt", T0 - 6_000, AUTHOR),
            changed("UpdatePrompt", T0 - 5_999),
            published(8, T0 - 4_990),
            changed("UpdatePrompt", T0 - 4_000, OTHER),
            published(9, T0 - 700, OTHER),
        ),
        cells=(cell(T0, 16, 5, 0),),
    )

    assert list(stories_of(known)) == [
        Story(
            3,
            f"{ID}-3-1",
            published_at=T0 - 9_000,
            published_by=OTHER,
            edited_by=(OTHER,),
            requested_by="cyd",
            verdict="fail",
            rolled_back_at=T0 + 2_000,
            restored_at=T0 + 1_500,
        ),
        Story(
            8,
            f"{ID}-8-2",
            "Firmer",
            published_at=T0 - 4_990,
            published_by=AUTHOR,
            edited_by=(EDITOR, AUTHOR),
            requested_by="bob",
            approved_by=(LEAD, SECOND),
            verdict="pass",
            first_served=T0 - 3_500,
            promoted_at=T0 + 900,
            rolled_back_at=T0 + 1_500,
            restored_at=T0 + 2_000,
        ),
        Story(
            9,
            f"{ID}-9-1",
            published_at=T0 - 700,
            published_by=OTHER,
            edited_by=(OTHER,),
            requested_by="eve",
            approved_by=(OTHER,),
        ),
        Story(16),
    ]


def test_a_first_version_that_was_promoted_without_a_canary_was_served_from_then_on() -> None:
    known = facts(releases=(release(1),), entries=(entry(1, "p", T0 + 5, Event.PROMOTED, version=1, first=True),))

    assert (story(known, 1).first_served, story(known, 1).promoted_at) == (T0 + 5, T0 + 5)


def test_entries_of_one_time_are_in_the_order_of_their_numbers() -> None:
    """Two reviewers decided in one second: the chain says who was first."""
    late = replace(entry(1, "b", T0, Event.REVIEWER_DECIDED, LEAD, choice="approve"), seq=7)
    early = replace(entry(1, "a", T0, Event.REVIEWER_DECIDED, SECOND, choice="approve"), seq=3)

    assert story(facts(releases=(release(1),), entries=(late, early)), 1).approved_by == (SECOND, LEAD)


def test_a_description_is_the_versions_own_and_only_without_it_the_releases() -> None:
    of_release = (release(2, description="of the release"),)

    assert story(facts(releases=of_release), 2).description == "of the release"
    assert story(facts(releases=of_release, snapshots={2: version(2)}), 2).description == ""


def test_a_publication_that_names_the_version_counts_and_no_other_that_is_near_or_failed() -> None:
    at = T0 - 5_000
    failed = changed("CreatePromptVersion", at, OTHER, 2, error="ThrottlingException")
    told = facts(snapshots={2: version(2)}, trail=(failed, published(0, at, EDITOR), published(2, at + 40)))

    assert (story(told, 2).published_by, story(told, 2).published_at) == (AUTHOR, at + 40)
    assert story(replace(told, trail=told.trail[:-1]), 2) == Story(2)


def test_without_a_text_a_masked_publication_is_of_no_version() -> None:
    assert story(facts(releases=(release(2),), trail=(published(0, 0.0), published(0, 20.0))), 2) == Story(
        2, f"{ID}-2-1", requested_by=AUTHOR
    )


def test_an_edit_counts_from_the_second_of_the_publication_before_to_one_second_after_its_own() -> None:
    """CloudTrail's times are whole seconds."""
    began, ended = T0 - 9_000.5, T0 - 5_000
    times = {"too-early": T0 - 9_002, "first": T0 - 9_001, "last": ended + 1, "too-late": ended + 2}
    told = facts(
        snapshots={1: version(1), 2: version(2)},
        trail=(
            published(1, int(began)),
            *(changed("UpdatePrompt", at, by) for by, at in times.items()),
            published(2, ended),
        ),
    )

    assert story(told, 2).edited_by == ("first", "last")


def test_every_edit_before_it_belongs_to_a_first_version() -> None:
    told = facts(snapshots={1: version(1)}, trail=(changed("CreatePrompt", 0.5), published(1, T0)))

    assert story(told, 1).edited_by == (EDITOR,)


def test_edits_before_a_publication_whose_text_is_gone_belong_to_that_one() -> None:
    """Versions 2 and 3 are known by their publications alone; one of them failed, one came later."""
    told = facts(
        snapshots={4: version(4), 5: version(5)},
        trail=(
            changed("UpdatePrompt", T0 - 4_000, "of-2"),
            published(2, T0 - 3_900),
            changed("UpdatePrompt", T0 - 3_800, "of-3"),
            published(0, T0 - 3_000),
            changed("UpdatePrompt", T0 - 2_500, "of-4"),
            changed("CreatePromptVersion", T0 - 2_000, AUTHOR, 3, error="ThrottlingException"),
            published(4, T0 - 1_000),
            changed("UpdatePrompt", T0 - 500, "of-none"),
        ),
    )

    assert story(told, 4).edited_by == ("of-4",)


def test_a_publication_of_a_later_version_ends_no_edits_of_an_earlier_one() -> None:
    """Its number is of a later version, though its time is not (a restored event history may hold such)."""
    told = facts(
        snapshots={2: version(2)},
        trail=(changed("UpdatePrompt", T0 - 3_000), published(5, T0 - 2_000), published(2, T0 - 1_000)),
    )

    assert story(told, 2).edited_by == (EDITOR,)


def test_a_republished_number_is_bounded_by_its_earlier_publication_and_not_by_one_at_its_own_end() -> None:
    told = facts(
        snapshots={2: version(2)},
        trail=(
            changed("UpdatePrompt", T0 - 2_000),
            published(2, T0 - 1_000),
            published(2, T0 - 1_000, OTHER),
            published(2, T0 - 1_500, OTHER),
        ),
    )

    assert story(told, 2).edited_by == ()
    assert story(replace(told, trail=told.trail[:-1]), 2).edited_by == (EDITOR,)


def test_the_timeline_tells_of_every_source_in_order() -> None:
    since, until = WINDOW.since, WINDOW.until
    known = facts(
        trail=(
            changed("UpdatePrompt", T0 + 50),
            published(3, T0 + 60),
            changed("DeletePrompt", T0 + 70, OTHER, 2, "AccessDenied"),
            TrailEvent("StopLogging", T0 + 40, OTHER, target="main"),
            TrailEvent("Converse", T0 + 45, OTHER),
            TrailEvent("RenderPrompt", T0 + 46, OTHER),
            changed("UpdatePrompt", until),
            changed("UpdatePrompt", since),
        ),
        entries=(
            entry(3, "s", T0 + 65, Event.CANARY_SHIFTED, version=3, weight=250, stable=2),
            entry(3, "v", T0 + 55, Event.REVIEW_VIEWED, LEAD),
            entry(3, "d", T0 + 56, Event.REVIEWER_DECIDED, LEAD, choice="approve", reason="fine\nby me"),
            entry(3, "x", since - 1, Event.STARTED, AUTHOR),
        ),
        alarms=(
            AlarmChange("lane/x/stable/Error", T0 + 80, "OK", "ALARM", "Threshold  Crossed"),
            AlarmChange("lane/x/stable/Error", T0 + 75, "INSUFFICIENT_DATA", "OK", "unchecked"),
            AlarmChange("lane/x/stable/Error", T0 + 90, "ALARM", "OK"),
            AlarmChange("lane/x/stable/Error", until + 1, "OK", "ALARM"),
        ),
    )

    assert list(timeline_of(known)) == [
        Happening(since, "cloudtrail", "UpdatePrompt", EDITOR, 0, True),
        Happening(T0 + 40, "cloudtrail", "StopLogging", OTHER, 0, False),
        Happening(T0 + 50, "cloudtrail", "UpdatePrompt", EDITOR, 0, True),
        Happening(T0 + 56, "release", f"Reviewer Decided: choice approve; fine by me [{ID}-3-1]", LEAD),
        Happening(T0 + 60, "cloudtrail", "CreatePromptVersion of version 3", AUTHOR, 3, True),
        Happening(T0 + 65, "release", f"Canary Shifted: version 3; 2.5% of traffic [{ID}-3-1]", "promptlane", 3, True),
        Happening(T0 + 70, "cloudtrail", "DeletePrompt of version 2 failed: AccessDenied", OTHER, 2, False),
        Happening(T0 + 80, "alarm", "alarm lane/x/stable/Error: OK → ALARM (Threshold Crossed)"),
        Happening(T0 + 90, "alarm", "alarm lane/x/stable/Error: ALARM → OK"),
    ]


@pytest.mark.parametrize(
    ("event", "detail", "told", "number", "change"),
    [
        (Event.STARTED, {}, "Release Started", 0, False),
        (Event.STARTED, {"version": "none", "verdict": "", "decision": None}, "Release Started", 0, False),
        (Event.PROMOTED, {"version": 4, "previous": 3}, "Release Promoted: version 4", 4, True),
        (
            Event.ROLLED_BACK,
            {"reason": "too many", "restored": 3, "cause": "alarm", "version": "4"},
            "Release Rolled Back: version 4; cause alarm; restored 3; too many",
            4,
            True,
        ),
        (
            Event.CANARY_JUDGED,
            {"judgement": "advance", "outcome": "promoted", "weight": 0, "verdict": "pass"},
            "Canary Judged: 0% of traffic; verdict pass; outcome promoted; judgement advance",
            0,
            False,
        ),
        (Event.REVIEW_DECIDED, {"decision": "approved", "weight": "5"}, "Review Decided: decision approved", 0, False),
    ],
)
def test_an_entry_is_told_with_what_it_decided(
    event: Event, detail: dict[str, Any], told: str, number: int, change: bool
) -> None:
    known = facts(entries=(entry(7, "x", T0, event, LEAD, **detail),))

    assert list(timeline_of(known)) == [Happening(T0, "release", f"{told} [{ID}-7-1]", LEAD, number, change)]


def test_long_words_are_cut_short() -> None:
    known = facts(
        entries=(entry(7, "x", T0, Event.STARTED, reason="z" * 500),),
        alarms=(AlarmChange("a", T0 + 1, "OK", "ALARM", "y" * 500),),
    )

    assert [h.what for h in timeline_of(known)] == [
        f"Release Started: {'z' * 239}… [{ID}-7-1]",
        f"alarm a: OK → ALARM ({'y' * 199}…)",
    ]
