"""Values as DynamoDB keeps them: to and from its numbers, and as they are written in a request without boto3."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.storable import fits

Json = Any


def to_store(value: Json) -> Json:
    """The same value with floats as Decimal. InvalidInput for what DynamoDB does not know."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not fits(value):
            raise InvalidInput(f"{value} cannot be stored; DynamoDB knows finite numbers of 1e-130 to 1e126 alone")
        return Decimal(repr(value)) if isinstance(value, float) else value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"{value[:80]!a} holds half of a surrogate pair, which cannot be stored") from None
    if isinstance(value, Mapping):
        return {str(k): to_store(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_store(v) for v in value]
    return value


def from_store(value: Json) -> Json:
    """The same value with Decimals as int where they are whole, else float."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {k: from_store(v) for k, v in value.items()}
    if isinstance(value, list):
        return [from_store(v) for v in value]
    return value


def to_attribute(value: Json) -> dict[str, Json]:
    """A plain value as a request of DynamoDB's API has it, such as `{"N": "1.5"}`. InvalidInput as of `to_store`."""
    return _typed(to_store(value))


def _typed(value: Json) -> dict[str, Json]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, Decimal)):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": str(value)}
    if isinstance(value, Mapping):
        return {"M": {name: _typed(inner) for name, inner in value.items()}}
    if isinstance(value, list):
        return {"L": [_typed(inner) for inner in value]}
    raise InvalidInput(f"a {type(value).__name__} cannot be stored; use texts, numbers, lists and objects")


def from_attribute(attribute: Mapping[str, Json]) -> Json:
    """The plain value of an attribute as DynamoDB answers it; sets and bytes, which others may write, as Python's."""
    ((kind, content),) = attribute.items()
    if kind == "M":
        return {name: from_attribute(inner) for name, inner in content.items()}
    if kind == "L":
        return [from_attribute(inner) for inner in content]
    if kind == "NULL":
        return None
    if len(kind) == 2:
        return {from_attribute({kind[0]: inner}) for inner in content}
    return _scalar(kind, content)


def _scalar(kind: str, content: Json) -> Json:
    if kind == "N":
        return from_store(Decimal(content))
    return base64.b64decode(content) if kind == "B" else content
