"""Byte code for Lambda's Python, beside the sources.

Lambda cannot keep what it compiles: without byte code in the asset every cold start compiles all that it imports,
which takes as long as everything else together (docs/adr/0036). CDK's assets hold no times, so the byte code is of
the kind that is taken without a look at its source (PEP 552, "unchecked-hash"). Only an interpreter of that version
makes it: where the machine that deploys has none, sources go alone, and synth says so.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

PYTHON = "3.13"
"""Of Lambda's runtime."""
MAGIC = b"\xf3\x0d\x0d\x0a"
"""What byte code of every 3.13.x begins with (CPython's own table of magic numbers)."""
WITHOUT = (
    f"there is no Python {PYTHON} on this machine, so functions are deployed without byte code and start about 0.3 s "
    f"later. Install python{PYTHON} (`uv python install {PYTHON}`, or your system's package) where PATH finds it"
)
_ELSEWHERE = (".pyenv/versions/3.13*/bin/python3.13", ".local/share/uv/python/cpython-3.13*/bin/python3.13")
"""Where the usual managers keep interpreters that PATH does not name; below the home directory."""


@dataclass(frozen=True)
class Compiler:
    """One interpreter as a compiler; without any it compiles nothing. `tag` is that of its files, as cpython-313."""

    python: Path | None
    tag: str

    @property
    def name(self) -> str:
        """What tells apart what was made by it."""
        return self.tag if self.python else f"{self.tag}-sources"

    def __call__(self, folder: Path, *, at: str) -> None:
        """Compile everything below folder, as what will lie below `at`. Syntax that nothing imports may fail."""
        if not self.python:
            return
        command = [str(self.python), "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
        command += ["-s", str(folder), "-p", at, str(folder)]
        # Sets in constants are written in the order of their hashes.
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=False, stdout=subprocess.DEVNULL)

    def beside(self, source: Path) -> Path:
        """Where the byte code of a source lies."""
        return source.parent / "__pycache__" / f"{source.stem}.{self.tag}.pyc"


def compiler(target: Literal["aws", "host"]) -> Compiler:
    """For Lambda's Python, or for the interpreter that runs this."""
    if target == "host":
        return Compiler(Path(sys.executable), str(sys.implementation.cache_tag))
    return Compiler(_lambdas_python(), f"cpython-{PYTHON.replace('.', '')}")


@cache
def _lambdas_python() -> Path | None:
    if importlib.util.MAGIC_NUMBER == MAGIC:
        return Path(sys.executable)
    return next((path for path in _candidates() if _magic(path) == MAGIC.hex()), None)


def _candidates() -> Iterator[Path]:
    name = f"python{PYTHON}"
    for folder in os.get_exec_path():
        if (path := Path(folder) / name).is_file():
            yield path
    for pattern in _ELSEWHERE:
        yield from sorted(Path.home().glob(pattern), reverse=True)


def _magic(python: Path) -> str:
    """A shim of a version manager may be there and run nothing: that is no interpreter."""
    command = [str(python), "-I", "-c", "import importlib.util as u; print(u.MAGIC_NUMBER.hex())"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
