"""Prompts as others make them: by the console, CDK, CloudFormation, Terraform and the API, in the shapes that people
publish; each as GetPrompt may return its variants, with what we make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = Any
NOVA = "amazon.nova-lite-v1:0"
NOVA_ARN = f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}"
CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"
PROFILE_ARN = f"arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.{NOVA}"
POINT = {"cachePoint": {"type": "default"}}
TOOL: Json = {
    "toolSpec": {
        "name": "find_order",
        "description": "Finds an order",
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {
                    "OrderId": {"type": "string", "maxLength": 12, "pattern": "^[A-Z0-9-]+$"},
                    "lines": {"type": "array", "items": {"type": "integer", "enum": [1, 2]}, "maxItems": 5},
                },
                "required": ["OrderId"],
                "additionalProperties": False,
            }
        },
    }
}
BY_CLOUDFORMATION: Json = {
    "toolSpec": {
        **TOOL["toolSpec"],
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {
                    "OrderId": {"type": "string", "maxLength": "12", "pattern": "^[A-Z0-9-]+$"},
                    "lines": {"type": "array", "items": {"type": "integer", "enum": ["1", "2"]}, "maxItems": "5"},
                },
                "required": ["OrderId"],
                "additionalProperties": "false",
            }
        },
    }
}


@dataclass(frozen=True)
class Other:
    """A prompt of somebody else. `needs`: the variables that a call gives; `refused`: how admission refuses it."""

    made_by: str
    variant: dict[str, Json] | None
    needs: tuple[str, ...] = ()
    refused: str = ""
    allowed: tuple[str, ...] = ()
    more: dict[str, Json] = field(default_factory=dict)

    @property
    def variants(self) -> list[dict[str, Json]]:
        return [self.variant] if self.variant else []


def text(said: str, *declared: str, name: str = "variant-001", model: str = NOVA, **more: Json) -> dict[str, Json]:
    body: dict[str, Json] = {"text": said}
    if declared:
        body["inputVariables"] = [{"name": one} for one in declared]
    variant = {"name": name, "templateType": "TEXT", "templateConfiguration": {"text": body}, **more}
    return variant | ({"modelId": model} if model else {})


def chat(*, name: str = "Variant1", model: str = NOVA, more: Json = None, **body: Json) -> dict[str, Json]:
    config = {"messages": [{"role": "user", "content": [{"text": "{{question}}"}]}], **body}
    variant = {"name": name, "templateType": "CHAT", "templateConfiguration": {"chat": config}, "modelId": model}
    return {**variant, **(more or {})}


ACCEPTED = (
    Other(
        "the console",
        text(
            "Answer {{question}} about {{product}}.",
            "product",
            "question",
            inferenceConfiguration={"text": {"temperature": 0.699999988079071, "maxTokens": 512, "stopSequences": []}},
            metadata=[{"key": "owner", "value": "help desk"}],
        ),
        ("product", "question"),
        more={"description": "d" * 200, "tags": {"team": "help desk"}},
    ),
    Other("CDK", text("Sum up {{text}}", "text", name="variant1", model=NOVA_ARN), ("text",), allowed=(NOVA,)),
    Other(
        "CDK, with a profile",
        chat(model=PROFILE_ARN, toolConfiguration={"tools": [TOOL], "toolChoice": {"any": {}}}),
        ("question",),
        allowed=(f"us.{NOVA}",),
    ),
    Other("the API, nothing declared", text("Translate {{ sentence }} to {{language}}"), ("language", "sentence")),
    Other("the API, without variables", text("Tell me a joke"), ()),
    Other(
        "Terraform",
        text(
            "Make me a {{genre}} playlist of {{number}} songs.",
            "genre",
            "number",
            name="Variant1",
            inferenceConfiguration={"text": {"maxTokens": 2048, "stopSequences": ["User:"], "topP": 0.9}},
        ),
        ("genre", "number"),
    ),
    Other(
        "the SDK, with cache points everywhere",
        chat(
            system=[{"text": "Long rules."}, POINT],
            messages=[
                {"role": "user", "content": [{"text": "Manual"}, POINT, {"text": "{{question}}"}]},
                {"role": "assistant", "content": [{"text": "{"}]},
            ],
            toolConfiguration={"tools": [TOOL, POINT], "toolChoice": {"tool": {"name": "find_order"}}},
            inputVariables=[{"name": "question"}],
        ),
        ("question",),
    ),
    Other(
        "the SDK, with a cache point behind a text",
        {
            **text("Long rules. {{question}}"),
            "templateConfiguration": {"text": {"text": "Long rules. {{question}}", **POINT}},
        },
        ("question",),
    ),
    Other(
        "the SDK, with fields of the model",
        text(
            "{{question}}",
            "question",
            additionalModelRequestFields={
                "inferenceConfig": {"topK": 20},
                "thinking": {"type": "enabled", "budget_tokens": 1024, "hints": [1.5, None, True, []]},
            },
        ),
        ("question",),
    ),
    Other(
        "a team with many labels",
        text("{{question}}", "question", metadata=[{"key": f"k{i}", "value": "v" * 1024} for i in range(50)]),
        ("question",),
    ),
    Other("a team that writes other letters", text("Größe {{größe}} für {{question}} 🙂", "question"), ("question",)),
)
REFUSED = (
    Other(
        "an agent's console",
        {
            **text("{{question}}", "question", model=""),
            "genAiResource": {"agent": {"agentIdentifier": "arn:aws:bedrock:us-east-1:111122223333:agent-alias/A/B"}},
        },
        refused="names no model (an agent resource is not supported)",
    ),
    Other("the console, before a model was chosen", text("Hi", model=""), refused="names no model"),
    Other("the API, with nothing in it", None, refused="has no variant"),
    Other(
        "the SDK, for conversations",
        chat(system=[{"text": "Be kind"}], messages=[]),
        refused="the prompt has no message of a user",
    ),
    Other(
        "CloudFormation",
        chat(toolConfiguration={"tools": [BY_CLOUDFORMATION]}),
        refused="tool 'find_order': inputSchema.json has text where a number or true/false belongs "
        "(properties.OrderId.maxLength is '12', properties.lines.items.enum is '1', properties.lines.maxItems is '5' "
        "and 1 more), and models refuse such a schema in every call. CloudFormation writes them so",
    ),
    Other("somebody else", text("Hi", model=CLAUDE), allowed=(NOVA_ARN, NOVA), refused="is not among the policy's"),
)


def known(others: tuple[Other, ...]) -> list[str]:
    """Names for parametrized tests."""
    return [other.made_by for other in others]
