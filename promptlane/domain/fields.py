"""Plain data into dataclasses, by the types of their fields; what cannot be read is told with the path of its field.

Durations become seconds, shares of traffic basis points, rates fractions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from .incoming import torn_problem
from .names import FULL

Json = Any
MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0

_CLEAR_SHARE: Final = 100
"""Basis points from which on no percentage is that number."""
LONGEST: Final = 365 * DAY
"""Longer lasts no execution of Step Functions, and so no release."""

_DURATION = re.compile(r"^([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(s|m|h|d)\Z")
_UNIT = {"s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY}
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+\Z")
_ARN = re.compile(r"^arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:[A-Za-z0-9+=,.@_/-]+\*?\Z")
T = TypeVar("T")
Convert = Callable[[Json], T]


def duration(value: Json) -> float:
    """Seconds of `90s`, `10m`, `4h`, `2d` or a number of seconds; at most a year."""
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is not None:
        seconds = float(match[1]) * _UNIT[match[2]]
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        seconds = value
    else:
        raise ValueError(f"{_shown(value)} is not a duration; write for example 90s, 10m, 4h or 2d")
    if seconds > LONGEST:
        raise ValueError(f"{_shown(value)} is longer than the longest duration, 365d; no release lasts so long")
    return float(seconds)


def _shown(value: Json) -> str:
    """A value in a message, which stays short whatever it is."""
    try:
        said = repr(value)
    except ValueError:  # a number with thousands of digits
        return "a number with thousands of digits"
    return said if len(said) <= 80 else said[:80] + "…"


def share(value: Json) -> int:
    """Basis points of `5%` or of a whole number of basis points (0-10000)."""
    points: float | None = None
    if isinstance(value, str) and value.endswith("%"):
        try:
            points = round(float(value[:-1]) * 100, 6)  # 0.29 * 100 is not 29
        except ValueError:
            points = None
    elif isinstance(value, int) and not isinstance(value, bool):
        points = value
    if points is None or not 0 <= points <= FULL or points != int(points):
        raise ValueError(
            f"{_shown(value)} is not a share of traffic; write for example 5% (or basis points, 0 to {FULL})"
        )
    return int(points)


def meant_otherwise(convert: Convert[Json], value: Json) -> str:
    """Why a bare number that a person wrote is likely to mean another unit than it would be read in; "" if it is not.

    The canonical form has bare numbers of basis points and seconds; people who write 20 mean a fifth, or minutes.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        return ""
    if convert is share and value < _CLEAR_SHARE:
        return f"{value} would be {value} basis points, which is {value / 100:g}%; write {value}%, or {value / 100:g}%"
    if convert is duration and value < MINUTE:
        return f"{value} would be {value} seconds; write {value}m, {value}h or {value}d, or {value}s if you mean that"
    return ""


def fraction(value: Json) -> float:
    """A number from 0 to 1, or a percentage such as `2.5%`."""
    try:
        number = float(value[:-1]) / 100 if isinstance(value, str) and value.endswith("%") else float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise ValueError(f"{_shown(value)} is not a fraction; write for example 0.05 or 5%")
    return number


def probability(value: Json) -> float:
    number = fraction(value)
    if not 0 < number < 0.5:
        raise ValueError(f"{_shown(value)} must lie between 0 and 0.5, both excluded; 0.05 is customary")
    return number


def excess(value: Json) -> float:
    number = fraction(value)
    if not 0 < number < 1:
        raise ValueError(f"{_shown(value)} must lie between 0 and 1, both excluded, for example 10%")
    return number


def positive(value: Json, most: float = 1e15) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f"{_shown(value)} must be a number above 0")
    if value > most:
        raise ValueError(f"{_shown(value)} is more than the largest number here, {most:,.0f}")
    return float(value)


def seconds(value: Json) -> float:
    """How long a request may take, or from when it is called slow; at most a day."""
    return positive(value, DAY)


def count(least: int, most: int) -> Convert[int]:
    def convert(value: Json) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{_shown(value)} must be a whole number from {least} to {most}")
        return value

    return convert


def text(value: Json) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text")
    return _whole(value).strip()


def _whole(text: str) -> str:
    if problem := torn_problem(text):
        raise ValueError(problem)
    return text


def flag(value: Json) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} must be true or false")
    return value


def texts(value: Json) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and v.strip() for v in value):
        raise ValueError("must be a list of texts")
    return tuple(map(_whole, value))


def one_of(*allowed: str) -> Convert[Json]:
    def convert(value: Json) -> Json:
        if value not in allowed:
            raise ValueError(f"{_shown(value)} is not one of {', '.join(allowed)}")
        return value

    return convert


def email(value: Json) -> str:
    if not isinstance(value, str) or not _EMAIL.match(value):
        raise ValueError(f"{_shown(value)} is not an email address")
    return _whole(value)


