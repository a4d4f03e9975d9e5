"""A conversation of a suite on the embedded AWS: what is sent is what Bedrock takes, and what it refuses is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local import keys
from local.running import EmbeddedAws
from promptlane.aws.models import ConverseModel
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.transport import BedrockTransport
from promptlane.domain.release.prompt import PromptDraft
from promptlane.engine.parse import parse
from promptlane.engine.runner import Bench, run_cases
from promptlane.engine.targets import Target

Client = Callable[[str], Any]
MODEL = "amazon.nova-lite-v1:0"
TOOL = {
    "toolSpec": {
        "name": "find_order",
        "description": "Finds an order by its number",
        "inputSchema": {
            "json": {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}
        },
    }
}
DRAFT = PromptDraft.from_dict(
    {
        "name": "orders",
        "model": MODEL,
        "variables": ["question"],
        "inference": {"temperature": 0},
        "system": [{"text": "Answer briefly."}, {"cachePoint": {"type": "default"}}],
        "messages": [{"role": "user", "text": "{{question}}"}],
        "tools": [TOOL, {"cachePoint": {"type": "default"}}],
    }
)
USE = {"toolUse": {"toolUseId": "t1", "name": "find_order", "input": {"number": "1234"}}}
RESULT = {"toolResult": {"toolUseId": "t1", "content": [{"json": {"state": "sent"}}]}}


@pytest.fixture
def model(embedded_aws: EmbeddedAws, client: Client, account: str) -> Iterator[ConverseModel]:
    endpoint = client("bedrock-runtime").meta.endpoint_url
    known = Credentials(*keys.credentials(embedded_aws.home, account).values())
    transport = BedrockTransport(endpoint=endpoint, region="us-east-1", credentials=known)
    yield ConverseModel(transport)
    transport.close()


def test_a_conversation_is_held_by_arn_and_rendered_alike(client: Client, model: ConverseModel) -> None:
    prompts = BedrockPrompts(client("bedrock-agent"))
    version = prompts.publish(prompts.write_draft(DRAFT), description="tools and cache points")
    assert version.fingerprint == DRAFT.fingerprint  # nothing was dropped on the way, cache points least of all
    suite = parse(
        {
            "tests": [
                {
                    "vars": {"question": "Please find my order 1234 by its number"},
                    "assert": [{"type": "is-valid-tool-call", "value": "find_order"}],
                    "turns": [
                        {
                            "tool_results": {"find_order": {"state": "sent"}},
                            "user": "Well, what does it say?",
                            "assert": [{"type": "not-is-refusal"}],
                        }
                    ],
                },
                {
                    "vars": {"question": "Hello"},
                    "messages": [
                        {"role": "assistant", "content": [USE]},
                        {"role": "user", "content": [RESULT, "What is its state?"]},
                    ],
                    "assert": [{"type": "output-tokens", "threshold": 500}],
                },
            ]
        }
    )
    target = Target.of_version(version)
    bench = Bench(target, replace(target, arn="", label="rendered here"), model, concurrency=1)
    for run in run_cases(suite.cases, bench):
        assert run.stable is not None
        for side in (run.candidate[0], run.stable[0]):
            assert (side.missing, side.passed) == ("", True), side
        assert run.candidate[0].answer is not None
        assert run.stable[0].answer is not None
        assert run.candidate[0].answer.text == run.stable[0].answer.text


def said(role: str, *blocks: Any) -> dict[str, Any]:
    return {"role": role, "content": [{"text": one} if isinstance(one, str) else one for one in blocks]}


@pytest.mark.parametrize(
    ("messages", "refusal"),
    [
        ([said("assistant", "Hi")], "must start with a user message"),
        ([said("user", "a"), said("user", "b")], "must alternate between user and assistant roles"),
        ([said("user", "a"), said("assistant", USE), said("user", "b")], "for the following Ids: t1"),
        ([said("user", "a"), said("assistant", "b"), said("user", RESULT)], "exceeds the number of toolUse blocks"),
    ],
)
def test_the_embedded_bedrock_refuses_what_suites_are_refused_for(
    client: Client, messages: list[dict[str, Any]], refusal: str
) -> None:
    with pytest.raises(ClientError, match=refusal) as raised:
        client("bedrock-runtime").converse(modelId=MODEL, messages=messages, toolConfig={"tools": [TOOL]})
    assert raised.value.response["Error"]["Code"] == "ValidationException"


def test_a_cached_prompt_is_paid_for_less_the_second_time_and_compared_alike(model: ConverseModel) -> None:
    rules = "Answer briefly and say where it stands. " * 200
    chat = {
        "system": [{"text": rules}, {"cachePoint": {"type": "default"}}],
        "messages": [{"role": "user", "content": [{"text": "{{question}}"}]}],
    }
    variant = {"modelId": MODEL, "templateType": "CHAT", "templateConfiguration": {"chat": chat}}
    suite = parse({"tests": [{"vars": {"question": "Hello"}, "assert": [{"type": "cost", "threshold": 1}]}]})
    first, second = (
        next(run_cases(suite.cases, Bench(Target.of_draft("draft", [variant]), None, model))).candidate[0].answer
        for _ in range(2)
    )
    assert first is not None
    assert second is not None
    assert first.cache_write_tokens == second.cache_read_tokens >= 1_000
    assert first.cache_read_tokens == second.cache_write_tokens == 0
    assert first.input_tokens == second.input_tokens
    assert first.cost_usd == second.cost_usd == first.paid_usd  # to write costs Nova's price of input
    assert second.paid_usd is not None
    assert second.cost_usd is not None
    assert second.paid_usd < second.cost_usd
