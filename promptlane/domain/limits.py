"""What data of others may cost: limits of texts, JSON, JSON Schemas and patterns, and what keeps to them.

Suites, tools, output schemas and answers are data that somebody else wrote. Here is told without running any of it
whether it is small enough to be read at all; what it costs to evaluate is bounded by engine/sandbox.py, whose limits
stand here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from .text import shortened

Json = Any

MAX_DEPTH: Final = 100
"""Lists and mappings within one another, in a file, a body or an answer."""
MAX_VALUES: Final = 1_000_000
"""Values in one file of cases."""
MAX_DIGITS: Final = 40
"""Digits of one number. No setting of ours, and no price, has more."""

MAX_ASSERTIONS: Final = 200_000
"""Assertions of one suite, those of templates as often as a case refers to them."""
MAX_SETS: Final = 10
"""Sets of assertions within one another."""
MAX_SUITE_CHARS: Final = 60_000_000
"""Characters of a suite with every case written out, as it is deployed."""

MAX_PATTERN: Final = 10_000
"""Characters of one regular expression."""

SCHEMA_DEPTH: Final = 50
SCHEMA_VALUES: Final = 20_000
SCHEMA_CHARS: Final = 500_000
SCHEMA_CHAIN: Final = 50
"""References and combinations (`allOf`, `if`, …) that lead from one schema to the next for one and the same value."""
SCHEMA_STEPS: Final = 10_000
"""Schemas that one and the same value is held against, each as often as a reference leads to it."""

EVALUATION_SECONDS: Final = 1.0
"""Processor time that one regular expression, or one schema, may take on one answer."""
COMPILE_SECONDS: Final = 0.5
"""The same for reading it, when a suite is loaded."""
WALL_FACTOR: Final = 5.0
"""A busy machine may take so many times as long, before it counts as hanging."""
EVALUATION_MIB: Final = 96
"""Memory that an evaluation may take besides the interpreter."""

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_METASCHEMAS: Final = frozenset(
    [f"json-schema.org/draft-0{n}/schema" for n in (3, 4, 6, 7)]
    + [f"json-schema.org/draft/{year}/schema" for year in ("2019-09", "2020-12")]
)
_IN_PLACE_LISTS: Final = ("allOf", "anyOf", "oneOf", "extends", "type", "disallow")
_IN_PLACE: Final = ("not", "if", "then", "else", "extends")
_IN_PLACE_BY_NAME: Final = ("dependentSchemas", "dependencies")
_PLACE_CHARS: Final = 120


def depth_of(value: Json, most: int = MAX_DEPTH) -> int:
    """How many lists and mappings lie within one another; not looked for beyond `most` + 1."""
    level, depth = [value], 0
    while True:
        held = [v for v in level if isinstance(v, Mapping | list | tuple)]
        if not held or depth > most:
            return depth
        depth += 1
        level = [inner for v in held for inner in (v.values() if isinstance(v, Mapping) else v)]


def pattern_problem(pattern: str) -> str:
    """Why a regular expression is too large to be compiled; empty when it is not."""
    if len(pattern) > MAX_PATTERN:
        return f"has {len(pattern):,} characters; at most {MAX_PATTERN:,} are compiled"
    return ""


def schema_problems(schema: Json) -> Iterator[tuple[str, str]]:
    """(place within the schema, what is wrong) of a JSON Schema that must not be evaluated.

    Nothing is ever fetched: a reference leads within the schema, and `$schema` names a metaschema that is known here.
    """
    found = list(_foreign_and_large(schema))
    yield from found
    if not found and isinstance(schema, Mapping):
        yield from _Steps(schema).problems()


def _foreign_and_large(schema: Json) -> Iterator[tuple[str, str]]:
    stack: list[tuple[str, Json, int]] = [("", schema, 0)]
    values = chars = 0
    while stack:
        place, value, depth = stack.pop()
        values += 1
        if isinstance(value, str):
            chars += len(value)
        elif isinstance(value, int | float) and not abs(value) < 10**MAX_DIGITS:
            yield place, f"holds a number of more than {MAX_DIGITS} digits, or none at all"
        elif isinstance(value, Mapping | list | tuple):
            inner = value.items() if isinstance(value, Mapping) else enumerate(value)
            chars += sum(len(str(key)) for key in value) if isinstance(value, Mapping) else 0
            if depth >= SCHEMA_DEPTH:
                yield place, f"is nested deeper than {SCHEMA_DEPTH} levels"
                return
            if isinstance(value, Mapping):
                yield from _own_problems(value, place)
            stack += [(_below(place, key), child, depth + 1) for key, child in reversed([*inner])]
        if values + len(stack) > SCHEMA_VALUES or chars > SCHEMA_CHARS:
            yield "", f"is larger than {SCHEMA_VALUES:,} values or {SCHEMA_CHARS:,} characters"
            return


def _below(place: str, key: object) -> str:
    here = f"{place}[{key}]" if isinstance(key, int) else f"{place}.{key}" if place else str(key)
    return shortened(here, _PLACE_CHARS)


def _own_problems(schema: Mapping[str, Json], place: str) -> Iterator[tuple[str, str]]:
    for key in _REFERENCES:
        target = schema.get(key)
        if isinstance(target, str) and not target.startswith("#"):
            said = shortened(target, _PLACE_CHARS)
            yield place, f"{key} {said!r} points outside the schema; nothing is fetched, write it out"
    named = schema.get("$schema")
    if isinstance(named, str) and named.partition("://")[2].removesuffix("#") not in _METASCHEMAS:
        said = shortened(named, _PLACE_CHARS)
        yield place, f"$schema {said!r} names no draft that is known here; nothing is fetched, name a draft or none"
    patterns = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
    if isinstance(schema.get("patternProperties"), Mapping):
        patterns += [str(key) for key in schema["patternProperties"]]
    for pattern in patterns:
        if problem := pattern_problem(pattern):
            yield place, f"pattern {shortened(pattern, 60)!r} {problem}"


class _Steps:
    """How many schemas one value is held against, at most."""

    def __init__(self, root: Mapping[str, Json]) -> None:
        self._root = root
        self._anchors = dict(_anchors(root))
        self._known: dict[int, int] = {}
        self._open: set[int] = set()

    def problems(self) -> Iterator[tuple[str, str]]:
        for place, schema in _subschemas(self._root):
            try:
                steps = self._of(schema, 0)
            except _Endless as error:
                yield place, str(error)
                return
            if steps > SCHEMA_STEPS:
                yield place, f"is looked through more than {SCHEMA_STEPS:,} times for one value; simplify it"
                return

    def _of(self, schema: Mapping[str, Json], chain: int) -> int:
        me = id(schema)
        if me in self._open:
            raise _Endless("refers to itself without going into the value, so it would never end")
        if chain > SCHEMA_CHAIN:
            raise _Endless(f"leads over more than {SCHEMA_CHAIN} references for one value; write it out")
        if me not in self._known:
            self._open.add(me)
            steps = 1 + sum(self._of(s, chain + 1) for s in self._in_place(schema) if isinstance(s, Mapping))
            self._open.discard(me)
            self._known[me] = min(steps, SCHEMA_STEPS + 1)
        return self._known[me]

    def _in_place(self, schema: Mapping[str, Json]) -> Iterator[Json]:
        for key in _REFERENCES:
            if isinstance(target := schema.get(key), str):
                yield self._target(target)
        for key in _IN_PLACE_LISTS:
            if isinstance(listed := schema.get(key), list | tuple):
                yield from listed
        for key in _IN_PLACE:
            yield schema.get(key)
        for key in _IN_PLACE_BY_NAME:
            if isinstance(named := schema.get(key), Mapping):
                yield from named.values()

    def _target(self, reference: str) -> Json:
        from urllib.parse import unquote

        pointer = unquote(reference.removeprefix("#"))
        if not pointer.startswith("/"):
            return self._anchors.get(pointer) if pointer else self._root
        at: Json = self._root
        for part in pointer[1:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(at, Mapping):
                at = at.get(key)
            elif isinstance(at, Sequence) and not isinstance(at, str) and key.isascii() and key.isdigit():
                at = at[int(key)] if len(key) < 6 and int(key) < len(at) else None
            else:
                return None
        return at


class _Endless(Exception):
    """A schema that cannot be walked through."""


def _subschemas(schema: Json) -> Iterator[tuple[str, Mapping[str, Json]]]:
    stack: list[tuple[str, Json]] = [("", schema)]
    while stack:
        place, value = stack.pop()
        if isinstance(value, Mapping):
            yield place, value
        if isinstance(value, Mapping | list | tuple):
            inner = value.items() if isinstance(value, Mapping) else enumerate(value)
            stack += [(_below(place, key), child) for key, child in inner]


def _anchors(root: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    for _, schema in _subschemas(root):
        for key in ("$anchor", "$dynamicAnchor"):
            if isinstance(schema.get(key), str):
                yield schema[key], schema
        for key in ("$id", "id"):
            if isinstance(named := schema.get(key), str) and named.startswith("#"):
                yield named[1:], schema
