"""Tokens of one answer, as Converse counts them.

Bedrock's `inputTokens` leaves out what was read from the prompt cache and what was written to it. Imports nothing: a
client's start counts.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Usage(NamedTuple):
    """`input_tokens`: all that the model was sent, of which so many came from the cache and went to it.

    So it is the same number for a warm cache and a cold one, which is how versions are compared: a canary with little
    traffic meets a colder cache than the stable version, and that is no property of its prompt.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def cached(self) -> bool:
        """Whether the prompt cache was in use."""
        return bool(self.cache_read_tokens or self.cache_write_tokens)


def usage_of(usage: Mapping[str, Any] | None) -> Usage:
    """Of Converse's `usage`; what it does not tell is 0."""
    usage = usage or {}
    read, written = (_count(usage.get(name)) for name in ("cacheReadInputTokens", "cacheWriteInputTokens"))
    fresh = _count(usage.get("inputTokens"))
    return Usage(fresh + read + written, _count(usage.get("outputTokens")), read, written)


def _count(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else 0
