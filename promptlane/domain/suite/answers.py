"""What a model is asked and answers in tests, and the ports through which it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Protocol

from promptlane.domain.errors import InvalidInput

Json = Any
_CACHED: Final = ("cache_read_tokens", "cache_write_tokens")
_APART: Final = ("later", "broken", "content", "tool_calls", "paid_usd", *_CACHED)


CALL_SECONDS: Final = 120.0
"""The longest that one call of a model may take."""


class CallRefused(InvalidInput):
    """The model's service refuses this request for good: trying again would not help. Says what to change."""


class ModelNotEnabled(CallRefused):
    """No request to this model can succeed: no access, or no such model or version."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model asked to be called; `id` is how its result refers to the call."""

    name: str
    input: Json
    id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `latency_ms` as the service measured it; `cost_usd` None where no price is known.

    `input_tokens` and `cost_usd` are those of an answer for which nothing was cached, so that versions compare alike;
    of the input so many tokens were read from the prompt cache and written to it; `paid_usd` is what it really cost.
    `content`: the blocks as the model gave them, while a conversation needs them. `later`: the answers to the turns
    after it. `broken`: why one of these could not be had.
    """

    text: str
    stop_reason: str = "end_turn"
    latency_ms: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    tool_calls: tuple[ToolCall, ...] = ()
    cost_usd: float | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    paid_usd: float | None = None
    later: tuple[Answer, ...] = ()
    broken: str = ""
    content: Sequence[Mapping[str, Json]] = field(default=(), compare=False, repr=False)

    def to_dict(self) -> dict[str, Json]:
        """What is kept of it: all but what is made anew (`paid_usd`) and what serves the run alone."""
        data: dict[str, Json] = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _APART}
        data["latency_ms"] = round(self.latency_ms, 1)
        data["tool_calls"] = [{"name": call.name, "input": call.input} for call in self.tool_calls]
        data |= {"later": [one.to_dict() for one in self.later]} if self.later else {}
        return data | {name: value for name in _CACHED if (value := getattr(self, name))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> Answer:
        return cls(
            text=str(data["text"]),
            stop_reason=str(data["stop_reason"]),
            latency_ms=float(data["latency_ms"]),
            input_tokens=int(data["input_tokens"]),
            output_tokens=int(data["output_tokens"]),
            tool_calls=tuple(ToolCall(t["name"], t["input"]) for t in data.get("tool_calls") or ()),
            cost_usd=None if data.get("cost_usd") is None else float(data["cost_usd"]),
            cache_read_tokens=int(data.get("cache_read_tokens") or 0),
            cache_write_tokens=int(data.get("cache_write_tokens") or 0),
            later=tuple(cls.from_dict(one) for one in data.get("later") or ()),
        )


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One Converse call: `model_id` (a model, a profile, or a prompt version's ARN) and the rest of the request."""

    model_id: str
    body: Mapping[str, Json] = field(default_factory=dict)


class Model(Protocol):
    """Where answers come from."""

    def answer(self, request: ModelRequest) -> Answer:
        """Ask once. Raises Throttled or Unavailable (worth trying again), CallRefused or ModelNotEnabled (not)."""


class Judge(Protocol):
    """A model that grades, at temperature 0."""

    def ask(self, system: str, user: str, schema: Mapping[str, Json]) -> Json:
        """What it answered, as data that should fit `schema` (not checked). Raises as Model does."""


class Embedder(Protocol):
    """A model that turns texts into vectors."""

    def embed(self, text: str) -> Sequence[float]:
        """Raises as Model does."""
