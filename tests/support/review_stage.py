"""A review over real adapters in one account of the embedded AWS, with a workflow that waits for its answer."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import boto3
import pytest

from functions.decide import handler as decide
from functions.remind import handler as remind
from functions.request_review import handler as request_review
from functions.review import handler as review
from local.running import EmbeddedAws
from promptlane.aws import clients
from promptlane.aws.mail import ReviewerTopics
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.domain.policy import Policy, ReviewPolicy
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.review import reviewer_key
from tests.support.review import LEAD, LEGAL, NEW, OLD, QUALITY
from tests.support.tables import make_table

Json = Any
POLICY = ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=1, required_groups=("legal",))
WAITING = {
    "QueryLanguage": "JSONata",
    "StartAt": "Wait",
    "States": {
        "Wait": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Arguments": {"QueueUrl": "", "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
            "TimeoutSeconds": 60,
            "End": True,
        }
    },
}


class ReviewStage:
    """What the functions need around them, made in one account of the embedded AWS."""

    def __init__(self, aws: EmbeddedAws, account: str, policy: ReviewPolicy) -> None:
        self.aws, self.account = aws, account
        self.client: Callable[[str], Any] = lambda service: aws.client(service, account)
        self.reviewers = policy.reviewers
        self._storage()
        self._topics()
        self._prompt(policy)
        self.execution = self._execution()

    def _storage(self) -> None:
        make_table(self.client("dynamodb"), "releases", "pk", "sk")
        self.bucket = f"reports-{self.account}"
        self.client("s3").create_bucket(Bucket=self.bucket)
        key = self.client("kms").create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
        self.key = key["KeyMetadata"]["Arn"]
        self.notices = self.client("sns").create_topic(Name="notices")["TopicArn"]

    def _topics(self) -> None:
        for reviewer in self.reviewers:
            topic = self.client("sns").create_topic(Name=f"review-{reviewer_key(reviewer.email)}")["TopicArn"]
            value = json.dumps({"email": reviewer.email, "topic": topic})
            self.client("ssm").put_parameter(
                Name=f"/promptlane/reviewers/{reviewer_key(reviewer.email)}", Value=value, Type="String"
            )
            self.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint=reviewer.email)

    def _prompt(self, policy: ReviewPolicy) -> None:
        body = canonical_json(Policy(review=policy).to_dict()).encode()
        sha256 = hashlib.sha256(body).hexdigest()
        self.client("s3").put_object(Bucket=self.bucket, Key=f"config/{sha256}.json", Body=body)
        self.prompts = BedrockPrompts(self.client("bedrock-agent"))
        prompt_id = self.prompts.write_draft(OLD)
        stable = self.prompts.publish(prompt_id, description="First")
        self.prompts.write_draft(NEW)
        candidate = self.prompts.publish(prompt_id, description="Warmer greeting")
        self.release_id = f"{prompt_id}-2-1"
        session = self.aws.session(account=self.account)
        self.releases = DynamoReleases(session.resource("dynamodb", endpoint_url=self.aws.url).Table("releases"))
        now = time.time()
        release = Release(
            self.release_id,
            "support-assistant",
            now,
            "somebody",
            state="testing",
            candidate=candidate.ref,
            stable=stable.ref,
            policy_sha256=sha256,
            round=1,
            verdict={"verdict": "pass", "reason": "All well"},
        )
        self.releases.start(release, TimelineEntry(f"{self.release_id}/started", self.release_id, now, Event.STARTED))

    def _execution(self) -> str:
        queue = self.client("sqs").create_queue(QueueName="tokens")["QueueUrl"]
        WAITING["States"]["Wait"]["Arguments"]["QueueUrl"] = queue  # type: ignore[index]
        states = self.client("stepfunctions")
        role = f"arn:aws:iam::{self.account}:role/machine"
        machine = states.create_state_machine(name="review", definition=json.dumps(WAITING), roleArn=role)
        execution = states.start_execution(stateMachineArn=machine["stateMachineArn"], name=self.release_id)
        message = self.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"][0]
        self.task_token = json.loads(message["Body"])["token"]
        return str(execution["executionArn"])

    def confirm(self, eventually: Callable[..., Any], *emails: str) -> None:
        topics = ReviewerTopics(sns=self.client("sns"), ssm=self.client("ssm"), deployment="promptlane")
        for email in emails:
            topics.confirm(email, eventually(lambda email=email: self._mailed(email, r"https?://\S+Token=\S+")))

    def _mailed(self, email: str, pattern: str) -> str | None:
        for mail in reversed(self.aws.mails()):
            found = re.findall(pattern, mail.get_content())
            if email in str(mail["To"]) and found and self._ours(mail.get_content()):
                return str(found[-1])
        return None

    def _ours(self, text: str) -> bool:
        return self.account in text or self.release_id in text

    def link(self, eventually: Callable[..., Any], email: str) -> tuple[str, str]:
        """(token of the link, short code) of the newest review email of a reviewer."""
        link = eventually(lambda: self._mailed(email, rf"https://\S+/review/{self.release_id}\S+"))
        code = self._mailed(email, r"Short code:\s+(\S+)")
        assert code is not None
        return parse_qs(urlsplit(link).query)["t"][0], code

    def http(self, method: str, token: str, form: dict[str, str] | None = None) -> Json:
        return review.handle(
            {
                "rawPath": f"/review/{self.release_id}",
                "pathParameters": {"release_id": self.release_id},
                "queryStringParameters": {"t": token},
                "headers": {"content-type": "application/x-www-form-urlencoded"},
                "requestContext": {"http": {"method": method, "sourceIp": "203.0.113.7", "userAgent": "Test"}},
                "body": urlencode(form or {}),
            },
            None,
        )

    def status(self) -> dict[str, Json]:
        return dict(self.client("stepfunctions").describe_execution(executionArn=self.execution))


@contextmanager
def staged(embedded_aws: EmbeddedAws, account: str) -> Iterator[ReviewStage]:
    """A stage whose account the functions' own wiring finds in the environment."""
    made = ReviewStage(embedded_aws, account, POLICY)
    environment = {
        **embedded_aws.env(account),
        "RELEASE_TABLE": "releases",
        "REPORT_BUCKET": made.bucket,
        "DEPLOYMENT": "promptlane",
        "REVIEW_KEY_ID": made.key,
        "REVIEWS_URL": "https://ops.example.com/live",
        "NOTICES_TOPIC": made.notices,
        "TRAIL_LATE_SECONDS": "0",
    }
    cached: list[Any] = [clients.client, clients.resource, *(m.wire for m in (request_review, review, decide, remind))]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the credentials it was first made with
        for function in cached:
            function.cache_clear()
        yield made
        for function in cached:
            function.cache_clear()
