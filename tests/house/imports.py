"""Who imports whom, and when: at import, later (in a function), or for the type checker alone."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

When = Literal["at import", "later", "for types"]


@dataclass(frozen=True)
class Import:
    """`importer` and `imported` are dotted names of modules."""

    importer: str
    imported: str
    when: When


def modules(root: Path, packages: Iterable[str]) -> dict[str, Path]:
    """The modules of packages below `root`, by dotted name."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }


def imports(found: dict[str, Path]) -> set[Import]:
    """All imports among the modules. Importing a module counts for its package only if the package is named itself."""
    every = set()
    for name, path in found.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for statement, when in _statements(ast.parse(path.read_text()), "at import"):
            for imported in _named(statement, package, found):
                if imported != name:
                    every.add(Import(name, imported, when))
    return every


def circles(every: Iterable[Import], *whens: When) -> list[tuple[str, ...]]:
    """Groups of modules that reach each other by imports of these kinds."""
    nexts: dict[str, set[str]] = defaultdict(set)
    for one in every:
        if one.when in whens:
            nexts[one.importer].add(one.imported)
    reach = {name: _reached(name, nexts) for name in sorted(nexts)}
    groups = {tuple(sorted(o for o in reached if name in reach.get(o, ()))) for name, reached in reach.items()}
    return sorted(groups - {()})


def _statements(tree: ast.AST, when: When) -> Iterator[tuple[ast.Import | ast.ImportFrom, When]]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, when
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements(child, "later" if when == "at import" else when)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from _statements(ast.Module(child.body, []), "for types")
            yield from _statements(ast.Module(child.orelse, []), when)
        else:
            yield from _statements(child, when)


def _named(statement: ast.Import | ast.ImportFrom, package: str, known: Collection[str]) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names if alias.name in known)
        return
    base = statement.module or ""
    if statement.level:
        above = package.split(".")[: len(package.split(".")) - statement.level + 1]
        base = ".".join([*above, *([base] if base else [])])
    for alias in statement.names:
        inner = f"{base}.{alias.name}"
        if inner in known:
            yield inner
        elif base in known:
            yield base


def _reached(start: str, nexts: dict[str, set[str]]) -> set[str]:
    """Every module on some way from `start`; itself only if a way leads back."""
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        for name in nexts.get(ahead.pop(), ()):
            if name not in reached:
                reached.add(name)
                ahead.append(name)
    return reached
