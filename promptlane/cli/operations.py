"""The operations API, called with the caller's IAM identity (Signature Version 4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from promptlane.domain.errors import (
    InvalidInput,
    NotApplicable,
    NotFound,
    PromptlaneError,
    Throttled,
    Unauthorized,
    Unavailable,
)

Json = Any
Send = Callable[[str, str, bytes], tuple[int, bytes]]
"""(method, URL, body) → (status, body). Raises Unreachable when nobody answers."""

_BY_STATUS: Mapping[int, type[PromptlaneError]] = {
    400: InvalidInput,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: NotApplicable,
    410: NotApplicable,
    422: InvalidInput,
    429: Throttled,
}


class Unreachable(Unavailable):
    """The operations API gave no answer of its own."""


@dataclass(frozen=True)
class Operations:
    """`POST`s to the operations API at `base`."""

    base: str
    send: Send

    @classmethod
    def signed(cls, base: str) -> Operations:
        return cls(base.rstrip("/"), _send_signed)

    def post(self, *path: str, body: Mapping[str, Json]) -> dict[str, Json]:
        """The JSON answer; an error answer is raised as the domain error with the API's own sentence."""
        url = "/".join([self.base, *(quote(part, safe="") for part in path)])
        status, raw = self.send("POST", url, json.dumps(body).encode())
        document = _json(raw)
        if status < 400:
            return document
        message = str(document.get("detail") or document.get("message") or raw[:300].decode(errors="replace"))
        if status == 403 and set(document) <= {"message", "Message"}:
            message += "; your IAM identity needs the operator (or reviewer) policy of the Access stack"
        if status >= 500 and status not in _BY_STATUS:
            raise Unreachable(f"the operations API answered {status}: {message}")
        raise _BY_STATUS.get(status, Unavailable)(message)


def _json(raw: bytes) -> dict[str, Json]:
    try:
        document = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {"answer": document}


def _send_signed(method: str, url: str, body: bytes) -> tuple[int, bytes]:
    import boto3
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError
    from botocore.httpsession import URLLib3Session

    session = boto3.Session()
    credentials = session.get_credentials()
    if credentials is None:
        raise InvalidInput("no AWS credentials were found; sign in, or `. .local/env` for the embedded AWS")
    request = AWSRequest(method=method, url=url, data=body, headers={"content-type": "application/json"})
    SigV4Auth(credentials.get_frozen_credentials(), "execute-api", session.region_name or "us-east-1").add_auth(request)
    try:
        answer = URLLib3Session(timeout=30).send(request.prepare())
    except BotoCoreError as error:
        raise Unreachable(f"the operations API at {url} cannot be reached: {error}") from error
    return int(answer.status_code), bytes(answer.content)
