"""AWS Signature Version 4 for one kind of request: POST, no query, a body in memory.

botocore's signer takes 0.16 ms for it, most of it in request objects; the arithmetic itself takes a tenth. What is
computed here equals botocore's signature byte for byte, which the tests check over arbitrary paths, bodies and
credentials. Source: "Create a signed AWS API request" in the IAM User Guide.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

_SIGNED = "content-type;host;x-amz-date"


def signed_headers(
    credentials: Any,
    *,
    host: str,
    path: str,
    body: bytes,
    region: str,
    at: float,
    service: str = "bedrock",
    kind: str = "application/json",
    target: str = "",
) -> dict[str, str]:
    """Headers of a signed JSON POST. `credentials`: access_key, secret_key and token, such as botocore's, frozen.

    `path` is as sent (percent-encoded); `at` is epoch seconds; `kind` is the content type; `target` names the
    operation where the path does not.
    """
    token = credentials.token
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    names = _SIGNED + (";x-amz-security-token" if token else "") + (";x-amz-target" if target else "")
    canonical = (
        f"POST\n{quote(path, safe='/~')}\n\ncontent-type:{kind}\nhost:{host}\nx-amz-date:{stamp}\n"
        + (f"x-amz-security-token:{token}\n" if token else "")
        + (f"x-amz-target:{target}\n" if target else "")
        + f"\n{names}\n{hashlib.sha256(body).hexdigest()}"
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = _key(credentials.secret_key, stamp[:8], region, service)
    signature = hmac.new(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}".encode(), "sha256").hexdigest()
    headers = {
        "Content-Type": kind,
        "Host": host,
        "X-Amz-Date": stamp,
        "Authorization": (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        ),
    }
    if token:
        headers["X-Amz-Security-Token"] = token
    if target:
        headers["X-Amz-Target"] = target
    return headers


@lru_cache(maxsize=8)
def _key(secret: str, date: str, region: str, service: str) -> bytes:
    """The signing key of a day."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return key
