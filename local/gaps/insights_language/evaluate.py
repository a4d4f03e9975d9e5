"""The value of an expression: for one log event, and over many."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable
from typing import Any

from .syntax import Malformed, Node
from .values import Record, lookup, number, text


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
    "bin": lambda seconds: None,  # replaced by with_bin: it needs the record's timestamp
    "datefloor": _floor_to,
    "dateceil": lambda timestamp, seconds: _floor_to(timestamp, seconds, up=True),
    "frommillis": number,
    "tomillis": number,
}


def with_bin(node: Node) -> Node:
    """`bin(5m)` is `datefloor(@timestamp, 5m)`."""
    parts = tuple(with_bin(part) for part in node.parts)
    if node.kind == "call" and node.value == "bin":
        return Node("call", "datefloor", (Node("field", "@timestamp"), *parts), node.source)
    return Node(node.kind, node.value, parts, node.source)


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
