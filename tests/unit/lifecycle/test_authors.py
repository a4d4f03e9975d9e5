"""Whose authors are looked for, where, and whether an approval holds when later events have arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import NotFound, Unavailable
from promptlane.domain.policy import ReviewPolicy
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event
from promptlane.domain.review.attribution import Question, attribute
from promptlane.domain.review.edits import RECORDED, Edit, merged
from promptlane.domain.review.review import Authors
from promptlane.domain.trail import TRAIL_KEPT, TrailAnswer, TrailEvent, Window
from promptlane.fakes.review import FakeTrail
from promptlane.lifecycle.authors import ApprovalCheck, AuthorSearch
from tests.support.review import AUTHOR, LEAD, NEW, OLD, PROMPT_ID, QUALITY, RELEASE, UnderReview, told

BOTH = (LEAD, QUALITY)
DAY = 86_400.0


class Asked(FakeTrail):
    """A trail that keeps of which time it was asked, and gives one answer, or none."""

    def __init__(self, *events: TrailEvent) -> None:
        super().__init__()
        self.asked: list[Window] = []
        self.answer = TrailAnswer(events)
        self.away = False

    def events(
        self, prompt_id: str, name: str, *, names: Sequence[str], window: Window, most: int = 0, models: Any = ()
    ) -> TrailAnswer:
        assert (prompt_id, name, names) == (PROMPT_ID, "support-assistant", RECORDED)
        self.asked.append(window)
        if self.away:
            raise Unavailable("Rate exceeded")
        return self.answer


def search(world: UnderReview, trail: Asked, late: float = 900.0) -> AuthorSearch:
    return AuthorSearch(trail, world.edits, world.prompts, world.releases, world.clock, late)


def release(world: UnderReview, number: int, **changes: Any) -> Release:
    return replace(world.releases.get(RELEASE), release_id=f"{PROMPT_ID}-{number}-1", **changes)


def ref(world: UnderReview, number: int) -> Any:
    return world.prompts.version(PROMPT_ID, number).ref


def question(world: UnderReview, number: int, *, stable: int | None, **known: Any) -> Question:
    """What the search asked, told by what an unlimited window would give: read off its answer."""
    return Question(version=number, bound=stable or 0, **{"seen_at": 9_500.0, "now": world.now, **known})


def bounds(world: UnderReview, candidate: int, stable: int | None, events: Sequence[TrailEvent]) -> Authors:
    known = release(world, candidate, stable=ref(world, stable) if stable else None)
    return search(world, Asked(*events))(known, BOTH)


def publication(number: int, at: float) -> TrailEvent:
    return TrailEvent("CreatePromptVersion", at, AUTHOR, "IAMUser", PROMPT_ID, number, event_id=f"p{number}")


def test_authors_are_looked_for_since_the_lowest_version_that_holds_what_stable_holds() -> None:
    """3 is a re-publication of 1, and 4 the candidate; 5 is an older content again."""
    world = UnderReview()
    for draft in (OLD, replace(NEW, template="four {{customer_name}} {{question}}")):
        world.prompts.publish(draft, prompt_id=PROMPT_ID)
    events = [publication(number, 1_000.0 * number) for number in (1, 2, 3, 4)]

    assert [bounds(world, 4, stable, events).since for stable in (1, 2, 3, None)] == [1_000, 2_000, 1_000, 0]
    assert [bounds(world, 2, stable, events).since for stable in (3, 4)] == [1_000, 0]


def test_a_version_that_is_gone_is_known_by_its_release() -> None:
    world = UnderReview()
    world.prompts.publish(OLD, prompt_id=PROMPT_ID)
    world.prompts.publish(NEW, prompt_id=PROMPT_ID)
    stable = ref(world, 3)
    world.releases.record_ended(release(world, 1, candidate=ref(world, 1)))
    world.prompts.alter(PROMPT_ID, 1, None)
    events = [publication(number, 1_000.0 * number) for number in (1, 2, 3, 4)]

    assert search(world, Asked(*events))(release(world, 4, stable=stable), BOTH).since == 1_000


def test_a_candidate_was_there_when_its_first_release_began() -> None:
    world = UnderReview()
    again = replace(world.releases.get(RELEASE), release_id=f"{PROMPT_ID}-2-2", started_at=9_990.0)

    assert search(world, Asked(publication(1, 1_000)))(again, BOTH).until == 9_500.0


def test_the_history_is_asked_and_joined_with_what_was_recorded() -> None:
    world = UnderReview()
    edit = Edit(TrailEvent("UpdatePrompt", 8_000, LEAD.principals[0], "IAMUser", PROMPT_ID, event_id="e1"), 8_060.0)
    world.edits.record(PROMPT_ID, edit)
    trail = Asked(publication(1, 1_000), publication(2, 9_000))

    found = search(world, trail)(world.releases.get(RELEASE), BOTH)

    assert trail.asked == [Window(0.0, 10_000.0)]
    known = merged(trail.answer, trail.asked[0], [edit], None, settled=9_100)
    assert found == attribute(known, BOTH, question(world, 2, stable=1))
    assert found.principals == tuple(sorted((AUTHOR, LEAD.principals[0])))


@pytest.mark.parametrize(("until", "since"), [(300 * DAY, 300 * DAY - 3_600), (200 * DAY, 212 * DAY)])
def test_what_was_copied_of_the_history_is_not_asked_for_again(until: float, since: float) -> None:
    world = UnderReview()
    world.now = 302 * DAY
    world.edits.watch(PROMPT_ID, Window(5.0, until))
    trail = Asked(publication(1, 1_000), publication(2, 9_000))

    search(world, trail)(world.releases.get(RELEASE), BOTH)

    assert trail.asked == [Window(since, world.now)]
    assert 302 * DAY - TRAIL_KEPT == 212 * DAY


def test_a_history_that_does_not_answer_leaves_what_was_recorded_and_the_question_open() -> None:
    world, trail = UnderReview(), Asked()
    trail.away = True
    for event in (publication(1, 1_000), publication(2, 9_000)):
        world.edits.record(PROMPT_ID, Edit(event, event.at + 60))

    found = search(world, trail)(world.releases.get(RELEASE), BOTH)

    assert (found.principals, found.complete) == ((AUTHOR,), False)
    assert found.unattributed[0] == "CloudTrail did not answer: Rate exceeded"


def test_while_an_answer_is_not_complete_it_is_asked_for_anew_and_then_only_added_to() -> None:
    world, trail = UnderReview(ReviewPolicy(BOTH)), Asked(publication(1, 1_000), publication(2, 9_000))
    world.ask()
    looking, request = search(world, trail), world.request
    open_still = replace(request, authors=replace(request.authors, principals=("x",), complete=False))
    late = TrailEvent("UpdatePrompt", 8_500, LEAD.principals[0], "IAMUser", PROMPT_ID, event_id="e2")
    world.edits.record(PROMPT_ID, Edit(late, 10_000.0))

    assert looking.again(open_still).principals == tuple(sorted((AUTHOR, LEAD.principals[0])))
    trail.away = True
    assert looking.again(request).principals == tuple(sorted((*request.authors.principals, LEAD.principals[0])))
    assert len(trail.asked) == 1


# Before the first shift


def approved(*, quorum: int = 1) -> UnderReview:
    world = UnderReview(ReviewPolicy((LEAD, QUALITY), quorum=quorum))
    world.ask()
    for who in (LEAD, QUALITY)[:quorum]:
        assert world.send(who)["statusCode"] == 200
    assert world.releases.get(RELEASE).approval
    return world


def check(world: UnderReview) -> str:
    return ApprovalCheck(world.reviews, world.edits, world.releases, world.clock)(world.releases.get(RELEASE))


def arrives(world: UnderReview, arn: str, at: float = 8_500.0, kind: str = "IAMUser") -> None:
    event = TrailEvent("UpdatePrompt", at, arn, kind, PROMPT_ID, event_id=f"late-{arn[-3:]}")
    world.edits.record(PROMPT_ID, Edit(event, world.now))


def test_an_approval_of_somebody_who_turns_out_to_be_an_author_holds_no_more_and_the_timeline_says_why() -> None:
    world = approved()
    assert check(world) == ""
    arrives(world, LEAD.principals[0])

    reason = check(world)

    assert reason.startswith(
        f"the approval no longer holds: CloudTrail told after the approval of {LEAD.principals[0]}; waits for 1 more"
    )
    assert check(world) == reason
    authors = replace(world.request.authors, principals=tuple(sorted((AUTHOR, LEAD.principals[0]))))
    assert [(e.by, e.detail) for e in told(world, Event.REVIEW_REOPENED)] == [
        ("promptlane", {"round": 1, "reason": reason, "authors": authors.to_dict()})
    ]


def test_an_author_found_late_who_approved_nothing_changes_nothing() -> None:
    world = approved()
    arrives(world, QUALITY.principals[0])
    arrives(world, LEAD.principals[0], at=9_002.0)

    assert check(world) == ""
    assert told(world, Event.REVIEW_REOPENED) == []


def test_an_author_found_late_who_cannot_be_told_costs_what_the_policy_says() -> None:
    world = approved()
    arrives(world, "arn:aws:sts::111122223333:assumed-role/ci/run", kind="AssumedRole")

    assert "waits for 1 more approval" in check(world)


def test_an_approval_of_an_earlier_round_or_without_a_review_is_not_this_ones_to_check() -> None:
    world = approved()
    arrives(world, LEAD.principals[0])
    release = world.releases.get(RELEASE)
    world.releases.update(replace(release, approval={**release.approval, "round": 2}))
    assert check(world) == ""

    other = UnderReview()
    assert check(other) == ""
    with pytest.raises(NotFound):
        other.releases.get(f"{PROMPT_ID}-7-1")
