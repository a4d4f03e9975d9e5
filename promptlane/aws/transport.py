"""Signed calls to Bedrock at high rates: botocore's credentials and endpoints, plain connections.

boto3 spends about two milliseconds of Python on a Converse call (parameter validation, serializer, event hooks,
parser, connection pool), which caps a process at some 450 calls a second. A test run makes the same simple call ten
thousands of times, so it is sent here by hand: where it goes and which credentials are used stays botocore's.
Connections are kept and shared: one for each call in flight.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import boto3
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path

from promptlane.domain.errors import InvalidInput, Unauthorized, Unavailable
from promptlane.domain.suite.answers import CALL_SECONDS

from .sigv4 import signed_headers

Json = Any
_STALE: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, http.client.CannotSendRequest)
READ_SECONDS: Final = CALL_SECONDS
CONNECT_SECONDS: Final = 10.0
"""What a first connection may take, where one is opened only to see whether anything answers."""


class BedrockTransport:
    """Signed POSTs to the Bedrock runtime of one Region. Safe to share between threads."""

    def __init__(self, *, endpoint: str, region: str, credentials: Any, bearer: str = "") -> None:
        """`credentials`: botocore's, refreshed as they expire. `bearer`: a Bedrock API key, used instead."""
        parts = urlsplit(endpoint)
        self._secure, self._host = parts.scheme == "https", parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._prefix = parts.path.rstrip("/")
        default = 443 if self._secure else 80
        self._authority = self._host if self._port == default else f"{self._host}:{self._port}"
        self._region, self._credentials, self._bearer = region, credentials, bearer
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._context = ssl.create_default_context(cafile=_certificates()) if self._secure else None
        self._proxy = _proxy(parts.scheme, self._host)

    @classmethod
    def from_environment(cls, session: Any = None) -> BedrockTransport:
        """As boto3 would reach Bedrock: profile, Region, AWS_ENDPOINT_URL and the other settings are honoured."""
        try:
            found = session or boto3.Session()
            client = found.client("bedrock-runtime")
            credentials = found.get_credentials()
        except BotoCoreError as error:
            raise InvalidInput(f"Bedrock cannot be reached from here: {error}") from error
        bearer = os.environ.get("AWS_BEARER_TOKEN_BEDROCK", "")
        if credentials is None and not bearer:
            raise Unauthorized("no AWS credentials were found; sign in, or set AWS_PROFILE")
        return cls(
            endpoint=client.meta.endpoint_url, region=client.meta.region_name, credentials=credentials, bearer=bearer
        )

    def reach(self) -> None:
        """Open a connection and keep it. Raises Unavailable, with the cause, where nothing answers."""
        connection = self._connect()
        connection.timeout = CONNECT_SECONDS
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unavailable(
                f"{self._no_answer(error)}; look at the network, the Region, and AWS_ENDPOINT_URL where it is set"
            ) from error
        connection.timeout = READ_SECONDS
        connection.sock.settimeout(READ_SECONDS)
        self._idle.append(connection)

    def post(self, model_id: str, operation: str, body: Mapping[str, Json]) -> tuple[int, str, bytes]:
        """(status, AWS error type or empty, response body) of `POST /model/<model_id>/<operation>`.

        Raises Unavailable when no answer came.
        """
        path = f"{self._prefix}/model/{quote(model_id, safe='')}/{operation}"
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = self._headers(path, data)
        while True:
            kept = self._kept()
            connection = kept or self._connect()
            try:
                answer = self._send(connection, path, data, headers)
            except _STALE as error:
                connection.close()
                if kept is None:
                    raise self._no_answer(error) from error
                continue  # an idle connection that the service closed meanwhile; nothing was answered
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise self._no_answer(error) from error
            self._idle.append(connection)
            return answer

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> http.client.HTTPConnection | None:
        """The idle connection used last, which is the least likely to have been closed meanwhile."""
        try:
            return self._idle.pop()
        except IndexError:  # also when another thread took the last one between a look and a pop
            return None

    def _no_answer(self, error: Exception) -> Unavailable:
        return Unavailable(f"no answer from {self._host}: {type(error).__name__}: {error}")

    def _headers(self, path: str, data: bytes) -> dict[str, str]:
        if self._bearer:
            return {"Content-Type": "application/json", "Authorization": f"Bearer {self._bearer}"}
        try:
            found = self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise Unavailable(f"AWS credentials could not be refreshed: {error}") from error
        return signed_headers(found, host=self._authority, path=path, body=data, region=self._region, at=time.time())

    def _send(
        self, connection: http.client.HTTPConnection, path: str, data: bytes, headers: Mapping[str, str]
    ) -> tuple[int, str, bytes]:
        connection.request("POST", path, body=data, headers=dict(headers))
        response = connection.getresponse()
        body = response.read()
        kind = response.headers.get("x-amzn-errortype", "").split(":")[0] if response.status >= 300 else ""
        return response.status, kind, body

    def _connect(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=READ_SECONDS)
        host, port = self._proxy or (self._host, self._port)
        found = http.client.HTTPSConnection(host, port, timeout=READ_SECONDS, context=self._context)
        if self._proxy:
            found.set_tunnel(self._host, self._port)
        return found


def _certificates() -> str:
    """The authorities that botocore trusts, or the bundle that the environment names."""
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        if os.environ.get(name):
            return os.environ[name]
    return str(get_cert_path(True))


def _proxy(scheme: str, host: str) -> tuple[str, int] | None:
    """The proxy for encrypted calls, if the environment has one for this host."""
    found = getproxies().get("https") if scheme == "https" and not proxy_bypass(host) else None
    if not found:
        return None
    parts = urlsplit(found if "//" in found else f"//{found}")
    if parts.username:
        raise InvalidInput("HTTPS_PROXY holds a user name; proxies that ask for one are not supported for test runs")
    return (parts.hostname or "", parts.port or 80)
