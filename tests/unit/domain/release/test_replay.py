"""What a timeline may say: every entry has its place, its id, and somebody who may write it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.release.findings import Findings
from promptlane.domain.release.replay import IDS, approvals_told, route_revision, story_findings
from promptlane.domain.release.timeline import COPIED_WITHIN, SYSTEM, Event, TimelineEntry
from tests.support.prompt import RELEASE

OPERATOR = "arn:aws:iam::111122223333:user/operator"


def entry(event: Event, own: str, by: str = SYSTEM, at: float = 1000.0, **detail: Any) -> TimelineEntry:
    return TimelineEntry(f"{RELEASE}/{own}", RELEASE, at, event, by, detail)


STARTED = entry(Event.STARTED, "started", by="ada", version=2)
ADMITTED = entry(Event.ADMITTED, "admitted", version=2, fingerprint="f")
PLANNED = entry(Event.TESTS_PLANNED, "tests/1/planned", round=1)
FINISHED = entry(Event.TESTS_FINISHED, "tests/1/finished", round=1)
REQUESTED = entry(Event.REVIEW_REQUESTED, "review/1/requested", round=1)
VOTED = entry(Event.REVIEWER_DECIDED, "review/1/decision/0123456789abcdef", by="bob", reviewer="0123456789abcdef")
APPROVED = entry(Event.REVIEW_DECIDED, "review/1/decided", by="bob", round=1, decision="approved", candidate="f")
SHIFTED = entry(Event.CANARY_SHIFTED, "route/2", version=2, weight=500)
PAUSED = entry(Event.CANARY_PAUSED, "pause/7", by=OPERATOR)
PROMOTED = entry(Event.PROMOTED, "route/3", version=2)
ENDED = entry(Event.ENDED, "ended", outcome="promoted")
WHOLE = (STARTED, ADMITTED, PLANNED, FINISHED, REQUESTED, VOTED, APPROVED, SHIFTED, PAUSED, PROMOTED, ENDED)


def problems(*entries: TimelineEntry) -> list[str]:
    found = Findings()
    story_findings(RELEASE, [replace(e, seq=number) for number, e in enumerate(entries, 1)], found)
    assert found.compared == len(entries)
    return [str(problem) for problem in found.problems]


def test_a_release_that_goes_its_way_has_no_problem_however_far_it_went() -> None:
    for length in range(1, len(WHOLE) + 1):
        assert problems(*WHOLE[:length]) == []


def test_every_event_has_a_form_of_its_id() -> None:
    """Whoever adds an event says here under which id it is written; what is unknown could be anybody's."""
    assert set(IDS) == set(Event)


