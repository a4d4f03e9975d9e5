"""The HTTP edge: events of an HTTP API (payload format 2.0), and answers to them.

Who calls, what was sent, and how a request is refused are read and written here for every function that people or
programs call. Whatever an event lacks or holds instead, a request is answered, never failed. Refusals are problem
details (RFC 9457).
"""

from __future__ import annotations

import base64
import binascii
import json

from promptlane.domain.errors import InvalidInput, NotApplicable, NotFound, PromptlaneError, Unauthorized
from promptlane.domain.incoming import MAX_NAME_BYTES, odd_places, torn, torn_problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Json = Any

MAX_BODY = 64 * 1024
"""Bytes of a request, where a function does not say otherwise."""
_BY_ERROR: tuple[tuple[type[PromptlaneError], int, str], ...] = (
    (NotFound, 404, "not-found"),
    (Unauthorized, 403, "forbidden"),
    (NotApplicable, 409, "not-applicable"),
    (InvalidInput, 400, "invalid-request"),
)
"""Any other may go away by itself: 503."""


class Problem(Exception):
    """An HTTP error answer. `kind` becomes its type, `extra` further members."""

    def __init__(self, status: int, kind: str, detail: str, **extra: Json) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.extra = extra

    def body(self) -> dict[str, Json]:
        return {
            "type": f"urn:promptlane:problem:{self.kind}",
            "title": self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": str(self),
            **self.extra,
        }

    def answer(self) -> dict[str, Json]:
        headers = {"allow": self.extra["allow"]} if "allow" in self.extra else {}
        if self.status in (429, 503):
            headers["retry-after"] = "2"
        return _answer(self.status, "application/problem+json", self.body(), headers)


def problem_of(error: PromptlaneError, *, undone: str = "") -> Problem:
    """The problem that an error is to an HTTP caller. `undone`: what did not happen, where trying again may help."""
    known = ((status, name) for kind, status, name in _BY_ERROR if isinstance(error, kind))
    status, name = next(known, (503, "temporarily-unavailable"))
    return Problem(status, name, f"{undone}: {error}; try again" if undone and status == 503 else str(error))


def answered(
    request: Callable[[], Json],
    failed: Callable[[BaseException], object],
    *,
    problem: Callable[[PromptlaneError], Problem] = problem_of,
) -> dict[str, Json]:
    """What a request comes to: JSON, an answer of its own (`reply`, a page), or a problem.

    `failed` hears of what is our own fault: a server error.
    """
    try:
        done = request()
        return done if isinstance(done, dict) and "statusCode" in done else reply(done)
    except Problem as refused:
        return refused.answer()
    except PromptlaneError as error:
        told = problem(error)
        if told.status >= 500:
            failed(error)
        return told.answer()
    except Exception as error:  # noqa: BLE001 - the caller gets a body that says so, the log says why
        failed(error)
        return Problem(500, "internal-error", "the function failed; its log says why").answer()


def reply(body: Json, status: int = 200) -> dict[str, Json]:
    """A JSON answer."""
    return _answer(status, "application/json", body, {})


def _answer(status: int, kind: str, body: Json, headers: Mapping[str, str]) -> dict[str, Json]:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if torn(text) >= 0:  # of a model's answer, say: an escape of JSON means the same, and can be sent
        text = text.encode("utf-8", "backslashreplace").decode()
    return {
        "statusCode": status,
        "headers": {"content-type": kind, "cache-control": "no-store", **headers},
        "body": text,
    }


def part(event: Json, *path: str) -> str:
    """The text at a path of an event; "" where there is none, or something else stands on the way.

    Problem 400, naming the part, for one that is not Unicode, and for a path parameter that can be no name.
    """
    for name in path:
        event = event.get(name) if isinstance(event, dict) else None
    if not isinstance(event, str):
        return ""
    if path[-1] != "body" and (problem := torn_problem(event)):
        raise Problem(400, "invalid-request", f"{path[-1]} {problem}")
    if path[0] == "pathParameters" and (size := len(event.encode())) > MAX_NAME_BYTES:
        raise Problem(400, "invalid-request", f"{path[-1]} has {size:,} bytes; at most {MAX_NAME_BYTES:,} are a name")
    return event


def caller(event: Json) -> str:
    """The ARN of the IAM identity that signed the request; Problem 403 for a request without one."""
    arn = part(event, "requestContext", "authorizer", "iam", "userArn")
    if not arn:
        raise Problem(403, "unsigned-request", "sign the request with an IAM identity")
    return arn


def source(event: Json) -> tuple[str, str]:
    """(IP address, user agent) that a request came from, as API Gateway saw them."""
    return part(event, "requestContext", "http", "sourceIp"), part(event, "requestContext", "http", "userAgent")


def header(event: Json, name: str) -> str:
    """The value of a header, whose name is given in lower case."""
    headers = event.get("headers") if isinstance(event, dict) else None
    found = headers.items() if isinstance(headers, dict) else ()
    return next((str(value) for key, value in found if str(key).lower() == name), "")


def media_type(event: Json) -> str:
    """The body's media type in lower case, without parameters; "" where none is named."""
    return header(event, "content-type").partition(";")[0].strip().lower()


def text(event: Json, limit: int = MAX_BODY) -> str:
    """The body as text. Problem 413 for more than `limit` bytes, 400 for what is not UTF-8."""
    sent = part(event, "body")
    try:
        raw = base64.b64decode(sent, validate=True) if event.get("isBase64Encoded") else sent.encode()
        if len(raw) > limit:
            raise Problem(413, "body-too-large", f"the body has {len(raw):,} bytes; at most {limit:,} are read")
        return raw.decode()
    except (binascii.Error, UnicodeError):
        raise Problem(400, "invalid-request", "the body is not UTF-8 text") from None


def json_object(event: Json, wanted: str, limit: int = MAX_BODY) -> dict[str, Json]:
    """The JSON object that is the body. `wanted` says what one looks like. Problem 400, 413 or 415."""
    kind = media_type(event)
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise Problem(415, "unsupported-media-type", f"the body is {kind}; send application/json")
    try:
        found = json.loads(text(event, limit), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "invalid-request", f"the body is not JSON ({error}); send {wanted}") from None
    if not isinstance(found, dict):
        raise Problem(400, "invalid-request", f"the body is no JSON object; send {wanted}")
    for field, problem in odd_places(found):
        raise Problem(400, "invalid-request", f"{field or 'the body:'} {problem}")
    return found


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no number of JSON")


def form(event: Json, limit: int = MAX_BODY) -> dict[str, str]:
    """The fields of a posted form. Problem 400, 413 or 415 for anything that a browser's form would not send."""
    from urllib.parse import parse_qsl

    if (kind := media_type(event)) != "application/x-www-form-urlencoded":
        raise Problem(415, "unsupported-media-type", f"the body is {kind or 'of no type'}; send the form")
    sent = text(event, limit)
    try:
        if not sent.isascii():
            raise ValueError("a form escapes what is not ASCII")
        pairs = parse_qsl(
            sent, keep_blank_values=True, strict_parsing=True, errors="surrogateescape", max_num_fields=10
        )
    except ValueError as error:
        raise Problem(400, "invalid-request", f"not form data: {error}") from None
    for field, value in pairs:
        if torn(field + value) >= 0:
            name = field if torn(field) < 0 else "a field's name"
            raise Problem(400, "invalid-request", f"{name} is not UTF-8; send the form as the page has it")
    if len(dict(pairs)) != len(pairs):
        raise Problem(400, "invalid-request", "a field was sent twice")
    return dict(pairs)
