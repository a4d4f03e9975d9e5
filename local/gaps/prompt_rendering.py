"""What Bedrock does with a prompt as `modelId`: refuse forbidden fields, fill in the variables, append the messages."""

from __future__ import annotations

import re
from typing import Any

from local.gaps import prompts

FORBIDDEN = ("additionalModelRequestFields", "inferenceConfig", "system", "toolConfig")
PASSED_ON = ("guardrailConfig", "performanceConfig", "requestMetadata", "additionalModelResponseFieldPaths")
_VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_.-]{1,100})\s*\}\}")


def render(record: dict[str, Any], body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """(model id, Converse body) of a stored prompt version for one request. Raises prompts.Refused.

    Variables must be given exactly: a missing and an unknown one are both errors that name it."""
    if forbidden := [name for name in FORBIDDEN if name in body]:
        raise prompts.invalid(f"{', '.join(forbidden)} cannot be specified when a prompt resource is the modelId.")
    variant = _variant(record)
    if not variant.get("modelId"):
        raise prompts.invalid(f"Prompt {record['Arn']} names no model.")
    given = _given(body.get("promptVariables") or {})
    template = variant.get("templateConfiguration") or {}
    used: set[str] = set()

    def fill(text: str) -> str:
        used.update(_VARIABLE.findall(text))
        return _VARIABLE.sub(lambda match: given.get(match[1], ""), text)

    def blocks(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"text": fill(block["text"])} if "text" in block else block for block in content]

    rendered: dict[str, Any] = {}
    if chat := template.get("chat"):
        rendered["messages"] = [{"role": m["role"], "content": blocks(m["content"])} for m in chat.get("messages", [])]
        if chat.get("system"):
            rendered["system"] = blocks(chat["system"])
        if chat.get("toolConfiguration"):
            rendered["toolConfig"] = chat["toolConfiguration"]
        declared = chat.get("inputVariables")
    else:
        text = template.get("text") or {}
        point = [{"cachePoint": text["cachePoint"]}] if text.get("cachePoint") else []
        rendered["messages"] = [{"role": "user", "content": [{"text": fill(text.get("text", ""))}, *point]}]
        declared = text.get("inputVariables")
    _check_variables(used | {variable["name"] for variable in declared or []}, set(given))
    rendered["messages"] += body.get("messages") or []
    if inference := (variant.get("inferenceConfiguration") or {}).get("text"):
        rendered["inferenceConfig"] = inference
    if variant.get("additionalModelRequestFields"):
        rendered["additionalModelRequestFields"] = variant["additionalModelRequestFields"]
    return variant["modelId"], rendered | {name: body[name] for name in PASSED_ON if name in body}


def _variant(record: dict[str, Any]) -> dict[str, Any]:
    variants: list[dict[str, Any]] = record.get("Variants") or []
    chosen = next((v for v in variants if v.get("name") == record.get("DefaultVariant")), None)
    found = chosen or (variants[0] if variants else None)
    if found is None:
        raise prompts.invalid(f"Prompt {record['Arn']} has no variant.")
    return found


def _given(variables: Any) -> dict[str, str]:
    if not isinstance(variables, dict) or not all(
        isinstance(value, dict) and isinstance(value.get("text"), str) for value in variables.values()
    ):
        raise prompts.invalid("promptVariables must map each variable's name to {'text': string}.")
    return {name: value["text"] for name, value in variables.items()}


def _check_variables(wanted: set[str], given: set[str]) -> None:
    if missing := sorted(wanted - given):
        raise prompts.invalid(f"Missing value for prompt variable(s): {', '.join(missing)}.")
    if unknown := sorted(given - wanted):
        raise prompts.invalid(f"Unknown prompt variable(s): {', '.join(unknown)}.")
