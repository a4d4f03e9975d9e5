"""Where the embedded Bedrock gets its answers: a real model behind PROMPTLANE_MODEL_URL, or the built-in assistant.

With PROMPTLANE_MODEL_URL set (an OpenAI-compatible base URL, for example http://127.0.0.1:8080/v1) every rendered
prompt is posted to `<url>/chat/completions`, from a pool of threads, so that a slow model never blocks the server.
Without it `local.assistant.answer` makes up a scripted answer that depends on the rendered text.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import urllib3

from local import assistant
from local.inference import ModelAnswer, ModelRequest

CALLS_AT_ONCE = 256


def url() -> str | None:
    return os.environ.get("PROMPTLANE_MODEL_URL", "").rstrip("/") or None


def source() -> str:
    """In words, for the start-up message and the health check: where answers come from."""
    return f"model at {url()}" if url() else "built-in scripted assistant"


async def answer(request: ModelRequest) -> ModelAnswer:
    """Ask the configured model. Never raises: a model that is down is an answer with `error` set."""
    base = url()
    if base is None:
        reply = assistant.answer(request)
    else:
        reply = await asyncio.get_running_loop().run_in_executor(_threads(), remote, base, request)
    return reply if reply.error else _counted(request, reply)


def _counted(request: ModelRequest, reply: ModelAnswer) -> ModelAnswer:
    """Fill in token counts that the model left out, at four characters a token."""
    if reply.input_tokens and reply.output_tokens:
        return reply
    sent = len(request.system) + sum(len(message["text"]) for message in request.messages)
    return ModelAnswer(
        text=reply.text,
        stop_reason=reply.stop_reason,
        input_tokens=reply.input_tokens or max(1, sent // 4),
        output_tokens=reply.output_tokens or max(1, len(reply.text) // 4),
        latency_ms=reply.latency_ms,
        tool_uses=reply.tool_uses,
    )


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="model")


@cache
def _http() -> urllib3.PoolManager:
    return urllib3.PoolManager(maxsize=CALLS_AT_ONCE, retries=False)


def remote(base: str, request: ModelRequest) -> ModelAnswer:
    """POST one request to an OpenAI-compatible /chat/completions and translate the reply, errors included."""
    seconds = float(os.environ.get("PROMPTLANE_MODEL_TIMEOUT_SECONDS", "120"))
    body: dict[str, Any] = {"model": request.model_id, "messages": _openai_messages(request), "stream": False}
    optional = {
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "top_p": request.top_p,
        "stop": request.stop or None,
        "tools": [_openai_tool(tool) for tool in request.tools] or None,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("PROMPTLANE_MODEL_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    target = f"{base}/chat/completions"
    started = time.monotonic()
    try:
        reply = _http().request("POST", target, body=json.dumps(body), headers=headers, timeout=seconds)
    except urllib3.exceptions.ReadTimeoutError:
        waited = time.monotonic() - started
        return ModelAnswer(f"{target} gave no answer within {waited:.0f} s", error="ModelTimeoutException")
    except urllib3.exceptions.HTTPError as failed:
        return ModelAnswer(
            f"PROMPTLANE_MODEL_URL={base} cannot be reached ({failed}): start that model server, or unset the variable "
            "to get the scripted assistant",
            error="ServiceUnavailableException",
        )
    if reply.status == 429:
        return ModelAnswer("Too many requests, please wait before trying again.", error="ThrottlingException")
    if reply.status >= 400:
        detail = reply.data[:300].decode(errors="replace")
        return ModelAnswer(f"{target} answered {reply.status}: {detail}", error="ModelErrorException")
    return _from_openai(target, reply.data)


def _openai_messages(request: ModelRequest) -> list[dict[str, str]]:
    system = [{"role": "system", "content": request.system}] if request.system else []
    return system + [{"role": message["role"], "content": message["text"]} for message in request.messages]


def _openai_tool(tool: dict[str, Any]) -> dict[str, Any]:
    spec = tool.get("toolSpec", {})
    function = {"name": spec.get("name", ""), "parameters": (spec.get("inputSchema") or {}).get("json") or {}}
    if spec.get("description"):
        function["description"] = spec["description"]
    return {"type": "function", "function": function}


_STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered"}


def _from_openai(target: str, data: bytes) -> ModelAnswer:
    try:
        document = json.loads(data)
        choice = document["choices"][0]
        message = choice["message"]
        tool_uses = [
            {
                "toolUseId": call.get("id") or f"tooluse_{number}",
                "name": call["function"]["name"],
                "input": json.loads(call["function"].get("arguments") or "{}"),
            }
            for number, call in enumerate(message.get("tool_calls") or [])
        ]
    except (ValueError, KeyError, IndexError, TypeError) as malformed:
        return ModelAnswer(f"{target} sent no chat completion ({malformed!r})", error="ModelErrorException")
    usage = document.get("usage") or {}
    return ModelAnswer(
        text=message.get("content") or "",
        stop_reason=_STOP_REASONS.get(choice.get("finish_reason") or "", "end_turn"),
        input_tokens=int(usage.get("prompt_tokens") or 0),
        output_tokens=int(usage.get("completion_tokens") or 0),
        tool_uses=tool_uses,
    )
