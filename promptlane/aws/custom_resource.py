"""What every custom resource of CloudFormation has alike: how its request looks, and how it is answered."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from promptlane.domain.errors import InvalidInput

Json = Any
_MOST_SAID: Final = 1_000
"""Bytes of a sentence as JSON; an answer holds it twice, and CloudFormation takes 4,096 bytes in all."""
_ATTEMPTS: Final = 4
_PAUSE: Final = 1.0


def answer(event: Mapping[str, Json], status: str, said: str, *, physical: str, stream: str = "") -> dict[str, Json]:
    """PUT the result to the URL that CloudFormation gave; what was sent. `status` is SUCCESS or FAILED.

    CloudFormation waits for it, so it is tried again; the URL works for two hours. InvalidInput where there is none.
    """
    said = _fitting(said)
    body = {
        "Status": status,
        "Reason": f"{said} (log stream {stream})" if stream else said,
        "PhysicalResourceId": physical,
        "StackId": event.get("StackId", ""),
        "RequestId": event.get("RequestId", ""),
        "LogicalResourceId": event.get("LogicalResourceId", ""),
        "Data": {"Said": said},
    }
    url = str(event.get("ResponseURL"))
    if not url.startswith(("https://", "http://")):
        raise InvalidInput(f"ResponseURL {url!r:.200} is not a web address: this is no request of CloudFormation")
    data = json.dumps(body, ensure_ascii=False).encode()
    # Without a content type: the URL is signed for none.
    request = urllib.request.Request(url, data=data, method="PUT", headers={"content-type": ""})  # noqa: S310 - checked
    for attempt in range(_ATTEMPTS):
        try:
            with urllib.request.urlopen(request, timeout=10):  # noqa: S310
                break
        except (urllib.error.URLError, TimeoutError):
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE * 2**attempt)
    return body


def _fitting(said: str) -> str:
    """Cut to what an answer has room for, without what no JSON of UTF-8 can hold."""
    said = said.encode(errors="replace")[:_MOST_SAID].decode(errors="ignore")
    while len(json.dumps(said, ensure_ascii=False).encode()) > _MOST_SAID:
        said = said[: len(said) * 3 // 4]
    return said
