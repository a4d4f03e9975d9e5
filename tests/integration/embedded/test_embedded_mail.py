"""SNS email in the embedded AWS: confirmation, delivery as files, unsubscribing."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.running import EmbeddedAws

Client = Callable[[str], Any]


def token_in(text: str) -> str:
    found = re.search(r"Token=(\w+)", text)
    assert found
    return found[1]


def link_in(text: str) -> str:
    found = re.search(r"http://\S+", text)
    assert found
    return found[0]


def test_nothing_is_delivered_before_the_link_is_opened(
    embedded_aws: EmbeddedAws, client: Client, account: str
) -> None:
    sns, reviewer = client("sns"), f"rita-{account}@example.com"
    topic = sns.create_topic(Name="notices")["TopicArn"]
    reply = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=reviewer)
    assert reply["SubscriptionArn"] == "pending confirmation"
    listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [one["SubscriptionArn"] for one in listed] == ["PendingConfirmation"]
    sns.publish(TopicArn=topic, Subject="lost", Message="nobody sees this")

    confirmation = embedded_aws.mails(to=reviewer, kind="confirmation")[0].get_content()
    urllib.request.urlopen(link_in(confirmation), timeout=5).close()
    sns.publish(TopicArn=topic, Subject="Réview: v2", Message="line one\nÄ link: https://example.com/?a=b&c=d")

    mails = embedded_aws.mails(to=reviewer, kind="notification")
    assert [mail["Subject"] for mail in mails] == ["Réview: v2"]
    assert mails[0].get_content().startswith("line one\nÄ link: https://example.com/?a=b&c=d")
    assert mails[0]["X-Amz-Sns-Topic-Arn"] == topic
    assert "@" in mails[0]["Message-ID"]


def test_a_filter_policy_holds_for_email(embedded_aws: EmbeddedAws, client: Client, account: str) -> None:
    sns, reader = client("sns"), f"filter-{account}@example.com"
    topic = sns.create_topic(Name="notices")["TopicArn"]
    arn = sns.subscribe(
        TopicArn=topic,
        Protocol="email",
        Endpoint=reader,
        Attributes={"FilterPolicy": '{"prompt": ["support"]}'},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    assert arn.startswith(topic)
    text = embedded_aws.mails(to=reader, kind="confirmation")[0].get_content()
    sns.confirm_subscription(TopicArn=topic, Token=token_in(text))
    for prompt in ("triage", "support"):
        attributes = {"prompt": {"DataType": "String", "StringValue": prompt}}
        sns.publish(TopicArn=topic, Message=f"about {prompt}", MessageAttributes=attributes)
    bodies = [mail.get_content() for mail in embedded_aws.mails(to=reader, kind="notification")]
    assert [body.splitlines()[0] for body in bodies] == ["about support"]


@pytest.mark.parametrize("locked", [True, False])
def test_the_unsubscribe_link_works_unless_the_confirmation_was_authenticated(
    embedded_aws: EmbeddedAws, client: Client, account: str, locked: bool
) -> None:
    sns, reader = client("sns"), f"leave-{account}@example.com"
    topic = sns.create_topic(Name="notices")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=reader)
    token = token_in(embedded_aws.mails(to=reader)[0].get_content())
    sns.confirm_subscription(TopicArn=topic, Token=token, AuthenticateOnUnsubscribe=str(locked).lower())
    sns.publish(TopicArn=topic, Message="hello")
    link = link_in(embedded_aws.mails(to=reader, kind="notification")[0].get_content())

    def follow() -> None:
        urllib.request.urlopen(link, timeout=5).close()

    if locked:
        with pytest.raises(urllib.error.HTTPError, match="403"):
            follow()
    else:
        follow()
    left = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert len(left) == (1 if locked else 0)
    for one in left:
        sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_a_wrong_token_confirms_nothing(client: Client) -> None:
    sns = client("sns")
    topic = sns.create_topic(Name="notices")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="x@example.com")
    with pytest.raises(sns.exceptions.InvalidParameterException):
        sns.confirm_subscription(TopicArn=topic, Token="0" * 128)
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsPending"] == "1"


def test_what_nobody_confirms_in_time_is_gone_and_can_be_asked_for_again(tmp_path: Path) -> None:
    within = 2.0
    with EmbeddedAws(home=tmp_path, variables={"PROMPTLANE_CONFIRM_WITHIN_S": str(within)}) as aws:
        sns = aws.client("sns")
        topic = sns.create_topic(Name="review")["TopicArn"]

        def there() -> list[str]:
            found = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
            assert len(found) == len(sns.list_subscriptions()["Subscriptions"])
            return [one["Endpoint"] for one in found]

        for reviewer in ("quick@example.com", "slow@example.com"):
            sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=reviewer)
        begun = time.monotonic()
        tokens = {who: token_in(aws.mails(to=f"{who}@example.com")[0].get_content()) for who in ("quick", "slow")}
        sns.confirm_subscription(TopicArn=topic, Token=tokens["quick"])
        time.sleep(within / 2)
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="slow@example.com")  # whether that helps, AWS says not
        assert there() == ["quick@example.com", "slow@example.com"]
        time.sleep(max(0.0, begun + within + 0.1 - time.monotonic()))
        assert there() == ["quick@example.com"]
        late = token_in(aws.mails(to="slow@example.com")[-1].get_content())
        with pytest.raises(sns.exceptions.ClientError):
            sns.confirm_subscription(TopicArn=topic, Token=late)

        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="slow@example.com")
        again = token_in(aws.mails(to="slow@example.com")[-1].get_content())
        sns.confirm_subscription(TopicArn=topic, Token=again, AuthenticateOnUnsubscribe="true")
        time.sleep(0.1)
        assert there() == ["quick@example.com", "slow@example.com"]
