"""What is told of a pattern or a schema before it is read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain import limits
from promptlane.domain.limits import depth_of, pattern_problem, schema_problems

Json = Any


def nested(levels: int, leaf: Json = 1) -> Json:
    for i in range(levels):
        leaf = [leaf] if i % 2 else {"a": leaf}
    return leaf


@given(st.integers(0, 120))
def test_depth_is_counted_as_far_as_it_matters(levels: int) -> None:
    assert depth_of(nested(levels)) == min(levels, limits.MAX_DEPTH + 1)
    assert depth_of([1, nested(levels), {}], 500) == levels + 1 if levels else True


def test_a_pattern_is_refused_for_its_length() -> None:
    assert pattern_problem("a" * 10_000) == ""
    assert pattern_problem("a" * 10_001) == "has 10,001 characters; at most 10,000 are compiled"


GOOD: list[Json] = [
    True,
    {},
    {"type": "object", "properties": {"$ref": {"type": "string"}, "a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {}}},
    {"$schema": "http://json-schema.org/draft-07/schema#"},
    {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/order"},
    {"$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"},
    {"properties": {"child": {"$ref": "#"}}},
    {"$anchor": "me", "items": {"anyOf": [{"$ref": "#me"}, {"type": "null"}]}},
    {"allOf": [{"$ref": "#/$defs/none"}]},
    {"patternProperties": {"^[a-z]{2,8}$": {"pattern": "^x{1,100}$"}}},
    {"definitions": {"a/b": {"type": "null"}}, "$ref": "#/definitions/a~1b"},
    {"const": 10**39},
]


@pytest.mark.parametrize("schema", GOOD, ids=range(len(GOOD)))
def test_a_schema_that_people_write_is_fine(schema: Json) -> None:
    assert list(schema_problems(schema)) == []


def bomb(levels: int) -> Json:
    named = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    return {"$defs": {**named, f"d{levels}": {}}, "$ref": "#/$defs/d0"}


BAD: list[tuple[Json, str, str]] = [
    ({"a": {"$ref": "x.json"}}, "a", "$ref 'x.json' points outside the schema; nothing is fetched, write it out"),
    ({"$recursiveRef": "x"}, "", "$recursiveRef 'x' points outside the schema; nothing is fetched, write it out"),
    (
        {"$schema": "http://x/schema"},
        "",
        "$schema 'http://x/schema' names no draft that is known here; nothing is fetched, name a draft or none",
    ),
    (nested(51), "", "is nested deeper than 50 levels"),
    ({"enum": list(range(20_000))}, "", "is larger than 20,000 values or 500,000 characters"),
    ({"const": "x" * 500_001}, "", "is larger than 20,000 values or 500,000 characters"),
    ({"multipleOf": 10**40}, "multipleOf", "holds a number of more than 40 digits, or none at all"),
    ({"maximum": float("nan")}, "maximum", "holds a number of more than 40 digits, or none at all"),
    ({"items": {"pattern": "a" * 10_001}}, "items", "pattern '" + "a" * 59 + "…' has 10,001 characters"),
    ({"patternProperties": {"b" * 10_002: {}}}, "", "pattern '" + "b" * 59 + "…' has 10,002 characters"),
    ({"$ref": "#"}, "", "refers to itself without going into the value, so it would never end"),
    ({"then": {"not": {"$ref": "#/then"}}}, "", "refers to itself without going into the value"),
    ({"dependentSchemas": {"a": {"$ref": "#"}}}, "", "refers to itself without going into the value"),
    (bomb(14), "", "is looked through more than 10,000 times for one value; simplify it"),
    (bomb(60), "", "leads over more than 50 references for one value; write it out"),
]


@pytest.mark.parametrize(("schema", "place", "says"), BAD, ids=[says[:40] for *_, says in BAD])
def test_what_is_wrong_with_a_schema_is_told_with_its_place(schema: Json, place: str, says: str) -> None:
    (where, said), *_ = schema_problems(schema)
    assert said.startswith(says)
    assert place in ("", where)
