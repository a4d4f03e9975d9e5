"""The list that lies beside an imported suite: what was left and why, and what a person writes to finish it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from promptlane.domain.text import one_line
from promptlane.engine.written import yaml_text

from .found import Imported, Left, Stub

_SHOWN = 5


def list_text(found: Imported, source: str) -> str:
    """It as Markdown; empty where everything carried over."""
    if not (found.left or found.stubs or found.policy):
        return ""
    parts = [f"# What of {_code(source)} is not in suite.yaml\n", f"{found.cases:,} cases carried over.\n"]
    if found.stubs:
        parts += _stubs(found.stubs)
    if found.policy:
        parts.append("## For release.yaml\n\nThe graders that the configuration names:\n")
        parts.append(_fenced(yaml_text({"tests": dict(found.policy)}), "yaml"))
    if found.left:
        parts.append("## Left\n")
        parts += [_left(one) for one in found.left]
    return "\n".join(parts)


def _stubs(stubs: tuple[Stub, ...]) -> Iterator[str]:
    yield (
        "## Checks to write\n\n"
        "The suite names them, and no run begins until the package `promptlane_checks` beside `prompts/` has each\n"
        '(`@check("name")` of `promptlane.engine.checks`). Code is never taken from a suite; here it is to be read.\n'
    )
    for stub in stubs:
        yield f"- {_code(stub.name)} (`{stub.kind}`; {_places(stub.places)})\n"
        yield _fenced(stub.code, "")


def _left(one: Left) -> str:
    return f"- {_code(one.what.replace('`', ''))}: {_plain(one.why)} ({_places(one.places)})"


def _places(places: tuple[str, ...]) -> str:
    rest = f" and {len(places) - _SHOWN:,} more" if len(places) > _SHOWN else ""
    return ", ".join(_code(place) for place in places[:_SHOWN]) + rest


def _code(text: str) -> str:
    """A span of code, which nothing within can end."""
    return "`" + one_line(text, 300).replace("`", "'") + "`"


def _plain(text: str) -> str:
    """A sentence that is neither markup nor HTML."""
    return re.sub(r"([<>\[\]])", r"\\\1", one_line(text, 700))


def _fenced(text: str, language: str) -> str:
    marks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{marks}{language}\n{text.rstrip()}\n{marks}\n"
