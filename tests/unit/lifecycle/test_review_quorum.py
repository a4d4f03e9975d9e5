"""Whole reviews, by link and identity at once: nothing but a valid quorum answers, and nothing is half decided."""

from __future__ import annotations

import threading
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import Conflict, Unauthorized
from promptlane.domain.policy import ReviewPolicy
from promptlane.domain.review.review import Choice
from promptlane.domain.review.rules import Standing, tally
from promptlane.domain.review.visit import Door
from promptlane.domain.trail import TrailEvent
from tests.support.review import AUTHOR, LEAD, LEGAL, QUALITY, RELEASE, UnderReview, key, person

TWO = ReviewPolicy(reviewers=(LEAD, QUALITY, LEGAL), quorum=2)
LEAD_ARN, QUALITY_ARN = LEAD.principals[0], QUALITY.principals[0]


def test_two_reviewers_at_one_instant_complete_the_quorum_exactly_once() -> None:
    for _ in range(20):
        world = UnderReview(TWO)
        world.ask()
        barrier = threading.Barrier(2)

        def decide(arn: str, world: UnderReview = world, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            world.by_identity(arn)

        threads = [threading.Thread(target=decide, args=(arn,)) for arn in (LEAD_ARN, QUALITY_ARN)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(world.tokens.answers) == ["token-1"]
        assert world.tokens.answers["token-1"]["decision"] == "approved"
        assert world.events_seen.count("Reviewer Decided") == 2
        assert world.events_seen.count("Review Decided") == 1


def test_an_approval_and_a_rejection_at_one_instant_have_one_outcome_that_rests_on_what_was_recorded_before_it() -> (
    None
):
    for _ in range(20):
        world = UnderReview(ReviewPolicy((LEAD, QUALITY)))
        world.ask()
        barrier = threading.Barrier(2)

        def decide(arn: str, choice: str, world: UnderReview = world, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            world.by_identity(arn, choice)

        threads = [
            threading.Thread(target=decide, args=pair) for pair in ((LEAD_ARN, "approve"), (QUALITY_ARN, "reject"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        recorded = world.reviews.decisions(RELEASE, 1)
        rejected = any(d.choice is Choice.REJECT for d in recorded)
        assert world.tokens.answers["token-1"]["decision"] == ("rejected" if rejected else "approved")
        assert len(recorded) == world.request.decisions


def test_a_changed_stable_asks_again_and_the_old_links_approvals_and_approval_are_void() -> None:
    world = UnderReview(TWO)
    world.ask()
    world.send(LEAD)
    old_link = world.token(QUALITY)
    release = world.releases.get(RELEASE)
    world.releases.update(replace(release, state="testing", round=2, approval={"round": 1, "candidate": "x"}))
    world.ask(round=2, token="token-2")
    assert not world.releases.get(RELEASE).approval
    stale = world.http("GET", old_link)
    assert stale["statusCode"] == 410
    assert "newer review" in stale["body"]
    world.send(QUALITY)
    assert world.tokens.answers == {}  # support-lead's approval was for the first round
    world.send(LEAD)
    assert list(world.tokens.answers) == ["token-2"]


def test_an_earlier_round_never_replaces_a_later_one() -> None:
    world = UnderReview()
    world.ask(round=2)
    with pytest.raises(Conflict):
        world.ask(round=1)


def test_a_clock_that_jumps_back_reopens_nothing_that_was_decided() -> None:
    world = UnderReview()
    world.ask()
    world.send(LEAD)
    world.now -= 5_000
    assert world.send(QUALITY)["statusCode"] == 410
    assert len(world.tokens.answers) == 1


def test_a_reviewer_who_left_the_policy_meanwhile_still_decides_about_the_running_release() -> None:
    world = UnderReview(TWO)
    world.ask()
    world.enrolments.deployed["support-assistant"] = replace(
        world.enrolments.deployed["support-assistant"], review=ReviewPolicy((LEGAL,))
    )
    world.send(LEAD)
    world.send(QUALITY)
    assert world.tokens.answers["token-1"]["decision"] == "approved"


def test_an_author_whom_cloudtrail_tells_late_is_found_before_the_decision() -> None:
    world = UnderReview(ReviewPolicy((LEAD, QUALITY, LEGAL)), events=())
    world.ask()
    assert world.request.authors.unattributed
    world.trail.found += [
        TrailEvent("UpdatePrompt", 8_999, LEAD_ARN, "IAMUser"),
        TrailEvent("CreatePromptVersion", 9_000, LEAD_ARN, "IAMUser", version=2),
    ]
    world.prompts.version("PROMPTID12", 2)
    world.now = 9_500  # within CloudTrail's delivery time
    asked = world.request
    world.reviews.note(asked, authors=replace(asked.authors, complete=False))
    assert world.send(LEAD)["statusCode"] == 403
    assert world.request.authors.principals == (LEAD_ARN,)
    world.send(QUALITY)
    assert world.tokens.answers == {}  # another author may still be told
    world.now = 9_900
    assert world.round.look_after()["settled"] == [RELEASE]
    assert world.tokens.answers["token-1"]["decision"] == "approved"


def test_the_schedule_learns_late_authors_and_completes_what_their_absence_held_up() -> None:
    world = UnderReview(ReviewPolicy((LEAD, QUALITY, LEGAL)), events=())
    world.now = 9_500
    world.ask()
    world.send(QUALITY)
    assert world.tokens.answers == {}  # one more approval, as long as nobody knows who wrote it
    world.trail.found += [
        TrailEvent("UpdatePrompt", 8_999, LEAD_ARN, "IAMUser"),
        TrailEvent("CreatePromptVersion", 9_000, AUTHOR, "IAMUser", version=2),
    ]
    assert world.round.look_after()["settled"] == []
    world.now = 9_900
    assert world.round.look_after()["settled"] == [RELEASE]
    assert world.tokens.answers["token-1"]["by"] == QUALITY.email


# --- by IAM identity -----------------------------------------------------------------------------------------------


def test_a_decision_by_identity_and_one_by_link_of_one_person_are_one() -> None:
    world = UnderReview(TWO)
    world.ask()
    world.by_identity(LEAD_ARN)
    assert "already" in world.send(LEAD)["body"]
    assert world.by_identity(LEAD_ARN).visit.door is Door.USED
    assert world.request.decisions == 1


# --- nothing but a quorum ------------------------------------------------------------------------------------------

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "get",
                "head",
                "post",
                "wrong code",
                "no reason",
                "no choice",
                "foreign",
                "tampered",
                "late",
                "identity",
                "stranger",
                "remind",
                "settle",
                "again",
            ]
        ),
        st.sampled_from([LEAD, QUALITY, LEGAL]),
        st.sampled_from(["approve", "reject", "approve", "approve"]),
    ),
    max_size=14,
)


@settings(max_examples=100)
@given(ACTIONS, st.integers(1, 3), st.sampled_from([(), ("legal",)]))
def test_nothing_but_a_complete_valid_quorum_or_a_rejection_answers_the_workflow(
    actions: list[tuple[str, object, str]], quorum: int, groups: tuple[str, ...]
) -> None:
    world = UnderReview(ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=quorum, required_groups=groups))
    world.ask()
    for action, who, choice in actions:
        play(world, action, who, choice)
        decisions = world.reviews.decisions(RELEASE, 1)
        request = world.request
        if world.tokens.answers:
            assert request.outcome is not None
            answer = next(iter(world.tokens.answers.values()))
            valid = tally(replace(request, outcome=None), decisions, world.now).standing
            assert answer["decision"] == str(valid)
        else:
            assert request.outcome is None
            assert tally(request, decisions, world.now).standing in (Standing.OPEN, Standing.EXPIRED)
    made_by = [e.by for e in world.releases.timeline(RELEASE) if e.event == "Reviewer Decided"]
    assert len(made_by) == len(world.reviews.decisions(RELEASE, 1))


def play(world: UnderReview, action: str, who: object, choice: str) -> None:
    """One thing that somebody does with the review."""
    from promptlane.domain.policy import Reviewer

    assert isinstance(who, Reviewer)
    token = world.token(who)
    good = {"decision": choice, "code": world.code(who), "reason": "ok"}
    forms = {
        "post": good,
        "wrong code": {**good, "code": "AAAAAAAA"},
        "no reason": {**good, "reason": " "},
        "no choice": {**good, "decision": ""},
        "foreign": good,
        "tampered": good,
        "late": good,
    }
    if action in ("get", "head"):
        world.http(action.upper(), token)
    elif action == "foreign":
        world.http("POST", token, release_id="PROMPTID12-3-1", body=urlencode(good))
    elif action == "tampered":
        world.http("POST", token.replace(key(who), key(person("Out"))), body=urlencode(good))
    elif action == "late":
        before, world.now = world.now, world.request.expires_at + 1
        world.http("POST", token, body=urlencode(good))
        world.now = before
    elif action in forms:
        world.http("POST", token, body=urlencode(forms[action]))
    elif action == "identity":
        world.by_identity(who.principals[0], choice)
    elif action == "stranger":
        with pytest.raises(Unauthorized):
            world.by_identity(AUTHOR, choice)
    elif action == "remind":
        world.round.look_after()
    elif action == "settle":
        world.desk.settle(RELEASE)
    else:
        world.ask(token=f"token-{len(world.tokens.answers) + 1}")
