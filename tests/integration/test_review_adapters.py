"""The adapters of a review against the embedded AWS: the same promises as the in-memory ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from local.running import EmbeddedAws
from promptlane.aws.mail import ReviewerTopics
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.reports import S3Objects
from promptlane.aws.reviews import DynamoReviews
from promptlane.aws.signing import KmsSigner
from promptlane.aws.trail import CloudTrailHistory
from promptlane.domain.errors import InvalidInput, NotApplicable, NotFound, Unavailable
from promptlane.domain.review.attribution import Question, attribute
from promptlane.domain.review.brief import Brief
from promptlane.domain.review.edits import RECORDED, merged
from promptlane.domain.review.link import Link, parse
from promptlane.domain.review.mail import Mail
from promptlane.domain.review.review import reviewer_key
from promptlane.domain.trail import Window
from promptlane.lifecycle.briefs import Briefs
from tests.support.review import LEAD, NEW, OLD, QUALITY, RELEASE
from tests.support.review_contract import REQUEST, ReviewStoreContract
from tests.support.second_emulator import MOTO
from tests.support.tables import make_table

Client = Callable[[str], Any]
LEAD_MAIL = "support-lead@example.com"


class TestDynamoReviews(ReviewStoreContract):
    @pytest.fixture(params=["embedded", MOTO])
    def table(self, request: pytest.FixtureRequest) -> Any:
        second = request.param == MOTO
        session = request.getfixturevalue("moto") if second else None
        dynamodb = session.resource("dynamodb") if session else request.getfixturevalue("dynamodb")
        return make_table(dynamodb, "releases", "pk", "sk")

    @pytest.fixture
    def releases(self, table: Any) -> DynamoReleases:
        return DynamoReleases(table)

    @pytest.fixture
    def store(self, table: Any) -> DynamoReviews:
        return DynamoReviews(table)


def test_what_an_earlier_version_stored_openly_is_moved_out_of_reach(
    embedded_aws: EmbeddedAws, account: str, client: Client
) -> None:
    make_table(client("dynamodb"), "releases", "pk", "sk")
    table = embedded_aws.session(account=account).resource("dynamodb", endpoint_url=embedded_aws.url).Table("releases")
    store = DynamoReviews(table)
    store.open(REQUEST, "token-1")
    table.delete_item(Key={"pk": f"secret#{RELEASE}", "sk": "token#001"})
    key = {"pk": f"review#{RELEASE}", "sk": "request"}
    table.put_item(Item={**table.get_item(Key=key)["Item"], "code": "ABCDEFGH", "task_token": "open-token"})
    assert store.get(RELEASE) == REQUEST
    assert store.task_token(RELEASE, 1) == "open-token", "a review that is open while this is deployed is answered"
    assert store.task_token(RELEASE, 2) == ""

    store.conceal(RELEASE)
    store.conceal(RELEASE)

    assert not {"code", "task_token"} & set(table.get_item(Key=key)["Item"])
    assert (store.get(RELEASE), store.task_token(RELEASE, 1)) == (REQUEST, "open-token")


def test_a_link_signed_by_kms_verifies_with_that_key_and_message_only(client: Client) -> None:
    kms = client("kms")
    ours, other = (
        KmsSigner(kms, kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"])
        for _ in range(2)
    )
    link = Link("PROMPTID12-2-1", 1, "a" * 16, 1_780_000_000)
    found, mac = parse(link.token(ours.sign(link.message)))
    assert ours.verify(found.message, mac)
    assert not ours.verify(found.message + b"0", mac)
    assert not other.verify(found.message, mac)


def test_briefs_are_kept_and_a_missing_one_is_named(client: Client) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="reports-of-reviews")
    briefs = Briefs(S3Objects(s3, "reports-of-reviews"))
    brief = Brief("PROMPTID12-2-1", 1, "p", 2, "why \u202e", ("author",), "author", NEW.variants(), OLD.variants(), 1)
    briefs.put(brief)
    assert briefs.get("PROMPTID12-2-1", 1).shows(NEW.fingerprint, OLD.fingerprint)
    with pytest.raises(NotFound, match="round 2"):
        briefs.get("PROMPTID12-2-1", 2)
    assert briefs.report("nothing.html") is None


@pytest.fixture
def topics(client: Client) -> ReviewerTopics:
    """One reviewer with a topic and an unconfirmed email subscription, as a deployment leaves it."""
    sns, ssm = client("sns"), client("ssm")
    arn = sns.create_topic(Name="review-lead")["TopicArn"]
    value = json.dumps({"email": LEAD_MAIL, "topic": arn})
    ssm.put_parameter(Name=f"/promptlane/reviewers/{reviewer_key(LEAD_MAIL)}", Value=value, Type="String")
    sns.subscribe(TopicArn=arn, Protocol="email", Endpoint=LEAD_MAIL)
    return ReviewerTopics(sns=sns, ssm=ssm, deployment="promptlane")


def confirmation(embedded_aws: EmbeddedAws, eventually: Callable[..., Any], account: str) -> str:
    """The link in the newest confirmation email of this account's topic."""

    def link() -> str | None:
        found = [
            m
            for mail in embedded_aws.mails()
            if account in (body := mail.get_content())
            for m in re.findall(r"https?://\S+Token=\S+", body)
        ]
        return found[-1] if found else None

    return str(eventually(link))


