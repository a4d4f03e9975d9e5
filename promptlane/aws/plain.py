"""Between plain Python values and what DynamoDB's resource takes: floats travel as Decimal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from promptlane.domain.errors import InvalidInput

Json = Any


def to_store(value: Json) -> Json:
    """The same value with floats as Decimal. InvalidInput for what DynamoDB does not know."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"{value} cannot be stored; DynamoDB knows finite numbers alone")
        return Decimal(repr(value))
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
