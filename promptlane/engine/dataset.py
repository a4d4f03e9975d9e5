"""Cases from CSV, JSONL, JSON and YAML files, as the plain test mappings that a suite would hold inline.

CSV follows promptfoo: a column for each variable; `__expected`, `__expected1`, … hold assertions written as
`type:value` or `type(threshold):value` (a bare text means equals), `__config:__expected1:threshold` the threshold of
the first of them; `__description`, `__threshold`, `__metadata:<key>`.
Ours besides: `__id`, `__tags` (separated by `;`), `__critical`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from promptlane.domain.limits import MAX_DEPTH, MAX_DIGITS, MAX_VALUES, depth_of

from .assertions import KINDS
from .files import not_data
from .kinds import ALIASES, REFUSED, split_negation
from .suite import MAX_CASES, Read

Json = Any
Row = tuple[str, Json]
"""Where it stands (`cases.csv line 17`) and the test mapping."""
Cell = Callable[[str], dict[str, Json]]
"""What makes an assertion of an `__expected` cell. Raises DatasetInvalid."""
MAX_BYTES: Final = 32 * 1024 * 1024
MAX_COLUMNS: Final = 200
_EXPECTED: Final = re.compile(
    r"^\s*(?P<type>[a-z][a-z0-9-]*(?::(?:cosine|dot|euclidean))?)\s*(?:\((?P<threshold>[^)]*)\))?\s*(?::(?P<value>.*))?$",
    re.S,
)
_CONFIG: Final = re.compile(r"__config:__expected(\d{0,3}):threshold")
_SPLIT: Final = re.compile(r"\s*[;,]\s*")


class DatasetInvalid(ValueError):
    """A file of cases cannot be used; the message says where."""


def load_rows(name: str, read: Read, cell: Cell | None = None) -> Iterator[Row]:
    """The tests of one file; `cell` reads `__expected` cells in place of `expected`.

    Raises DatasetInvalid for what cannot be read, naming file and line.
    """
    path = name.removeprefix("file://")
    if problem := not_data(path):
        raise DatasetInvalid(f"{path}: {problem}")
    try:
        raw = read(path)
    except OSError as error:
        raise DatasetInvalid(
            f"{path}: cannot be read ({error.strerror or error}); paths are relative to the suite"
        ) from None
    if len(raw) > MAX_BYTES:
        raise DatasetInvalid(f"{path}: {len(raw):,} bytes; at most {MAX_BYTES:,} are read. Sample the cases")
    text = decode(raw, path)
    del raw
    suffix = path.rsplit(".", 1)[-1].lower()
    if suffix == "csv":
        return _csv(path, text, cell or expected)
    if suffix in ("json", "jsonl") and (values := text.count("[") + text.count("{") + text.count(",")) > MAX_VALUES:
        raise DatasetInvalid(f"{path}: about {values:,} values; at most {MAX_VALUES:,} are read. Sample the cases")
    if suffix == "jsonl":
        return _jsonl(path, text)
    if suffix in ("json", "yaml", "yml"):
        return _document(path, text, suffix)
    raise DatasetInvalid(f"{path}: cases are read from .csv, .jsonl, .json and .yaml files, not from .{suffix}")


def decode(raw: bytes, path: str) -> str:
    """UTF-8, with or without a byte order mark."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DatasetInvalid(
            f"{path} line {line}: byte 0x{raw[error.start]:02x} is not valid UTF-8; save the file as UTF-8"
        ) from None


def _csv(path: str, text: str, cell: Cell) -> Iterator[Row]:
    separator, skipped = _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    csv.field_size_limit(MAX_BYTES)
    try:
        for _ in range(skipped):
            next(reader, None)
        header = _header(path, next(reader, None))
        count = 0
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            where = f"{path} line {reader.line_num}"
            while len(row) > len(header) and not row[-1].strip():
                row.pop()
            if len(row) != len(header):
                gone = f"column {header[len(row)]!r} is missing" if len(row) < len(header) else "too many columns"
                raise DatasetInvalid(
                    f"{where}: {len(row)} columns where the header names {len(header)} ({gone}); "
                    "quote values that hold commas or line breaks"
                )
            count += 1
            _check_count(path, count)
            yield where, _test_of(dict(zip(header, row, strict=True)), where, cell)
    except csv.Error as error:
        raise DatasetInvalid(f"{path} line {reader.line_num}: is not valid CSV ({error})") from None


def _separator(text: str) -> tuple[str, int]:
    """(what parts the columns, lines before the header): a spreadsheet may write semicolons or tabs, and say so."""
    first = text.partition("\n")[0].rstrip("\r")
    if said := re.fullmatch(r'"?sep=([,;|\t])"?', first, re.I):
        return said[1], 1
    outside = re.sub(r'"[^"]*"', "", first)
    return next((mark for mark in (",", ";", "\t") if mark in outside), ","), 0


def _header(path: str, cells: list[str] | None) -> list[str]:
    """The names of the columns, without those that a spreadsheet leaves empty at the end."""
    header = [cell.strip() for cell in cells or []]
    while header and not header[-1]:
        header.pop()
    if not header:
        raise DatasetInvalid(f"{path} line 1: is empty; the first line must name the columns")
    if len(header) > MAX_COLUMNS:
        raise DatasetInvalid(f"{path} line 1: {len(header):,} columns; at most {MAX_COLUMNS} are read")
    doubled = sorted({h for h in header if header.count(h) > 1})
    if doubled or "" in header:
        what = f"column {doubled[0]!r} appears twice" if doubled and doubled[0] else "a column has no name"
        raise DatasetInvalid(f"{path} line 1: {what}")
    for column in header:
        _check_column(path, column)
    return header


