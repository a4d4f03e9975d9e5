"""The JSON Schemas of a version: of its tools, and of the output that it asks a model for.

They are evaluated when tests run, and a model's provider may evaluate them too: nothing in them may lead outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from promptlane.domain.limits import depth_of, schema_problems

Json = Any
_FIELDS: Final = ("additionalModelRequestFields", "outputConfig")
"""What of a variant goes to the model as it is, an output schema with it."""
_TEXTS: Final = frozenset({"schema", "outputSchema", "jsonSchema", "json_schema", "input_schema"})
"""Fields whose text may be a schema that is written as JSON."""


def version_schema_problems(variants: Sequence[Mapping[str, Json]]) -> Iterator[str]:
    """What is wrong with the schemas of a version; each sentence names where it stands and what to do."""
    for variant in variants:
        config = variant.get("templateConfiguration")
        chat = config.get("chat") if isinstance(config, Mapping) else None
        given = chat.get("toolConfiguration") if isinstance(chat, Mapping) else None
        yield from tool_problems((given.get("tools") if isinstance(given, Mapping) else None) or [])
        for field in _FIELDS:
            yield from field_problems(variant.get(field), field)


def tool_problems(tools: Sequence[Json]) -> Iterator[str]:
    """The same of tools, as Bedrock takes them."""
    for i, tool in enumerate(tools):
        spec = tool.get("toolSpec") if isinstance(tool, Mapping) else None
        spec = spec if isinstance(spec, Mapping) else {}
        schema = spec.get("inputSchema")
        held = schema.get("json") if isinstance(schema, Mapping) else None
        called = f"tool {str(spec.get('name', i))[:100]!r}"
        for place, problem in schema_problems(held):
            yield f"{called}: inputSchema.json{_at(place)} {problem}"


def field_problems(data: Json, field: str) -> Iterator[str]:
    """The same of fields that go to the model as they are."""
    for place, problem in schema_problems(data):
        yield f"{field}{_at(place)} {problem}"
    if depth_of(data) > 50:
        return
    stack = [(field, data)]
    while stack:
        place, value = stack.pop()
        if isinstance(value, list | tuple):
            stack += [(f"{place}[{i}]", inner) for i, inner in enumerate(value)]
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                here = f"{place}.{key}"
                if key in _TEXTS and isinstance(inner, str) and inner.lstrip().startswith(("{", "[")):
                    yield from _text_problems(inner, here)
                elif isinstance(inner, Mapping | list | tuple):
                    stack.append((here, inner))


def _text_problems(text: str, place: str) -> Iterator[str]:
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield f"{place} is not a JSON Schema: {error or 'it is nested too deeply'}"
        return
    for within, problem in schema_problems(schema):
        yield f"{place}{_at(within)} {problem}"


def _at(place: str) -> str:
    return "" if not place else place if place.startswith("[") else f".{place}"
