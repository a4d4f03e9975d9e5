"""What a table holds of what is said with a rollback: texts of some length, numbers of 1e-130 to 1e126.

Evidence is neither: a judge's may be 1e300, and whatever it is, the write of a rollback fits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from .content import canonical_json

Json = Any
LEAST: Final = 1e-100
MOST: Final = 1e100
"""A decade of decades within what DynamoDB documents, and beyond what any number of ours has to tell."""
REASON_BYTES: Final = 4_000
BY_BYTES: Final = 1_000
EVIDENCE_BYTES: Final = 6_000


def fits(number: float) -> bool:
    """Whether DynamoDB stores this number (Amazon DynamoDB Developer Guide, "Constraints", number)."""
    return math.isfinite(number) and (number == 0 or 1e-130 <= abs(number) < 1e126)


def bounded(evidence: Mapping[str, Json]) -> Mapping[str, Json]:
    """Evidence as it can be stored, or the beginning of its text."""
    fitting: Mapping[str, Json] = storable(evidence)
    text = canonical_json(fitting)
    beginning = cut(text, EVIDENCE_BYTES)
    return fitting if beginning == text else {"cut": beginning}


def cut(text: str, most: int) -> str:
    """At most so many bytes of a text, in UTF-8."""
    return text.encode("utf-8", "backslashreplace")[:most].decode("utf-8", "ignore")


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
