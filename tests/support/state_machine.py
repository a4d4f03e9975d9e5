"""The release state machine run in memory: real JSONata, tasks in place of functions, a clock that waits move.

Counts the history events that Step Functions would write (its API's list of event types): entering and leaving a state,
a task's scheduling, start and end, and each try that failed; a task answered by people also has its submission.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonata

Json = Any
Task = Callable[[dict[str, Json]], dict[str, Json]]
MACHINE: Final = json.loads(
    (Path(__file__).resolve().parents[2] / "infra" / "workflow" / "release.asl.json").read_text()
)
STATES: Final[dict[str, Json]] = MACHINE["States"]

_ENTERED_AND_LEFT = 2
_ONE_TRY = 3  # TaskScheduled, TaskStarted, and TaskSucceeded or TaskFailed
_MAP = 3  # MapRunStarted, MapRunSucceeded, and a redrive at most


def events_of(state: Mapping[str, Json], failed_tries: int = 0) -> int:
    """History events of one passage through a state."""
    if state["Type"] in ("Task", "Map"):
        submitted = str(state.get("Resource", "")).endswith(".waitForTaskToken")
        run = _MAP if state["Type"] == "Map" else _ONE_TRY * (1 + failed_tries) + submitted
        return _ENTERED_AND_LEFT + run
    return 1 if state["Type"] in ("Succeed", "Fail") else _ENTERED_AND_LEFT


def following(state: Mapping[str, Json]) -> set[str]:
    """The states that may come next, errors that are caught included."""
    ways = [state, *state.get("Choices", []), *state.get("Catch", [])]
    return {way["Next"] for way in ways if "Next" in way} | ({state["Default"]} if "Default" in state else set())


def loops() -> Iterator[tuple[str, ...]]:
    """Every way round that passes no state twice, from its first state in the order of the file."""
    order = list(STATES)

    def walk(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name in following(STATES[path[-1]]):
            if name == path[0]:
                yield path
            elif name not in path and order.index(name) > order.index(path[0]):
                yield from walk((*path, name))

    for name in order:
        yield from walk((name,))


@cache
def _parsed(template: str) -> Any:
    return jsonata.Jsonata.jsonata(template[2:-2].strip())


@dataclass
class Execution:
    """One execution. `tasks` by state name; `failed_tries`: of every task; `now` in epoch seconds."""

    tasks: Mapping[str, Task]
    variables: dict[str, Json]
    now: float
    failed_tries: int = 0
    events: int = 2
    """ExecutionStarted, and the end."""
    passages: Counter[str] = field(default_factory=Counter)

    def run(self, start: str, *, until: float) -> str:
        """Run from a state on until a time; the name of the state that would come next, or of the last one."""
        name = start
        while self.now < until:
            state = STATES[name]
            self.passages[name] += 1
            self.events += events_of(state, self.failed_tries if state["Type"] == "Task" else 0)
            if state["Type"] in ("Succeed", "Fail"):
                return name
            name = self._through(name, state)
        return name

    def _through(self, name: str, state: Mapping[str, Json]) -> str:
        if state["Type"] == "Choice":
            met = (choice["Next"] for choice in state["Choices"] if self._value(choice["Condition"], {}))
            return str(next(met, state["Default"]))
        if state["Type"] == "Wait":
            seconds = self._value(state["Seconds"], {})
            assert isinstance(seconds, int), f"{name} waits {seconds!r} seconds"
            assert seconds > 0, f"{name} waits {seconds!r} seconds"
            self.now += seconds
        answered: dict[str, Json] = {}
        if state["Type"] == "Task":
            payload = self._value(state["Arguments"]["Payload"], {})
            answered = {"result": {"Payload": self.tasks[name](payload)}}
        self.variables |= self._value(state.get("Assign", {}), answered)
        return str(state["Next"])

    def _value(self, template: Json, states: dict[str, Json]) -> Json:
        if isinstance(template, dict):
            return {name: self._value(part, states) for name, part in template.items()}
        if not isinstance(template, str) or not template.startswith("{%"):
            return template
        expression = _parsed(template)
        for name, value in {**self.variables, "states": states}.items():
            expression.assign(name, value)
        return expression.evaluate(None)
