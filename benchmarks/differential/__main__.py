"""Runs it: `python -m benchmarks.differential [--seed n]`."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.promptfoo import FOLDER, missing, node
from promptlane.engine.assertions import KINDS as OURS
from promptlane.engine.kinds import split_negation, unknown_type

from . import ours
from .cases import cases
from .kinds import kind_of, same
from .texts import TOOLS, Output, outputs

Json = Any
BENCH = Path(__file__).resolve().parents[2] / ".local" / "bench"
CASES, OUTPUTS = 560, 120
_SHOWN = 10


def theirs(made: Sequence[Json], answers: Sequence[Output]) -> tuple[list[str], list[str]]:
    """(promptfoo's row for each case, the names of its assertion types). RuntimeError with what its process said."""
    data = {"cases": made, "outputs": [asdict(answer) for answer in answers], "tools": TOOLS}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "in.json").write_text(json.dumps(data))
        script = Path(__file__).with_name("theirs.mjs")
        command = [node(), str(script), str(FOLDER), str(folder / "in.json"), str(folder / "out.json")]
        home = {"PROMPTFOO_CONFIG_DIR": str(folder / "home"), "HOME": scratch, "PATH": str(Path(node()).parent)}
        done = subprocess.run(command, env=home, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"promptfoo's process exited {done.returncode}:\n{done.stderr[-2_000:]}")
        found = json.loads((folder / "out.json").read_text())
    return found["rows"], found["types"]


def unheard_of(types: Iterable[str]) -> list[str]:
    """Assertion types of promptfoo's that our loader knows neither as its own nor as theirs."""
    return [
        name for name in types if unknown_type(name, ()).startswith("unknown") and split_negation(name)[0] not in OURS
    ]


def differences(
    made: Sequence[Json], answers: Sequence[Output], mine: Sequence[str], other: Sequence[str]
) -> Iterator[tuple[Json, Output, str, str]]:
    """(case, answer, outcome of both, kind) of each pair on which both do not say the same."""
    for case, row, their_row in zip(made, mine, other, strict=True):
        for answer, we, they in zip(answers, row, their_row, strict=True):
            if not same(we, they):
                yield case, answer, we + they, kind_of(case, answer, we, they)


def measure(seed: int) -> tuple[dict[str, Json], list[str]]:
    """(what is written, a line for each difference of no kind and each error)."""
    made, answers = cases(Random(f"cases {seed}"), CASES), outputs(Random(f"outputs {seed}"), OUTPUTS)
    other, types = theirs(made, answers)
    mine, raised = ours.rows(made, answers)
    documented: Counter[str] = Counter()
    passing, lines = 0, [*raised, *(f"{name} is unknown to our loader" for name in unheard_of(types))]
    for case, answer, outcome, kind in differences(made, answers, mine, other):
        passing += outcome == "pf"
        documented[kind] += 1
        if not kind:
            lines.append(f"{outcome}: {json.dumps(case, ensure_ascii=False)[:400]} on {answer.text[:200]!r}")
    pairs = len(made) * len(answers)
    result = {
        "version": json.loads((FOLDER / "package.json").read_text())["version"],
        "pairs": pairs,
        "same": pairs - documented.total(),
        "we_pass_they_fail": passing,
        "errors": len(raised),
        "documented": {kind: count for kind, count in sorted(documented.items()) if kind},
        "undocumented": documented[""],
        "unknown_types": unheard_of(types),
        "seed": seed,
        "assertions": len({json.dumps(case["assert"], sort_keys=True) for case in made}),
        "outputs": len(answers),
    }
    return result, lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="draws another sample")
    options = parser.parse_args()
    if shutil.which("node") is None or (why := missing()):
        print(why if shutil.which("node") else "promptfoo needs Node.js; install it and try again", file=sys.stderr)
        return 1
    result, lines = measure(options.seed)
    BENCH.mkdir(parents=True, exist_ok=True)
    path = BENCH / "promptfoo.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    for line in lines[:_SHOWN]:
        print(line)
    differ = result["pairs"] - result["same"]
    print(
        f"{result['pairs']:,} pairs of {result['assertions']} assertions x {result['outputs']} answers: "
        f"{differ:,} differ, {result['undocumented']} of no documented kind; {result['errors']} errors of ours\n"
        f"wrote {path.relative_to(BENCH.parents[1])}"
    )
    return 1 if result["undocumented"] or result["errors"] or result["unknown_types"] else 0


if __name__ == "__main__":
    sys.exit(main())
