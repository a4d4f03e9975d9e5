"""A YAML file that remembers where every value stands.

YAML is read as its 1.2 core schema, as promptfoo and most editors do: `no`, `on`, `1:30` and `2026-01-31` are text,
`0123` is the number 123. Duplicate keys, keys that are not text, unknown tags and endless aliases are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.reader import ReaderError

Json = Any
Place = tuple[int, int]

MAX_BYTES: Final = 20_000_000
MAX_NODES: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file. `line` and `column` count from 1; 0 means the file as a whole."""

    file: str
    message: str
    path: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = self.file if not self.line else f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Document:
    """The plain data of one file, and the place of every path in it (`canary.steps[1].weight`)."""

    file: str
    data: Json
    places: dict[str, Place] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def problem(self, path: str, message: str) -> Problem:
        """The problem at its line; a path that is not in the file stands at the nearest parent that is."""
        line, column = self.place(path)
        return Problem(self.file, message, path, line, column)

    def place(self, path: str) -> Place:
        for candidate in _parents(path):
            if candidate in self.places:
                return self.places[candidate]
        return (1, 1)


def read_document(path: Path, *, shown_as: str = "") -> Document:
    """Read a YAML file. What makes it unreadable is in `problems`; nothing is raised."""
    file = shown_as or str(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return _unreadable(file, "does not exist; create it (`docs/write-a-policy.md` shows each file)")
    except OSError as error:
        return _unreadable(file, f"cannot be read: {error.strerror}; check the path and its permissions")
    if len(raw) > MAX_BYTES:
        return _unreadable(
            file, f"has {len(raw):,} bytes; at most {MAX_BYTES:,} are read. Move cases to a CSV or JSONL file"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        message = f"byte 0x{raw[error.start]:02x} is not valid UTF-8; save the file as UTF-8"
        return Document(file, None, problems=(Problem(file, message, line=line, column=column),))
    return parse_document(text, file)


def parse_document(text: str, file: str) -> Document:
    """The document of YAML text, reported under the name `file`."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return _unreadable(file, "is empty")
            places: dict[str, Place] = {}
            problems = list(_walk(node, file, places))
            data = None if problems else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = ", ".join(part for part in (error.context, error.problem) if part)
        message = f"is not valid YAML: {what}; fix the indentation or quote the text"
        return Document(file, None, problems=(Problem(file, message, line=line, column=column),))
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        message = f"character U+{ord(text[error.position]):04X} is not allowed in YAML; remove it"
        return Document(file, None, problems=(Problem(file, message, line=line, column=column),))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a number with thousands of digits
        return _unreadable(file, f"is not valid YAML: {' '.join(str(error).split())}")
    except RecursionError:
        return _unreadable(file, "is nested too deeply; no file of a prompt needs that")
    return Document(file, data, places, tuple(problems))


def _unreadable(file: str, message: str) -> Document:
    return Document(file, None, problems=(Problem(file, message),))


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema."""


_CORE: Final = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "int": (r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    "float": (
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+0123456789.",
    ),
    "null": (r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    "merge": (r"^(?:<<)$", "<"),
}
_Loader.yaml_implicit_resolvers = {}
for _tag, (_pattern, _first) in _CORE.items():
    _firsts = [*_first, ""] if _tag == "null" else list(_first)
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _firsts)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text[2:] if base != 10 else text, base)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def _walk(root: yaml.Node, file: str, places: dict[str, Place]) -> Iterator[Problem]:
    """Note the place of every path; yield duplicate keys, keys that are not text, and aliases without end."""
    stack: list[tuple[str, yaml.Node, Place, frozenset[int]]] = [("", root, _place(root), frozenset())]
    seen = 0
    while stack:
        path, node, place, above = stack.pop()
        seen += 1
        if seen > MAX_NODES:
            yield Problem(file, f"holds more than {MAX_NODES:,} values (aliases counted); move cases to a CSV file")
            return
        places.setdefault(path, place)
        if id(node) in above:
            yield Problem(file, "an alias contains itself; write the value out", path, *place)
            continue
        inside = above | {id(node)} if isinstance(node, yaml.CollectionNode) else above
        if isinstance(node, yaml.SequenceNode):
            stack += [(f"{path}[{i}]", item, _place(item), inside) for i, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            known: dict[str, Place] = {}
            for key, value in node.value:
                here = _place(key)
                if not isinstance(key, yaml.ScalarNode):
                    yield Problem(file, "a key must be text", path, *here)
                    continue
                name = str(key.value)
                child = f"{path}.{name}" if path else name
                if name in known:
                    first = known[name][0]
                    yield Problem(file, f"is given twice (first on line {first}); keep one", child, *here)
                    continue
                known[name] = here
                if key.tag == "tag:yaml.org,2002:merge":
                    child = path
                stack.append((child, value, here, inside))


def _place(node: yaml.Node) -> Place:
    mark = node.start_mark
    return (mark.line + 1, mark.column + 1)


def _parents(path: str) -> Iterator[str]:
    """`a.b[1].c`, `a.b[1]`, `a.b`, `a`, and the document itself."""
    while path:
        yield path
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    yield ""
