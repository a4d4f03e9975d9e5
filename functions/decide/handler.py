"""A reviewer's decision by IAM identity: `POST /releases/{release_id}/decision` with {"decision", "reason"}."""

from __future__ import annotations

import base64
import binascii
import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from promptlane.aws.authors import CloudTrailTouches
from promptlane.aws.callbacks import StepFunctionsTokens
from promptlane.aws.clients import client, resource
from promptlane.aws.observability import logger
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.reviews import DynamoReviews
from promptlane.aws.settings import read
from promptlane.domain.errors import InvalidInput, NotApplicable, NotFound, PromptlaneError, Unauthorized
from promptlane.domain.review.visit import Caller, Door, Fault, Receipt
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.lifecycle.review_round import AuthorSearch

Json = Any
MAX_BODY: Final = 64 * 1024
log = logger("decide")
_CLOSED: Final = {
    Door.USED: "you have decided already; the first decision stands",
    Door.CLOSED: "the review is over",
    Door.EXPIRED: "the review has expired",
    Door.STALE: "the review was asked for again; decide about the newer round",
}


@dataclass(frozen=True)
class Settings:
    release_table: str


@cache
def wire() -> ReviewDesk:
    table = resource("dynamodb").Table(read(Settings).release_table)
    search = AuthorSearch(CloudTrailTouches(client("cloudtrail")), BedrockPrompts(client("bedrock-agent")), time.time)
    return ReviewDesk(
        reviews=DynamoReviews(table),
        releases=DynamoReleases(table),
        tokens=StepFunctionsTokens(client("stepfunctions")),
        clock=time.time,
        authors_again=search.again,
    )


def handle(event: Json, context: Any) -> Json:
    caller_arn = ((event["requestContext"].get("authorizer") or {}).get("iam") or {}).get("userArn")
    if not caller_arn:
        return _problem(403, "sign the request with an IAM identity")
    try:
        return decide(wire(), event, str(caller_arn))
    except (NotFound, InvalidInput, Unauthorized, NotApplicable) as error:
        status = {NotFound: 404, Unauthorized: 403, NotApplicable: 409}.get(type(error), 400)
        return _problem(status, str(error))
    except PromptlaneError as error:
        log.error("not decided", extra={"why": str(error)})
        return _problem(503, f"nothing was decided: {error}; try again")


def decide(desk: ReviewDesk, event: Json, caller_arn: str) -> Json:
    """One decision of the caller."""
    body = read_json(event)
    http = event["requestContext"].get("http") or {}
    done = desk.decide_by_identity(
        str((event.get("pathParameters") or {}).get("release_id", "")),
        arn=caller_arn,
        choice=str(body.get("decision", "")),
        reason=body["reason"] if isinstance(body.get("reason"), str) else "",
        caller=Caller(str(http.get("sourceIp")), str(http.get("userAgent", ""))),
    )
    if done.fault is Fault.AUTHOR:
        return _problem(403, "you wrote part of this version, and nobody approves an own version")
    answer = _standing(done)
    if done.fresh:
        return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
    return _problem(409, _CLOSED.get(done.visit.door, "nothing was decided"), **answer)


def _standing(done: Receipt) -> dict[str, Json]:
    own, state = done.visit.own, done.visit.state
    return {
        "decision": str(own.choice) if own else None,
        "standing": str(state.standing) if state else None,
        "needed": state.needed if state else None,
        "approvals": len(state.approvals) if state else None,
        "why": state.why if state else "",
    }


def read_json(event: Json) -> dict[str, Json]:
    """The JSON object of a request; InvalidInput for anything else."""
    body = event.get("body") or ""
    if len(body) > 2 * MAX_BODY:
        raise InvalidInput(f"the body has {len(body):,} characters; a decision with its reason fits {MAX_BODY:,}")
    try:
        raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        data = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidInput(f'the body is not JSON; send {{"decision": "approve", "reason": "..."}}: {error}') from error
    if not isinstance(data, dict):
        raise InvalidInput('the body must be a JSON object: {"decision": "approve", "reason": "..."}')
    return data


def _problem(status: int, title: str, **more: Json) -> Json:
    headers = {"content-type": "application/problem+json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps({"title": title, "status": status, **more})}
