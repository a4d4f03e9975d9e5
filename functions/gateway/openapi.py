"""The OpenAPI document that the gateway serves. A test checks every operation and limit in it against the code."""

from __future__ import annotations

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


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties) if required is None else required,
        "additionalProperties": False,
    }


def _operation(summary: str, request: str | None, response: str, statuses: dict[int, str], **more: Any) -> Any:
    found: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": _ref(response)}}},
            **{
                str(status): {
                    "description": text,
                    "content": {"application/problem+json": {"schema": _ref("Problem")}},
                }
                for status, text in statuses.items()
            },
        },
        **more,
    }
    if request:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(request)}}}
    return found


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_BODY = {400: "The body is not JSON", 413: "The body is too large", 415: "Not JSON", 422: "A field is wrong"}
_ROUTE = {404: "No such prompt", 503: "The route cannot be read"}

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Promptlane gateway",
        "version": "1",
        "description": "Answers with the version of a prompt that a unit gets. Signed with SigV4 for execute-api. "
        "Every request ends within 28 s.",
    },
    "paths": {
        "/prompts/{prompt}/converse": {
            "post": _operation(
                "Answer with the version that this unit gets",
                "ConverseRequest",
                "ConverseAnswer",
                {
                    **_BODY,
                    **_ROUTE,
                    422: "A field is wrong, or Bedrock does not accept the request",
                    429: "The model's quota is used up",
                    502: "The model failed",
                    504: "Too slow",
                },
                operationId="converse",
                parameters=[_PROMPT],
            )
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
            }
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
                    "stop_reason": _TEXT,
                    "usage": {"type": "object"},
                    "prompt": _TEXT,
                    "version": {"type": "integer"},
                    "track": _TRACK,
                    "release_id": _TEXT,
                    "shielded": {"type": "boolean", "description": "Stable answered for a canary that was chosen."},
                    "receipt": {"type": ["string", "null"], "description": "Pass it to /feedback."},
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
