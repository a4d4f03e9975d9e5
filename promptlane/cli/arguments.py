"""What people type, checked before a command begins: text of the terminal, versions, seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import typer

from promptlane.domain.errors import InvalidInput
from promptlane.domain.incoming import MAX_VERSION, torn, version_number


def check_text(given: Iterable[str]) -> None:
    """InvalidInput for bytes of the terminal that are not UTF-8: Python hands them on as halves of surrogate pairs."""
    for number, text in enumerate(given, start=1):
        if torn(text) >= 0:
            shown = text.encode("utf-8", "replace").decode()
            raise InvalidInput(
                f"argument {number}, {shown[:60]!r}, is not UTF-8; set the terminal to UTF-8, type it again"
            )


def version(text: str) -> int:
    """A version's number, in ASCII digits and nothing else."""
    number = version_number(text)
    if number is None:
        raise typer.BadParameter(f"{text[:60]!r} is not a version; write a number from 1 to {MAX_VERSION}")
    return number


def seconds_between(number: float, least: float, most: float) -> bool:
    """Whether it lies there; `nan` lies nowhere."""
    return least <= number <= most


def seconds(least: float, most: float) -> Callable[[str], float]:
    """A parser of a number of seconds within bounds, which `nan` is not."""

    def parsed(text: str | float) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not seconds_between(number, least, most):
            raise typer.BadParameter(f"{str(text)[:60]!r} is not a number of seconds from {least:g} to {most:g}")
        return number

    return parsed
