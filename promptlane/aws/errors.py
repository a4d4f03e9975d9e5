"""From botocore's errors to the domain's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from promptlane.domain.errors import InvalidInput, PromptlaneError, Throttled, Unavailable

from .error_codes import CANCELLED_AGAIN, ERROR_CODES


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
        return _meaning(error, code)(message)
    if isinstance(error, ParamValidationError):  # what the SDK itself refuses to send
        return InvalidInput(f"{doing}: {error}")
    return Unavailable(f"{doing}: {error}")


def _meaning(error: ClientError, code: str) -> type[PromptlaneError]:
    """The class for a code; of a cancelled transaction, for what its actions were refused for."""
    reasons = {str(r.get("Code")) for r in cancellation_reasons(error)} - {"None", ""}
    if "ValidationError" in reasons or "ItemCollectionSizeLimitExceeded" in reasons:
        return InvalidInput
    if reasons & CANCELLED_AGAIN:
        return Unavailable if reasons <= {"TransactionConflict"} else Throttled
    # A code that nobody documented: it may pass.
    return ERROR_CODES.get(code, Unavailable)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise domain errors instead of botocore's."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise domain_error(error, doing) from error
