"""The short pages: what became of a decision, and why a link opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from promptlane.domain.review.mail import moment
from promptlane.domain.review.review import Choice
from promptlane.domain.review.rules import Standing
from promptlane.domain.review.visit import Door, Visit
from promptlane.domain.text import visible

from .markup import Child, Html, document, facts, tag
from .style import STYLE

_DOORS: Final[Mapping[Door, tuple[int, str, str]]] = {
    Door.INVALID: (
        403,
        "This link is not valid",
        "It was changed, cut off, or not made by this deployment. Open the whole link from your own email; some mail "
        "programs break long links. Nothing was decided.",
    ),
    Door.FOREIGN: (
        403,
        "This link belongs to another release",
        "It was signed for another release than the one in its address. Open the link from the email about this "
        "release. Nothing was decided.",
    ),
    Door.EXPIRED: (410, "This link has expired", "The time for this review is over. Nothing was decided by you."),
    Door.LEFT: (
        403,
        "You are no reviewer here any more",
        "This deployment no longer declares you, or not with this address. Reviews that begin from now on ask whoever "
        "it declares now. Nothing was decided.",
    ),
    Door.STALE: (
        410,
        "There is a newer review of this release",
        "What is in production changed, so the version was tested again and you were sent a new link. Use the newest "
        "email. Nothing was decided.",
    ),
    Door.CLOSED: (410, "This review is over", "It was decided, or the release ended, before you decided."),
}


def door_page(visit: Visit) -> tuple[int, str]:
    """Status and page of a link that does not open the review."""
    if visit.door is Door.USED:
        return 200, decided_page(visit, fresh=False)
    status, title, text = _DOORS[visit.door]
    more: list[Child] = []
    outcome = visit.request.outcome if visit.request else None
    if outcome and visit.door in (Door.CLOSED, Door.EXPIRED):
        more.append(tag("p", "Outcome: ", tag("strong", str(outcome["decision"])), f", by {visible(outcome['by'])}."))
    return status, message_page(title, text, *more)


def decided_page(visit: Visit, *, fresh: bool) -> str:
    """Thanks for a decision just made, or what was decided with this link before."""
    own, state, request = visit.own, visit.state, visit.request
    if own is None or state is None or request is None:
        raise ValueError("nobody decided with this link")
    approved = own.choice is Choice.APPROVE
    verb = "approved" if approved else "rejected"
    title = f"You {verb} version {request.candidate.version}" if fresh else f"You already {verb} this version"
    tone = {Standing.APPROVED: "good", Standing.REJECTED: "bad", Standing.IMPOSSIBLE: "bad"}.get(state.standing, "warn")
    return message_page(
        title,
        "Your decision is recorded and cannot be changed."
        if fresh
        else "A link decides once. What you sent before stands; nothing was changed now.",
        facts(
            ("Prompt", f"{visible(request.prompt)}, version {request.candidate.version}"),
            ("Decision", f"{verb}, {moment(own.at)}"),
            ("Reason", own.reason),
            ("Release", request.release_id),
        ),
        tag("p", _next(state.standing, state.why), class_=f"note {tone}"),
    )


def _next(standing: Standing, why: str) -> str:
    if standing is Standing.APPROVED:
        return "The review is complete: approved. The first canary step begins now."
    if standing in (Standing.REJECTED, Standing.IMPOSSIBLE):
        return "The review is complete: rejected. This version gets no traffic."
    if standing is Standing.EXPIRED:
        return "The review expired before it was complete."
    return f"The review goes on: {why}."


def message_page(title: str, text: str, *more: Child) -> str:
    """A page with one thing to say."""
    return document(
        f"{title} – Promptlane",
        STYLE,
        tag("header", "Promptlane", class_="top narrow-top"),
        tag("main", tag("h1", title), tag("section", tag("p", text), *more), _footer(), class_="narrow"),
    )


def _footer() -> Html:
    ask = "Questions? Ask whoever runs Promptlane in your team, or look with "
    return tag("p", ask, tag("code", "promptlane status"), ".", class_="soft")


WRONG_METHOD: Final = ("This address cannot do that", "Open it in a browser. Nothing was decided.")
NOT_A_LINK: Final = ("This is no link of ours", "Open the link in your email as it stands there. Nothing was decided.")
NOT_A_FORM: Final = (
    "That was not the review's form",
    "What was sent is not form data that this page makes. Open the link from your email and use the form there. "
    "Nothing was decided.",
)
TOO_LARGE: Final = (
    "That is too long",
    "What was sent is larger than a decision with its reason can be. Go back, shorten the reason to 2,000 characters, "
    "and send it again. Nothing was decided.",
)
TRY_AGAIN: Final = (
    "Please try again",
    "A service that this page needs did not answer. Wait a minute and send it again; what was recorded before stands, "
    "and nothing is recorded twice.",
)
NO_REPORT: Final = ("There is no such test report", "The report of this release is not stored, or has no such part.")
REPORT_OVER: Final = (
    "This release has ended",
    "A review's link shows the test report until then. It is kept in the report bucket: whoever reads releases by "
    "their AWS identity finds it there, and its digest in the release's record.",
)
FOREIGN_FORM: Final = (
    "That form was not on this page",
    "Another site sent it. Open the link from your own email and use the form there. Nothing was decided or opened.",
)
OPENED_BY_BUTTON: Final = (
    "This part is opened by its button",
    "Go back to the review and press the button beside it. Following a link opens nothing: mail scanners do that.",
)
PAGE_TOO_LARGE: Final = (
    "This page is too large to be sent",
    "Nothing was decided. With AWS credentials, promptlane approve shows all that changes; tell whoever runs "
    "Promptlane.",
)
NO_PART: Final = (
    "There is no such part",
    "The review is parted otherwise now, or was asked for again. Go back and open what the page lists.",
)


def back_to(address: str) -> Html:
    """The way to the review page."""
    return tag("p", tag("a", "Back to the review", href=address))


def numbered(body: str, number: int, of: int, address: str) -> str:
    """A part of a report that does not fit one page, with the ways to the others; the report itself where it fits."""
    if of == 1:
        return body
    ways = [
        tag("a", label, href=f"{address}&part={there}")
        for there, label in ((number - 1, "the one before"), (number + 1, "the next one"))
        if 1 <= there <= of
    ]
    told = f"The report is larger than one page: this is part {number} of {of}. "
    bar = tag("p", told, [[way, " "] for way in ways])
    start, main, rest = body.partition("<main>")
    rest, end, tail = rest.rpartition("</main>")
    return f"{start}{main}{bar}{rest}{bar}{end}{tail}"
