"""Tools of prompt.yaml, as CreatePrompt takes them: what it would refuse, or drop, is said at the desk."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Json = Any
CACHE_POINT: Final = {"cachePoint": {"type": "default"}}
"""The block after which Bedrock caches what stands before it; there is one type."""
_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,63}")
_SPEC: Final = ("name", "description", "inputSchema", "strict")


def form_problems(tools: Sequence[Mapping[str, Json]]) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) of each tool's form; the schemas themselves are looked at elsewhere."""
    for i, tool in enumerate(tools):
        path = f"tools[{i}]"
        if tool == CACHE_POINT:
            continue
        spec = tool.get("toolSpec")
        if set(tool) != {"toolSpec"} or not isinstance(spec, Mapping):
            yield path, "must be {toolSpec: {name, description, inputSchema: {json: ...}}} or a cache point"
            continue
        for key in spec:
            if key not in _SPEC:
                yield f"{path}.toolSpec.{key}", f"unknown key; Bedrock keeps {', '.join(_SPEC)}"
        if not isinstance(spec.get("name"), str) or not _NAME.fullmatch(spec["name"]):
            yield f"{path}.toolSpec.name", "must begin with a letter; letters, digits and _ follow, at most 63"
        schema = spec.get("inputSchema")
        if not isinstance(schema, Mapping) or set(schema) != {"json"} or not isinstance(schema["json"], Mapping):
            yield f"{path}.toolSpec.inputSchema", "must be {json: a JSON Schema}"
        if "description" in spec and not (isinstance(spec["description"], str) and spec["description"]):
            yield f"{path}.toolSpec.description", "must be text, not empty"
        if not isinstance(spec.get("strict", True), bool):
            yield f"{path}.toolSpec.strict", "must be true or false"


def choice_problem(choice: Json, tools: Sequence[Mapping[str, Json]]) -> str:
    """What is wrong with `tool_choice`; empty where nothing is."""
    names = [
        str(spec["name"]) for tool in tools if isinstance(spec := tool.get("toolSpec"), Mapping) and "name" in spec
    ]
    if not isinstance(choice, str):
        return "must be auto, any or the name of a tool"
    if not names:
        return "chooses among `tools`, and there are none; add them or remove it"
    if choice not in ("auto", "any", *names):
        return f"is {choice[:64]!r}; it must be auto, any or the name of a tool ({', '.join(names[:10])})"
    return ""
