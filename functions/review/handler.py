"""The review page behind a signed link. GET shows, POST decides, nothing else does anything."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

from promptlane.aws.authors import CloudTrailTouches
from promptlane.aws.callbacks import StepFunctionsTokens
from promptlane.aws.clients import client, resource
from promptlane.aws.observability import logger
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.reviews import DynamoReviews, S3Briefs
from promptlane.aws.settings import read
from promptlane.aws.signing import KmsSigner
from promptlane.domain.canary.curve import points
from promptlane.domain.errors import InvalidInput, PromptlaneError
from promptlane.domain.review.ports import Briefs
from promptlane.domain.review.visit import Caller, Door, Fault, Visit
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.lifecycle.review_round import AuthorSearch
from promptlane.pages import outcome_pages as say
from promptlane.pages.evidence import with_evidence
from promptlane.pages.response import page, stored_page, without_body
from promptlane.pages.review_page import review_page

Json = Any
MAX_BODY: Final = 64 * 1024
MAX_REPORT: Final = 4_000_000
log = logger("review")


@dataclass(frozen=True)
class Settings:
    release_table: str
    report_bucket: str
    review_key_id: str


@dataclass(frozen=True)
class Wired:
    desk: ReviewDesk
    briefs: Briefs
    clock: Callable[[], float]


@cache
def wire() -> Wired:
    s = read(Settings)
    table = resource("dynamodb").Table(s.release_table)
    search = AuthorSearch(CloudTrailTouches(client("cloudtrail")), BedrockPrompts(client("bedrock-agent")), time.time)
    desk = ReviewDesk(
        reviews=DynamoReviews(table),
        releases=DynamoReleases(table),
        tokens=StepFunctionsTokens(client("stepfunctions")),
        clock=time.time,
        signer=KmsSigner(client("kms"), s.review_key_id),
        authors_again=search.again,
    )
    return Wired(desk, S3Briefs(client("s3"), s.report_bucket), time.time)


def handle(event: Json, context: Any) -> Json:
    method = str(event["requestContext"]["http"]["method"])
    try:
        answer = serve(wire(), event, "GET" if method == "HEAD" else method, recorded=method != "HEAD")
    except PromptlaneError as error:
        log.error("not served", extra={"why": str(error)})
        answer = page(503, say.message_page(*say.TRY_AGAIN), retry_after="60")
    return without_body(answer) if method == "HEAD" else answer


def serve(wired: Wired, event: Json, method: str, *, recorded: bool) -> Json:
    """One request to `/review/{release_id}` or its `/report`."""
    if method not in ("GET", "POST"):
        return page(405, say.message_page(*say.WRONG_METHOD), allow="GET, HEAD, POST")
    release_id = str((event.get("pathParameters") or {}).get("release_id"))
    token = str((event.get("queryStringParameters") or {}).get("t"))
    http = event["requestContext"]["http"]
    caller = Caller(str(http.get("sourceIp")), str(http.get("userAgent", "")))
    visit = wired.desk.enter(release_id, token)
    if visit.door is Door.INVALID:
        # Anybody can make these: they go to the log, never to the timeline.
        log.warning("link refused", extra={"release_id": release_id[:40], "method": method, **caller.detail})
        return page(*say.door_page(visit))
    if str(event.get("rawPath")).endswith("/report"):
        return _report(wired, visit) if method == "GET" else page(405, say.message_page(*say.WRONG_METHOD), allow="GET")
    if method == "POST":
        return _post(wired, visit, token, event, caller)
    return _get(wired, visit, token, caller, recorded)


def _get(wired: Wired, visit: Visit, token: str, caller: Caller, recorded: bool) -> Json:
    if visit.door is not Door.OPEN:
        if recorded:
            wired.desk.refused(visit, caller, posted=False)
        return page(*say.door_page(visit))
    body = _page(wired, visit, token)
    if recorded:
        wired.desk.viewed(visit, caller)
    return page(200, body)


def _page(
    wired: Wired, visit: Visit, token: str, *, fault: Fault | None = None, typed: str = "", chosen: str = ""
) -> str:
    request = visit.request
    if request is None:
        raise InvalidInput("only an open link has a page")
    brief = wired.briefs.get(request.release_id, request.round)
    if brief.fingerprints != (request.candidate.fingerprint, request.stable_fingerprint):
        raise InvalidInput(f"the record of the review of {request.release_id} is not of the versions under review")
    # Relative to /review/<release id>, whatever the API's stage; a verified token is plain ASCII.
    report = f"{request.release_id}/report?t={token}" if brief.tests.report_key else ""
    return review_page(visit, brief, now=wired.clock(), report=report, fault=fault, typed=typed, chosen=chosen)


def _report(wired: Wired, visit: Visit) -> Json:
    if visit.request is None or visit.door not in (Door.OPEN, Door.USED, Door.CLOSED):
        return page(*say.door_page(visit))
    body = wired.briefs.report(wired.briefs.get(visit.request.release_id, visit.request.round).tests.report_key)
    if body is None or len(body) > MAX_REPORT:
        return page(404, say.message_page(*say.NO_REPORT))
    looks = points(wired.desk.releases.timeline(visit.request.release_id))
    return stored_page(with_evidence(body, looks))


def _post(wired: Wired, visit: Visit, token: str, event: Json, caller: Caller) -> Json:
    try:
        form = {"decision": "", "code": "", "reason": "", **read_form(event)}
    except TooLarge:
        return page(413, say.message_page(*say.TOO_LARGE))
    except InvalidInput:
        return page(400, say.message_page(*say.NOT_A_FORM))
    done = wired.desk.decide_by_link(
        visit, choice=form["decision"], code=form["code"], reason=form["reason"], caller=caller
    )
    if done.fresh:
        return page(200, say.decided_page(done.visit, fresh=True))
    if done.fault is None:
        return page(*say.door_page(done.visit))
    status = {Fault.TOO_MANY: 429, Fault.AUTHOR: 403}.get(done.fault, 422)
    typed = form["reason"][:4000]
    return page(status, _page(wired, done.visit, token, fault=done.fault, typed=typed, chosen=form["decision"]))


class TooLarge(InvalidInput):
    """More than a decision can be."""


def read_form(event: Json) -> dict[str, str]:
    """The fields of a posted form; InvalidInput for anything that a browser's form would not send."""
    headers = {str(k).lower(): str(v) for k, v in (event.get("headers") or {}).items()}
    body = event.get("body") or ""
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise InvalidInput("not form data")
    try:
        raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        if len(raw) > MAX_BODY:
            raise TooLarge("the form is too large")
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict",
                          max_num_fields=10)  # fmt: skip
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("not form data") from error
    form = dict(pairs)
    if len(form) != len(pairs):
        raise InvalidInput("a field was sent twice")
    return form
