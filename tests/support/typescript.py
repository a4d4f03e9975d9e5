"""The TypeScript client, built, and its programs in clients/js/test."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "clients" / "js"


@cache
def build() -> None:
    """dist/ as the sources say; nothing where it is."""
    subprocess.run(["make", "--silent", "clients/js/dist/.built"], cwd=ROOT, check=True, env=_alone(), timeout=300)


def run(program: str, *arguments: str, env: Mapping[str, str] | None = None, given: str = "") -> Any:
    """What a program prints, which is JSON."""
    build()
    command = ["node", str(CLIENT / "test" / program), *arguments]
    variables = {**_alone(), **(env or {})}
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _alone() -> dict[str, str]:
    """The environment without what a make that started us would tell another."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
