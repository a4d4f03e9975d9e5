"""What is tried again, and what becomes of an answer on the wire: real clients, answered without a socket."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto.core.models import botocore_stubber

from promptlane.aws import clients
from promptlane.aws.audit_copies import AuditCopies
from promptlane.aws.clients import persistent
from promptlane.aws.error_codes import AGAIN
from promptlane.aws.mail import ReviewerTopics
from promptlane.aws.notices import SnsNotices
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.queue import SqsIntakeQueue
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.routes import DynamoRoutes
from promptlane.domain.errors import (
    Conflict,
    InvalidInput,
    NotApplicable,
    NotFound,
    PromptlaneError,
    Throttled,
    Unauthorized,
    Unavailable,
)
from promptlane.domain.release.route import first_route
from tests.support.prompt import ID, ref

SESSION = boto3.Session("AKIAIOSFODNN7EXAMPLE", "secret", region_name="us-east-1")
TOPIC = "arn:aws:sns:us-east-1:111122223333:notices"
Answer = tuple[int, dict[str, str], str]


class Wire:
    """Answers a client's requests in order; the last answer stays. `asked` counts."""

    def __init__(self, made: Any, *answers: Answer) -> None:
        self.asked, self._answers = 0, list(answers)
        made.meta.events.register("before-send", self._answer)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        self.asked += 1
        status, headers, body = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        raw = BytesIO(body.encode())
        raw.stream = lambda: iter([body.encode()])  # type: ignore[attr-defined]
        return AWSResponse(request.url, status, headers, raw)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(botocore_stubber, "enabled", False)  # moto, where other tests left it on
    return slept


def in_json(code: str, status: int = 400, **more: Any) -> Answer:
    body = json.dumps({"__type": f"com.amazonaws.service#{code}", "message": "said so", **more})
    return status, {"content-type": "application/x-amz-json-1.0"}, body


def in_query(code: str, status: int = 400) -> Answer:
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    return status, {"content-type": "text/xml"}, body


def in_xml(code: str, status: int = 409) -> Answer:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message><RequestId>1</RequestId></Error>'
    return status, {"content-type": "application/xml"}, body


FINE: Answer = (200, {"content-type": "application/x-amz-json-1.0"}, "{}")
Kind = Callable[..., Any]


def client(service: str) -> Any:
    return persistent(SESSION.client(service, config=clients._config(10, clients._TRIES)))


def table() -> Any:
    made = SESSION.resource("dynamodb", config=clients._config(10, clients._TRIES))
    persistent(made.meta.client)
    return made.Table("releases")


def test_a_conflict_with_a_transaction_is_tried_again_and_says_nothing_about_the_condition(
    no_pause: list[float],
) -> None:
    """Else a lock would count as freed, and a block as written, which are not."""
    once, lasting = table(), table()
    first = Wire(once.meta.client, in_json("TransactionConflictException"), FINE)
    second = Wire(lasting.meta.client, in_json("TransactionConflictException"))

    DynamoReleases(once).unlock(ID, f"{ID}-1-1")
    with pytest.raises(Unavailable, match=r"freeing the lock of .*TransactionConflictException"):
        DynamoReleases(lasting).unlock(ID, f"{ID}-1-1")

    assert (first.asked, second.asked) == (2, 4)
    assert len(no_pause) == 1 + 3
    assert all(0 <= pause <= 0.05 * 2**3 for pause in no_pause)


def test_a_lost_condition_is_not_tried_again() -> None:
    lost = table()
    wire = Wire(lost.meta.client, in_json("ConditionalCheckFailedException"))
    route = first_route(prompt="support", prompt_id=ID, candidate=ref(1), release_id=f"{ID}-1-1", now=1.0, by="x")
    with pytest.raises(Conflict, match="moved since it was read"):
        DynamoRoutes(lost).put(route, expected=None)
    assert wire.asked == 1


def test_a_copy_that_is_being_written_by_another_is_not_taken_for_one_that_is_there() -> None:
    entry = {"release_id": f"{ID}-1-1", "seq": 1}
    for answers, expected, asked in (
        ([in_xml("ConditionalRequestConflict"), (200, {}, "")], True, 2),
        ([in_xml("ConditionalRequestConflict"), in_xml("PreconditionFailed", 412)], False, 2),
        ([in_xml("PreconditionFailed", 412)], False, 1),
    ):
        s3 = client("s3")
        wire = Wire(s3, *answers)
        assert AuditCopies(s3, "audit").put(entry) is expected
        assert wire.asked == asked
    s3 = client("s3")
    Wire(s3, in_xml("ConditionalRequestConflict"))
    with pytest.raises(Unavailable, match="ConditionalRequestConflict"):
        AuditCopies(s3, "audit").put(entry)


