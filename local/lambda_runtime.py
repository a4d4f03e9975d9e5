"""The interpreter that Lambda functions run in: a bare environment that holds boto3 and nothing else, as on AWS.

Made once under `<home>/lambda-runtime/` from requirements/runtime.txt, so that a package which the emulator or a test
happens to need cannot hide that a function's layer lacks it."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements" / "runtime.txt"


class RuntimeMissing(RuntimeError):
    """The interpreter for functions could not be made."""


def python(home: Path) -> Path:
    """The interpreter under `home`, made on first use (a few seconds, needs the package index once)."""
    home.mkdir(parents=True, exist_ok=True)
    wanted = f"{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()} on {sys.version.split()[0]}"
    directory = home / "lambda-runtime"
    with (home / "lambda-runtime.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        marker = directory / "made-from"
        if not marker.exists() or marker.read_text() != wanted:
            shutil.rmtree(directory, ignore_errors=True)
            _make(directory)
            marker.write_text(wanted)
    return directory / "bin" / "python"


def _make(directory: Path) -> None:
    venv.EnvBuilder(with_pip=False, symlinks=True).create(directory)
    site = directory / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(site)]
    command += ["--require-hashes", "--requirement", str(REQUIREMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(directory, ignore_errors=True)
        raise RuntimeMissing(
            f"cannot install requirements/runtime.txt for Lambda functions: {done.stderr.strip().splitlines()[-1:]}; "
            "check the network and the pip configuration, then try again"
        )
