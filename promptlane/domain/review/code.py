"""The short code that a reviewer types: of one reviewer and one round, and in that reviewer's emails only.

It is made by the review key, which never leaves KMS, from a random seed; so a repeated email carries the same code,
though nothing that is stored tells it. What is stored beside the seed is the key's signature over the code itself:
whoever reads it can try codes only with that key, and only `review` may ask the key whether one is right.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Json = Any
LENGTH: Final = 8
"""Letters and digits of base 32: 40 bits. How many guesses a round allows: `promptlane.domain.review.guesses`."""
_LOOK_ALIKE: Final = str.maketrans("018", "OIB")


@dataclass(frozen=True, slots=True)
class Seal:
    """What is stored of a code. `seed` is random; `verifier` are 32 bytes, in hexadecimal like it."""

    seed: str
    verifier: str

    def to_dict(self) -> dict[str, Json]:
        return {"seed": self.seed, "verifier": self.verifier}

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> Seal:
        return cls(str(data["seed"]), str(data["verifier"]))


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose code it is."""

    release_id: str
    round: int
    reviewer: str

    def seal(self, seed: str, sign: Callable[[bytes], bytes]) -> Seal:
        """The seal of the code that a random seed makes."""
        return Seal(seed, sign(self.claim(self.code(seed, sign))).hex())

    def code(self, seed: str, sign: Callable[[bytes], bytes]) -> str:
        """The code that a seed makes."""
        return base64.b32encode(sign(self._message("promptlane review code 1", seed))).decode()[:LENGTH]

    def claim(self, code: str) -> bytes:
        """What the verifier is the signature of. The first line keeps it from meaning anything else."""
        return self._message("promptlane review code check 1", code)

    def _message(self, purpose: str, last: str) -> bytes:
        return "\n".join((purpose, self.release_id, str(self.round), self.reviewer, last)).encode()


def as_typed(text: str) -> str:
    """A code as its owner meant it: case, spaces, dashes and look-alike digits are forgiven; "" for what is none."""
    kept = "".join(c for c in text[:100].upper() if c.isascii() and c.isalnum()).translate(_LOOK_ALIKE)
    return kept if len(kept) == LENGTH and "9" not in kept else ""


def in_print(code: str) -> str:
    """The short code as people read it: two groups of four."""
    return f"{code[:4]}-{code[4:]}"
