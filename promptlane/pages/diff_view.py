"""The diff as HTML: side by side and unified, switched without a script, marked by more than colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from promptlane.domain.release.diff import Gap, Row, Section, Span, folded

from .markup import Child, Html, tag

MAX_ROWS: Final = 3_000
MAX_CHARS: Final = 300_000
"""Bounds of one view, so that the page stays under what Lambda and a phone take; what is left out is said."""


def diff_view(sections: Sequence[Section], *, old: str, new: str, command: str) -> Html:
    """All changed sections in both views, and the names of the unchanged ones. `command` shows what a page cannot."""
    changed = [section for section in sections if section.changed]
    same = [section.title for section in sections if not section.changed]
    shown, left_out = _bounded(changed)
    return tag(
        "div",
        tag("input", type="radio", name="view", id="view-side", class_="hidden"),
        tag("label", "Side by side", for_="view-side"),
        tag("input", type="radio", name="view", id="view-unified", class_="hidden"),
        tag("label", "One column", for_="view-unified"),
        tag("div", [_side(section, rows, old, new) for section, rows in shown], class_="side"),
        tag("div", [_unified(section, rows) for section, rows in shown], class_="unified"),
        tag("p", f"Unchanged: {', '.join(same)}.", class_="soft") if same else None,
        _cut(left_out, command) if left_out else None,
        class_="views",
    )


def _cut(left_out: int, command: str) -> Html:
    text = f"{left_out:,} more rows do not fit this page. Read all of them before you decide: "
    return tag("p", text, tag("code", command), class_="note warn")


def _bounded(sections: Sequence[Section]) -> tuple[list[tuple[Section, list[Row | Gap]]], int]:
    rows_left, chars_left, left_out = MAX_ROWS, MAX_CHARS, 0
    shown: list[tuple[Section, list[Row | Gap]]] = []
    for section in sections:
        kept: list[Row | Gap] = []
        for row in folded(section):
            size = 0 if isinstance(row, Gap) else sum(len(text) for text, _ in (*row.old, *row.new))
            if left_out or rows_left < 1 or size > chars_left:
                left_out += 1
                continue
            rows_left, chars_left = rows_left - 1, chars_left - size
            kept.append(row)
        if kept:
            shown.append((section, kept))
    return shown, left_out


def _title(section: Section) -> Html:
    counts = f" ({section.removed} removed, {section.added} added)"
    return tag("h3", section.title, tag("span", counts, class_="soft"))


def _side(section: Section, rows: Sequence[Row | Gap], old: str, new: str) -> list[Child]:
    titles = [(_number("line"), tag("th", version, scope="col")) for version in (old, new)]
    head = tag("thead", tag("tr", *titles))
    body = tag("tbody", [_gap(row, 4) if isinstance(row, Gap) else _pair(row) for row in rows])
    label = f"{section.title}, side by side"
    return [_title(section), tag("table", _columns(2), head, body, class_="diff code", aria_label=label)]


def _number(what: str) -> Html:
    return tag("th", tag("span", what, class_="hidden"), scope="col", class_="num")


def _gap(gap: Gap, columns: int) -> Html:
    text = f"{gap.rows} unchanged line{'s' if gap.rows > 1 else ''}"
    return tag("tr", tag("td", text, colspan=columns), class_="gap")


def _pair(row: Row) -> Html:
    changed = row.kind != "same"
    left = _line_number(row.left), _cell(row.left, row.old, "del" if changed else "")
    return tag("tr", *left, _line_number(row.right), _cell(row.right, row.new, "add" if changed else ""))


def _line_number(number: int | None) -> Html:
    return tag("th", str(number) if number else "", scope="row" if number else None, class_="num")


def _cell(number: int | None, spans: Sequence[Span], kind: str) -> Html:
    if number is None:
        return tag("td", class_="none")
    return tag("td", _said(kind), _marked(spans, kind), class_=kind or None)


def _said(kind: str) -> Html | None:
    """What colour says, for those who do not see it."""
    return tag("span", {"del": "removed: ", "add": "added: "}[kind], class_="hidden") if kind else None


def _marked(spans: Sequence[Span], kind: str) -> list[Child]:
    mark = {"del": "del", "add": "ins"}.get(kind)
    return [tag(mark, text) if mark and changed and text else text for text, changed in spans]


def _unified(section: Section, rows: Sequence[Row | Gap]) -> list[Child]:
    titles = tag("tr", _number("old line"), _number("new line"), tag("th", "change", scope="col"))
    head = tag("thead", titles, class_="hidden")
    body = tag("tbody", list(_unified_rows(rows)))
    label = f"{section.title}, one column"
    return [_title(section), tag("table", _columns(1), head, body, class_="diff code", aria_label=label)]


def _columns(texts: int) -> Html:
    """Fixed widths: numbers narrow, and for each text column the rest in equal parts."""
    number, text = tag("col", class_="num"), tag("col")
    return tag("colgroup", [number, number, text] if texts == 1 else [number, text, number, text])


def _unified_rows(rows: Sequence[Row | Gap]) -> Iterator[Html]:
    pending: list[Row] = []
    for row in rows:
        if isinstance(row, Row) and row.kind != "same":
            pending.append(row)
            continue
        yield from _flush(pending)
        pending = []
        if isinstance(row, Gap):
            yield _gap(row, 3)
        else:
            cell = tag("td", "  ", _marked(row.new, ""))
            yield tag("tr", _line_number(row.left), _line_number(row.right), cell)
    yield from _flush(pending)


def _flush(rows: Sequence[Row]) -> Iterator[Html]:
    """A run of changes: everything removed, then everything added, as one reads a unified diff."""
    for row in rows:
        if row.left is not None:
            cell = tag("td", _said("del"), "- ", _marked(row.old, "del"), class_="del")
            yield tag("tr", _line_number(row.left), _line_number(None), cell)
    for row in rows:
        if row.right is not None:
            cell = tag("td", _said("add"), "+ ", _marked(row.new, "add"), class_="add")
            yield tag("tr", _line_number(None), _line_number(row.right), cell)
