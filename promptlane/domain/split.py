"""The split: which units see the canary. docs/split.md describes it for other languages, with test vectors.

    digest = BLAKE2s-256(utf8(salt) + 0x00 + utf8(unit))          (RFC 7693, no key, 32 bytes)
    bucket = floor(first 4 bytes, big endian, x 10000 / 2^32)     in [0, 10000)
    group  = fifth byte mod 8                                     independent of the bucket

The salt is new for each release, so buckets are independent between prompts and between releases. A weight is a number
of buckets from the bottom, a holdback a number of buckets from the top: growing either never takes a unit out again.
"""

from __future__ import annotations

from hashlib import blake2s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

BUCKETS: Final = 10_000
GROUPS: Final = 8
MAX_UNIT_BYTES: Final = 1024

_EVERY = b"\xff" * 33  # above every digest of 32 bytes


def hasher(salt: str) -> Callable[[], blake2s]:
    """A factory of hash objects that have taken in the salt already: the cheapest start for one unit's digest."""
    return blake2s(salt.encode() + b"\0").copy


def digest(salt: str, unit: str) -> bytes:
    """The 32 bytes that bucket and group are read from."""
    return blake2s(salt.encode() + b"\0" + unit.encode()).digest()


def bucket(salt: str, unit: str) -> int:
    """The unit's bucket, 0 to 9999, uniform and independent between salts."""
    return int.from_bytes(digest(salt, unit)[:4], "big") * BUCKETS >> 32


def group(salt: str, unit: str) -> str:
    """The unit's group, "0" to "7": eight random eighths of the units, used to estimate how correlated requests are."""
    return str(group_of(digest(salt, unit)))


def group_of(digest: bytes) -> int:
    """The group that a digest falls into."""
    return digest[4] % GROUPS


def below(buckets: int) -> bytes:
    """The bytes t such that `digest < t` exactly when its bucket is below `buckets` (0 to 10000).

    Comparing bytes decides without making a number of the digest.
    """
    if buckets >= BUCKETS:
        return _EVERY
    return (-(-(buckets << 32) // BUCKETS)).to_bytes(4, "big")


def track(salt: str, unit: str, *, phase: str, weight: int = 0, holdback: int = 0) -> str:
    """ "stable", "canary" or "holdback" for a unit; `phase` is the route's, weight and holdback are basis points."""
    if phase == "canary" and bucket(salt, unit) < weight:
        return "canary"
    if phase == "watch" and bucket(salt, unit) >= BUCKETS - holdback:
        return "holdback"
    return "stable"
