"""Bedrock Runtime: Converse and ConverseStream, on models and on prompt versions, answered by `local.model`.

Lacking in MiniStack: prompt ARNs are accepted but ignored, answers are a fixed mock, streams come in one piece, nothing
throttles, and neither metrics (AWS/Bedrock), CloudTrail events nor invocation log records are written. Here: all of it.
A model that the Region does not offer, or by inference profiles alone, is refused; where which is, is a fact about AWS
that the house wrote down (`promptlane.domain.model_regions`).
Guardrails are `guardrails`.

Knobs, for tests and drills: POST /_promptlane/bedrock with any of
`{"throttle_per_second": {"<model id>" | "*": n}, "disabled_models": ["<model id>"], "log_prompt_arn": bool}`.
They start from PROMPTLANE_MODEL_THROTTLE (calls a second over all models)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import jsonschema
from ministack.core.responses import StreamingResponse
from ministack.services import bedrock_runtime as stock

from local import model, seams
from local.gaps import (
    callers,
    cloudtrail,
    conversations,
    embeddings,
    guardrails,
    invocation_log,
    metric_store,
    prompt_cache,
    prompt_rendering,
    prompts,
)
from local.inference import ModelAnswer, ModelRequest
from promptlane.domain.model_regions import GROUPS, missing, profiled

_ROUTE = re.compile(r"/model/(.+)/(converse|converse-stream|invoke|invoke-with-response-stream)")
_PROMPT_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:([a-z0-9-]+):(\d{12}):prompt/([0-9a-zA-Z]{10})(?::([0-9]{1,5}))?")
_OPERATIONS = {
    "converse": "Converse",
    "converse-stream": "ConverseStream",
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
}
_STATUS = {
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "ModelErrorException": 424,
    "ModelTimeoutException": 408,
    "ServiceUnavailableException": 503,
    "InternalServerException": 500,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
}
_METADATA_TEXT = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}")


@dataclass
class Knobs:
    """What tests may turn; see the module's docstring."""

    throttle_per_second: dict[str, float] = field(default_factory=dict)
    disabled_models: list[str] = field(default_factory=list)
    log_prompt_arn: bool = False

    @classmethod
    def from_environment(cls) -> Knobs:
        rate = os.environ.get("PROMPTLANE_MODEL_THROTTLE")
        return cls(throttle_per_second={"*": float(rate)} if rate else {})


@dataclass
class Call:
    """One request on its way through the runtime: everything that is observed afterwards."""

    operation: str
    model_id: str
    body: dict[str, Any]
    headers: dict[str, str]
    resolved_model: str = ""
    rendered: dict[str, Any] = field(default_factory=dict)
    prompt_arn: str | None = None
    guardrail: guardrails.Guardrail | None = None
    usage: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.time)


authorizers: list[Callable[[Call], None]] = []
"""Asked before a resolved call is answered; one that raises Refused denies it (see local/gaps/iam.py)."""

_knobs = Knobs()
_buckets: dict[str, tuple[float, float]] = {}


def install() -> None:
    seams.require(
        stock,
        "_validate_converse_request",
        "_normalize_model_id",
        "_es_event",
        "_last_user_text",
        "_family",
    )
    _turn(Knobs.from_environment())
    seams.wrap("bedrock-runtime", handle)
    seams.on_reset(lambda: _turn(Knobs.from_environment()))


def turn(settings: dict[str, Any]) -> dict[str, Any]:
    """Change knobs; returns all of them. Unknown names raise TypeError."""
    _turn(Knobs(**(vars(_knobs) | settings)))
    return dict(vars(_knobs))


def _turn(knobs: Knobs) -> None:
    global _knobs
    _knobs = knobs
    _buckets.clear()


async def handle(
    inner: seams.Handler, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
) -> seams.Response:
    route = _ROUTE.fullmatch(unquote(path)) if method == "POST" else None
    if route is None:
        return await inner(method, path, headers, body, query)
    operation = _OPERATIONS[route[2]]
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return seams.error_reply("ValidationException", "The request body is not valid JSON.")
    call = Call(operation, route[1], document, headers)
    if operation.startswith("Converse"):
        return await _converse(call)
    return await _invoke(call, lambda: inner(method, path, headers, body, query))


