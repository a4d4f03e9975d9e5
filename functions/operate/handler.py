"""An operator's word on a running canary: `POST /releases/{release_id}/{pause|resume|advance}` with {"reason"}."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from promptlane.aws import http_events as http
from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.domain.release.identity import vouched
from promptlane.domain.review.visit import known_address
from promptlane.lifecycle.operate import operate

if TYPE_CHECKING:
    from promptlane.domain.ports import ReleaseStore

Json = Any
log = logger("operate")


@wired
def wire(of: Function) -> ReleaseStore:
    return of.releases


def handle(event: Json, context: Any) -> Json:
    return http.answered(partial(_operated, event), lambda error: log.exception("not done", extra={"why": str(error)}))


def _operated(event: Json) -> Json:
    by, (address, _) = vouched(http.caller(event)), http.source(event)
    operation = http.part(event, "pathParameters", "operation") or http.part(event, "rawPath").rsplit("/", 1)[-1]
    wanted = '{"reason": "..."}'
    reason = http.json_object(event, wanted).get("reason")
    if not isinstance(reason, str):
        raise http.Problem(400, "invalid-request", f"the body must be a JSON object with a reason: {wanted}")
    release = operate(
        http.part(event, "pathParameters", "release_id"),
        operation,
        reason=reason,
        by=by,
        address=known_address(address),
        releases=wire(),
        clock=time.time,
    )
    log.info(operation, extra={"release_id": release.release_id, "by": by})
    return {"release_id": release.release_id, "paused": release.paused, "advance": release.advance}
