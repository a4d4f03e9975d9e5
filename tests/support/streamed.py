"""Signed requests to function URLs, read as they come."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.running import REGION

Keys = dict[str, str]
"""`aws_access_key_id`, `aws_secret_access_key` and perhaps `aws_session_token`."""


@contextmanager
def asked(url: str, body: Any, signed_by: Keys | None, method: str = "POST") -> Iterator[http.client.HTTPResponse]:
    """The answer to a request, signed for Lambda or not at all; to leave the block is to hang up."""
    sent = json.dumps(body)
    request = AWSRequest(method, url, headers={"content-type": "application/json"}, data=sent)
    if signed_by:
        known = (signed_by.get(f"aws_{name}") for name in ("access_key_id", "secret_access_key", "session_token"))
        SigV4Auth(Credentials(*known), "lambda", REGION).add_auth(request)
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.netloc, timeout=30)
    connection.request(method, where.path, body=sent, headers=dict(request.headers))
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """(kind, data) of each server-sent event, as soon as it is there."""
    kind = ""
    for line in answer:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)
