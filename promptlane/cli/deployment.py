"""Finds a deployment through its SSM parameters and hands out the stores and services that commands use."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from promptlane.domain.errors import InvalidInput, NotFound, PromptlaneError, Unavailable

from .operations import Operations

if TYPE_CHECKING:
    from promptlane.aws.audit_copies import AuditCopies
    from promptlane.aws.mail import ReviewerTopics
    from promptlane.aws.prompts import BedrockPrompts
    from promptlane.aws.reports import S3Objects
    from promptlane.domain.canary.counts import CountReader
    from promptlane.domain.ports import Enrolments, IntakeQueue, ReleaseStore, RouteStore
    from promptlane.domain.review.ports import Briefs, ReviewStore

Json = Any


@dataclass
class Deployment:
    """One deployment of Promptlane. `resources`: the names that its stacks wrote to SSM. Services are made lazily."""

    name: str
    resources: Mapping[str, Json]
    made: dict[str, Any] = field(default_factory=dict)

    def resource(self, name: str) -> str:
        """The name or URL of a resource; NotFound says which stack it would come from."""
        value = self.resources.get(name)
        if not value:
            raise NotFound(
                f"deployment {self.name!r} has no {name!r} among its SSM parameters /{self.name}/resources/*; "
                "deploy all stacks with `npx cdk deploy --all`, then try again"
            )
        return str(value)

    @cached_property
    def prompts(self) -> BedrockPrompts:
        from promptlane.aws.clients import client
        from promptlane.aws.prompts import BedrockPrompts

        return BedrockPrompts(client("bedrock-agent"))

    @cached_property
    def routes(self) -> RouteStore:
        from promptlane.aws.clients import resource
        from promptlane.aws.routes import DynamoRoutes

        return DynamoRoutes(resource("dynamodb").Table(self.resource("route_table")))

    @cached_property
    def releases(self) -> ReleaseStore:
        from promptlane.aws.clients import resource
        from promptlane.aws.releases import DynamoReleases

        return DynamoReleases(resource("dynamodb").Table(self.resource("release_table")))

    @cached_property
    def enrolments(self) -> Enrolments:
        from promptlane.aws.clients import client
        from promptlane.aws.enrolment import SsmEnrolments

        return SsmEnrolments(
            ssm=client("ssm"), s3=client("s3"), deployment=self.name, report_bucket=self.resource("report_bucket")
        )

    @cached_property
    def counts(self) -> CountReader:
        from promptlane.aws.clients import client
        from promptlane.aws.metrics import CloudWatchCounts

        return CloudWatchCounts(client("cloudwatch"))

    @cached_property
    def reviews(self) -> ReviewStore:
        from promptlane.aws.clients import resource
        from promptlane.aws.reviews import DynamoReviews

        return DynamoReviews(resource("dynamodb").Table(self.resource("release_table")))

    @cached_property
    def briefs(self) -> Briefs:
        from promptlane.aws.clients import client
        from promptlane.aws.reviews import S3Briefs

        return S3Briefs(client("s3"), self.resource("report_bucket"))

    @cached_property
    def reviewer_topics(self) -> ReviewerTopics:
        from promptlane.aws.clients import client
        from promptlane.aws.mail import ReviewerTopics

        return ReviewerTopics(sns=client("sns"), ssm=client("ssm"), deployment=self.name)

    @cached_property
    def queue(self) -> IntakeQueue:
        from promptlane.aws.clients import client
        from promptlane.aws.workflow import SqsIntakeQueue

        return SqsIntakeQueue(client("sqs"), self.resource("intake_queue_url"))

    @cached_property
    def operations(self) -> Operations:
        return Operations.signed(self.resource("operations_url"))

    @cached_property
    def audit_copies(self) -> AuditCopies | None:
        """The locked copies of timelines; None where the Audit stack is not deployed."""
        from promptlane.aws.audit_copies import AuditCopies
        from promptlane.aws.clients import client

        bucket = self.resources.get("audit_bucket")
        return AuditCopies(client("s3"), str(bucket)) if bucket else None

    @cached_property
    def archive(self) -> S3Objects:
        from promptlane.aws.clients import client
        from promptlane.aws.reports import S3Objects

        return S3Objects(client("s3"), self.resource("report_bucket"))

    @cached_property
    def caller(self) -> str:
        """The ARN of whoever runs the command; `unknown` where STS does not say."""
        from promptlane.aws.clients import client
        from promptlane.aws.errors import translated

        try:
            with translated("asking who the caller is"):
                return str(client("sts").get_caller_identity()["Arn"])
        except PromptlaneError:
            return "unknown"

    def invoke(self, resource: str, payload: Mapping[str, Json]) -> Json:
        """Invoke a function directly and return its answer; a failure of the function is Unavailable."""
        from promptlane.aws.clients import client
        from promptlane.aws.errors import translated

        name = self.resource(resource)
        with translated(f"invoking {name}"):
            answer = client("lambda").invoke(FunctionName=name, Payload=json.dumps(payload))
        document = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            raise Unavailable(f"function {name} failed: {document.get('errorMessage', document)}")
        return document

    def prompt(self, name: str) -> tuple[str, str]:
        """(prompt id, name) of a prompt given by name, id or ARN; NotFound lists what is enrolled."""
        found = self.prompts.find(name)
        if found is None:
            known = ", ".join(self.enrolments.names()) or "none yet"
            raise NotFound(f"there is no prompt {name!r} in Bedrock; enrolled prompts: {known}")
        return found


def connect() -> Deployment:
    """The deployment that PROMPTLANE_DEPLOYMENT names (default `promptlane`), in the Region of the environment."""
    name = os.environ.get("PROMPTLANE_DEPLOYMENT", "promptlane")
    return Deployment(name, _resources(name))


def _resources(name: str) -> dict[str, Json]:
    from botocore.exceptions import BotoCoreError, NoCredentialsError, NoRegionError

    from promptlane.aws.clients import client
    from promptlane.aws.errors import translated

    found: dict[str, Json] = {}
    try:
        ssm = client("ssm")
    except NoRegionError:
        raise InvalidInput("no AWS Region is set; export AWS_REGION, or `. .local/env` for the embedded AWS") from None
    try:
        with translated(f"looking for deployment {name!r} in SSM"):
            for page in ssm.get_paginator("get_parameters_by_path").paginate(Path=f"/{name}/resources"):
                for parameter in page["Parameters"]:
                    found |= dict(json.loads(parameter["Value"]))
    except Unavailable as error:
        if isinstance(error.__cause__, NoCredentialsError):
            raise InvalidInput(
                "no AWS credentials were found; sign in, or `. .local/env` for the embedded AWS"
            ) from None
        if isinstance(error.__cause__, BotoCoreError):
            raise Unavailable(f"{error}; is AWS_ENDPOINT_URL right, and does `make up` run?") from None
        raise
    if not found:
        region = client("ssm").meta.region_name
        raise NotFound(
            f"no deployment {name!r} in {region}: there are no SSM parameters below /{name}/resources. Deploy it with "
            "`npx cdk deploy --all`, or name another with PROMPTLANE_DEPLOYMENT"
        )
    return found
