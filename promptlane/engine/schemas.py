"""Whether a JSON Schema of a suite says what its author meant: what a validator would pass over proves nothing."""

from __future__ import annotations

import re
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
NEWEST: Final = 2020
_FIRST: Final[Mapping[str, int]] = {
    **dict.fromkeys(("const", "contains", "examples", "propertyNames"), 6),
    **dict.fromkeys(("if", "then", "else", "contentEncoding", "contentMediaType", "readOnly", "$comment"), 7),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "maxContains", "minContains"), 2019),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties", "$recursiveRef"), 2019),
    **dict.fromkeys(("prefixItems", "$dynamicRef"), 2020),
}
"""The draft that brought a keyword, where it was not the fourth."""
_LAST: Final[Mapping[str, tuple[int, str]]] = {
    "dependencies": (7, "dependentRequired"),
    "additionalItems": (2019, "items"),
    "$recursiveRef": (2019, "$dynamicRef"),
}
"""The last draft that had it, and what stands in its place."""
_DRAFT: Final = re.compile(r"draft(?:/|-0?)(\d+)")


def draft_of(schema: Json) -> int:
    """The draft that a schema names: 4, 6, 7, 2019 or 2020; the newest where it names none."""
    named = str(schema.get("$schema", "")) if isinstance(schema, Mapping) else ""
    found = _DRAFT.search(named)
    return int(found[1]) if found else NEWEST


def _passed_over(key: str, value: Json, draft: int) -> str:
    """Why a validator of this draft would pass over a keyword of another; empty where it would not."""
    if key == "items" and isinstance(value, list) and draft == NEWEST:
        return "is a list up to draft 2019 only; name that as `$schema`, or write prefixItems"
    if draft < _FIRST.get(key, 0):
        return (
            f"is no keyword of draft {draft} yet, which `$schema` names, and would check nothing; leave `$schema` out"
        )
    last, instead = _LAST.get(key, (NEWEST, ""))
    if draft > last:
        return (
            f"is a keyword up to draft {last} only and would check nothing; name that as `$schema`, or write {instead}"
        )
    return ""


def unchecked(schema: Json, path: str) -> Iterator[tuple[str, str]]:
    """(path, what) of every keyword and format in a schema at `path` that would check nothing."""
    draft = draft_of(schema)
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
            elif passed_over := _passed_over(key, value, draft):
                yield f"{at}.{key}", passed_over
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
