"""The review page behind a signed link. GET shows, POST opens parts and decides, nothing else does anything."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Final

from promptlane.aws import http_events as http
from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.domain.canary.curve import points
from promptlane.domain.errors import PromptlaneError
from promptlane.domain.ports import Clock
from promptlane.domain.review.visit import Door, Fault, Origin, Visit
from promptlane.lifecycle.briefs import Briefs
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.pages import outcome_pages as say
from promptlane.pages.evidence import with_evidence
from promptlane.pages.part_page import part_page
from promptlane.pages.parted import in_parts, size
from promptlane.pages.response import page, stored_page, without_body
from promptlane.pages.review_page import Addresses, review_page

Json = Any
METHODS: Final = {"report": ("GET",), "part": ("GET", "POST"), "": ("GET", "POST")}
"""By what an address below the review's ends in."""
MOST: Final = 5_800_000
"""Bytes that an answer's body may take as JSON: Lambda has room for six million with the headers."""
log = logger("review")


@dataclass(frozen=True)
class Reviews:
    """What the page works with."""

    desk: ReviewDesk
    briefs: Briefs
    clock: Clock


@wired
def wire(of: Function) -> Reviews:
    return Reviews(replace(of.desk, signer=of.signer, briefs=of.briefs), of.briefs, time.time)


def handle(event: Json, context: Any) -> Json:
    method = ""
    try:
        method = http.part(event, "requestContext", "http", "method")
        answer = serve(wire(), event, "GET" if method == "HEAD" else method, recorded=method != "HEAD")
    except http.Problem as problem:
        answer = page(problem.status, say.message_page(*say.NOT_A_LINK))
    except PromptlaneError as error:
        log.error("not served", extra={"why": str(error)})
        answer = page(503, say.message_page(*say.TRY_AGAIN), retry_after="60")
    if size(answer["body"]) > MOST:  # every part is bounded; this is the last resort against all of them at once
        log.error("too large", extra={"characters": len(answer["body"])})
        answer = page(500, say.message_page(*say.PAGE_TOO_LARGE))
    return without_body(answer) if method == "HEAD" else answer


def serve(reviews: Reviews, event: Json, method: str, *, recorded: bool) -> Json:
    """One request to `/review/{release_id}`, its `/part` or its `/report`."""
    if method not in METHODS[""]:
        return page(405, say.message_page(*say.WRONG_METHOD), allow="GET, HEAD, POST")
    release_id = http.part(event, "pathParameters", "release_id")
    token = http.part(event, "queryStringParameters", "t")
    caller = Origin(*http.source(event))
    visit = reviews.desk.enter(release_id, token)
    if visit.door is Door.INVALID:
        # Anybody can make these: they go to the log, never to the timeline.
        log.warning("link refused", extra={"release_id": release_id[:40], "method": method, **caller.detail})
        return page(*say.door_page(visit))
    below = http.part(event, "rawPath").rpartition("/")[2]
    if method not in METHODS.get(below, METHODS[""]):
        return page(405, say.message_page(*say.WRONG_METHOD), allow="GET")
    if below == "report":
        return _report(reviews, visit, token, http.part(event, "queryStringParameters", "part"))
    if method == "POST" and http.header(event, "sec-fetch-site") not in ("", "same-origin", "none"):
        return page(403, say.message_page(*say.FOREIGN_FORM))
    if below == "part":
        return _part(reviews, visit, token, event, caller, method)
    if method == "POST":
        return _post(reviews, visit, token, event, caller)
    return _get(reviews, visit, token, caller, recorded)


def _get(reviews: Reviews, visit: Visit, token: str, caller: Origin, recorded: bool) -> Json:
    if visit.door is not Door.OPEN:
        if recorded:
            reviews.desk.refused(visit, caller, posted=False)
        return page(*say.door_page(visit))
    return page(200, _page(reviews, visit, token))


def _page(
    reviews: Reviews, visit: Visit, token: str, *, fault: Fault | None = None, typed: str = "", chosen: str = ""
) -> str:
    shown = reviews.desk.reading(visit)
    # Relative to /review/<release id>, whatever the API's stage; a verified token is plain ASCII.
    here = shown.brief.release_id
    report = f"{here}/report?t={token}" if shown.brief.tests.report_key else ""
    addresses = Addresses(parts=f"{here}/part?t={token}", report=report)
    return review_page(visit, shown, now=reviews.clock(), addresses=addresses, fault=fault, typed=typed, chosen=chosen)


def _part(reviews: Reviews, visit: Visit, token: str, event: Json, caller: Origin, method: str) -> Json:
    """A part of the page, opened by its button: following a link opens nothing."""
    if visit.door is not Door.OPEN or visit.link is None:
        return page(*say.door_page(visit))
    back = f"../{visit.link.release_id}?t={token}"
    if method != "POST":
        return page(200, say.message_page(*say.OPENED_BY_BUTTON, say.back_to(back)))
    try:
        part_id = http.form(event).get("part", "")
    except http.Problem as problem:
        return page(problem.status, say.message_page(*say.NOT_A_FORM))
    shown, part = reviews.desk.open_part(visit, part_id, caller)
    if part is None:
        return page(404, say.message_page(*say.NO_PART, say.back_to(back)))
    return page(200, part_page(shown, part, back=back, here=f"part?t={token}"))


def _report(reviews: Reviews, visit: Visit, token: str, wanted: str) -> Json:
    if visit.request is None or not reviews.desk.report_shown(visit):
        known = visit.request is not None and visit.door in (Door.OPEN, Door.USED, Door.CLOSED)
        return page(410, say.message_page(*say.REPORT_OVER)) if known else page(*say.door_page(visit))
    release_id = visit.request.release_id
    body = reviews.briefs.report(reviews.briefs.get(release_id, visit.request.round).tests.report_key)
    if body is None:
        return page(404, say.message_page(*say.NO_REPORT))
    parts = in_parts(with_evidence(body, points(reviews.desk.releases.timeline(release_id))))
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 6 else 1
    if not 1 <= number <= len(parts):
        return page(404, say.message_page(*say.NO_REPORT))
    return stored_page(say.numbered(parts[number - 1], number, len(parts), f"report?t={token}"))


def _post(reviews: Reviews, visit: Visit, token: str, event: Json, caller: Origin) -> Json:
    try:
        form = {"decision": "", "code": "", "reason": "", **http.form(event)}
    except http.Problem as problem:
        return page(problem.status, say.message_page(*(say.TOO_LARGE if problem.status == 413 else say.NOT_A_FORM)))
    done = reviews.desk.decide_by_link(
        visit, choice=form["decision"], code=form["code"], reason=form["reason"], caller=caller
    )
    if done.fresh:
        return page(200, say.decided_page(done.visit, fresh=True))
    if done.fault is None:
        return page(*say.door_page(done.visit))
    status = {Fault.TOO_MANY: 429, Fault.AUTHOR: 403}.get(done.fault, 422)
    typed = form["reason"][:4000]
    return page(status, _page(reviews, done.visit, token, fault=done.fault, typed=typed, chosen=form["decision"]))
