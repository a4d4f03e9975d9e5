"""How often a case runs, and how many of its runs must pass, as a suite says it: for all cases, or for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import promptfoo

Json = Any
MOST: Final = 20
_NO_MAJORITY: Final = "it lies above half of the runs, or a case passes that mostly fails, and at most at all of them"


@dataclass(frozen=True, slots=True)
class Repeating:
    """What the whole suite says; `problem` takes (path, message) of what is wrong."""

    problem: Callable[[str, str], None]
    repeats: int | None
    at_least: int | None

    @classmethod
    def of_suite(cls, data: Mapping[str, Json], problem: Callable[[str, str], None]) -> Repeating:
        path, value = promptfoo.repeats(data)
        return cls(problem, _whole(problem, path, value), _whole(problem, "at_least", data.get("at_least")))

    def of_test(
        self, test: Mapping[str, Json], default: Mapping[str, Json], path: str
    ) -> tuple[int | None, int | None]:
        """(repeats, at_least) of one test; None where neither it nor defaultTest, nor (for at_least) the suite says it.

        A test that has `at_least` has its repeats too: the number means nothing without them.
        """
        repeats = self._nearest("repeats", test, default, path)
        at_least = self._nearest("at_least", test, default, path) or self.at_least
        if at_least is None:
            return repeats, None
        runs = repeats or self.repeats
        if runs is None:
            self.problem(f"{path}.at_least", "needs `repeats` beside it, in the test, in defaultTest or in the suite")
        elif not runs / 2 < at_least <= runs:
            self.problem(f"{path}.at_least", f"is {at_least} of {runs} runs; {_NO_MAJORITY}")
        return runs, at_least

    def _nearest(self, key: str, test: Mapping[str, Json], default: Mapping[str, Json], path: str) -> int | None:
        where, given = (path, test) if key in test else ("defaultTest", default)
        return _whole(self.problem, f"{where}.{key}", given.get(key))


def _whole(problem: Callable[[str, str], None], path: str, value: Json) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST:
        problem(path, f"is {value!r}; it must be a whole number from 1 to {MOST}")
        return None
    return value
