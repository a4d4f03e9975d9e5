"""Showing hostile text to people: nothing invisible stays invisible, nothing is longer than it may be."""

from __future__ import annotations

import unicodedata
from typing import Final

_KEPT: Final = frozenset({"\n", "\t"})
_LOOKS_EMPTY: Final = frozenset({"\u115f", "\u1160", "\u3164", "\uffa0", "\u2800", "\u034f"})
"""Letters and symbols that draw nothing, so that Unicode's categories do not give them away."""


def visible(text: str) -> str:
    """The same text with every control, format (bidirectional override, zero-width) and private character spelled out.

    A reviewer decides on what the screen shows: an override that reorders a line, or a zero-width word, would hide a
    change. Carriage returns are marked too, since a model sees them. Newline and tab are kept. The opening mark itself
    is spelled out, so that two different texts never look alike.
    """
    return "".join(c if _shown(c) else f"⟦U+{ord(c):04X}⟧" for c in text)


def _shown(char: str) -> bool:
    if char in _KEPT or char.isascii():
        return char in _KEPT or char.isprintable()
    category = unicodedata.category(char)
    # Zs is kept but for its odd members: a no-break space reads as a space to people and as another token to a model.
    odd = category[0] == "C" or category in ("Zl", "Zp", "Zs")
    return not (odd or char in _LOOKS_EMPTY or char == "⟦")


def one_line(text: str, limit: int) -> str:
    """`text` as one visible line of at most `limit` characters."""
    return shortened(visible(" ".join(text.split())), limit)


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, ending in an ellipsis when something was left out."""
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + "…"


def clean_reason(text: str) -> str:
    """A typed reason: line ends unified, everything invisible spelled out, blank ends removed."""
    return visible(text.replace("\r\n", "\n").replace("\r", "\n")).strip()
