"""LiteLLM over a version, by Bedrock's Converse.

    version = client.prompt("support-agent", unit=user_id, variables={...})
    with client.observe(version) as session:
        response = litellm.completion(**completion(version))
        session.add(answer(response))

Messages and tools of your own follow: `arguments["messages"] += [...]`. Of a stream, hand over what
`litellm.stream_chunk_builder` makes of its chunks.
"""

from __future__ import annotations

from . import settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from promptlane.client.version import VersionData

_INFERENCE = {"temperature": "temperature", "topP": "top_p", "maxTokens": "max_tokens", "stopSequences": "stop"}
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}


def completion(version: VersionData) -> dict[str, Any]:
    """The arguments of completion() and acompletion()."""
    system = [{"role": "system", "content": _parts(version.system)}] if version.system else []
    said = [{"role": message["role"], "content": _parts(message["content"])} for message in version.messages]
    tools = [_tool(tool["toolSpec"]) for tool in version.tools if "toolSpec" in tool]
    if tools and "cachePoint" in version.tools[-1]:
        tools[-1]["cache_control"] = _CACHED
    choice = {"tool_choice": _choice(version.tool_choice)} if version.tool_choice else {}
    return {
        "model": f"bedrock/converse/{version.model_id}",
        "messages": [*system, *said],
        **settings(version.inference, _INFERENCE),
        **({"tools": tools, **choice} if tools else {}),
        **({"guardrailConfig": version.guardrail} if version.guardrail else {}),
        "requestMetadata": version.metadata,
        **version.additional_fields,
    }


def answer(response: Any) -> dict[str, Any]:
    """A ModelResponse as Session.add takes it."""
    choice = response.choices[0]
    message, usage = choice.message, getattr(response, "usage", None)
    text, calls = message.content or "", getattr(message, "tool_calls", None) or ()
    content: list[dict[str, Any]] = [{"text": text}] if text else []
    content += [{"toolUse": {"toolUseId": call.id, "name": call.function.name}} for call in calls]
    tokens = {} if usage is None else {"inputTokens": usage.prompt_tokens, "outputTokens": usage.completion_tokens}
    reason = str(choice.finish_reason)
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _STOPS.get(reason, reason),
        "usage": tokens,
    }


_CACHED = {"type": "ephemeral"}
"""Which LiteLLM turns into a cache point behind the part."""


def _parts(blocks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if "text" in block:
            parts.append({"type": "text", "text": block["text"]})
        elif "cachePoint" in block and parts:
            parts[-1]["cache_control"] = _CACHED
    return parts


def _tool(spec: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": spec["name"], "parameters": spec["inputSchema"]["json"]}
    return {"type": "function", "function": {**function, **settings(spec, {"description": "description"})}}


def _choice(choice: Mapping[str, Any]) -> Any:
    if "tool" in choice:
        return {"type": "function", "function": {"name": choice["tool"]["name"]}}
    return "required" if "any" in choice else "auto"
