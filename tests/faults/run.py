"""`make faults`: every AWS call of whole releases, with every fault. Writes `.local/faults.json`."""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Final

from tests.faults.injector import EVENT, OF_CALLS, OF_EVENTS, Call, Kind
from tests.faults.scenarios import SCENARIOS, played
from tests.faults.verdict import Seen, seen, wrong

Json = Any
WRITTEN: Final = Path(".local/faults.json")
REPEATED: Final = 2
"""How many of the calls that a function makes again and again, in one scenario, are tried: the first ones."""
ALIKE: Final = ("admit", "plan_tests", "run_cases", "grade", "request_review")
"""What comes before the scenarios part ways: tried in the first of them alone."""
MOST: Final = 1_200
"""Cases in half an hour on two cores."""


@dataclass(frozen=True)
class Case:
    scenario: str
    at: int
    call: Call
    kind: Kind


_undisturbed: dict[str, Seen] = {}


def cases(name: str, calls: list[Call], *, first: bool) -> Iterator[Case]:
    """Each fault at each recorded call; of those that repeat themselves, at the first `REPEATED`."""
    met: dict[Call, int] = {}
    for at, call in enumerate(calls):
        met[call] = met.get(call, 0) + 1
        if met[call] <= REPEATED and (first or call.function not in ALIKE):
            for kind in OF_EVENTS if call.service == EVENT else OF_CALLS:
                yield Case(name, at, call, kind)


def drawn(found: list[Case], most: int, seed: int) -> list[Case]:
    """At most so many, the same for a seed: by turns of every operation of every function, rare ones first."""
    if not most or len(found) <= most:
        return found
    by_call: dict[tuple[str, Call], list[Case]] = {}
    for case in random.Random(seed).sample(found, len(found)):
        by_call.setdefault((case.scenario, case.call), []).append(case)
    turns = (case for turn in zip_longest(*by_call.values()) for case in turn if case is not None)
    return list(islice(turns, most))


def recorded(name: str) -> tuple[list[Call], Seen, list[str]]:
    """The undisturbed play: its calls, what it came to, and what is wrong with that already."""
    with played(SCENARIOS[name]) as play:
        came_to = seen(play)
        return play.injector.calls, came_to, list(wrong(play, SCENARIOS[name], came_to))


def _quiet(undisturbed: dict[str, Seen]) -> None:
    _undisturbed.update(undisturbed)
    logging.disable(logging.CRITICAL)
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - functions print their metrics


def tried(case: Case) -> tuple[Case, list[str]]:
    try:
        with played(SCENARIOS[case.scenario], at=case.at, kind=case.kind) as play:
            return case, list(wrong(play, SCENARIOS[case.scenario], _undisturbed[case.scenario]))
    except Exception as error:  # noqa: BLE001 - a play that cannot go on is a finding
        return case, [f"the play broke: {error!r}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="scenarios whose name holds this", default="")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--most", type=int, default=MOST, help="cases, drawn evenly; 0 for all (more than an hour)")
    parser.add_argument("--seed", type=int, default=1, help="which of them")
    chosen = parser.parse_args()
    begun = time.monotonic()
    logging.disable(logging.CRITICAL)
    undisturbed: dict[str, Seen] = {}
    todo: list[Case] = []
    broken: list[dict[str, Json]] = []
    for name in SCENARIOS:
        if chosen.only in name:
            calls, undisturbed[name], problems = recorded(name)
            todo += cases(name, calls, first=not todo)
            broken += [{"scenario": name, "call": "", "fault": "none", "what": what} for what in problems]
            print(f"{name}: {len(calls)} calls and events", flush=True)
    todo = drawn(todo, chosen.most, chosen.seed)
    with multiprocessing.get_context("spawn").Pool(chosen.jobs, _quiet, (undisturbed,)) as pool:
        for done, (case, problems) in enumerate(pool.imap_unordered(tried, todo, chunksize=4), 1):
            for what in problems:
                one = {"scenario": case.scenario, "call": str(case.call), "fault": str(case.kind), "what": what}
                broken.append(one)
                print(f"  WRONG {one}", flush=True)
            if done % 50 == 0:
                print(f"{done} of {len(todo)}, {len(broken)} wrong", flush=True)
    WRITTEN.parent.mkdir(exist_ok=True)
    seconds = round(time.monotonic() - begun)
    WRITTEN.write_text(json.dumps({"cases": len(todo), "wrong": broken, "seconds": seconds}, indent=1))
    print(f"{len(todo)} cases, {len(broken)} wrong, {seconds} s; {WRITTEN}")
    return bool(broken)