def test_a_subscription_goes_from_pending_to_confirmed_and_protected(
    topics: ReviewerTopics, embedded_aws: EmbeddedAws, eventually: Callable[..., Any], account: str
) -> None:
    assert topics.reach([LEAD_MAIL]) == {LEAD_MAIL: "pending"}
    topics.confirm(LEAD_MAIL, confirmation(embedded_aws, eventually, account))
    assert topics.reach([LEAD_MAIL]) == {LEAD_MAIL: "confirmed"}
    assert [(found.email, found.state) for found in topics.all()] == [(LEAD_MAIL, "confirmed")]
    topics.send(LEAD_MAIL, Mail("Subject", "Körper\n" * 1_000))
    eventually(lambda: any("Körper" in m.get_content() for m in embedded_aws.mails()))


def test_an_unexpected_subscription_blocks_the_email_and_says_so(topics: ReviewerTopics, client: Client) -> None:
    queue = client("sqs").create_queue(QueueName="eavesdropper")["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client("sns").subscribe(TopicArn=topics.topic(LEAD_MAIL), Protocol="sqs", Endpoint=arn)
    assert topics.reach([LEAD_MAIL]) == {LEAD_MAIL: "unexpected"}
    with pytest.raises(NotApplicable, match="unexpected subscription"):
        topics.send(LEAD_MAIL, Mail("Subject", "secret link"))
    assert "Messages" not in client("sqs").receive_message(QueueUrl=queue)


def test_a_reviewer_without_a_topic_or_subscription_is_told_apart(topics: ReviewerTopics, client: Client) -> None:
    assert topics.reach(["support-quality@example.com"]) == {"support-quality@example.com": "no_topic"}
    for subscription in client("sns").list_subscriptions_by_topic(TopicArn=topics.topic(LEAD_MAIL))["Subscriptions"]:
        if subscription["SubscriptionArn"].startswith("arn:"):
            client("sns").unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    bare = client("sns").create_topic(Name="review-quality")["TopicArn"]
    client("ssm").put_parameter(
        Name=f"/promptlane/reviewers/{reviewer_key('support-quality@example.com')}",
        Value=json.dumps({"email": "support-quality@example.com", "topic": bare}),
        Type="String",
    )
    assert topics.reach(["support-quality@example.com"]) == {"support-quality@example.com": "missing"}


@pytest.mark.parametrize("text", ["", "https://example.com/", "not a token", "https://sns/?Token="])
def test_what_is_no_confirmation_link_is_refused_with_the_remedy(topics: ReviewerTopics, text: str) -> None:
    with pytest.raises(InvalidInput, match="without opening it"):
        topics.confirm(LEAD_MAIL, text)


def test_a_wrong_token_confirms_nothing(topics: ReviewerTopics) -> None:
    with pytest.raises((InvalidInput, NotFound, Unavailable)):
        topics.confirm(LEAD_MAIL, "0123456789abcdef0123456789abcdef")
    assert topics.reach([LEAD_MAIL]) == {LEAD_MAIL: "pending"}


def test_authors_are_found_in_the_trail_that_bedrock_calls_leave(
    client: Client, eventually: Callable[..., Any]
) -> None:
    agent = client("bedrock-agent")
    prompt = agent.create_prompt(name="support-assistant", variants=OLD.variants(), defaultVariant="default")
    agent.create_prompt_version(promptIdentifier=prompt["id"])
    agent.update_prompt(
        promptIdentifier=prompt["id"], name="support-assistant", variants=NEW.variants(), defaultVariant="default"
    )
    agent.create_prompt_version(promptIdentifier=prompt["id"])
    trail, now = CloudTrailHistory(client("cloudtrail")), datetime.now(UTC).timestamp()
    asked = Window(now - 3600, now + 60)

    def found() -> Any:
        seen = trail.events(prompt["id"], "support-assistant", names=RECORDED, window=asked)
        return seen if {"UpdatePrompt", "CreatePromptVersion"} <= {t.name for t in seen.events} else None

    known = merged(eventually(found), asked, [], None, settled=now)
    question = Question(version=2, bound=1, seen_at=now + 5, now=now + 1_000)
    authors = attribute(known, (LEAD, QUALITY), question)

    assert authors.principals
    assert all("root" in doubt for doubt in authors.unattributed)
    assert authors.complete
