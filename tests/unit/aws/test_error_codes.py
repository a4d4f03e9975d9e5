"""The table of error codes against botocore's service models and what services document beyond them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from promptlane.aws.error_codes import AGAIN, ERROR_CODES
from promptlane.domain.errors import AlreadyExists, Conflict, InvalidInput, NotFound, Unauthorized, Unavailable
from tests.support.aws_calls import OPERATIONS, ROOT, every_call, needed

SERVICES = (
    "bedrock bedrock-agent bedrock-runtime cloudformation cloudtrail cloudwatch dynamodb events kms lambda logs s3 "
    "secretsmanager sns sqs ssm stepfunctions sts"
)
COMMON = (
    "AccessDeniedException ExpiredTokenException IncompleteSignature InternalFailure MalformedHttpRequestException "
    "MissingAuthenticationToken NotAuthorized OptInRequired RequestAbortedException RequestEntityTooLargeException "
    "RequestExpired RequestTimeoutException ServiceUnavailable ThrottlingException UnknownOperationException "
    "UnrecognizedClientException InvalidClientTokenId InvalidSignatureException ValidationError "
    "MissingAuthenticationTokenException IncompleteSignatureException SignatureDoesNotMatch "
    "InvalidAction InvalidQueryParameter MalformedQueryString MissingAction 500 502 503 504"
)
"""The "Common Errors" page that every API reference has, how signatures are refused, and botocore's codes for answers
without a body."""
DOCUMENTED = {
    # "Error responses" of the Amazon S3 API reference, for reading, writing and listing objects.
    "s3": (
        "403 404 AccessDenied AllAccessDisabled AuthorizationHeaderMalformed BadDigest ConditionalRequestConflict "
        "EntityTooLarge ExpiredToken InternalError InvalidAccessKeyId InvalidArgument InvalidDigest InvalidObjectState "
        "InvalidRange InvalidRequest InvalidToken KMS.DisabledException KMS.KMSInvalidStateException "
        "KMS.NotFoundException KeyTooLongError MetadataTooLarge MethodNotAllowed NoSuchBucket NoSuchKey NoSuchVersion "
        "OperationAborted PermanentRedirect PreconditionFailed RequestTimeTooSkewed RequestTimeout SlowDown "
        "TemporaryRedirect XAmzContentSHA256Mismatch"
    ),
    # "Error handling with DynamoDB".
    "dynamodb": (
        "ItemCollectionSizeLimitExceededException LimitExceededException SerializationException "
        "TransactionCanceledException TransactionConflictException TransactionInProgressException"
    ),
    "sns": "Throttled Throttling KMSThrottling",
    # Of the query protocol, which SQS still answers with beside JSON.
    "sqs": "AWS.SimpleQueueService.NonExistentQueue OverLimit QueueDeletedRecently AccessDenied",
    "cloudformation": "ValidationError Throttling",
    "cloudwatch": "Throttling LimitExceeded LimitExceededFault",
    "kms": "DependencyTimeoutException",
    "lambda": "TooManyRequestsException",
    "bedrock-runtime": "ModelStreamErrorException",
}


OF_ONE = {
    "tag_resource": "bedrock-agent",
    "list_tags_for_resource": "bedrock-agent",
    "start_query": "logs",
    "get_query_results": "logs",
}
"""Calls of a name that several services know, and the one of which we call it."""


@cache
def models() -> dict[str, Any]:
    session = botocore.session.get_session()
    return {service: session.get_service_model(service) for service in SERVICES.split()}


def calls() -> Iterator[tuple[str, str]]:
    """(service, operation) of every call, by each service that has an operation of this name."""
    names = every_call()
    for service, model in models().items():
        for operation in model.operation_names:
            name = xform_name(operation)
            if name in names and OF_ONE.get(name, service) == service:
                yield service, operation


def modelled(service: str, operation: str) -> dict[str, Any]:
    shapes = models()[service].operation_model(operation).error_shapes
    return {str(shape.metadata.get("error", {}).get("code") or shape.name): shape.metadata for shape in shapes}


def answers(service: str, operation: str) -> set[str]:
    """Every code that a call may answer."""
    return {*modelled(service, operation), *COMMON.split(), *DOCUMENTED.get(service, "").split()}


CALLS = sorted(calls())


def test_every_call_that_a_role_needs_is_looked_at() -> None:
    verbs = [p.parent.name for p in (ROOT / "functions").glob("*/handler.py")]
    roles = set().union(*map(needed, verbs))
    looked = {xform_name(operation) for _, operation in CALLS}
    allowed = {action for name in looked for action in OPERATIONS.get(name, ())}
    assert len(CALLS) > 50
    assert roles - allowed - {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"} == set()


@pytest.mark.parametrize(("service", "operation"), CALLS)
def test_every_code_that_a_call_may_answer_has_a_meaning(service: str, operation: str) -> None:
    assert answers(service, operation) - set(ERROR_CODES) == set()


@pytest.mark.parametrize(("service", "operation"), CALLS)
def test_what_may_pass_by_itself_is_never_an_answer_about_what_was_asked(service: str, operation: str) -> None:
    """The state machine tries InvalidInput never again, and adapters act upon the other three."""
    for code, metadata in modelled(service, operation).items():
        status = metadata.get("error", {}).get("httpStatusCode") or 0
        if status >= 500 or status in (408, 429) or metadata.get("retryable") or "hrottl" in code:
            assert not issubclass(ERROR_CODES[code], (InvalidInput, NotFound, Conflict, AlreadyExists)), code


def test_what_is_tried_again_is_unavailable_when_it_never_passes() -> None:
    assert set(ERROR_CODES) >= AGAIN
    assert {code for code in AGAIN if not issubclass(ERROR_CODES[code], Unavailable)} == set()


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("NotFound", NotFound),
        ("AuthorizationError", Unauthorized),
        ("InvalidParameter", InvalidInput),
        ("KMSAccessDenied", Unauthorized),
        ("NoSuchBucket", Unavailable),  # the deployment is broken; no object was asked for in vain
        ("ConditionalRequestConflict", Unavailable),  # says nothing about the condition
        ("PreconditionFailed", Conflict),
        ("TransactionConflictException", Unavailable),
        ("ConditionalCheckFailedException", Conflict),
    ],
)
def test_codes_that_are_easily_mistaken(code: str, meaning: type[Exception]) -> None:
    assert ERROR_CODES[code] is meaning
