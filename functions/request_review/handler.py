"""Asks for a review: stores the workflow's token and sends every reviewer an own signed link."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from promptlane.aws.observability import logger
from promptlane.aws.settings import read
from promptlane.aws.wiring import review_round
from promptlane.lifecycle.review_round import ReviewRound

log = logger("request_review")


@dataclass(frozen=True)
class Settings:
    release_table: str
    report_bucket: str
    deployment: str
    review_key_id: str
    operations_url: str
    notices_topic: str


@cache
def wire() -> ReviewRound:
    return review_round(**asdict(read(Settings)))


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    request = wire().ask(event["release_id"], round=int(event["round"]), task_token=event["task_token"])
    log.info("review requested", extra={"release_id": request.release_id, "round": request.round})
    return {"expires_at": request.expires_at}
