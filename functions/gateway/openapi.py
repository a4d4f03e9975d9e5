"""The OpenAPI document that the gateway serves. A test checks every operation and limit in it against the code."""

from __future__ import annotations

import json
from typing import Any

from promptlane.domain.split import MAX_UNIT_BYTES

from .requests import MAX_MESSAGES

_TEXT: dict[str, Any] = {"type": "string"}
_UNIT: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_UNIT_BYTES,
    "description": "What traffic is split by: a user or session id. At most 1,024 bytes of UTF-8.",
}
_PROMPT = {
    "name": "prompt",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "The prompt's name or id.",
}
_TEXTS = {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Text"}}
_TRACK = {"type": "string", "enum": ["stable", "canary", "holdback"]}
_ANSWERED = {
    "stop_reason": _TEXT,
    "usage": {"type": "object"},
    "prompt": _TEXT,
    "version": {"type": "integer"},
    "track": _TRACK,
    "release_id": _TEXT,
    "shielded": {"type": "boolean", "description": "Stable answered for a canary that was chosen."},
    "receipt": {"type": ["string", "null"], "description": "Pass it to /feedback."},
}


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties) if required is None else required,
        "additionalProperties": False,
    }


_ASKED: dict[str, Any] = {
    "unit": "user-4711",
    "variables": {"customer_name": "Ana", "retrieved_context": "Returns: 30 days.", "question": "Can I return shoes?"},
}
_VERSION: dict[str, Any] = {
    "prompt": "support-assistant",
    "version": 3,
    "track": "stable",
    "release_id": "ABCDEFGHIJ-3-1",
}
_ENDED: dict[str, Any] = {
    "stop_reason": "end_turn",
    "usage": {"inputTokens": 212, "outputTokens": 9, "totalTokens": 221},
    **_VERSION,
    "shielded": False,
    "receipt": "AwFBQkNERUZHSElK…",
}
_PROBLEM: dict[str, Any] = {
    "type": "urn:promptlane:problem:invalid-variables",
    "title": "Invalid variables",
    "status": 422,
    "detail": "support-assistant needs question; it declares: customer_name, question, retrieved_context",
    "missing": ["question"],
}
_EXAMPLES: dict[str, Any] = {
    "ConverseRequest": _ASKED,
    "ConverseAnswer": {
        "text": "Yes, within 30 days.",
        "content": [{"text": "Yes, within 30 days."}],
        **_ENDED,
    },
    "Route": {
        **_VERSION,
        "version_arn": "arn:aws:bedrock:eu-west-1:111122223333:prompt/ABCDEFGHIJ:3",
        "revision": 17,
        "guardrail": None,
    },
    "Feedback": {"receipt": _ENDED["receipt"], "positive": False},
    "FeedbackCounted": {"counted": True},
}
_STREAMED = "".join(
    f"event: {kind}\ndata: {json.dumps(data)}\n\n"
    for kind, data in (
        ("text", {"text": "Yes, "}),
        ("text", {"text": "within 30 days."}),
        ("end", {**_ENDED, "tool_uses": []}),
    )
)


def _operation(summary: str, request: str | None, response: str, statuses: dict[int, str], **more: Any) -> Any:
    found: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {
                "description": "OK",
                "content": {"application/json": {"schema": _ref(response), "example": _EXAMPLES[response]}},
            },
            **_problems(statuses),
        },
        **more,
    }
    if request:
        found["requestBody"] = _request(request)
    return found


def _problems(statuses: dict[int, str]) -> dict[str, Any]:
    def content(status: int) -> dict[str, Any]:
        example = {"example": _PROBLEM} if status == _PROBLEM["status"] else {}
        return {"application/problem+json": {"schema": _ref("Problem"), **example}}

    return {str(status): {"description": text, "content": content(status)} for status, text in statuses.items()}


