"""The emails of a review: subject and plain-text body, within what SNS takes whatever the prompt holds.

SNS: a subject has fewer than 100 characters, printable ASCII, and begins with a letter, number or punctuation mark; a
message has at most 256 KiB of UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from promptlane.domain.policy import Reviewer
from promptlane.domain.release.diff import compare, unified
from promptlane.domain.text import in_words, one_line

from .brief import Brief
from .code import in_print
from .review import ReviewRequest, authored_in_words, authors_in_words, reviewer_key
from .rules import Tally, reach_in_words

MAX_SUBJECT: Final = 99
MAX_BODY: Final = 200 * 1024
"""Bytes; well under SNS's 256 KiB."""
_DIFF_BYTES: Final = 96 * 1024
_CASES: Final = 20


@dataclass(frozen=True, slots=True)
class Mail:
    """One email."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class WayIn:
    """How one reviewer decides without an AWS identity: the signed link, and the code of its own."""

    link: str
    code: str = field(repr=False)


def review_mail(
    request: ReviewRequest, brief: Brief, state: Tally, reviewer: Reviewer, way_in: WayIn, now: float
) -> Mail:
    """What a reviewer gets when the review is asked for."""
    return _mail(_subject("Review", request, brief), _asked(request, brief, state, reviewer, way_in, now))


def reminder_mail(
    request: ReviewRequest, brief: Brief, state: Tally, reviewer: Reviewer, way_in: WayIn, now: float
) -> Mail:
    """What a reviewer who has not decided gets before the review expires."""
    left = in_words(request.expires_at - now)
    first = f"Reminder: this review expires in {left}, and then the release ends without it.\n"
    return _mail(_subject("Reminder", request, brief), [first, *_asked(request, brief, state, reviewer, way_in, now)])


def warning_mail(request: ReviewRequest, what: str, remedy: str) -> Mail:
    """What the deployment's notices topic gets when a review cannot go on as the policy asks."""
    subject = f"Review of {request.prompt} version {request.candidate.version}: needs attention"
    return _mail(subject, [f"Release: {request.release_id}", "", what, "", f"What to do: {remedy}"])


def _subject(kind: str, request: ReviewRequest, brief: Brief) -> str:
    against = f" against {brief.stable_version}" if brief.stable_version is not None else ", the first"
    tail = f" version {brief.version}{against} (tests: {request.verdict or 'none'})"
    name = one_line(brief.prompt, MAX_SUBJECT - len(kind) - 2 - len(tail))
    return f"{kind}: {name}{tail}"


def _mail(subject: str, lines: Iterable[str]) -> Mail:
    printable = "".join(c if " " <= c <= "~" else "?" for c in subject)
    text = "\n".join(lines) + "\n"
    raw = text.encode()
    if len(raw) > MAX_BODY:  # every part is bounded already; this is the last resort against all of them at once
        text = raw[: MAX_BODY - 100].decode(errors="ignore") + "\n... cut here; the rest is on the review page\n"
    return Mail(printable[:MAX_SUBJECT], text)


def _asked(
    request: ReviewRequest, brief: Brief, state: Tally, reviewer: Reviewer, way_in: WayIn, now: float
) -> Iterator[str]:
    old = f"version {brief.stable_version} (in production)" if brief.stable_version is not None else "nothing yet"
    yield f"Hello {one_line(reviewer.name, 80)},"
    yield ""
    yield f"version {brief.version} of the prompt {one_line(brief.prompt, 100)} asks for your review."
    yield ""
    yield f"Decide here:   {way_in.link}"
    yield f"Short code:    {in_print(way_in.code)}   (you type it to decide; opening the link decides nothing)"
    yield "Page down?     With AWS credentials, `promptlane approve` and `promptlane reject` do not need it."
    yield f"Expires:       {moment(request.expires_at)} (in {in_words(request.expires_at - now)})"
    yield ""
    yield f"Release:       {request.release_id}"
    yield f"Replaces:      {old}"
    authors = one_line(authors_in_words(request) or "not known", 500)
    yield f"Authors:       {authors} ({authored_in_words(request)})"
    for doubt in request.authors.unattributed:
        yield f"Not certain:   {one_line(doubt, 300)}"
    yield f"Fingerprint:   {request.candidate.fingerprint}"
    yield "Why:           " + (one_line(brief.description, 250) or "(the author gave no description)")
    yield ""
    yield from _risk(request, brief)
    yield ""
    yield f"Approvals:     {len(state.approvals)} of {state.needed}; {state.why}"
    yield from _others(request, reviewer)
    yield ""
    yield "If it is approved:"
    yield from (f"  {share:>6}  {how}" for share, how in brief.plan[:30])
    yield ""
    yield "-" * 72
    yield (
        "All of it is new"
        if brief.stable_version is None
        else f"What changes ({brief.stable_version} -> {brief.version})"
    )
    yield "-" * 72
    yield from diff_lines(brief)
    yield "-" * 72
    yield "This link is yours alone and says who you are. Do not forward it."


def _risk(request: ReviewRequest, brief: Brief) -> Iterator[str]:
    tests = brief.tests
    because = f": {one_line(tests.reason, 500)}" if tests.reason else ""
    yield f"Tests:         {(request.verdict or 'none').upper()}{because}"
    first = brief.stable_version is None
    for what, stable, candidate in tests.rows[:20]:
        before = "" if first else f"{one_line(stable, 60)} in production, "
        yield f"  {one_line(what, 40)}: {before}{one_line(candidate, 60)}{'' if first else ' now'}"
    if tests.newly_failing:
        count = len(tests.newly_failing) + tests.left_out
        told = "Failing:      " if first else "Newly failing:"
        yield f"{told} {count} case{'s' if count > 1 else ''}{'' if first else ' that pass in production'}"
        for case in tests.newly_failing[:_CASES]:
            yield f"  - {one_line(case.name, 100)} [{one_line(case.slice, 40)}] {one_line(case.why, 200)}"
        if count > _CASES:
            yield f"  ... and {count - min(_CASES, len(tests.newly_failing))} more on the review page"
    else:
        yield "Failing:       none" if first else "Newly failing: none"
    for what in tests.inconclusive[:20]:
        yield f"Inconclusive:  {one_line(what, 300)}"
    for what in tests.blind[:5]:
        yield f"Not shown:     {one_line(what, 300)}"


def _others(request: ReviewRequest, reviewer: Reviewer) -> Iterator[str]:
    for other in request.policy.reviewers:
        reach = request.reach.get(reviewer_key(other.email), "confirmed")
        if other.email != reviewer.email and reach not in ("confirmed", "unprotected"):
            yield f"Note:          {one_line(other.name, 80)} may not get this email: {reach_in_words(reach)}"


def diff_lines(brief: Brief) -> list[str]:
    """The unified diff up to a bound, whole lines only; says which sections it does not hold the whole of."""
    kept: list[str] = []
    size = 0
    missing: list[str] = []
    for section in compare(brief.stable_variants, brief.candidate_variants):
        lines = list(unified([section]))
        for index, text in enumerate(lines):
            if size + len(text.encode()) + 1 > _DIFF_BYTES:
                missing.append(f"{section.title}: {len(lines) - index:,} of {len(lines):,} lines")
                break
            size += len(text.encode()) + 1
            kept.append(text)
    if missing:
        kept += ["", "NOT in this email, but on the review page only:", *(f"  {what}" for what in missing)]
    return kept or ["(nothing that the fingerprint covers)"]


def moment(at: float) -> str:
    """A time as people read it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%a %d %b %Y, %H:%M UTC")