async def _converse(call: Call) -> seams.Response:
    try:
        _resolve(call)
        _admit(call)
        answer = await _answered(call)
    except prompts.Refused as refused:
        return _failed(call, refused.code, refused.message, refused.status)
    if answer.error:
        if answer.latency_ms:
            await asyncio.sleep(answer.latency_ms / 1000)
        return _failed(call, answer.error, answer.text, _STATUS.get(answer.error, 400))
    if call.operation == "ConverseStream":
        headers = {
            "Content-Type": "application/vnd.amazon.eventstream",
            "x-amzn-bedrock-content-type": "application/json",
        }
        return 200, headers, StreamingResponse(_streamer(call, answer))
    if answer.latency_ms:
        await asyncio.sleep(answer.latency_ms / 1000)
    response = _response(call, answer)
    _observe(call, response=response, answer=answer)
    return seams.json_reply(response)


def _resolve(call: Call) -> None:
    """Find out which model is meant and what it is sent, or raise Refused."""
    if wrong := stock._validate_converse_request(call.body):
        raise prompts.invalid(json.loads(wrong[2])["message"])
    _check_metadata(call.body.get("requestMetadata") or {})
    if call.model_id.startswith("arn:") and ":prompt/" in call.model_id:
        match = _PROMPT_ARN.fullmatch(call.model_id)
        if match is None or (match[1], match[2]) != (seams.region(), seams.account()):
            raise prompts.invalid(f"The provided model identifier is invalid: {call.model_id}")
        call.prompt_arn = call.model_id
        try:
            record = prompts.find(match[3], match[4])
        except prompts.Refused as refused:
            raise prompts.not_found(f"Could not find prompt {call.model_id}.") from refused
        call.resolved_model, call.rendered = prompt_rendering.render(record, call.body)
    else:
        if "promptVariables" in call.body:
            raise prompts.invalid("promptVariables can only be used with a prompt resource as modelId.")
        call.resolved_model, call.rendered = call.model_id, call.body
    _, _, wrong = stock._normalize_model_id(call.resolved_model)
    known = call.resolved_model.startswith("arn:") or stock._family(call.resolved_model) != "generic"
    if wrong or not known:
        raise prompts.invalid(f"The provided model identifier is invalid: {call.resolved_model}")
    _offered(call)
    _check_tools((call.rendered.get("toolConfig") or {}).get("tools") or [])
    conversations.check(call.rendered.get("messages") or [])


def _offered(call: Call) -> None:
    """Raise Refused, as AWS words it, where the Region has no such model or has it through a profile alone."""
    region, model_id = seams.region(), call.resolved_model
    if not missing(model_id, region):
        return
    if any(not missing(profiled(model_id, group, region), region) for group in GROUPS):
        raise prompts.invalid(
            f"Invocation of model ID {model_id} with on-demand throughput isn\u2019t supported. "
            "Retry your request with the ID or ARN of an inference profile that contains this model."
        )
    raise prompts.invalid("The provided model identifier is invalid.")


def _check_tools(tools: list[dict[str, Any]]) -> None:
    """Models refuse a tool whose schema is none, in the words that users of theirs report."""
    for i, tool in enumerate(tools):
        schema = ((tool.get("toolSpec") or {}).get("inputSchema") or {}).get("json")
        if schema is not None and not _is_schema(json.dumps(schema)):
            raise prompts.invalid(
                f"The model returned the following errors: tools.{i}.custom.input_schema: JSON schema is invalid. It "
                "must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12)."
            )


@lru_cache(maxsize=500)
def _is_schema(text: str) -> bool:
    try:
        jsonschema.Draft202012Validator.check_schema(json.loads(text))
    except jsonschema.SchemaError:
        return False
    return True


def _check_metadata(metadata: dict[str, Any]) -> None:
    """requestMetadata: at most 16 pairs of at most 256 plain characters."""
    if len(metadata) > 16:
        raise prompts.invalid("Member 'requestMetadata' must have at most 16 entries")
    for name, value in metadata.items():
        if not name or not isinstance(value, str) or not all(map(_METADATA_TEXT.fullmatch, (name, value))):
            raise prompts.invalid(f"requestMetadata entry '{name}' has a character or length that is not allowed")


