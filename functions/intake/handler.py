"""SQS → a started release: takes the prompt's lock and starts the execution, or records the version as waiting."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.clients import client, resource
from promptlane.aws.enrolment import SsmEnrolments
from promptlane.aws.observability import logger
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.settings import read
from promptlane.aws.workflow import StepFunctionsWorkflow
from promptlane.domain.errors import NotApplicable
from promptlane.domain.release import trigger
from promptlane.lifecycle.intake import take

log = logger("intake")


@dataclass(frozen=True)
class Settings:
    route_table: str
    release_table: str
    report_bucket: str
    state_machine_arn: str
    deployment: str


@cache
def wire() -> dict[str, Any]:
    s = read(Settings)
    return {
        "prompts": BedrockPrompts(client("bedrock-agent")),
        "enrolments": SsmEnrolments(
            ssm=client("ssm"), s3=client("s3"), deployment=s.deployment, report_bucket=s.report_bucket
        ),
        "routes": DynamoRoutes(resource("dynamodb").Table(s.route_table)),
        "releases": DynamoReleases(resource("dynamodb").Table(s.release_table)),
        "workflow": StepFunctionsWorkflow(client("stepfunctions"), s.state_machine_arn),
        "clock": time.time,
    }


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Batch item failures are tried again by SQS, and end in the dead-letter queue with their body intact."""
    _, _, _, region, account, *_ = context.invoked_function_arn.split(":")
    failures: list[dict[str, str]] = []
    for record in event["Records"]:
        try:
            sender = str(record.get("attributes", {}).get("SenderId") or "")
            _one(record["body"], account, region, sender)
        except Exception as error:
            log.exception("not taken", extra={"message_id": record["messageId"], "why": str(error)})
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def _one(body: str, account: str, region: str, sender: str) -> None:
    try:
        request = trigger.read(json.loads(body), account=account, region=region, sender=sender)
    except NotApplicable as reason:
        log.info("dropped", extra={"why": str(reason)})
        return
    taken = take(request, **wire())
    log.info(
        taken.result,
        extra={"why": taken.reason, "release_id": taken.release_id, "prompt": request.prompt, "asked": request.version},
    )
