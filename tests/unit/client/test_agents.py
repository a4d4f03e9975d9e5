"""A version in the arguments of agent frameworks. What these send was held against `request()` with the frameworks
themselves: langchain-aws 1.9.1, strands-agents 1.62.0, litellm 1.110.2."""

from __future__ import annotations

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage

from promptlane.client import PromptClient, Session, VersionData
from promptlane.client.agents import langgraph, litellm, strands
from promptlane.client.testing import ListSink, StaticRoutes, fake_client
from promptlane.domain.errors import InvalidInput

POINT = {"cachePoint": {"type": "default"}}
SCHEMA = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}
TOOL = {"toolSpec": {"name": "look_up", "description": "Looks up an order.", "inputSchema": {"json": SCHEMA}}}
VARIANT: dict[str, Any] = {
    "modelId": "amazon.nova-lite-v1:0",
    "templateConfiguration": {
        "chat": {
            "system": [{"text": "Be kind to {{name}}."}, POINT],
            "messages": [
                {"role": "user", "content": [{"text": "I am {{name}}."}, POINT]},
                {"role": "assistant", "content": [{"text": "Hello."}]},
            ],
            "toolConfiguration": {"tools": [TOOL, POINT], "toolChoice": {"any": {}}},
        }
    },
    "inferenceConfiguration": {"text": {"temperature": 0.2, "topP": 0.9, "maxTokens": 300, "stopSequences": ["END"]}},
    "additionalModelRequestFields": {"top_k": 20},
}
BARE = {"modelId": "m", "templateConfiguration": {"text": {"text": "Say hello."}}}
SETTINGS = {"temperature": 0.2, "top_p": 0.9, "max_tokens": 300}
METADATA = {"prompt": "agent", "version": "1", "track": "stable", "release": "AGENT00000-1-1"}


class World:
    def __init__(self, variant: dict[str, Any] = VARIANT) -> None:
        self.routes, self.sink = StaticRoutes(), ListSink()
        guardrails = {1: ("gr1", "7")} if variant is VARIANT else None
        self.routes.put("agent", stable=1, holds={1: variant}, guardrails=guardrails)
        self.client: PromptClient = fake_client(self.routes, sink=self.sink)
        given = {"name": "Ana"} if variant is VARIANT else {}
        self.version: VersionData = self.client.prompt("agent", unit="u", variables=given)
        self.before = deepcopy(self.version.request())

    def session(self) -> Session:
        return self.client.observe(self.version)


def test_strands_is_given_the_model_the_system_text_and_the_messages() -> None:
    world = World()
    assert strands.model(world.version) == {
        "model_id": "amazon.nova-lite-v1:0",
        **SETTINGS,
        "stop_sequences": ["END"],
        "guardrail_id": "gr1",
        "guardrail_version": "7",
        "additional_request_fields": {"top_k": 20},
        "additional_args": {"requestMetadata": METADATA},
    }
    given = strands.agent_of(world.version)
    assert given == {"system_prompt": world.version.system, "messages": world.version.messages}
    for message in given["messages"]:
        message["tracking_id"] = "written by the agent"
    assert world.version.request() == world.before, "which Converse would refuse"

    def tool(**described: Any) -> Any:
        return lambda function: (described, function)

    assert strands.tools(world.version, {"look_up": str.upper}, tool) == [(TOOL["toolSpec"], str.upper)]
    bare = World(BARE).version
    assert strands.model(bare).keys() == {"model_id", "additional_args"}
    assert strands.agent_of(bare).keys() == {"messages"}


def test_an_answer_of_strands_is_counted_with_the_tokens_of_this_invocation() -> None:
    world = World()
    message = {"role": "assistant", "content": [{"text": "It is on its way."}]}
    usage, latest = {"inputTokens": 90, "outputTokens": 9}, {"inputTokens": 20, "outputTokens": 6}
    metrics = SimpleNamespace(accumulated_usage=usage, latest_agent_invocation=SimpleNamespace(usage=latest))
    with world.session() as session:
        session.add(strands.answer(SimpleNamespace(message=message, stop_reason="end_turn", metrics=metrics)))
    assert session.outcome is not None
    assert (session.outcome.bad, session.outcome.input_tokens, session.outcome.output_tokens) == (frozenset(), 20, 6)
    older = SimpleNamespace(message=message, stop_reason="max_tokens", metrics=SimpleNamespace(accumulated_usage=usage))
    assert strands.answer(older)["usage"] == usage


