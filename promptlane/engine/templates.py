"""`{{variables}}` in what a suite says, filled in as promptfoo's template engine (Nunjucks) fills them in.

Names are filled in, and nothing else: what that engine would make something of (a filter, a field, an expression, a
statement, a comment, the environment) is refused by name. Taken literally it would never be found in an answer, and so
would always pass under `not-`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Json = Any
MAX_FILLED: Final = 1_000_000
"""Characters of one text with its variables filled in."""
ROUNDS: Final = 5
"""How deep variables may lie within variables."""
_VARIABLE: Final = re.compile(r"\{\{\s*([\w-]+)\s*\}\}")
_TAG: Final = re.compile(r"\{\{(?P<expression>.*?)\}\}|\{%(?P<statement>.*?)%\}|\{#(?P<comment>.*?)#\}", re.S)
_OPENED: Final = re.compile(r"\{\{|\{%|\{#")
_SHOWN: Final = 60
_REMEDY: Final = "only names of variables are filled in: write out what is meant, or put it into a variable"


class TooLong(ValueError):
    """A text grows beyond what may be compared."""


def texts_of(value: Json) -> Iterator[str]:
    """Every text of an assertion's value, however deep; keys are no texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for held in value.values() if isinstance(value, Mapping) else value:
            yield from texts_of(held)


def references(value: Json) -> set[str]:
    """Names of `{{variables}}` in an assertion's value."""
    return {name for text in texts_of(value) for name in _VARIABLE.findall(text)}


def problems(value: Json) -> Iterator[str]:
    """What stands in an assertion's value that promptfoo would make something of, and that is not filled in here."""
    for text in texts_of(value):
        for tag in _TAG.finditer(text):
            if not _VARIABLE.fullmatch(tag[0]):
                yield f"{_shown(tag[0])} is {_kind(tag)}; {_REMEDY}"
        if (opened := _OPENED.search(_TAG.sub("", text))) is not None:
            yield f"{opened[0]!r} opens what nothing closes; {_REMEDY}"


def _kind(tag: re.Match[str]) -> str:
    if tag["statement"] is not None:
        return "a statement of a template"
    if tag["comment"] is not None:
        return "a comment of a template"
    expression = tag["expression"].strip()
    if re.match(r"env\b", expression):
        return "taken from the environment, of which no test may know"
    if "|" in expression:
        return "a filter"
    return "a field of a variable" if re.fullmatch(r"[\w.\[\]'\"-]+", expression) else "an expression"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def filled(value: Json, variables: Mapping[str, str]) -> Json:
    """The value with its `{{variables}}` filled in, once: what a variable holds is not looked into. Raises TooLong."""
    if isinstance(value, str):
        return _text(value, variables)
    if isinstance(value, list):
        return [filled(v, variables) for v in value]
    if isinstance(value, Mapping):
        return {k: filled(v, variables) for k, v in value.items()}
    return value


def _text(text: str, variables: Mapping[str, str]) -> str:
    found = [m[1] for m in _VARIABLE.finditer(text)]
    if len(text) + sum(len(variables.get(name, "")) for name in found) > MAX_FILLED:
        raise TooLong(f"has more than {MAX_FILLED:,} characters with its variables filled in")
    return _VARIABLE.sub(lambda m: variables.get(m[1], m[0]), text) if found else text


def resolved(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables that name one another, with these filled in; names that are no variables stay as they are.

    As in promptfoo line breaks at the end go: a block of YAML ends with one that nobody means. Raises TooLong, and
    ValueError for variables that hold themselves.
    """
    now = {name: text.rstrip("\n") for name, text in variables.items()}
    for _ in range(ROUNDS):
        held = {name: references(text) & now.keys() for name, text in now.items()}
        if not any(held.values()):
            return now
        now = {name: _text(text, now) if held[name] else text for name, text in now.items()}
    deep = sorted(name for name, text in now.items() if references(text) & now.keys())
    if deep:
        raise ValueError(
            f"{{{{{deep[0]}}}}} holds variables that hold variables, deeper than {ROUNDS} times or for ever"
        )
    return now
