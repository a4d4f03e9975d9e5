"""ChatBedrockConverse and LangGraph over a version: tool calls and streaming are LangChain's own.

    version = client.prompt("support-agent", unit=user_id, variables={...})
    model = ChatBedrockConverse(**model(version))
    agent = create_agent(model, tools=tools(version, {"look_up": look_up}))
    with client.observe(version) as session:
        agent.invoke({"messages": [*messages(version), ...]}, {"callbacks": [Counting(session)]})

Without an agent: `model.bind_tools(version.tools, tool_choice=tool_choice(version))`. Needs langchain-core, and
langchain-aws for the model.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import BaseTool, StructuredTool

from . import settings, tool_specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from langchain_core.outputs import LLMResult

    from promptlane.client.session import Session
    from promptlane.client.version import VersionData

_INFERENCE = {"temperature": "temperature", "topP": "top_p", "maxTokens": "max_tokens"}
_INFERENCE |= {"stopSequences": "stop_sequences"}


def model(version: VersionData) -> dict[str, Any]:
    """ChatBedrockConverse's arguments. The system text goes with the model, before any of an agent's own.

    It wants a provider beside an ARN: of a foundation model's it is told, of a profile's give it yourself.
    """
    fields = {"additional_model_request_fields": version.additional_fields} if version.additional_fields else {}
    _, found, named = version.model_id.partition(":foundation-model/")
    return {
        "model": version.model_id,
        **({"provider": named.partition(".")[0]} if found else {}),
        **settings(version.inference, _INFERENCE),
        **({"system": deepcopy(version.system)} if version.system else {}),
        **fields,
        **({"guardrail_config": version.guardrail} if version.guardrail else {}),
        "request_metadata": version.metadata,
    }


def messages(version: VersionData) -> list[BaseMessage]:
    """The version's messages, with their cache points."""
    kinds: dict[str, type[BaseMessage]] = {"user": HumanMessage, "assistant": AIMessage}
    return [kinds[message["role"]](content=_content(message["content"])) for message in version.messages]


def tool_choice(version: VersionData) -> str | None:
    """As bind_tools takes it: auto, any, or a tool's name; None where the version says nothing."""
    choice = version.tool_choice
    if not choice:
        return None
    return str(choice["tool"]["name"]) if "tool" in choice else next(iter(choice))


def tools(version: VersionData, functions: Mapping[str, Callable[..., Any]]) -> list[BaseTool]:
    """The functions by the name of the version's tools, described as was approved."""
    return [
        StructuredTool(
            name=spec["name"],
            description=spec.get("description", ""),
            args_schema=spec["inputSchema"]["json"],
            func=functions[spec["name"]],
        )
        for spec in tool_specs(version, functions)
    ]


class Counting(BaseCallbackHandler):
    """Notes every answer of the model in a session, streamed or whole."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        for generation in (one for several in response.generations for one in several):
            message = getattr(generation, "message", None)
            if isinstance(message, AIMessage):
                self._session.add(answer(message))


def answer(message: AIMessage) -> dict[str, Any]:
    """An AIMessage of ChatBedrockConverse as Session.add takes it."""
    text = message.content if isinstance(message.content, str) else _text(message.content)
    content: list[dict[str, Any]] = [{"text": text}] if text else []
    content += [{"toolUse": {"toolUseId": call["id"], "name": call["name"]}} for call in message.tool_calls]
    usage, told = message.usage_metadata, message.response_metadata
    tokens: dict[str, Any] = {}
    if usage:
        details: Mapping[str, Any] = usage.get("input_token_details") or {}
        read, written = details.get("cache_read") or 0, details.get("cache_creation") or 0
        tokens = {
            "inputTokens": usage["input_tokens"] - read - written,  # LangChain counts the cached ones in
            "outputTokens": usage["output_tokens"],
            **({"cacheReadInputTokens": read, "cacheWriteInputTokens": written} if read or written else {}),
        }
    reason = told.get("stopReason") or told.get("stop_reason")
    return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason, "usage": tokens}


def _content(blocks: Iterable[Mapping[str, Any]]) -> list[str | dict[str, Any]]:
    return [{"type": "text", "text": block["text"]} if "text" in block else dict(block) for block in blocks]


def _text(parts: Iterable[str | dict[str, Any]]) -> str:
    return "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts)
