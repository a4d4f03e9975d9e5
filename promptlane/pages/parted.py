"""A page that is larger than one answer, in pages that are not.

Lambda answers with six million bytes of JSON at most, in which a character may take twelve.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

MOST: Final = 4_500_000
"""Bytes of one page as JSON; the answer's headers and the frame of a part come on top."""
_TOKEN: Final = re.compile(r"<[^>]*>|(?:[^<&]|&(?:#?\w{1,10};)?){1,2000}|<")
_NAME: Final = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)")
_VOID: Final = frozenset({"br", "col", "hr", "input", "link", "meta", "img", "circle", "line", "path", "polyline"})


def size(body: str) -> int:
    """Bytes that a text takes as JSON at most."""
    if body.isascii() and body.isprintable():
        return len(body) + body.count('"') + body.count("\\") + 2
    return len(json.dumps(body))


def in_parts(body: str, most: int = MOST) -> list[str]:
    """The page's body in parts, each a page with the same head; elements that are cut are closed and opened again.

    The page is one of ours: every `<` begins a tag, and every element but the void ones is closed.
    """
    if size(body) <= most:
        return [body]
    start, main, rest = body.partition("<main>")
    if not main:
        start, rest = "<!doctype html><html><body>", body
    inner, _, _ = rest.rpartition("</main>")
    head = f"{start}<main>"
    return [f"{head}{part}</main></body></html>" for part in _cut(inner or rest, most - size(head))]


def _cut(text: str, most: int) -> Iterator[str]:
    opened: list[str] = []
    part: list[str] = []
    left = most
    for found in _TOKEN.finditer(text):
        token = found[0]
        if (cost := size(token)) > left and part:
            yield "".join([*part, *_ends(opened)])
            part = list(opened)
            left = most - sum(map(size, part))
        part.append(token)
        left -= cost
        _note(token, opened)
    yield "".join([*part, *_ends(opened)])


def _note(token: str, opened: list[str]) -> None:
    """Which elements are open behind a token."""
    match = _NAME.match(token)
    if match is None or token.endswith("/>") or match[1].lower() in _VOID:
        return
    if not token.startswith("</"):
        opened.append(token)
    elif opened:
        opened.pop()


def _ends(opened: list[str]) -> Iterator[str]:
    for tag in reversed(opened):
        if match := _NAME.match(tag):
            yield f"</{match[1]}>"
