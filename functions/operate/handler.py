"""An operator's word on a running canary: `POST /releases/{release_id}/{pause|resume|advance}` with {"reason"}."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.clients import resource
from promptlane.aws.observability import logger
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.settings import read
from promptlane.domain.errors import InvalidInput, NotApplicable, NotFound, PromptlaneError
from promptlane.domain.review.visit import known_address
from promptlane.lifecycle.operate import operate

Json = Any
log = logger("operate")


@dataclass(frozen=True)
class Settings:
    release_table: str


@cache
def wire() -> DynamoReleases:
    return DynamoReleases(resource("dynamodb").Table(read(Settings).release_table))


def handle(event: Json, context: Any) -> Json:
    caller = ((event["requestContext"].get("authorizer") or {}).get("iam") or {}).get("userArn")
    if not caller:
        return _answer(403, {"title": "sign the request with an IAM identity", "status": 403})
    path = event.get("pathParameters") or {}
    operation = path.get("operation") or str(event.get("rawPath", "")).rsplit("/", 1)[-1]
    try:
        body = _json(event)
        if not isinstance(body, dict) or not isinstance(body.get("reason"), str):
            raise InvalidInput('the body must be a JSON object with a reason: {"reason": "..."}')
        release = operate(
            str(path.get("release_id", "")), operation, reason=body["reason"], by=str(caller),
            address=known_address(str((event["requestContext"].get("http") or {}).get("sourceIp"))),
            releases=wire(), clock=time.time,
        )  # fmt: skip
    except PromptlaneError as error:
        status = {NotFound: 404, NotApplicable: 409, InvalidInput: 400}.get(type(error), 503)
        return _answer(status, {"title": str(error), "status": status})
    log.info(operation, extra={"release_id": release.release_id, "by": caller})
    return _answer(200, {"release_id": release.release_id, "paused": release.paused, "advance": release.advance})


def _json(event: Json) -> Json:
    text = event.get("body") or "{}"
    try:
        return json.loads(base64.b64decode(text) if event.get("isBase64Encoded") else text)
    except (ValueError, RecursionError):
        raise InvalidInput('the body is not JSON; send {"reason": "..."}') from None


def _answer(status: int, body: dict[str, Json]) -> Json:
    kind = "application/json" if status < 400 else "application/problem+json"
    return {"statusCode": status, "headers": {"content-type": kind}, "body": json.dumps(body)}
