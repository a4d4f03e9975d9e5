"""The files that a configuration names: read once, within their limits, and remembered for a suite that names them."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator, Mapping
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


class Sources:
    """Reads them. `named`: what `read` gave, by name."""

    def __init__(self, read: Read, matching: List, notes: Notes) -> None:
        self._read, self._matching, self.notes = read, matching, notes
        self.named: dict[str, bytes] = {}

    def read(self, name: str) -> bytes:
        """Content of a file. Raises OSError."""
        if name not in self.named:
            content = self._read(name)
            if (total := len(content) + sum(map(len, self.named.values()))) > MAX_BYTES:
                raise OSError(errno.EFBIG, f"and the files before it have {total:,} bytes; {MAX_BYTES:,} are read")
            self.named[name] = content
        return self.named[name]

    def plain_data(self, name: str) -> Json:
        """What a JSON or YAML file holds. Raises DatasetInvalid."""
        path = name.removeprefix("file://")
        if problem := not_data(path):
            raise DatasetInvalid(f"{path!r} {problem}")
        try:
            text = decode(self.read(path), path)
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
            found = self._matching(path)
        except (OSError, ValueError) as error:
            raise DatasetInvalid(f"{path!r} cannot be looked for ({error})") from None
        if not found or len(found) > MAX_FILES:
            raise DatasetInvalid(f"{path!r} stands for {len(found):,} files; 1 to {MAX_FILES:,} are read")
        return found

    def rows(self, name: str) -> Iterator[tuple[str, Json]]:
        """(place, test) of a file of cases; code in its cells stays code, for a stub. Raises DatasetInvalid."""
        yield from load_rows(name, self.read, cell)


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
