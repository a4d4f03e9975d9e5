"""What changed between two versions, over everything that the fingerprint covers.

A version is laid out as named sections of lines (texts line by line, everything else as indented JSON of the very
value that is hashed), so two versions with different fingerprints never show an empty diff.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from promptlane.domain.text import visible, with_blanks

from . import guardrail
from .alignment import changed_pieces, in_pieces, opcodes
from .content import canonical_variants, fingerprint

Json = Any
RowKind = Literal["same", "changed", "removed", "added"]
Span = tuple[str, bool]
"""A piece of a line and whether it is what changed."""

_TOKEN: Final = re.compile(r"\w+|\s+|[^\w\s]")
_MAX_TOKENS: Final = 400
"""Lines with more tokens are highlighted whole: matching is quadratic and the text may be hostile."""
_LONG_LINE: Final = 900
"""A section with a longer line is compared and shown in pieces of lines, so that one word in it shows as one word."""
_WORDS_WORK: Final = 40_000_000
"""Characters times characters of the pairs of lines of a section whose words are matched."""
_TEXTS: Final = re.compile(r"(template|system( \d+)?|message \d+)( of variant \d+)?$")
_NO_NEWLINE: Final = "⟦no line end⟧"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the side-by-side view. `left` and `right` are line numbers from 1, None where a side has no line.

    In a section that is shown in pieces several rows have the number of the line that they are pieces of.
    """

    kind: RowKind
    left: int | None
    right: int | None
    old: tuple[Span, ...]
    new: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a version (`template`, `model`, `inference`, …) with all its rows, unchanged ones included."""

    title: str
    rows: tuple[Row, ...]
    pieces: bool = False

    @property
    def text(self) -> bool:
        """Whether it is one of the long texts, which come after everything else."""
        return bool(_TEXTS.match(self.title))

    @property
    def changed(self) -> bool:
        return any(row.kind != "same" for row in self.rows)

    @property
    def added(self) -> int:
        return sum(row.kind in ("changed", "added") for row in self.rows)

    @property
    def removed(self) -> int:
        return sum(row.kind in ("changed", "removed") for row in self.rows)


@dataclass(frozen=True, slots=True)
class Gap:
    """Unchanged rows that were left out of a view; lines, or pieces of lines."""

    rows: int
    pieces: bool = False

    @property
    def says(self) -> str:
        what = "piece" if self.pieces else "line"
        return f"{self.rows} unchanged {what}{'s' if self.rows > 1 else ''}"


def layout(variants: Sequence[Mapping[str, Json]]) -> dict[str, list[str]]:
    """Sections of a version in reading order: title to lines, invisible characters spelled out."""
    sections: dict[str, list[str]] = {}
    canonical = canonical_variants(variants)
    for index, variant in enumerate(canonical):
        where = f" of variant {index + 1}" if len(canonical) > 1 else ""
        for title, lines in _parts(dict(variant)):
            sections[title + where] = lines
    return sections


def _parts(variant: dict[str, Json]) -> Iterator[tuple[str, list[str]]]:
    config = variant.pop("templateConfiguration", None) or {}
    config = {k: dict(v) if isinstance(v, Mapping) else v for k, v in config.items()}
    rest: dict[str, Json] = {}
    text = config.get("text")
    if isinstance(text, dict):
        del config["text"]
        yield "template", _lines(text.pop("text", ""))
        yield from _variables(text)
        rest |= {"template settings": text}
    chat = config.get("chat")
    if isinstance(chat, dict):
        del config["chat"]
        for i, block in enumerate(chat.pop("system", None) or []):
            yield f"system {i + 1}" if i else "system", _block(block)
        for i, message in enumerate(chat.pop("messages", None) or []):
            yield f"message {i + 1}", _message(message)
        yield from _variables(chat)
        rest |= {"tools": chat.pop("toolConfiguration", None), "template settings": chat}
    model = variant.pop("modelId", None)
    inference = variant.pop("inferenceConfiguration", None)
    if isinstance(inference, Mapping) and set(inference) == {"text"}:
        inference = inference["text"]
    fields = variant.pop("additionalModelRequestFields", None)
    named = guardrail.of_variant(variant)
    if named is not None and variant["metadata"] == [named.entry]:
        del variant["metadata"]
        yield "guardrail", [f"id: {visible(named.id)}", f"version: {visible(named.version)}"]
    parts = {"model": model, "inference": inference, **rest, "additional fields": fields}
    parts |= {"other template": config, "name and type": variant}
    for title, value in parts.items():
        if value not in (None, {}, []):
            yield title, _json(value)


def _variables(body: dict[str, Json]) -> Iterator[tuple[str, list[str]]]:
    """Declared variables by name, where they are nothing but names."""
    variables = body.get("inputVariables")
    if variables and all(_only_name(v) for v in variables):
        yield "variables", [visible(v["name"]) for v in body.pop("inputVariables")]


def _only_name(variable: Mapping[str, Json]) -> bool:
    return set(variable) == {"name"} and isinstance(variable["name"], str)


def _message(message: Json) -> list[str]:
    """Role, then each block: a role that changes from user to assistant must show."""
    if not isinstance(message, Mapping):
        return _json(message)
    lines = [f"role: {visible(str(message.get('role', '')))}"]
    for block in message.get("content") or []:
        lines += ["", *_block(block)]
    other = {k: v for k, v in message.items() if k not in ("role", "content")}
    return lines + (_json(other) if other else [])


def _block(block: Json) -> list[str]:
    if isinstance(block, Mapping) and set(block) == {"text"} and isinstance(block["text"], str):
        return _lines(block["text"])
    return _json(block)


def _lines(text: Json) -> list[str]:
    lines = [with_blanks(line) for line in visible(str(text)).split("\n")]
    # A final newline is part of what the model gets; without a mark its loss would show as an empty line only.
    return lines[:-1] if lines[-1] == "" and len(lines) > 1 else [*lines[:-1], lines[-1] + _NO_NEWLINE]


def _json(value: Json) -> list[str]:
    if isinstance(value, str):
        return [visible(value)]
    return visible(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)).split("\n")


def compare(old: Sequence[Mapping[str, Json]], new: Sequence[Mapping[str, Json]]) -> tuple[Section, ...]:
    """All sections of both versions: model, settings and tools first, then the texts, which may be long.

    `old` is empty for a prompt's first version.
    """
    left, right = layout(old), layout(new)
    titles = [*left, *(title for title in right if title not in left)]
    order = {title: i for i, title in enumerate(right)}
    titles.sort(key=lambda title: (bool(_TEXTS.match(title)), order.get(title, len(order))))
    sections = [_section(title, left.get(title, []), right.get(title, [])) for title in titles]
    if fingerprint(old) != fingerprint(new) and not any(section.changed for section in sections):
        # The layout leaves out empty shapes; what is hashed never goes unshown.
        sections.append(_section("as hashed", _json(canonical_variants(old)), _json(canonical_variants(new))))
    return tuple(sections)


def _section(title: str, old: Sequence[str], new: Sequence[str]) -> Section:
    pieces = any(len(text) > _LONG_LINE for text in (*old, *new))
    return Section(title, tuple(_highlighted(_in_pieces(_rows(old, new)) if pieces else _rows(old, new))), pieces)


def _rows(old: Sequence[str], new: Sequence[str]) -> Iterator[Row]:
    """Rows of whole lines, changed as a whole."""
    for _, i1, i2, j1, j2 in opcodes(old, new):
        paired = min(i2 - i1, j2 - j1)
        for i, j in zip(range(i1, i1 + paired), range(j1, j1 + paired), strict=True):
            yield _pair(i + 1, j + 1, old[i], new[j])
        for i in range(i1 + paired, i2):
            yield Row("removed", i + 1, None, ((old[i], True),), ())
        for j in range(j1 + paired, j2):
            yield Row("added", None, j + 1, (), ((new[j], True),))


def _pair(left: int, right: int, before: str, after: str) -> Row:
    changed = before != after
    return Row("changed" if changed else "same", left, right, ((before, changed),), ((after, changed),))


def _in_pieces(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        before, after = line(row.old), line(row.new)
        if row.left is None or row.right is None:
            for piece in in_pieces(before or after):
                spans: tuple[Span, ...] = ((piece, True),)
                yield replace(row, old=spans if row.left else (), new=spans if row.right else ())
            continue
        old, new = changed_pieces(before, after)
        for part in _rows(old, new):
            yield replace(part, left=part.left and row.left, right=part.right and row.right)


def _highlighted(rows: Iterable[Row]) -> Iterator[Row]:
    """The changed rows with what changed in them, as far as the work goes."""
    work = _WORDS_WORK
    for row in rows:
        if row.kind == "changed":
            before, after = line(row.old), line(row.new)
            work -= len(before) * len(after)
            if work > 0:
                old, new = word_diff(before, after)
                yield replace(row, old=old, new=new)
                continue
        yield row


def word_diff(
    old: str, new: str, *, most: int = _MAX_TOKENS, alike: float = 0.3
) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Both texts in spans. Changed as a whole where they have more than `most` words together, or little in common.

    With nothing in common but spaces and commas, specks of highlight would only confuse.
    """
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if len(a) + len(b) > most or matcher.ratio() < alike:
        return ((old, True),), ((new, True),)
    codes = matcher.get_opcodes()
    before = tuple(("".join(a[i1:i2]), tag != "equal") for tag, i1, i2, _, _ in codes if i2 > i1)
    return before, tuple(("".join(b[j1:j2]), tag != "equal") for tag, _, _, j1, j2 in codes if j2 > j1)


