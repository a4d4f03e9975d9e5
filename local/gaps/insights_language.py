"""A subset of the CloudWatch Logs Insights query language: parser and evaluator, without I/O.

Commands: `fields` (with `as`), `display`, `filter`, `parse` (glob or regular expression), `stats … by …`, `sort`,
`limit`, `dedup`; comments after `#`. Expressions: arithmetic, comparisons, `like`, `=~`, `in [...]`, and, or, not.
Functions: abs ceil floor greatest least log sqrt, coalesce isPresent isBlank isEmpty, concat replace strcontains
strlen substr tolower toupper trim, bin datefloor dateceil fromMillis toMillis. Aggregates: avg count count_distinct
earliest latest max min pct median stddev sortsFirst sortsLast sum.

Fields of a JSON message are found by dotted path (`output.usage.0.tokens`), with backticks around names that hold other
characters. Two values compare as numbers when both are numbers. A comparison with an absent field is false, `!=`
included. Everything else is an error (Malformed), never ignored."""

from __future__ import annotations

import json
import math
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]
"""One log event: `@timestamp` (epoch milliseconds), `@message`, `@logStream`, `@log`, `@ptr`, and what a query adds."""


class Malformed(ValueError):
    """A query that CloudWatch Logs would refuse, or that this subset does not know."""


_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?P<unit>ms|[smhdw]|mo|q|y)?\b|(?P<regex>/(?:\\.|[^/\\])+/[a-z]*)"
    r"|(?P<text>\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')|`(?P<quoted>[^`]+)`|(?P<name>[@A-Za-z_][\w@]*(?:[.:-]?[\w@]+)*)"
    r"|(?P<operator>=~|!=|<=|>=|[-+*/%^()\[\],=<>]))"
)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_WORDS = ("and", "or", "not", "like", "in", "as", "by", "asc", "desc")


@dataclass(frozen=True)
class Token:
    kind: str  # number, duration, regex, text, name, operator, word, end
    value: Any
    source: str = ""


