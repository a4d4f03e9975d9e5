"""Who may approve, when it is enough, when it never can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.policy import Policy, Reviewer, ReviewPolicy, Unattributed
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.review.review import (
    Authors,
    Choice,
    ReviewDecision,
    ReviewRequest,
    acts_as,
    reviewer_key,
)
from promptlane.domain.review.rules import Standing, needed_approvals, out_of_reach, tally
from tests.support.review import ACCOUNT, AUTHOR, LEAD, LEGAL, QUALITY, key, person

CANDIDATE, STABLE = VersionRef(2, "c" * 64, "arn:2"), VersionRef(1, "5" * 64, "arn:1")


def request(policy: ReviewPolicy, authors: Authors | None = None, verdict: str = "pass") -> ReviewRequest:
    return ReviewRequest(
        "PROMPTID12-2-1",
        1,
        "p",
        CANDIDATE,
        STABLE,
        policy,
        authors or Authors((AUTHOR,)),
        verdict,
        0.0,
        100.0,
    )


def decision(who: Reviewer, choice: Choice = Choice.APPROVE, *, at: float = 10.0, number: int = 1) -> ReviewDecision:
    return ReviewDecision(
        key(who), choice, "because", at, who.email, "link", "", CANDIDATE.fingerprint, STABLE.fingerprint, number
    )


@pytest.mark.parametrize(
    ("pattern", "arn", "fits"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/lead", f"arn:aws:iam::{ACCOUNT}:user/lead", True),
        (f"arn:aws:iam::{ACCOUNT}:user/lead", f"arn:aws:iam::{ACCOUNT}:user/leader", False),
        (f"arn:aws:iam::{ACCOUNT}:user/lead*", f"arn:aws:iam::{ACCOUNT}:user/leader", True),
        (f"arn:aws:iam::{ACCOUNT}:role/team/Lead", f"arn:aws:sts::{ACCOUNT}:assumed-role/Lead/one", True),
        (f"arn:aws:iam::{ACCOUNT}:role/Lead", f"arn:aws:sts::{ACCOUNT}:assumed-role/Leader/one", False),
        (f"arn:aws:iam::{ACCOUNT}:role/Lead", "arn:aws:sts::999988887777:assumed-role/Lead/one", False),
        (f"arn:aws:iam::{ACCOUNT}:role/x/SSO_Lead_*", f"arn:aws:sts::{ACCOUNT}:assumed-role/SSO_Lead_1f/one", True),
        (f"arn:aws:iam::{ACCOUNT}:user/Lead", f"arn:aws:sts::{ACCOUNT}:assumed-role/Lead/one", False),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/Lead/one", f"arn:aws:sts::{ACCOUNT}:assumed-role/Lead/two", False),
    ],
)
def test_a_principal_names_the_identity_and_nobody_else(pattern: str, arn: str, fits: bool) -> None:
    assert acts_as(pattern, arn) is fits


def test_one_approval_of_two_leaves_the_review_open_and_the_second_completes_it() -> None:
    asked = request(ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2))
    assert tally(asked, [decision(LEAD)], 20).standing is Standing.OPEN
    both = tally(asked, [decision(LEAD), decision(QUALITY, number=2)], 20)
    assert both.standing is Standing.APPROVED


def test_the_same_reviewer_twice_is_one_approval() -> None:
    asked = request(ReviewPolicy((LEAD, QUALITY), quorum=2))
    assert tally(asked, [decision(LEAD), decision(LEAD, number=2)], 20).why == "waits for 1 more approval"


def test_a_required_group_must_be_among_the_approvals() -> None:
    asked = request(ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2, required_groups=("legal",)))
    without = tally(asked, [decision(LEAD), decision(QUALITY, number=2)], 20)
    assert (without.standing, without.why) == (Standing.OPEN, "waits for an approval from legal")
    assert tally(asked, [decision(LEAD), decision(LEGAL, number=2)], 20).standing is Standing.APPROVED


def test_one_rejection_ends_it_whatever_was_approved() -> None:
    asked = request(ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2))
    state = tally(asked, [decision(LEAD), decision(LEGAL, Choice.REJECT, number=2)], 20)
    assert state.standing is Standing.REJECTED
    assert "because" in state.why


def test_an_author_approves_nothing_but_may_reject() -> None:
    asked = request(ReviewPolicy((LEAD, QUALITY), quorum=1), Authors(LEAD.principals))
    assert tally(asked, [decision(LEAD)], 20).standing is Standing.OPEN
    assert tally(asked, [decision(LEAD, Choice.REJECT)], 20).standing is Standing.REJECTED


def test_a_quorum_that_authors_make_impossible_is_said_at_once() -> None:
    state = tally(request(ReviewPolicy((LEAD, QUALITY), quorum=2), Authors(LEAD.principals)), [], 0)
    assert state.standing is Standing.IMPOSSIBLE
    assert "support-lead wrote it" in state.why


def test_an_author_as_the_only_one_of_a_required_group_is_said_at_once() -> None:
    policy = ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=1, required_groups=("legal",))
    state = tally(request(policy, Authors(LEGAL.principals)), [], 0)
    assert state.standing is Standing.IMPOSSIBLE
    assert "legal" in state.why


@pytest.mark.parametrize(("rule", "needed"), [("allow", 1), ("one_more_approval", 2)])
def test_an_untold_author_costs_what_the_policy_says(rule: Unattributed, needed: int) -> None:
    policy = ReviewPolicy((LEAD, QUALITY), unattributed=rule)
    assert needed_approvals(request(policy, Authors((), ("nobody knows",)))) == needed


def test_an_untold_author_may_be_refused_altogether() -> None:
    policy = ReviewPolicy((LEAD, QUALITY), unattributed="refuse")
    state = tally(request(policy, Authors((), ("nobody knows",))), [decision(LEAD), decision(QUALITY, number=2)], 20)
    assert state.standing is Standing.IMPOSSIBLE


def test_nothing_is_impossible_while_cloudtrail_may_still_tell() -> None:
    policy = ReviewPolicy((LEAD, QUALITY), unattributed="refuse")
    late = Authors((), ("not yet",), complete=False)
    assert tally(request(policy, late), [decision(LEAD)], 20).standing is Standing.OPEN
    assert tally(request(policy, late), [decision(LEAD)], 200).standing is Standing.EXPIRED


def test_an_inconclusive_verdict_costs_one_more_approval_where_the_policy_says_so() -> None:
    policy = ReviewPolicy((LEAD, QUALITY), inconclusive="one_more_approval")
    assert needed_approvals(request(policy, verdict="inconclusive")) == 2
    assert needed_approvals(request(policy, verdict="pass")) == 1
    assert needed_approvals(request(replace(policy, inconclusive="same_quorum"), verdict="inconclusive")) == 1


def test_after_expiry_only_what_was_decided_in_time_counts() -> None:
    asked = request(ReviewPolicy((LEAD, QUALITY), quorum=1))
    assert tally(asked, [decision(LEAD, at=99.9)], 200).standing is Standing.APPROVED
    assert tally(asked, [decision(LEAD, at=100.0)], 200).standing is Standing.EXPIRED


@pytest.mark.parametrize(
    "other", [{"candidate": "x" * 64}, {"stable": "x" * 64}, {"stable": None}, {"reviewer": "0" * 16}]
)
def test_a_decision_about_other_versions_or_by_others_never_counts(other: dict[str, Any]) -> None:
    asked = request(ReviewPolicy((LEAD, QUALITY), quorum=1))
    stranger = replace(decision(LEAD), **other)
    assert tally(asked, [stranger], 20).approvals == ()


def test_email_that_reaches_too_few_is_said_though_the_policy_could_be_met() -> None:
    asked = replace(
        request(ReviewPolicy((LEAD, QUALITY), quorum=2)), reach={key(LEAD): "pending", key(QUALITY): "confirmed"}
    )
    state = tally(asked, [], 0)
    assert state.standing is Standing.OPEN
    assert "support-lead (has not confirmed" in out_of_reach(asked, state)
    assert out_of_reach(replace(asked, reach={key(LEAD): "unprotected"}), state) == ""


people = st.lists(
    st.sampled_from([person("P1", "a"), person("P2", "a"), person("P3", "b"), person("P4"), person("P5", "a", "b")]),
    min_size=1,
    max_size=5,
    unique=True,
)
choices = st.sampled_from(list(Choice))


@st.composite
def reviews(draw: st.DrawFn) -> tuple[ReviewRequest, list[ReviewDecision]]:
    members = tuple(draw(people))
    groups = sorted({g for r in members for g in r.groups})
    policy = ReviewPolicy(
        members,
        quorum=draw(st.integers(1, len(members))),
        required_groups=tuple(draw(st.lists(st.sampled_from(groups), unique=True))) if groups else (),
        unattributed=draw(st.sampled_from(["allow", "one_more_approval", "refuse"])),
        inconclusive=draw(st.sampled_from(["same_quorum", "one_more_approval"])),
    )
    authors = Authors(
        tuple(p for r in draw(st.lists(st.sampled_from(members), unique=True)) for p in r.principals),
        tuple(draw(st.lists(st.just("a doubt"), max_size=1))),
        draw(st.booleans()),
    )
    asked = request(policy, authors, draw(st.sampled_from(["pass", "inconclusive"])))
    outsider = person("Out")
    made = [
        decision(draw(st.sampled_from([*members, outsider])), draw(choices), at=draw(st.floats(0, 150)), number=n)
        for n in range(1, draw(st.integers(0, 8)) + 1)
    ]
    return asked, made


@given(reviews(), st.floats(0, 200))
def test_approved_means_a_complete_valid_quorum_and_nothing_else(
    case: tuple[ReviewRequest, list[ReviewDecision]], now: float
) -> None:
    asked, made = case
    state = tally(asked, made, now)
    if state.standing is not Standing.APPROVED:
        return
    by = {d.reviewer for d in made if d.choice is Choice.APPROVE and d.at < asked.expires_at}
    members = [r for r in asked.policy.reviewers if key(r) in by]
    clean = [r for r in members if not set(r.principals) & set(asked.authors.principals)]
    assert len(clean) >= needed_approvals(asked) >= asked.policy.quorum
    assert all(any(g in r.groups for r in clean) for g in asked.policy.required_groups)
    first = {d.reviewer: d for d in reversed(made) if d.at < asked.expires_at}
    insiders = {key(r) for r in asked.policy.reviewers}
    counted_rejections = [
        d for d in made if d.choice is Choice.REJECT and d.reviewer in insiders and first.get(d.reviewer) is d
    ]
    authors = {key(r) for r in asked.policy.reviewers if set(r.principals) & set(asked.authors.principals)}
    assert all(d.reviewer in authors for d in counted_rejections) or not counted_rejections


@given(reviews())
def test_impossible_is_true_no_further_approval_can_complete_it(
    case: tuple[ReviewRequest, list[ReviewDecision]],
) -> None:
    asked, made = case
    state = tally(asked, made, 50)
    everybody = [decision(r, at=60, number=100 + i) for i, r in enumerate(asked.policy.reviewers)]
    after = tally(asked, [*made, *everybody], 70)
    if state.standing is Standing.IMPOSSIBLE:
        assert after.standing is not Standing.APPROVED
    elif state.standing is Standing.OPEN and asked.authors.complete:
        assert after.standing is Standing.APPROVED


@given(reviews())
def test_a_request_survives_storage(case: tuple[ReviewRequest, list[ReviewDecision]]) -> None:
    asked, made = case
    assert ReviewRequest.from_item(asked.to_item()) == asked
    assert [ReviewDecision.from_dict(d.to_dict()) for d in made] == made


def test_the_review_section_survives_the_policy_file() -> None:
    policy = Policy(review=ReviewPolicy((LEAD, LEGAL), required_groups=("legal",), inconclusive="one_more_approval"))
    assert Policy.from_dict(policy.to_dict()) == policy


def test_a_reviewer_is_one_person_however_the_address_is_written() -> None:
    assert reviewer_key(" Support-Lead@Example.com ") == reviewer_key("support-lead@example.com")
