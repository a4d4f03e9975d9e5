"""CloudFormation: properties that a type does not have, that it demands, and values outside its enumerations.

MiniStack ignores properties that it does not know. AWS validates each resource against the schema of its type before it
calls any handler; cfn-lint carries these schemas. What a schema says of types, patterns and lengths is not looked at:
CloudFormation converts text and numbers first, and services say more of it than schemas do.

Source: "Resource type schema" in the CloudFormation CLI guide; the messages are from public reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

Json = Any
REGION = "us-east-1"
"""Whose schemas these are: the Region with most types."""
_DEEPEST = 24


@cache
def schema_of(kind: str) -> Json:
    """The schema of a type; {} of custom resources and of types that nobody wrote down."""
    try:
        return PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    except ResourceNotFoundError:
        return {}


def refusal(kind: str, properties: Json) -> str:
    """Why CloudFormation would not take these properties, all at once; "" if it would."""
    schema = schema_of(kind)
    found = list(_problems(schema, schema, properties, "#", 0)) if schema else []
    return "Properties validation failed for resource with message:\n" + "\n".join(found) if found else ""


def _problems(root: Json, schema: Json, value: Json, path: str, depth: int) -> Iterator[str]:
    schema = _resolved(root, schema)
    if depth > _DEEPEST or not isinstance(schema, dict):
        return
    if isinstance(value, dict):
        known = schema.get("properties", {})
        if schema.get("additionalProperties") is False and not schema.get("patternProperties"):
            for name in sorted(value.keys() - known.keys()):
                yield f"{path}: extraneous key [{name}] is not permitted"
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{path}: required key [{name}] not found"
        for name, inner in value.items():
            if name in known:
                yield from _problems(root, known[name], inner, f"{path}/{name}", depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _problems(root, schema.get("items", {}), inner, f"{path}/{index}", depth + 1)
    elif (allowed := schema.get("enum")) and str(value).lower() not in {str(one).lower() for one in allowed}:
        yield f"{path}: {value} is not a valid enum value"


def _resolved(root: Json, schema: Json) -> Json:
    for _ in range(_DEEPEST):
        if not isinstance(schema, dict) or "$ref" not in schema:
            return schema
        target: Json = root
        for step in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target.get(step, {}) if isinstance(target, dict) else {}
        schema = target
    return {}
