"""HTML from plain functions. A child is text, and escaped, unless it was made here: escaping cannot be forgotten."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final, TypeAlias

from promptlane.domain.text import printable


class Html(str):
    """Text that is markup already. Only this module makes it."""

    __slots__ = ()


Child: TypeAlias = "str | Html | Iterable[Child] | None"
_VOID: Final = frozenset({"br", "col", "hr", "input", "link", "meta"})


def tag(element: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """One element. `class_` and `for_` are written so; `aria_label` means `aria-label`; None and False are left out."""
    written = [element]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        written.append(attribute if value is True else f'{attribute}="{escape(str(value))}"')
    start = f"<{' '.join(written)}>"
    return Html(start) if element in _VOID else Html(f"{start}{join(children)}</{element}>")


def join(children: Child) -> Html:
    """Several children, one after the other."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return escape(children)
    return Html("".join(join(child) for child in children))


def facts(*named: tuple[str, Child]) -> Html:
    """A list of facts, each with its name."""
    return tag("dl", [[tag("dt", name), tag("dd", value)] for name, value in named], class_="facts")


def escape(text: str) -> Html:
    """Text as HTML, safe in an element and in a quoted attribute; what draws nothing is spelled out."""
    return Html(html.escape(printable(text), quote=True))


def document(title: str, style: str, *body: Child) -> str:
    """A whole page. `style` is our own constant; its hash is in the Content-Security-Policy."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="robots", content="noindex, nofollow"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        Html(f"<style>{style}</style>"),
    )
    return "<!doctype html>" + tag("html", head, tag("body", *body), lang="en")
