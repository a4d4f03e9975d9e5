"""`make deployments`: what everyday edits, sizes and limits of a deployment come to; writes .local/deployments.json.

The transitions are synthesized and played here; the strict rules and the contracts on the second emulator are tests,
of which pytest says how they ended. Some minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.deployments import scale
from tests.deployments.upgrade import upgraded
from tests.support.deployments import RULE
from tests.support.stack_player import Refused
from tests.support.synthesized import ROOT
from tests.support.transitions import VARIANTS, Assemblies, play

WRITTEN = ROOT / ".local" / "deployments.json"
STRICT = "tests/integration/embedded/test_embedded_limits.py"
Json = Any


def transitions(home: Path) -> list[Json]:
    """Each edit made, taken back and made again."""
    assemblies, told = Assemblies(home), []
    for variant in VARIANTS:
        why = ""
        try:
            play(assemblies, variant)
        except Refused as refused:
            why = str(refused)
        told.append({"name": variant.name, "held": not why})
        print(f"  {'held' if not why else 'REFUSED'}  {variant.name}{': ' if why else ''}{why}", flush=True)
    return told


def outcomes(home: Path, *arguments: str) -> list[tuple[ElementTree.Element, bool]]:
    """The test cases of a run of pytest, each with whether it passed (an expected failure did not)."""
    report = home / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-o",
        "junit_family=xunit1",
        f"--junit-xml={report}",
        *arguments,
    ]
    subprocess.run(command, cwd=ROOT, check=False)
    if not report.exists():
        sys.exit(f"pytest {' '.join(arguments)} wrote no report: run it by itself to see why")
    return [
        (case, len(case.findall("failure") + case.findall("error") + case.findall("skipped")) == 0)
        for case in ElementTree.parse(report).iter("testcase")
    ]


def strict(home: Path) -> list[Json]:
    """Rules that the embedded AWS keeps as AWS does."""
    return [
        {"rule": rule.get("value"), "refused": passed}
        for case, passed in outcomes(home, STRICT)
        for rule in case.iter("property")
        if rule.get("name") == RULE
    ]


def second_emulator(home: Path) -> dict[str, int]:
    """Contracts that moto has, and how many hold there; what it lacks fails as expected and is not counted."""
    has = [
        passed
        for case, passed in outcomes(home, "-m", "second_emulator", "tests/integration")
        if case.find("skipped") is None
    ]
    return {"contracts": len(has), "held": sum(has)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--since", metavar="REF", help="play an upgrade from what this commit deploys, too")
    since = parser.parse_args().since
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        told: dict[str, Json] = {
            "transitions": transitions(home),
            "scale": scale.scale(home / "scale"),
            "strict": strict(home),
            "second_emulator": second_emulator(home),
        }
        if since:
            told["transitions"].append(upgraded(home / "upgrade", since))
    WRITTEN.parent.mkdir(exist_ok=True)
    WRITTEN.write_text(json.dumps(told, indent=1) + "\n")
    failed = [one["name"] for one in told["transitions"] if not one["held"]]
    failed += [one["rule"] for one in told["strict"] if not one["refused"]]
    contracts = told["second_emulator"]
    print(f"{len(told['transitions'])} transitions, {len(told['strict'])} strict rules, {contracts}; {WRITTEN}")
    if failed or contracts["held"] != contracts["contracts"]:
        sys.exit(f"not as it should be: {', '.join(failed) or 'contracts on the second emulator'}")


if __name__ == "__main__":
    main()
