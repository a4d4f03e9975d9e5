"""Asks both clients what the conformance files ask, and shows their answers side by side.

python -m tests.conformance            a table; writes .local/conformance.json; 1 if an answer is another than published
python -m tests.conformance --write    writes the files anew from the Python client, and clients/js/src/shared.ts
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import shared, vectors
from .python import ANSWERS, ROOT, cases, split_cases, split_of

OUT = ROOT / ".local" / "conformance.json"
ROUTES = "tests/unit/client/test_conformance.py"
Wrong = dict[str, list[str]]


def python_() -> tuple[dict[str, int], Wrong]:
    """How many cases each file has, and by file the names of those that the Python client answers otherwise."""
    sizes: dict[str, int] = {}
    wrong: Wrong = {}
    for kind, answer in {**ANSWERS, "split": split_of}.items():
        all_cases = split_cases() if kind == "split" else cases(kind)
        sizes[kind] = len(all_cases)
        wrong[kind] = [case["name"] for case in all_cases if answer(case["given"]) != case["answer"]]
    sizes["routes"], wrong["routes"] = _routes()
    return sizes, wrong


def _routes() -> tuple[int, list[str]]:
    """Routes have their runner in the fast tests: it moves clocks and threads."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", ROUTES]
        subprocess.run(run, cwd=ROOT, check=False, capture_output=True)
        found = [case for case in ElementTree.parse(report).iter("testcase") if "[" in case.get("name", "")]
    wrong = [case for case in found if case.find("failure") is not None or case.find("error") is not None]
    return len(found), [case.get("name", "").partition("[")[2].rstrip("]") for case in wrong]


def typescript() -> Wrong:
    """By file the names of the cases that the TypeScript client answers otherwise."""
    run = ["node", str(ROOT / "clients" / "js" / "test" / "report.mjs")]
    found: Wrong = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the files anew from the Python client")
    if parser.parse_args().write:
        shared.write()
        vectors.write()
        return 0
    sizes, ours = python_()
    theirs = typescript()
    rows: list[dict[str, Any]] = [
        {
            "file": kind,
            "cases": size,
            "python": size - len(ours[kind]),
            "typescript": size - len(theirs[kind]),
            "wrong": {"python": ours[kind], "typescript": theirs[kind]},
        }
        for kind, size in sorted(sizes.items())
    ]
    print(f"{'file':12} {'cases':>6} {'Python':>8} {'TypeScript':>11}")
    for row in rows:
        print(f"{row['file']:12} {row['cases']:6} {row['python']:8} {row['typescript']:11}")
        for client, names in row["wrong"].items():
            for name in names[:5]:
                print(f"    {client} answers otherwise: {name}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"files": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"written to {OUT.relative_to(ROOT)}")
    return int(any(names for row in rows for names in row["wrong"].values()))


if __name__ == "__main__":
    sys.exit(main())
