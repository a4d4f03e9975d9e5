"""What must hold of every answer where a file asserts nothing: promptfoo passes such a case whatever was answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Json = Any
USUAL_TOKENS: Final = 1_000
"""Output tokens of an answer that nobody would call long, where the prompt says nothing of its own."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What is known of the prompt: the longest answer that it allows, and whether a guardrail is applied to it."""

    max_tokens: int | None = None
    guardrail: bool = False

    def assertions(self) -> dict[str, Json]:
        """By name: answered, no refusal, no guardrail intervention, within the usual length."""
        most = USUAL_TOKENS if self.max_tokens is None else max(1, min(USUAL_TOKENS, self.max_tokens - 1))
        found: dict[str, Json] = {
            "answered": {"type": "regex", "value": r"\S", "metric": "answered"},
            "no-refusal": {"type": "not-is-refusal", "metric": "no refusal"},
            "usual-length": {"type": "output-tokens", "threshold": most, "metric": "usual length"},
        }
        if self.guardrail:
            found["no-intervention"] = {"type": "not-guardrail-intervened", "metric": "no guardrail intervention"}
        return found
