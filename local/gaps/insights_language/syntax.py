"""Queries as trees: tokens, and a parser of expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


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
            tokens.append(Token("regex", pattern_of(groups["regex"]), source))
        elif "quoted" in groups:
            tokens.append(Token("name", groups["quoted"], groups["quoted"]))
        elif "name" in groups:
            word = groups["name"].lower()
            tokens.append(Token("word", word, source) if word in _WORDS else Token("name", groups["name"], source))
        else:
            tokens.append(Token("operator", groups["operator"], source))
    return [*tokens, Token("end", "")]


def pattern_of(literal: str) -> re.Pattern[str]:
    body, _, flags = literal[1:].rpartition("/")
    pattern = re.sub(r"\(\?<([A-Za-z]\w*)>", r"(?P<\1>", body).replace("\\/", "/")
    try:
        return re.compile(pattern, re.IGNORECASE if "i" in flags else 0)
    except re.error as wrong:
        raise Malformed(f"invalid regular expression {literal}: {wrong}") from wrong


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
