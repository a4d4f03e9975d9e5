"""The files that a configuration names: read once, within their limits, and remembered for a suite that names them."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from promptlane.engine.dataset import DatasetInvalid, decode, load_rows, parsed_json, parsed_yaml
from promptlane.engine.dataset import expected as expected_cell
from promptlane.engine.files import not_data
from promptlane.engine.suite import Read

from .found import Notes

Json = Any
List = Callable[[str], list[str]]
"""Names of the files that a pattern stands for, below the configuration's folder, sorted. Raises OSError."""
MAX_FILES: Final = 1_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of all files of a configuration together."""
_YAML: Final = (".yaml", ".yml")
_CODE_CELLS: Final = {"javascript": ("javascript:", "fn:", "eval:"), "python": ("python:",)}


@dataclass(frozen=True, slots=True)
class Reads:
    """How files are read: by `inside` what the suite may go on naming, which lies in the configuration's folder; by
    `outer` also what is only written out, which may lie beside it."""

    inside: Read
    outer: Read
    matching: List


def leads_out(name: str) -> bool:
    """Whether a name may lead out of the folder that it is relative to."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


class Sources:
    """Reads them. `named`: what `read` gave, by name."""

    def __init__(self, reads: Reads, notes: Notes) -> None:
        self._reads, self.notes = reads, notes
        self.named: dict[str, bytes] = {}
        self._outer: dict[str, bytes] = {}

    def read(self, name: str) -> bytes:
        """Content of a file of the configuration's folder. Raises OSError."""
        return self._read(name, self._reads.inside, self.named)

    def written_out(self, name: str) -> bytes:
        """Content of a file of which the suite will have what it says, not the name. Raises OSError."""
        return self._read(name, self._reads.outer, self._outer) if leads_out(name) else self.read(name)

    def _read(self, name: str, read: Read, known: dict[str, bytes]) -> bytes:
        if name not in known:
            content = read(name)
            total = len(content) + sum(map(len, (*self.named.values(), *self._outer.values())))
            if total > MAX_BYTES:
                raise OSError(errno.EFBIG, f"and the files before it have {total:,} bytes; {MAX_BYTES:,} are read")
            known[name] = content
        return known[name]

    def plain_data(self, name: str) -> Json:
        """What a JSON or YAML file holds. Raises DatasetInvalid."""
        path = name.removeprefix("file://")
        if problem := not_data(path):
            raise DatasetInvalid(f"{path!r} {problem}")
        try:
            text = decode(self.written_out(path), path)
        except OSError as error:
            raise DatasetInvalid(f"{path!r} cannot be read ({error.strerror or error})") from None
        if not path.lower().endswith(_YAML):
            try:
                return parsed_json(text)
            except ValueError as error:
                raise DatasetInvalid(f"{path!r} is not valid JSON ({error})") from None
        return parsed_yaml(path, text)

    def json_text(self, name: str) -> str | None:
        """promptfoo hands a YAML file on as JSON text: that text; None for other files. Raises DatasetInvalid."""
        if not name.lower().endswith(_YAML):
            return None
        return json.dumps(self.plain_data(name), ensure_ascii=False, separators=(",", ":"))

    def files(self, name: str) -> list[str]:
        """The case files that a name stands for: itself, or those that a pattern finds. Raises DatasetInvalid."""
        path = name.removeprefix("file://")
        if "://" in path or not any(mark in path for mark in "*?["):
            return [path]
        try:
            found = self._reads.matching(path)
        except (OSError, ValueError) as error:
            raise DatasetInvalid(f"{path!r} cannot be looked for ({error})") from None
        if not found or len(found) > MAX_FILES:
            raise DatasetInvalid(f"{path!r} stands for {len(found):,} files; 1 to {MAX_FILES:,} are read")
        return found

    def rows(self, name: str) -> Iterator[tuple[str, Json]]:
        """(place, test) of a file of cases; code in its cells stays code, for a stub. Raises DatasetInvalid."""
        yield from load_rows(name, self.written_out, cell)


def cell(text: str) -> dict[str, Json]:
    """An `__expected` cell, code included."""
    given = text.strip()
    for kind, marks in _CODE_CELLS.items():
        for mark in marks:
            if given.startswith(mark):
                return {"type": kind, "value": given.removeprefix(mark).strip()}
    if given.startswith("file://"):
        kind = "python" if given.rpartition("/")[2].partition(":")[0].endswith(".py") else ""
        kind = kind or ("javascript" if not_data(given.removeprefix("file://")).startswith("is code") else "")
        if kind:
            return {"type": kind, "value": given}
    return expected_cell(text)


def mapping(value: Json) -> Mapping[str, Json]:
    """The value if it is a mapping, otherwise an empty one."""
    return value if isinstance(value, Mapping) else {}
