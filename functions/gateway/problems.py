"""Errors as problem details (RFC 9457): what was wrong, with which input, and what to do."""

from __future__ import annotations

from promptlane.client import (
    InvalidReceipt,
    InvalidUnit,
    InvalidVariables,
    ModelCallFailed,
    RouteUnavailable,
    UnknownPrompt,
    UnsupportedRoute,
)
from promptlane.domain.errors import PromptlaneError, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BY_ERROR: list[tuple[type[PromptlaneError], int, str]] = [
    (InvalidVariables, 422, "invalid-variables"),
    (InvalidUnit, 422, "invalid-unit"),
    (UnsupportedRoute, 503, "unsupported-route"),
    (UnknownPrompt, 404, "unknown-prompt"),
    (InvalidReceipt, 403, "invalid-receipt"),
    (RouteUnavailable, 503, "route-unavailable"),
]
_TIMEOUTS = frozenset({"ReadTimeoutError", "ConnectTimeoutError", "ModelTimeoutException"})
_THROTTLES = frozenset({"ThrottlingException", "TooManyRequestsException"})


class Problem(Exception):
    """An HTTP error answer. `kind` becomes its type, `extra` further members."""

    def __init__(self, status: int, kind: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.extra = extra

    def body(self) -> dict[str, Any]:
        return {
            "type": f"urn:promptlane:problem:{self.kind}",
            "title": self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": str(self),
            **self.extra,
        }


def problem_of(error: PromptlaneError) -> Problem:
    """The problem that an error of the client is to an HTTP caller."""
    for kind, status, name in _BY_ERROR:
        if isinstance(error, kind):
            extra = {k: list(v) for k in ("missing", "unknown") if (v := getattr(error, k, ()))}
            return Problem(status, name, str(error), **extra)
    if isinstance(error, ModelCallFailed):
        if error.code in _THROTTLES:
            return Problem(429, "model-throttled", str(error), code=error.code)
        if error.code in _TIMEOUTS:
            return Problem(504, "deadline-exceeded", str(error), code=error.code)
        return Problem(502, "model-call-failed", str(error), code=error.code)
    if isinstance(error, Unavailable):
        return Problem(503, "temporarily-unavailable", str(error))
    return Problem(400, "invalid-request", str(error))


def deadline(seconds: float) -> Problem:
    """The request was not answered before the gateway's own deadline."""
    return Problem(
        504, "deadline-exceeded",
        f"no answer within {seconds:g} s, and the HTTP API ends requests at 30 s; for longer answers use the client "
        "library, or stream with it",
    )  # fmt: skip
