"""Counts and blocks in memory."""

from __future__ import annotations

from collections.abc import Sequence

from promptlane.domain.canary.blocks import Arm, Chunk, Pair
from promptlane.domain.canary.counts import Windows, check_period
from promptlane.domain.errors import Unavailable
from promptlane.domain.metrics import is_mean
from promptlane.domain.names import ASSIGNED, UNIT_GROUPS

_Key = tuple[str, int, str, int]
_Cell = tuple[int, float, float]


class FakeCounts:
    """`CountReader` in memory; `record` is what a client's metrics do. `down` makes every read fail."""

    def __init__(self) -> None:
        self._events: dict[_Key, list[tuple[float, int, float, float]]] = {}
        self.down = False
        self.reads = 0
        self.stale: tuple[int, float] = (0, 0.0)

    def record(
        self,
        prompt: str,
        version: int,
        metric: str,
        at: float,
        *,
        n: int = 1,
        bad: float = 0,
        squares: float = 0.0,
        group: int = 0,
    ) -> None:
        """`n` requests of a group that started at `at`, `bad` of them bad. Of a mean `bad` is the sum of the values,
        `squares` that of their squares."""
        self._events.setdefault((prompt, version, metric, group), []).append((at, n, bad, squares))

    def windows(
        self, prompt: str, *, control: int, trial: int, metrics: Sequence[str], start: float, end: float, period: float
    ) -> Windows:
        self._check()
        check_period(period)
        found: dict[str, dict[float, tuple[Arm, Arm]]] = {}
        for metric in metrics:
            rows: dict[float, list[list[_Cell]]] = {}
            for arm, version in enumerate((control, trial)):
                for group in range(UNIT_GROUPS):
                    for at, n, bad, squares in self._events.get((prompt, version, metric, group), ()):
                        if start <= at < end:
                            window = at // period * period
                            cells = rows.setdefault(window, [[(0, 0, 0.0)] * UNIT_GROUPS for _ in range(2)])
                            was = cells[arm][group]
                            more = 0 if metric == ASSIGNED else bad
                            cells[arm][group] = was[0] + n, was[1] + more, was[2] + squares
            mean = is_mean(metric)
            found[metric] = {at: (_arm(cells[0], mean), _arm(cells[1], mean)) for at, cells in rows.items()}
        return found

    def history(
        self, prompt: str, *, version: int, metrics: Sequence[str], start: float, end: float
    ) -> dict[str, Pair]:
        self._check()
        past: dict[str, Pair] = {}
        for metric in metrics:
            rows = [r for g in range(UNIT_GROUPS) for r in self._events.get((prompt, version, metric, g), ())]
            rows = [r for r in rows if start <= r[0] < end]
            if rows:
                past[metric] = (sum(n for _, n, _, _ in rows), sum(bad for _, _, bad, _ in rows))
        return past

    def stale_refreshes(self, prompt: str, *, start: float, end: float) -> tuple[int, float]:
        self._check()
        return self.stale

    def _check(self) -> None:
        self.reads += 1
        if self.down:
            raise Unavailable("CloudWatch does not answer")


def _arm(cells: list[_Cell], mean: bool) -> Arm:
    n, bad, square = (sum(column) for column in zip(*cells, strict=True))
    squares = (square, *(s for _, _, s in cells)) if mean and n else ()
    return Arm(int(n), bad, tuple((m, b) for m, b, _ in cells), squares)


class InMemoryBlocks:
    """`BlockStore` in memory."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str, int, str], dict[str, object]] = {}

    def load(self, release_id: str, phase: str) -> list[Chunk]:
        return [Chunk.from_item(item) for key, item in sorted(self._items.items()) if key[:2] == (release_id, phase)]

    def put_once(self, release_id: str, chunk: Chunk) -> bool:
        key = (release_id, chunk.phase, round(chunk.start), chunk.metric)
        if key in self._items:
            return False
        self._items[key] = chunk.to_item()
        return True
