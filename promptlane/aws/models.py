"""Models on Bedrock for test runs: answers through Converse, a judge, and embeddings.

What a judge decides is read from one place alone: the input of the one tool that it was told to call, or, of a model
without tools, the object that bears a mark which stood in its instructions only. What it quotes is no decision.
"""

from __future__ import annotations

import json
import math
import re
import secrets
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
_ABOUT_TEMPERATURE: Final = re.compile(r"temperature", re.I)
_TOOL: Final = "verdict"
_DECISION: Final = "decision"


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
    """`Judge` over Converse: its answer forced into a tool call whose schema is the wanted one, at temperature 0.

    What a model refuses of that is left out from then on: recent Claude models know no `temperature`, and some
    models no tools, or none that they are forced to call; those are asked for JSON as text.
    """

    def __init__(self, transport: Transport, model_id: str) -> None:
        self._transport, self._model_id = transport, model_id
        self._tools = self._temperature = True

    def ask(self, system: str, user: str, schema: Mapping[str, Json]) -> Json:
        while True:
            tools, temperature = self._tools, self._temperature
            try:
                return self._asked(system, user, schema)
            except CallRefused as error:
                if isinstance(error, ModelNotEnabled) or not self._without(str(error), tools, temperature):
                    raise

    def _without(self, said: str, tools: bool, temperature: bool) -> bool:
        """Give up what a refusal names, of what was asked with; whether there was any."""
        if temperature and _ABOUT_TEMPERATURE.search(said):
            self._temperature = False
        elif tools and _ABOUT_TOOLS.search(said):
            self._tools = False
        else:
            return False
        return True

    def _asked(self, system: str, user: str, schema: Mapping[str, Json]) -> Json:
        mark = "" if self._tools else secrets.token_hex(8)
        system += f' Its first member is "{_DECISION}": "{mark}", which nothing else bears.' if mark else ""
        body: dict[str, Json] = {
            "system": [{"text": system}],
            "messages": [{"role": "user", "content": [{"text": user}]}],
            "inferenceConfig": {"maxTokens": 800} | ({"temperature": 0} if self._temperature else {}),
            **_PURPOSE,
        }
        if not mark:
            tool = {"name": _TOOL, "description": "Your decision.", "inputSchema": {"json": schema}}
            body["toolConfig"] = {"tools": [{"toolSpec": tool}], "toolChoice": {"tool": {"name": _TOOL}}}
        answer = answer_of(call(self._transport, self._model_id, "converse", body), 0.0)
        if not mark:
            said = [one.input for one in answer.tool_calls if one.name == _TOOL]
            return said[0] if len(said) == 1 else answer.text
        return _marked(answer.text, mark)


def _marked(text: str, mark: str) -> Json:
    """The JSON object that bears the mark, without it; else the text, which fits no schema."""
    decoder = json.JSONDecoder()
    found, position = list[Mapping[str, Json]](), text.find("{")
    while position >= 0 and len(found) < 2:
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            position += 1
        else:
            if value.get(_DECISION) == mark:
                found.append(value)
        position = text.find("{", position)
    return {name: value for name, value in found[0].items() if name != _DECISION} if len(found) == 1 else text


class BedrockEmbedder:
    """`Embedder` over InvokeModel; knows the request forms of Amazon Titan and Nova, and of Cohere."""

    def __init__(self, transport: Transport, model_id: str) -> None:
        self._transport, self._model_id = transport, model_id

    def embed(self, text: str) -> Sequence[float]:
        vector = _vector(call(self._transport, self._model_id, "invoke", self._body(text)))
        if vector is None:
            raise CallRefused(
                f"{self._model_id} returned no embedding; choose an embedding model (tests.embedding_model)"
            )
        return vector

    def _body(self, text: str) -> dict[str, Json]:
        if "cohere" in self._model_id:
            if "embed-v4" in self._model_id:
                return {"texts": [text], "input_type": "search_document", "embedding_types": ["float"]}
            return {
                "texts": [text[:2_000]],
                "input_type": "search_document",
            }  # its third version takes 2,048 characters
        if "nova" in self._model_id:
            said = {"truncationMode": "END", "value": text}
            wanted = {"embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 1_024, "text": said}
            return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": wanted}
        return {"inputText": text}


def _vector(data: Mapping[str, Json]) -> list[float] | None:
    """The one vector of an answer, in the shapes that are documented; None where it holds none of finite numbers.

    `embedding` (Titan), `embeddings` with a list of vectors (Cohere), with vectors by type (Cohere, where types were
    asked for), or with objects that hold one (Nova); `embeddingsByType` (Titan, where types were asked for).
    """
    found: Json = data.get("embedding") or data.get("embeddings") or data.get("embeddingsByType")
    if isinstance(found, Mapping):
        found = found.get("float")
    while isinstance(found, list) and len(found) == 1 and isinstance(found[0], (list, Mapping)):
        found = found[0].get("embedding") if isinstance(found[0], Mapping) else found[0]
    if not isinstance(found, list) or not found:
        return None
    if not all(isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x) for x in found):
        return None
    return [float(x) for x in found]


def call(transport: Transport, model_id: str, operation: str, body: Mapping[str, Json]) -> Mapping[str, Json]:
    """The response as JSON. Raises Throttled, Unavailable (try again), CallRefused, ModelNotEnabled (do not)."""
    status, kind, raw = transport.post(model_id, operation, body)
    try:
        data = json.loads(raw, parse_constant=_no_number, parse_float=_number)
    except (json.JSONDecodeError, UnicodeDecodeError):
        data = None
    except ValueError:  # valid JSON, such as of a tool's input, that nothing else could read
        raise CallRefused(f"{model_id}: the answer holds a number beyond all that can be read") from None
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


def _number(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    return _no_number(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text[:40]} is no number that JSON has")


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
