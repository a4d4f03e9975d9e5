"""Numbers as DynamoDB holds them: of 1e-130 to 1e126, finite. Evidence is not: a judge's may be 1e300."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

Json = Any
LEAST: Final = 1e-100
MOST: Final = 1e100
"""A decade of decades within what DynamoDB documents, and beyond what any number of ours has to tell."""


def fits(number: float) -> bool:
    """Whether DynamoDB stores this number (Amazon DynamoDB Developer Guide, "Constraints", number)."""
    return math.isfinite(number) and (number == 0 or 1e-130 <= abs(number) < 1e126)


def storable(value: Json) -> Json:
    """The same value with numbers at the bounds where they lie beyond them, and what is no number (NaN) as text."""
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        return _number(value)
    if isinstance(value, Mapping):
        return {key: storable(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(part) for part in value]
    return value


def _number(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if abs(value) > MOST:
        return math.copysign(MOST, value)
    return 0.0 if 0 < abs(value) < LEAST else value
