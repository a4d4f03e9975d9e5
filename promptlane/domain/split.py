"""The split: which units see the canary. docs/split.md describes it for other languages, with test vectors.

    x       = CRC-32 of utf8(unit)                                one number per unit, the same for every prompt
    k1, k2  = first and second 8 bytes of BLAKE2s-256(utf8(salt)), big endian, each shifted right by 4;
              the lowest bit of k1 is set
    y       = x k1 mod (2^61 - 1)                                 pairwise independent between units and between salts
    mixed   = two rounds of XXH64 over y, k2                      not linear in x any more
    number  = mixed with its highest bit flipped                  64 bits
    bucket  = floor(highest 32 bits of number x 10000 / 2^32)     in [0, 10000)
    group   = the next 4 bits                                     independent of the bucket

The salt is new for each release, so buckets are independent between prompts and between releases. A weight is a number
of buckets from the bottom, a holdback a number of buckets from the top: growing either never takes a unit out again.

CPython hashes the tuple (x k1, k2) by exactly these steps, in one call that costs less than making any hashlib object
(docs/adr/ says more). Where an interpreter does not, the same is computed in Python.
"""

from __future__ import annotations

from hashlib import blake2s
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

BUCKETS: Final = 10_000
GROUPS: Final = 16
MAX_UNIT_BYTES: Final = 1024

_MODULUS: Final = (1 << 61) - 1
_P1: Final = 11400714785074694791
_P2: Final = 14029467366897019727
_P5: Final = 2870177450012600261
_ALL: Final = (1 << 64) - 1
_HALF: Final = 1 << 63


def _rounds(lanes: tuple[int, int]) -> int:
    """The two rounds and the closing constant, as a signed 64-bit number."""
    acc = _P5
    for lane in lanes:
        acc = acc + lane % _MODULUS * _P2 & _ALL
        acc = ((acc << 31 | acc >> 33) & _ALL) * _P1 & _ALL
    acc = acc + (2 ^ _P5 ^ 3527539) & _ALL
    if acc == _ALL:
        acc = 1546275796
    return acc - (1 << 64) if acc >= _HALF else acc


_PROBES: Final = ((0, 0), (1, 2), ((1 << 92) - 12345, (1 << 60) - 1), (0x0FEDCBA987654321 * 0xDEADBEEF, 7))

mix: Callable[[tuple[int, int]], int] = hash if all(hash(p) == _rounds(p) for p in _PROBES) else _rounds
"""A signed 64-bit number of (x k1, k2): `number` minus 2^63."""


def keys(salt: str) -> tuple[int, int]:
    """The two keys of a salt, each below 2^60; the first is odd, so that it is never 0."""
    digest = blake2s(salt.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 4 | 1, int.from_bytes(digest[8:16], "big") >> 4


def number(salt: str, unit: str) -> int:
    """The unit's 64-bit number under a salt."""
    k1, k2 = keys(salt)
    return mix((crc32(unit.encode()) * k1, k2)) + _HALF


def bucket(salt: str, unit: str) -> int:
    """The unit's bucket, 0 to 9999, uniform and independent between salts."""
    return (number(salt, unit) >> 32) * BUCKETS >> 32


def group(salt: str, unit: str) -> str:
    """The unit's group, "0" to "15": by it the judge tells what one unit did, and how correlated requests are."""
    return str(number(salt, unit) >> 28 & GROUPS - 1)


def half(group: str) -> str:
    """The half of the groups that a group is in, "0" or "1": the fuse wants harm in both, and a unit is in one."""
    return str(int(group) // (GROUPS // 2))


def below(buckets: int) -> int:
    """The signed number t such that `mix(...) < t` exactly when the bucket is below `buckets` (0 to 10000)."""
    return (-(-(buckets << 32) // BUCKETS) << 32) - _HALF


def track(salt: str, unit: str, *, phase: str, weight: int = 0, holdback: int = 0) -> str:
    """ "stable", "canary" or "holdback" for a unit; `phase` is the route's, weight and holdback are basis points."""
    if phase == "canary" and bucket(salt, unit) < weight:
        return "canary"
    if phase == "watch" and bucket(salt, unit) >= BUCKETS - holdback:
        return "holdback"
    return "stable"
