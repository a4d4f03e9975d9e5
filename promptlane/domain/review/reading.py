"""What of a brief stands where: on the review page itself, or on parts of it that a reviewer opens one by one.

Small sections (model, settings, tools, variables) stand on the page whole and first; long ones by their changed
passages. What does not fit is parted, and no decision by link counts before its reviewer has opened every part.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final

from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.diff import Gap, Row, Section, compare, folded, line

from .brief import Brief

SMALL: Final = 60_000
ON_PAGE: Final = 1_000_000
PART: Final = 1_500_000
"""Bytes of a whole small section, of all long sections on the page together, and of one part, as `_size` counts them:
at least what they take in the answer of a Lambda function, which has room for six million."""
_ROW: Final = 1_100
_SPAN: Final = 60


@dataclass(frozen=True)
class Part:
    """Rows of one section. `number` of `of`; 1 of 1 is the whole section."""

    section: Section
    rows: tuple[Row | Gap, ...]
    number: int = 1
    of: int = 1

    @cached_property
    def id(self) -> str:
        """What is opened: a digest of what it shows, so that one name never means two things."""
        shown = [
            ["gap", row.rows] if isinstance(row, Gap) else [row.kind, row.left, row.right, line(row.old), line(row.new)]
            for row in self.rows
        ]
        told = json.dumps([self.section.title, self.number, self.of, shown])
        return hashlib.sha256(b"promptlane review part 1\n" + told.encode()).hexdigest()[:32]

    @property
    def title(self) -> str:
        return self.section.title if self.of == 1 else f"{self.section.title}, part {self.number} of {self.of}"


@dataclass(frozen=True)
class Reading:
    """A brief as a reviewer reads it. `opened`: ids of parts that this reviewer has opened in this round."""

    brief: Brief
    sections: tuple[Section, ...]
    on_page: tuple[Part, ...]
    deferred: tuple[Part, ...] = ()
    opened: frozenset[str] = field(default=frozenset())

    @property
    def unread(self) -> tuple[Part, ...]:
        return tuple(part for part in self.deferred if part.id not in self.opened)

    def part(self, id: str) -> Part | None:
        return next((part for part in self.deferred if part.id == id), None)


def reading(brief: Brief, opened: Iterable[str] = ()) -> Reading:
    """Everything that a brief shows, and where."""
    sections, on_page, deferred = _laid_out(canonical_json([brief.stable_variants, brief.candidate_variants]))
    return Reading(brief, sections, on_page, deferred, frozenset(opened))


@lru_cache(maxsize=4)
def _laid_out(variants: str) -> tuple[tuple[Section, ...], tuple[Part, ...], tuple[Part, ...]]:
    """Sections, parts on the page and parts to be opened. Kept, since a reviewer opens one part after the other."""
    sections = compare(*json.loads(variants))
    on_page: list[Part] = []
    deferred: list[Part] = []
    left = ON_PAGE
    for section in sections:
        if not section.changed:
            continue
        if not section.text and _size(section.rows) <= SMALL:
            on_page.append(Part(section, section.rows))
            continue
        rows = folded(section)
        if (size := _size(rows)) <= left:
            left -= size
            on_page.append(Part(section, tuple(rows)))
        else:
            deferred += _parts(section, rows)
    return sections, tuple(on_page), tuple(deferred)


def _parts(section: Section, rows: Sequence[Row | Gap]) -> Iterator[Part]:
    groups: list[list[Row | Gap]] = [[]]
    left = PART
    for row in rows:
        size = _size([row])
        if size > left and groups[-1]:
            groups.append([])
            left = PART
        left -= size
        groups[-1].append(row)
    for number, group in enumerate(groups, start=1):
        yield Part(section, tuple(group), number, len(groups))


def _size(rows: Iterable[Row | Gap]) -> int:
    """Bytes that rows take at most: in both views, as HTML in JSON that spells out what is not ASCII."""
    total = 0
    for row in rows:
        total += _ROW
        if isinstance(row, Row):
            for text, _ in (*row.old, *row.new):
                total += _SPAN + 2 * len(json.dumps(html.escape(text)))
    return total
