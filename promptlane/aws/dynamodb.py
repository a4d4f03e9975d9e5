"""Requests to DynamoDB without boto3, which takes longer to load than a rollback takes to decide and to write.

For the one path that must not wait (docs/adr/0043). What the environment asks for beyond a key pair, a Region and an
endpoint (a profile, a proxy, FIPS, dual stack, another partition) is left to boto3: `from_environment` answers None.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from promptlane.domain.errors import PromptlaneError, Unavailable

from .error_codes import ERROR_CODES
from .sigv4 import signed_headers

Json = Any
CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 2.0
_KIND: Final = "application/x-amz-json-1.0"
_API: Final = "DynamoDB_20120810"
_SUFFIXES: Final = {"cn": "amazonaws.com.cn"} | dict.fromkeys(
    ("af", "ap", "ca", "eu", "il", "me", "mx", "sa", "us"), "amazonaws.com"
)
_OTHER_PARTITIONS: Final = ("us-iso", "eu-iso")
_FOR_BOTO3: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "AWS_PROFILE")
_SWITCHES: Final = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
_NO_ANSWER: Final = (OSError, http.client.HTTPException)
_CLOSED: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, http.client.CannotSendRequest)
"""How a kept connection that the service closed meanwhile shows itself: nothing was answered."""


class Credentials(NamedTuple):
    """A key pair, and the session token of a role."""

    access_key: str
    secret_key: str
    token: str


class SignedDynamo:
    """Signed calls of DynamoDB's API in one Region, over connections that are kept. Safe to share between threads.

    Nothing is tried again but a kept connection that the service closed meanwhile: who calls knows what to read anew.
    """

    def __init__(self, *, endpoint: str, region: str, environ: Mapping[str, str]) -> None:
        """`environ` holds the key pair, which is looked up for each call."""
        parts = urlsplit(endpoint)
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname or "", parts.port
        self._path = parts.path or "/"
        default = self._port in (None, 443 if self._secure else 80)
        self._authority = self._host if default else f"{self._host}:{self._port}"
        self._region, self._environ = region, environ
        self._idle: list[http.client.HTTPConnection] = []

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> SignedDynamo | None:
        """As Lambda sets it up; None where something is asked for that only boto3 knows."""
        known = os.environ if environ is None else environ
        region = known.get("AWS_REGION") or known.get("AWS_DEFAULT_REGION") or ""
        endpoint = endpoint_of(region, known)
        if not endpoint or not known.get("AWS_ACCESS_KEY_ID") or not known.get("AWS_SECRET_ACCESS_KEY"):
            return None
        return cls(endpoint=endpoint, region=region, environ=known)

    def call(self, operation: str, request: Mapping[str, Json], *, doing: str) -> dict[str, Json]:
        """The answer of one operation. Raises what `aws/error_codes.py` makes of a refusal; Unavailable without answer.

        `doing` says what was tried.
        """
        body = json.dumps(request, ensure_ascii=False).encode()
        try:
            status, answer = self._post(operation, body)
        except _NO_ANSWER as error:
            raise Unavailable(f"{doing}: no answer from {self._host}: {type(error).__name__}: {error}") from error
        found = _json(answer)
        if status == 200 and found is not None:
            return found
        raise _refusal(status, found or {}, doing)

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    def _post(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """(status, body) of the answer. A kept connection that turns out closed is replaced, once."""
        try:
            return self._exchange(self._idle.pop(), operation, body)
        except IndexError:
            pass  # none is kept
        except _CLOSED:
            self.close()
        return self._exchange(self._connect(), operation, body)

    def _exchange(self, connection: http.client.HTTPConnection, operation: str, body: bytes) -> tuple[int, bytes]:
        headers = signed_headers(
            self._credentials(),
            host=self._authority,
            path=self._path,
            body=body,
            region=self._region,
            at=time.time(),
            service="dynamodb",
            kind=_KIND,
            target=f"{_API}.{operation}",
        )
        try:
            connection.request("POST", self._path, body=body, headers=headers)
            response = connection.getresponse()
            answer = response.status, response.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer

    def _credentials(self) -> Credentials:
        of = self._environ
        return Credentials(of["AWS_ACCESS_KEY_ID"], of["AWS_SECRET_ACCESS_KEY"], of.get("AWS_SESSION_TOKEN", ""))

    def _connect(self) -> http.client.HTTPConnection:
        made = (
            http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS, context=self._trusting)
            if self._secure
            else http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS)
        )
        made.connect()
        made.sock.settimeout(READ_SECONDS)
        return made

    @cached_property
    def _trusting(self) -> ssl.SSLContext:
        """The authorities that the environment names; else the system's, and botocore's where the system has none."""
        named = self._environ.get("AWS_CA_BUNDLE") or self._environ.get("REQUESTS_CA_BUNDLE")
        context = ssl.create_default_context(cafile=named or None)
        if not named and not context.cert_store_stats()["x509_ca"] and (bundle := _botocores_bundle()):
            context.load_verify_locations(cafile=bundle)
        return context


def endpoint_of(region: str, environ: Mapping[str, str]) -> str:
    """Where DynamoDB is in a Region, as botocore would say; "" where only botocore knows."""
    if any(environ.get(name) for name in _FOR_BOTO3) or any(_true(environ, name) for name in _SWITCHES):
        return ""
    if not _true(environ, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        for name in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"):
            if given := environ.get(name):
                return given
    suffix = _SUFFIXES.get(region.partition("-")[0], "")
    if not suffix or region.startswith(_OTHER_PARTITIONS) or not region.replace("-", "").isalnum():
        return ""
    return f"https://dynamodb.{region}.{suffix}"


def _true(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() == "true"


def _botocores_bundle() -> str:
    found = find_spec("botocore")
    folders = (found.submodule_search_locations if found else None) or ()
    return next((str(path) for folder in folders if (path := Path(folder) / "cacert.pem").is_file()), "")


def _json(answer: bytes) -> dict[str, Json] | None:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refusal(status: int, answer: Mapping[str, Json], doing: str) -> PromptlaneError:
    code = str(answer.get("__type") or status).rpartition("#")[2]
    meaning = Unavailable if status == 200 else ERROR_CODES.get(code, Unavailable)
    return meaning(f"{doing}: {code}: {answer.get('message') or answer.get('Message') or ''}")
