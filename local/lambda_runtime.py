"""The interpreter that Lambda functions run in: a bare environment, made once under `<home>/lambda-runtime/`.

A package which the emulator or a test happens to need cannot hide that a function's layer lacks it. AWS's runtime also
brings some boto3, which differs between Regions: here it brings none, so that a function without ours fails."""

from __future__ import annotations

import fcntl
import shutil
import sys
import venv
from pathlib import Path


class RuntimeMissing(RuntimeError):
    """The interpreter for functions could not be made."""


def python(home: Path) -> Path:
    """The interpreter under `home`, made on first use."""
    home.mkdir(parents=True, exist_ok=True)
    wanted = f"nothing on {sys.version.split()[0]}"
    directory = home / "lambda-runtime"
    with (home / "lambda-runtime.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        marker = directory / "made-from"
        if not marker.exists() or marker.read_text() != wanted:
            shutil.rmtree(directory, ignore_errors=True)
            try:
                venv.EnvBuilder(with_pip=False, symlinks=True).create(directory)
            except OSError as error:
                raise RuntimeMissing(f"cannot make {directory} for Lambda functions: {error}") from error
            marker.write_text(wanted)
    return directory / "bin" / "python"
