"""Texts as their sentences: what shares of a text are counted in."""

from __future__ import annotations

import re
from typing import Final

_END: Final = re.compile(
    r"(?<=[.!?…])[\"'”’)\]]*\s+(?![a-z])"  # an abbreviation goes on in lower case
    r"|(?<=[。！？])"
)
_SAYS: Final = re.compile(r"\w")
_MARKS: Final = re.compile(r"^(?:[-*•#>|]+|\(?\d{1,3}[.)])\s+")


def sentences(text: str) -> list[str]:
    """The sentences of a text, in order; each line of a list is at least one. What holds no letter or digit is none.

    Numbers stay whole (`3.5`), and so does what goes on in lower case (`e.g. this`).
    """
    lines = (_MARKS.sub("", line.strip()) for line in text.splitlines())
    found = (part.strip() for line in lines for part in _END.split(line))
    return [part for part in found if _SAYS.search(part)]
