"""CloudWatch's metric math: a parser and an evaluator over time series.

A value is a series (`{epoch second: number}`, gaps absent), a number, or a list of series. An operation between series
has a result only where each side has a point; comparisons give 1 or 0; dividing by zero gives no point. Functions:
ABS AVG CEIL DATAPOINT_COUNT DIFF FILL FIRST FLOOR IF LAST LOG LOG10 MAX METRICS MIN PERIOD RATE REMOVE_EMPTY
RUNNING_SUM STDDEV SUM TIME_SERIES."""

from __future__ import annotations

import math
import operator
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Series = dict[int, float]
Value = Any  # Series | float | list[Series] | str

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z_]\w*)|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<operator>&&|\|\||==|!=|<=|>=|[-+*/^()\[\],<>]))"
)


class Invalid(ValueError):
    """An expression that CloudWatch would refuse."""


@dataclass(frozen=True)
class Node:
    kind: str  # number, name, text, unary, binary, call, list
    value: Any
    parts: tuple[Node, ...] = ()


_PRECEDENCE = [("||", "OR"), ("&&", "AND"), ("==", "!=", "<", "<=", ">", ">="), ("+", "-"), ("*", "/"), ("^",)]


def parse(expression: str) -> Node:
    """The tree of an expression; raises Invalid."""
    tokens: list[tuple[str, str]] = []
    at = 0
    while expression[at:].strip():
        match = _TOKEN.match(expression, at)
        if match is None:
            raise Invalid(f"Error in expression {expression!r} [Unexpected character at {at}]")
        at = match.end()
        kind = str(match.lastgroup)
        text = match[kind]
        tokens.append(("operator", text.upper()) if text.upper() in ("AND", "OR") else (kind, text))
    tokens.append(("end", ""))
    parser = _Parser(expression, tokens)
    tree = parser.level(0)
    parser.expect("end", "")
    return tree


class _Parser:
    def __init__(self, expression: str, tokens: list[tuple[str, str]]) -> None:
        self.expression, self.tokens, self.at = expression, tokens, 0

    def next(self) -> tuple[str, str]:
        self.at += 1
        return self.tokens[self.at - 1]

    def take(self, *texts: str) -> str | None:
        kind, text = self.tokens[self.at]
        if kind == "operator" and text in texts:
            self.at += 1
            return text
        return None

    def expect(self, kind: str, text: str) -> None:
        if self.next() != (kind, text):
            raise Invalid(f"Error in expression {self.expression!r} [Expected {text or 'the end'}]")

    def level(self, depth: int) -> Node:
        if depth == len(_PRECEDENCE):
            return self.unary()
        left = self.level(depth + 1)
        while found := self.take(*_PRECEDENCE[depth]):
            left = Node("binary", found, (left, self.level(depth + 1)))
        return left

    def unary(self) -> Node:
        if self.take("-"):
            return Node("unary", "-", (self.unary(),))
        kind, text = self.next()
        if kind == "number":
            return Node("number", float(text))
        if kind == "text":
            return Node("text", text[1:-1])
        if kind == "name":
            return Node("call", text.upper(), self.list_until(")")) if self.take("(") else Node("name", text)
        if text == "(":
            inside = self.level(0)
            self.expect("operator", ")")
            return inside
        if text == "[":
            return Node("list", None, self.list_until("]"))
        raise Invalid(f"Error in expression {self.expression!r} [Unexpected {text!r}]")

    def list_until(self, close: str) -> tuple[Node, ...]:
        if self.take(close):
            return ()
        items = [self.level(0)]
        while self.take(","):
            items.append(self.level(0))
        self.expect("operator", close)
        return tuple(items)


def solve(
    expressions: dict[str, str], values: dict[str, Series], timeline: list[int], period: int
) -> dict[str, Series]:
    """Evaluate expressions, which may name metrics and each other, over a timeline; returns all series by id."""
    trees = {name: parse(text) for name, text in expressions.items()}
    state = _Evaluation(trees, dict(values), timeline, period)
    for name in trees:
        state.lookup(name, ())
    return {name: state.as_series(value) for name, value in state.values.items() if not isinstance(value, list)}


class _Evaluation:
    def __init__(self, trees: dict[str, Node], values: dict[str, Value], timeline: list[int], period: int) -> None:
        self.trees, self.values, self.timeline, self.period = trees, values, timeline, period
        self.metrics = list(values)

    def lookup(self, name: str, path: tuple[str, ...]) -> Value:
        if name in self.values:
            return self.values[name]
        if name not in self.trees or name in path:
            raise Invalid(
                f"Error in expression: undefined variable {name!r}"
                if name not in path
                else f"Circular expression {name!r}"
            )
        self.values[name] = self.evaluate(self.trees[name], (*path, name))
        return self.values[name]

    def as_series(self, value: Value) -> Series:
        return value if isinstance(value, dict) else dict.fromkeys(self.timeline, float(value))

    def evaluate(self, node: Node, path: tuple[str, ...]) -> Value:
        if node.kind in ("number", "text"):
            return node.value
        if node.kind == "name":
            return node.value if node.value in ("REPEAT", "LINEAR") else self.lookup(node.value, path)
        parts = [self.evaluate(part, path) for part in node.parts]
        if node.kind == "list":
            return [self.as_series(part) for part in parts]
        if node.kind == "unary":
            return _map(lambda x: -x, parts[0])
        if node.kind == "binary":
            return _zip(_OPERATORS[node.value], parts[0], parts[1])
        function = _FUNCTIONS.get(node.value)
        if function is None:
            raise Invalid(f"Error in expression: unsupported function {node.value}")
        try:
            return function(self, *parts)
        except TypeError as wrong:
            raise Invalid(f"Error in expression: wrong arguments for {node.value}") from wrong


