"""The diff as HTML: side by side and unified, switched without a script, marked by more than colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptlane.domain.release.diff import Gap, Row, Section, Span
from promptlane.domain.review.reading import Part

from .markup import Child, Html, tag


def diff_view(parts: Sequence[Part], *, old: str, new: str) -> Html:
    """Parts of a diff in both views."""
    return tag(
        "div",
        tag("input", type="radio", name="view", id="view-side", class_="hidden"),
        tag("label", "Side by side", for_="view-side"),
        tag("input", type="radio", name="view", id="view-unified", class_="hidden"),
        tag("label", "One column", for_="view-unified"),
        tag("div", [_side(part, old, new) for part in parts], class_="side"),
        tag("div", [_unified(part) for part in parts], class_="unified"),
        class_="views",
    )


def counted(section: Section) -> str:
    """How much of a section changed."""
    what = "pieces of lines" if section.pieces else "lines"
    return f"{section.removed:,} removed, {section.added:,} added {what}"


def _title(part: Part) -> Html:
    return tag("h3", part.title, tag("span", f" ({counted(part.section)})", class_="soft"))


def _side(part: Part, old: str, new: str) -> list[Child]:
    titles = [(_number("line"), tag("th", version, scope="col")) for version in (old, new)]
    head = tag("thead", tag("tr", *titles))
    body = tag("tbody", [_gap(row, 4) if isinstance(row, Gap) else _pair(row) for row in part.rows])
    label = f"{part.title}, side by side"
    return [_title(part), tag("table", _columns(2), head, body, class_="diff code", aria_label=label)]


def _number(what: str) -> Html:
    return tag("th", tag("span", what, class_="hidden"), scope="col", class_="num")


def _gap(gap: Gap, columns: int) -> Html:
    return tag("tr", tag("td", gap.says, colspan=columns), class_="gap")


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


def _unified(part: Part) -> list[Child]:
    titles = tag("tr", _number("old line"), _number("new line"), tag("th", "change", scope="col"))
    head = tag("thead", titles, class_="hidden")
    body = tag("tbody", list(_unified_rows(part.rows)))
    label = f"{part.title}, one column"
    return [_title(part), tag("table", _columns(1), head, body, class_="diff code", aria_label=label)]


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
