"""A version as something that can be asked: by its ARN, or rendered here to the same request."""

from __future__ import annotations

from typing import Any

from promptlane.domain.release.content import fingerprint
from promptlane.domain.release.prompt import PromptVersion
from promptlane.domain.suite.answers import ModelRequest
from promptlane.engine.suite import Case
from promptlane.engine.targets import Target
from tests.support.prompt import ARN, ID

VERSION_ARN = f"{ARN}:7"
TOOLS = {
    "tools": [
        {"toolSpec": {"name": "lookup", "inputSchema": {"json": {"type": "object"}}}},
        {"toolSpec": {"name": "refund"}},
        {"toolSpec": {}},
        {"cachePoint": {"type": "default"}},
    ],
    "toolChoice": {"auto": {}},
}
CHAT: dict[str, Any] = {
    "name": "main",
    "modelId": "amazon.nova-lite-v1:0",
    "templateConfiguration": {
        "chat": {
            "system": [{"text": "Be kind to {{name}}."}, {"cachePoint": {"type": "default"}}],
            "messages": [
                {"role": "user", "content": [{"text": "{{ q }} {{unknown}}"}, {"image": {"format": "png"}}]},
                {"role": "assistant", "content": [{"text": "Well, {{name}}"}]},
                {"role": "user"},
            ],
            "toolConfiguration": TOOLS,
        }
    },
    "inferenceConfiguration": {"text": {"temperature": 0.2, "maxTokens": 50}},
    "additionalModelRequestFields": {"top_k": 5},
}
TEXT: dict[str, Any] = {"modelId": "amazon.nova-pro-v1:0", "templateConfiguration": {"text": {"text": "{{q}}?"}}}
CASE = Case("c", {"name": "Ana", "q": "{{name}}", "only": "for asserts"}, ())


def test_a_chat_is_rendered_whole() -> None:
    target = Target.of_draft("draft", [CHAT, TEXT])
    assert target == Target("draft", fingerprint([CHAT, TEXT]), CHAT, "")
    assert target.request(CASE) == ModelRequest(
        "amazon.nova-lite-v1:0",
        {
            "messages": [
                {"role": "user", "content": [{"text": "{{name}} {{unknown}}"}, {"image": {"format": "png"}}]},
                {"role": "assistant", "content": [{"text": "Well, Ana"}]},
                {"role": "user", "content": []},
            ],
            "system": [{"text": "Be kind to Ana."}, {"cachePoint": {"type": "default"}}],
            "toolConfig": TOOLS,
            "inferenceConfig": {"temperature": 0.2, "maxTokens": 50},
            "additionalModelRequestFields": {"top_k": 5},
        },
    )
    assert target.variables == {"name", "q", "unknown"}
    assert target.tools == {"lookup": {"type": "object"}, "refund": {}}
    assert target.max_tokens == 50
    assert target.prompt_chars(CASE) == len("Be kind to Ana.{{name}} {{unknown}}Well, Ana")


def test_a_text_is_one_message_and_nothing_that_is_not_set() -> None:
    target = Target.of_draft("draft", [TEXT])
    assert target.request(CASE) == ModelRequest(
        "amazon.nova-pro-v1:0", {"messages": [{"role": "user", "content": [{"text": "{{name}}?"}]}]}
    )
    assert (target.tools, target.max_tokens, target.prompt_chars(CASE)) == ({}, None, 9)


def test_what_a_variant_leaves_out_is_empty() -> None:
    bare = Target("x", "f", {})
    assert (bare.model, bare.variables, bare.tools, bare.max_tokens) == ("", frozenset(), {}, None)
    assert bare.request(CASE) == ModelRequest("", {"messages": []})
    empty = Target("x", "f", {"templateConfiguration": {"text": {}}})
    assert empty.request(CASE) == ModelRequest("", {"messages": [{"role": "user", "content": [{"text": ""}]}]})
    chat = Target("x", "f", {"templateConfiguration": {"chat": {"toolConfiguration": {}, "system": []}}})
    assert chat.request(CASE) == ModelRequest("", {"messages": []})


def test_a_published_version_is_asked_by_its_arn_with_the_variables_that_it_takes() -> None:
    version = PromptVersion(ID, "support", 7, VERSION_ARN, [TEXT, CHAT], default_variant="main")
    target = Target.of_version(version)
    assert target == Target("version 7", fingerprint([TEXT, CHAT]), CHAT, VERSION_ARN)
    assert target.request(CASE) == ModelRequest(
        VERSION_ARN, {"promptVariables": {"name": {"text": "Ana"}, "q": {"text": "{{name}}"}}}
    )


def test_the_guardrail_of_a_version_is_applied_by_arn_and_at_the_desk_alike() -> None:
    guarded = {**TEXT, "metadata": [{"key": "promptlane:guardrail", "value": "gr1:2"}]}
    config = {"guardrailIdentifier": "gr1", "guardrailVersion": "2"}
    published = Target.of_version(PromptVersion(ID, "support", 7, VERSION_ARN, [guarded]))
    draft = Target.of_draft("draft", [guarded])

    assert published.request(CASE).body == {"promptVariables": {"q": {"text": "{{name}}"}}, "guardrailConfig": config}
    assert draft.request(CASE).body["guardrailConfig"] == config
    assert draft.fingerprint != Target.of_draft("draft", [TEXT]).fingerprint
    assert "guardrailConfig" not in Target.of_draft("draft", [TEXT]).request(CASE).body
