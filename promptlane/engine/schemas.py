"""Whether a JSON Schema of a suite says what its author meant: what a validator would pass over proves nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .kinds import did_you_mean

Json = Any
FORMATS: Final = ("date", "date-time", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uri-reference", "uuid")
"""What `format` may name: these are checked. All others would be passed over."""

_ONE: Final = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_MANY: Final = frozenset(["allOf", "anyOf", "items", "oneOf", "prefixItems"])
_NAMED: Final = frozenset(
    {
        "$defs",
        "definitions",
        "dependencies",
        "dependentSchemas",
        "patternProperties",
        "properties",
    }
)
_ASSERTING: Final = frozenset(
    {
        "$dynamicRef",
        "$recursiveRef",
        "$ref",
        "const",
        "dependentRequired",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "required",
        "type",
        "uniqueItems",
    }
)
_NOTING: Final = frozenset(
    {
        "$anchor",
        "$comment",
        "$dynamicAnchor",
        "$id",
        "$recursiveAnchor",
        "$schema",
        "$vocabulary",
        "contentEncoding",
        "contentMediaType",
        "default",
        "deprecated",
        "description",
        "examples",
        "id",
        "readOnly",
        "title",
        "writeOnly",
    }
)
KEYWORDS: Final = tuple(sorted(_ONE | _MANY | _NAMED | _ASSERTING | _NOTING))
"""Of the drafts 4 to 2020-12."""


def unchecked(schema: Json, path: str) -> Iterator[tuple[str, str]]:
    """(path, what) of every keyword and format in a schema at `path` that would check nothing."""
    waiting = [(path, schema)]
    while waiting:
        at, here = waiting.pop()
        if not isinstance(here, Mapping):
            continue
        for key, value in here.items():
            if key not in KEYWORDS:
                yield (
                    f"{at}.{key}",
                    f"is no keyword of JSON Schema and would check nothing{did_you_mean(key, KEYWORDS)}",
                )
            elif key == "format" and value not in FORMATS:
                known = ", ".join(FORMATS)
                yield f"{at}.format", f"is {value!r}, which nothing checks; known are {known}; or write a `pattern`"
        waiting += reversed([*_inner(here, at)])


def _inner(schema: Mapping[str, Json], at: str) -> Iterator[tuple[str, Json]]:
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            yield from ((f"{at}.{key}.{name}", held) for name, held in value.items())
        elif key in _MANY and isinstance(value, list):
            yield from ((f"{at}.{key}[{i}]", held) for i, held in enumerate(value))
        elif key in _ONE:
            yield f"{at}.{key}", value
