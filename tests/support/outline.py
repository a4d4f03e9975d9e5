"""A page as an indented outline of its elements, so that a test can show what stands where."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = frozenset({"meta"})


class _Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.lines: list[str] = []

    def handle_decl(self, decl: str) -> None:
        self.lines.append(f"!{decl}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._line(tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._line(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> ends nothing"

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self.open:
            self.lines.append("  " * len(self.open) + f"| {data.strip()}")

    def _line(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        written = "".join(f".{v.replace(' ', '.')}" if k == "class" and v else f" {k}={v}" for k, v in attrs)
        self.lines.append("  " * len(self.open) + tag + written)


def outline(page: str) -> str:
    """Its elements with their attributes, one on a line, deeper ones further in; `|` is text.

    A text that is all of its element stands on the same line. Every element must be closed where it was opened.
    """
    parser = _Outline()
    parser.feed(page)
    parser.close()
    assert parser.open == [], "elements are left open"
    lines: list[str] = []
    for i, line in enumerate(parser.lines):
        depth = len(line) - len(line.lstrip())
        after = parser.lines[i + 1] if i + 1 < len(parser.lines) else ""
        alone = len(after) - len(after.lstrip()) < depth
        last = lines[-1] if lines else ""
        if line.lstrip().startswith("| ") and alone and len(last) - len(last.lstrip()) == depth - 2:
            lines[-1] += f" {line.lstrip()}"
        else:
            lines.append(line)
    return "\n".join(lines)
