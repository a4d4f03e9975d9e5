"""What can be counted about the order of the house, and what of it breaks a rule."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.house.imports import Import, circles, imports, modules

OURS = ("promptlane", "functions", "infra", "local")
SUBJECTS = "promptlane.domain"
LONGEST_FILE = 450
"""Lines that a module may have."""
MOST_SKIPS = 10
"""Lines of `OURS` together that may ask the formatter to keep off."""
MANY_PARAMETERS = 8
_KEEPS_OFF = ("# fmt: skip", "# fmt: off")


@dataclass(frozen=True)
class Row:
    """`allowed`: the largest count that breaks no rule; None where the count is only shown."""

    what: str
    count: int
    allowed: int | None = None
    details: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        return self.allowed is not None and self.count > self.allowed


def rows(root: Path, packages: Iterable[str] = OURS, *, beside: Iterable[str] = ("tests", "benchmarks")) -> list[Row]:
    """`beside`: folders of which lines and skips are shown without a rule."""
    found = modules(root, packages)
    every = imports(found)
    texts = {path.relative_to(root): path.read_text() for path in found.values()}
    other = {path.relative_to(root): path.read_text() for folder in beside for path in (root / folder).rglob("*.py")}
    return [
        *_circles(every),
        *_subjects(every, _layers(root)),
        _long_files(texts),
        _skips("lines that keep the formatter off", texts, MOST_SKIPS),
        _skips("the same in tests and benchmarks", other, None),
        _wide_functions(texts),
        _files(texts),
        _lines({**texts, **other}),
    ]


def _circles(every: set[Import]) -> list[Row]:
    at_import = circles(every, "at import")
    at_run_time = circles(every, "at import", "later")
    with_types = circles(every, "at import", "later", "for types")
    return [
        Row("circles of imports", len(at_import), 0, tuple(map(" ".join, at_import))),
        Row("circles, imports in functions included", len(at_run_time), 0, tuple(map(" ".join, at_run_time))),
        Row("circles, imports for types included", len(with_types), None, tuple(map(" ".join, with_types))),
    ]


def _layers(root: Path) -> dict[str, int]:
    """How high each subject of the domain stands, from the import rules."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    (contract,) = [c for c in project["tool"]["importlinter"]["contracts"] if c.get("containers") == [SUBJECTS]]
    layers = [[name.strip() for name in layer.split("|")] for layer in reversed(contract["layers"])]
    return {name: height for height, names in enumerate(layers) for name in names}


def _subjects(every: set[Import], height: dict[str, int]) -> list[Row]:
    inside = f"{SUBJECTS}."
    arrows = Counter(
        (one.importer.removeprefix(inside).split(".")[0], one.imported.removeprefix(inside).split(".")[0])
        for one in every
        if one.importer.startswith(inside) and one.imported.startswith(inside)
    )
    between = {pair: count for pair, count in arrows.items() if pair[0] != pair[1]}
    back = [pair for pair in between if height.get(pair[0], -1) <= height.get(pair[1], -1)]
    told = tuple(
        f"{subject} → " + ", ".join(f"{to} {n}" for (one, to), n in sorted(between.items()) if one == subject)
        for subject in sorted({one for one, _ in between}, key=lambda name: (-height.get(name, -1), name))
    )
    return [
        Row("subjects of the domain that import each other", len(between), None, told),
        Row("of these, against their order", len(back), 0, tuple(f"{one} → {to}" for one, to in sorted(back))),
    ]


def _long_files(texts: dict[Path, str]) -> Row:
    lengths = _largest({path.as_posix(): len(text.splitlines()) for path, text in texts.items()})
    longer = sum(len(text.splitlines()) > LONGEST_FILE for text in texts.values())
    return Row(f"files of more than {LONGEST_FILE} lines; the longest:", longer, 0, lengths)


def _skips(what: str, texts: dict[Path, str], allowed: int | None) -> Row:
    by_folder: Counter[str] = Counter()
    for path, text in texts.items():
        by_folder["/".join(path.parts[:2][: len(path.parts) - 1])] += sum(
            line.rstrip().endswith(_KEEPS_OFF) for line in text.splitlines()
        )
    return Row(what, by_folder.total(), allowed, _largest({k: n for k, n in by_folder.items() if n}))


def _wide_functions(texts: dict[Path, str]) -> Row:
    wide = {
        f"{path.as_posix()} {node.name}": count
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (count := _parameters(node)) > MANY_PARAMETERS
    }
    return Row(f"functions with more than {MANY_PARAMETERS} parameters", len(wide), None, _largest(wide))


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return sum(one.arg not in ("self", "cls") for one in given)


def _files(texts: dict[Path, str]) -> Row:
    by_folder = Counter(path.parent.as_posix() for path in texts if path.name != "__init__.py")
    return Row("files; the fullest folders:", len(texts), None, _largest(by_folder))


def _lines(texts: dict[Path, str]) -> Row:
    by_folder: Counter[str] = Counter()
    for path, text in texts.items():
        by_folder[path.parts[0]] += len(text.splitlines())
    return Row("lines", by_folder.total(), None, _largest(by_folder))


def _largest(counts: dict[str, int] | Counter[str], most: int = 10) -> tuple[str, ...]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(f"{count:6}  {name}" for name, count in ordered[:most])
