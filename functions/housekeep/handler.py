"""Once a day: archives every version, deletes the oldest that nobody needs, warns before the quota is reached.

Puts again the locked copies of timeline entries that `relay` could not put.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from promptlane.aws.audit_copies import AuditCopies
from promptlane.aws.clients import client, resource
from promptlane.aws.enrolment import SsmEnrolments
from promptlane.aws.observability import logger
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.reports import S3Objects
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.settings import read
from promptlane.aws.workflow import SnsNotices
from promptlane.lifecycle.housekeep import Housekeeping

log = logger("housekeep")


@dataclass(frozen=True)
class Settings:
    route_table: str
    release_table: str
    report_bucket: str
    notices_topic: str
    deployment: str
    keep_versions: int
    version_quota: int
    audit_bucket: str = ""


@cache
def wire() -> Housekeeping:
    s = read(Settings)
    return Housekeeping(
        prompts=BedrockPrompts(client("bedrock-agent")),
        enrolments=SsmEnrolments(
            ssm=client("ssm"), s3=client("s3"), deployment=s.deployment, report_bucket=s.report_bucket
        ),
        routes=DynamoRoutes(resource("dynamodb").Table(s.route_table)),
        releases=DynamoReleases(resource("dynamodb").Table(s.release_table)),
        archive=S3Objects(client("s3"), s.report_bucket),
        copies=AuditCopies(client("s3"), s.audit_bucket) if s.audit_bucket else None,
        notices=SnsNotices(client("sns"), s.notices_topic),
        clock=time.time,
        keep=s.keep_versions,
        quota=s.version_quota,
        log=log.warning,
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    done = asdict(wire().run())
    log.info("tidied", extra=done)
    return done