def _divide(a: float, b: float) -> float | None:
    return a / b if b else None


def _power(a: float, b: float) -> float | None:
    try:
        result = a**b
    except (OverflowError, ZeroDivisionError):
        return None
    return result if isinstance(result, float | int) else None


_OPERATORS: dict[str, Callable[[float, float], float | None]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "^": _power,
    "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b),
    "<": lambda a, b: float(a < b),
    "<=": lambda a, b: float(a <= b),
    ">": lambda a, b: float(a > b),
    ">=": lambda a, b: float(a >= b),
    "&&": lambda a, b: float(bool(a) and bool(b)),
    "AND": lambda a, b: float(bool(a) and bool(b)),
    "||": lambda a, b: float(bool(a) or bool(b)),
    "OR": lambda a, b: float(bool(a) or bool(b)),
}


def _map(function: Callable[[float], float | None], value: Value) -> Value:
    if isinstance(value, list):
        return [_map(function, one) for one in value]
    if isinstance(value, dict):
        mapped = {at: function(x) for at, x in value.items()}
        return {at: x for at, x in mapped.items() if x is not None}
    return function(value)


def _zip(function: Callable[[float, float], float | None], left: Value, right: Value) -> Value:
    if isinstance(left, list):
        return [_zip(function, one, right) for one in left]
    if isinstance(right, list):
        return [_zip(function, left, one) for one in right]
    if isinstance(left, dict) and isinstance(right, dict):
        pairs = {at: function(x, right[at]) for at, x in left.items() if at in right}
        return {at: x for at, x in pairs.items() if x is not None}
    if isinstance(left, dict):
        return _map(lambda x: function(x, right), left)
    if isinstance(right, dict):
        return _map(lambda x: function(left, x), right)
    return function(left, right)


def _reduced(reduce: Callable[[list[float]], float]) -> Callable[..., Value]:
    """Over several series: point by point; over a single one: one number for the whole range."""

    def run(state: _Evaluation, value: Value) -> Value:
        if not isinstance(value, list):
            return reduce(list(value.values())) if value else {}
        times = sorted({at for one in value for at in one})
        return {at: reduce([one[at] for one in value if at in one]) for at in times}

    return run


def _if(state: _Evaluation, condition: Value, then: Value, otherwise: Value = None) -> Value:
    def pick(at: int, value: Value) -> float | None:
        return value.get(at) if isinstance(value, dict) else value

    if not isinstance(condition, dict):
        return then if condition else otherwise
    chosen = {at: pick(at, then if truth else otherwise) for at, truth in condition.items()}
    return {at: x for at, x in chosen.items() if x is not None}


def _fill(state: _Evaluation, value: Value, filler: Value) -> Value:
    if isinstance(value, list):
        return [_fill(state, one, filler) for one in value]
    if not isinstance(filler, str):
        return {at: value.get(at, filler.get(at) if isinstance(filler, dict) else filler) for at in state.timeline}
    known = sorted(value)
    filled = dict(value)
    for at in state.timeline:
        before = max((k for k in known if k <= at), default=None)
        after = min((k for k in known if k >= at), default=None)
        if at in value or before is None or (filler == "LINEAR" and after is None):
            continue
        filled[at] = value[before]
        if filler == "LINEAR" and after is not None:
            filled[at] += (value[after] - value[before]) * (at - before) / (after - before)
    return filled


def _steps(function: Callable[[float, float, int], float]) -> Callable[..., Value]:
    def run(state: _Evaluation, value: Value) -> Value:
        if isinstance(value, list):
            return [run(state, one) for one in value]
        times = sorted(value)
        return {b: function(value[a], value[b], b - a) for a, b in pairwise(times)}

    return run


def _running_sum(state: _Evaluation, value: Series) -> Series:
    total, summed = 0.0, {}
    for at in sorted(value):
        total += value[at]
        summed[at] = total
    return summed


def _metrics(state: _Evaluation, prefix: str = "") -> list[Series]:
    return [state.values[name] for name in state.metrics if prefix in name]


def _single(function: Callable[[float], float]) -> Callable[..., Value]:
    return lambda state, value: _map(function, value)


def _logarithm(function: Callable[[float], float]) -> Callable[..., Value]:
    return lambda state, value: _map(lambda x: function(x) if x > 0 else None, value)


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "ABS": _single(abs),
    "CEIL": _single(math.ceil),
    "FLOOR": _single(math.floor),
    "LOG": _logarithm(math.log),
    "LOG10": _logarithm(math.log10),
    "AVG": _reduced(statistics.fmean),
    "SUM": _reduced(sum),
    "MIN": _reduced(min),
    "MAX": _reduced(max),
    "STDDEV": _reduced(statistics.pstdev),
    "DATAPOINT_COUNT": _reduced(lambda values: float(len(values))),
    "IF": _if,
    "FILL": _fill,
    "METRICS": _metrics,
    "PERIOD": lambda state, value: float(state.period),
    "RATE": _steps(lambda a, b, seconds: (b - a) / seconds),
    "DIFF": _steps(lambda a, b, seconds: b - a),
    "RUNNING_SUM": _running_sum,
    "TIME_SERIES": lambda state, value: state.as_series(value),
    "REMOVE_EMPTY": lambda state, value: [one for one in value if one] if isinstance(value, list) else value,
    "FIRST": lambda state, value: next(iter(value)) if isinstance(value, list) else value[min(value)],
    "LAST": lambda state, value: value[-1] if isinstance(value, list) else value[max(value)],
}
