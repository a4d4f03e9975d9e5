"""Asks for a review: stores the workflow's token and sends every reviewer an own signed link."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.authors import CloudTrailTouches
from promptlane.aws.callbacks import StepFunctionsTokens
from promptlane.aws.clients import client, resource
from promptlane.aws.enrolment import SsmEnrolments
from promptlane.aws.mail import ReviewerTopics
from promptlane.aws.observability import logger
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.reviews import DynamoReviews, S3Briefs
from promptlane.aws.settings import read
from promptlane.aws.signing import KmsSigner
from promptlane.aws.workflow import SnsNotices
from promptlane.domain.brief import VerdictShown, verdict_shown
from promptlane.domain.release import Release
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.lifecycle.review_round import AuthorSearch, ReviewRound

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
    s = read(Settings)
    table, ssm, s3 = resource("dynamodb").Table(s.release_table), client("ssm"), client("s3")
    prompts, releases, reviews = BedrockPrompts(client("bedrock-agent")), DynamoReleases(table), DynamoReviews(table)
    search = AuthorSearch(CloudTrailTouches(client("cloudtrail")), prompts, time.time)
    tokens = StepFunctionsTokens(client("stepfunctions"))
    briefs = S3Briefs(s3, s.report_bucket)

    def tests(release: Release, round: int) -> VerdictShown:
        key = f"releases/{release.release_id}/tests/{round}/report"
        report = briefs.report(f"{key}.json")
        return verdict_shown(release.verdict, json.loads(report) if report else None, f"{key}.html")

    return ReviewRound(
        reviews=reviews,
        releases=releases,
        prompts=prompts,
        enrolments=SsmEnrolments(ssm=ssm, s3=s3, deployment=s.deployment, report_bucket=s.report_bucket),
        briefs=briefs,
        signer=KmsSigner(client("kms"), s.review_key_id),
        post=ReviewerTopics(sns=client("sns"), ssm=ssm, deployment=s.deployment),
        notices=SnsNotices(client("sns"), s.notices_topic),
        desk=ReviewDesk(reviews, releases, tokens, time.time, authors_again=search.again),
        clock=time.time,
        base_url=s.operations_url,
        authors=search,
        tests=tests,
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    request = wire().ask(event["release_id"], round=int(event["round"]), task_token=event["task_token"])
    log.info("review requested", extra={"release_id": request.release_id, "round": request.round})
    return {"expires_at": request.expires_at}
