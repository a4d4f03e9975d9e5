"""JSON in what a model answered, and whether it fits a schema; within limits, since others wrote both.

What is nested too deeply to be read, or holds a number that no reader keeps, is Ungradable: it is neither right nor
wrong, and no negation makes a pass of it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from promptlane.domain import limits

from . import sandbox
from .kinds import Ungradable

Json = Any
_MAX_STARTS: Final = 2_000
_TOO_DEEP: Final = f"the JSON in the output is nested deeper than {limits.MAX_DEPTH} levels"


class Patience:
    """The time that the schemas of one assertion may take together, however many values they are held against."""

    def __init__(self) -> None:
        self._until = time.monotonic() + limits.EVALUATION_SECONDS * limits.WALL_FACTOR

    def misfit(self, value: Json, schema: Json) -> str:
        """Why a value does not fit a schema; empty when it does, or where there is none. Raises Ungradable."""
        if schema is None:
            return ""
        self.check("the values in the output are too many to be held against a schema in time")
        return sandbox.misfit(schema, value)

    def check(self, otherwise: str) -> None:
        """Raise Ungradable with this reason when the time is over."""
        if time.monotonic() > self._until:
            raise Ungradable(otherwise)


def value_of(text: str) -> Json:
    """The JSON value of a text. ValueError when it holds none, Ungradable when it cannot be read whole."""
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_float, parse_int=_int)
    except RecursionError:
        raise Ungradable(_TOO_DEEP) from None
    if limits.depth_of(value) > limits.MAX_DEPTH:
        raise Ungradable(_TOO_DEEP)
    return value


def complaint_of(text: str, schema: Json) -> str:
    """Why no JSON that stands in a text fits a schema; empty when some does. Raises Ungradable."""
    decoder = json.JSONDecoder(parse_constant=_no_constant, parse_float=_float, parse_int=_int)
    complaint, position = "the output contains no JSON", 0
    patience, too_deep = Patience(), False
    unread: Ungradable | None = None
    for _attempt in range(_MAX_STARTS):
        starts = [i for i in (text.find("{", position), text.find("[", position)) if i >= 0]
        if not starts:
            break
        try:
            value, position = decoder.raw_decode(text, min(starts))
        except Ungradable as error:
            unread, position = error, min(starts) + 1
            continue
        except (ValueError, RecursionError) as error:
            too_deep = too_deep or isinstance(error, RecursionError)
            patience.check(_TOO_DEEP if too_deep else "the output begins too much JSON to be read in time")
            position = min(starts) + 1
            continue
        if limits.depth_of(value) > limits.MAX_DEPTH:
            too_deep = True
            continue
        for one in _outermost(value):
            misfit = patience.misfit(one, schema)
            if not misfit:
                return ""
            complaint = f"the JSON in the output does not fit the schema: {misfit}"
    if too_deep:
        raise Ungradable(_TOO_DEEP)
    if unread is not None:
        raise unread
    return complaint


def _float(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    raise Ungradable(f"the JSON in the output holds {text[:40]}, a number beyond all that can be read")


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python reads no more digits than 4,300
        raise Ungradable(f"the JSON in the output holds a number of {len(text):,} digits") from None


def _outermost(value: Json) -> Iterator[Json]:
    """A value, and the objects of a list: what lists them is JSON, and so is each."""
    yield value
    waiting = list(reversed(value)) if isinstance(value, list) else []
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            yield one
        elif isinstance(one, list):
            waiting += reversed(one)


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")
