"""What a query reads and shows: fields of log events, and values as numbers, texts and times."""

from __future__ import annotations

import json
import time
from typing import Any

Record = dict[str, Any]
"""One log event: `@timestamp` (epoch milliseconds), `@message`, `@logStream`, `@log`, `@ptr`, and what a query adds."""


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
