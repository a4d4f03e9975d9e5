"""SNS email: real messages as files.

Lacking in MiniStack: email is only logged, and every email subscription is confirmed at once. Here: each mail that SNS
would send is an RFC 5322 file `<epoch ms>-<kind>-<recipient>-<id>.eml` in the mail directory, kind being `confirmation`
or `notification`. A new subscription is pending until its link is opened or ConfirmSubscription is called with the
token; PROMPTLANE_CONFIRM=auto confirms by itself after the mail is written. One that nobody confirms is deleted, with
its token, after 48 hours (PROMPTLANE_CONFIRM_WITHIN_S, in seconds); whether asking again starts them anew AWS does not
say, so here it does not. A subscription confirmed with AuthenticateOnUnsubscribe can only be ended by a signed call,
not by the link that the mails carry."""

from __future__ import annotations

import base64
import contextvars
import hashlib
import os
import re
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ministack.services import sns
from ministack.services.cloudformation import provisioners

from local import seams

MAX_SUBJECT = 100
CONFIRMED_WITHIN = 48 * 3600.0
"""Seconds."""
SENDER = "AWS Notifications <no-reply@sns.amazonaws.com>"
_WIRE_CODES = {"InvalidParameterException": "InvalidParameter", "NotFoundException": "NotFound"}
_counter = 0
_error, _xml = seams.replies(sns, "_error"), seams.replies(sns, "_xml")
_signed: contextvars.ContextVar[bool] = contextvars.ContextVar("signed", default=False)
"""Whether the request at hand carries a signature."""


def install() -> None:
    seams.require(sns, "_topics", "_topic_by_arn_any_scope", "_matches_filter_policy", "_resolve_message_for_protocol")
    seams.require(
        sns, "_build_envelope", "_sub_arn_to_topic", "_refresh_subscription_counts", "_find_subscription", "_p"
    )

    _error_codes()
    _deliveries()
    _subscriptions()
    _confirmations()
    _deletions()
    _track_signatures()
    _templates()


def _error_codes() -> None:
    """On the wire SNS says InvalidParameter; MiniStack sends the name of the exception, which SDKs do not recognise."""

    @seams.replace(sns, "_error")
    def error(original: seams.Replies, code: str, message: str, status: int) -> seams.Response:
        return original(_WIRE_CODES.get(code, code), message, status)


