"""A round of review: what it asks, of whom, what it leaves, and how the schedule looks after it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import (
    Conflict,
    InvalidInput,
    NotApplicable,
    NotFound,
    PromptlaneError,
    Unauthorized,
    Unavailable,
)
from promptlane.domain.names import Outcome
from promptlane.domain.policy import Policy, Reviewer, ReviewPolicy
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.brief import make_brief
from promptlane.domain.review.code import Holder
from promptlane.domain.review.link import Link, url
from promptlane.domain.review.mail import Mail, WayIn, reminder_mail, review_mail, warning_mail
from promptlane.domain.review.review import Authors, Choice, ReviewDecision, ReviewRequest
from promptlane.domain.review.rules import tally
from promptlane.domain.trail import TrailEvent
from tests.support.review import AUTHOR, FIRST, LEAD, LEGAL, PROMPT_ID, QUALITY, RELEASE, UnderReview, key, told

ALL = (LEAD, QUALITY, LEGAL)
TWO = ReviewPolicy(ALL, quorum=2, required_groups=("legal",), expires_after=600, remind_before=120)
ANSWERS = {"decision": "approved", "by": "x", "reason": "y", "at": 1.0, "candidate": "c", "stable": "s"}


def link(world: UnderReview, who: Reviewer, round: int = 1) -> WayIn:
    its = Link(RELEASE, round, key(who), int(world.request.expires_at))
    seal = world.reviews.sealed(RELEASE, round, key(who))
    assert seal is not None
    code = Holder(RELEASE, round, key(who)).code(seal.seed, world.signer.sign)
    return WayIn(url("https://ops.example.com/live", its, world.signer.sign(its.message)), code)


def conflicting(world: UnderReview, times: int, **changes: Any) -> None:
    """Somebody else writes the record right before the next updates."""
    update, left = world.releases.update, [times]

    def overtaken(release: Any, *entries: TimelineEntry) -> Any:
        if left[0]:
            left[0] -= 1
            update(replace(world.releases.get(RELEASE), **changes))
            raise Conflict("changed meanwhile")
        return update(release, *entries)

    world.releases.update = overtaken  # type: ignore[method-assign]


class Undeliverable:
    """A post that refuses to send to some, though their subscriptions look fine."""

    def __init__(self, world: UnderReview, refusals: dict[str, PromptlaneError]) -> None:
        self._post, self._refusals = world.post, refusals
        world.round = replace(world.round, post=self)

    def reach(self, emails: Sequence[str]) -> dict[str, str]:
        return self._post.reach(emails)

    def send(self, email: str, mail: Mail) -> None:
        if email in self._refusals:
            raise self._refusals[email]
        self._post.send(email, mail)


# Asking


@pytest.mark.parametrize("first", [False, True])
def test_a_round_that_is_asked_for_leaves_request_brief_entry_and_mails(first: bool) -> None:
    world = UnderReview(TWO, states={QUALITY.email: "unprotected"})
    release = world.releases.update(
        replace(
            world.releases.get(RELEASE),
            requested_by="operator",
            stable=None if first else world.prompts.version(PROMPT_ID, 1).ref,
        )
    )
    candidate, stable = (world.prompts.version(PROMPT_ID, n) for n in (2, 1))
    authors = Authors((AUTHOR, FIRST) if first else (AUTHOR,), since=0.0 if first else 1_000.0, until=9_000.0)
    reach = {key(LEAD): "confirmed", key(QUALITY): "unprotected", key(LEGAL): "confirmed"}

    request = world.ask()

    assert request == world.request
    assert request == ReviewRequest(
        RELEASE,
        1,
        "support-assistant",
        candidate.ref,
        None if first else stable.ref,
        TWO,
        authors,
        "pass",
        10_000.0,
        10_570.0,
        0,
        None,
        reach,
    )
    brief = make_brief(
        release_id=RELEASE,
        round=1,
        candidate=candidate,
        stable=None if first else stable,
        authors=authors.principals,
        requested_by="operator",
        tests=world.tests(release, 1),
        policy=Policy(review=TWO),
    )
    assert world.briefs.get(RELEASE, 1).to_dict() == brief.to_dict()
    record = world.releases.get(RELEASE)
    assert record == replace(release, state="review", revision=release.revision + 1)
    detail = {
        "round": 1,
        "candidate": candidate.ref.to_item(),
        "stable": None if first else stable.ref.to_item(),
        "reviewers": [r.email for r in ALL],
        "quorum": 2,
        "required_groups": ["legal"],
        "authors": authors.to_dict(),
        "verdict": "pass",
        "expires_at": 10_570.0,
        "reach": reach,
        "brief_sha256": hashlib.sha256(canonical_json(brief.to_dict()).encode()).hexdigest(),
    }
    assert told(world, *Event)[1:] == [
        TimelineEntry(f"{RELEASE}/review/1/requested", RELEASE, 10_000.0, Event.REVIEW_REQUESTED, "promptlane", detail)
    ]
    brief, state = world.briefs.get(RELEASE, 1), tally(request, [], world.now)
    assert world.post.sent == [
        (who.email, review_mail(request, brief, state, who, link(world, who), 10_000.0)) for who in ALL
    ]
    assert world.reviews._marks[RELEASE] == {f"mailed#1#{key(who)}": 10_000.0 for who in ALL}
    assert (world.notices.sent, world.tokens.answers) == ([], {})
    assert world.reviews.open_reviews() == [RELEASE]


@pytest.mark.parametrize(("span", "expires"), [(600.0, 570.0), (1200.0, 1140.0), (86_400.0, 86_340.0)])
def test_a_round_expires_a_little_before_the_workflows_step(span: float, expires: float) -> None:
    world = UnderReview(ReviewPolicy(ALL, expires_after=span, remind_before=60))

    assert world.ask().expires_at == 10_000.0 + expires


def test_a_round_that_is_asked_for_again_has_the_new_token_and_time_and_nothing_is_made_or_sent_twice() -> None:
    world = UnderReview(TWO)
    first = world.ask()
    before = (world.releases.get(RELEASE), world.briefs.get(RELEASE, 1), list(world.post.sent), told(world, *Event))
    world.trail.found.clear()
    world.verdict, world.now = "fail", 10_100.0

    again = world.ask(token="token-2")

    assert again == world.request == replace(first, expires_at=10_670.0)
    assert world.reviews.task_token(RELEASE, 1) == "token-2"
    assert (world.releases.get(RELEASE), world.briefs.get(RELEASE, 1), world.post.sent, told(world, *Event)) == before


def test_another_round_is_made_anew() -> None:
    world = UnderReview(TWO)
    world.ask()
    first = {who.email: world.code(who) for who in ALL}
    world.verdict, world.now = "inconclusive", 10_100.0

    second = world.ask(round=2, token="token-2")

    assert (second.round, second.verdict, second.requested_at) == (2, "inconclusive", 10_100.0)
    assert [email for email, _ in world.post.sent[3:]] == [r.email for r in ALL]
    codes = {*first.values(), *(world.code(who) for who in ALL)}
    assert len(codes) == 6, "each reviewer's code of each round is another one"
    assert [e.id for e in told(world, Event.REVIEW_REQUESTED)] == [f"{RELEASE}/review/{n}/requested" for n in (1, 2)]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"state": "ended", "outcome": Outcome.EXPIRED}, f"release {RELEASE} is expired; it cannot be reviewed"),
        ({"candidate": None}, f"release {RELEASE} is not admitted; it cannot be reviewed"),
    ],
)
def test_what_ended_or_was_not_admitted_cannot_be_reviewed(fields: dict[str, Any], says: str) -> None:
    world = UnderReview()
    world.releases.update(replace(world.releases.get(RELEASE), **fields))

    with pytest.raises(NotApplicable, match=says):
        world.ask()
    assert (world.reviews.get(RELEASE), world.post.sent) == (None, [])


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("change", ["altered", "vanished"])
def test_a_version_that_is_not_as_it_was_admitted_cannot_be_reviewed(number: int, change: str) -> None:
    world = UnderReview()
    versions = world.prompts._versions[PROMPT_ID]
    error: type[Exception]
    if change == "vanished":
        del versions[number - 1]
        error, says = NotFound, f"has no version {number}"
    else:
        other = PromptDraft("support-assistant", "m", (), template="other").variants()
        versions[number - 1] = replace(versions[number - 1], variants=other)
        error, says = NotApplicable, f"version {number} of support-assistant no longer has the fingerprint"

    with pytest.raises(error, match=says):
        world.ask()
    assert world.reviews.get(RELEASE) is None


def test_where_cloudtrail_does_not_answer_nobody_is_told_to_have_written_it_yet() -> None:
    world = UnderReview()

    def silent(*_: object) -> Authors:
        raise Unavailable("throttled")

    world.round = replace(world.round, authors=silent)

    assert world.ask().authors == Authors((), ("who wrote it could not be asked: throttled",), complete=False)


@pytest.mark.parametrize("round", [1, 2])
def test_an_approval_outlives_only_its_own_round(round: int) -> None:
    world = UnderReview()
    approval = {"round": 1, "candidate": "c"}
    world.releases.update(replace(world.releases.get(RELEASE), state="review", approval=approval))
    revision = world.releases.get(RELEASE).revision

    world.ask(round=round)

    record = world.releases.get(RELEASE)
    assert (record.approval, record.revision) == ((approval, revision) if round == 1 else ({}, revision + 1))
    assert [e.detail["round"] for e in told(world, Event.REVIEW_REQUESTED)] == [round]


def test_a_release_that_is_in_another_state_with_the_same_approval_comes_into_review() -> None:
    world = UnderReview()
    approval = {"round": 1, "candidate": "c"}
    world.releases.update(replace(world.releases.get(RELEASE), state="testing", approval=approval))

    world.ask()

    assert (world.releases.get(RELEASE).state, world.releases.get(RELEASE).approval) == ("review", approval)


@pytest.mark.parametrize(("times", "done"), [(7, True), (8, False)])
def test_a_record_that_others_change_is_read_again_eight_times_at_most(times: int, done: bool) -> None:
    world = UnderReview()
    conflicting(world, times, description="new words")

    if done:
        world.ask()
        record = world.releases.get(RELEASE)
        assert (record.state, record.description) == ("review", "new words")
    else:
        with pytest.raises(Unavailable, match=f"record of {RELEASE} is being changed by others"):
            world.ask()
        assert world.post.sent == []


def test_a_release_that_ends_meanwhile_stays_ended_and_its_timeline_says_who_was_asked() -> None:
    world = UnderReview()
    conflicting(world, 1, state="ended", outcome=Outcome.FAILED)

    world.ask()

    assert world.releases.get(RELEASE).state == "ended"
    assert len(told(world, Event.REVIEW_REQUESTED)) == 1


def test_a_round_that_was_decided_sends_no_more_mails_and_its_new_token_is_answered() -> None:
    world = UnderReview()
    world.ask()
    world.reviews.close(world.request, {**ANSWERS, "round": 1, "approvals": []})
    world.post.sent.clear()
    world.reviews._marks.clear()

    world.ask(token="token-2")

    assert world.post.sent == []
    assert world.tokens.answers["token-2"]["decision"] == "approved"


# Who cannot be reached


def test_who_is_not_reached_by_email_is_said_once_in_timeline_and_notices() -> None:
    world = UnderReview(ReviewPolicy(ALL), states={LEAD.email: "pending", LEGAL.email: "no_topic"})

    request = world.ask()
    world.ask(token="token-2")

    look = "`promptlane reviewers list` shows the subscriptions"
    asks = "`promptlane reviewers confirm` confirms one, `promptlane reviewers subscribe` has SNS ask again"
    words = {
        LEAD: (
            "pending",
            "support-lead <support-lead@example.com> has not confirmed the subscription",
            f"{look}, {asks}",
        ),
        LEGAL: (
            "no_topic",
            "legal-desk <legal-desk@example.com> has no topic in this deployment",
            f"{look}; deploy the reviewers' stacks",
        ),
    }
    assert told(world, Event.REVIEW_HINDERED) == [
        TimelineEntry(
            f"{RELEASE}/review/1/hindered/{key(who)}/{state}",
            RELEASE,
            10_000.0,
            Event.REVIEW_HINDERED,
            "promptlane",
            {"what": what, "state": state, "remedy": remedy},
        )
        for who, (state, what, remedy) in words.items()
    ]
    mails = [warning_mail(request, what, remedy) for _, what, remedy in words.values()]
    assert world.notices.sent == [(mail.subject, mail.body) for mail in mails]
    assert [email for email, _ in world.post.sent] == [QUALITY.email]


def test_a_reviewer_of_whose_subscription_nothing_is_known_is_taken_for_missing() -> None:
    world = UnderReview(ReviewPolicy(ALL))
    reach = world.post.reach
    world.post.reach = lambda emails: {e: s for e, s in reach(emails).items() if e != LEAD.email}  # type: ignore[method-assign]

    world.ask()

    [entry] = told(world, Event.REVIEW_HINDERED)
    assert (entry.detail["state"], entry.id.split("/")[-2]) == ("missing", key(LEAD))
    assert [email for email, _ in world.post.sent] == [QUALITY.email, LEGAL.email]


def test_a_quorum_that_email_cannot_bring_together_is_said() -> None:
    world = UnderReview(ReviewPolicy(ALL, quorum=3), states={LEAD.email: "pending"})

    request = world.ask()

    entry = told(world, Event.REVIEW_HINDERED)[-1]
    assert (entry.id, entry.detail["state"]) == (f"{RELEASE}/review/1/hindered/quorum/out of reach", "out of reach")
    assert entry.detail["what"].startswith("The quorum cannot be met by email now: 3 more approvals are needed")
    assert "`promptlane approve`" in entry.detail["remedy"]
    mail = warning_mail(request, entry.detail["what"], entry.detail["remedy"])
    assert world.notices.sent[-1] == (mail.subject, mail.body)
    assert world.tokens.answers == {}


def test_a_quorum_that_can_never_be_met_is_said_and_rejected() -> None:
    by_lead = (
        TrailEvent("UpdatePrompt", 8_999, LEAD.principals[0], "IAMUser"),
        TrailEvent("CreatePromptVersion", 9_000, AUTHOR, "IAMUser", version=2),
    )
    world = UnderReview(ReviewPolicy((LEAD, QUALITY), quorum=2), events=by_lead)

    world.ask()

    [entry] = told(world, Event.REVIEW_HINDERED)
    assert (entry.id, entry.detail["state"]) == (f"{RELEASE}/review/1/hindered/quorum/impossible", "impossible")
    assert entry.detail["what"].startswith("The quorum can never be met: 2 more approvals are needed")
    assert "deploy, and ask for a new release" in entry.detail["remedy"]
    assert len(world.notices.sent) == 1
    assert world.tokens.answers["token-1"]["decision"] == "rejected"


def test_a_review_that_can_go_on_warns_nobody() -> None:
    world = UnderReview(ReviewPolicy(ALL, quorum=3))

    world.ask()

    assert (told(world, Event.REVIEW_HINDERED), world.notices.sent) == ([], [])


@pytest.mark.parametrize(
    "error",
    [
        NotApplicable("somebody else would get it"),
        NotFound("there is no topic"),
        Unauthorized("KMSAccessDenied"),
        InvalidInput("InvalidParameter: TopicArn"),
        Unavailable("busy"),
    ],
)
def test_an_email_that_cannot_be_sent_is_said_tried_again_and_keeps_the_others_from_nothing(
    error: PromptlaneError,
) -> None:
    world = UnderReview()
    Undeliverable(world, {LEAD.email: error})

    world.ask()

    assert told(world, Event.REVIEW_HINDERED) == [
        TimelineEntry(
            f"{RELEASE}/review/1/hindered/{key(LEAD)}/not sent",
            RELEASE,
            10_000.0,
            Event.REVIEW_HINDERED,
            "promptlane",
            {
                "what": f"support-lead: {error}",
                "state": "not sent",
                "remedy": "remove the unexpected subscription, or deploy the reviewer's topic again",
            },
        )
    ]
    assert len(world.notices.sent) == 1
    assert [email for email, _ in world.post.sent] == [QUALITY.email, LEGAL.email]
    world.round = replace(world.round, post=world.post)
    world.round.look_after()
    assert [email for email, _ in world.post.sent[2:]] == [LEAD.email]


class NoTopic:
    """Notices whose topic is gone."""

    def publish(self, subject: str, body: str, *, id: str = "") -> None:
        raise NotFound("sending a notice: NotFound: Topic does not exist")


def test_a_deployment_without_its_notices_topic_still_asks_and_says_so_once() -> None:
    world = UnderReview(ReviewPolicy(ALL, quorum=3), states={LEAD.email: "pending"})
    world.round = replace(world.round, notices=NoTopic())

    world.ask()
    world.ask(token="token-2")
    world.round.look_after()

    hindered = told(world, Event.REVIEW_HINDERED)
    assert [e.detail["state"] for e in hindered] == ["pending", "not sent", "out of reach"]
    assert hindered[1].detail["what"] == (
        "The notices topic takes no messages: sending a notice: NotFound: Topic does not exist"
    )
    assert [email for email, _ in world.post.sent] == [QUALITY.email, LEGAL.email]


@pytest.mark.parametrize("error", [Unauthorized("no"), Unavailable("busy")])
def test_a_trail_that_does_not_answer_leaves_authors_unknown(error: PromptlaneError) -> None:
    world = UnderReview()

    def silent(candidate: object, reviewers: object) -> Authors:
        raise error

    world.round = replace(world.round, authors=silent)
    assert world.ask().authors == Authors((), (f"who wrote it could not be asked: {error}",), complete=False)


# What the schedule does

NOTHING: dict[str, list[str]] = {"settled": [], "reminded": [], "closed": [], "failed": []}


def test_an_open_review_with_time_left_is_left_alone() -> None:
    world = UnderReview(TWO)
    world.ask()
    before = told(world, *Event), list(world.post.sent), world.request

    assert world.round.look_after() == NOTHING
    assert (told(world, *Event), world.post.sent, world.request) == before
    assert world.reviews.open_reviews() == [RELEASE]


def test_one_review_that_fails_keeps_no_other_waiting() -> None:
    world = UnderReview(TWO)
    world.ask()
    other = "PROMPTID12-1-1"
    world.reviews._open.add(other)
    get = world.reviews.get

    def failing(release_id: str) -> ReviewRequest | None:
        if release_id == other:
            raise Unavailable("throttled")
        return get(release_id)

    world.reviews.get = failing  # type: ignore[method-assign]
    world.now = world.request.expires_at - 120

    assert world.round.look_after() == {**NOTHING, "failed": [other], "reminded": [RELEASE]}


def test_what_was_listed_without_a_review_is_taken_off_the_list() -> None:
    world = UnderReview()
    world.reviews._open.add(RELEASE)

    assert world.round.look_after() == {**NOTHING, "closed": [RELEASE]}
    assert world.reviews.open_reviews() == []


@pytest.mark.parametrize("gone", ["ended", "without a record"])
def test_the_review_of_a_release_that_is_over_is_closed(gone: str) -> None:
    world = UnderReview()
    world.ask()
    world.reviews._marks.clear()
    world.post.sent.clear()
    if gone == "ended":
        world.releases.update(replace(world.releases.get(RELEASE), state="ended", outcome=Outcome.FAILED))
    else:
        del world.releases._releases[RELEASE]

    assert world.round.look_after() == {**NOTHING, "closed": [RELEASE]}
    assert (world.reviews.open_reviews(), world.post.sent) == ([], [])


@pytest.mark.parametrize(("late", "closed"), [(0.0, []), (3600.0, []), (3601.0, [RELEASE])])
def test_an_expired_review_is_left_alone_and_closed_after_an_hour(late: float, closed: list[str]) -> None:
    world = UnderReview(TWO)
    world.ask()
    world.reviews._marks.clear()
    world.post.sent.clear()
    world.now = world.request.expires_at + late

    assert world.round.look_after() == {**NOTHING, "closed": closed}
    assert (world.post.sent, told(world, Event.REVIEW_REMINDED)) == ([], [])


def decide(world: UnderReview, *who: Reviewer) -> None:
    """Approvals whose writer crashed before the review was settled."""
    for one in who:
        request = world.request
        approval = ReviewDecision(
            key(one),
            Choice.APPROVE,
            "ok",
            world.now,
            one.email,
            "link",
            "",
            request.candidate.fingerprint,
            request.stable_fingerprint,
        )
        world.reviews.record(request, approval)


def test_what_a_crash_left_undone_is_settled() -> None:
    world = UnderReview(TWO)
    world.ask()
    decide(world, LEAD, LEGAL)

    assert world.round.look_after() == {**NOTHING, "settled": [RELEASE]}
    assert world.tokens.answers["token-1"]["decision"] == "approved"


def test_a_subscription_that_was_confirmed_meanwhile_gets_the_link() -> None:
    world = UnderReview(TWO, states={QUALITY.email: "pending"})
    world.ask()
    world.post.states = {LEGAL.email: "pending"}
    world.now += 60

    assert world.round.look_after() == NOTHING
    assert [email for email, _ in world.post.sent[2:]] == [QUALITY.email]
    reach = {key(LEAD): "confirmed", key(QUALITY): "confirmed", key(LEGAL): "pending"}
    assert world.request.reach == reach
    assert [e.detail["what"].split()[0] for e in told(world, Event.REVIEW_HINDERED)] == [
        "support-quality",
        "legal-desk",
        "The",
    ]
    assert world.post.sent[-1][1] == review_mail(
        world.request,
        world.briefs.get(RELEASE, 1),
        tally(world.request, [], world.now),
        QUALITY,
        link(world, QUALITY),
        world.now,
    )


def test_late_authors_are_asked_for_until_they_are_known_or_the_review_is_decided() -> None:
    world = UnderReview(ReviewPolicy(ALL), events=())
    world.now = 9_100.0
    world.ask()
    world.trail.found.append(TrailEvent("CreatePromptVersion", 9_000, AUTHOR, "IAMUser", version=2))

    world.round.look_after()

    assert world.request.authors.principals == (AUTHOR,)


# Reminders


@pytest.mark.parametrize(("left", "reminded"), [(120.5, False), (120.0, True), (0.5, True)])
def test_a_reminder_comes_when_the_policy_says_so(left: float, reminded: bool) -> None:
    world = UnderReview(TWO)
    world.ask()
    world.now = world.request.expires_at - left

    assert world.round.look_after()["reminded"] == [RELEASE] * reminded
    assert len(world.post.sent) == 3 + 3 * reminded


def test_whoever_may_still_decide_and_is_reached_is_reminded_once() -> None:
    world = UnderReview(replace(TWO, reviewers=(LEAD, QUALITY, LEGAL)), states={QUALITY.email: "pending"})
    world.ask()
    decide(world, LEAD)
    world.now = world.request.expires_at - 60
    decisions = world.reviews.decisions(RELEASE, 1)
    sent = len(world.post.sent)

    assert world.round.look_after() == {**NOTHING, "reminded": [RELEASE]}
    assert world.round.look_after() == NOTHING

    request, brief = world.request, world.briefs.get(RELEASE, 1)
    state = tally(request, decisions, world.now)
    assert world.post.sent[sent:] == [
        (LEGAL.email, reminder_mail(request, brief, state, LEGAL, link(world, LEGAL), world.now))
    ]
    assert told(world, Event.REVIEW_REMINDED) == [
        TimelineEntry(
            f"{RELEASE}/review/1/reminded/{key(LEGAL)}",
            RELEASE,
            world.now,
            Event.REVIEW_REMINDED,
            "promptlane",
            {"reviewer": LEGAL.email},
        )
    ]
    assert world.reviews._marks[RELEASE][f"reminder#1#{key(LEGAL)}"] == world.now


def test_somebody_who_was_reminded_keeps_no_other_from_being_reminded() -> None:
    world = UnderReview(TWO)
    world.ask()
    world.reviews.mark(RELEASE, f"reminder#1#{key(LEAD)}", 1.0)
    world.now = world.request.expires_at - 60

    assert world.round.look_after()["reminded"] == [RELEASE]
    assert [email for email, _ in world.post.sent[3:]] == [QUALITY.email, LEGAL.email]


def test_a_reminder_that_cannot_be_sent_is_no_reminder() -> None:
    world = UnderReview(TWO)
    world.ask()
    world.now = world.request.expires_at - 60
    Undeliverable(world, {who.email: NotFound("there is no topic") for who in ALL})

    assert world.round.look_after() == NOTHING
    assert told(world, Event.REVIEW_REMINDED) == []
    assert len(told(world, Event.REVIEW_HINDERED)) == 3
    world.round = replace(world.round, post=world.post)
    assert world.round.look_after()["reminded"] == [RELEASE]
