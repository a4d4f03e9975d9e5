"""Receipts: what an answer hands out so that feedback on it can be counted against the version that gave it.

    <payload>.<signature>    both base64url without padding
    payload    JSON [1, prompt, version, track, release id, group, start in ms, 16 random hex digits]
    signature  first 16 bytes of HMAC-SHA256(key, payload text)

Signed with the newest key and verified with any, so a key can be rotated. Made and checked without any call.
"""

from __future__ import annotations

import hmac
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import NamedTuple

from .errors import InvalidReceipt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .decision import Decision

MAX_AGE = 13 * 86_400.0
"""CloudWatch takes data points of the last two weeks; older feedback could not be counted."""
_SCHEMA = 1
_AHEAD = 300.0


class Receipt(NamedTuple):
    """Whom an answer came from. `group` is empty unless the split was watched; `started_at` is epoch seconds."""

    prompt: str
    version: int
    track: str
    release_id: str
    group: str
    started_at: float
    id: str


def keys_of(text: str) -> tuple[bytes, ...]:
    """The keys in a configured text: one, or several parted by blanks, oldest first."""
    return tuple(key.encode() for key in text.split())


def sign(keys: Sequence[bytes], by: Decision, *, group: str, started_at: float) -> str:
    """A receipt for an answer by this decision's version, signed with the last of the keys."""
    answered = [by.prompt, by.version, by.track, by.release_id, group, round(started_at * 1000)]
    fields = [_SCHEMA, *answered, os.urandom(8).hex()]
    payload = _encode(json.dumps(fields, separators=(",", ":")).encode())
    return f"{payload}.{_encode(_mac(keys[-1], payload))}"


def verify(keys: Sequence[bytes], receipt: str, *, now: float) -> Receipt:
    """What the receipt says; InvalidReceipt when it was not signed by one of the keys, is damaged, or too old."""
    if not isinstance(receipt, str) or len(receipt) > 1024 or not receipt.isascii():
        raise InvalidReceipt("that is no receipt; pass on the `receipt` of an answer as it was given")
    payload, _, signature = receipt.partition(".")
    try:
        given = _decode(signature)
    except (ValueError, NotBase64):
        given = b""
    if not any(hmac.compare_digest(given, _mac(key, payload)) for key in keys):
        raise InvalidReceipt("the receipt's signature is not ours; pass on the `receipt` of an answer unchanged")
    _, prompt, version, track, release_id, group, started_ms, nonce = json.loads(_decode(payload))
    started_at = started_ms / 1000
    if not now - MAX_AGE <= started_at <= now + _AHEAD:
        raise InvalidReceipt(f"the receipt is older than {MAX_AGE / 86_400:g} days; its feedback can count no more")
    return Receipt(prompt, version, track, release_id, group, started_at, f"{prompt}/{nonce}")


def _mac(key: bytes, payload: str) -> bytes:
    return hmac.digest(key, payload.encode(), "sha256")[:16]


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
