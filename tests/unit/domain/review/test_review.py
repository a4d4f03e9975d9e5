"""A review's rules: every sentence that people get, the whole state, and who is who."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.policy import Reviewer, ReviewPolicy
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.review.review import (
    MAX_REASON,
    Authors,
    Choice,
    ReviewDecision,
    ReviewRequest,
    acts_as,
    authors_in_words,
    is_author,
    numbered,
    policy_item,
    reviewer_key,
    reviewers_of,
)
from promptlane.domain.review.rules import (
    REACHED,
    Standing,
    Tally,
    counts,
    needed_approvals,
    obstacle_of,
    out_of_reach,
    outcome_of,
    reach_in_words,
    tally,
)
from tests.support.review import ACCOUNT, AUTHOR, LEAD, LEGAL, QUALITY, key, person

CANDIDATE, STABLE = VersionRef(2, "c" * 64, "arn:2"), VersionRef(1, "5" * 64, "arn:1")
SAFETY = person("safety-desk", "safety", "legal")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/"


def request(
    *reviewers: Reviewer, authors: Authors | None = None, verdict: str = "pass", **policy: Any
) -> ReviewRequest:
    return ReviewRequest(
        "PROMPTID12-2-1",
        3,
        "p",
        CANDIDATE,
        STABLE,
        ReviewPolicy(reviewers or (LEAD, QUALITY, LEGAL), **policy),
        authors or Authors((AUTHOR,)),
        verdict,
        0.0,
        100.0,
    )


def decision(
    who: Reviewer, choice: Choice = Choice.APPROVE, *, at: float = 10.0, number: int = 1, **more: Any
) -> ReviewDecision:
    made = ReviewDecision(
        key(who),
        choice,
        f"{who.name} says so",
        at,
        who.email,
        "link",
        "",
        CANDIDATE.fingerprint,
        STABLE.fingerprint,
        number,
    )
    return replace(made, **more)


REJECT = Choice.REJECT
UNTOLD = Authors((AUTHOR,), ("one doubt", "another"))


def test_words_that_are_stored_or_sent_stay_what_they_are() -> None:
    assert [str(choice) for choice in Choice] == ["approve", "reject"]
    assert [str(standing) for standing in Standing] == ["open", "approved", "rejected", "expired", "impossible"]
    assert MAX_REASON == 2_000
    assert set(REACHED) == {"confirmed", "unprotected"}
    assert reviewer_key("ada@example.com") == "70b5a5f3b251839c"
    assert policy_item(ReviewPolicy((LEAD,), quorum=1))["quorum"] == 1


def test_a_reviewer_is_found_by_the_key_of_the_address() -> None:
    asked = request()

    assert [asked.reviewer(key(r)) for r in (LEGAL, LEAD, person("stranger"))] == [LEGAL, LEAD, None]
    assert (asked.stable_fingerprint, replace(asked, stable=None).stable_fingerprint) == ("5" * 64, None)


@pytest.mark.parametrize(
    ("pattern", "arn"),
    [
        (f"{ROLE}org/team/Lead", f"{SESSION}Lead/one"),
        (f"{ROLE}Lead", f"{SESSION}Lead/one/two"),
        (f"{ROLE}Le*", f"{SESSION}Lead/one"),
        ("*", "anything"),
    ],
)
def test_a_pattern_names_whom_it_matches(pattern: str, arn: str) -> None:
    assert acts_as(pattern, arn) is True


@pytest.mark.parametrize(
    ("pattern", "arn"),
    [
        (f"{ROLE}Lead:more", f"{SESSION}Lead/one"),
        ("role/Lead", f"{SESSION}Lead/one"),
        (f"{ROLE}Lead", f"{SESSION}Lead/one:more"),
        (f"{ROLE}Lead", "Lead"),
        (f"arn:aws:s3::{ACCOUNT}:role/Lead", f"{SESSION}Lead/one"),
        (f"{ROLE}Lead", f"arn:aws:iam::{ACCOUNT}:assumed-role/Lead/one"),
        (f"{ROLE}Lead", f"arn:aws:sts::{ACCOUNT}:federated-user/Lead"),
        (f"{ROLE}Lead/team", f"{SESSION}Lead/one"),
        (f"{ROLE}Lead*", f"{SESSION}Lea/one"),
        (f"arn:aws:iam::{ACCOUNT}:user/Lead", f"{SESSION}Lead/one"),
        ("", "x"),
    ],
)
def test_a_pattern_names_nobody_else(pattern: str, arn: str) -> None:
    assert acts_as(pattern, arn) is False


def test_an_author_is_whoever_one_of_the_authors_principals_is() -> None:
    two_hats = person("two", principals=[f"{ROLE}A", f"{ROLE}B"])

    assert is_author(two_hats, Authors((AUTHOR, f"{SESSION}B/x"))) is True
    assert is_author(two_hats, Authors((AUTHOR,))) is False
    assert reviewers_of(ReviewPolicy((LEAD, two_hats, QUALITY)), f"{SESSION}B/x") == [two_hats]
    assert reviewers_of(ReviewPolicy((LEAD, two_hats, QUALITY)), AUTHOR) == []


def test_authors_are_told_by_name_where_they_are_reviewers() -> None:
    two_hats = person("two", principals=[f"{ROLE}A", f"{ROLE}B"])
    arns = (f"arn:aws:iam::{ACCOUNT}:user/eve", AUTHOR, LEAD.principals[0], f"{SESSION}B/x")

    assert authors_in_words(request(QUALITY, two_hats, LEAD, authors=Authors(arns))) == (
        f"two, support-lead, arn:aws:iam::{ACCOUNT}:user/eve, {AUTHOR}"
    )
    assert authors_in_words(request(authors=Authors())) == ""


@pytest.mark.parametrize(
    ("authors", "verdict", "policy", "needed"),
    [
        (UNTOLD, "inconclusive", {"inconclusive": "one_more_approval"}, 4),
        (UNTOLD, "pass", {}, 3),
        (UNTOLD, "pass", {"unattributed": "allow"}, 2),
        (UNTOLD, "pass", {"unattributed": "refuse"}, 2),
        (None, "inconclusive", {"inconclusive": "one_more_approval"}, 3),
        (None, "fail", {"inconclusive": "one_more_approval"}, 2),
        (None, "inconclusive", {}, 2),
    ],
)
def test_each_doubt_costs_one_more_approval_than_the_quorum(
    authors: Authors | None, verdict: str, policy: dict[str, Any], needed: int
) -> None:
    assert needed_approvals(request(authors=authors, verdict=verdict, quorum=2, **policy)) == needed


@pytest.mark.parametrize(
    ("made", "counted"),
    [
        (decision(LEAD), True),
        (decision(LEAD, at=99.9), True),
        (decision(LEAD, at=100.0), False),
        (decision(person("stranger")), False),
        (decision(LEAD, candidate="other"), False),
        (decision(LEAD, stable="other"), False),
        (decision(QUALITY), False),
        (decision(QUALITY, REJECT), True),
    ],
)
def test_which_decisions_count(made: ReviewDecision, counted: bool) -> None:
    assert counts(request(authors=Authors((AUTHOR, *QUALITY.principals))), made) is counted


def test_the_first_decision_of_each_reviewer_counts_in_the_order_in_which_they_were_recorded() -> None:
    made = [
        decision(LEGAL, number=4),
        decision(LEAD, REJECT, number=3, at=1.0),
        decision(LEAD, number=1),
        decision(QUALITY, number=2),
        decision(SAFETY, number=5),
    ]
    asked = request(LEAD, QUALITY, LEGAL, SAFETY, person("other"), quorum=5, required_groups=("legal", "finance"))

    assert tally(asked, made, 20) == Tally(
        Standing.IMPOSSIBLE,
        5,
        (made[2], made[3], made[0], made[4]),
        None,
        (person("other"),),
        "an approval from finance is needed, but none of its reviewers may still give one",
    )


def test_a_review_that_is_complete_is_approved_by_more_than_it_needs() -> None:
    made = (decision(LEAD), decision(QUALITY, number=2), decision(LEGAL, number=3))

    assert tally(request(quorum=2), made, 20) == Tally(
        Standing.APPROVED, 2, made, None, (), "every approval that the policy asks for was given"
    )


def test_a_rejection_ends_a_review_with_its_reason() -> None:
    made = (decision(LEAD), decision(QUALITY, REJECT, number=2), decision(LEGAL, REJECT, number=3))

    assert tally(request(quorum=1), made, 500) == Tally(
        Standing.REJECTED,
        1,
        (made[0],),
        made[1],
        (),
        "support-quality@example.com rejected it: support-quality says so",
    )


TELLING = "waits for CloudTrail to tell who wrote the version"
LATE = replace(UNTOLD, complete=False)
MINE = Authors((*LEAD.principals, *LEGAL.principals))


@pytest.mark.parametrize(
    ("asked", "now", "standing", "why"),
    [
        (request(quorum=1), 99.9, "open", "waits for 1 more approval"),
        (request(quorum=3), 0, "open", "waits for 3 more approvals"),
        (
            request(quorum=2, required_groups=("legal",)),
            0,
            "open",
            "waits for 2 more approvals, among them an approval from legal",
        ),
        (
            request(LEAD, LEGAL, SAFETY, quorum=1, required_groups=("legal", "safety")),
            0,
            "open",
            "waits for 1 more approval, among them an approval from legal and from safety",
        ),
        (request(quorum=1), 100.0, "expired", "the review expired before the approvals were complete"),
        (
            request(authors=UNTOLD, unattributed="refuse"),
            0,
            "impossible",
            "the policy refuses versions whose author cannot be told: one doubt; another",
        ),
        (request(authors=LATE, unattributed="refuse"), 0, "open", TELLING),
        (
            request(authors=LATE, unattributed="refuse"),
            100.0,
            "expired",
            "the review expired before the approvals were complete",
        ),
        (request(authors=LATE, quorum=3), 0, "open", TELLING),
        (request(authors=LATE, quorum=2), 0, "open", "waits for 3 more approvals"),
        (
            request(authors=UNTOLD, quorum=3),
            0,
            "impossible",
            "4 more approvals are needed, but only 3 of the reviewers may still give one",
        ),
        (
            request(authors=MINE, quorum=2),
            200,
            "impossible",
            "2 more approvals are needed, but only 1 of the reviewers may still give one "
            "(support-lead, legal-desk wrote it and cannot approve it)",
        ),
        (
            request(LEAD, authors=MINE),
            0,
            "impossible",
            "1 more approval is needed, but no reviewer is left (support-lead wrote it and cannot approve it)",
        ),
        (
            request(authors=MINE, required_groups=("legal",)),
            0,
            "impossible",
            "an approval from legal is needed, but none of its reviewers may still give one",
        ),
        (request(authors=replace(MINE, complete=False), required_groups=("legal",)), 0, "open", TELLING),
    ],
)
def test_a_review_says_in_a_sentence_where_it_stands(asked: ReviewRequest, now: float, standing: str, why: str) -> None:
    state = tally(asked, [], now)

    assert (str(state.standing), state.why) == (standing, why)


def test_no_approvals_are_enough_while_cloudtrail_may_still_tell_an_author() -> None:
    made = (decision(LEAD), decision(QUALITY, number=2))
    waits = (Standing.OPEN, "waits for CloudTrail to tell who wrote the version")

    for late in (LATE, replace(LATE, unattributed=())):
        for asked in (request(authors=late), request(authors=late, unattributed="refuse")):
            state = tally(asked, made, 20)
            assert (state.standing, state.why) == waits
    told = tally(request(authors=replace(LATE, complete=True)), made, 20)
    assert told.standing is Standing.APPROVED
    assert tally(request(authors=LATE), made, 100).standing is Standing.EXPIRED
    assert tally(request(required_groups=("legal",)), made, 20).why == "waits for an approval from legal"


def test_what_cannot_be_reached_is_said_group_by_group() -> None:
    legal = request(quorum=2, required_groups=("legal",))
    both = request(quorum=2, required_groups=("legal", "safety"))

    assert obstacle_of(legal, (), [LEAD, LEGAL]) == ""
    assert obstacle_of(both, (), [LEAD, LEGAL]).startswith("an approval from safety is needed")
    assert obstacle_of(request(quorum=1), (), []) == "1 more approval is needed, but no reviewer is left"


def test_a_quorum_that_email_cannot_complete_names_whom_it_does_not_reach() -> None:
    asked = replace(
        request(LEAD, QUALITY, LEGAL, SAFETY, quorum=3),
        reach={key(LEAD): "unprotected", key(LEGAL): "missing", key(SAFETY): "odd", "other": "pending"},
    )

    assert out_of_reach(asked, tally(asked, [], 0)) == (
        "3 more approvals are needed, but only 2 of the reviewers may still give one: "
        "email does not reach legal-desk (is not subscribed), safety-desk (odd)"
    )
    assert out_of_reach(asked, tally(asked, [decision(LEAD)], 0)).startswith("2 more approvals are needed, but only 1")
    assert out_of_reach(asked, tally(asked, [decision(LEGAL)], 0)) == "", "whoever decided needs no email"
    assert out_of_reach(asked, tally(asked, [], 100)) == "", "it is over"
    asked = replace(asked, policy=replace(asked.policy, quorum=2))
    assert out_of_reach(asked, tally(asked, [], 0)) == "", "the others are enough"


def test_where_email_reaches_everybody_nothing_is_out_of_its_reach() -> None:
    asked = request(authors=LATE, quorum=3)

    assert out_of_reach(asked, tally(asked, [], 0)) == ""


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("confirmed", "email arrives"),
        ("unprotected", "email arrives, but anybody who sees one can unsubscribe them"),
        ("pending", "has not confirmed the subscription"),
        ("missing", "is not subscribed"),
        ("unexpected", "an unexpected subscription receives their email too, so none is sent"),
        ("no_topic", "has no topic in this deployment"),
        ("new", "new"),
    ],
)
def test_how_email_reaches_somebody_in_words(state: str, words: str) -> None:
    assert reach_in_words(state) == words


def outcome(asked: ReviewRequest, *made: ReviewDecision) -> dict[str, Any]:
    return outcome_of(asked, tally(asked, made, 20), 21.0)


def test_an_approval_names_all_who_gave_it_and_the_fingerprints() -> None:
    made = (decision(LEAD), decision(QUALITY, number=2))

    assert outcome(request(quorum=2), *made) == {
        "decision": "approved",
        "by": "support-lead@example.com, support-quality@example.com",
        "reason": "support-lead@example.com: support-lead says so; "
        "support-quality@example.com: support-quality says so",
        "at": 21.0,
        "round": 3,
        "candidate": "c" * 64,
        "stable": "5" * 64,
        "approvals": [d.to_dict() for d in made],
    }


def test_a_rejection_names_who_rejected_and_keeps_what_was_approved() -> None:
    made = (decision(LEAD), decision(QUALITY, REJECT, number=2))

    assert outcome(request(quorum=2), *made) == {
        "decision": "rejected",
        "by": "support-quality@example.com",
        "reason": "support-quality says so",
        "at": 21.0,
        "round": 3,
        "candidate": "c" * 64,
        "stable": "5" * 64,
        "approvals": [made[0].to_dict()],
    }


def test_what_the_policy_makes_impossible_is_rejected_by_promptlane() -> None:
    asked = replace(request(authors=UNTOLD, unattributed="refuse"), stable=None)

    assert outcome(asked) == {
        "decision": "rejected",
        "by": "promptlane",
        "reason": "the policy refuses versions whose author cannot be told: one doubt; another",
        "at": 21.0,
        "round": 3,
        "candidate": "c" * 64,
        "stable": None,
        "approvals": [],
    }


def test_a_reason_is_cut_after_four_typed_ones() -> None:
    long = decision(LEAD, REJECT, reason="r" * 9_000)

    assert outcome(request(), long)["reason"] == "r" * 8_000


@pytest.mark.parametrize("now", [20.0, 100.0])
def test_a_review_that_nobody_decided_has_no_outcome(now: float) -> None:
    asked = request()
    state = tally(asked, [], now)

    with pytest.raises(ValueError, match=f"^a review that is {state.standing} has no outcome$"):
        outcome_of(asked, state, 21.0)


def test_a_decision_gets_the_next_number_of_its_round() -> None:
    asked, made = replace(request(), decisions=4), decision(LEAD, number=0)

    assert numbered(asked, made) == (replace(asked, decisions=5), replace(made, number=5))
