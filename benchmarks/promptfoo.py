"""Where promptfoo was installed to compare with, and what runs it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1] / ".local" / "bench"
FOLDER = BENCH / "promptfoo" / "node_modules" / "promptfoo"
BROUGHT = BENCH / "node" / "node_modules" / "node" / "bin" / "node"
"""A Node that npm brought along where the machine's own is too old for promptfoo."""


def missing() -> str:
    """Why nothing can be compared; empty when it can."""
    if not FOLDER.is_dir():
        return "promptfoo is not installed in .local/bench/promptfoo (npm could not install it: see npm.log there)"
    if not node():
        wanted = json.loads((FOLDER / "package.json").read_text())["engines"]["node"]
        return f"promptfoo needs Node {wanted}, and npm's package `node` gave none"
    return ""


@cache
def node() -> str:
    """The Node that promptfoo takes: the machine's own, or the one that npm brought; empty where there is none."""
    for found in (shutil.which("node"), str(BROUGHT) if BROUGHT.exists() else None):
        if found and fits(subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout):
            return found
    return ""


def fits(version: str) -> bool:
    """Whether a version of Node, such as `v22.22.0`, is one that promptfoo takes: ^20.20.0 || >=22.22.0."""
    found = re.match(r"v?(\d+)\.(\d+)", version.strip())
    numbers = (int(found[1]), int(found[2])) if found else (0, 0)
    return (20, 20) <= numbers < (21, 0) or numbers >= (22, 22)