def _deliveries() -> None:
    @seams.replace(sns, "_fanout")
    def fanout(
        original: Any,
        topic_arn: str,
        message_id: str,
        message: str,
        subject: str,
        message_structure: str = "",
        message_attributes: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        original(topic_arn, message_id, message, subject, message_structure, message_attributes, **options)
        topic = sns._topic_by_arn_any_scope(topic_arn)
        for subscription in list((topic or {}).get("subscriptions", [])):
            if subscription["protocol"] not in ("email", "email-json") or not subscription.get("confirmed"):
                continue
            text = sns._resolve_message_for_protocol(message, message_structure, subscription["protocol"])
            if not sns._matches_filter_policy(subscription, message_attributes or {}, text):
                continue
            if subscription["protocol"] == "email-json":
                text = sns._build_envelope(topic_arn, message_id, text, subject, message_attributes or {}, False)
            else:
                text += _footer(subscription)
            _write("notification", subscription, subject or "AWS Notification Message", text)


def _subscriptions() -> None:
    @seams.replace(sns, "_subscribe")
    def subscribe(original: seams.Replies, params: dict[str, Any]) -> seams.Response:
        protocol, endpoint = sns._p(params, "Protocol"), sns._p(params, "Endpoint")
        topic = sns._topic_by_arn_any_scope(sns._p(params, "TopicArn"))
        before = {s["arn"] for s in (topic or {}).get("subscriptions", [])}
        reply = original(params)
        if reply[0] != 200 or protocol not in ("email", "email-json") or topic is None:
            return reply
        mine = [s for s in topic["subscriptions"] if s["protocol"] == protocol and s["endpoint"] == endpoint]
        for subscription in mine:
            if subscription["arn"] not in before or not subscription.get("confirmed"):
                ask(subscription)
        sns._refresh_subscription_counts(topic)
        if mine and not mine[0]["confirmed"] and sns._p(params, "ReturnSubscriptionArn") != "true":
            return _subscribed("pending confirmation")
        return _subscribed(mine[0]["arn"]) if mine else reply


def _confirmations() -> None:
    @seams.replace(sns, "_confirm_subscription")
    def confirm(original: seams.Replies, params: dict[str, Any]) -> seams.Response:
        topic = sns._topic_by_arn_any_scope(sns._p(params, "TopicArn"))
        token = sns._p(params, "Token")
        pending = [s for s in (topic or {}).get("subscriptions", []) if token and s.get("token") == token]
        reply = original(params)
        if reply[0] == 200 and pending:
            locked = sns._p(params, "AuthenticateOnUnsubscribe") == "true"
            pending[0]["attributes"]["ConfirmationWasAuthenticated"] = "true" if locked else "false"
        return reply

    @seams.replace(sns, "_unsubscribe")
    def unsubscribe(original: seams.Replies, params: dict[str, Any]) -> seams.Response:
        """The link in a mail is an unsigned call, in no account; refused where the confirmation asked for that."""
        arn = sns._p(params, "SubscriptionArn")
        parts = arn.split(":")
        if len(parts) != 7:
            return _error("InvalidParameter", f"Invalid parameter: SubscriptionArn {arn}", 400)
        with seams.scope(parts[4], parts[3]):
            subscription = sns._find_subscription(arn.rpartition(":")[0], arn)
            locked = subscription and subscription["attributes"].get("ConfirmationWasAuthenticated") == "true"
            if locked and not _signed.get():
                return _error("AuthorizationError", "Subscription was confirmed with AuthenticateOnUnsubscribe.", 403)
            return original(params)

    @seams.replace(sns, "_list_subscriptions_by_topic")
    def by_topic(original: seams.Replies, params: dict[str, Any]) -> seams.Response:
        return _pending_shown(original(params))

    @seams.replace(sns, "_list_subscriptions")
    def everything(original: seams.Replies, params: dict[str, Any]) -> seams.Response:
        for arn in list(sns._topics):
            sns._topic_by_arn_any_scope(arn)
        return _pending_shown(original(params))


def _templates() -> None:
    create = provisioners._RESOURCE_HANDLERS["AWS::SNS::Subscription"]["create"]

    def from_template(logical_id: str, props: dict[str, Any], stack: str) -> Any:
        made = create(logical_id, props, stack)
        subscription = sns._find_subscription(props.get("TopicArn", ""), made[0])
        if subscription and subscription["protocol"].startswith("email"):
            ask(subscription)
        return made

    provisioners._RESOURCE_HANDLERS["AWS::SNS::Subscription"]["create"] = from_template


def _deletions() -> None:
    """Nobody sees a subscription after its time: it goes before its topic is looked at."""

    @seams.replace(sns, "_topic_by_arn_any_scope")
    def found(original: Any, arn: str) -> Any:
        topic = original(arn)
        if topic is not None and any(_expired(s) for s in topic["subscriptions"]):
            gone = [s for s in topic["subscriptions"] if _expired(s)]
            topic["subscriptions"] = [s for s in topic["subscriptions"] if s not in gone]
            for subscription in gone:
                sns._sub_arn_to_topic.pop(subscription["arn"], None)
            sns._refresh_subscription_counts(topic)
        return topic


def _expired(subscription: dict[str, Any]) -> bool:
    within = float(os.environ.get("PROMPTLANE_CONFIRM_WITHIN_S") or CONFIRMED_WITHIN)
    asked = subscription.get("asked_at")
    return not subscription.get("confirmed") and asked is not None and time.time() >= asked + within


def _track_signatures() -> None:
    async def handle(
        inner: seams.Handler, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> seams.Response:
        _signed.set("authorization" in headers or "X-Amz-Signature" in query)
        return await inner(method, path, headers, body, query)

    seams.wrap("sns", handle)


def _subscribed(arn: str) -> seams.Response:
    result = f"<SubscribeResult><SubscriptionArn>{arn}</SubscriptionArn></SubscribeResult>"
    return _xml(200, "SubscribeResponse", result)


def _pending_shown(reply: seams.Response) -> seams.Response:
    """AWS lists a subscription that waits for confirmation as `PendingConfirmation`, without its ARN."""
    status, headers, body = reply
    text = body.decode()
    for topic in sns._topics.values():
        for subscription in topic["subscriptions"]:
            if not subscription.get("confirmed"):
                text = text.replace(f"<SubscriptionArn>{subscription['arn']}<", "<SubscriptionArn>PendingConfirmation<")
    return status, headers, text.encode()


def ask(subscription: dict[str, Any]) -> None:
    """Mail the confirmation link of a subscription; until it is used the subscription gets nothing."""
    token = hashlib.sha256(os.urandom(32)).hexdigest() * 2
    subscription |= {"confirmed": False, "token": token, "asked_at": subscription.get("asked_at", time.time())}
    subscription["attributes"] |= {"PendingConfirmation": "true", "ConfirmationWasAuthenticated": "false"}
    topic = subscription["topic_arn"]
    address = quote(subscription["endpoint"])
    link = f"{_endpoint()}/?Action=ConfirmSubscription&TopicArn={quote(topic)}&Token={token}&Endpoint={address}"
    _write(
        "confirmation",
        subscription,
        "AWS Notification - Subscription Confirmation",
        f"You have chosen to subscribe to the topic:\n{topic}\n\nTo confirm this subscription, click or visit the link "
        f"below (If this was in error no action is necessary):\n{link}\n",
    )
    if os.environ.get("PROMPTLANE_CONFIRM") == "auto":
        subscription |= {"confirmed": True, "token": None}
        subscription["attributes"]["PendingConfirmation"] = "false"


def _endpoint() -> str:
    return f"http://127.0.0.1:{seams.port()}"


def _footer(subscription: dict[str, Any]) -> str:
    link = f"{_endpoint()}/?Action=Unsubscribe&SubscriptionArn={quote(subscription['arn'])}"
    return (
        "\n\n--\nIf you wish to stop receiving notifications from this topic, please click or visit the link below to "
        f"unsubscribe:\n{link}\n"
    )


def directory() -> Path:
    return Path(os.environ["PROMPTLANE_MAIL_DIR"])


def _write(kind: str, subscription: dict[str, Any], subject: str, text: str) -> None:
    """Write one message, complete from its first appearance (written aside, then renamed)."""
    global _counter
    _counter += 1
    now = time.time()
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = subscription["endpoint"]
    message["Subject"] = re.sub(r"[\r\n]+", " ", subject)[: MAX_SUBJECT - 1]
    message["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    unique = base64.b32encode(os.urandom(5)).decode().lower()
    message["Message-ID"] = f"<{int(now * 1000)}.{unique}@sns.local>"
    message["X-Amz-Sns-Topic-Arn"] = subscription["topic_arn"]
    message["X-Amz-Sns-Subscription-Arn"] = subscription["arn"]
    message["X-Amz-Sns-Message-Type"] = kind
    message.set_content(text)
    folder = directory()
    folder.mkdir(parents=True, exist_ok=True)
    recipient = re.sub(r"[^a-zA-Z0-9.@_-]", "_", subscription["endpoint"])[:60]
    name = f"{int(now * 1000)}{_counter % 1000:03d}-{kind}-{recipient}-{unique}.eml"
    draft = folder / f".{name}.part"  # no reader takes it for a message
    draft.write_bytes(message.as_bytes())
    draft.rename(folder / name)
