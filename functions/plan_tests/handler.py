"""Plans a round of regression tests: items, cost, and what the suite can show."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.clients import client, resource
from promptlane.aws.enrolment import SsmEnrolments
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.reports import S3Objects
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.settings import read
from promptlane.lifecycle.test_round import plan_tests


@dataclass(frozen=True)
class Settings:
    route_table: str
    release_table: str
    report_bucket: str
    deployment: str


@cache
def wire() -> dict[str, Any]:
    s = read(Settings)
    return {
        "releases": DynamoReleases(resource("dynamodb").Table(s.release_table)),
        "routes": DynamoRoutes(resource("dynamodb").Table(s.route_table)),
        "prompts": BedrockPrompts(client("bedrock-agent")),
        "enrolments": SsmEnrolments(
            ssm=client("ssm"), s3=client("s3"), deployment=s.deployment, report_bucket=s.report_bucket
        ),
        "objects": S3Objects(client("s3"), s.report_bucket),
        "clock": time.time,
    }


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return plan_tests(event["release_id"], **wire())