def test_a_version_that_waited_and_was_superseded_has_nothing_but_its_end() -> None:
    assert problems(replace(ENDED, detail={"outcome": "superseded"})) == []
    assert problems(replace(ENDED, detail={"outcome": "failed"})) == [
        "entry 1, Release Ended: it ended failed without a beginning"
    ]
    assert problems() == ["timeline: it is empty, and a release is written together with its first entry"]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ((ADMITTED,), "entry 1, Admitted: nothing before it says Release Started"),
        ((STARTED, STARTED), "entry 2, Release Started: entry 1 says so already"),
        ((STARTED, PLANNED), "entry 2, Tests Planned: nothing before it says Admitted"),
        ((STARTED, ADMITTED, SHIFTED), "entry 3, Canary Shifted: no review before it approved what was admitted"),
        (
            (STARTED, ADMITTED, replace(APPROVED, detail={**APPROVED.detail, "candidate": "g"}), SHIFTED),
            "entry 4, Canary Shifted: no review before it approved what was admitted",
        ),
        (
            (STARTED, ADMITTED, replace(APPROVED, detail={**APPROVED.detail, "decision": "rejected"}), PROMOTED),
            "entry 4, Release Promoted: no review before it approved what was admitted",
        ),
        (
            (*WHOLE[:7], entry(Event.REVIEW_REOPENED, "review/1/reopened", round=1), SHIFTED),
            "entry 9, Canary Shifted: no review before it approved what was admitted, and still does",
        ),
        ((STARTED, entry(Event.ROLLED_BACK, "route/2", by="x")), "nothing before it says Canary Shifted or Release Pr"),
        ((STARTED, PAUSED), "entry 2, Canary Paused: nothing before it says Canary Shifted"),
        (
            (*WHOLE, replace(PAUSED, id=f"{RELEASE}/pause/8")),
            "Canary Paused: the release ended with entry 11",
        ),
        ((*WHOLE, replace(PROMOTED, id=f"{RELEASE}/route/9")), "entry 12, Release Promoted: entry 10 says so already"),
        ((STARTED, ENDED), "entry 2, Release Ended: it ended promoted, and nothing before it says Release Promoted"),
        ((STARTED, replace(ENDED, detail={"outcome": "rolled_back"})), "nothing before it says Release Rolled Back"),
        ((STARTED, ADMITTED, replace(PLANNED, id=f"{RELEASE}/tests/2/planned", detail={"round": 2})), "after 0 rounds"),
        ((*WHOLE[:4], FINISHED), "entry 5, Tests Finished: entry 4 finished round 1 already"),
        (
            (*WHOLE[:3], replace(FINISHED, id=f"{RELEASE}/tests/2/finished", detail={"round": 2})),
            "entry 4, Tests Finished: round 2 of the tests was not begun",
        ),
        (
            (STARTED, replace(ADMITTED, by="eve")),
            "no person does this, and it is said to be by 'eve'",
        ),
        ((*WHOLE[:8], replace(PAUSED, by="eve")), "only an IAM identity does this, and it is said to be by 'eve'"),
        ((STARTED, replace(ADMITTED, detail={"version": 3})), "entry 2, Admitted: it is about version 3"),
        ((STARTED, replace(ADMITTED, id="admitted")), "no function writes it under the id 'admitted'"),
        ((STARTED, replace(ADMITTED, id=f"{RELEASE}/admitted/2")), "no function writes it under the id"),
        (
            (STARTED, replace(ADMITTED, release_id="PROMPT0001-3-1")),
            "it is of release PROMPT0001-3-1",
        ),
        ((*WHOLE[:4], replace(REQUESTED, detail={"round": 2})), "its id says round 1, its detail 2"),
        (
            (*WHOLE[:5], replace(VOTED, detail={"reviewer": "f" * 16})),
            "its id says reviewer 0123456789abcdef",
        ),
        ((entry(Event.REVIEW_VIEWED, "review/1/viewed/x", by="x"),), "entry 1, Review Viewed: no release begins so"),
        (
            (STARTED, entry(Event.REVIEW_VIEWED, "review/1/viewed/x", by="x", at=999.0 - COPIED_WITHIN)),
            "it is dated 1970-01-01T00:01:39.000Z, before entry 1 of 1970-01-01T00:16:40.000Z",
        ),
    ],
)
def test_what_cannot_have_come_to_stand_there_is_named(entries: tuple[TimelineEntry, ...], said: str) -> None:
    found = problems(*entries)
    assert [problem for problem in found if said in problem], found


def test_what_was_late_may_be_dated_early_and_may_come_after_the_end() -> None:
    late = (
        entry(Event.ROLLED_BACK, "route/4", by=OPERATOR, at=5.0, version=2),
        entry(Event.REVIEWER_DECIDED, "review/1/decision/1123456789abcdef", by="bo", reviewer="1123456789abcdef"),
        entry(Event.ROLLBACK_IMPOSSIBLE, "impossible/5"),
        entry(Event.REVIEW_VIEWED, "review/1/viewed/x", by="x", at=1000.0 - COPIED_WITHIN),
        entry(Event.CANARY_SHIFTED, "route/5", version=2, weight=0, at=6.0),
    )
    assert problems(*WHOLE, *late) == []
    first = replace(PROMOTED, detail={"version": 2, "first": True})
    failed = replace(ENDED, detail={"outcome": "failed"})
    assert problems(*WHOLE[:7], failed, first) == [], "wound up while the first route was written"


def test_approvals_and_revisions_are_read_from_entries() -> None:
    assert approvals_told(WHOLE) == [APPROVED]
    assert [route_revision(e.id, e.release_id) for e in (SHIFTED, PROMOTED, ENDED)] == [2, 3, 0]
