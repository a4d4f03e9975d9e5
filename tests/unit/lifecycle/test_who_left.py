"""Reviewers who left while a review is open: by link, by identity, by email, and in the words that people read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import Unauthorized
from promptlane.domain.policy import Reviewer, ReviewPolicy
from promptlane.domain.release.timeline import Event
from promptlane.domain.review.declared import Declared
from promptlane.domain.review.link import Link
from promptlane.domain.review.rules import Standing
from promptlane.domain.review.visit import Door, Fault, Origin, Submission
from promptlane.domain.trail import TrailEvent
from promptlane.pages.outcome_pages import door_page
from tests.support.review import AUTHOR, LEAD, LEGAL, QUALITY, RELEASE, UnderReview, key, told

TWO = ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2)
ALL = Declared((LEAD, QUALITY, LEGAL))
CALLER = Origin("203.0.113.7", "Browser/1.0")
ARN = LEAD.principals[0]


def asked(declared: Declared | None = ALL, **given: Any) -> UnderReview:
    world = UnderReview(TWO, **given)
    world.directory.found = declared
    world.ask()
    return world


def by_link(world: UnderReview, who: Reviewer = LEAD) -> Submission:
    link = Link(RELEASE, 1, key(who), int(world.request.expires_at))
    visit = world.desk.enter(RELEASE, link.token(world.signer.sign(link.message)))
    return world.desk.decide_by_link(visit, choice="approve", code=world.code(who), reason="Read it", caller=CALLER)


def by_identity(world: UnderReview, arn: str = ARN) -> Submission:
    read = world.request.candidate.fingerprint
    return world.desk.decide_by_identity(
        RELEASE, arn=arn, choice="approve", reason="Read it", caller=CALLER, fingerprint=read
    )


LEFT = {
    "left": Declared((QUALITY, LEGAL)),
    "has another address": Declared((replace(LEAD, email="lead@example.org"), QUALITY, LEGAL)),
    "has another name": Declared((replace(LEAD, name="somebody"), QUALITY, LEGAL)),
    "is nobody": Declared(),
}


@pytest.mark.parametrize("now", LEFT.values(), ids=LEFT)
def test_whoever_is_declared_no_longer_decides_nothing(now: Declared) -> None:
    world = asked()
    world.directory.found = now
    for decided in (by_link(world), by_identity(world)):
        assert (decided.visit.door, decided.fresh) == (Door.LEFT, False)
    assert world.request.decisions == 0
    assert {e.detail["why"] for e in told(world, Event.REVIEW_LINK_REFUSED)} == {"left"}
    status, page = door_page(by_link(world).visit)
    assert status == 403
    assert "no reviewer here any more" in page


def test_whoever_leaves_while_they_decide_decides_nothing() -> None:
    world = asked()
    link = Link(RELEASE, 1, key(LEAD), int(world.request.expires_at))
    visit = world.desk.enter(RELEASE, link.token(world.signer.sign(link.message)))
    assert visit.door is Door.OPEN
    world.directory.found = LEFT["left"]
    done = world.desk.decide_by_link(visit, choice="approve", code=world.code(), reason="Read it", caller=CALLER)
    assert (done.visit.door, world.request.decisions) == (Door.LEFT, 0)


def test_whoever_is_declared_again_decides_again_and_nothing_given_before_is_lost() -> None:
    world = asked()
    assert by_link(world).fresh
    world.directory.found = LEFT["left"]
    assert by_link(world).visit.door is Door.USED  # what they gave while they were a reviewer stands
    assert by_link(world, QUALITY).fresh
    assert world.request.outcome is not None
    other = asked()
    other.directory.found = LEFT["left"]
    assert by_link(other).visit.door is Door.LEFT
    other.directory.found = ALL
    assert by_link(other).fresh


@pytest.mark.parametrize("declared", [None, ALL], ids=["nobody was ever declared", "all are"])
def test_whoever_is_declared_decides_as_their_policy_says(declared: Declared | None) -> None:
    world = asked(declared)
    assert by_identity(world).fresh
    assert by_link(world, QUALITY).fresh


def test_a_principal_that_is_declared_no_longer_decides_nothing() -> None:
    world = asked()
    world.directory.found = Declared((replace(LEAD, principals=("arn:aws:iam::1:user/new",)), QUALITY, LEGAL))
    with pytest.raises(Unauthorized, match="is no longer declared for support-lead"):
        by_identity(world)
    assert {e.detail["why"] for e in told(world, Event.REVIEW_LINK_REFUSED)} == {"no longer the reviewer's"}
    with pytest.raises(Unauthorized, match="is no reviewer of this release"):
        by_identity(world, "arn:aws:iam::1:user/new")  # the captured policy does not know it
    assert by_link(world).fresh


def test_a_principal_that_is_declared_since_shows_an_author() -> None:
    events = (TrailEvent("UpdatePrompt", 8_999, AUTHOR, "IAMUser"),)
    world = asked(events=events)
    world.directory.found = Declared((replace(LEAD, principals=(*LEAD.principals, AUTHOR)), QUALITY, LEGAL))
    assert by_link(world).fault is Fault.AUTHOR


def test_a_hundred_reviewers_of_one_prompt_are_asked_and_approve() -> None:
    crowd = tuple(Reviewer(f"reviewer-{n}", f"reviewer-{n}@example.com", principals=(f"{ARN}{n}",)) for n in range(100))
    world = UnderReview(ReviewPolicy(crowd, quorum=20))
    world.directory.found = Declared(crowd)
    world.ask()
    assert [email for email, _ in world.post.sent] == [person.email for person in crowd]
    assert len(json.dumps(world.request.to_item())) < 100_000  # an item has room for 400 KB
    for person in crowd[-20:]:
        assert by_link(world, person).fresh
    assert (world.request.outcome or {})["decision"] == "approved"


def test_one_run_asks_once_about_a_reviewer_of_many_reviews() -> None:
    world = asked()
    seen: list[str] = []
    reach = world.post.reach
    world.post.reach = lambda emails: (seen.extend(emails), reach(emails))[1]  # type: ignore[func-returns-value, method-assign]
    open_reviews = world.reviews.open_reviews
    world.reviews.open_reviews = lambda: open_reviews() * 3  # type: ignore[method-assign]
    world.round.look_after()
    assert seen == [LEAD.email, QUALITY.email, LEGAL.email]


def test_whoever_left_is_not_mailed_and_operators_are_told_what_that_means() -> None:
    world = asked(Declared((QUALITY, LEGAL)))
    assert sorted(email for email, _ in world.post.sent) == sorted([QUALITY.email, LEGAL.email])
    (entry,) = told(world, Event.REVIEW_HINDERED)
    assert entry.detail["state"] == "left"
    assert "support-lead <support-lead@example.com> is no longer declared as a reviewer" in entry.detail["what"]
    assert "promptlane release" in entry.detail["remedy"]
    world.directory.found = Declared((LEGAL,))
    world.round.look_after()
    obstacle = told(world, Event.REVIEW_HINDERED)[-1].detail["what"]
    assert obstacle.startswith("The quorum cannot be met by email now: ")
    assert "support-lead (is no longer declared" in obstacle
    assert world.desk.settle(RELEASE).standing is Standing.OPEN  # type: ignore[union-attr]
    world.directory.found = ALL
    world.round.look_after()
    assert LEAD.email in [email for email, _ in world.post.sent]