@pytest.mark.parametrize(
    ("code", "status", "error", "asked"),
    [
        ("NotFound", 404, NotFound, 1),
        ("AuthorizationError", 403, Unauthorized, 1),
        ("KMSAccessDenied", 400, Unauthorized, 1),
        ("KMSDisabled", 400, Unavailable, 1),
        ("KMSThrottling", 400, Throttled, 4),
        ("Throttled", 429, Throttled, 4),
        ("InternalError", 500, Unavailable, 4),
    ],
)
def test_what_sns_answers(code: str, status: int, error: type[PromptlaneError], asked: int) -> None:
    sns = client("sns")
    wire = Wire(sns, in_query(code, status))
    with pytest.raises(error, match=rf"sending a notice: {code}"):
        SnsNotices(sns, TOPIC).publish("subject", "body")
    assert wire.asked == asked


@pytest.mark.parametrize(
    ("code", "status", "state"),
    [("NotFound", 404, "no_topic"), ("AuthorizationError", 403, "unreadable"), ("InternalError", 500, "unreadable")],
)
def test_a_reviewer_whose_topic_does_not_answer_is_told_from_one_without(code: str, status: int, state: str) -> None:
    sns, ssm = client("sns"), client("ssm")
    Wire(sns, in_query(code, status))
    value = json.dumps({"email": "a@example.com", "topic": TOPIC})
    Wire(ssm, (200, {"content-type": "application/x-amz-json-1.1"}, json.dumps({"Parameter": {"Value": value}})))
    topics = ReviewerTopics(sns=sns, ssm=ssm, deployment="lane")
    assert topics.reach(["a@example.com"]) == {"a@example.com": state}


def test_a_queue_that_is_gone_is_named_in_both_protocols() -> None:
    sqs = client("sqs")
    legacy = {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"}
    status, headers, body = in_json("QueueDoesNotExist")
    Wire(sqs, (status, {**headers, **legacy}, body), in_json("QueueDoesNotExist"))
    queue = SqsIntakeQueue(sqs, "https://sqs.us-east-1.amazonaws.com/111122223333/intake")
    for said in ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"):
        with pytest.raises(Unavailable, match=said):
            queue.request("support", 1, requested_by="x", explicit=False)


def cancelled(*codes: str) -> Answer:
    reasons = [{"Code": code, "Message": "said so"} for code in codes]
    return in_json("TransactionCanceledException", CancellationReasons=reasons)


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_transaction_that_was_cancelled_for_load_is_written_again(reason: str) -> None:
    busy = table()
    wire = Wire(busy.meta.client, cancelled("None", reason), FINE)
    assert DynamoReleases(busy).write([{"Put": {"TableName": "releases", "Item": {"pk": "a", "sk": "b"}}}], []) == set()
    assert wire.asked == 2


@pytest.mark.parametrize(("reason", "error"), [("ValidationError", "InvalidInput"), ("AccessDenied", "Unavailable")])
def test_a_transaction_that_was_cancelled_for_good_says_why(reason: str, error: str) -> None:
    refused = table()
    wire = Wire(refused.meta.client, cancelled(reason))
    with pytest.raises(PromptlaneError) as caught:
        DynamoReleases(refused).write([{"Put": {"TableName": "releases", "Item": {"pk": "a", "sk": "b"}}}], [])
    assert (type(caught.value).__name__, wire.asked) == (error, 1)


def test_every_client_of_ours_is_persistent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "client", SESSION.client)
    monkeypatch.setattr(boto3, "resource", SESSION.resource)
    for made in (clients.client.__wrapped__("sns"), clients.resource.__wrapped__("dynamodb").meta.client):
        answer = made.meta.events.emit(
            f"needs-retry.{made.meta.service_model.service_id.hyphenize()}.Any",
            response=(None, {"Error": {"Code": min(AGAIN)}, "ResponseMetadata": {}}),
            endpoint=None,
            operation=made.meta.service_model.operation_model(made.meta.service_model.operation_names[0]),
            attempts=1,
            caught_exception=None,
            request_dict={"context": {}},
        )
        assert any(isinstance(delay, float) for _, delay in answer)


FULL = "You have exceeded max-number-versions-per-prompt (10)"


def in_rest_json(code: str, message: str, status: int = 400) -> Answer:
    return status, {"content-type": "application/json", "x-amzn-errortype": code}, json.dumps({"message": message})


@pytest.mark.parametrize(
    ("code", "message", "status"), [("ValidationException", FULL, 400), ("ServiceQuotaExceededException", "full", 402)]
)
def test_a_prompt_that_has_all_the_versions_it_may_have_says_the_remedy(code: str, message: str, status: int) -> None:
    agent = client("bedrock-agent")
    wire = Wire(agent, in_rest_json(code, message, status))
    with pytest.raises(
        NotApplicable, match=rf"prompt {ID} has as many versions as Bedrock allows; nothing was"
    ) as told:
        BedrockPrompts(agent).publish(ID, description="why")
    for remedy in ("roll back what is in flight", f"--prompt-identifier {ID}", "Service Quotas", "version_quota"):
        assert remedy in str(told.value)
    assert wire.asked == 1


def test_another_refusal_of_a_publication_is_not_taken_for_it() -> None:
    agent = client("bedrock-agent")
    Wire(agent, in_rest_json("ValidationException", "The model does not exist"))
    with pytest.raises(InvalidInput, match=r"publishing a version of .*The model does not exist"):
        BedrockPrompts(agent).publish(ID, description="why")
