"""Ends a release: safe route, one terminal state, free lock. Called by the workflow, and when an execution died."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.clients import client, resource
from promptlane.aws.observability import logger
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.settings import read
from promptlane.aws.workflow import SnsNotices, SqsIntakeQueue
from promptlane.domain.errors import NotFound
from promptlane.domain.names import Outcome
from promptlane.lifecycle.windup import wind_up

log = logger("wind_up")


@dataclass(frozen=True)
class Settings:
    route_table: str
    release_table: str
    notices_topic: str
    intake_queue_url: str


@cache
def wire() -> dict[str, Any]:
    s = read(Settings)
    return {
        "routes": DynamoRoutes(resource("dynamodb").Table(s.route_table)),
        "releases": DynamoReleases(resource("dynamodb").Table(s.release_table)),
        "queue": SqsIntakeQueue(client("sqs"), s.intake_queue_url),
        "notices": SnsNotices(client("sns"), s.notices_topic),
        "clock": time.time,
        "log": log.warning,
    }


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """`{release_id, outcome, reason}`, or a Step Functions status-change event of our state machine."""
    if event.get("detail-type") == "Step Functions Execution Status Change":
        detail = event["detail"]
        release_id, outcome = detail["name"], Outcome.FAILED
        reason = f"its execution {detail['status'].lower()}" + (f": {detail['cause']}" if detail.get("cause") else "")
    else:
        release_id, outcome = event["release_id"], Outcome(event["outcome"])
        reason = str(event.get("reason") or "")
    try:
        release = wind_up(release_id, claimed=outcome, reason=reason[:2000], **wire())
    except NotFound:
        log.warning("no such release", extra={"release_id": release_id})
        return {"outcome": None}
    log.info("wound up", extra={"release_id": release_id, "outcome": release.outcome, "why": release.reason})
    return {"outcome": str(release.outcome)}
