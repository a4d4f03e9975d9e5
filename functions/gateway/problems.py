"""The client's errors as problem details: what was wrong, with which input, and what to do."""

from __future__ import annotations

from promptlane.aws import http_events as http
from promptlane.aws.http_events import Problem
from promptlane.client import (
    InvalidReceipt,
    InvalidUnit,
    InvalidVariables,
    ModelCallFailed,
    RequestRefused,
    RouteUnavailable,
    UnknownPrompt,
    UnsupportedRoute,
)
from promptlane.domain.errors import PromptlaneError

_BY_ERROR: list[tuple[type[PromptlaneError], int, str]] = [
    (InvalidVariables, 422, "invalid-variables"),
    (InvalidUnit, 422, "invalid-unit"),
    (UnsupportedRoute, 503, "unsupported-route"),
    (UnknownPrompt, 404, "unknown-prompt"),
    (InvalidReceipt, 403, "invalid-receipt"),
    (RouteUnavailable, 503, "route-unavailable"),
]
_TIMEOUTS = frozenset({"ReadTimeoutError", "ConnectTimeoutError", "ModelTimeoutException", "TimeoutError"})
_THROTTLES = frozenset({"ThrottlingException", "TooManyRequestsException"})


def problem_of(error: PromptlaneError) -> Problem:
    """The problem that an error of the client is to an HTTP caller."""
    for kind, status, name in _BY_ERROR:
        if isinstance(error, kind):
            extra = {k: list(v) for k in ("missing", "unknown") if (v := getattr(error, k, ()))}
            return Problem(status, name, str(error), **extra)
    if isinstance(error, RequestRefused):
        return Problem(422, "request-refused", str(error), code=error.code)
    if isinstance(error, ModelCallFailed):
        if error.code in _THROTTLES:
            return Problem(429, "model-throttled", str(error), code=error.code)
        if error.code in _TIMEOUTS:
            return Problem(504, "deadline-exceeded", str(error), code=error.code)
        return Problem(502, "model-call-failed", str(error), code=error.code)
    return http.problem_of(error)


def deadline(seconds: float) -> Problem:
    """The request was not answered before the gateway's own deadline."""
    said = f"no answer within {seconds:g} s, and the HTTP API ends requests at 30 s"
    return Problem(504, "deadline-exceeded", f"{said}; for longer answers use the client library, or stream with it")
