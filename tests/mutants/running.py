"""Runs tests against changed copies of the tree: each in a fork that has the third-party packages loaded already."""

from __future__ import annotations

import compileall
import contextlib
import importlib
import math
import os
import py_compile
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutations import Mutation
from tests.mutants.selection import Selection, settings

PRELOADED = (
    "pytest",
    "_pytest.assertion.rewrite",
    "xdist",
    "hypothesis",
    "hypothesis.stateful",
    "boto3",
    "botocore.session",
    "aws_lambda_powertools",
    "aws_lambda_powertools.utilities.typing",
    "jsonschema",
    "yaml",
    "typer",
    "rich",
    "langchain_core.messages",
    "openfeature",
    "http.server",
    "asyncio",
    "moto",
    "moto.dynamodb",
)
MEMORY = 8 << 30
LONGEST = 40.0
"""Seconds of tests that one change meets at most: the quickest of those that cover it."""


@dataclass(frozen=True)
class Result:
    """What became of a change; `by` is the test that noticed it."""

    mutation: Mutation
    killed: bool
    seconds: float
    by: str = ""


class _Stop:
    """Runs the selected tests in order, and says which one failed."""

    def __init__(self, names: Sequence[str], note: Path) -> None:
        self.order = {name: i for i, name in enumerate(names)}
        self.note = note

    def pytest_collection_modifyitems(self, items: list) -> None:  # type: ignore[type-arg]
        items[:] = sorted(
            (i for i in items if i.nodeid.split("@")[0] in self.order or i.nodeid in self.order),
            key=lambda i: self.order.get(i.nodeid, 0),
        )

    def pytest_runtest_logreport(self, report: object) -> None:
        if getattr(report, "failed", False):
            self.note.write_text(getattr(report, "nodeid", ""))

    def pytest_collectreport(self, report: object) -> None:
        if getattr(report, "failed", False):
            self.note.write_text(f"collecting {getattr(report, 'nodeid', '')}")


class Runner:
    """Copies of the tree under `folder`, one for each worker."""

    def __init__(self, root: Path, folder: Path, selection: Selection, workers: int) -> None:
        self.root, self.folder, self.selection, self.workers = root, folder, selection, workers
        os.environ.update(settings())
        for name in PRELOADED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        self.copies = [self._copy(n) for n in range(workers)]

    def _copy(self, number: int) -> Path:
        copy = self.folder / f"tree-{number}"
        if copy.exists():
            shutil.rmtree(copy)
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=self.root,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split("\0")
        for name in filter(None, files):
            if (self.root / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.root / name, copy / name)
        for name in (".venv", "node_modules", ".build"):
            if (self.root / name).exists():
                (copy / name).symlink_to(self.root / name)
        # By content, not by time: a change may have the size and second of what it replaces.
        compileall.compile_dir(copy, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        return copy

    def check(self) -> None:
        """Without a change all tests pass here too.

        Raises:
            RuntimeError: they do not; what pytest said.
        """
        copy, names = self.copies[0], self.selection.sample()
        _, status = os.waitpid(self._fork(copy, names, 600), 0)
        if status:
            log = (self.folder / f"{copy.name}.log").read_text(errors="replace")
            raise RuntimeError(f"tests fail without any change:\n{log[-4000:]}")

    def run(self, mutations: Sequence[Mutation]) -> Iterator[Result]:
        """The results, in the order in which they end."""
        waiting, free = list(reversed(mutations)), list(self.copies)
        busy: dict[int, tuple[Mutation, Path, float, float]] = {}
        while waiting or busy:
            while waiting and free:
                copy = free.pop()
                mutation = waiting.pop()
                names = self._affordable(self.selection.meeting(mutation))
                if not names:
                    yield Result(mutation, False, 0.0)
                    free.append(copy)
                    continue
                (copy / mutation.file).write_text(mutation.source())
                # Processor time, so that a busy machine makes no change look like one that never ends.
                seconds = 30 + 4 * math.ceil(sum(self.selection.seconds.get(n, 0.0) for n in names))
                started = time.monotonic()
                busy[self._fork(copy, names, seconds)] = mutation, copy, started, started + 10 * seconds
            time.sleep(0.02)
            for pid in list(busy):
                mutation, copy, started, deadline = busy[pid]
                done, status = os.waitpid(pid, os.WNOHANG)
                late = time.monotonic() > deadline
                if not done and not late:
                    continue
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                if not done:
                    os.waitpid(pid, 0)
                del busy[pid]
                free.append(copy)
                note = self.folder / f"{copy.name}.note"
                by = note.read_text() if note.exists() else ("it did not end" if late else "the process ended")
                shutil.copy2(self.root / mutation.file, copy / mutation.file)
                killed = late or os.waitstatus_to_exitcode(status) != 0
                yield Result(mutation, killed, time.monotonic() - started, by if killed else "")

    def _affordable(self, names: list[str]) -> list[str]:
        taken: list[str] = []
        total = 0.0
        for name in names:
            total += self.selection.seconds.get(name, 0.0)
            if taken and total > LONGEST:
                break
            taken.append(name)
        return taken

    def _fork(self, copy: Path, names: list[str], seconds: int) -> int:
        note = self.folder / f"{copy.name}.note"
        note.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            # Node wants more addresses than it uses.
            limited = not any(name.startswith("tests/infra/") for name in names)
            self._child(lambda: self._tests(copy, names, note), copy, limited, seconds)
        return pid

    def _child(self, run: Callable[[], int], copy: Path, limited: bool, seconds: int) -> None:
        code = 99
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            if limited:
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            output = os.open(self.folder / f"{copy.name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            code = run()
        finally:
            os._exit(code)

    def _tests(self, copy: Path, names: list[str], note: Path) -> int:
        import pytest

        os.chdir(copy)
        os.environ["PYTHONPATH"] = str(copy)
        root = str(self.root)
        sys.path[:] = [str(copy), *(p for p in sys.path if p not in ("", root))]
        for module in [
            n for n in sys.modules if n.split(".")[0] in ("promptlane", "functions", "infra", "local", "tests")
        ]:
            del sys.modules[module]
        files = sorted({name.split("::")[0] for name in names})
        options = [
            "-x",
            "-q",
            "--no-header",
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",  # the packages that were loaded before
            f"--basetemp={copy / '.pytest-temp'}",
            f"--rootdir={copy}",
        ]
        return int(pytest.main([*options, *files], plugins=[_Stop(names, note)]))
