"""Our signature equals botocore's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from promptlane.aws.sigv4 import signed_headers

KEYS = st.text("ABCDEFGHabcdefgh0123456789/+", min_size=8, max_size=40)


@given(
    # No model is called "." or "..", which botocore takes out of a path.
    model=st.text(min_size=1, max_size=60).filter(lambda t: t.isprintable() and t.strip(".")),
    body=st.binary(max_size=200),
    access=KEYS,
    secret=KEYS,
    token=st.none() | KEYS,
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
    at=st.floats(1_500_000_000, 2_000_000_000),
)
def test_the_signature_is_the_one_that_botocore_makes(
    model: str, body: bytes, access: str, secret: str, token: str | None, region: str, at: float
) -> None:
    path = f"/model/{quote(model, safe='')}/converse"
    host = f"bedrock-runtime.{region}.amazonaws.com"
    request = AWSRequest("POST", f"https://{host}{path}", headers={"Content-Type": "application/json"}, data=body)
    with patch.object(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: _moment(at, remove_tzinfo)):
        SigV4Auth(Credentials(access, secret, token), "bedrock", region).add_auth(request)
    frozen = Credentials(access, secret, token).get_frozen_credentials()
    ours = signed_headers(frozen, host=host, path=path, body=body, region=region, at=at)
    assert ours["Authorization"] == request.headers["Authorization"]
    assert ours["X-Amz-Date"] == request.headers["X-Amz-Date"]
    assert ours.get("X-Amz-Security-Token") == request.headers.get("X-Amz-Security-Token")


@given(body=st.binary(max_size=200), token=st.none() | KEYS, target=st.text("ABCDynamo_0123.", min_size=1))
def test_so_is_that_of_an_operation_that_a_header_names(body: bytes, token: str | None, target: str) -> None:
    kind, host, at = "application/x-amz-json-1.0", "dynamodb.eu-west-1.amazonaws.com", 1_760_000_000.5
    headers = {"Content-Type": kind, "X-Amz-Target": target}
    request = AWSRequest("POST", f"https://{host}/", headers=headers, data=body)
    with patch.object(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: _moment(at, remove_tzinfo)):
        SigV4Auth(Credentials("AKIA", "secret", token), "dynamodb", "eu-west-1").add_auth(request)
    frozen = Credentials("AKIA", "secret", token).get_frozen_credentials()
    where: Any = {"host": host, "path": "/", "region": "eu-west-1", "service": "dynamodb"}
    ours = signed_headers(frozen, **where, body=body, at=at, kind=kind, target=target)
    assert ours["Authorization"] == request.headers["Authorization"]
    assert (ours["Content-Type"], ours["X-Amz-Target"]) == (kind, target)


def _moment(at: float, remove_tzinfo: bool) -> Any:
    moment = datetime.fromtimestamp(at, UTC)
    return moment.replace(tzinfo=None) if remove_tzinfo else moment
