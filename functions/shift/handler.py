"""A canary step: gives the candidate its next share of traffic."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.alarms import CloudWatchAlarms
from promptlane.aws.clients import client, resource
from promptlane.aws.enrolment import SsmEnrolments
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.settings import read
from promptlane.lifecycle.shift import shift_to


@dataclass(frozen=True)
class Settings:
    route_table: str
    release_table: str
    report_bucket: str
    deployment: str
    resolution_seconds: int = 60


@dataclass(frozen=True)
class Wired:
    stores: dict[str, Any]
    enrolments: SsmEnrolments
    resolution: int


@cache
def wire() -> Wired:
    s = read(Settings)
    stores = {
        "routes": DynamoRoutes(resource("dynamodb").Table(s.route_table)),
        "releases": DynamoReleases(resource("dynamodb").Table(s.release_table)),
        "prompts": BedrockPrompts(client("bedrock-agent")),
        "alarms": CloudWatchAlarms(client("cloudwatch"), s.deployment),
        "clock": time.time,
    }
    enrolments = SsmEnrolments(
        ssm=client("ssm"), s3=client("s3"), deployment=s.deployment, report_bucket=s.report_bucket
    )
    return Wired(stores, enrolments, s.resolution_seconds)


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    wired, release_id, step = wire(), event["release_id"], int(event["step"])
    release = wired.stores["releases"].get(release_id)
    policy = wired.enrolments.policy(release.policy_sha256)
    moved = shift_to(release_id, step, policy=policy, **wired.stores)
    bake = policy.canary.steps[step].min_bake
    return {
        "result": "shifted" if moved.result == "done" else moved.result,
        "reason": moved.reason,
        "wait_seconds": wired.resolution if moved.result == "wait" else max(1, min(int(bake), wired.resolution * 5)),
    }
