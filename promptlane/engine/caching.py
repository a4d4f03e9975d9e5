"""Prompt caching: whether a version asks for it, and what that does to a comparison of canary and stable.

Bedrock keeps what stands before a cache point for some minutes. A version with few requests an hour meets a cold
cache where one with all the traffic meets a warm one, and answers more slowly, whatever its prompt says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from promptlane.domain.metrics import SLOW
from promptlane.domain.policy import Policy

Json = Any


def has_cache_point(variant: Mapping[str, Json]) -> bool:
    """Whether a variant has a cache point, in its text, system, messages or tools."""
    config = variant.get("templateConfiguration") or {}
    text, chat = config.get("text") or {}, config.get("chat") or {}
    blocks = [text, *(chat.get("system") or ()), *((chat.get("toolConfiguration") or {}).get("tools") or ())]
    blocks += [block for message in chat.get("messages") or () for block in message.get("content") or ()]
    return any(isinstance(block, Mapping) and block.get("cachePoint") for block in blocks)


def cold_cache(policy: Policy, variants: Iterable[Mapping[str, Json]]) -> list[str]:
    """What to tell whoever watches slow answers of a prompt that is cached, at synth and in the tests' output."""
    guard = next((g for g in policy.canary.guard_metrics if g.metric == SLOW), None)
    if guard is None or not any(map(has_cache_point, variants)):
        return []
    least = min((step.weight for step in policy.canary.steps), default=0)
    effect = "hold or roll back" if guard.required else "roll back"
    return [
        f"the prompt has cache points, and canary.guard_metrics watches slow answers: at {least / 100:g}% of the "
        "traffic the canary's cache is colder than stable's, so it answers more slowly for no fault of its prompt, and "
        f"the judge may {effect} for it; begin with a larger step, widen the margin of `slow`, or leave it out (costs "
        "are compared as if nothing were cached)"
    ]
