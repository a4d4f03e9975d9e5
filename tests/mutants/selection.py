"""Which fast tests meet a changed line, quickest first."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import coverage

from tests.mutants.mutations import Mutation

FAST = ("tests/unit", "tests/infra", "--ignore=tests/infra/test_linters.py")
LIFECYCLE_STEPS = "6000"
"""Enough steps of the lifecycle machine to reach all its states; `make test` takes more."""


@dataclass
class Selection:
    """What the fast tests run, by test: lines of files, and seconds."""

    root: Path
    lines: dict[str, dict[int, set[str]]]
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def measured(cls, root: Path, folder: Path, workers: int, tests: Sequence[str] = ()) -> Selection:
        """Runs all fast tests once, under coverage; or those named, whose coverage is added to what the folder has.

        Raises:
            RuntimeError: a test fails without any change.
        """
        for old in folder.glob("*" if not tests else "combined"):
            old.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **settings(), "PROMPTLANE_COVERING": str(folder)}
        command = [
            sys.executable,
            "-m",
            "pytest",
            *(tests or FAST),
            "-p",
            "tests.mutants.covering",
            "-p",
            "no:cacheprovider",
        ]
        if workers > 1:
            command += ["-n", str(workers), "--dist", "loadgroup"]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the fast tests fail without any change:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
        return cls.read(root, folder)

    @classmethod
    def read(cls, root: Path, folder: Path) -> Selection:
        """What `measured` left in the folder."""
        data = coverage.CoverageData(str(folder / "combined"))
        for part in folder.glob("coverage.*"):
            one = coverage.CoverageData(str(part))
            one.read()
            data.update(one)
        lines: dict[str, dict[int, set[str]]] = {}
        for file in data.measured_files():
            by_line = data.contexts_by_lineno(file)
            lines[os.path.relpath(file, root)] = {
                line: {c.removesuffix("@infra") for c in contexts if c} for line, contexts in by_line.items()
            }
        seconds: dict[str, float] = {}
        for path in folder.glob("durations-*.json"):
            seconds |= {name.removesuffix("@infra"): s for name, s in json.loads(path.read_text()).items()}
        return cls(root, lines, seconds)

    def meeting(self, mutation: Mutation) -> list[str]:
        """The tests that run a changed line, quickest first.

        A line that runs at import is met by the files of tests that run its module or the modules that import it: what
        only builds a dataclass runs no line of it. Templates are made once for all tests of tests/infra, so that a line
        of a construct is met by all of them.
        """
        if mutation.file.startswith("infra/"):
            return self._quickest({name for name in self.seconds if name.startswith("tests/infra/")})
        by_line = self.lines.get(mutation.file, {})
        met: set[str] = set()
        for line in range(mutation.first, mutation.last + 1):
            met |= by_line.get(line, set())
        if met or mutation.line not in self._at_import(mutation.file):
            return self._quickest(met)
        for file in (mutation.file, *self._importers.get(mutation.file, ())):
            met |= set().union(*self.lines.get(file, {}).values())
        files = {name.split("::")[0] for name in met}
        return self._quickest({name for name in self.seconds if name.split("::")[0] in files})

    def sample(self) -> list[str]:
        """The quickest tests of each file."""
        by_file: dict[str, list[str]] = defaultdict(list)
        for name in self._quickest(set(self.seconds)):
            by_file[name.split("::")[0]].append(name)
        return [name for names in by_file.values() for name in names[:5]]

    def _quickest(self, names: set[str]) -> list[str]:
        return sorted(names, key=lambda name: self.seconds.get(name, 0.0))

    def _at_import(self, file: str) -> set[int]:
        """Lines of a file that run when it is imported: outside functions, and the heads of functions."""
        tree = ast.parse((self.root / file).read_text())
        lines = set(range(1, (tree.body[-1].end_lineno or 1) + 1 if tree.body else 1))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines -= set(range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
        return lines

    @cached_property
    def _importers(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for file in self.lines:
            package = file.split("/")[:-1]
            for node in ast.walk(ast.parse((self.root / file).read_text())):
                if not isinstance(node, ast.ImportFrom):
                    continue
                above = package[: len(package) - node.level + 1] if node.level else []
                start = "/".join([*above, *(node.module or "").split(".")]).strip("/")
                for target in (start, *(f"{start}/{alias.name}" for alias in node.names)):
                    found[f"{target}.py"].add(file)
        return found


def settings() -> dict[str, str]:
    """The environment of every run: small examples, always the same."""
    return {
        "PROMPTLANE_LIFECYCLE_STEPS": LIFECYCLE_STEPS,
        "HYPOTHESIS_PROFILE": "mutants",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        "PYTHONHASHSEED": "0",
    }
