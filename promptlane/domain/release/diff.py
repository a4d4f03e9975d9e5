"""What changed between two versions, over everything that the fingerprint covers.

A version is laid out as named sections of lines (texts line by line, everything else as indented JSON of the very
value that is hashed), so two versions with different fingerprints never show an empty diff.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from promptlane.domain.text import visible, with_blanks

from .content import canonical_variants, fingerprint

Json = Any
RowKind = Literal["same", "changed", "removed", "added"]
Span = tuple[str, bool]
"""A piece of a line and whether it is what changed."""

_TOKEN: Final = re.compile(r"\w+|\s+|[^\w\s]")
_MAX_TOKENS: Final = 400
"""Lines with more tokens are highlighted whole: matching is quadratic and the text may be hostile."""
_MAX_LINES: Final = 4_000
_NO_NEWLINE: Final = "⟦no line end⟧"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the side-by-side view. `left` and `right` are line numbers from 1, None where a side has no line."""

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
    """Unchanged rows that were left out of a view."""

    rows: int


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
    """All sections of both versions in reading order. `old` is empty for a prompt's first version."""
    left, right = layout(old), layout(new)
    titles = [*left, *(title for title in right if title not in left)]
    order = {title: i for i, title in enumerate(right)}
    titles.sort(key=lambda title: order.get(title, len(order)))
    sections = [Section(title, tuple(_rows(left.get(title, []), right.get(title, [])))) for title in titles]
    if fingerprint(old) != fingerprint(new) and not any(section.changed for section in sections):
        # The layout leaves out empty shapes; what is hashed never goes unshown.
        sections.append(
            Section("as hashed", tuple(_rows(_json(canonical_variants(old)), _json(canonical_variants(new)))))
        )
    return tuple(sections)


def _rows(old: Sequence[str], new: Sequence[str]) -> Iterator[Row]:
    for tag, i1, i2, j1, j2 in _opcodes(old, new):
        paired = min(i2 - i1, j2 - j1)
        for k in range(paired):
            i, j = i1 + k, j1 + k
            if tag == "equal":
                yield Row("same", i + 1, j + 1, ((old[i], False),), ((new[j], False),))
            else:
                yield Row("changed", i + 1, j + 1, *word_diff(old[i], new[j]))
        for i in range(i1 + paired, i2):
            yield Row("removed", i + 1, None, ((old[i], True),), ())
        for j in range(j1 + paired, j2):
            yield Row("added", None, j + 1, (), ((new[j], True),))


def _opcodes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """difflib's opcodes, with the common ends cut off first and a bound on what is matched in between."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    if start:
        yield "equal", 0, start, 0, start
    a, b = old[start : len(old) - end], new[start : len(new) - end]
    if len(a) + len(b) > _MAX_LINES:
        yield "replace", start, len(old) - end, start, len(new) - end
    else:
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, a, b, autojunk=len(a) + len(b) > 800).get_opcodes():
            yield tag, i1 + start, i2 + start, j1 + start, j2 + start
    if end:
        yield "equal", len(old) - end, len(old), len(new) - end, len(new)


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
            shown[-1] = Gap(shown[-1].rows + 1)
        else:
            shown.append(Gap(1))
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
                yield f"  ... {run.rows} unchanged line{'s' if run.rows > 1 else ''} ..."
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
