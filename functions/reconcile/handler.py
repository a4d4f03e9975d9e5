"""Every 15 minutes: missed and waiting versions are asked for, releases whose execution is gone are wound up."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from promptlane.aws.clients import client, resource
from promptlane.aws.enrolment import SsmEnrolments
from promptlane.aws.enrolment_tags import BedrockEnrolmentTags
from promptlane.aws.errors import translated
from promptlane.aws.observability import logger
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.settings import read
from promptlane.aws.workflow import SqsIntakeQueue, StepFunctionsWorkflow
from promptlane.lifecycle.reconcile import reconcile

log = logger("reconcile")


@dataclass(frozen=True)
class Settings:
    route_table: str
    release_table: str
    report_bucket: str
    state_machine_arn: str
    intake_queue_url: str
    wind_up_function: str
    deployment: str


@cache
def wire() -> dict[str, Any]:
    s = read(Settings)
    functions = client("lambda")

    def wind_up(release_id: str, reason: str) -> None:
        payload = json.dumps({"release_id": release_id, "outcome": "failed", "reason": reason})
        with translated(f"winding up release {release_id}"):
            functions.invoke(FunctionName=s.wind_up_function, InvocationType="Event", Payload=payload)

    return {
        "prompts": BedrockPrompts(client("bedrock-agent")),
        "tags": BedrockEnrolmentTags(client("bedrock-agent"), s.deployment),
        "enrolments": SsmEnrolments(
            ssm=client("ssm"), s3=client("s3"), deployment=s.deployment, report_bucket=s.report_bucket
        ),
        "routes": DynamoRoutes(resource("dynamodb").Table(s.route_table)),
        "releases": DynamoReleases(resource("dynamodb").Table(s.release_table)),
        "workflow": StepFunctionsWorkflow(client("stepfunctions"), s.state_machine_arn),
        "queue": SqsIntakeQueue(client("sqs"), s.intake_queue_url),
        "wind_up": wind_up,
        "clock": time.time,
        "log": log.warning,
    }


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    done = asdict(reconcile(**wire()))
    log.info("reconciled", extra=done)
    return done
