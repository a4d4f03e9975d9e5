"""Settings of a function: a dataclass whose upper-cased field names are environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, get_type_hints

from promptlane.domain.errors import InvalidInput

T = TypeVar("T")


def read(cls: type[T], environment: Mapping[str, str] | None = None) -> T:
    """Build `cls` from the environment. InvalidInput names every variable that is missing or malformed, at once."""
    environment = os.environ if environment is None else environment
    types = get_type_hints(cls)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for f in fields(cls):  # type: ignore[arg-type]
        name = f.name.upper()
        text = environment.get(name, "")
        if text == "":
            if not _has_default(f):
                problems.append(f"{name} is not set")
            continue
        try:
            values[f.name] = types[f.name](text)
        except ValueError:
            problems.append(f"{name}={text!r} is not a valid {types[f.name].__name__}")
    if problems:
        raise InvalidInput("the function's environment is wrong: " + "; ".join(problems))
    return cls(**values)


def _has_default(f: Field[Any]) -> bool:
    return f.default is not MISSING or f.default_factory is not MISSING
