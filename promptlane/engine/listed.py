"""A list of texts that is written as one text with commas."""

from __future__ import annotations

import re
from typing import Final

_FIELD: Final = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.|"")*)"\s*|(?P<plain>(?:[^,"\s][^,]*)?))(?:,|\Z)', re.S)
_ESCAPED: Final = re.compile(r'\\(["\\])|"(")')


def listed(text: str) -> list[str]:
    """The texts between commas, without the space around them; one in double quotes may hold commas.

    A quote within quotes is doubled, or has a backslash before it. ValueError for quotes that do not fit.
    """
    found: list[str] = []
    at = 0
    while at < len(text):
        field = _FIELD.match(text, at)
        if field is None:
            raise ValueError(f"the quotes in {text[at : at + 40]!r} do not fit; write a list")
        at = field.end()
        if field["quoted"] is not None:
            found.append(_ESCAPED.sub(lambda m: m[1] or m[2], field["quoted"]))
        elif plain := field["plain"].strip():
            found.append(plain)
    return found