def _admit(call: Call) -> None:
    for authorize in authorizers:
        authorize(call)
    if call.resolved_model in _knobs.disabled_models:
        raise prompts.Refused(
            "AccessDeniedException",
            f"You don't have access to the model with the specified model ID: {call.resolved_model}",
            403,
        )
    for name in ("*", call.resolved_model):
        rate = _knobs.throttle_per_second.get(name)
        if rate is not None and not _token(name, rate):
            raise prompts.Refused("ThrottlingException", "Too many requests, please wait before trying again.", 429)


def _token(name: str, rate: float) -> bool:
    """One token from a bucket that holds a second's worth."""
    now = time.monotonic()
    left, at = _buckets.get(name, (max(rate, 1.0), now))
    left = min(max(rate, 1.0), left + (now - at) * rate)
    _buckets[name] = (left - 1 if left >= 1 else left, now)
    return left >= 1


async def _answered(call: Call) -> ModelAnswer:
    """The model's answer, unless a guardrail says something else before or after."""
    call.guardrail = guardrails.named(call.rendered.get("guardrailConfig"))
    request = _model_request(call)
    sent = "\n".join(message["text"] for message in request.messages)
    blocked, _ = guardrails.guarded(call.guardrail, "INPUT", sent)
    if blocked:
        return blocked
    answer = await model.answer(request)
    if answer.error:
        return answer
    blocked, text = guardrails.guarded(call.guardrail, "OUTPUT", answer.text)
    return blocked or replace(answer, text=text)


def _model_request(call: Call) -> ModelRequest:
    rendered = call.rendered
    inference = rendered.get("inferenceConfig") or {}
    return ModelRequest(
        model_id=call.resolved_model,
        system="\n".join(block["text"] for block in rendered.get("system") or [] if "text" in block),
        messages=[
            {"role": message["role"], "text": "\n".join(b["text"] for b in message["content"] if "text" in b)}
            for message in rendered["messages"]
        ],
        temperature=inference.get("temperature"),
        max_tokens=inference.get("maxTokens"),
        tools=(rendered.get("toolConfig") or {}).get("tools") or [],
        top_p=inference.get("topP"),
        stop=inference.get("stopSequences") or [],
    )


def _response(call: Call, answer: ModelAnswer) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"text": answer.text}] if answer.text or not answer.tool_uses else []
    content += [{"toolUse": use} for use in answer.tool_uses]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": answer.stop_reason,
        **_usage(call, answer),
    }


def _tokens_of(call: Call, answer: ModelAnswer) -> dict[str, int]:
    """Counted once: to ask the prompt cache is to fill it."""
    if not call.usage:
        scope = f"{seams.account()}/{seams.region()}/{call.resolved_model}"
        sent = prompt_cache.usage(scope, call.rendered, answer.input_tokens)
        total = answer.input_tokens + answer.output_tokens
        call.usage = {**sent, "outputTokens": answer.output_tokens, "totalTokens": total}
    return call.usage


def _usage(call: Call, answer: ModelAnswer) -> dict[str, Any]:
    return {
        "usage": _tokens_of(call, answer),
        "metrics": {"latencyMs": max(1, round((time.time() - call.started) * 1000))},
        **(call.guardrail.trace if call.guardrail else {}),
    }


