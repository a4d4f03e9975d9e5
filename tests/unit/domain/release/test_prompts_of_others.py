"""Prompts that others made: what admission says of each, what the client asks for, and that all of it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from promptlane.client.decision import Decision
from promptlane.client.errors import InvalidVariables
from promptlane.domain.release.content import canonical_variants
from promptlane.domain.release.diff import compare, layout, unified
from promptlane.domain.release.models import is_allowed
from promptlane.domain.release.prompt import PromptVersion, static_problems
from promptlane.engine.suite import Case
from promptlane.engine.targets import Target
from tests.support.others import (
    ACCEPTED,
    BY_CLOUDFORMATION,
    NOVA,
    NOVA_ARN,
    PROFILE_ARN,
    REFUSED,
    TOOL,
    Other,
    chat,
    known,
)

each = pytest.mark.parametrize("other", ACCEPTED, ids=known(ACCEPTED))


def version(other: Other) -> PromptVersion:
    arn = "arn:aws:bedrock:us-east-1:111122223333:prompt/ABCDEFGHIJ:3"
    return PromptVersion("ABCDEFGHIJ", "support", 3, arn, other.variants)


def leaves(value: Any) -> Iterator[tuple[list[Any], Any]]:
    """(path, value) of everything in plain data that holds nothing else."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not inner:
        yield [], value
    for key, held in list(inner):
        yield from (([key, *path], leaf) for path, leaf in leaves(held))


@each
def test_it_is_admitted_and_takes_its_variables(other: Other) -> None:
    found = version(other)
    decision = Decision(
        prompt="support",
        version=3,
        version_arn=found.arn,
        track="stable",
        release_id="r",
        fingerprint=found.fingerprint,
        revision=1,
        variables=found.ref.variables,
    )

    assert static_problems(found, allowed_models=other.allowed) == []
    assert found.ref.variables == other.needs
    decision.check(dict.fromkeys(other.needs, "x"))
    with pytest.raises(InvalidVariables, match="has no unheard"):
        decision.check({**dict.fromkeys(other.needs, "x"), "unheard": "x"})
    if other.needs:
        with pytest.raises(InvalidVariables, match=f"needs {other.needs[0]}"):
            decision.check(dict.fromkeys(other.needs[1:], "x"))


@each
def test_whatever_changes_in_it_shows(other: Other) -> None:
    whole = canonical_variants(other.variants)
    assert not any(section.changed for section in compare(whole, whole))
    for path, leaf in leaves(whole):
        changed = deepcopy(whole)
        at: Any = changed
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = f"{leaf} changed" if isinstance(leaf, str) else "changed"

        assert list(unified(compare(whole, changed))), path
    texts = "\n".join(line for lines in layout(whole).values() for line in lines)
    assert texts.count('"cachePoint"') == json.dumps(whole).count('"cachePoint"')


@each
def test_tests_can_ask_it(other: Other) -> None:
    target = Target.of_draft("draft", other.variants)
    case = Case(id="1", vars=dict.fromkeys(other.needs, "A-17"), asserts=())

    request = target.request(case)

    assert target.variables == frozenset(other.needs)
    assert other.needs == () or "A-17" in json.dumps(request.body["messages"])
    assert "{{question}}" not in json.dumps(request.body)
    assert json.dumps(request.body).count('"cachePoint"') == json.dumps(other.variants).count('"cachePoint"')
    assert target.tools == ({"find_order": TOOL["toolSpec"]["inputSchema"]["json"]} if target.tools else {})


@pytest.mark.parametrize("other", REFUSED, ids=known(REFUSED))
def test_it_is_refused_with_one_sentence(other: Other) -> None:
    (problem,) = static_problems(version(other), allowed_models=other.allowed)

    assert other.refused in problem


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"maximum": "5"}, "maximum is '5'"),
        ({"allOf": [{}, {"minItems": "1"}]}, "allOf[1].minItems is '1'"),
        ({"$defs": {"maxLength": {"type": "integer", "const": "1"}}}, "$defs.maxLength.const is '1'"),
        ({"properties": {"a": "true"}}, "properties.a is 'true'"),
        ({"items": {"not": {"uniqueItems": "true"}}}, "items.not.uniqueItems is 'true'"),
        ({"properties": {"maximum": {"type": "string"}, "not": {}}}, ""),
        ({"default": {"maxLength": "5"}, "examples": [{"minimum": "1"}], "enum": [{"maximum": "1"}]}, ""),
        ({"type": "string", "enum": ["1", "2"], "const": "1"}, ""),
        ({"type": ["string", "integer"], "enum": ["1", 2]}, ""),
        ({"type": "object", "title": "5", "pattern": "5", "maxLength": 5}, ""),
    ],
)
def test_text_where_a_number_belongs_is_found_and_free_data_is_not(schema: dict[str, Any], told: str) -> None:
    tool = {"toolSpec": {"name": "t", "inputSchema": {"json": schema}}}
    found = static_problems(version(Other("x", chat(toolConfiguration={"tools": [tool]}))))

    assert [told in problem for problem in found] == ([True] if told else [])


def test_a_schema_of_cloudformation_fits_nothing_and_says_so_without_a_traceback() -> None:
    from promptlane.engine import sandbox

    schema = BY_CLOUDFORMATION["toolSpec"]["inputSchema"]["json"]
    with pytest.raises(sandbox.Invalid, match="is no valid JSON Schema") as raised:
        sandbox.misfit(schema, {"OrderId": "A-17"})
    assert "TypeError" not in str(raised.value)
    assert "not supported between" not in str(raised.value)


@pytest.mark.parametrize(
    ("model", "allowed", "holds"),
    [
        (NOVA_ARN, [NOVA], True),
        (NOVA, [NOVA_ARN], True),
        (PROFILE_ARN, [f"us.{NOVA}"], True),
        (f"us.{NOVA}", [NOVA], False),
        (PROFILE_ARN, [NOVA, NOVA_ARN], False),
        (NOVA_ARN, [NOVA_ARN.replace("us-east-1", "eu-west-1")], False),
        ("arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc123", ["abc123"], False),
        ("arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc123", ["abc123", NOVA], False),
        (
            "arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc123",
            ["arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc123"],
            True,
        ),
        (f"arn:aws:bedrock:us-east-1:111122223333:imported-model/{NOVA}", [NOVA], False),
        (NOVA, [], False),
    ],
)
def test_a_model_is_allowed_by_its_id_or_its_arn(model: str, allowed: list[str], holds: bool) -> None:
    assert is_allowed(model, allowed) is holds
