"""Which lines of two texts are the same, and long lines in pieces, in time that hostile texts cannot stretch.

Where matching would take too long, all of one side counts as removed and all of the other as added: more is shown than
changed, never less.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final
from zlib import crc32

Opcode = tuple[str, int, int, int, int]
"""As difflib has them: (equal, replace, delete or insert; from and to in the old; from and to in the new)."""

_MATCHED: Final = 800
"""Lines that are matched with each other at once; more are first parted at lines that are unique on both sides."""
_PAIRS: Final = 20_000
_ALL_PAIRS: Final = 200_000
"""Pairs of equal lines that may be looked at, in one match and in all of them."""
_DEPTH: Final = 20

_OPEN: Final = "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}"
_CLOSE: Final = "\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"
GOES_ON: Final = f"{_OPEN}…{_CLOSE}"
"""Ends a piece that does not end its line. A visible text cannot hold it: the opening mark in it is spelled out."""
_ATOM: Final = re.compile(rf"{_OPEN}[^{_CLOSE}]*{_CLOSE}|\s+|\w{{1,16}}|[^\w\s]")
_PIECE: Final = 300
"""Characters after which a piece ends in any case, at the next atom."""
_LEAST: Final = 40
_SNAP: Final = 60
_CUT_ONE_IN: Final = 16


def in_pieces(line: str) -> list[str]:
    """A visible line in pieces, of which all but the last are marked; joined without their marks they are the line."""
    return _marked(_cut(line))


def changed_pieces(old: str, new: str) -> tuple[list[str], list[str]]:
    """Both lines in pieces, with the same ones before their first difference and after their last."""
    shorter = min(len(old), len(new))
    start = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    end = next((i for i in range(shorter - start) if old[-1 - i] != new[-1 - i]), shorter - start)
    start = _whole_words(old[:start])
    end -= _whole_words_behind(old[len(old) - end :])
    before, after = _cut(old[:start]), _cut(old[len(old) - end :])
    left, right = ([*before, *_cut(text[start : len(text) - end])] for text in (old, new))
    return _marked([*left, *after]), _marked([*right, *after])


def _marked(pieces: list[str]) -> list[str]:
    return [*(piece + GOES_ON for piece in pieces[:-1]), *(pieces[-1:] or [""])]


def _whole_words(text: str) -> int:
    """Where to cut after the first so many characters: behind a blank, and not within what is spelled out."""
    opened = text.rfind(_OPEN)
    cut = opened if opened > text.rfind(_CLOSE) else len(text)
    blank = max(text.rfind(c, max(0, cut - _SNAP), cut) for c in " \t")
    return blank + 1 if blank >= 0 else cut


def _whole_words_behind(text: str) -> int:
    """How much of the last so many characters belongs to what stands before."""
    closed, opened = text.find(_CLOSE), text.find(_OPEN)
    cut = closed + 1 if closed >= 0 and (opened < 0 or closed < opened) else 0
    blank = text.find(" ", cut, cut + _SNAP)
    return blank if blank >= 0 else cut


def _cut(line: str) -> list[str]:
    """In pieces that end where the text itself says, so that a change moves no cut but those beside it."""
    pieces: list[str] = []
    start = 0
    before = ""
    for found in _ATOM.finditer(line):
        atom = found[0]
        long = found.end() - start
        here = long >= _PIECE or (long >= _LEAST and crc32((before + atom).encode(errors="replace")) % _CUT_ONE_IN == 0)
        if here and found.end() < len(line):
            pieces += _bounded(line[start : found.end()])
            start = found.end()
        before = atom
    return pieces + _bounded(line[start:])


def _bounded(text: str) -> list[str]:
    """One atom may be a long run of blanks."""
    most = 2 * _PIECE
    return [text[i : i + most] for i in range(0, len(text), most)]


def opcodes(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    """How the old lines become the new ones."""
    return list(_between(old, new, 0, len(old), 0, len(new), [_ALL_PAIRS], _DEPTH))


def _between(
    old: Sequence[str], new: Sequence[str], i1: int, i2: int, j1: int, j2: int, left: list[int], depth: int
) -> Iterator[Opcode]:
    start = 0
    while start < min(i2 - i1, j2 - j1) and old[i1 + start] == new[j1 + start]:
        start += 1
    end = 0
    while end < min(i2 - i1, j2 - j1) - start and old[i2 - 1 - end] == new[j2 - 1 - end]:
        end += 1
    if start:
        yield "equal", i1, i1 + start, j1, j1 + start
    yield from _middle(old, new, i1 + start, i2 - end, j1 + start, j2 - end, left, depth)
    if end:
        yield "equal", i2 - end, i2, j2 - end, j2


def _middle(
    old: Sequence[str], new: Sequence[str], i1: int, i2: int, j1: int, j2: int, left: list[int], depth: int
) -> Iterator[Opcode]:
    if i1 == i2 or j1 == j2:
        if i1 != i2 or j1 != j2:
            yield ("insert" if i1 == i2 else "delete"), i1, i2, j1, j2
        return
    a, b = old[i1:i2], new[j1:j2]
    of_a, of_b = Counter(a), Counter(b)
    pairs = sum(count * of_b[line] for line, count in of_a.items())
    if len(a) + len(b) <= _MATCHED and pairs <= min(_PAIRS, left[0]):
        left[0] -= pairs
        for tag, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            yield tag, i1 + a1, i1 + a2, j1 + b1, j1 + b2
        return
    anchors = _anchors(a, b, of_a, of_b) if depth else []
    if not anchors:
        yield "replace", i1, i2, j1, j2
        return
    x, y = i1, j1
    for i, j in [*((i1 + i, j1 + j) for i, j in anchors), (i2, j2)]:
        yield from _between(old, new, x, i, y, j, left, depth - 1)
        if i < i2:
            yield "equal", i, i + 1, j, j + 1
        x, y = i + 1, j + 1


def _anchors(a: Sequence[str], b: Sequence[str], of_a: Counter[str], of_b: Counter[str]) -> list[tuple[int, int]]:
    """Where lines stand that each side has once, as many as stand in one order on both: a longest increasing run."""
    there = {line: j for j, line in enumerate(b) if of_b[line] == 1}
    unique = [(i, there[line]) for i, line in enumerate(a) if of_a[line] == 1 and line in there]
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for at, (_, j) in enumerate(unique):
        place = bisect_left(ends, j)
        ends[place : place + 1], last[place : place + 1] = [j], [at]
        before.append(last[place - 1] if place else -1)
    found = []
    at = last[-1] if last else -1
    while at >= 0:
        found.append(unique[at])
        at = before[at]
    return found[::-1]
