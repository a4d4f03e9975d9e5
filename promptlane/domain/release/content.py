"""What a version holds, written so that equal content gives equal bytes, and the fingerprint that is taken of it.

Two schemas. The present one keeps every number as it is; only `temperature` and `topP`, which Bedrock keeps as 32-bit
floats, are compared as such. The first one rounded every number to six digits: routes, releases and archives that were
stored with it are still read, but it never lets through a content that it did not write down exactly.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from promptlane.domain.errors import InvalidInput

Json = Any
SCHEMA: Final = 2
OWN: Final = "promptlane:"
"""Metadata under such keys says how a version is to be called, so it is content; other metadata is for people."""
MAX_DEPTH: Final = 200
_MAX_DIGITS: Final = 400
"""Before or behind the point: more than any 64-bit float has before it."""
_MAX_BITS: Final = 1_328
"""Of a whole number with at most so many digits."""
_SINGLE: Final = ("temperature", "topP")
_NOTHING_WHEN_EMPTY: Final = (
    "templateConfiguration",
    "inferenceConfiguration",
    "additionalModelRequestFields",
    "genAiResource",
)
"""Members that mean the same empty as absent. Of a member that is not known here nobody can say that."""
_NO_LIST_WHEN_EMPTY: Final = ("inputVariables", "system", "messages")
"""The same of the lists of a template. Bedrock documents neither that it keeps an empty one nor that it adds none."""


def canonical_json(value: Json) -> str:
    """Sorted keys, no spaces, UTF-8 kept, so that equal content gives equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_variants(variants: Sequence[Mapping[str, Json]]) -> list[Json]:
    """The very value that is hashed; what a reviewer is shown is made of it. InvalidInput for what JSON cannot hold."""
    return [_canonical_variant(v) for v in variants]


def fingerprint(variants: Sequence[Mapping[str, Json]]) -> str:
    """SHA-256 (64 hex digits) over the canonical JSON of a version's variants, tagged with the schema.

    Covers template, model, inference settings, tools, cache points and every member that is not known here; leaves out
    what does not change an answer: metadata of people, the order of declared variables, and empty lists of what Bedrock
    defines as a list. Numbers that are equal are written alike (0.2 and Decimal('0.2'), 1 and 1.0). The hashed value is
    an object, so that a member which is not part of a variant can join it without changing the fingerprint of versions
    that do not have it.
    """
    return hashlib.sha256(content(variants)).hexdigest()


def content(variants: Sequence[Mapping[str, Json]]) -> bytes:
    """The very bytes whose SHA-256 is the fingerprint: who has them can check them without knowing what they mean."""
    return canonical_json({"schema": SCHEMA, "variants": canonical_variants(variants)}).encode()


def is_exactly(stored: str, variants: Sequence[Mapping[str, Json]]) -> bool:
    """Whether a stored fingerprint of the present schema is of this content.

    One that was taken when empty lists still counted is another hash of the same content.
    """
    if not stored:
        return False
    return stored == fingerprint(variants) or stored == _sha256(
        {"schema": SCHEMA, "variants": _with_empty_lists(variants)}
    )


def rounded_fingerprint(variants: Sequence[Mapping[str, Json]]) -> str:
    """The fingerprint of the first schema; "" for a content that it could not hash, so that nothing bears it."""
    try:
        return _sha256(rounded_variants(variants))
    except (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError):
        return ""


def is_content_of(stored: str, variants: Sequence[Mapping[str, Json]]) -> bool:
    """Whether a stored fingerprint, of either schema, is of this content.

    For reading only: what bears an old fingerprint may differ from what it was taken of beyond a number's sixth digit.
    """
    return is_exactly(stored, variants) or (bool(stored) and stored == rounded_fingerprint(variants))


def vouches(stored: str, variants: Sequence[Mapping[str, Json]]) -> bool:
    """Whether what was tested, shown and approved under a stored fingerprint is exactly this content.

    Under the first schema people saw rounded numbers. What they saw is this content only where rounding loses nothing.
    """
    if is_exactly(stored, variants):
        return True
    rounded = bool(stored) and stored == rounded_fingerprint(variants)
    return rounded and rounded_variants(variants) == _with_empty_lists(variants)


def rounding(stored: str, variants: Sequence[Mapping[str, Json]]) -> str:
    """Why a stored fingerprint of this very version does not vouch for it, as the end of a clause; else ""."""
    if stored and stored == rounded_fingerprint(variants) and not vouches(stored, variants):
        return " (before an upgrade, when numbers were shown at six digits, and this version has longer ones)"
    return ""


def _sha256(value: Json) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _with_empty_lists(variants: Sequence[Mapping[str, Json]]) -> list[Json]:
    return [_written_variant(v) for v in variants]


