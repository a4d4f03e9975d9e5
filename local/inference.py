"""What a model is asked and what it answers: the terms between the embedded Bedrock and whoever answers for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelRequest:
    """One rendered call: what a model sees after Bedrock has filled in the variables."""

    model_id: str
    system: str
    messages: list[dict[str, str]]
    """`{"role": "user" | "assistant", "text": …}`, oldest first."""
    temperature: float | None = None
    max_tokens: int | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    top_p: float | None = None
    stop: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ModelAnswer:
    """What the model said, or the Bedrock error that the call shall end with.

    `latency_ms` is waited for before answering (0: at once). `error` is a Bedrock error code such as
    ThrottlingException, ModelErrorException or ModelTimeoutException; `text` is then its message.
    `tool_uses` are Converse toolUse blocks: `{"toolUseId", "name", "input"}`.
    """

    text: str
    stop_reason: str = "end_turn"
    input_tokens: int = 0
    output_tokens: int = 0
    latency_ms: int = 0
    error: str | None = None
    tool_uses: list[dict[str, Any]] = field(default_factory=list)