def _streamer(call: Call, answer: ModelAnswer) -> Callable[..., Awaitable[None]]:
    """Send the events one by one: a third of the model's latency before the first token, the rest over the pieces."""
    pieces = re.findall(r"\S+\s*|\s+", answer.text) or [""]
    size = max(1, len(pieces) // 20)
    pieces = ["".join(pieces[i : i + size]) for i in range(0, len(pieces), size)]
    seconds = answer.latency_ms / 1000

    async def run(send: Callable[[dict[str, Any]], Awaitable[None]], receive: Any) -> None:
        async def emit(kind: str, payload: dict[str, Any], more: bool = True) -> None:
            await send({"type": "http.response.body", "body": stock._es_event(kind, payload), "more_body": more})

        await emit("messageStart", {"role": "assistant"})
        await asyncio.sleep(seconds / 3)
        first = time.time()
        for piece in pieces:
            await emit("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})
            await asyncio.sleep(seconds * 2 / 3 / len(pieces))
        await emit("contentBlockStop", {"contentBlockIndex": 0})
        for index, use in enumerate(answer.tool_uses, start=1):
            start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            await emit("contentBlockStart", {"contentBlockIndex": index, "start": start})
            delta = {"toolUse": {"input": json.dumps(use["input"])}}
            await emit("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
            await emit("contentBlockStop", {"contentBlockIndex": index})
        await emit("messageStop", {"stopReason": answer.stop_reason})
        await emit("metadata", _usage(call, answer), more=False)
        metric_store.record(
            "AWS/Bedrock", "TimeToFirstToken", (first - call.started) * 1000, "Milliseconds", _dimensions(call)
        )
        _observe(call, response=_response(call, answer), answer=answer)

    return run


async def _invoke(call: Call, inner: Callable[[], Awaitable[seams.Response]]) -> seams.Response:
    call.resolved_model = call.model_id
    call.rendered = call.body
    try:
        _offered(call)
        _admit(call)
        reply = embeddings.reply(call.body) if embeddings.is_embedding(call.model_id) else await inner()
    except prompts.Refused as refused:
        return _failed(call, refused.code, refused.message, refused.status)
    status, headers, body = reply
    if status >= 400:
        problem = json.loads(body or b"{}")
        return _failed(call, problem.get("__type", "ValidationException"), problem.get("message", ""), status)
    tokens = (
        int(headers.get("x-amzn-bedrock-input-token-count", 0)),
        int(headers.get("x-amzn-bedrock-output-token-count", 0)),
    )
    document = json.loads(body) if isinstance(body, bytes) and body[:1] == b"{" else {}
    _observe(call, response=document, answer=ModelAnswer("", "end_turn", *tokens))
    return reply


def _failed(call: Call, code: str, message: str, status: int) -> seams.Response:
    _observe(call, error=(code, message), status=status)
    return seams.error_reply(code, message, status)


def _dimensions(call: Call) -> dict[str, str]:
    return {"ModelId": call.resolved_model or call.model_id}


def _observe(
    call: Call,
    *,
    response: dict[str, Any] | None = None,
    answer: ModelAnswer | None = None,
    error: tuple[str, str] | None = None,
    status: int = 200,
) -> None:
    """AWS/Bedrock metrics, the CloudTrail event, and the model invocation log."""
    count = [("Invocations", 1.0, "Count")]
    if error is None and answer is not None:
        count += [
            ("InvocationLatency", (time.time() - call.started) * 1000, "Milliseconds"),
            ("InputTokenCount", float(answer.input_tokens), "Count"),
            ("OutputTokenCount", float(answer.output_tokens), "Count"),
        ]
    elif status == 429:
        count = [("InvocationThrottles", 1.0, "Count")]
    else:
        count.append(("InvocationClientErrors" if status < 500 else "InvocationServerErrors", 1.0, "Count"))
    for name, value, unit in count:
        metric_store.record("AWS/Bedrock", name, value, unit, _dimensions(call))
    identity = callers.identity(call.headers)
    agent = call.headers.get("user-agent", "")
    cloudtrail.record(
        call.operation,
        identity=identity,
        request={"modelId": call.model_id},
        read_only=True,
        error=error,
        extra={"inferenceRegion": seams.region()},
        user_agent=agent,
    )
    if call.prompt_arn and call.rendered:
        kind = "AWS::Bedrock::PromptVersion" if call.prompt_arn.rpartition(":")[2].isdigit() else "AWS::Bedrock::Prompt"
        resources = [{"type": kind, "ARN": call.prompt_arn, "accountId": seams.account()}]
        cloudtrail.record(
            "RenderPrompt",
            identity=identity,
            request={"promptIdentifier": call.prompt_arn},
            read_only=True,
            resources=resources,
            user_agent=agent,
            data_event=True,
        )
    invocation_log.write(
        operation=call.operation,
        model_id=call.prompt_arn if _knobs.log_prompt_arn and call.prompt_arn else call.resolved_model or call.model_id,
        identity_arn=identity.get("arn", ""),
        request=call.rendered or call.body,
        response=response,
        tokens=(call.usage.get("inputTokens", answer.input_tokens), answer.output_tokens) if answer else (None, None),
        cached=(call.usage.get("cacheReadInputTokens"), call.usage.get("cacheWriteInputTokens")),
        metadata=call.body.get("requestMetadata") or {},
        error=error,
        status=status,
    )
