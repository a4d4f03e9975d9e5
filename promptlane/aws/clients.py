"""boto3 clients, built once per process, with timeouts that suit a control plane.

boto3 is loaded with the first of them: the rollback writes the route before it needs one.
"""

from __future__ import annotations

import random
import threading
from functools import cache
from typing import Any, Final

from .error_codes import AGAIN

_TRIES: Final = 4
_MAKING = threading.RLock()
"""boto3's own session makes one client at a time; made, they are used by several threads."""


@cache
def client(service: str) -> Any:
    """The client of a service in the Region and with the credentials of the environment."""
    import boto3

    patient = service == "bedrock-runtime"
    with _MAKING:
        return persistent(boto3.client(service, config=_config(65, 2) if patient else _config(10, _TRIES)))


@cache
def resource(service: str) -> Any:
    """The resource of a service; used for DynamoDB, whose resource reads and writes plain values."""
    import boto3

    with _MAKING:
        made = boto3.resource(service, config=_config(10, _TRIES))
        persistent(made.meta.client)
        return made


def _config(read_timeout: float, tries: int) -> Any:
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": tries}
    return Config(connect_timeout=2, read_timeout=read_timeout, retries=retries)


def persistent(made: Any) -> Any:
    """The same client, which also tries again what the SDK does not though nothing was done (`AGAIN`)."""
    made.meta.events.register("needs-retry", _delay, unique_id="promptlane-again")
    return made


def _delay(response: Any, attempts: int, **_: Any) -> float | None:
    """Seconds until the next try; None leaves it to botocore's own rules."""
    parsed = response[1] if response else {}
    if attempts < _TRIES and (parsed.get("Error") or {}).get("Code") in AGAIN:
        return random.uniform(0, 0.05 * 2**attempts)
    return None
