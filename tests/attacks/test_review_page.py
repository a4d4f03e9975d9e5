"""An author who wants a reviewer to approve what the page, the email or the terminal did not show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock
from urllib.parse import urlencode

import pytest

from promptlane.aws import http_events
from promptlane.domain.errors import InvalidInput
from promptlane.domain.policy import Reviewer, ReviewPolicy
from promptlane.domain.release import diff
from promptlane.domain.release.diff import unified
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.review import mail as mails
from promptlane.domain.review import reading as readings
from promptlane.domain.review.reading import Reading
from promptlane.domain.review.review import Choice
from promptlane.domain.review.visit import Door, Origin
from promptlane.fakes.review import InMemoryReviews
from promptlane.lifecycle import review_desk
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.pages import markup, parted
from promptlane.pages.markup import Html
from tests.support.attacks import attack, patched, together
from tests.support.review import LEAD, LEGAL, NEW, OLD, QUALITY, RELEASE, UnderReview

KIND = "approving what was not shown"
THREE_THOUSAND = tuple(
    replace(OLD, template="\n".join(f"{word} {n}" for n in range(3_200)), model=f"model-{word}")
    for word in ("old", "new")
)
WORDS = [f"word{n}" for n in range(25_000)]
ONE_WORD = (
    replace(OLD, template=" ".join(WORDS)),
    replace(OLD, template=" ".join([*WORDS[:17_000], "REFUND", *WORDS[17_001:]])),
)


def asked(pair: Sequence[PromptDraft] = (OLD, NEW), **more: Any) -> UnderReview:
    readings._laid_out.cache_clear()
    made = UnderReview(old=pair[0], new=pair[1], **more)
    made.ask()
    return made


def shown(of: UnderReview) -> str:
    return re.sub(r"</?(del|ins)>", "", str(of.http("GET", of.token(LEAD))["body"]))


def parts(of: UnderReview) -> list[str]:
    return re.findall(r'name="part" value="([0-9a-f]{32})"', shown(of))


def opened(of: UnderReview, method: str = "POST", token: str = "", **more: Any) -> None:
    for part in parts(of):
        of.http(method, token or of.token(LEAD), path="/part", body=urlencode({"part": part}), **more)


@pytest.fixture(autouse=True)
def laid_out_anew() -> Iterator[None]:
    """What was laid out without a guard serves no other test."""
    yield
    readings._laid_out.cache_clear()


# What does not fit


@attack(
    "3,200 changed lines push model and settings off the page",
    kind=KIND,
    without=together(patched(readings, "SMALL", 0), patched(readings, "ON_PAGE", 0), patched(Reading, "unread", ())),
)
def test_lines_hide_the_model() -> bool:
    of = asked(THREE_THOUSAND)
    page = shown(of)
    return "model-new" not in page and 'name="code"' in page


@attack("a part that does not fit is approved unopened", kind=KIND, without=patched(Reading, "unread", ()))
def test_approved_unopened() -> bool:
    of = asked(THREE_THOUSAND)
    return bool(of.send(LEAD)["statusCode"] == 200)


@attack(
    "all parts but one are opened",
    kind=KIND,
    without=patched(Reading, "unread", property(lambda self: () if self.opened else self.deferred)),
)
def test_all_but_one() -> bool:
    of = asked(THREE_THOUSAND)
    first, *_ = parts(of)
    of.http("POST", of.token(LEAD), path="/part", body=urlencode({"part": first}))
    return bool(of.send(LEAD)["statusCode"] == 200)


@attack(
    "a mail scanner opens every part by following links",
    kind=KIND,
    without=patched(
        ReviewDesk,
        "reading",
        (
            lambda original: (
                lambda self, visit: replace(
                    (found := original(self, visit)), opened=frozenset(p.id for p in found.deferred)
                )
            )
        )(ReviewDesk.reading),
    ),
)
def test_scanner_opens_parts() -> bool:
    of = asked(THREE_THOUSAND)
    for method in ("GET", "HEAD", "OPTIONS", "PUT"):
        opened(of, method)
    return bool(of.send(LEAD)["statusCode"] == 200)


def _of_anybody(link: object) -> str:
    return "opened#"


@attack(
    "parts are opened with another reviewer's link",
    kind=KIND,
    without=together(
        patched(review_desk, "_opened", _of_anybody),
    ),
)
def test_opened_by_another() -> bool:
    of = asked(THREE_THOUSAND)
    opened(of, token=of.token(QUALITY))
    return bool(of.send(LEAD)["statusCode"] == 200)


@attack(
    "what was opened in an earlier round counts in this one",
    kind=KIND,
    without=patched(review_desk, "_opened", lambda link: f"opened#{link.reviewer}#"),
)
def test_opened_in_an_earlier_round() -> bool:
    of = asked(THREE_THOUSAND)
    opened(of)
    of.ask(round=2, token="token-2")
    return bool(of.send(LEAD)["statusCode"] == 200)


@attack(
    "another site's page has the browser open the parts",
    kind=KIND,
    without=patched(
        http_events,
        "header",
        lambda event, name: {"content-type": "application/x-www-form-urlencoded"}.get(name, ""),
    ),
)
def test_opened_by_another_site() -> bool:
    of = asked(THREE_THOUSAND)
    opened(of, site="cross-site")
    return bool(of.send(LEAD)["statusCode"] == 200)


def _whole_lines(title: str, old: list[str], new: list[str]) -> diff.Section:
    rows = tuple(
        replace(row, old=tuple((text[:1_000], c) for text, c in row.old), new=tuple((t[:1_000], c) for t, c in row.new))
        for row in diff._rows(old, new)
    )
    return diff.Section(title, rows)


@pytest.mark.parametrize("where", ["page", "email"])
@attack(
    "one word is changed in a line of 200,000 characters", kind=KIND, without=patched(diff, "_section", _whole_lines)
)
def test_one_word_in_a_long_line(where: str) -> bool:
    of = asked(ONE_WORD)
    text = shown(of) if where == "page" else of.mail_to(LEAD).body
    return "REFUND" not in text and "word17000" not in text


@attack(
    "an email that lacks a change does not say so",
    kind=KIND,
    without=patched(
        mails,
        "unified",
        (lambda original: lambda sections: (line[:1_000] for line in [*original(sections)][:50]))(unified),
    ),
)
def test_email_lacks_a_change() -> bool:
    of = asked(THREE_THOUSAND)
    body = of.mail_to(LEAD).body
    return "new 3199" not in body and "NOT in this email" not in body


@attack(
    "a change is approved by identity without a word on what was read",
    kind=KIND,
    without=patched(review_desk, "_check_read", lambda *_: None),
)
def test_approved_by_identity_unread() -> bool:
    of = asked(THREE_THOUSAND)
    try:
        of.desk.decide_by_identity(RELEASE, arn=LEAD.principals[0], choice="approve", reason="x", caller=Origin(""))
    except InvalidInput:
        return False
    return True


@attack(
    "a stable version's fingerprint passes for the candidate's",
    kind=KIND,
    without=patched(review_desk, "_check_read", lambda request, typed: None),
)
def test_fingerprint_of_another_version() -> bool:
    of = asked()
    try:
        of.desk.decide_by_identity(
            RELEASE,
            arn=LEAD.principals[0],
            choice="approve",
            reason="x",
            caller=Origin(""),
            fingerprint=of.request.stable_fingerprint or "",
        )
    except InvalidInput:
        return False
    return True


# Size


def _huge() -> UnderReview:
    many = [f"{n} " + '"<&>é' * 60 for n in range(1_500)]
    return asked((OLD, replace(OLD, template="\n".join(many))))


@attack(
    "a page is so large that no answer can hold it",
    kind="size",
    without=together(patched(readings, "ON_PAGE", 10**9), patched(readings, "PART", 10**9)),
)
def test_page_too_large() -> bool:
    of = _huge()
    answers = [of.http("GET", of.token(LEAD))]
    return any(len(json.dumps(answer)) > 4_000_000 for answer in answers)


@attack(
    "a report is so large that no answer can hold it",
    kind="size",
    without=patched(parted, "_cut", lambda text, most: [text]),
)
def test_report_too_large() -> bool:
    of = asked()
    body = "".join(f"<p>case {n} failed &lt;é&gt;</p>" for n in range(250_000))
    of.objects.data["report.html"] = f"<!doctype html><body><main>{body}</main></body>".encode()
    answer = of.http("GET", of.token(LEAD), path="/report")
    return answer["statusCode"] != 200 or len(json.dumps(answer)) > 6_000_000


# Others


@contextmanager
def _seen_by_get() -> Iterator[None]:
    original = ReviewDesk.reading

    def reading(self: ReviewDesk, visit: object) -> Reading:
        self.viewed(visit, Origin(""))  # type: ignore[arg-type]
        return original(self, visit)  # type: ignore[arg-type]

    with mock.patch.object(ReviewDesk, "reading", reading):
        yield


@attack("a scanner's visit passes for a reviewer's reading", kind="records of what nobody did", without=_seen_by_get)
def test_viewed_by_scanner() -> bool:
    of = asked()
    for path in ("", "/part", "/report"):
        of.http("GET", of.token(LEAD), path=path)
        of.http("HEAD", of.token(LEAD), path=path)
    return "Review Viewed" in of.events_seen


XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)></title></style>"


def _as_it_is(text: str) -> Html:
    return Html(text)


@pytest.mark.parametrize("where", ["prompt", "description", "template", "model", "reason", "reviewer", "fields"])
@attack("markup in a field runs on the page", kind="markup of others", without=patched(markup, "escape", _as_it_is))
def test_markup(where: str) -> bool:
    readings._laid_out.cache_clear()
    mallory = Reviewer(XSS, QUALITY.email, (XSS,)) if where == "reviewer" else QUALITY
    new = {
        "template": replace(NEW, template=XSS),
        "model": replace(NEW, model=XSS),
        "fields": replace(NEW, additional_fields={XSS: XSS}),
    }.get(where, NEW)
    of = UnderReview(
        ReviewPolicy(reviewers=(LEAD, mallory, LEGAL), quorum=2),
        new=new,
        description=XSS if where in ("description", "prompt") else "x",
    )
    of.ask()
    pages = [of.http("GET", of.token(LEAD))["body"]]
    if where == "reason":
        of.send(LEAD, reason=XSS)
        pages = [of.http("GET", of.token(LEGAL))["body"]]
    return any("<script>" in page or "<img" in page for page in pages)


@contextmanager
def _unguarded_record() -> Iterator[None]:
    """Decisions that are written whatever was decided meanwhile."""

    def record(self: InMemoryReviews, request: object, decision: Any, *entries: object) -> object:
        self._decisions.setdefault((RELEASE, 1), {})[f"{decision.reviewer}{id(decision)}"] = decision
        return decision

    with mock.patch.object(InMemoryReviews, "record", record), mock.patch.object(ReviewDesk, "_look", _open):
        yield


LOOK = ReviewDesk._look


def _open(self: ReviewDesk, *given: object) -> object:
    return replace(LOOK(self, *given), door=Door.OPEN)  # type: ignore[arg-type]


@attack("two decisions of one reviewer at one instant both count", kind="races of decisions", without=_unguarded_record)
def test_two_decisions_at_once() -> bool:
    of = asked(policy=ReviewPolicy(reviewers=(LEAD, QUALITY, LEGAL), quorum=2))
    visits = [of.desk.enter(RELEASE, of.token(LEAD)) for _ in range(2)]
    code = of.code(LEAD)
    for visit, choice in zip(visits, ("approve", "reject"), strict=True):
        of.desk.decide_by_link(visit, choice=choice, code=code, reason="x", caller=Origin("203.0.113.7"))
    made = list(of.reviews._decisions.get((RELEASE, 1), {}).values())
    return {d.choice for d in made} == {Choice.APPROVE, Choice.REJECT} or len(made) > 1
