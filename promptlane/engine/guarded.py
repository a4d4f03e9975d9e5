"""What only a version with a guardrail can be asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .assertions import KINDS

NO_GUARDRAIL: Final = (
    "asks whether a guardrail intervened, and the prompt has none, so every answer would look alike; give it one "
    "(guardrail: {name: ...}, or {id: ..., version: ...}, in prompt.yaml), or leave the assertion out"
)


def unguarded(kinds: Iterable[str]) -> list[str]:
    """Why each of these assertion types that needs a guardrail says nothing of a version without."""
    return sorted(f"{kind} {NO_GUARDRAIL}" for kind in kinds if KINDS[kind].guarded)
