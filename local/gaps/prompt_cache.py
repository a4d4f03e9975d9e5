"""The prompt cache of the embedded Bedrock: what stands before a cache point is read again for five minutes.

Tokens are counted at four characters. A beginning that is too short for a model is sent as it is, as Bedrock says; what
is read or written is no part of `inputTokens`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

CHARACTERS_PER_TOKEN = 4
LEAST_TOKENS = 1_000
"""Models differ; Nova's least is the smallest of all."""
SECONDS = 300.0
_MOST = 10_000

_kept: dict[str, float] = {}
"""When what lies under a digest is forgotten."""


def usage(
    scope: str, rendered: dict[str, Any], input_tokens: int, *, clock: Callable[[], float] = time.monotonic
) -> dict[str, int]:
    """Converse's `usage` of the input: `inputTokens`, and of a prompt with cache points what was read and written.

    `scope`: what caches are not shared across: account, Region and model.
    """
    prefixes = list(_prefixes(rendered))
    if not prefixes:
        return {"inputTokens": input_tokens}
    now, read, longest = clock(), 0, 0
    for digest, size in prefixes:
        key = f"{scope}/{digest}"
        tokens = min(size // CHARACTERS_PER_TOKEN, input_tokens)
        if tokens < LEAST_TOKENS:
            continue
        longest = tokens
        if _kept.get(key, 0.0) > now:
            read = tokens
        _kept[key] = now + SECONDS
    while len(_kept) > _MOST:
        del _kept[next(iter(_kept))]
    return {
        "inputTokens": input_tokens - longest,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": longest - read,
    }


def _prefixes(rendered: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """(digest, characters) of what stands before each cache point: tools, then the system's text, then messages."""
    blocks: list[Any] = [*((rendered.get("toolConfig") or {}).get("tools") or ()), *(rendered.get("system") or ())]
    for message in rendered.get("messages") or ():
        blocks += [{"role": message["role"]}, *message["content"]]
    whole, size = hashlib.sha256(), 0
    for block in blocks:
        if "cachePoint" in block:
            yield whole.hexdigest(), size
        else:
            whole.update(json.dumps(block, sort_keys=True).encode())
            size += len(block["text"]) if "text" in block else len(json.dumps(block))