def _canonical_variant(variant: Mapping[str, Json]) -> Json:
    kept = _written_variant(variant)
    config = kept.get("templateConfiguration")
    for body in config.values() if isinstance(config, dict) else ():
        if isinstance(body, dict):
            _drop_empty_lists(body)
    inference = kept.get("inferenceConfiguration")
    settings = inference.get("text") if isinstance(inference, dict) else None
    if isinstance(settings, dict):
        if settings.get("stopSequences") == []:
            del settings["stopSequences"]
        if inference == {"text": {}}:
            del kept["inferenceConfiguration"]
    return kept


def _drop_empty_lists(body: dict[str, Json]) -> None:
    for name in _NO_LIST_WHEN_EMPTY:
        if body.get(name) == []:
            del body[name]
    if body.get("toolConfiguration") in ({}, {"tools": []}):
        del body["toolConfiguration"]


def _written_variant(variant: Mapping[str, Json]) -> dict[str, Json]:
    absent = {k for k, v in variant.items() if v is None or (k in _NOTHING_WHEN_EMPTY and v in ({}, []))}
    kept = _object({k: v for k, v in variant.items() if k not in absent and k != "metadata"}, depth=0)
    own = _own_metadata(variant.get("metadata"))
    if own:
        kept["metadata"] = own
    config = kept.get("templateConfiguration")
    for body in config.values() if isinstance(config, dict) else ():
        if isinstance(body, dict) and isinstance(body.get("inputVariables"), list):
            body["inputVariables"].sort(key=_by_name)
    inference = kept.get("inferenceConfiguration")
    settings = inference.get("text") if isinstance(inference, dict) else None
    if isinstance(settings, dict):
        settings |= {name: _single(settings[name]) for name in _SINGLE if name in settings}
    return kept


def _by_name(variable: Json) -> tuple[str, str]:
    return str(variable.get("name")) if isinstance(variable, Mapping) else "", canonical_json(variable)


def _own_metadata(entries: Json) -> list[Json]:
    own = [e for e in entries or () if isinstance(e, Mapping) and str(e.get("key", "")).startswith(OWN)]
    return sorted((_exact(e) for e in own), key=canonical_json)


def _exact(value: Json, depth: int = 0) -> Json:
    if depth > MAX_DEPTH:
        raise InvalidInput(f"the content is nested more than {MAX_DEPTH} levels deep; make its tools or fields simpler")
    if isinstance(value, Mapping):
        return _object(value, depth)
    if isinstance(value, (list, tuple)):
        return [_exact(v, depth + 1) for v in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float, Decimal)):
        return _number(value)
    raise InvalidInput(f"the content holds a {type(value).__name__}, which JSON cannot; write it as text")


def _object(value: Mapping[Any, Json], depth: int) -> dict[str, Json]:
    members = {_text(str(k)): _exact(v, depth + 1) for k, v in value.items()}
    if len(members) < len(value):
        raise InvalidInput("the content has two members whose names are the same text in JSON; rename one")
    return members


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            odd = f"U+{ord(value[error.start]):04X}"
            raise InvalidInput(f"the content holds {odd}, which is half of a character; remove it") from None
    return value


def _number(value: int | float | Decimal) -> int | float:
    """The number that JSON writes: an int where it is whole, else the float that is written with these digits."""
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise _too_long()
        return int(value)
    # By its digits, not by its bits: a float is the shortest decimal that reads back as it, as JSON writes it.
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not number.is_finite():
        raise InvalidInput(f"the content holds {value}, which is no number in JSON; write a finite one")
    if number and abs(number.adjusted()) > _MAX_DIGITS:
        raise _too_long()
    if number == number.to_integral_value():
        return int(number)
    written = float(number)
    if Decimal(repr(written)) != number:
        raise InvalidInput(f"the content holds {number}, which has more digits than a JSON reader keeps; write fewer")
    return written


def _too_long() -> InvalidInput:
    return InvalidInput(f"the content holds a number of more than {_MAX_DIGITS} digits; write it as text")


def _single(value: Json) -> Json:
    """A number as a 32-bit float, by the fewest digits that read back as it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        kept = _to_single(float(value))
        digits = next((d for d in range(6, 9) if _to_single(float(f"{kept:.{d}g}")) == kept), 9)
    except OverflowError:  # larger than any 32-bit float: not kept as one
        return value
    return _number(float(f"{kept:.{digits}g}"))


def _to_single(value: float) -> float:
    kept: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return kept


def rounded_variants(variants: Sequence[Mapping[str, Json]]) -> list[Json]:
    """The value that the first schema hashed, with every number at six digits. It stays as it was, or nothing fits."""
    return [_rounded_variant(v) for v in variants]


def _rounded_variant(variant: Mapping[str, Json]) -> Json:
    kept = {k: _rounded(v) for k, v in variant.items() if k != "metadata" and v not in (None, {}, [])}
    config = kept.get("templateConfiguration")
    if isinstance(config, dict):
        for body in config.values():
            if isinstance(body, dict) and "inputVariables" in body:
                body["inputVariables"] = sorted(body["inputVariables"], key=lambda v: str(v.get("name")))
    return kept


def _rounded(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {str(k): _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    rounded = float(f"{float(value):.6g}")
    return int(rounded) if rounded.is_integer() else rounded
