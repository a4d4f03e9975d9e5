"""Whether the patterns and schemas of a suite may be evaluated at all, and mean what they seem to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from promptlane.domain import limits

from . import sandbox
from .kinds import Ungradable
from .patterns import foreign
from .schemas import unchecked

Json = Any


def pattern_problems(pattern: str) -> Iterator[str]:
    """What is wrong with a regular expression."""
    shown = repr(pattern if len(pattern) <= 200 else pattern[:200] + "…")
    if meant_otherwise := list(dict.fromkeys(foreign(pattern))):
        yield f"regular expression {shown}: {'; '.join(meant_otherwise[:3])}"
        return
    try:
        if error := sandbox.pattern_error(pattern):
            yield f"{shown} is not a valid regular expression: {error}"
    except Ungradable as error:
        yield f"regular expression {shown} {error}"


def schema_problems(schema: Json, path: str) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) of a JSON Schema that stands at `path`."""
    found = [(f"{path}.{place}" if place else path, problem) for place, problem in limits.schema_problems(schema)]
    found += [] if found else unchecked(schema, path)
    yield from found
    if found:
        return
    try:
        if error := sandbox.schema_error(schema):
            yield path, f"is not a valid JSON Schema: {error}"
    except Ungradable as error:
        yield path, f"is no JSON Schema that can be evaluated: {error}"


def is_number(value: Json) -> bool:
    """Whether a threshold or weight can be reckoned with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**limits.MAX_DIGITS


def chars_of(value: Json, known: dict[int, int]) -> int:
    """About how many characters a value has when it is written; `known` remembers lists and mappings by identity."""
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, Mapping | list):
        return 8
    if id(value) not in known:
        known[id(value)] = len(json.dumps(value, default=str))
    return known[id(value)]