def test_litellm_is_given_it_all_in_openais_words() -> None:
    world = World()
    cached = {"cache_control": {"type": "ephemeral"}}
    assert litellm.completion(world.version) == {
        "model": "bedrock/converse/amazon.nova-lite-v1:0",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be kind to Ana.", **cached}]},
            {"role": "user", "content": [{"type": "text", "text": "I am Ana.", **cached}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]},
        ],
        **SETTINGS,
        "stop": ["END"],
        "tools": [
            {
                "type": "function",
                "function": {"name": "look_up", "description": "Looks up an order.", "parameters": SCHEMA},
                **cached,
            }
        ],
        "tool_choice": "required",
        "guardrailConfig": {"guardrailIdentifier": "gr1", "guardrailVersion": "7"},
        "requestMetadata": METADATA,
        "top_k": 20,
    }
    assert litellm.completion(World(BARE).version).keys() == {"model", "messages", "requestMetadata"}


@pytest.mark.parametrize(
    ("said", "wanted", "chosen"),
    [
        ({"auto": {}}, "auto", "auto"),
        ({"any": {}}, "required", "any"),
        ({"tool": {"name": "look_up"}}, {"type": "function", "function": {"name": "look_up"}}, "look_up"),
    ],
)
def test_the_choice_of_a_tool_is_told_in_their_words(said: Any, wanted: Any, chosen: str) -> None:
    version = World().version
    version.tool_choice = said
    assert litellm.completion(version)["tool_choice"] == wanted
    assert langgraph.tool_choice(version) == chosen


def choice(content: str | None, reason: str, calls: Any = None) -> Any:
    message = SimpleNamespace(content=content, tool_calls=calls)
    usage = SimpleNamespace(prompt_tokens=11, completion_tokens=3)
    return SimpleNamespace(choices=[SimpleNamespace(message=message, finish_reason=reason)], usage=usage)


def test_an_answer_of_litellm_is_counted() -> None:
    call = SimpleNamespace(id="t1", function=SimpleNamespace(name="look_up"))
    for response, bad in (
        (choice("On its way.", "stop"), set()),
        (choice(None, "tool_calls", [call]), set()),
        (choice("On its", "length"), {"Truncation"}),
        (choice("", "content_filter"), {"Refusal"}),
    ):
        with World().session() as session:
            session.add(litellm.answer(response))
        assert session.outcome is not None
        assert bad <= session.outcome.bad
        assert bool(bad) == bool(session.outcome.bad)
        assert (session.outcome.input_tokens, session.outcome.output_tokens) == (11, 3)


def test_langchains_chat_model_is_given_it_all() -> None:
    world = World()
    assert langgraph.model(world.version) == {
        "model": "amazon.nova-lite-v1:0",
        **SETTINGS,
        "stop_sequences": ["END"],
        "system": world.version.system,
        "additional_model_request_fields": {"top_k": 20},
        "guardrail_config": {"guardrailIdentifier": "gr1", "guardrailVersion": "7"},
        "request_metadata": METADATA,
    }
    assert langgraph.messages(world.version) == [
        HumanMessage([{"type": "text", "text": "I am Ana."}, POINT]),
        AIMessage([{"type": "text", "text": "Hello."}]),
    ]
    (own,) = langgraph.tools(world.version, {"look_up": lambda order: f"{order} is on its way"})
    assert (own.name, own.description, own.args_schema) == ("look_up", "Looks up an order.", SCHEMA)
    assert own.invoke({"order": "7"}) == "7 is on its way"
    arn = "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0"
    assert langgraph.model(World({**BARE, "modelId": arn}).version)["provider"] == "amazon"
    assert langgraph.tool_choice(World(BARE).version) is None


@pytest.mark.parametrize("streamed", [False, True])
def test_every_answer_of_langchains_model_is_noted_streamed_or_whole(streamed: bool) -> None:
    world = World()
    asks = AIMessage("", tool_calls=[{"id": "t1", "name": "look_up", "args": {"order": "7"}}])
    details = {"cache_read": 5, "cache_creation": 2}
    usage: Any = {"input_tokens": 20, "output_tokens": 6, "total_tokens": 26, "input_token_details": details}
    last = AIMessage("On its way.", usage_metadata=usage, response_metadata={"stopReason": "end_turn"})
    model = GenericFakeChatModel(messages=iter([asks, last] if not streamed else [last]))
    with world.session() as session:
        config: Any = {"callbacks": [langgraph.Counting(session)]}
        if streamed:
            assert len(list(model.stream("When?", config))) > 1
        else:
            model.invoke("When?", config)
            assert session.calls == 1
            model.invoke("When?", config)
    assert session.calls == (1 if streamed else 2)
    assert session.outcome is not None
    assert session.outcome.bad == frozenset()
    if not streamed:
        assert (session.outcome.input_tokens, session.outcome.cache_read_tokens) == (20, 5)
        assert session.outcome.stop_reason == "end_turn"


def test_tools_that_are_not_the_versions_are_refused_by_name() -> None:
    version = World().version
    for functions in ({}, {"look_up": str, "delete": str}, {"lookup": str}):
        with pytest.raises(InvalidInput, match="declares the tools look_up, and functions are given for"):
            langgraph.tools(version, functions)