def principals(value: Json) -> tuple[str, ...]:
    for arn in texts(value):
        if not _ARN.match(arn):
            raise ValueError(
                f"{_shown(arn)} is not an IAM principal ARN such as arn:aws:iam::111122223333:role/Reviewer"
            )
    return tuple(value)


def ladder(value: Json) -> tuple[float, ...]:
    factors = tuple(positive(v) for v in value) if isinstance(value, (list, tuple)) else ()
    if not factors or list(factors) != sorted(factors, reverse=True) or factors[-1] != 1:
        raise ValueError("must be a list of factors that never grow and end in 1, for example [3, 1.5, 1]")
    return factors


def prices(value: Json) -> dict[str, tuple[float, ...]]:
    if not isinstance(value, Mapping):
        raise ValueError("must map a model id to [USD per million input tokens, USD per million output tokens]")
    for model, given in value.items():
        if not isinstance(given, (list, tuple)) or len(given) not in (2, 4) or any(_bad_number(p) for p in given):
            raise ValueError(
                f"{model}: must be two numbers, USD per million input and output tokens, or four, with those read "
                "from the prompt cache and written to it"
            )
    return {str(model): tuple(float(p) for p in given) for model, given in value.items()}


def _bad_number(value: Json) -> bool:
    return isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9


def optional(convert: Convert[T]) -> Convert[T | None]:
    return lambda value: None if value is None else convert(value)


Fraction = Annotated[float, fraction]
Probability = Annotated[float, probability]
Excess = Annotated[float, excess]
Positive = Annotated[float, positive]
RequestSeconds = Annotated[float, seconds]
Seconds = Annotated[float, duration]
Share = Annotated[int, share]
Text = Annotated[str, text]
Texts = Annotated[tuple[str, ...], texts]
Flag = Annotated[bool, flag]
Email = Annotated[str, email]
Principals = Annotated[tuple[str, ...], principals]
Ladder = Annotated[tuple[float, ...], ladder]
Prices = Annotated[Mapping[str, tuple[float, ...]], prices]
"""A field's type says how it is read from release.yaml, and by which other names; a Literal, what it may be."""


@cache
def _readers(section: type) -> Mapping[str, tuple[str, Convert[Json]]]:
    """(field, converter) by key of release.yaml, of the fields whose type says how they are read."""
    found: dict[str, tuple[str, Convert[Json]]] = {}
    for name, hint in get_type_hints(section, include_extras=True).items():
        if get_origin(hint) is Literal:
            found[name] = name, one_of(*get_args(hint))
        elif get_origin(hint) is Annotated:
            convert, *others = hint.__metadata__
            found |= dict.fromkeys((*others, name), (name, convert))
    return found


class Reader:
    """Reads plain data into the dataclasses and collects every problem instead of stopping at the first.

    `written`: by a person, who gives units to numbers that are not plain without.
    """

    def __init__(self, *, written: bool = False) -> None:
        self.problems: list[tuple[str, str]] = []
        self._written = written

    def section(self, section: Callable[..., T], path: str, data: Json, also: Sequence[str] = (), **given: Json) -> T:
        """The dataclass of a section. A field with a problem keeps its default; the problem is on record."""
        return section(**{**given, **self.converted(path, {} if data is None else data, _readers(section), also)})

    def item(self, section: Callable[..., T], path: str, data: Json) -> T | None:
        """One of a list; None where a field that it must have is missing or has a problem."""
        needed = [f.name for f in fields(cast(Any, section)) if f.default is MISSING]
        found = self.converted(path, data, _readers(section), needed=needed)
        return section(**found) if found.keys() >= set(needed) else None

    def converted(
        self,
        path: str,
        data: Json,
        readers: Mapping[str, tuple[str, Convert[Json]]],
        also: Sequence[str] = (),
        needed: Sequence[str] = (),
    ) -> dict[str, Json]:
        """What a mapping gives, by field."""
        if not self.mapping(path, data, [*readers, *also]):
            return {}
        for key in needed:
            if key not in data:
                self.problem(f"{path}.{key}", "is required")
        found: dict[str, Json] = {}
        for key, (name, convert) in readers.items():
            if key in data:
                if self._written and (problem := meant_otherwise(convert, data[key])):
                    self.problem(f"{path}.{key}", problem)
                    continue
                try:
                    found[name] = convert(data[key])
                except ValueError as error:
                    self.problem(f"{path}.{key}", str(error))
        return found

    def mapping(self, path: str, data: Json, known: Sequence[str]) -> bool:
        if not isinstance(data, Mapping):
            self.problem(path, f"must be a mapping with {', '.join(known)}")
            return False
        for key in data:
            if key not in known:
                self.problem(f"{path}.{key}" if path else str(key), f"unknown key; known are {', '.join(known)}")
        return True

    def problem(self, path: str, message: str) -> None:
        self.problems.append((path, message))
