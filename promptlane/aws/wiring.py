"""What two functions need alike, built once: the ports of canary steps, and the round of a review."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from promptlane.domain.policy import Policy
from promptlane.domain.release.release import Release
from promptlane.domain.review.brief import VerdictShown, verdict_shown
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.lifecycle.review_round import AuthorSearch, ReviewRound

from .alarms import CloudWatchAlarms
from .authors import CloudTrailTouches
from .callbacks import StepFunctionsTokens
from .clients import client, resource
from .enrolment import SsmEnrolments
from .mail import ReviewerTopics
from .prompts import BedrockPrompts
from .releases import DynamoReleases
from .reviews import DynamoReviews, S3Briefs
from .routes import DynamoRoutes
from .signing import KmsSigner
from .workflow import SnsNotices


@dataclass(frozen=True)
class Traffic:
    """The ports of the two steps that give a release traffic."""

    routes: DynamoRoutes
    releases: DynamoReleases
    prompts: BedrockPrompts
    alarms: CloudWatchAlarms
    enrolments: SsmEnrolments

    def policy(self, release_id: str) -> Policy:
        """The policy that was captured with a release."""
        return self.enrolments.policy(self.releases.get(release_id).policy_sha256)

    @property
    def ports(self) -> dict[str, Any]:
        """What `lifecycle.shift` takes."""
        return {
            "routes": self.routes,
            "releases": self.releases,
            "prompts": self.prompts,
            "alarms": self.alarms,
            "clock": time.time,
        }


def traffic(*, route_table: str, release_table: str, report_bucket: str, deployment: str) -> Traffic:
    """The ports of `shift` and `promote`."""
    return Traffic(
        routes=DynamoRoutes(resource("dynamodb").Table(route_table)),
        releases=DynamoReleases(resource("dynamodb").Table(release_table)),
        prompts=BedrockPrompts(client("bedrock-agent")),
        alarms=CloudWatchAlarms(client("cloudwatch"), deployment),
        enrolments=SsmEnrolments(
            ssm=client("ssm"), s3=client("s3"), deployment=deployment, report_bucket=report_bucket
        ),
    )


def review_round(
    *, release_table: str, report_bucket: str, deployment: str, review_key_id: str, operations_url: str,
    notices_topic: str,
) -> ReviewRound:  # fmt: skip
    """The round of a review, for `request_review` and `remind`."""
    table, ssm, s3 = resource("dynamodb").Table(release_table), client("ssm"), client("s3")
    prompts, releases, reviews = BedrockPrompts(client("bedrock-agent")), DynamoReleases(table), DynamoReviews(table)
    search = AuthorSearch(CloudTrailTouches(client("cloudtrail")), prompts, time.time)
    tokens = StepFunctionsTokens(client("stepfunctions"))
    briefs = S3Briefs(s3, report_bucket)

    def tests(release: Release, round: int) -> VerdictShown:
        key = f"releases/{release.release_id}/tests/{round}/report"
        report = briefs.report(f"{key}.json")
        return verdict_shown(release.verdict, json.loads(report) if report else None, f"{key}.html")

    return ReviewRound(
        reviews=reviews,
        releases=releases,
        prompts=prompts,
        enrolments=SsmEnrolments(ssm=ssm, s3=s3, deployment=deployment, report_bucket=report_bucket),
        briefs=briefs,
        signer=KmsSigner(client("kms"), review_key_id),
        post=ReviewerTopics(sns=client("sns"), ssm=ssm, deployment=deployment),
        notices=SnsNotices(client("sns"), notices_topic),
        desk=ReviewDesk(reviews, releases, tokens, time.time, authors_again=search.again),
        clock=time.time,
        base_url=operations_url,
        authors=search,
        tests=tests,
    )