def folded(section: Section, *, context: int = 3) -> list[Row | Gap]:
    """The rows with long runs of unchanged ones replaced by a gap."""
    keep = [False] * len(section.rows)
    for i, row in enumerate(section.rows):
        if row.kind != "same":
            keep[max(0, i - context) : i + context + 1] = [True] * len(keep[max(0, i - context) : i + context + 1])
    shown: list[Row | Gap] = []
    for row, kept in zip(section.rows, keep, strict=True):
        if kept:
            shown.append(row)
        elif shown and isinstance(shown[-1], Gap):
            shown[-1] = Gap(shown[-1].rows + 1, section.pieces)
        else:
            shown.append(Gap(1, section.pieces))
    return shown


def line(spans: Sequence[Span]) -> str:
    """The plain text of one side of a row."""
    return "".join(text for text, _ in spans)


def unified(sections: Sequence[Section], *, context: int = 3) -> Iterator[str]:
    """Lines of a unified diff: `=== section`, then ` `, `-`, `+` lines; unchanged sections are left out."""
    for section in sections:
        if not section.changed:
            continue
        yield f"=== {section.title}"
        for run in _runs(folded(section, context=context)):
            if isinstance(run, Gap):
                yield f"  ... {run.says} ..."
                continue
            yield from (f"-{line(row.old)}" for row in run if row.left is not None and row.kind != "same")
            yield from (f"{' ' if row.kind == 'same' else '+'}{line(row.new)}" for row in run if row.right is not None)


def _runs(rows: Sequence[Row | Gap]) -> Iterator[list[Row] | Gap]:
    """Neighbouring changed rows together, so that a unified view lists all removed lines before the added ones."""
    run: list[Row] = []
    for row in rows:
        if isinstance(row, Row) and row.kind != "same":
            run.append(row)
            continue
        if run:
            yield run
            run = []
        yield row if isinstance(row, Gap) else [row]
    if run:
        yield run
