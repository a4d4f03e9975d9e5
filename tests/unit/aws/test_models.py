"""Bedrock's answers and refusals as the engine understands them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from promptlane.aws.models import BedrockEmbedder, ConverseJudge, ConverseModel
from promptlane.domain.errors import PromptlaneError, Throttled, Unavailable
from promptlane.domain.suite.answers import CallRefused, ModelNotEnabled, ModelRequest, ToolCall

SCHEMA = {"type": "object"}


class Recorded:
    """`Transport` that plays back responses and records what was sent."""

    def __init__(self, *responses: tuple[int, str, Any]) -> None:
        self._responses = list(responses)
        self.sent: list[tuple[str, str, Mapping[str, Any]]] = []

    def post(self, model_id: str, operation: str, body: Mapping[str, Any]) -> tuple[int, str, bytes]:
        self.sent.append((model_id, operation, body))
        status, kind, data = self._responses.pop(0)
        return status, kind, data if isinstance(data, bytes) else json.dumps(data).encode()


def converse(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 7, "outputTokens": 3},
        "metrics": {"latencyMs": 123},
    }


def test_text_tools_tokens_and_latency_are_read() -> None:
    tool = {"toolUse": {"toolUseId": "1", "name": "lookup", "input": {"order": "1"}}}
    transport = Recorded((200, "", converse({"text": "Let me "}, {"reasoningContent": {}}, {"text": "see."}, tool)))
    answer = ConverseModel(transport).answer(ModelRequest("model", {"messages": []}))
    assert answer.text == "Let me see."
    assert (answer.stop_reason, answer.input_tokens, answer.output_tokens) == ("tool_use", 7, 3)
    assert answer.latency_ms == 123
    assert answer.tool_calls == (ToolCall("lookup", {"order": "1"}),)
    model_id, operation, body = transport.sent[0]
    assert (model_id, operation, body["messages"]) == ("model", "converse", [])


@pytest.mark.parametrize(
    ("status", "kind", "message", "error"),
    [
        (429, "ThrottlingException", "Too many requests", Throttled),
        (429, "ModelNotReadyException", "warming up", Throttled),
        (503, "ServiceUnavailableException", "", Unavailable),
        (500, "InternalServerException", "", Unavailable),
        (408, "ModelTimeoutException", "", Unavailable),
        (424, "ModelErrorException", "", Unavailable),
        (403, "ExpiredTokenException", "expired", Unavailable),
        (403, "AccessDeniedException", "You don't have access to the model", ModelNotEnabled),
        (404, "ResourceNotFoundException", "no such prompt", ModelNotEnabled),
        (400, "ValidationException", "on-demand throughput isn’t supported", ModelNotEnabled),
        (400, "ValidationException", "Input is too long", CallRefused),
        (400, "ValidationException", "The guardrail identifier or version provided … does not exist", ModelNotEnabled),
        (400, "ValidationException", "The provided guardrail identifier is invalid.", ModelNotEnabled),
    ],
)
def test_refusals_are_told_apart(status: int, kind: str, message: str, error: type[PromptlaneError]) -> None:
    transport = Recorded((status, kind, {"message": message}))
    with pytest.raises(error) as caught:
        ConverseModel(transport).answer(ModelRequest("some-model"))
    assert type(caught.value) is error
    assert "some-model" in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>proxy</html>", b"", b"[1]"])
def test_an_answer_that_is_none_may_be_asked_for_again(body: bytes) -> None:
    with pytest.raises(Unavailable):
        ConverseModel(Recorded((200, "", body))).answer(ModelRequest("m"))


def test_the_judge_is_asked_at_temperature_0_and_forced_into_the_schema() -> None:
    decision = {"toolUse": {"toolUseId": "1", "name": "verdict", "input": {"pass": True}}}
    transport = Recorded((200, "", converse(decision)))
    assert ConverseJudge(transport, "judge").ask("system", "user", SCHEMA) == {"pass": True}
    body = transport.sent[0][2]
    assert body["inferenceConfig"]["temperature"] == 0
    assert body["toolConfig"]["toolChoice"] == {"tool": {"name": "verdict"}}
    assert body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"] == {"json": SCHEMA}


def test_a_judge_without_tools_is_asked_for_json_from_then_on() -> None:
    no_tools = (400, "ValidationException", {"message": "This model doesn't support tool use."})
    text = (200, "", converse({"text": 'Sure: {"pass": false} as asked'}))
    transport = Recorded(no_tools, text, text)
    judge = ConverseJudge(transport, "judge")
    assert judge.ask("s", "u", SCHEMA) == {"pass": False}
    assert judge.ask("s", "u", SCHEMA) == {"pass": False}
    assert ["toolConfig" in body for _, _, body in transport.sent] == [True, False, False]


def test_a_judge_that_chats_answers_text_which_fits_no_schema() -> None:
    transport = Recorded((200, "", converse({"text": "I think it passes {"})))
    assert ConverseJudge(transport, "judge").ask("s", "u", SCHEMA) == "I think it passes {"


def test_embeddings_of_both_families_are_understood() -> None:
    titan = Recorded((200, "", {"embedding": [1, 0.5]}))
    assert BedrockEmbedder(titan, "amazon.titan-embed-text-v2:0").embed("x") == [1.0, 0.5]
    assert titan.sent[0][1:] == ("invoke", {"inputText": "x"})
    cohere = Recorded((200, "", {"embeddings": [[0, 1]]}))
    assert BedrockEmbedder(cohere, "cohere.embed-english-v3").embed("x") == [0.0, 1.0]
    with pytest.raises(CallRefused, match="returned no embedding"):
        BedrockEmbedder(Recorded((200, "", {"message": "hi"})), "amazon.nova-lite-v1:0").embed("x")
