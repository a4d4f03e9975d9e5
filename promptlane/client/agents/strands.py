"""Strands Agents over a version.

version = client.prompt("support-agent", unit=user_id, variables={...})
own = tools(version, {"look_up": look_up}, strands.tool)
agent = Agent(BedrockModel(**model(version)), tools=own, **agent_of(version))
with client.observe(version) as session:
    result = agent(question)  # or agent(), where the version's own messages end with the user's
    session.add(answer(result))
"""

from __future__ import annotations

from copy import deepcopy

from . import settings, tool_specs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from promptlane.client.version import VersionData

_INFERENCE = {"temperature": "temperature", "topP": "top_p", "maxTokens": "max_tokens"}
_INFERENCE |= {"stopSequences": "stop_sequences"}
_GUARDRAIL = {"guardrailIdentifier": "guardrail_id", "guardrailVersion": "guardrail_version"}


def model(version: VersionData) -> dict[str, Any]:
    """BedrockModel's arguments."""
    fields = {"additional_request_fields": version.additional_fields} if version.additional_fields else {}
    return {
        "model_id": version.model_id,
        **settings(version.inference, _INFERENCE),
        **settings(version.guardrail or {}, _GUARDRAIL),
        **fields,
        "additional_args": {"requestMetadata": version.metadata},
    }


def agent_of(version: VersionData) -> dict[str, Any]:
    """Agent's arguments: the system text with its cache points, and the version's messages, into which it writes."""
    given = {"system_prompt": version.system, "messages": version.messages}
    return {name: deepcopy(value) for name, value in given.items() if value}


def tools(version: VersionData, functions: Mapping[str, Callable[..., Any]], tool: Callable[..., Any]) -> list[Any]:
    """The functions by the name of the version's tools, described as was approved. `tool` is Strands' own decorator."""
    return [
        tool(**settings(spec, {name: name for name in ("name", "description", "inputSchema")}))(functions[spec["name"]])
        for spec in tool_specs(version, functions)
    ]


def answer(result: Any) -> dict[str, Any]:
    """An AgentResult as Session.add takes it: how it ended, with the tokens of all calls of this invocation."""
    metrics = result.metrics
    invocation = getattr(metrics, "latest_agent_invocation", None)
    usage = invocation.usage if invocation is not None else metrics.accumulated_usage
    return {"output": {"message": result.message}, "stopReason": str(result.stop_reason), "usage": dict(usage)}
