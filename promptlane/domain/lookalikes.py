"""Letters that look like others: where a word mixes scripts, or pretends to be of another one.

Follows the mixed-script and whole-script detection of Unicode Technical Standard 39 (sections 5.1 and 4.2), with the
first word of a character's name as its script. Sets of look-alikes are single facts of its confusables table.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*")
_BESIDE_ANY: Final = frozenset(
    {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"}
)
"""Scripts that are written beside Latin without a blank between, and whose letters nobody takes for it."""
_SCIENCE: Final = frozenset("ΔΘΛΞΠΣΦΨΩδθλμξπσφψ")
"""Greek letters of units and formulas, as in kΩ, that look like no Latin one."""
_LIKE_LATIN: Final = frozenset("АВЕЅІЈКМНОРСТУХѴԌԚԜаеѕіјорсухѵԁһӏԛԝүғΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿονικυϲϳՕՏԼՍօոսհցքյզ")
_WHOLLY_LIKE_LATIN: Final = frozenset({"LISU", "CHEROKEE", "COPTIC", "DESERET", "GOTHIC", "LYDIAN", "CARIAN"})


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    """LATIN, CYRILLIC, …; empty for what belongs to none: marks, ASCII digits, letters that are symbols."""
    category = unicodedata.category(char)
    if (category[0] != "L" and category not in ("Nd", "Nl")) or "0" <= char <= "9":
        return ""
    name = unicodedata.name(char, "")
    if category == "Lm" or name.startswith(("MICRO", "FEMININE", "MASCULINE")):
        return ""
    if category == "Nd":
        return f"DIGITS OF {name.partition(' DIGIT')[0]}"
    return "LATIN" if "LATIN" in name.split() else name.partition(" ")[0]


def foreign(text: str) -> set[int]:
    """Positions of letters and digits that are of another script than the word that they stand in, or of words that
    are made of look-alikes of Latin letters alone, in a text that has Latin words and no other ones of their script."""
    words = [(match.start(), [_script(c) for c in match[0]], match[0]) for match in _WORD.finditer(text)]
    marked: set[int] = set()
    pretenders: list[tuple[str, int, int]] = []
    honest: set[str] = set()
    for start, scripts, word in words:
        own = Counter(s for s in scripts if s and s not in _BESIDE_ANY)
        if len(own) > 1:
            main = _main(own)
            marked.update(
                start + i for i, s in enumerate(scripts) if s in own and s != main and word[i] not in _SCIENCE
            )
        elif own:
            [script] = own
            if script != "LATIN" and all(map(_like_latin, word, scripts)):
                pretenders.append((script, start, start + len(word)))
            else:
                honest.add(script)
    if "LATIN" in honest:
        for script, start, end in pretenders:
            if script not in honest:
                marked.update(range(start, end))
    return marked


def _main(own: Counter[str]) -> str:
    """The script of most letters; of Latin and another with equally many, Latin."""
    return max(own, key=lambda s: (not s.startswith("DIGITS"), own[s], s == "LATIN"))


def _like_latin(char: str, script: str) -> bool:
    return not script or char in _LIKE_LATIN or script in _WHOLLY_LIKE_LATIN


def twins(text: str) -> Iterator[int]:
    """Positions of what another spelling of the same text looks exactly like: characters that canonical composition
    (NFC) replaces, reorders or joins with the one before, and mathematical letters that stand for plain ones."""
    before = ""
    for i, char in enumerate(text):
        if not char.isascii() and (
            unicodedata.normalize("NFC", char) != char
            or (before and unicodedata.normalize("NFC", before + char) != before + char)
            or unicodedata.decomposition(char).startswith("<font>")
        ):
            yield i
        before = char
