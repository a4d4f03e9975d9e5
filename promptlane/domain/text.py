"""What people read: hostile text, of which nothing stays invisible; shares and durations, in one spelling."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Final

from promptlane.domain import lookalikes

_MARK: Final = "⟦"
_KEPT: Final = frozenset({"\n", "\t"})
_SELECTORS: Final = (0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
_LOOKS_EMPTY: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f") | frozenset(map(chr, _SELECTORS))
"""Letters, marks and symbols that draw nothing, so that Unicode's categories do not give them away.

With the categories these are all of Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt).
"""


_MOST_MARKS: Final = 4
"""Marks on one letter that are left to be drawn: more of them cover what stands around."""
_PLAIN: Final = re.compile(r"[\n\t -~]*")


def visible(text: str) -> str:
    """The same text with everything spelled out that a reader would not see, or would take for something else.

    A reviewer decides on what the screen shows: an override that reorders a line, or a zero-width word, would hide a
    change. In place of each control, format (bidirectional override, zero-width), private or unassigned character,
    variation selector and whatever else draws nothing stands its number: `⟦U+202E⟧`. Carriage returns are marked too,
    since a model sees them; newline and tab are kept. Behind each letter of another script than its word's stands its
    number and script, `⟦U+0430 CYRILLIC⟧`, and its number behind what another spelling looks exactly like. The opening
    mark itself is spelled out, so that two different texts never look alike.
    """
    if _PLAIN.fullmatch(text):
        return text
    other, same = lookalikes.foreign(text), set(lookalikes.twins(text))
    parts, marks = [], 0
    for i, char in enumerate(text):
        marks = marks + 1 if unicodedata.category(char)[0] == "M" else 0
        if not _shown(char) or char == _MARK or marks > _MOST_MARKS:
            parts.append(_spelled(char))
        elif i in other:
            parts.append(char + _spelled(char, unicodedata.name(char, "").partition(" ")[0]))
        else:
            parts.append(char + _spelled(char) if i in same else char)
    return "".join(parts)


def with_blanks(line: str) -> str:
    """A visible line whose tabs, and blanks at its end, are spelled out too: in a diff they would change unseen."""
    kept = line.rstrip(" ")
    return kept.replace("\t", _spelled("\t")) + _spelled(" ") * (len(line) - len(kept))


def printable(text: str) -> str:
    """`text` without anything that steers a terminal or draws nothing, for the last moment before it is printed.

    Leaves alone what `visible` made, and so cannot tell it from the same typed by hand: it is a safety net.
    """
    return text if _PLAIN.fullmatch(text) else "".join(c if _shown(c) else _spelled(c) for c in text)


def _spelled(char: str, *what: str) -> str:
    return f"{_MARK}{' '.join([f'U+{ord(char):04X}', *what])}⟧"


def _shown(char: str) -> bool:
    if char in _KEPT or char.isascii():
        return char in _KEPT or char.isprintable()
    category = unicodedata.category(char)
    # Zs is kept but for its odd members: a no-break space reads as a space to people and as another token to a model.
    odd = category[0] == "C" or category in ("Zl", "Zp", "Zs")
    return not (odd or char in _LOOKS_EMPTY)


def one_line(text: str, limit: int) -> str:
    """`text` as one visible line of at most `limit` characters."""
    return shortened(visible(" ".join(text.split())), limit)


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, ending in an ellipsis when something was left out."""
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + "…"


def subject_line(text: str) -> str:
    """A subject as SNS takes it: one line of ASCII, below 100 characters, that begins with no blank."""
    return "".join(c if " " <= c <= "~" else "?" for c in " ".join(text.split()))[:99] or "(no subject)"


def folded(text: str) -> str:
    """What two names have in common that differ in case, blanks or Unicode form alone."""
    return "".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def clean_reason(text: str) -> str:
    """A typed reason: line ends unified, everything invisible spelled out, blank ends removed."""
    return visible(text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def percent(rate: float | None) -> str:
    """A measured rate (fraction): `0.62%`, `1.2%`, `25%`; `-` where there is none."""
    return "-" if rate is None else f"{round(100 * rate, 2 if abs(rate) < 0.01 else 1):g}%"


def traffic(weight: float) -> str:
    """A share of traffic in basis points, never rounded: `12.5%`."""
    return f"{weight / 100:g}%"


def span(seconds: float) -> str:
    """A duration in short: `45 s`, `12 min`, `3.3 h`, `4 days`."""
    if seconds == math.inf:
        return "for ever"
    for least, unit, size, digits in ((172_800, "days", 86_400, 0), (5400, "h", 3600, 1), (90, "min", 60, 0)):
        if seconds >= least:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{max(seconds, 0):.0f} s"


_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def in_words(seconds: float) -> str:
    """A duration by its two largest units: `2 hours 30 minutes`."""
    left, parts = round(max(0.0, seconds)), []
    for size, name in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}{'s' if count != 1 else ''}")
    return " ".join(parts[:2]) or "0 seconds"
