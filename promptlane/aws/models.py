"""Models on Bedrock for test runs: answers through Converse, a judge, and embeddings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Final, Protocol

from promptlane.domain.canary.outcome import text_of
from promptlane.domain.errors import PromptlaneError, Throttled, Unavailable
from promptlane.domain.limits import MAX_DEPTH, depth_of
from promptlane.domain.suite.answers import Answer, CallRefused, ModelNotEnabled, ModelRequest, ToolCall
from promptlane.domain.usage import usage_of

Json = Any
_THROTTLED: Final = frozenset({"ThrottlingException", "ModelNotReadyException", "TooManyRequestsException"})
_ACCESS: Final = frozenset({"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException"})
_TOKEN: Final = frozenset({"ExpiredTokenException", "ExpiredToken"})
_NO_MODEL: Final = re.compile(
    r"on-demand throughput|model identifier is invalid|end of its life|not supported in this", re.I
)
_NO_GUARDRAIL: Final = re.compile(r"guardrail identifier", re.I)
_PURPOSE: Final = {"requestMetadata": {"purpose": "promptlane test"}}
"""So that the invocation log tells test runs from requests of users."""
_ABOUT_TOOLS: Final = re.compile(r"tool", re.I)


class Transport(Protocol):
    """Signed POSTs; see transport.BedrockTransport."""

    def post(self, model_id: str, operation: str, body: Mapping[str, Json]) -> tuple[int, str, bytes]:
        """(status, AWS error type, response body)."""


class ConverseModel:
    """`Model` over Bedrock Converse."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def answer(self, request: ModelRequest) -> Answer:
        started = perf_counter()
        data = call(self._transport, request.model_id, "converse", {**request.body, **_PURPOSE})
        elapsed = 1_000 * (perf_counter() - started)
        return answer_of(data, elapsed)


def answer_of(data: Mapping[str, Json], elapsed_ms: float) -> Answer:
    """A Converse response as an Answer; its latency is the service's own where it tells one, without our queue."""
    usage = usage_of(data.get("usage"))
    content = ((data.get("output") or {}).get("message") or {}).get("content") or ()
    return Answer(
        text=text_of(data),
        stop_reason=str(data.get("stopReason") or ""),
        latency_ms=float((data.get("metrics") or {}).get("latencyMs") or elapsed_ms),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        tool_calls=tuple(
            ToolCall(str(use.get("name", "")), use.get("input"), str(use.get("toolUseId") or ""))
            for b in content
            if "toolUse" in b
            for use in (b["toolUse"],)
        ),
        content=tuple(content),
    )


class ConverseJudge:
    """`Judge` over Converse: temperature 0, its answer forced into a tool call whose schema is the wanted one.

    A model that knows no tools is asked for JSON as text.
    """

    def __init__(self, transport: Transport, model_id: str) -> None:
        self._transport, self._model_id = transport, model_id
        self._tools = True

    def ask(self, system: str, user: str, schema: Mapping[str, Json]) -> Json:
        body: dict[str, Json] = {
            "system": [{"text": system}],
            "messages": [{"role": "user", "content": [{"text": user}]}],
            "inferenceConfig": {"temperature": 0, "maxTokens": 800},
            **_PURPOSE,
        }
        if self._tools:
            tool = {"name": "verdict", "description": "Your decision.", "inputSchema": {"json": schema}}
            choice = {"tool": {"name": "verdict"}}
            try:
                asked = body | {"toolConfig": {"tools": [{"toolSpec": tool}], "toolChoice": choice}}
                return _decision(call(self._transport, self._model_id, "converse", asked))
            except CallRefused as error:
                if isinstance(error, ModelNotEnabled) or not _ABOUT_TOOLS.search(str(error)):
                    raise
                self._tools = False
        return _decision(call(self._transport, self._model_id, "converse", body))


def _decision(data: Mapping[str, Json]) -> Json:
    """The tool's input, else the first JSON object in the text, else the text (which will not fit the schema)."""
    answer = answer_of(data, 0.0)
    if answer.tool_calls:
        return answer.tool_calls[0].input
    start = answer.text.find("{")
    if start >= 0:
        try:
            return json.JSONDecoder().raw_decode(answer.text, start)[0]
        except (ValueError, RecursionError):
            return answer.text
    return answer.text


class BedrockEmbedder:
    """`Embedder` over InvokeModel; knows the request forms of Amazon Titan and Cohere."""

    def __init__(self, transport: Transport, model_id: str) -> None:
        self._transport, self._model_id = transport, model_id

    def embed(self, text: str) -> Sequence[float]:
        body: dict[str, Json] = {"inputText": text}
        if "cohere" in self._model_id:
            body = {"texts": [text[:2_000]], "input_type": "search_document"}
        data = call(self._transport, self._model_id, "invoke", body)
        vector = data.get("embedding") or (data.get("embeddings") or [None])[0]
        if not isinstance(vector, list) or not vector:
            raise CallRefused(
                f"{self._model_id} returned no embedding; choose an embedding model (tests.embedding_model)"
            )
        return [float(x) for x in vector]


def call(transport: Transport, model_id: str, operation: str, body: Mapping[str, Json]) -> Mapping[str, Json]:
    """The response as JSON. Raises Throttled, Unavailable (try again), CallRefused, ModelNotEnabled (do not)."""
    status, kind, raw = transport.post(model_id, operation, body)
    try:
        data = json.loads(raw)
    except ValueError:
        data = None
    except RecursionError:
        raise _too_deep(model_id) from None
    if status < 300:
        if depth_of(data) > MAX_DEPTH:  # of a tool's input, say: it could not be kept, nor reported
            raise _too_deep(model_id)
        if not isinstance(data, Mapping):
            raise Unavailable(f"{model_id}: the service answered {status} without JSON")
        return data
    message = str((data.get("message") or data.get("Message") or "") if isinstance(data, Mapping) else raw[:300])
    raise refusal(status, kind, message, model_id)


def _too_deep(model_id: str) -> CallRefused:
    return CallRefused(f"{model_id}: the answer is nested deeper than {MAX_DEPTH} levels")


def refusal(status: int, kind: str, message: str, model_id: str) -> PromptlaneError:
    """The error for a response that is none: what may pass by itself, what will not, what no call would survive."""
    said = f"{model_id}: {kind or status}: {message}"
    if status == 429 or kind in _THROTTLED:
        return Throttled(said)
    if status >= 500 or status in (408, 424) or kind in _TOKEN:
        return Unavailable(said)
    if status == 403 or kind in _ACCESS:
        return ModelNotEnabled(f"{said} (enable the model in this account and Region, and allow bedrock:InvokeModel)")
    if status == 404:
        return ModelNotEnabled(f"{said} (the model or prompt version does not exist in this Region)")
    if status == 400 and _NO_MODEL.search(message):
        return ModelNotEnabled(f"{said} (use the model's cross-Region inference profile, or another model)")
    if status == 400 and _NO_GUARDRAIL.search(message):
        return ModelNotEnabled(
            f"{said} (the guardrail that the version names, or this version of it, is not in this account and Region)"
        )
    return CallRefused(said)
