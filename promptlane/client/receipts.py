"""Receipts: what an answer hands out so that feedback on it can be counted against the version that gave it.

    receipt   base64url without padding of: head, nonce, sealed facts
    head      format (1 byte), kind of key (1), the prompt's id (10), day of the key since 1970 (2), length of the
              key's name (2), the key's name
    nonce     12 random bytes
    sealed    AES-256-GCM of the facts, with the head and the prompt's name as additional data
    facts     JSON [version, track, release id, group, start in ms, the unit's mark], filled up with blanks to 144 bytes

Whoever holds a receipt, such as a browser, learns the prompt's id and the day, and not which version or track answered:
all receipts of one kind of key are of one length. The head names one key, so none is tried after another, and a key
belongs to one prompt and one day (receipt_keys.py).
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import blake2s
from typing import NamedTuple

from .errors import InvalidReceipt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .decision import Decision

DAY = 86_400
MAX_AGE = 13.0 * DAY
"""CloudWatch takes data points of the last two weeks; what came of older answers could not be counted."""
FRESH = 2.0 * DAY
"""How long feedback counts on an answer: hoarded receipts are no voters."""
WINDOW = 3600.0
"""Seconds of answers on which one unit's feedback counts once."""
FORMAT = 3
MAX_LENGTH = 2048
_FACTS = 144
_NONCE = 12
_TAG = 16
_FIXED = 16
_AHEAD = 300.0
_EARLY, _LATE = 3600.0, 2.0 * DAY
"""How long before and after the begin of its day a key may have sealed: requests may begin before it is there, and the
last one is used while the next cannot be had."""
_ALTERED = "the receipt is not ours, or was altered; pass on the `receipt` of an answer unchanged"
_NONE = "that is no receipt; pass on the `receipt` of an answer as it was given"


class Receipt(NamedTuple):
    """Whom an answer came from. `group` is empty unless the split was watched; `started_at` is epoch seconds.

    `unit` is the unit's mark under the route's salt: the same for all its answers of one release, and no id.
    """

    prompt: str
    version: int
    track: str
    release_id: str
    group: str
    started_at: float
    id: str
    unit: str = ""

    @property
    def voice(self) -> str:
        """What its feedback counts once for: this unit, on answers that began in one window."""
        return f"{self.prompt}/{self.unit}/{int(self.started_at // WINDOW)}"


class Head(NamedTuple):
    """What a receipt says openly; `key` names the key, in the way of its kind."""

    kind: int
    prompt_id: str
    day: int
    key: bytes

    def encoded(self) -> bytes:
        numbers = self.day.to_bytes(2, "big") + len(self.key).to_bytes(2, "big")
        return bytes((FORMAT, self.kind)) + self.prompt_id.encode("ascii") + numbers + self.key


class Key(NamedTuple):
    """A key of one prompt and day. `cipher` is an AESGCM of the package `cryptography`."""

    kind: int
    day: int
    name: bytes
    cipher: Any


def prompt_id_of(version_arn: str) -> str:
    """The prompt's id in the ARN of a version; "" where there is none of Bedrock's shape."""
    found = version_arn.rpartition("prompt/")[2].partition(":")[0]
    return found if len(found) == 10 and found.isalnum() and found.isascii() else ""


def mark(salt: str, unit: str) -> str:
    """A keyed hash of the unit, 64 bits: who holds it and not the salt learns nothing of the unit."""
    key = blake2s(salt.encode(), person=b"feedback").digest()
    return blake2s(unit.encode(), key=key, digest_size=8).hexdigest()


def seal(key: Key, by: Decision, *, group: str, started_at: float, unit: str = "") -> str:
    """A receipt for an answer by this decision's version; "" where its facts have no room, as Bedrock's always have."""
    prompt_id = prompt_id_of(by.version_arn)
    facts = [by.version, by.track, by.release_id, group, round(started_at * 1000), unit]
    text = _filled(json.dumps(facts, separators=(",", ":")).encode())
    if len(text) > _FACTS or not prompt_id:
        return ""
    head = Head(key.kind, prompt_id, key.day, key.name).encoded()
    nonce = os.urandom(_NONCE)
    sealed = key.cipher.encrypt(nonce, text, head + by.prompt.encode())
    return urlsafe_b64encode(head + nonce + sealed).rstrip(b"=").decode()


def head_of(receipt: str, *, now: float) -> Head:
    """What a receipt says openly, to find its key by; nothing of it is proved. InvalidReceipt where it is none."""
    if not isinstance(receipt, str) or len(receipt) > MAX_LENGTH or not receipt.isascii():
        raise InvalidReceipt(_NONE)
    if "." in receipt:
        raise InvalidReceipt(
            "the receipt is of the format before 0.2, which is not taken any more: its key was one for all prompts, "
            "known to every application"
        )
    try:
        data = _decoded(receipt)
        prompt_id = data[2:12].decode("ascii")
    except (ValueError, NotBase64):
        raise InvalidReceipt(_NONE) from None
    if data[:1] != bytes((FORMAT,)) or len(data) < _FIXED or not prompt_id.isalnum():
        raise InvalidReceipt(_NONE)
    day, length = int.from_bytes(data[12:14], "big"), int.from_bytes(data[14:16], "big")
    if len(data) != _FIXED + length + _NONCE + _FACTS + _TAG:
        raise InvalidReceipt(_NONE)
    if not now - MAX_AGE - _LATE <= day * DAY <= now + _AHEAD + _EARLY:
        raise InvalidReceipt(_too_old())
    return Head(data[1], prompt_id, day, data[_FIXED : _FIXED + length])


def unseal(receipt: str, head: Head, key: Key, prompt: str, *, now: float) -> Receipt:
    """What the receipt says, its head having led to this prompt's key; InvalidReceipt when it was not sealed by it."""
    from cryptography.exceptions import InvalidTag

    rest = _decoded(receipt)[_FIXED + len(head.key) :]
    try:
        text = key.cipher.decrypt(rest[:_NONCE], rest[_NONCE:], head.encoded() + prompt.encode())
    except InvalidTag:
        raise InvalidReceipt(_ALTERED) from None
    version, track, release_id, group, started_ms, unit = json.loads(text)
    started_at = started_ms / 1000
    if not now - MAX_AGE <= started_at <= now + _AHEAD:
        raise InvalidReceipt(_too_old())
    if not head.day * DAY - _EARLY <= started_at < head.day * DAY + _LATE:
        raise InvalidReceipt(f"{_ALTERED} (its key is of another day)")
    return Receipt(prompt, version, track, release_id, group, started_at, f"{prompt}/{rest[:_NONCE].hex()}", unit)


def check_fresh(receipt: Receipt, *, now: float) -> None:
    """InvalidReceipt where the answer is too old for feedback."""
    if now - receipt.started_at > FRESH:
        raise InvalidReceipt(f"the answer is older than {FRESH / DAY:g} days; feedback on it counts no more")


def _filled(text: bytes) -> bytes:
    """The facts at the length of all facts, so that no receipt's length tells anything of them."""
    return text.ljust(_FACTS)


def _too_old() -> str:
    return f"the receipt is older than {MAX_AGE / DAY:g} days; its feedback can count no more"


def _decoded(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
