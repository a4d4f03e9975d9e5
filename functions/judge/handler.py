"""One look of the canary judge."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.alarms import CloudWatchAlarms
from promptlane.aws.blocks import DynamoBlocks
from promptlane.aws.clients import client, resource
from promptlane.aws.emf import publish
from promptlane.aws.enrolment import SsmEnrolments
from promptlane.aws.metrics import CloudWatchCounts
from promptlane.aws.observability import logger
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.settings import read
from promptlane.aws.workflow import SnsNotices
from promptlane.domain.names import Phase
from promptlane.lifecycle.judge_step import Ports, Timing, look

log = logger("judge")


@dataclass(frozen=True)
class Settings:
    route_table: str
    release_table: str
    report_bucket: str
    notices_topic: str
    deployment: str
    resolution_seconds: int = 60
    arrival_seconds: float = 0.0


@cache
def wire() -> Ports:
    s = read(Settings)
    table = resource("dynamodb").Table(s.release_table)
    cloudwatch = client("cloudwatch")
    return Ports(
        routes=DynamoRoutes(resource("dynamodb").Table(s.route_table)),
        releases=DynamoReleases(table),
        enrolments=SsmEnrolments(
            ssm=client("ssm"), s3=client("s3"), deployment=s.deployment, report_bucket=s.report_bucket
        ),
        counts=CloudWatchCounts(cloudwatch),
        blocks=DynamoBlocks(table),
        alarms=CloudWatchAlarms(cloudwatch, s.deployment),
        notices=SnsNotices(client("sns"), s.notices_topic),
        timing=Timing.at(s.resolution_seconds, arrival=s.arrival_seconds or None),
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    now = time.time()
    seen = look(wire(), release_id=event["release_id"], phase=Phase(event["phase"]), step=int(event["step"]), now=now)
    if seen.gauges:
        publish(seen.prompt, seen.gauges, at=now)
    log.info(seen.judgement, extra={"release_id": event["release_id"], "why": seen.reason})
    return seen.to_dict()
