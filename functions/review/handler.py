"""The review page behind a signed link. GET shows, POST decides, nothing else does anything."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Final

from promptlane.aws import http_events as http
from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.domain.canary.curve import points
from promptlane.domain.errors import InvalidInput, PromptlaneError
from promptlane.domain.ports import Clock
from promptlane.domain.review.visit import Door, Fault, Origin, Visit
from promptlane.lifecycle.briefs import Briefs
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.pages import outcome_pages as say
from promptlane.pages.evidence import with_evidence
from promptlane.pages.response import page, stored_page, without_body
from promptlane.pages.review_page import review_page

Json = Any
MAX_REPORT: Final = 4_000_000
log = logger("review")


@dataclass(frozen=True)
class Reviews:
    """What the page works with."""

    desk: ReviewDesk
    briefs: Briefs
    clock: Clock


@wired
def wire(of: Function) -> Reviews:
    return Reviews(replace(of.desk, signer=of.signer), of.briefs, time.time)


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
    return without_body(answer) if method == "HEAD" else answer


def serve(reviews: Reviews, event: Json, method: str, *, recorded: bool) -> Json:
    """One request to `/review/{release_id}` or its `/report`."""
    if method not in ("GET", "POST"):
        return page(405, say.message_page(*say.WRONG_METHOD), allow="GET, HEAD, POST")
    release_id = http.part(event, "pathParameters", "release_id")
    token = http.part(event, "queryStringParameters", "t")
    caller = Origin(*http.source(event))
    visit = reviews.desk.enter(release_id, token)
    if visit.door is Door.INVALID:
        # Anybody can make these: they go to the log, never to the timeline.
        log.warning("link refused", extra={"release_id": release_id[:40], "method": method, **caller.detail})
        return page(*say.door_page(visit))
    if http.part(event, "rawPath").endswith("/report"):
        if method != "GET":
            return page(405, say.message_page(*say.WRONG_METHOD), allow="GET")
        return _report(reviews, visit)
    if method == "POST":
        return _post(reviews, visit, token, event, caller)
    return _get(reviews, visit, token, caller, recorded)


def _get(reviews: Reviews, visit: Visit, token: str, caller: Origin, recorded: bool) -> Json:
    if visit.door is not Door.OPEN:
        if recorded:
            reviews.desk.refused(visit, caller, posted=False)
        return page(*say.door_page(visit))
    body = _page(reviews, visit, token)
    if recorded:
        reviews.desk.viewed(visit, caller)
    return page(200, body)


def _page(
    reviews: Reviews, visit: Visit, token: str, *, fault: Fault | None = None, typed: str = "", chosen: str = ""
) -> str:
    request = visit.request
    if request is None:
        raise InvalidInput("only an open link has a page")
    brief = reviews.briefs.get(request.release_id, request.round)
    if not brief.shows(request.candidate.fingerprint, request.stable_fingerprint):
        raise InvalidInput(f"the record of the review of {request.release_id} is not of the versions under review")
    # Relative to /review/<release id>, whatever the API's stage; a verified token is plain ASCII.
    report = f"{request.release_id}/report?t={token}" if brief.tests.report_key else ""
    return review_page(visit, brief, now=reviews.clock(), report=report, fault=fault, typed=typed, chosen=chosen)


def _report(reviews: Reviews, visit: Visit) -> Json:
    if visit.request is None or visit.door not in (Door.OPEN, Door.USED, Door.CLOSED):
        return page(*say.door_page(visit))
    body = reviews.briefs.report(reviews.briefs.get(visit.request.release_id, visit.request.round).tests.report_key)
    if body is None or len(body) > MAX_REPORT:
        return page(404, say.message_page(*say.NO_REPORT))
    looks = points(reviews.desk.releases.timeline(visit.request.release_id))
    return stored_page(with_evidence(body, looks))


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
