"""From botocore's errors to the domain's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from promptlane.domain.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    NotFound,
    PromptlaneError,
    Throttled,
    Unauthorized,
    Unavailable,
)

_BY_CODE: dict[str, type[PromptlaneError]] = {
    "ResourceNotFoundException": NotFound,
    "NotFoundException": NotFound,
    "NotFound": NotFound,
    "NoSuchKey": NotFound,
    "404": NotFound,
    "ParameterNotFound": NotFound,
    "ExecutionDoesNotExist": NotFound,
    "ConditionalCheckFailedException": Conflict,
    "TransactionConflictException": Conflict,
    "TransactionInProgressException": Conflict,
    "ConflictException": Conflict,
    "PreconditionFailed": Conflict,
    "ExecutionAlreadyExists": AlreadyExists,
    "ValidationException": InvalidInput,
    "ValidationError": InvalidInput,
    "InvalidParameterValue": InvalidInput,
    "InvalidParameter": InvalidInput,
    "InvalidName": InvalidInput,
    "InvalidRange": InvalidInput,
    "InvalidToken": InvalidInput,
    "KeyTooLongError": InvalidInput,
    "AccessDeniedException": Unauthorized,
    "AccessDenied": Unauthorized,
    "ThrottlingException": Throttled,
    "Throttling": Throttled,
    "TooManyRequestsException": Throttled,
    "ProvisionedThroughputExceededException": Throttled,
    "RequestLimitExceeded": Throttled,
    "ServiceQuotaExceededException": Throttled,
}


def code_of(error: ClientError) -> str:
    """The error code that AWS answered with."""
    return str(error.response.get("Error", {}).get("Code", ""))


def cancellation_reasons(error: ClientError) -> list[dict[str, Any]]:
    """Why each action of a DynamoDB transaction was refused; empty for another error."""
    return list(error.response.get("CancellationReasons") or [])


def domain_error(error: ClientError | BotoCoreError, doing: str) -> PromptlaneError:
    """The domain error for an AWS error; `doing` says what was tried."""
    if isinstance(error, ClientError):
        code = code_of(error)
        message = f"{doing}: {code}: {error.response.get('Error', {}).get('Message', '')}"
        return _BY_CODE.get(code, Unavailable)(message)
    if isinstance(error, ParamValidationError):  # what the SDK itself refuses to send
        return InvalidInput(f"{doing}: {error}")
    return Unavailable(f"{doing}: {error}")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise domain errors instead of botocore's."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise domain_error(error, doing) from error