def _check_column(path: str, column: str) -> None:
    known = ("__description", "__threshold", "__id", "__tags", "__critical", "__metric")
    fits = column in known or column.startswith("__metadata:") or re.fullmatch(r"__expected\d*", column)
    fits = fits or _CONFIG.fullmatch(column)
    if column.startswith("__") and not fits:
        raise DatasetInvalid(
            f"{path} line 1: special column {column!r} is not supported; "
            f"known are __expected, __config:__expected:threshold, __metadata:<key>, {', '.join(known)}"
        )


def _test_of(row: dict[str, str], where: str, cell: Cell) -> dict[str, Json]:
    test: dict[str, Json] = {"vars": {k: v for k, v in row.items() if not k.startswith("__")}}
    special = {k: v.strip() for k, v in row.items() if k.startswith("__") and v.strip()}
    try:
        asserts = [cell(row[column]) for column in special if column.startswith("__expected")]
    except DatasetInvalid as error:
        raise DatasetInvalid(f"{where}: {error}") from None
    for column, threshold in special.items():
        if (config := _CONFIG.fullmatch(column)) and (place := max(0, int(config[1] or 0) - 1)) < len(asserts):
            asserts[place]["threshold"] = number(threshold, f"{where}: {column}")
    for assertion in asserts:
        if "__metric" in special:
            assertion["metric"] = special["__metric"]
    metadata: dict[str, Json] = {}
    for column, text in special.items():
        if column.startswith("__metadata:"):
            key = column.removeprefix("__metadata:")
            metadata[key.removesuffix("[]")] = _SPLIT.split(text) if key.endswith("[]") else text
    given: dict[str, Json] = {
        "id": special.get("__id"),
        "description": special.get("__description"),
        "tags": [t for t in _SPLIT.split(special.get("__tags", "")) if t],
        "critical": _flag(special["__critical"], where) if "__critical" in special else None,
        "threshold": number(special["__threshold"], f"{where}: __threshold") if "__threshold" in special else None,
        "assert": asserts,
        "metadata": metadata,
    }
    return test | {k: v for k, v in given.items() if v not in (None, [], {})}


def expected(cell: str) -> dict[str, Json]:
    """An `__expected` cell as an assertion: `contains:refund`, `similar(0.8):text`, or a bare text for equals."""
    if re.match(r"\s*(?:fn|eval):", cell):
        raise DatasetInvalid(f"__expected {cell[:60]!r} is code; suites are data, code is never taken from them")
    match = _EXPECTED.match(cell)
    if match is not None:
        name = {"grade": "llm-rubric"}.get(match["type"], match["type"])
        bare = split_negation(name)[0]
        known = bare in KINDS or bare in REFUSED or name in ALIASES
        if known and (
            match["value"] is not None
            or KINDS.get(bare, KINDS["equals"]).value in ("nothing", "ignored", "schema", "names")
        ):
            assertion: dict[str, Json] = {"type": name}
            if match["value"] is not None and match["value"].strip():
                assertion["value"] = match["value"].strip()
            if match["threshold"] is not None:
                assertion["threshold"] = number(match["threshold"], f"__expected {cell[:60]!r}")
            elif bare == "levenshtein":
                raise DatasetInvalid(f"__expected {cell[:60]!r} needs the edits that are allowed: levenshtein(2):text")
            return assertion
    return {"type": "equals", "value": cell}


def parsed_json(text: str) -> Json:
    """The value of a JSON text. ValueError, also where it is nested too deeply, or holds no number but a whole page."""
    try:
        value = json.loads(text, parse_int=_int)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
    if depth_of(value) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return value


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits; at most {MAX_DIGITS} are read")
    return int(digits)


def number(cell: str, where: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise DatasetInvalid(f"{where}: {cell!r} is not a number") from None


def _flag(cell: str, where: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if cell.lower() not in known:
        raise DatasetInvalid(f"{where}: __critical is {cell!r}; write true or false")
    return known[cell.lower()]


def _jsonl(path: str, text: str) -> Iterator[Row]:
    count = 0
    for i, line in enumerate(io.StringIO(text), start=1):
        if not line.strip():
            continue
        count += 1
        _check_count(path, count)
        try:
            yield f"{path} line {i}", parsed_json(line)
        except ValueError as error:
            raise DatasetInvalid(f"{path} line {i}: is not valid JSON ({error})") from None


def _document(path: str, text: str, suffix: str) -> Iterator[Row]:
    if suffix == "json":
        try:
            data = parsed_json(text)
        except ValueError as error:
            raise DatasetInvalid(f"{path}: is not valid JSON ({error})") from None
    else:
        data = parsed_yaml(path, text)
    if not isinstance(data, list):
        raise DatasetInvalid(f"{path}: must hold a list of tests")
    _check_count(path, len(data))
    for i, item in enumerate(data, start=1):
        yield f"{path} item {i}", item


def parsed_yaml(path: str, text: str) -> Json:
    """The value of a YAML text. Raises DatasetInvalid, naming the line."""
    try:
        from .document import parse_document
    except ImportError:
        raise DatasetInvalid(f"{path}: reading YAML needs PyYAML; install promptlane[cli]") from None
    document = parse_document(text, path)
    for problem in document.problems:
        where = f" line {problem.line}" if problem.line else ""
        raise DatasetInvalid(f"{path}{where}: {f'{problem.path}: ' if problem.path else ''}{problem.message}")
    return document.data


def _check_count(path: str, count: int) -> None:
    if count > MAX_CASES:
        raise DatasetInvalid(
            f"{path}: holds more than {MAX_CASES:,} cases, which is the most a suite takes; draw a sample. "
            "A few hundred cases already show drops of a few points"
        )
