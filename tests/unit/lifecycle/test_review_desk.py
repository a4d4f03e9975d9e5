"""Each step of the desk: every door, fault and entry, and each race that a decision may lose. Whole reviews:
test_review_quorum.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    NotApplicable,
    NotFound,
    Unauthorized,
    Unavailable,
)
from promptlane.domain.names import Outcome
from promptlane.domain.policy import Reviewer, ReviewPolicy
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review import guesses
from promptlane.domain.review.link import Link
from promptlane.domain.review.review import Authors, Choice, ReviewDecision, ReviewRequest
from promptlane.domain.review.rules import outcome_of, tally
from promptlane.domain.review.visit import Door, Fault, Origin, Submission, Visit
from promptlane.domain.trail import TrailEvent
from promptlane.lifecycle.review_desk import Vote, decided, entry_of
from tests.support.review import ACCOUNT, AUTHOR, LEAD, LEGAL, QUALITY, RELEASE, UnderReview, key, person, told

TWO = ReviewPolicy(reviewers=(LEAD, QUALITY, LEGAL), quorum=2)
CALLER = Origin("203.0.113.7", "Browser/1.0")
FROM = {"address": "203.0.113.7", "agent": "Browser/1.0"}
LEAD_ARN, QUALITY_ARN = LEAD.principals[0], QUALITY.principals[0]


def asked(policy: ReviewPolicy = TWO, **given: Any) -> UnderReview:
    world = UnderReview(policy, **given)
    world.ask()
    return world


def link_of(world: UnderReview, who: Reviewer = LEAD, **changes: Any) -> Link:
    return replace(Link(RELEASE, 1, key(who), int(world.request.expires_at)), **changes)


def enter(world: UnderReview, link: Link, release_id: str = RELEASE) -> Visit:
    return world.desk.enter(release_id, link.token(world.signer.sign(link.message)))


def refusals(world: UnderReview) -> list[TimelineEntry]:
    return told(world, Event.REVIEW_LINK_REFUSED)


def refusal(world: UnderReview, by: str, why: str, *parts: str, posted: bool = True, **more: Any) -> TimelineEntry:
    return TimelineEntry(
        "/".join([RELEASE, "review/1/refused", *parts]),
        RELEASE,
        world.now,
        Event.REVIEW_LINK_REFUSED,
        by,
        {**FROM, "why": why, "posted": posted, **more},
    )


def decide(
    world: UnderReview,
    who: Reviewer = LEAD,
    *,
    choice: str = "approve",
    code: str | None = None,
    reason: str = " Read it\n",
    visit: Visit | None = None,
    caller: Origin = CALLER,
) -> Submission:
    return world.desk.decide_by_link(
        visit or enter(world, link_of(world, who)),
        choice=choice,
        code=world.code(who) if code is None else code,
        reason=reason,
        caller=caller,
    )


def as_principal(
    world: UnderReview, arn: str = LEAD_ARN, choice: str = "approve", reason: str = "Read it"
) -> Submission:
    request = world.reviews.get(RELEASE)
    read = request.candidate.fingerprint[:12] if request else ""
    return world.desk.decide_by_identity(
        RELEASE, arn=arn, choice=choice, reason=reason, caller=CALLER, fingerprint=read
    )


@pytest.mark.parametrize("typed", ["", " ", "0" * 64, "short", "stable", "long"])
def test_an_approval_by_identity_says_what_was_read(typed: str) -> None:
    world = asked()
    request = world.request
    told = {
        "short": request.candidate.fingerprint[:11],
        "stable": request.stable_fingerprint or "",
        "long": request.candidate.fingerprint + "0",
    }.get(typed, typed)

    def decided(choice: str, fingerprint: str) -> Submission:
        return world.desk.decide_by_identity(
            RELEASE, arn=LEAD_ARN, choice=choice, reason="ok", caller=CALLER, fingerprint=fingerprint
        )

    with pytest.raises(InvalidInput, match=r"fingerprint: .*which says what you read"):
        decided("approve", told)
    assert world.request.decisions == 0
    assert decided("reject", told).fresh


def expected(
    world: UnderReview,
    who: Reviewer = LEAD,
    choice: Choice = Choice.APPROVE,
    *,
    by: str = "",
    via: str = "link",
    number: int = 1,
) -> ReviewDecision:
    request = world.request
    return ReviewDecision(
        key(who),
        choice,
        "Read it",
        world.now,
        by or who.email,
        via,
        "203.0.113.7",
        request.candidate.fingerprint,
        request.stable_fingerprint,
        number,
    )


def failing(times: int, error: Exception, works: Callable[..., Any]) -> Callable[..., Any]:
    """Fails so many times, then works."""
    left = [times]

    def call(*args: Any, **more: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise error
        return works(*args, **more)

    return call


def test_entries_of_a_review_are_named_by_round_and_subject() -> None:
    entry = entry_of(Link("R-1-1", 3, "k", 0), Event.REVIEW_VIEWED, "x@example.com", {"a": 1}, "refused", "x", at=5.0)
    assert entry == TimelineEntry(
        "R-1-1/review/3/refused/x", "R-1-1", 5.0, Event.REVIEW_VIEWED, "x@example.com", {"a": 1}
    )


def test_a_decision_is_recorded_with_everything_but_what_the_entry_says_itself() -> None:
    world = asked()
    decision = replace(expected(world), number=4)

    assert decided(world.request, decision) == TimelineEntry(
        f"{RELEASE}/review/1/decision/{key(LEAD)}",
        RELEASE,
        world.now,
        Event.REVIEWER_DECIDED,
        LEAD.email,
        {
            "reviewer": key(LEAD),
            "choice": "approve",
            "reason": "Read it",
            "via": "link",
            "address": "203.0.113.7",
            "candidate": decision.candidate,
            "stable": decision.stable,
            "number": 4,
        },
    )


# Doors


def test_an_open_door_shows_the_review_as_it_stands() -> None:
    world = asked()
    as_principal(world, QUALITY_ARN)
    link, decisions = link_of(world), tuple(world.reviews.decisions(RELEASE, 1))

    state = tally(world.request, decisions, world.now)
    assert enter(world, link) == Visit(Door.OPEN, link, world.request, LEAD, state, decisions)


def test_a_link_that_we_did_not_sign_is_invalid() -> None:
    world = asked()
    link = link_of(world)

    assert world.desk.enter(RELEASE, "no token") == Visit(Door.INVALID)
    assert world.desk.enter(RELEASE, link.token(b"x" * 32)) == Visit(Door.INVALID)
    unsigned = replace(world.desk, signer=None)
    assert unsigned.enter(RELEASE, link.token(world.signer.sign(link.message))) == Visit(Door.INVALID)


def test_a_link_to_another_release_is_foreign() -> None:
    world = asked()
    link = link_of(world)

    assert enter(world, link, "PROMPTID12-3-1") == Visit(Door.FOREIGN, link)


def test_a_link_of_nobody_or_to_no_review_opens_nothing() -> None:
    world = asked()
    stranger = link_of(world, person("Out"))
    assert enter(world, stranger) == Visit(Door.CLOSED, stranger)

    link = link_of(world)
    world.reviews._requests.clear()
    assert enter(world, link) == Visit(Door.CLOSED, link)


@pytest.mark.parametrize("why", ["decided", "ended", "without a record"])
def test_a_review_that_is_over_is_closed(why: str) -> None:
    world = asked()
    if why == "decided":
        world.reviews.close(world.request, {"decision": "rejected"})
    elif why == "ended":
        world.releases.update(replace(world.releases.get(RELEASE), state="ended", outcome=Outcome.FAILED))
    else:
        world.releases._releases.clear()

    visit = enter(world, link_of(world))

    assert (visit.door, visit.request, visit.reviewer) == (Door.CLOSED, world.request, LEAD)


def test_whoever_decided_sees_that_also_when_the_review_is_over() -> None:
    world = asked()
    as_principal(world)
    as_principal(world, QUALITY_ARN)

    visit = enter(world, link_of(world))

    assert (visit.door, visit.own) == (Door.USED, world.reviews.decisions(RELEASE, 1)[0])


@pytest.mark.parametrize(
    ("expires", "of_review", "now", "door"),
    [
        (20_000, 20_000.5, 19_999.9, Door.OPEN),
        (20_000, 20_000.5, 20_000.0, Door.EXPIRED),
        (20_000, 30_000.0, 20_000.0, Door.EXPIRED),
        (30_000, 20_000.0, 19_999.0, Door.OPEN),
        (30_000, 20_000.0, 20_000.0, Door.EXPIRED),
    ],
)
def test_a_link_is_good_until_it_or_the_review_expires(expires: int, of_review: float, now: float, door: Door) -> None:
    world = asked()
    world.reviews._requests[RELEASE] = replace(world.request, expires_at=of_review)
    world.now = now

    assert enter(world, link_of(world, expires=expires)).door is door


@pytest.mark.parametrize("round", [1, 3])
def test_a_link_of_another_round_is_stale_and_shows_the_one_that_there_is(round: int) -> None:
    world = asked()
    world.ask(round=2, token="token-2")
    link = link_of(world, round=round)

    visit = enter(world, link)

    assert (visit.door, visit.link, visit.request, visit.reviewer) == (Door.STALE, link, world.request, LEAD)
    assert visit.state == tally(world.request, [], world.now)


# Views and refusals


def test_a_view_is_recorded_once_for_each_reviewer() -> None:
    world = asked()
    for who in (LEAD, QUALITY, LEAD):
        world.desk.viewed(enter(world, link_of(world, who)), CALLER)
        world.now += 1
    for visit in (Visit(Door.INVALID), Visit(Door.CLOSED, link_of(world)), Visit(Door.OPEN, None, world.request, LEAD)):
        world.desk.viewed(visit, CALLER)

    assert told(world, Event.REVIEW_VIEWED) == [
        TimelineEntry(f"{RELEASE}/review/1/viewed/{key(who)}", RELEASE, at, Event.REVIEW_VIEWED, who.email, FROM)
        for who, at in ((LEAD, 10_000.0), (QUALITY, 10_001.0))
    ]
    assert world.reviews._marks[RELEASE][f"view#1#{key(QUALITY)}"] == 10_001.0


def refuse(world: UnderReview, visit: Visit, *, posted: bool) -> None:
    world.desk.refused(visit, CALLER, posted=posted)


@pytest.mark.parametrize(("posted", "way"), [(False, "get"), (True, "post")])
@pytest.mark.parametrize("door", [Door.CLOSED, Door.EXPIRED, Door.STALE, Door.FOREIGN])
def test_a_link_that_opens_nothing_is_recorded_once_for_each_reason_and_way(door: Door, posted: bool, way: str) -> None:
    world = asked()
    visit = replace(enter(world, link_of(world)), door=door)
    for _ in range(2):
        refuse(world, visit, posted=posted)
    refuse(world, replace(visit, reviewer=None, link=link_of(world, QUALITY)), posted=posted)

    assert refusals(world) == [
        refusal(world, LEAD.email, str(door), key(LEAD), str(door), way, posted=posted, reviewer=key(LEAD)),
        refusal(
            world,
            f"reviewer {key(QUALITY)}",
            str(door),
            key(QUALITY),
            str(door),
            way,
            posted=posted,
            reviewer=key(QUALITY),
        ),
    ]


def test_a_repeated_decision_is_a_replay_and_a_second_look_at_it_is_nothing() -> None:
    world = asked()
    as_principal(world)
    visit = enter(world, link_of(world))

    refuse(world, visit, posted=False)
    assert refusals(world) == []
    refuse(world, visit, posted=True)
    assert refusals(world) == [
        refusal(world, LEAD.email, "replayed", key(LEAD), "replayed", "post", reviewer=key(LEAD))
    ]


@pytest.mark.parametrize("door", [Door.OPEN, Door.INVALID])
def test_neither_an_open_door_nor_an_unsigned_link_is_a_refusal(door: Door) -> None:
    world = asked()
    refuse(world, replace(enter(world, link_of(world)), door=door), posted=True)
    refuse(world, Visit(Door.CLOSED), posted=True)

    assert refusals(world) == []


def test_of_a_release_that_never_was_nothing_is_recorded() -> None:
    world = asked()
    world.releases._releases.clear()

    refuse(world, enter(world, link_of(world)), posted=True)

    assert refusals(world) == []


# Deciding by link


@pytest.mark.parametrize("choice", list(Choice))
def test_a_decision_by_link_is_recorded_and_shown(choice: Choice) -> None:
    world = asked()
    before = world.request

    receipt = decide(world, choice=str(choice))

    decision = expected(world, choice=choice)
    assert world.reviews.decisions(RELEASE, 1) == [decision]
    assert told(world, Event.REVIEWER_DECIDED) == [decided(before, decision)]
    state = tally(replace(world.request, outcome=None), [decision], world.now)
    assert receipt == Submission(
        Visit(Door.USED, link_of(world), world.request, LEAD, state, (decision,)), None, fresh=True
    )


def test_a_form_that_comes_with_a_closed_door_decides_nothing_and_is_recorded() -> None:
    world = asked()
    visit = replace(enter(world, link_of(world)), door=Door.EXPIRED)

    assert decide(world, visit=visit) == Submission(visit, None, fresh=False)
    assert [e.detail["why"] for e in refusals(world)] == ["expired"]
    assert world.request.decisions == 0


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        ({"choice": "maybe"}, Fault.CHOICE),
        ({"choice": ""}, Fault.CHOICE),
        ({"reason": " \n "}, Fault.REASON),
        ({"reason": "x" * 2001}, Fault.REASON),
    ],
)
def test_a_fault_that_is_a_slip_decides_nothing_and_is_not_recorded(form: dict[str, Any], fault: Fault) -> None:
    world = asked()
    visit = enter(world, link_of(world))

    assert decide(world, **form) == Submission(visit, fault, fresh=False)
    assert (refusals(world), world.request.decisions) == ([], 0)


@pytest.mark.parametrize("reason", ["x", "x" * 2000])
def test_a_reason_may_be_short_or_long(reason: str) -> None:
    world = asked()

    assert decide(world, reason=reason).fresh
    assert world.reviews.decisions(RELEASE, 1)[0].reason == reason


def test_wrong_codes_are_recorded_and_slow_down_the_address_they_come_from_alone() -> None:
    world = asked()
    world.now = 10_200.0  # a window begins

    assert [decide(world, code="AAAA-AAAA").fault for _ in range(4)] == [Fault.CODE] * 4
    assert decide(world, code="AAAA-AAAA", reason="").fault is Fault.CODE, "a wrong code hides every other fault"
    assert [decide(world).fault for _ in range(20)] == [Fault.TOO_MANY] * 20
    assert decide(world, QUALITY).fresh, "another reviewer's tries are other ones"
    assert refusals(world) == [
        refusal(world, LEAD.email, "wrong code", key(LEAD), "code", str(n), reviewer=key(LEAD)) for n in range(1, 6)
    ]
    assert decide(world, caller=Origin("198.51.100.1")).fresh, "its owner, elsewhere, at once"


def test_whoever_shares_the_guessers_address_waits_a_minute() -> None:
    world = asked()
    world.now = 10_200.0
    for _ in range(9):
        decide(world, code="AAAA-AAAA")
    world.now = 10_259.0
    assert decide(world).fault is Fault.TOO_MANY
    world.now = 10_260.0
    assert decide(world).fresh


def test_from_however_many_addresses_a_link_takes_a_bounded_number_of_codes() -> None:
    world = asked()
    taken = [decide(world, code="AAAA-AAAA", caller=Origin(f"198.51.{n // 250}.{n % 250}")) for n in range(1_200)]
    assert sum(done.fault is Fault.CODE for done in taken) == guesses.LINK_TRIES
    assert len(refusals(world)) == 12, "a guesser fills no timeline"
    world.now += 60
    assert decide(world, caller=Origin("192.0.2.1")).fresh, "what was refused used nothing up"


def test_five_tries_are_not_too_many() -> None:
    world = asked()
    for _ in range(4):
        decide(world, code="AAAA-AAAA")

    assert decide(world).fresh


def test_a_review_that_was_asked_for_before_codes_were_each_reviewers_own_says_so() -> None:
    world = asked()
    world.reviews._seals.clear()
    assert decide(world, code="ABCD-EFGH").fault is Fault.OLD_CODE
    world.round.look_after()
    assert len(world.post.sent) == 6, "everybody gets a new email"
    assert decide(world).fresh
    world.round.look_after()
    assert len(world.post.sent) == 6


# Deciding by identity


def test_a_decision_by_identity_is_recorded_with_the_principal() -> None:
    world = asked()
    before = world.request

    receipt = as_principal(world, LEAD_ARN, "approve", " Read it\n")

    decision = expected(world, by=LEAD_ARN, via="iam")
    assert world.reviews.decisions(RELEASE, 1) == [decision]
    assert told(world, Event.REVIEWER_DECIDED) == [decided(before, decision)]
    state = tally(world.request, [decision], world.now)
    assert receipt == Submission(
        Visit(Door.USED, link_of(world), world.request, LEAD, state, (decision,)), None, fresh=True
    )


def test_an_identity_is_let_in_until_the_second_in_which_the_review_expires() -> None:
    world = asked()
    world.now = world.request.expires_at

    receipt = as_principal(world)

    assert (receipt.visit.door, receipt.fresh, world.request.decisions) == (Door.EXPIRED, False, 0)
    assert [e.id.split("/")[-3:] for e in refusals(world)] == [[key(LEAD), "expired", "post"]]


@pytest.mark.parametrize(
    ("arn", "choice", "reason", "error", "says"),
    [
        (LEAD_ARN, "x" * 50, "ok", InvalidInput, f"decision '{'x' * 39}…': must be approve or reject"),
        (LEAD_ARN, "approve", " ", InvalidInput, "1 to 2,000 characters; it had 1$"),
        (LEAD_ARN, "approve", "x" * 2001, InvalidInput, "1 to 2,000 characters; it had 2,001$"),
        (AUTHOR, "approve", "ok", Unauthorized, f"{AUTHOR} is no reviewer of this release"),
    ],
)
def test_what_an_identity_cannot_decide_is_told_why(
    arn: str, choice: str, reason: str, error: type[Exception], says: str
) -> None:
    world = asked()

    with pytest.raises(error, match=says):
        as_principal(world, arn, choice, reason)
    assert world.request.decisions == 0
    assert refusals(world) == [refusal(world, arn, "no reviewer", arn, "no reviewer")] * (error is Unauthorized)


@pytest.mark.parametrize("reason", ["x", "x" * 2000])
def test_an_identitys_reason_may_be_short_or_long(reason: str) -> None:
    assert as_principal(asked(), reason=reason).fresh


def test_an_identity_of_several_reviewers_decides_for_none_and_is_recorded() -> None:
    shared = f"arn:aws:iam::{ACCOUNT}:role/Team"
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/Team/one"
    world = asked(ReviewPolicy((person("One", principals=[shared]), person("Two", principals=[shared]), LEAD)))

    with pytest.raises(Unauthorized, match=rf"{arn} stands for several reviewers \(One, Two\)"):
        as_principal(world, arn)
    assert refusals(world) == [refusal(world, arn, "several reviewers", arn, "several reviewers")]


def test_a_release_without_a_review_is_not_found() -> None:
    with pytest.raises(NotFound, match=f"release {RELEASE} has no review"):
        as_principal(UnderReview())


# Authors

BY_LEAD = (
    TrailEvent("UpdatePrompt", 8_999, LEAD_ARN, "IAMUser"),
    TrailEvent("CreatePromptVersion", 9_000, AUTHOR, "IAMUser", version=2),
)


@pytest.mark.parametrize("way", ["link", "identity"])
def test_an_author_cannot_approve_and_the_try_is_recorded_once(way: str) -> None:
    world = asked(events=BY_LEAD)
    for _ in range(2):
        receipt = decide(world) if way == "link" else as_principal(world)
        assert receipt == Submission(enter(world, link_of(world)), Fault.AUTHOR, fresh=False)

    by = LEAD.email if way == "link" else LEAD_ARN
    assert refusals(world) == [refusal(world, by, "own version", key(LEAD), "own", reviewer=key(LEAD))]
    assert world.request.decisions == 0


def test_whoever_wrote_it_as_the_same_principal_cannot_approve_for_any_reviewer() -> None:
    """A session of a role that the policy maps by its name: the reviewer's pattern and the author's ARN differ."""
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/Team/one"
    world = asked(ReviewPolicy((person("One", principals=[session]), LEAD)))
    world.reviews.note(world.request, authors=Authors((AUTHOR, session)))
    reviewer = replace(world.request.policy.reviewers[0], principals=())
    policy = replace(world.request.policy, reviewers=(reviewer, LEAD))
    request = replace(world.request, policy=policy)
    vote = Vote(link_of(world, reviewer), reviewer, Choice.APPROVE, "ok", session, "iam", CALLER)
    receipt = world.desk._decide(request, vote)

    assert receipt.fault is Fault.AUTHOR


def test_an_author_may_reject() -> None:
    world = asked(events=BY_LEAD)

    assert decide(world, choice="reject").fresh
    assert world.tokens.answers["token-1"]["decision"] == "rejected"


def searching(world: UnderReview, complete: bool, search: Callable[[ReviewRequest], Authors] | None) -> ReviewRequest:
    world.reviews.note(world.request, authors=Authors((AUTHOR,), ("doubt",), complete=complete))
    world.desk = replace(world.desk, authors_again=search)
    return world.request


LATE = Authors((LEAD_ARN,), (), complete=True)


def away(request: ReviewRequest) -> Authors:
    raise Unavailable("throttled")


@pytest.mark.parametrize("search", [None, away], ids=["no", "away"])
def test_authors_that_cannot_be_asked_for_stay(search: Callable[[ReviewRequest], Authors] | None) -> None:
    world = asked()
    request = searching(world, False, search)

    assert world.desk.with_authors(request) == request == world.request


@pytest.mark.parametrize("complete", [False, True])
def test_authors_are_asked_for_again_noted_and_entered_in_the_timeline(complete: bool) -> None:
    world = asked()
    searched: list[ReviewRequest] = []

    def search(request: ReviewRequest) -> Authors:
        searched.append(request)
        return LATE

    request = searching(world, complete, search)

    for _ in range(2):
        assert world.desk.with_authors(request) == replace(request, authors=LATE) == world.request
    assert searched == [request, request]
    assert [(e.by, e.detail) for e in told(world, Event.AUTHORS_FOUND)] == [("promptlane", LATE.to_dict())]


def test_authors_that_are_still_the_same_are_not_noted_again() -> None:
    world = asked()
    request = searching(world, False, lambda request: request.authors)
    world.reviews.note = None  # type: ignore[method-assign, assignment]

    assert world.desk.with_authors(request) == request


def test_nobody_searches_for_authors_unless_it_is_wired() -> None:
    fields = type(UnderReview().desk).__dataclass_fields__
    assert (fields["signer"].default, fields["authors_again"].default) == (None, None)


# Races


@pytest.mark.parametrize("error", [Conflict("moved"), AlreadyExists("decided")])
@pytest.mark.parametrize(("times", "done"), [(7, True), (8, False)])
def test_a_decision_is_tried_again_eight_times_at_most(error: Exception, times: int, done: bool) -> None:
    world = asked()
    world.reviews.record = failing(times, error, world.reviews.record)  # type: ignore[method-assign]

    if done:
        assert decide(world).fresh
    else:
        with pytest.raises(Unavailable, match="several reviewers decided at this moment"):
            decide(world)
        assert world.reviews.decisions(RELEASE, 1) == []


def test_a_decision_that_somebody_elses_overtook_is_counted_after_it() -> None:
    world = asked()
    record = world.reviews.record

    def overtaken(*args: Any, **named: Any) -> ReviewDecision:
        world.reviews.record = record  # type: ignore[method-assign]
        as_principal(world, QUALITY_ARN)
        raise Conflict("moved")

    world.reviews.record = overtaken  # type: ignore[method-assign]

    assert decide(world).fresh
    assert [(d.reviewer, d.number) for d in world.reviews.decisions(RELEASE, 1)] == [(key(QUALITY), 1), (key(LEAD), 2)]
    assert world.tokens.answers["token-1"]["decision"] == "approved"


def test_a_decision_that_comes_after_the_last_one_is_refused_and_the_review_settled() -> None:
    world = asked(ReviewPolicy((LEAD, QUALITY)))
    request, visit = world.request, enter(world, link_of(world))
    rejection = expected(world, QUALITY, Choice.REJECT)
    world.reviews.record(request, rejection)
    world.reviews.close(world.request, outcome_of(world.request, tally(world.request, [rejection], 0.0), 5.0))

    receipt = decide(world, visit=visit)

    assert (receipt.visit.door, receipt.fault, receipt.fresh) == (Door.CLOSED, None, False)
    assert world.tokens.answers["token-1"]["decision"] == "rejected"
    assert [e.detail["why"] for e in refusals(world)] == ["closed"]


@pytest.mark.parametrize("gone", [True, False])
def test_a_decision_about_what_was_asked_for_again_meanwhile_is_told_so(gone: bool) -> None:
    world = asked()

    def asked_again(*args: Any, **named: Any) -> ReviewDecision:
        if gone:
            world.reviews._requests.clear()
        else:
            world.ask(round=2, token="token-2")
        raise Conflict("moved")

    world.reviews.record = asked_again  # type: ignore[method-assign]

    with pytest.raises(NotApplicable, match=f"the review of {RELEASE} was asked for again meanwhile"):
        decide(world)


# Settling


def recorded(world: UnderReview, *decisions: ReviewDecision) -> None:
    """Decisions whose writer crashed before the review was settled."""
    for decision in decisions:
        world.reviews.record(world.request, decision)


def test_a_review_that_is_not_decided_stays_open() -> None:
    world = asked()
    recorded(world, expected(world))
    before = world.request

    assert world.desk.settle(RELEASE) == tally(before, [expected(world)], world.now)
    assert (world.request, world.tokens.answers, world.reviews.open_reviews()) == (before, {}, [RELEASE])


def test_a_review_that_expired_is_left_to_the_workflow() -> None:
    world = asked()
    world.now = world.request.expires_at

    state = world.desk.settle(RELEASE)

    assert (state and str(state.standing), world.request.outcome, world.tokens.answers) == ("expired", None, {})


def test_without_a_review_there_is_nothing_to_settle() -> None:
    assert UnderReview().desk.settle(RELEASE) is None


def test_an_approval_is_written_to_request_record_timeline_and_workflow() -> None:
    world = asked()
    recorded(world, expected(world), expected(world, QUALITY))
    request, record = world.request, world.releases.get(RELEASE)
    decisions = world.reviews.decisions(RELEASE, 1)
    world.now += 5
    state = tally(request, decisions, world.now)
    outcome = outcome_of(request, state, world.now)

    assert world.desk.settle(RELEASE) == state

    assert world.request == replace(request, outcome=outcome)
    assert world.releases.get(RELEASE) == replace(record, approval=outcome, revision=record.revision + 1)
    assert told(world, Event.REVIEW_DECIDED) == [
        TimelineEntry(
            f"{RELEASE}/review/1/decided",
            RELEASE,
            world.now,
            Event.REVIEW_DECIDED,
            f"{LEAD.email}, {QUALITY.email}",
            outcome,
        )
    ]
    assert world.tokens.answers == {
        "token-1": {k: outcome[k] for k in ("decision", "by", "reason", "candidate", "stable")}
    }
    assert world.reviews.open_reviews() == []


def test_what_is_settled_again_changes_nothing_and_keeps_its_time() -> None:
    world = asked()
    recorded(world, expected(world), expected(world, QUALITY))
    world.desk.settle(RELEASE)
    before = world.releases.get(RELEASE), world.request, told(world, *Event)
    world.now += 60
    world.tokens.answers.clear()

    world.desk.settle(RELEASE)

    assert (world.releases.get(RELEASE), world.request, told(world, *Event)) == before
    assert world.tokens.answers["token-1"]["decision"] == "approved"


def test_a_settling_that_was_cut_off_is_completed_with_the_time_of_its_outcome() -> None:
    world = asked()
    recorded(world, expected(world), expected(world, QUALITY))
    outcome = outcome_of(world.request, tally(world.request, world.reviews.decisions(RELEASE, 1), 0.0), 10_001.0)
    world.reviews.close(world.request, outcome)
    world.now += 60

    world.desk.settle(RELEASE)

    assert [e.at for e in told(world, Event.REVIEW_DECIDED)] == [10_001.0]
    assert world.releases.get(RELEASE).approval == outcome


def test_a_rejection_leaves_the_record_alone() -> None:
    world = asked()
    record = world.releases.get(RELEASE)
    recorded(world, expected(world, choice=Choice.REJECT))

    world.desk.settle(RELEASE)

    assert world.releases.get(RELEASE) == record
    assert [(e.by, e.detail["decision"]) for e in told(world, Event.REVIEW_DECIDED)] == [(LEAD.email, "rejected")]


@pytest.mark.parametrize("gone", ["ended", "without a record"])
def test_an_approval_of_a_release_that_is_over_is_told_and_answered_and_not_recorded(gone: str) -> None:
    world = asked()
    recorded(world, expected(world), expected(world, QUALITY))
    if gone == "ended":
        world.releases.update(replace(world.releases.get(RELEASE), state="ended", outcome=Outcome.FAILED))
    else:
        world.releases._releases.clear()
    record = world.releases.find(RELEASE)

    world.desk.settle(RELEASE)

    assert world.releases.find(RELEASE) == record
    assert len(told(world, Event.REVIEW_DECIDED)) == 1
    assert world.tokens.answers["token-1"]["decision"] == "approved"


@pytest.mark.parametrize(("times", "done"), [(7, True), (8, False)])
def test_an_outcome_that_others_overtake_is_decided_again_eight_times_at_most(times: int, done: bool) -> None:
    world = asked()
    recorded(world, expected(world), expected(world, QUALITY))
    world.reviews.close = failing(times, Conflict("moved"), world.reviews.close)  # type: ignore[method-assign]

    if done:
        assert world.desk.settle(RELEASE)
    else:
        with pytest.raises(Unavailable, match=f"the review of {RELEASE} is being decided by others"):
            world.desk.settle(RELEASE)
    assert bool(world.tokens.answers) is done


@pytest.mark.parametrize(("times", "done"), [(7, True), (8, False)])
def test_a_record_that_others_change_is_read_again_eight_times_at_most(times: int, done: bool) -> None:
    world = asked()
    recorded(world, expected(world), expected(world, QUALITY))
    world.releases.update = failing(times, Conflict("moved"), world.releases.update)  # type: ignore[method-assign]

    if done:
        world.desk.settle(RELEASE)
        assert world.releases.get(RELEASE).approval["decision"] == "approved"
    else:
        with pytest.raises(Unavailable, match=f"the record of {RELEASE} is being changed by others"):
            world.desk.settle(RELEASE)
    assert bool(world.tokens.answers) is done
