"""The commands of a query, one after the other, and the rows that come out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .evaluate import aggregate, evaluate, with_bin
from .syntax import Malformed, Node, Parser, pattern_of
from .values import Record, lookup, moment, number, text


@dataclass
class Table:
    """Records on their way through a query, and the columns to show."""

    records: list[Record]
    shown: list[str]
    aggregated: bool = False
    limit: int = 10_000
    times: set[str] = field(default_factory=lambda: {"@timestamp", "@ingestionTime"})


def _fields(table: Table, rest: str) -> None:
    columns = _columns(rest)
    for record in table.records:
        record |= {name: evaluate(node, record) for name, node in columns if node.kind != "field" or name != node.value}
    table.shown = (
        [name for name, _ in columns] if table.shown == DEFAULT_FIELDS else [*table.shown, *(n for n, _ in columns)]
    )
    _note_times(table, columns)


def _columns(rest: str) -> list[tuple[str, Node]]:
    parser = Parser(rest)
    columns = parser.named()
    parser.finish()
    return [(name, with_bin(node)) for name, node in columns]


def _note_times(table: Table, columns: list[tuple[str, Node]]) -> None:
    for name, node in columns:
        timelike = node.kind == "call" and node.value in ("datefloor", "dateceil", "frommillis")
        inner = node.parts[0] if node.kind == "call" and node.value in ("min", "max", "earliest", "latest") else node
        if timelike or (inner.kind == "field" and inner.value in table.times):
            table.times.add(name)


def _display(table: Table, rest: str) -> None:
    _fields(table, rest)
    table.shown = [name for name, _ in _columns(rest)]


def _filter(table: Table, rest: str) -> None:
    parser = Parser(rest)
    node = with_bin(parser.expression())
    parser.finish()
    table.records = [record for record in table.records if evaluate(node, record)]


_PARSE = re.compile(
    r"(?:(?P<field>[@`\w.]+)\s+)?(?P<what>\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|/(?:\\.|[^/\\])+/[a-z]*)(?:\s+as\s+(?P<names>.+))?",
    re.S,
)


def _parse(table: Table, rest: str) -> None:
    match = _PARSE.fullmatch(rest.strip())
    if match is None:
        raise Malformed(f"parse needs a glob in quotes or a /regular expression/: {rest!r}")
    names = [name.strip() for name in (match["names"] or "").split(",") if name.strip()]
    if match["what"].startswith("/"):
        pattern = pattern_of(match["what"])
        names = names or list(pattern.groupindex)
    else:
        pattern = re.compile(
            "(.*?)".join(map(re.escape, match["what"][1:-1].split("*"))) + ("$" if match["what"][-2] == "*" else ""),
            re.S,
        )
    if not names or len(names) != pattern.groups:
        raise Malformed(f"parse finds {pattern.groups} values but names {len(names)}: {rest!r}")
    field = (match["field"] or "@message").strip("`")
    for record in table.records:
        found = pattern.search(text(lookup(record, field)))
        if found:
            record |= dict(zip(names, found.groups(), strict=True))


def _stats(table: Table, rest: str) -> None:
    parser = Parser(rest)
    columns = [(name, with_bin(node)) for name, node in parser.named()]
    keys = [(name, with_bin(node)) for name, node in parser.named()] if parser.take("by") else []
    parser.finish()
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in table.records:
        values = {name: evaluate(node, record) for name, node in keys}
        record |= {name: value for name, value in values.items() if name not in record}
        if all(value is not None for value in values.values()):
            groups.setdefault(tuple(text(value) for value in values.values()), []).append(record)
    if not keys and not groups:
        groups[()] = []
    rows = []
    for members in groups.values():
        row: Record = {"@message": "", "_json": None, "@timestamp": 0}
        row |= {name: evaluate(node, members[0]) for name, node in keys}
        rows.append(row | {name: aggregate(node, members) for name, node in columns})
    _note_times(table, [*keys, *columns])
    table.records, table.aggregated = rows, True
    table.shown = [name for name, _ in [*keys, *columns]]


def _sort(table: Table, rest: str) -> None:
    parser = Parser(rest)
    keys: list[tuple[Node, bool]] = []
    while True:
        node = parser.expression()
        source = Node("field", node.source) if node.kind == "call" and table.aggregated else with_bin(node)
        keys.append((source, parser.take("asc", "desc") == "desc"))
        if not parser.take(","):
            break
    parser.finish()
    for node, descending in reversed(keys):
        present = [record for record in table.records if evaluate(node, record) is not None]
        absent = [record for record in table.records if evaluate(node, record) is None]

        def order(record: Record, node: Node = node) -> tuple[bool, float, str]:
            value = evaluate(node, record)
            return number(value) is None, number(value) or 0.0, text(value)

        table.records = sorted(present, key=order, reverse=descending) + absent


def _limit(table: Table, rest: str) -> None:
    if not rest.strip().isdigit():
        raise Malformed(f"limit needs a number: {rest!r}")
    table.limit = min(table.limit, int(rest))


def _dedup(table: Table, rest: str) -> None:
    names = [name.strip().strip("`") for name in rest.split(",")]
    seen: dict[tuple[str, ...], Record] = {}
    for record in table.records:
        seen.setdefault(tuple(text(lookup(record, name)) for name in names), record)
    table.records = list(seen.values())


_COMMANDS: dict[str, Callable[[Table, str], None]] = {
    "fields": _fields,
    "display": _display,
    "filter": _filter,
    "parse": _parse,
    "stats": _stats,
    "sort": _sort,
    "limit": _limit,
    "head": _limit,
    "dedup": _dedup,
}
DEFAULT_FIELDS = ["@timestamp", "@message"]


def split(query: str) -> list[str]:
    """The commands of a query: split at pipes that are outside of quotes, regular expressions and comments."""
    plain = re.sub(r"(?m)(^|\s)#.*$", "", query)
    parts, start, quote = [], 0, ""
    for at, char in enumerate(plain):
        if quote:
            if char == quote and plain[at - 1] != "\\":
                quote = ""
        elif char in "\"'`" or (char == "/" and re.search(r"(like|=~|parse(\s+[@\w.]+)?)\s*$", plain[start:at])):
            quote = char
        elif char == "|":
            parts.append(plain[start:at])
            start = at + 1
    return [part.strip() for part in [*parts, plain[start:]] if part.strip()]


def run(query: str, records: list[Record], limit: int = 10_000) -> tuple[list[list[dict[str, str]]], int]:
    """(result rows, number of records that matched) of a query over log events, which are newest last."""
    table = Table([dict(record) for record in reversed(records)], list(DEFAULT_FIELDS), limit=limit)
    matched = None
    for command in split(query):
        name, _, rest = re.sub(r"\s+", " ", command, count=1).partition(" ")
        if name.lower() not in _COMMANDS:
            raise Malformed(f"unknown or unsupported command {name!r}")
        if name.lower() == "stats" and matched is None:
            matched = len(table.records)
        _COMMANDS[name.lower()](table, rest)
    matched = len(table.records) if matched is None else matched
    return [_row(table, record) for record in table.records[: table.limit]], matched


def _row(table: Table, record: Record) -> list[dict[str, str]]:
    row = []
    for name in dict.fromkeys(table.shown):
        value = lookup(record, name)
        if value is None:
            continue
        timelike = name in table.times and isinstance(value, int | float)
        row.append({"field": name, "value": moment(value) if timelike else text(value)})
    if not table.aggregated and "@ptr" in record:
        row.append({"field": "@ptr", "value": record["@ptr"]})
    return row
