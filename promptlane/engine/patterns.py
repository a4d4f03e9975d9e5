"""Regular expressions are JavaScript's, as promptfoo's users write them; what means something else there is refused.

Without flags, JavaScript takes an escape that it does not know for the letter itself, and syntax of other libraries for
plain characters: such a pattern never matches, and so would always pass under `not-`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(r"\\(?P<escaped>.)|(?P<posix>\[:\^?\w+:\])|(?P<other>.)", re.S)
_KNOWN: Final = frozenset("dDwWsSbBnrtvfcxu0123456789k")
_FUZZY: Final = re.compile(r"[)\]\w]\{(?:\d+<=?)?[eids](?:<=?\d+)?(?:,(?:\d+<=?)?[eids](?:<=?\d+)?)*\}")
_NAMED_GROUP: Final = re.compile(r"\(\?<[^=!]")


def foreign(pattern: str) -> Iterator[str]:
    """What of a pattern means something else in JavaScript than its author can have meant; with the remedy."""
    for token in _TOKEN.finditer(pattern):
        escaped, behind = token["escaped"], pattern[token.end() :]
        if token["posix"]:
            yield f"{token['posix']} is no class of characters in JavaScript; write them out, as in [A-Za-z]"
        elif escaped in ("p", "P") and behind.startswith("{"):
            yield f"\\{escaped}{{…}} needs JavaScript's flag u, which promptfoo does not set; write the characters out"
        elif escaped == "u" and behind.startswith("{"):
            yield "\\u{…} needs JavaScript's flag u, which promptfoo does not set; write the character itself"
        elif escaped == "k" and not _NAMED_GROUP.search(pattern):
            yield "\\k refers to a named group, and the pattern has none"
        elif escaped and escaped.isascii() and escaped.isalpha() and escaped not in _KNOWN:
            hint = {"A": "; write ^", "Z": "; write $", "z": "; write $"}.get(escaped, "")
            yield f"\\{escaped} is the letter {escaped!r} itself in JavaScript{hint}"
    if fuzzy := _FUZZY.search(pattern):
        yield f"{fuzzy[0][1:]} is no approximate match in JavaScript; write the alternatives, or use `levenshtein`"