def _request(name: str) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _ref(name), "example": _EXAMPLES[name]}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_BODY = {400: "The body is not JSON", 413: "The body is too large", 415: "Not JSON", 422: "A field is wrong"}
_MODEL = {
    422: "A field is wrong, or Bedrock does not accept the request",
    429: "The model's quota is used up",
    502: "The model failed",
    504: "Too slow",
}
_ROUTE = {404: "No such prompt", 503: "The route cannot be read"}

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Promptlane gateway",
        "version": "1",
        "description": "Answers with the version of a prompt that a unit gets. Signed with SigV4 for execute-api. "
        "Every request ends within 28 s, but for streamed ones, which have an address of their own.",
    },
    "servers": [
        {
            "url": "https://{api}.execute-api.{region}.amazonaws.com",
            "description": "The stack output GatewayUrl",
            "variables": {"api": {"default": "api"}, "region": {"default": "eu-west-1"}},
        }
    ],
    "paths": {
        "/prompts/{prompt}/converse": {
            "post": _operation(
                "Answer with the version that this unit gets",
                "ConverseRequest",
                "ConverseAnswer",
                {**_BODY, **_ROUTE, **_MODEL},
                operationId="converse",
                parameters=[_PROMPT],
            )
        },
        "/prompts/{prompt}/stream": {
            "servers": [
                {
                    "url": "https://{address}.lambda-url.{region}.on.aws",
                    "description": "The stack output StreamUrl, where promptlane:streams is set",
                    "variables": {"address": {"default": "address"}, "region": {"default": "eu-west-1"}},
                }
            ],
            "post": {
                "summary": "Answer as it comes, with the version that this unit gets",
                "description": "Server-sent events, signed with SigV4 for lambda. `text` has a piece of the answer; "
                "the last event is `end`, or `error` with problem details where the answer broke: without `end` it is "
                "not whole. Comments keep the connection alive. An application's own address is for its own prompts.",
                "operationId": "stream",
                "parameters": [_PROMPT],
                "requestBody": _request("ConverseRequest"),
                "security": [{"sigv4_lambda": []}],
                "responses": {
                    "200": {
                        "description": "OK",
                        "content": {"text/event-stream": {"schema": _TEXT, "example": _STREAMED}},
                        "x-events": {"text": _ref("Text"), "end": _ref("StreamEnd"), "error": _ref("Problem")},
                    },
                    **_problems({**_BODY, **_ROUTE, **_MODEL, 403: "Another application's address, or no permission"}),
                },
            },
        },
        "/prompts/{prompt}/route": {
            "get": _operation(
                "Which version this unit gets, without calling it",
                None,
                "Route",
                {400: "The prompt's name is none", 422: "The unit is wrong", **_ROUTE},
                operationId="route",
                parameters=[_PROMPT, {"name": "unit", "in": "query", "required": True, "schema": _UNIT}],
            )
        },
        "/feedback": {
            "post": _operation(
                "Count feedback on an answer: once for each unit and hour of its answers",
                "Feedback",
                "FeedbackCounted",
                {**_BODY, 403: "The receipt is not ours or too old", 503: "Not counted now; try again"},
                operationId="feedback",
            )
        },
        "/openapi.json": {
            "get": {"summary": "This document", "operationId": "openapi", "responses": {"200": {"description": "OK"}}}
        },
    },
    "components": {
        "securitySchemes": {
            "sigv4": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "x-amazon-apigateway-authtype": "awsSigv4",
            },
            "sigv4_lambda": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "description": "AWS Signature Version 4 for the service lambda",
            },
        },
        "schemas": {
            "ConverseRequest": _object(
                {
                    "unit": _UNIT,
                    "variables": {"type": "object", "additionalProperties": _TEXT, "maxProperties": 20},
                    "messages": {
                        "type": "array",
                        "maxItems": MAX_MESSAGES,
                        "items": _object(
                            {"role": {"type": "string", "enum": ["user", "assistant"]}, "content": _TEXTS}
                        ),
                    },
                },
                ["unit"],
            ),
            "Text": _object({"text": _TEXT}),
            "ConverseAnswer": _object(
                {
                    "text": _TEXT,
                    "content": {"type": "array", "items": {"type": "object"}},
                    **_ANSWERED,
                }
            ),
            "StreamEnd": _object(
                {
                    **_ANSWERED,
                    "tool_uses": {
                        "type": "array",
                        "items": _object({"toolUseId": _TEXT, "name": _TEXT, "input": {}}),
                        "description": "The uses of tools that the answer asks for.",
                    },
                }
            ),
            "Route": _object(
                {
                    "prompt": _TEXT,
                    "version": {"type": "integer"},
                    "version_arn": _TEXT,
                    "track": _TRACK,
                    "release_id": _TEXT,
                    "revision": {"type": "integer"},
                    "guardrail": {
                        "type": ["object", "null"],
                        "properties": {"guardrailIdentifier": _TEXT, "guardrailVersion": _TEXT},
                        "description": "Pass it as guardrailConfig to Converse: the version was tested behind it.",
                    },
                }
            ),
            "Feedback": _object({"receipt": _TEXT, "positive": {"type": "boolean"}}),
            "FeedbackCounted": _object({"counted": {"type": "boolean"}}),
            "Problem": {
                "type": "object",
                "properties": {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
                "required": ["type", "title", "status", "detail"],
            },
        },
    },
    "security": [{"sigv4": []}],
}