def tokenize(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        previous = tokens[-1] if tokens else None
        operand = previous and (previous.kind in ("number", "name", "text") or previous.value in (")", "]"))
        if match and match.lastgroup == "regex" and operand:  # a division, not a regular expression
            match = re.compile(r"\s*(?P<operator>/)").match(text, at)
        if match is None:
            raise Malformed(f"unexpected character at {at}: {text[at : at + 20]!r}")
        at = match.end()
        groups = {name: value for name, value in match.groupdict().items() if value is not None}
        source = match[0].strip()
        if "unit" in groups:
            tokens.append(Token("duration", float(groups["number"]) * _SECONDS.get(groups["unit"], 0), source))
        elif "number" in groups:
            tokens.append(Token("number", float(groups["number"]), source))
        elif "text" in groups:
            tokens.append(Token("text", re.sub(r"\\(.)", r"\1", groups["text"][1:-1]), source))
        elif "regex" in groups:
            tokens.append(Token("regex", _regex(groups["regex"]), source))
        elif "quoted" in groups:
            tokens.append(Token("name", groups["quoted"], groups["quoted"]))
        elif "name" in groups:
            word = groups["name"].lower()
            tokens.append(Token("word", word, source) if word in _WORDS else Token("name", groups["name"], source))
        else:
            tokens.append(Token("operator", groups["operator"], source))
    return [*tokens, Token("end", "")]


def _regex(literal: str) -> re.Pattern[str]:
    body, _, flags = literal[1:].rpartition("/")
    pattern = re.sub(r"\(\?<([A-Za-z]\w*)>", r"(?P<\1>", body).replace("\\/", "/")
    try:
        return re.compile(pattern, re.IGNORECASE if "i" in flags else 0)
    except re.error as wrong:
        raise Malformed(f"invalid regular expression {literal}: {wrong}") from wrong


# Expressions


@dataclass(frozen=True)
class Node:
    kind: str  # value, field, unary, binary, call, list, match
    value: Any
    parts: tuple[Node, ...] = ()
    source: str = ""


_PRECEDENCE = (
    ("or",),
    ("and",),
    ("=", "!=", "<", "<=", ">", ">=", "=~", "like", "in", "not"),
    ("+", "-"),
    ("*", "/", "%"),
    ("^",),
)


class Parser:
    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at = text, tokenize(text), 0

    @property
    def now(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def take(self, *values: str) -> str | None:
        if self.now.kind in ("operator", "word") and self.now.value in values:
            return str(self.next().value)
        return None

    def expect(self, value: str) -> None:
        if not self.take(value):
            raise Malformed(f"expected {value!r} in {self.text!r}, found {self.now.source or 'the end'!r}")

    def finish(self) -> None:
        if self.now.kind != "end":
            raise Malformed(f"unexpected {self.now.source!r} in {self.text!r}")

    def expression(self, depth: int = 0) -> Node:
        start = self.at
        if depth == len(_PRECEDENCE):
            return self.operand()
        if depth == 2 and self.take("not"):
            return Node("unary", "not", (self.expression(2),))
        left = self.expression(depth + 1)
        while operator := self.take(*_PRECEDENCE[depth]):
            negated = operator == "not"
            if negated:
                operator = self.take("like", "in") or self.fail("like or in")
            node = Node("binary", operator, (left, self.expression(depth + 1)))
            left = Node("unary", "not", (node,)) if negated else node
        return Node(left.kind, left.value, left.parts, self.source(start))

    def source(self, start: int) -> str:
        spaced = " ".join(token.source for token in self.tokens[start : self.at])
        return re.sub(r"\s*([(),])\s*", r"\1", spaced).replace(",", ", ") if "(" in spaced else spaced

    def fail(self, wanted: str) -> str:
        raise Malformed(f"expected {wanted} in {self.text!r}, found {self.now.source or 'the end'!r}")

    def operand(self) -> Node:
        if self.take("-"):
            return Node("unary", "-", (self.operand(),))
        token = self.next()
        if token.kind in ("number", "text", "regex", "duration"):
            return Node("value", token.value)
        if token.kind == "name":
            if self.take("("):
                return Node("call", token.value.lower(), self.arguments(")"))
            return (
                Node("value", token.value == "true") if token.value in ("true", "false") else Node("field", token.value)
            )
        if token.value == "(":
            inside = self.expression()
            self.expect(")")
            return inside
        if token.value == "[":
            return Node("list", None, self.arguments("]"))
        raise Malformed(f"unexpected {token.source or 'end'!r} in {self.text!r}")

    def arguments(self, close: str) -> tuple[Node, ...]:
        if self.take(close):
            return ()
        if self.now.value == "*" and close == ")":
            self.next()
            self.expect(close)
            return (Node("value", "*"),)
        found = [self.expression()]
        while self.take(","):
            found.append(self.expression())
        self.expect(close)
        return tuple(found)

    def named(self) -> list[tuple[str, Node]]:
        """`expression [as name], …`"""
        found = []
        while True:
            node = self.expression()
            name = self.next().value if self.take("as") else node.value if node.kind == "field" else node.source
            found.append((str(name), node))
            if not self.take(","):
                return found


def lookup(record: Record, name: str) -> Any:
    """A field by name: of the record itself, or by dotted path in its JSON message; None where there is none."""
    if name in record:
        return record[name]
    if "_json" not in record:
        try:
            record["_json"] = json.loads(record["@message"]) if record["@message"].lstrip()[:1] == "{" else None
        except ValueError:
            record["_json"] = None
    return _path(record["_json"], name)


def _path(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        if path in value:
            return value[path]
        first, _, rest = path.partition(".")
        while rest and first not in value:  # keys may hold dots themselves
            head, _, rest = rest.partition(".")
            first = f"{first}.{head}"
        return _path(value[first], rest) if rest and first in value else None
    if isinstance(value, list):
        index, _, rest = path.partition(".")
        if index.isdigit() and int(index) < len(value):
            return _path(value[int(index)], rest) if rest else value[int(index)]
    return None


def number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) and value.strip() else None
    except ValueError:
        return None


def text(value: Any) -> str:
    """A value as a query result shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(round(value, 10))
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def moment(milliseconds: float) -> str:
    """A time as Insights prints it."""
    whole = int(milliseconds)
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(whole // 1000)) + f".{whole % 1000:03d}"


def evaluate(node: Node, record: Record) -> Any:
    if node.kind == "value":
        return node.value
    if node.kind == "field":
        return lookup(record, node.value)
    if node.kind == "list":
        return [evaluate(part, record) for part in node.parts]
    if node.kind == "unary":
        value = evaluate(node.parts[0], record)
        return (not value) if node.value == "not" else _negative(value)
    if node.kind == "call":
        function = _FUNCTIONS.get(node.value)
        if function is None:
            raise Malformed(f"unknown function {node.value}")
        return function(*[evaluate(part, record) for part in node.parts])
    if node.value in ("and", "or"):
        left = bool(evaluate(node.parts[0], record))
        return left if left == (node.value == "or") else bool(evaluate(node.parts[1], record))
    return _BINARY[node.value](evaluate(node.parts[0], record), evaluate(node.parts[1], record))


def _negative(value: Any) -> float | None:
    found = number(value)
    return None if found is None else -found


def _compare(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def run(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        a, b = number(left), number(right)
        if a is not None and b is not None:
            return test(a, b)
        return test(_plain(left), _plain(right))

    return run


def _plain(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else text(value)


def _like(value: Any, pattern: Any) -> bool:
    if value is None:
        return False
    if isinstance(pattern, re.Pattern):
        return pattern.search(text(value)) is not None
    return text(pattern) in text(value)


def _arithmetic(function: Callable[[float, float], float]) -> Callable[[Any, Any], float | None]:
    def run(left: Any, right: Any) -> float | None:
        a, b = number(left), number(right)
        try:
            return None if a is None or b is None else function(a, b)
        except (ZeroDivisionError, OverflowError):
            return None

    return run


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "=": _compare(lambda a, b: a == b),
    "!=": _compare(lambda a, b: a != b),
    "<": _compare(lambda a, b: a < b),
    "<=": _compare(lambda a, b: a <= b),
    ">": _compare(lambda a, b: a > b),
    ">=": _compare(lambda a, b: a >= b),
    "like": _like,
    "=~": _like,
    "in": lambda value, values: any(_BINARY["="](value, one) for one in values),
    "+": _arithmetic(lambda a, b: a + b),
    "-": _arithmetic(lambda a, b: a - b),
    "*": _arithmetic(lambda a, b: a * b),
    "/": _arithmetic(lambda a, b: a / b),
    "%": _arithmetic(lambda a, b: a % b),
    "^": _arithmetic(lambda a, b: a**b),
}


def _numeric(function: Callable[..., float]) -> Callable[..., float | None]:
    def run(*values: Any) -> float | None:
        numbers = [found for found in map(number, values) if found is not None]
        try:
            return float(function(*numbers)) if len(numbers) == len(values) else None
        except ValueError:
            return None

    return run


def _floor_to(timestamp: Any, seconds: float, up: bool = False) -> float | None:
    at, step = number(timestamp), seconds * 1000
    if at is None or not step:
        return None
    return (math.ceil(at / step) if up else math.floor(at / step)) * step


def _blank(value: Any) -> bool:
    return value is None or not text(value).strip()


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": _numeric(abs),
    "ceil": _numeric(math.ceil),
    "floor": _numeric(math.floor),
    "greatest": _numeric(max),
    "least": _numeric(min),
    "log": _numeric(math.log),
    "sqrt": _numeric(math.sqrt),
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "ispresent": lambda value: value is not None,
    "isblank": _blank,
    "isempty": lambda value: value is None or text(value) == "",
    "concat": lambda *values: "".join(map(text, values)),
    "replace": lambda value, old, new: text(value).replace(text(old), text(new)),
    "strcontains": lambda value, part: float(text(part) in text(value)),
    "strlen": lambda value: float(len(text(value))),
    "substr": lambda value, start, size=None: text(value)[int(start) : None if size is None else int(start + size)],
    "tolower": lambda value: None if value is None else text(value).lower(),
    "toupper": lambda value: None if value is None else text(value).upper(),
    "trim": lambda value, chars=None: text(value).strip(chars),
    "bin": lambda seconds: None,  # replaced by _with_bin: it needs the record's timestamp
    "datefloor": _floor_to,
    "dateceil": lambda timestamp, seconds: _floor_to(timestamp, seconds, up=True),
    "frommillis": number,
    "tomillis": number,
}


def _with_bin(node: Node) -> Node:
    """`bin(5m)` is `datefloor(@timestamp, 5m)`."""
    parts = tuple(_with_bin(part) for part in node.parts)
    if node.kind == "call" and node.value == "bin":
        return Node("call", "datefloor", (Node("field", "@timestamp"), *parts), node.source)
    return Node(node.kind, node.value, parts, node.source)


# Aggregates


def _percentile(values: list[float], percent: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    rank = percent / 100 * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (rank - low) * (ordered[high] - ordered[low])


def _ordered(values: list[Any]) -> list[Any]:
    return sorted(values, key=lambda value: (number(value) is None, number(value) or 0.0, text(value)))


_NUMERIC_AGGREGATES: dict[str, Callable[[list[float]], float | None]] = {
    "avg": lambda v: statistics.fmean(v) if v else None,
    "sum": lambda v: math.fsum(v),
    "stddev": lambda v: statistics.stdev(v) if len(v) > 1 else 0.0 if v else None,
    "median": lambda v: _percentile(v, 50),
}
_OTHER_AGGREGATES = {"count", "count_distinct", "earliest", "latest", "max", "min", "pct", "sortsfirst", "sortslast"}
_AGGREGATES = _OTHER_AGGREGATES | set(_NUMERIC_AGGREGATES)


def aggregate(node: Node, records: list[Record]) -> Any:
    """An aggregate over records; arithmetic between aggregates is allowed, as in `100 * sum(a) / count(*)`."""
    if node.kind in ("value", "list"):
        return evaluate(node, {})
    if node.kind != "call" or node.value not in _AGGREGATES:
        if node.kind == "field":
            raise Malformed(f"{node.value} is neither aggregated nor in the by clause of stats")
        parts = tuple(Node("value", aggregate(part, records)) for part in node.parts)
        return evaluate(Node(node.kind, node.value, parts), {})
    if node.value == "count" and (not node.parts or node.parts[0].value == "*"):
        return float(len(records))
    values = [value for record in records if (value := evaluate(node.parts[0], record)) is not None]
    if node.value == "count":
        return float(len(values))
    if node.value == "count_distinct":
        return float(len({text(value) for value in values}))
    if node.value in ("min", "max"):
        return (_ordered(values) or [None])[0 if node.value == "min" else -1]
    if node.value in ("sortsfirst", "sortslast"):
        return (sorted(values, key=text) or [None])[0 if node.value == "sortsfirst" else -1]
    if node.value in ("earliest", "latest"):
        present = [record for record in records if evaluate(node.parts[0], record) is not None]
        chosen = (
            min(present, key=_when, default=None) if node.value == "earliest" else max(present, key=_when, default=None)
        )
        return None if chosen is None else evaluate(node.parts[0], chosen)
    numbers = [found for found in map(number, values) if found is not None]
    if node.value == "pct":
        return _percentile(numbers, float(evaluate(node.parts[1], {})))
    return _NUMERIC_AGGREGATES[node.value](numbers)


def _when(record: Record) -> float:
    return float(record["@timestamp"])


# Commands


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
    return [(name, _with_bin(node)) for name, node in columns]


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
    node = _with_bin(parser.expression())
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
        pattern = _regex(match["what"])
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
    columns = [(name, _with_bin(node)) for name, node in parser.named()]
    keys = [(name, _with_bin(node)) for name, node in parser.named()] if parser.take("by") else []
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
        source = Node("field", node.source) if node.kind == "call" and table.aggregated else _with_bin(node)
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
