"""Email to reviewers, each through an own SNS topic: a shared one would hand every signed link to all its subscribers.

The deployment writes `/<deployment>/reviewers/<reviewer key>` = {"email", "topic"} to SSM. Before each email the
topic's subscriptions are read: one that is not this reviewer's own address blocks it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from promptlane.domain.errors import InvalidInput, NotApplicable, NotFound, PromptlaneError
from promptlane.domain.review.mail import Mail
from promptlane.domain.review.review import reviewer_key
from promptlane.domain.review.rules import reach_in_words
from promptlane.domain.text import printable, subject_line

from .errors import translated

_TOKEN: Final = re.compile(r"^[0-9A-Za-z_-]{16,1024}\Z")


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription. `arn` is None until it is confirmed; `protected`: unsubscribing it takes credentials."""

    arn: str | None
    protocol: str
    endpoint: str
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Addressee:
    """Somebody whom the deployment mails, the topic that does it, and how the subscription stands (`reach_in_words`).

    `since`: when the deployment made the topic, epoch seconds; None where that is not recorded.
    """

    email: str
    topic: str
    state: str
    since: float | None = None


class ReviewerTopics:
    """`Post` on SNS. `sns` and `ssm` are boto3 clients."""

    def __init__(self, *, sns: Any, ssm: Any, deployment: str) -> None:
        self._sns, self._ssm = sns, ssm
        self._prefix = f"/{deployment}/reviewers/"

    def reach(self, emails: Sequence[str]) -> dict[str, str]:
        return {email: self._state(email) for email in emails}

    def send(self, email: str, mail: Mail) -> None:
        topic = self.topic(email)
        state = self._judge(email, self.subscriptions(topic))
        if state == "unexpected":
            raise NotApplicable(f"{email}: {reach_in_words(state)} (topic {topic})")
        with translated(f"sending an email to {email}"):
            self._sns.publish(TopicArn=topic, Subject=subject_line(mail.subject), Message=printable(mail.body))

    def topic(self, email: str) -> str:
        """The ARN of a reviewer's topic; NotFound when this deployment has none."""
        try:
            with translated(f"reading the topic of {email}"):
                answer = self._ssm.get_parameter(Name=self._prefix + reviewer_key(email))
        except NotFound:
            raise NotFound(
                f"{email} has no topic in this deployment; declare the address in reviewers.yaml and run `cdk deploy`"
            ) from None
        return str(json.loads(answer["Parameter"]["Value"])["topic"])

    def subscriptions(self, topic: str) -> list[Subscription]:
        """All subscriptions of a topic, whoever made them."""
        found: list[Subscription] = []
        with translated(f"listing the subscriptions of {topic}"):
            for page in self._sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
                for item in page["Subscriptions"]:
                    arn = str(item["SubscriptionArn"])
                    if arn == "Deleted":
                        continue
                    confirmed = arn.startswith("arn:")
                    found.append(
                        Subscription(
                            arn=arn if confirmed else None,
                            protocol=str(item["Protocol"]),
                            endpoint=str(item["Endpoint"]),
                            protected=confirmed and self._protected(arn),
                        )
                    )
        return found

    def all(self) -> Iterator[Addressee]:
        """Every reviewer of the deployment."""
        with translated("listing the reviewers' topics"):
            pages = list(self._ssm.get_paginator("get_parameters_by_path").paginate(Path=self._prefix.rstrip("/")))
        for page in pages:
            for parameter in page["Parameters"]:
                value = json.loads(parameter["Value"])
                state = self._judge(value["email"], self.subscriptions(value["topic"]))
                since = parameter.get("LastModifiedDate")
                yield Addressee(value["email"], value["topic"], state, since.timestamp() if since else None)

    def on_call(self, topic: str, emails: Sequence[str]) -> list[Addressee]:
        """Those whom a topic mails beside others."""
        there = self.subscriptions(topic)

        def own(email: str) -> list[Subscription]:
            return [s for s in there if (s.protocol, s.endpoint.lower()) == ("email", email.lower())]

        return [Addressee(email, topic, self._judge(email, own(email))) for email in emails]

    def confirm(self, email: str, link_or_token: str, topic: str = "") -> str:
        """Confirm a subscription so that only somebody with credentials can unsubscribe it; its ARN.

        `link_or_token` is what SNS mailed: the whole link, or its Token. Without a `topic`, it is the reviewer's own.
        """
        token = link_or_token.strip()
        if "Token=" in token:
            token = (parse_qs(urlsplit(token).query).get("Token") or [""])[0]
        if not _TOKEN.match(token):
            raise InvalidInput(
                "that is not a confirmation link; paste the address behind 'Confirm subscription' in SNS's email, "
                "without opening it"
            )
        with translated(f"confirming the subscription of {email}"):
            answer = self._sns.confirm_subscription(
                TopicArn=topic or self.topic(email), Token=token, AuthenticateOnUnsubscribe="true"
            )
        return str(answer["SubscriptionArn"])

    def subscribe(self, addressee: Addressee) -> None:
        """Ask SNS to send the confirmation email again, for a subscription that is gone or was never confirmed."""
        with translated(f"subscribing {addressee.email}"):
            self._sns.subscribe(TopicArn=addressee.topic, Protocol="email", Endpoint=addressee.email)

    def _state(self, email: str) -> str:
        try:
            return self._judge(email, self.subscriptions(self.topic(email)))
        except NotFound:
            return "no_topic"
        except PromptlaneError:
            return "unreadable"

    @staticmethod
    def _judge(email: str, subscriptions: Sequence[Subscription]) -> str:
        def own(s: Subscription) -> bool:
            return s.protocol == "email" and s.endpoint.lower() == email.lower()

        if any(not own(s) for s in subscriptions):
            return "unexpected"
        confirmed = [s for s in subscriptions if s.arn]
        if not confirmed:
            return "pending" if subscriptions else "missing"
        return "confirmed" if all(s.protected for s in confirmed) else "unprotected"

    def _protected(self, arn: str) -> bool:
        try:
            with translated(f"reading the subscription {arn}"):
                attributes = self._sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
        except NotFound:
            return False
        return str(attributes.get("ConfirmationWasAuthenticated", "false")).lower() == "true"
