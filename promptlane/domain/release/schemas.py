"""The JSON Schemas of a version: of its tools, and of the output that it asks a model for.

They are evaluated when tests run, and a model's provider may evaluate them too: nothing in them may lead outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from promptlane.domain.limits import depth_of, schema_problems
from promptlane.domain.text import shortened

Json = Any
_FIELDS: Final = ("additionalModelRequestFields", "outputConfig")
"""What of a variant goes to the model as it is, an output schema with it."""
_TEXTS: Final = frozenset({"schema", "outputSchema", "jsonSchema", "json_schema", "input_schema"})
"""Fields whose text may be a schema that is written as JSON."""
_NUMBERS: Final = frozenset(
    f"{bound}{of}" for bound in ("min", "max") for of in ("imum", "Length", "Items", "Properties", "Contains")
) | {"exclusiveMaximum", "exclusiveMinimum", "multipleOf"}
_FLAGS: Final = frozenset(("uniqueItems", "deprecated", "readOnly", "writeOnly", "nullable"))
_SCHEMAS: Final = frozenset(
    [f"{which}{of}" for which in ("additional", "unevaluated") for of in ("Items", "Properties")]
    + ["items", "contains", "propertyNames", "not", "if", "then", "else", "contentSchema"]
)
_NAMED_SCHEMAS: Final = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
_LISTED_SCHEMAS: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems", "items"))
_NO_TEXTS: Final = ("integer", "number", "boolean")
_SHOWN: Final = 3


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
        found = list(schema_problems(held))
        yield from (f"{called}: inputSchema.json{_at(place)} {problem}" for place, problem in found)
        if not found and (texts := list(_texts_for_values(held))):
            shown = ", ".join(f"{shortened(place, 80)} is {shortened(text, 20)!r}" for place, text in texts[:_SHOWN])
            more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
            yield (
                f"{called}: inputSchema.json has text where a number or true/false belongs ({shown}{more}), and models "
                "refuse such a schema in every call. CloudFormation writes them so: publish by `promptlane publish`, "
                "the API or the console, or take them out of the stack's schema"
            )


def _texts_for_values(schema: Json) -> Iterator[tuple[str, str]]:
    """(place, text) of what is text and must be a number, true, false or a schema. What is free data is left alone."""
    stack: list[tuple[str, Json]] = [("", schema)]
    while stack:
        place, value = stack.pop()
        if isinstance(value, str) and place:
            yield place, value
        if not isinstance(value, Mapping):
            continue
        inner: list[tuple[str, Json]] = []
        for key, held in value.items():
            here = f"{place}.{key}" if place else str(key)
            if key in _NUMBERS or key in _FLAGS:
                inner += [(here, held)] if isinstance(held, str) else []
            elif key in _NAMED_SCHEMAS and isinstance(held, Mapping):
                inner += [(f"{here}.{name}", schema) for name, schema in held.items()]
            elif key in _LISTED_SCHEMAS and isinstance(held, list | tuple):
                inner += [(f"{here}[{i}]", schema) for i, schema in enumerate(held)]
            elif key in _SCHEMAS:
                inner.append((here, held))
            elif key in ("enum", "const") and value.get("type") in _NO_TEXTS:
                listed = held if key == "enum" and isinstance(held, list | tuple) else [held]
                inner += [(here, one) for one in listed if isinstance(one, str)][:1]
        stack += reversed(inner)


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
