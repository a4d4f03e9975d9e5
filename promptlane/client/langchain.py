"""A LangChain runnable that answers with the version a unit gets: shielded, counted, and with a receipt.

    assistant = PromptRunnable(PromptClient(), "support-assistant")
    message = assistant.invoke({"question": "..."}, {"configurable": {"unit": user_id}})

The input is the prompt's variables; the output an AIMessage whose `response_metadata` has version, track and receipt.
Needs `pip install promptlane[langchain]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig

from promptlane.domain.usage import usage_of

from .errors import InvalidUnit

if TYPE_CHECKING:
    from .sync import PromptClient


class PromptRunnable(Runnable[dict[str, str], AIMessage]):
    """Composes with `|` like any runnable. The unit is `configurable.unit` of the config, or `unit` given here."""

    def __init__(self, client: PromptClient, prompt: str, *, unit: str | None = None) -> None:
        self._client = client
        self._prompt = prompt
        self._unit = unit

    def invoke(self, input: dict[str, str], config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        unit = ((config or {}).get("configurable") or {}).get("unit") or self._unit
        if not unit:
            raise InvalidUnit('no unit: pass config={"configurable": {"unit": user_id}}, or unit=... to PromptRunnable')
        answer = self._client.converse(self._prompt, unit=unit, variables=input)
        told = answer.response.get("usage") or {}
        usage = usage_of(told)
        details = {"cache_read": usage.cache_read_tokens, "cache_creation": usage.cache_write_tokens}
        return AIMessage(
            content=answer.text,
            response_metadata={
                "prompt": self._prompt,
                "version": answer.version,
                "version_arn": answer.decision.version_arn,
                "track": answer.track,
                "receipt": answer.receipt,
                "stop_reason": answer.stop_reason,
            },
            usage_metadata={
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "total_tokens": int(told.get("totalTokens", 0)),
                **({"input_token_details": details} if usage.cached else {}),
            },
        )
