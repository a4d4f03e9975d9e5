"""CloudWatch Logs metric filters over JSON: MiniStack keeps them and counts nothing.

Patterns: `{ ($.a.b = "text*") && ($.c NOT EXISTS) || ($.d != 3) }`, with IS NULL, IS TRUE and IS FALSE. A comparison
with what a record does not have is false, `!=` too. Wildcards are taken at the beginning or the end of a text alone;
what else CloudWatch may read (regular expressions, terms, fields of words) is refused rather than guessed at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ministack.services import cloudwatch_logs

from local import seams
from local.gaps import metric_store

LONGEST = 1024
Matches = Callable[[Any], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<selector>\$(?:\.[A-Za-z_][\w-]*|\[\d+\])+)|(?P<text>\"[^\"]*\")|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<words>NOT EXISTS|IS NULL|IS TRUE|IS FALSE)|(?P<operator>&&|\|\||!=|<=|>=|[=<>()]))"
)
_NONE: Any = object()
_STATES: dict[str, Callable[[Any], bool]] = {
    "NOT EXISTS": lambda found: found is _NONE,
    "IS NULL": lambda found: found is None,
    "IS TRUE": lambda found: found is True,
    "IS FALSE": lambda found: found is False,
}


class Invalid(ValueError):
    """A pattern that CloudWatch would refuse, or that this stand-in does not read."""


def install() -> None:
    seams.require(cloudwatch_logs, "_metric_filters", "_log_groups")

    @seams.replace(cloudwatch_logs, "_put_metric_filter")
    def put(original: seams.Replies, data: dict[str, Any]) -> seams.Response:
        try:
            compiled(data.get("filterPattern") or "")
        except Invalid as invalid:
            return seams.error_reply("InvalidParameterException", f"Invalid filter pattern: {invalid}")
        return original(data)

    @seams.replace(cloudwatch_logs, "_append_log_events")
    def append(original: Any, stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
        original(stream, events)
        for (group, _), kept in list(cloudwatch_logs._metric_filters.items()):
            streams = (cloudwatch_logs._log_groups.get(group) or {}).get("streams") or {}
            if any(one is stream for one in streams.values()):
                seams.logged(_count, kept, events)


def _count(kept: dict[str, Any], events: list[dict[str, Any]]) -> None:
    matches = compiled(kept["filterPattern"])
    for event in events:
        if matches(_document(event["message"])):
            for one in kept["metricTransformations"]:
                metric_store.record(one["metricNamespace"], one["metricName"], float(one["metricValue"]))


def _document(message: str) -> Any:
    try:
        return json.loads(message)
    except ValueError:
        return _NONE


def compiled(pattern: str) -> Matches:
    """What tells whether a record matches; Invalid says why a pattern cannot be read."""
    inside = re.fullmatch(r"\s*\{(.*)\}\s*", pattern, re.S)
    if inside is None:
        raise Invalid(f"{pattern!r} is no pattern over JSON: write {{ $.field = value }}")
    if len(pattern) > LONGEST:
        raise Invalid(f"it has {len(pattern):,} characters, and may have {LONGEST:,}")
    tokens, at, text = [], 0, inside[1]
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise Invalid(f"cannot be read at {text[at : at + 30]!r}")
        tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    reader = _Reader([*tokens, ("end", "")])
    found = reader.either()
    reader.expect("")
    return found


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens

    def take(self, *texts: str) -> bool:
        if self.tokens[0][0] == "operator" and self.tokens[0][1] in texts:
            self.tokens.pop(0)
            return True
        return False

    def expect(self, text: str) -> None:
        if self.tokens.pop(0)[1] != text:
            raise Invalid(f"expected {text or 'the end'!r}")

    def either(self) -> Matches:
        parts = [self.both()]
        while self.take("||"):
            parts.append(self.both())
        return lambda record: any(part(record) for part in parts)

    def both(self) -> Matches:
        parts = [self.one()]
        while self.take("&&"):
            parts.append(self.one())
        return lambda record: all(part(record) for part in parts)

    def one(self) -> Matches:
        if self.take("("):
            inside = self.either()
            self.expect(")")
            return inside
        kind, selector = self.tokens.pop(0)
        if kind != "selector":
            raise Invalid(f"expected a field such as $.field, found {selector!r}")
        kind, operator = self.tokens.pop(0)
        if kind == "words":
            return lambda record: _STATES[operator](_select(record, selector))
        kind_of_value, value = self.tokens.pop(0) if kind == "operator" else (kind, "")
        if kind != "operator" or kind_of_value not in ("text", "number"):
            raise Invalid(f"{selector} needs a comparison with a text in quotation marks or a number")
        compare = _text(value[1:-1]) if kind_of_value == "text" else _number(float(value), operator)
        if kind_of_value == "text" and operator not in ("=", "!="):
            raise Invalid(f"{selector}: a text is compared by = or !=")
        negated = operator == "!="

        def matches(record: Any) -> bool:
            found = _select(record, selector)
            return found is not _NONE and compare(found) != negated

        return matches


def _select(record: Any, selector: str) -> Any:
    for name, number in re.findall(r"\.([\w-]+)|\[(\d+)\]", selector):
        if name and isinstance(record, dict):
            record = record.get(name, _NONE)
        elif number and isinstance(record, list) and int(number) < len(record):
            record = record[int(number)]
        else:
            return _NONE
    return record


def _text(wanted: str) -> Callable[[Any], bool]:
    middle = wanted.removeprefix("*").removesuffix("*")
    if "*" in middle:
        raise Invalid(f"{wanted!r} has a wildcard amid its text")
    before = ".*" if wanted.startswith("*") else ""
    after = ".*" if wanted.endswith("*") else ""
    pattern = re.compile(f"{before}{re.escape(middle)}{after}", re.S)
    return lambda found: isinstance(found, str) and pattern.fullmatch(found) is not None


def _number(wanted: float, operator: str) -> Callable[[Any], bool]:
    compare: dict[str, Callable[[float], bool]] = {
        "=": lambda x: x == wanted,
        "!=": lambda x: x == wanted,
        "<": lambda x: x < wanted,
        "<=": lambda x: x <= wanted,
        ">": lambda x: x > wanted,
        ">=": lambda x: x >= wanted,
    }
    return lambda found: isinstance(found, int | float) and compare[operator](float(found))
