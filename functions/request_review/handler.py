"""Asks for a review: stores the workflow's token and sends every reviewer an own signed link."""

from __future__ import annotations

from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.lifecycle.review_round import ReviewRound

log = logger("request_review")


@wired
def wire(of: Function) -> ReviewRound:
    return of.review_round


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    request = wire().ask(event["release_id"], round=int(event["round"]), task_token=event["task_token"])
    log.info("review requested", extra={"release_id": request.release_id, "round": request.round})
    return {"expires_at": request.expires_at}
