"""Counts and blocks in memory."""

from __future__ import annotations

from collections.abc import Sequence

from promptlane.domain.canary.blocks import Arm, Chunk, Pair
from promptlane.domain.canary.counts import Windows, check_period
from promptlane.domain.errors import Unavailable
from promptlane.domain.names import ASSIGNED, UNIT_GROUPS

_Key = tuple[str, int, str, int]


class FakeCounts:
    """`CountReader` in memory; `record` is what a client's metrics do. `down` makes every read fail."""

    def __init__(self) -> None:
        self._events: dict[_Key, list[tuple[float, int, int]]] = {}
        self.down = False
        self.reads = 0

    def record(
        self, prompt: str, version: int, metric: str, at: float, *, n: int = 1, bad: int = 0, group: int = 0
    ) -> None:
        """`n` requests of a group that started at `at`, `bad` of them bad."""
        self._events.setdefault((prompt, version, metric, group), []).append((at, n, bad))

    def windows(
        self, prompt: str, *, control: int, trial: int, metrics: Sequence[str], start: float, end: float, period: float
    ) -> Windows:
        self._check()
        check_period(period)
        found: dict[str, dict[float, tuple[Arm, Arm]]] = {}
        for metric in metrics:
            rows: dict[float, list[list[list[int]]]] = {}
            for arm, version in enumerate((control, trial)):
                for group in range(UNIT_GROUPS):
                    for at, n, bad in self._events.get((prompt, version, metric, group), ()):
                        if start <= at < end:
                            window = at // period * period
                            cells = rows.setdefault(window, [[[0, 0] for _ in range(UNIT_GROUPS)] for _ in range(2)])
                            cells[arm][group][0] += n
                            cells[arm][group][1] += 0 if metric == ASSIGNED else bad
            found[metric] = {at: (_arm(cells[0]), _arm(cells[1])) for at, cells in rows.items()}
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
                past[metric] = (sum(n for _, n, _ in rows), sum(bad for _, _, bad in rows))
        return past

    def _check(self) -> None:
        self.reads += 1
        if self.down:
            raise Unavailable("CloudWatch does not answer")


def _arm(cells: list[list[int]]) -> Arm:
    return Arm(sum(n for n, _ in cells), sum(bad for _, bad in cells), tuple((n, bad) for n, bad in cells))


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
