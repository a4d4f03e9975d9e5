"""Where commands print: nothing that is printed steers the terminal, is read as markup, or stays invisible.

Names, ids, reasons and answers come from other people. What shows them spells them out with `domain.text.visible`;
what forgets to is caught here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from promptlane.domain.text import printable

from .streams import nobody_reads


class Terminal(Console):
    """Rich's console, on plain text: styles come from `Text` and `bold`, never from brackets in what is printed."""

    def __init__(self, *, stderr: bool = False, outlives_pipe: bool = False) -> None:
        """`outlives_pipe`: the command goes on where nobody reads any more, since its exit code still tells."""
        super().__init__(highlight=False, soft_wrap=True, markup=False, emoji=False, stderr=stderr)
        self._outlives_pipe = outlives_pipe

    def on_broken_pipe(self) -> None:
        if not self._outlives_pipe:
            super().on_broken_pipe()
        self.quiet = True
        nobody_reads()

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def bold(template: str, *values: object, style: str = "bold") -> Text:
    """`template` with each `{}` replaced by the next value in bold."""
    text = Text()
    for part, value in zip(template.split("{}"), [*values, ""], strict=True):
        text.append(part).append(str(value), style=style)
    return text


_HARMLESS = re.compile(r"[\n\t -~]*")


def as_json(document: object) -> str:
    """The document for programs and for people who look at it: what `printable` would spell out is escaped."""
    return escaped(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def escaped(text: str) -> str:
    """JSON text in which whatever is not printable becomes `\\uXXXX`: it stands in strings only, and means the same."""
    if _HARMLESS.fullmatch(text):
        return text
    return "".join(char if printable(char) == char else json.dumps(char)[1:-1] for char in text)
