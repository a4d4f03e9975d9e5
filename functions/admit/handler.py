"""First step of the workflow: what is released, under which policy, and whether it can be."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.clients import client, resource
from promptlane.aws.enrolment import SsmEnrolments
from promptlane.aws.enrolment_tags import BedrockEnrolmentTags
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.settings import read
from promptlane.engine.parse import parse
from promptlane.engine.suite import problems
from promptlane.lifecycle.admit import admit


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
        "prompts": BedrockPrompts(client("bedrock-agent")),
        "tags": BedrockEnrolmentTags(client("bedrock-agent"), s.deployment),
        "enrolments": SsmEnrolments(
            ssm=client("ssm"), s3=client("s3"), deployment=s.deployment, report_bucket=s.report_bucket
        ),
        "routes": DynamoRoutes(resource("dynamodb").Table(s.route_table)),
        "releases": DynamoReleases(resource("dynamodb").Table(s.release_table)),
        "check_suite": lambda data, variables: problems(parse(data), set(variables)),
        "clock": time.time,
    }


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    release = admit(event["release_id"], **wire())
    policy = wire()["enrolments"].policy(release.policy_sha256)
    return {
        "prompt": release.prompt,
        "version": release.version,
        "first": release.first,
        "review_timeout_seconds": int(policy.review.expires_after),
        "steps": len(policy.canary.steps),
    }
