"""`pip install .` in a clone: the whole package, and nothing left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files(folder: Path) -> set[str]:
    """Below a folder, without byte code."""
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return {p.as_posix() for p in found if "__pycache__" not in p.parts}


def test_the_package_is_installed_whole_and_leaves_nothing_in_the_clone(tmp_path: Path) -> None:
    clone, site = tmp_path / "clone", tmp_path / "site"
    shutil.copytree(ROOT / "promptlane", clone / "promptlane", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"):
        shutil.copy(ROOT / name, clone)
    before = files(clone)

    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(clone)], check=True, capture_output=True)

    assert files(clone) == before
    assert files(site / "promptlane") == files(ROOT / "promptlane")
    assert (site / "bin" / "promptlane").is_file()
    told = subprocess.run(
        [sys.executable, str(site / "bin" / "promptlane"), "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        check=True,
        capture_output=True,
        text=True,
    )
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert told.stdout == f"promptlane {version}\n"
