"""`make soak` in small: each kind of disturbance once; and its judge notices each kind of fault."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptlane.domain.names import Phase
from promptlane.domain.release.route import Route
from tests.soak.bedrock import Called
from tests.soak.expected import Cell
from tests.soak.history import History
from tests.soak.judge import Evidence, judge, trail
from tests.soak.script import FINE
from tests.soak.writer import Written, ref

AT = 1_800_000_000.0
NONE = {"unanswered": 0, "wrong_version": 0, "miscounted": 0, "receipts": 0, "children": 0}
Line = dict[str, Any]


def test_a_process_that_is_disturbed_in_every_way_answers_all_and_counts_each_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak.smoke", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert {name: found[name] for name in NONE} == NONE
    assert found["requests"] > 250
    assert found["processes"] == 2
    assert set(found["saw"]) == {"answered", "cancelled", "failed"}
    assert {"counted", "invalid"} <= set(found["feedback"])


def route(revision: int, version: int, canary: int | None = None) -> Route:
    return Route(
        prompt="p",
        prompt_id="PPPPPPPP00",
        stable=ref("PPPPPPPP00", version),
        canary=ref("PPPPPPPP00", canary) if canary else None,
        weight=10_000 if canary else 0,
        salt="s",
        revision=revision,
        phase=Phase.CANARY if canary else Phase.STEADY,
    )


WRITTEN = [
    Written("p", AT - 100, AT - 100, route(1, 1)),
    Written("p", AT - 50, AT - 50, route(2, 1, 2)),
    Written("p", AT - 20, AT - 20, route(3, 2)),
]


def line(kind: str, at: float = AT, **told: Any) -> Line:
    return {"k": kind, "at": at, "off": 0.0, "pid": 7, **told}


def call(version: int = 2, track: str = "stable", said: str = "fine") -> Called:
    return Called(AT + 0.1, "0.7.1", "PPPPPPPP00", version, track, "converse", said)


class Case:
    """One request by the newest route, answered and counted as it should be, until a test changes it."""

    def __init__(self) -> None:
        self.begin = line("begin", id="0.7.1", prompt="p", unit="u", script="fine", way="whole")
        self.end = line("end", AT + 0.5, id="0.7.1", saw="answered", version=2, shielded=False, revision=3, text="")
        self.more: list[Line] = []
        self.calls = [call()]
        self.counted: Counter[Cell] = Counter(
            {
                Cell("p", "2", "Assigned", "n"): 1,
                Cell("p", "2", "Error", "n"): 1,
                Cell("p", "stable", "Assigned", "n"): 1,
                Cell("p", "stable", "Error", "n"): 1,
            }
        )
        self.outages: list[tuple[float, float]] = []
        self.disturbed: list[tuple[int, float, float]] = []
        self.written = list(WRITTEN)

    def failed(self, *calls: Called, counted: bool = True, **told: Any) -> None:
        seen = {"saw": "failed", "typed": True, "broke": False, "error": "ModelCallFailed: x", "code": "X", **told}
        self.end = line("end", AT + 0.5, id="0.7.1", **seen)
        self.calls = list(calls)
        for of in ("2", "stable") if counted else ():
            self.counted[Cell("p", of, "Error", "sum")] = 1

    def evidence(self) -> Evidence:
        history = History(self.written, bound=5.0, outages=self.outages)
        lines = [self.begin, self.end, *self.more]
        return Evidence(lines, self.calls, history, self.counted, disturbed=self.disturbed)

    def problems(self) -> dict[str, int]:
        return dict(Counter(problem.kind for problem in judge(self.evidence()).problems))


@pytest.fixture
def case() -> Case:
    return Case()


def never_ended(case: Case) -> None:
    case.end = line("stale", prompt="p", age=1.0)
    case.counted.clear()


def an_error_of_another_kind(case: Case) -> None:
    case.failed(call(said="ModelErrorException"), typed=False)


def two_answers(case: Case) -> None:
    case.end["text"] = FINE + FINE


def an_answer_that_was_lost(case: Case) -> None:
    case.failed(call())


def a_canary_that_stable_did_not_stand_in_for(case: Case) -> None:
    case.written = WRITTEN[:2]
    case.failed(call(track="canary", said="ModelErrorException"))
    case.counted = Counter({replaced(cell, "stable", "canary"): n for cell, n in case.counted.items()})


@pytest.mark.parametrize(
    "fault",
    [
        never_ended,
        an_error_of_another_kind,
        two_answers,
        an_answer_that_was_lost,
        a_canary_that_stable_did_not_stand_in_for,
    ],
)
def test_what_is_no_answer_is_seen(case: Case, fault: Callable[[Case], None]) -> None:
    assert case.problems() == {}
    fault(case)
    assert case.problems() == {"unanswered": 1}


def test_a_failure_that_is_the_models_or_a_frozen_processs_is_none_of_the_clients(case: Case) -> None:
    case.failed(call(said="ModelErrorException"))
    assert case.problems() == {}
    case.failed(call())
    case.disturbed = [(0, AT - 1, AT + 2)]
    assert case.problems() == {}


def test_a_version_that_the_route_named_longer_ago_than_the_bound_is_seen_unless_the_table_was_away(case: Case) -> None:
    case.calls = [call(version=1)]
    case.counted = Counter({replaced(cell, "2", "1"): n for cell, n in case.counted.items()})
    assert case.problems() == {"wrong_version": 1}
    assert "route revision 3 names" in "\n".join(trail(case.evidence(), "0.7.1"))
    case.outages = [(AT - 24, AT - 4)]
    assert case.problems() == {}
    case.outages = []
    case.written[-1] = Written("p", AT - 4, AT - 4, route(3, 2))
    assert case.problems() == {}


def replaced(cell: Cell, of: str, by: str) -> Cell:
    return cell._replace(of=by) if cell.of == of else cell


@pytest.mark.parametrize("cell", [Cell("p", "2", "Assigned", "n"), Cell("p", "stable", "Error", "n")])
@pytest.mark.parametrize("off", [-1, 1])
def test_what_was_counted_twice_or_never_is_seen(case: Case, cell: Cell, off: int) -> None:
    case.counted[cell] += off
    assert case.problems() == {"miscounted": 1}


@pytest.mark.parametrize("metric", ["Error", "Shielded", "Cancelled", "InvalidRequest"])
def test_what_was_counted_as_something_else_is_seen(case: Case, metric: str) -> None:
    case.counted[Cell("p", "stable", metric, "sum")] += 1
    assert case.problems() == {"miscounted": 1}


def test_what_cloudwatch_refuses_for_its_stamp_is_not_missed(case: Case) -> None:
    case.begin["off"] = case.end["off"] = -30 * 86_400.0
    assert case.problems() == {"miscounted": 5}
    case.counted.clear()
    assert case.problems() == {}


def test_a_cancelled_request_is_counted_as_one_thing_whatever_it_came_to(case: Case) -> None:
    case.end = line("end", AT + 0.5, id="0.7.1", saw="cancelled", pieces=-1)
    assert case.problems() == {}
    for of in ("2", "stable"):
        case.counted[Cell("p", of, "Cancelled", "sum")] = 1
    assert case.problems() == {"miscounted": 1}
    for of in ("2", "stable"):
        del case.counted[Cell("p", of, "Error", "n")]
    del case.counted[Cell("p", "stable", "Assigned", "n")]
    assert case.problems() == {}


def test_refused_and_forged_receipts_and_children_that_hang_are_seen(case: Case) -> None:
    told: Line = {"of": "0.7.1", "prompt": "p", "version": 2, "track": "stable", "negative": False}
    case.more = [
        line("feedback", **told, saw="invalid: it came from elsewhere", forged=True),
        line("feedback", **told, saw="unavailable", forged=False),
        line("reaped", child=8, exit="exit", status=0, hung=False),
    ]
    assert case.problems() == {}
    case.more = [
        line("feedback", **told, saw="known", forged=True),
        line("feedback", **told, saw="invalid: a key that is not ours", forged=False),
        line("reaped", child=8, exit="exit", status=9, hung=True),
    ]
    assert case.problems() == {"receipts": 2, "children": 1}


def test_memory_that_a_process_keeps_is_the_difference_of_two_quarters(case: Case) -> None:
    held = [50e6] * 4 + [60e6] * 4 + [61e6] * 4 + [67e6] * 4
    case.more = [line("memory", bytes=b, threads=5, files=9) for b in held]
    assert judge(case.evidence()).leaked_mb == 7.0


def test_a_write_is_in_force_until_the_next_was_done() -> None:
    slow = replace(route(3, 2), revision=4)
    history = History([*WRITTEN, Written("p", AT - 3, AT - 1, slow)], bound=1.0)
    assert {name[1] for name in history.named("p", AT - 1.5, AT - 1.5)} == {2}
    assert history.named("q", AT, AT) == frozenset()
