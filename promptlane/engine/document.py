"""A YAML file that remembers where every value stands.

YAML is read as its 1.2 core schema, as promptfoo and most editors do: `no`, `on`, `1:30` and `2026-01-31` are text,
`0123` is the number 123. Duplicate keys, keys that are not text, unknown tags, endless aliases, and texts that are not
Unicode are refused; so is what is too large or too deep, before it costs more than a moment: values are counted by
libyaml, which is ten times as fast as PyYAML alone, where that has it, and in any case again while they are composed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.reader import ReaderError

from promptlane.domain.incoming import torn_problem
from promptlane.domain.limits import MAX_DEPTH, MAX_DIGITS
from promptlane.domain.text import shortened

Json = Any
Place = tuple[int, int]

MAX_BYTES: Final = 5_000_000
MAX_NODES: Final = 100_000
"""Values of a file, those of an alias as often as it is written."""
MAX_CHARS: Final = 20_000_000
"""Characters of its texts, counted alike; and of the paths of all its values, by which problems are told."""
_MOVE: Final = "move cases to a CSV or JSONL file"


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
        return _unreadable(file, f"has {len(raw):,} bytes; at most {MAX_BYTES:,} are read; {_MOVE}")
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
        _count(text)
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
    except _TooLarge as error:
        return Document(file, None, problems=(Problem(file, str(error), line=error.line, column=error.column),))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = shortened(", ".join(part for part in (error.context, error.problem) if part), 300)
        message = f"is not valid YAML: {what}; fix the indentation or quote the text"
        return Document(file, None, problems=(Problem(file, message, line=line, column=column),))
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        message = f"character U+{ord(text[error.position]):04X} is not allowed in YAML; remove it"
        return Document(file, None, problems=(Problem(file, message, line=line, column=column),))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a number with thousands of digits
        return _unreadable(file, f"is not valid YAML: {shortened(' '.join(str(error).split()), 300)}")
    except RecursionError:
        return _unreadable(file, "is nested too deeply; no file of a prompt needs that")
    return Document(file, data, places, tuple(problems))


def _unreadable(file: str, message: str) -> Document:
    return Document(file, None, problems=(Problem(file, message),))


class _TooLarge(Exception):
    """A file that nobody could have meant; the place is where it became one."""

    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(message)
        self.line, self.column = int(mark.line) + 1, int(mark.column) + 1


class _Tally:
    """What was read so far: values and characters with aliases written out, and how deep it lies."""

    def __init__(self) -> None:
        self.values = self.chars = self.depth = 0

    def add(self, mark: Any, values: int, chars: int) -> None:
        self.values += values
        self.chars += chars
        if self.values > MAX_NODES:
            raise _TooLarge(f"holds more than {MAX_NODES:,} values (aliases counted); {_MOVE}", mark)
        if self.chars > MAX_CHARS:
            raise _TooLarge(f"holds more than {MAX_CHARS:,} characters (aliases counted); {_MOVE}", mark)

    def enter(self, mark: Any) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _TooLarge(f"is nested too deeply, over {MAX_DEPTH} levels; no file of a prompt needs that", mark)


def _count(text: str) -> None:
    """Raise _TooLarge early. What is no YAML is left to the loader, whose messages are better."""
    if not yaml.__with_libyaml__:
        return
    tally, anchors, started = _Tally(), dict[str, tuple[int, int]](), list[tuple[str | None, int, int]]()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            mark = event.start_mark
            if isinstance(event, yaml.ScalarEvent):
                tally.add(mark, 1, len(event.value))
                if event.anchor:
                    anchors[event.anchor] = (1, len(event.value))
            elif isinstance(event, yaml.AliasEvent):
                tally.add(mark, *anchors.get(event.anchor or "", (1, 0)))
            elif isinstance(event, yaml.CollectionStartEvent):
                started.append((event.anchor, tally.values, tally.chars))
                tally.add(mark, 1, 0)
                tally.enter(mark)
            elif isinstance(event, yaml.CollectionEndEvent):
                tally.depth -= 1
                anchor, values, chars = started.pop()
                if anchor:
                    anchors[anchor] = (tally.values - values, tally.chars - chars)
    except yaml.YAMLError:
        return


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema, which stops at what is too large or too deep."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._tally = _Tally()

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        self._tally.add(mark, 1, len(event.value) if isinstance(event, yaml.ScalarEvent) else 0)
        self._tally.enter(mark)
        node = super().compose_node(parent, index)
        self._tally.depth -= 1
        return node


CORE_SCALARS: Final = {
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
for _tag, (_pattern, _first) in CORE_SCALARS.items():
    _firsts = [*_first, ""] if _tag == "null" else list(_first)
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _firsts)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    if len(text) > MAX_DIGITS:
        raise yaml.constructor.ConstructorError(
            None, None, f"a number has {len(text):,} digits; at most {MAX_DIGITS} are read", node.start_mark
        )
    return int(text[2:] if base != 10 else text, base)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def _walk(root: yaml.Node, file: str, places: dict[str, Place]) -> Iterator[Problem]:
    """Note the place of every path; yield duplicate keys, keys that are not text, and aliases without end."""
    stack: list[tuple[str, yaml.Node, Place, frozenset[int]]] = [("", root, _place(root), frozenset())]
    tally, paths = _Tally(), 0
    while stack:
        path, node, place, above = stack.pop()
        paths += len(path)
        text = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
        tally.add(node.start_mark, 1, len(text))
        if paths > MAX_CHARS:
            raise _TooLarge("has keys that are too long for the number of its values; shorten them", node.start_mark)
        places.setdefault(path, place)
        if problem := torn_problem(text):
            yield Problem(file, problem, path, *place)
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
                if problem := torn_problem(name):
                    yield Problem(file, f"a key {problem}", path, *here)
                    continue
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
