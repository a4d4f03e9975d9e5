"""`make mutants`: how many of a sample of single changes the fast tests notice.

Writes .local/mutants.json, and a table by folder and by module. `--seed` draws another sample; `--only` takes one file
or folder and `--each` how many changes a module gets.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.mutants.mutations import Mutation, mutations_of
from tests.mutants.running import Result, Runner
from tests.mutants.selection import Selection

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / ".local"
FOLDERS = (
    "promptlane/domain",
    "promptlane/lifecycle",
    "promptlane/client",
    "promptlane/engine",
    "promptlane/aws/http_events.py",  # the other adapters are tried against the embedded AWS, which takes longer
    "promptlane/aws/composition.py",
    "functions",
    "infra/constructs",
)
EQUIVALENT = Path(__file__).with_name("equivalent.json")
COUNT = 440


def modules(only: str | None) -> list[Path]:
    found = []
    for folder in FOLDERS:
        place = ROOT / folder
        found += [p for p in sorted(place.rglob("*.py") if place.is_dir() else [place]) if p.stat().st_size]
    if only:
        found = [p for p in found if p.relative_to(ROOT).as_posix().startswith(only)]
    return found


def drawn(paths: Iterable[Path], seed: int, each: int | None) -> list[Mutation]:
    """Evenly over modules, and within a module over its lines: the same for the same seed and code."""
    pools: dict[str, list[Mutation]] = {}
    for path in paths:
        name = path.relative_to(ROOT).as_posix()
        by_line: dict[int, list[Mutation]] = defaultdict(list)
        for mutation in mutations_of(path, ROOT):
            by_line[mutation.line].append(mutation)
        draw = random.Random(f"{seed}:{name}")
        lines = sorted(by_line)
        draw.shuffle(lines)
        pools[name] = [draw.choice(by_line[line]) for line in lines]
    taken: list[Mutation] = []
    order = sorted(pools)
    random.Random(seed).shuffle(order)
    for turn in range(each or 1_000_000):
        more = [pools[name][turn] for name in order if turn < len(pools[name])]
        if not more:
            break
        taken += more if each else more[: COUNT - len(taken)]
        if not each and len(taken) >= COUNT:
            break
    return sorted(taken, key=lambda mutation: (mutation.file, mutation.line))


def equivalent() -> dict[tuple[str, str, str, str], str]:
    """Changes that change nothing, each with its reason: reviewed like code."""
    return {(e["file"], e["place"], e["code"], e["mutation"]): e["reason"] for e in json.loads(EQUIVALENT.read_text())}


def table(results: list[Result], skipped: list[Mutation]) -> list[str]:
    rows: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        file = result.mutation.file
        for name in {file, next(f for f in FOLDERS if file.startswith(f))}:
            rows[name].append(result)
    lines = [f"{'':56}{'noticed':>9}{'of':>5}"]
    for name in sorted(rows):
        killed = sum(r.killed for r in rows[name])
        lines.append(f"{name:56}{killed:>5}{len(rows[name]):>9}{killed / len(rows[name]):>8.0%}")
    killed = sum(r.killed for r in results)
    lines.append(f"{'all':56}{killed:>5}{len(results):>9}{killed / max(1, len(results)):>8.1%}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--only", help="one file or folder, as promptlane/domain/canary/judge.py")
    parser.add_argument("--each", type=int, help="changes a module; without it some 440 in all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--covered", action="store_true", help="take the coverage of the last run")
    parser.add_argument("--add", nargs="*", default=[], metavar="TESTS", help="with --covered: measure these anew")
    parser.add_argument("--work", type=Path, default=OUT / "mutants", help="where copies and coverage lie")
    asked = parser.parse_args()
    started = time.monotonic()
    folder = asked.work / "coverage"
    if asked.covered and folder.exists():
        selection = Selection.measured(ROOT, folder, 1, asked.add) if asked.add else Selection.read(ROOT, folder)
    else:
        print("Running the fast tests once, to see which lines each covers ...", flush=True)
        selection = Selection.measured(ROOT, folder, asked.workers)
        print(f"  {len(selection.seconds)} tests, {time.monotonic() - started:.0f} s", flush=True)
    known = equivalent()
    sample = drawn(modules(asked.only), asked.seed, asked.each)
    skipped = [x for x in sample if x.key in known]
    results: list[Result] = []
    runner = Runner(ROOT, asked.work, selection, asked.workers)
    runner.check()
    for result in runner.run([x for x in sample if x.key not in known]):
        results.append(result)
        word = "noticed " if result.killed else "SURVIVED"
        mutation = result.mutation
        print(
            f"{len(results):4} {word} {result.seconds:5.1f} s  {mutation.file}:{mutation.line}  {mutation.text[:160]}"
            + (f"   [{result.by}]" if os.environ.get("VERBOSE") else ""),
            flush=True,
        )
    killed = sum(r.killed for r in results)
    score = killed / max(1, len(results))
    survivors = [
        {"file": m.file, "line": m.line, "place": m.place, "code": m.code, "mutation": m.text}
        for m in sorted((r.mutation for r in results if not r.killed), key=lambda m: (m.file, m.line))
    ]
    folders = {
        f: round(sum(r.killed for r in part) / len(part), 4)
        for f in FOLDERS
        if (part := [r for r in results if r.mutation.file.startswith(f)])
    }
    report = {
        "run": len(sample),
        "killed": killed,
        "equivalent": len(skipped),
        "score": round(score, 4),
        "seed": asked.seed,
        "folders": folders,
        "seconds": round(time.monotonic() - started),
        "survivors": survivors,
    }
    out = OUT / "mutants.json" if not asked.only else asked.work / "mutants.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join(table(results, skipped)))
    print(f"{len(skipped)} left out as equivalent; {time.monotonic() - started:.0f} s; {os.path.relpath(out, ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
