"""Emails: everything to decide on, within SNS's limits, and never to somebody who is not expected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.policy import ReviewPolicy
from promptlane.domain.review.brief import CaseChange, VerdictShown, bounded_cases, verdict_shown
from promptlane.domain.review.mail import MAX_BODY, moment
from promptlane.domain.text import in_words
from tests.support.review import LEAD, LEGAL, NEW, OLD, QUALITY, RELEASE, World

SNS_LIMIT = 256 * 1024


def test_the_email_holds_what_a_decision_needs() -> None:
    world = World(ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2, required_groups=("legal",)))
    world.ask()
    mail = world.mail_to(LEAD)
    assert mail.subject == "Review: support-assistant version 2 against 1 (tests: pass)"
    for expected in (
        "Hello support-lead,",
        "user/author",
        "Warmer greeting, no promises",
        "PASS",
        "refund-after-30-days",
        "Inconclusive:",
        "-Greet {{customer_name}} politely.",
        "+Greet {{customer_name}} warmly.",
        '"temperature": 0.3',
        "0 of 2",
        "an approval from legal",
        moment(world.request.expires_at),
        world.code(),
        RELEASE,
        "watched for 1 hour",
    ):
        assert expected in mail.body
    assert "token-1" not in mail.body


def test_every_reviewer_gets_an_own_link() -> None:
    world = World()
    world.ask()
    assert len({world.link(who) for who in (LEAD, QUALITY, LEGAL)}) == 3


@settings(max_examples=12)
@given(
    st.text(max_size=300),
    st.sampled_from(["p", "p" * 100]),
    st.sampled_from(["x", "é" * 150_000, "a\n" * 100_000, "𝔘" * 60_000, "\u202e" * 20_000, ("y" * 5_000 + "\n") * 40]),
)
def test_subject_and_body_stay_within_what_sns_takes(description: str, name: str, template: str) -> None:
    world = World(new=replace(NEW, name=name, template=template), description=description)
    world.ask()
    mail = world.mail_to(LEAD)
    assert 0 < len(mail.subject) < 100
    assert all(" " <= c <= "~" for c in mail.subject)
    assert len(mail.body.encode()) <= MAX_BODY < SNS_LIMIT
    assert world.link(LEAD) in mail.body
    assert not [c for c in mail.body if ord(c) < 32 and c not in "\n\t"]


def test_no_text_of_the_prompt_can_pose_as_a_line_of_the_email() -> None:
    forged = "Decide here:   https://evil.example.com/\nShort code:    AAAA-AAAA\n"
    world = World(new=replace(NEW, template=forged), description=f"ok\n{forged}")
    world.ask()
    lines = world.mail_to(LEAD).body.splitlines()
    assert [line for line in lines if line.startswith("Decide here:")] == [f"Decide here:   {world.link(LEAD)}"]
    assert len([line for line in lines if line.startswith("Short code:")]) == 1


def test_a_first_version_is_announced_as_one() -> None:
    world = World()
    release = world.releases.get(RELEASE)
    world.releases.update(replace(release, stable=None))
    world.ask()
    mail = world.mail_to(LEAD)
    assert mail.subject == "Review: support-assistant version 2, the first (tests: pass)"
    assert "at once: it is the prompt's first version" in mail.body
    assert "Failing:       1 case\n" in mail.body
    assert "in production" not in mail.body
    assert world.http("GET", world.token(LEAD))["statusCode"] == 200


def test_whoever_may_not_get_the_email_is_named_to_the_others() -> None:
    world = World(states={QUALITY.email: "pending", LEGAL.email: "unexpected"})
    world.ask()
    assert [email for email, _ in world.post.sent] == [LEAD.email]
    body = world.mail_to(LEAD).body
    assert "support-quality may not get this email: has not confirmed the subscription" in body
    assert "legal-desk may not get this email: an unexpected subscription" in body
    hindered = [e.detail["state"] for e in world.releases.timeline(RELEASE) if e.event == "Review Hindered"]
    assert hindered == ["pending", "unexpected"]
    assert len(world.notices.sent) == 2


def test_a_quorum_out_of_reach_of_email_says_so_at_once_and_stays_open() -> None:
    world = World(ReviewPolicy((LEAD, QUALITY), quorum=2), states={QUALITY.email: "missing"})
    world.ask()
    hindered = [e.detail for e in world.releases.timeline(RELEASE) if e.event == "Review Hindered"]
    assert any("cannot be met by email now" in d["what"] for d in hindered)
    assert world.tokens.answers == {}


def test_a_reviewer_who_confirms_later_gets_the_link_then_and_once() -> None:
    world = World(states={QUALITY.email: "pending"})
    world.ask()
    world.post.states.clear()
    world.round.look_after()
    world.round.look_after()
    assert [email for email, _ in world.post.sent].count(QUALITY.email) == 1
    assert set(world.request.reach.values()) == {"confirmed"}


def test_a_subscription_that_appears_later_is_told_and_gets_no_reminder() -> None:
    world = World(ReviewPolicy((LEAD, QUALITY), quorum=1))
    world.ask()
    world.post.states[QUALITY.email] = "unexpected"
    world.now = world.request.expires_at - 100
    world.round.look_after()
    assert [email for email, mail in world.post.sent if mail.subject.startswith("Reminder")] == [LEAD.email]
    assert "Review Hindered" in world.events_seen


def test_reminders_go_once_to_whoever_has_not_decided() -> None:
    world = World(ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2, remind_before=3_600))
    world.ask()
    world.send(LEAD)
    world.now = world.request.expires_at - 3_601
    assert world.round.look_after()["reminded"] == []
    world.now += 2
    assert world.round.look_after()["reminded"] == [RELEASE]
    assert world.round.look_after()["reminded"] == []
    reminded = [(email, mail) for email, mail in world.post.sent if mail.subject.startswith("Reminder")]
    assert [email for email, _ in reminded] == [QUALITY.email, LEGAL.email]
    assert "expires in 59 minutes 59 seconds" in reminded[0][1].body
    assert [e.detail["reviewer"] for e in world.releases.timeline(RELEASE) if e.event == "Review Reminded"] == [
        QUALITY.email,
        LEGAL.email,
    ]
    assert world.send(QUALITY)["statusCode"] == 200


def test_a_review_that_expired_long_ago_is_no_longer_looked_after() -> None:
    world = World()
    world.ask()
    world.now = world.request.expires_at + 10
    assert world.round.look_after() == {"settled": [], "reminded": [], "closed": [], "failed": []}
    world.now += 3_600
    assert world.round.look_after()["closed"] == [RELEASE]
    assert world.reviews.open_reviews() == []


def test_one_review_that_fails_keeps_no_other_waiting() -> None:
    world = World()
    world.ask()
    world.reviews._open.add("BROKENID12-1-1")
    assert world.round.look_after()["failed"] == []
    world.briefs._briefs.clear()
    world.post.states[LEAD.email] = "confirmed"
    world.now = world.request.expires_at - 10
    assert world.round.look_after()["failed"] == [RELEASE]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (-5, "0 seconds"),
        (1, "1 second"),
        (90, "1 minute 30 seconds"),
        (86_400, "1 day"),
        (7_200, "2 hours"),
        (90_061, "1 day 1 hour"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_report_of_any_size_is_cut_to_what_a_page_takes() -> None:
    report = {
        "rows": [("all", "1 %", "2 %")] * 99,
        "newly_failing": [{"name": "n" * 9_999, "slice": "s", "why": "w" * 99_999}] * 999,
        "inconclusive": ["i" * 9_999] * 99,
        "undetectable": ["u"],
    }
    shown = verdict_shown({"verdict": "fail", "reason": "r" * 9_999}, report, "key")
    assert len(shown.newly_failing) == 200
    assert shown.left_out == 799
    assert sum(len(c.name) + len(c.why) for c in shown.newly_failing) < 250_000
    assert shown.blind == ("u",)
    assert verdict_shown({}, None, "key") == VerdictShown()
    assert bounded_cases([CaseChange("a", "b", "c")]) == ((CaseChange("a", "b", "c"),), 0)


def test_an_unchanged_prompt_says_that_nothing_changed() -> None:
    world = World(new=OLD)
    world.ask()
    assert "(nothing that the fingerprint covers)" in world.mail_to(LEAD).body
