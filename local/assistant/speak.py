"""One call to the assistant: read the prompt, answer, apply what the inference settings ask for."""

from __future__ import annotations

import hashlib
import os
from random import Random
from typing import Any

from local.inference import ModelAnswer, ModelRequest

from . import support, triage
from .reading import Rendered, read, stems

CHARACTERS_PER_TOKEN = 4


def answer(request: ModelRequest) -> ModelAnswer:
    """Answer one rendered prompt. Deterministic: everything random is drawn from the text itself."""
    prompt = read(request.system, request.messages)
    text = "\n".join([request.system, *(m["text"] for m in request.messages)])
    luck = Random(hashlib.sha256(text.encode()).digest())
    latency = _latency(prompt, luck)
    if luck.random() < _setting(prompt, "error_rate"):
        return ModelAnswer("The model is overloaded.", latency_ms=latency, error="ModelErrorException")
    wording = luck if (request.temperature is None or request.temperature > 0) else Random(0)
    if call := _tool_call(request, prompt):
        return ModelAnswer("", stop_reason="tool_use", latency_ms=latency, tool_uses=[call])
    said = triage.reply(prompt) if triage.wanted(prompt) else support.reply(prompt, wording)
    said, stop_reason = _cut(said, request)
    return ModelAnswer(
        said,
        stop_reason=stop_reason,
        input_tokens=_tokens(text),
        output_tokens=_tokens(said),
        latency_ms=latency,
    )


def _cut(said: str, request: ModelRequest) -> tuple[str, str]:
    for stop in request.stop:
        if stop and stop in said:
            return said[: said.index(stop)], "stop_sequence"
    if request.max_tokens is not None and _tokens(said) > request.max_tokens:
        return said[: request.max_tokens * CHARACTERS_PER_TOKEN], "max_tokens"
    return said, "end_turn"


def _tokens(text: str) -> int:
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))


def _latency(prompt: Rendered, luck: Random) -> int:
    """Milliseconds: the median that was asked for, times between two thirds and one and a half."""
    spread: float = 1.5 ** luck.uniform(-1, 1)
    return round(_setting(prompt, "latency_ms") * spread)


def _setting(prompt: Rendered, name: str) -> float:
    return prompt.settings.get(name, float(os.environ.get(f"PROMPTLANE_ASSISTANT_{name.upper()}", "0")))


def _tool_call(request: ModelRequest, prompt: Rendered) -> dict[str, Any] | None:
    """Call the tool whose description shares most words with the question, with the numbers that stand in it."""
    words = set(stems(prompt.question))
    best: tuple[int, dict[str, Any]] | None = None
    for tool in request.tools:
        spec = tool.get("toolSpec", {})
        shared = len(words & set(stems(f"{spec.get('name', '').replace('_', ' ')} {spec.get('description', '')}")))
        if shared >= 2 and (best is None or shared > best[0]):
            best = (shared, spec)
    if best is None:
        return None
    schema = (best[1].get("inputSchema") or {}).get("json") or {}
    numbers = [word for word in words if word.isdigit()]
    given = {}
    for name, kind in (schema.get("properties") or {}).items():
        if kind.get("type") in ("string", "integer", "number") and numbers:
            given[name] = numbers[0] if kind["type"] == "string" else int(numbers[0])
    if not set(schema.get("required") or []) <= set(given):
        return None
    identity = hashlib.sha256(f"{best[1].get('name')}{given}".encode()).hexdigest()[:20]
    return {"toolUseId": f"tooluse_{identity}", "name": best[1].get("name", ""), "input": given}
