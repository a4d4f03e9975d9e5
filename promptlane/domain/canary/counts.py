"""What the judge needs from outside: counts per window, and a store that keeps what it used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from promptlane.domain.errors import InvalidInput

from .blocks import Arm, Chunk, Pair

Windows = Mapping[str, Mapping[float, tuple[Arm, Arm]]]
"""By metric name, then by window start: (control, trial). A window without data is absent."""


MINUTE: Final = 60
SHORT_PERIODS: Final = (1, 5, 10, 20, 30)
SHORT_LIVED: Final = 3 * 3600.0
"""Seconds for which CloudWatch keeps counts by less than a minute; after that it has whole minutes."""


def check_period(period: float) -> int:
    """The period in seconds, if CloudWatch has it: 1, 5, 10, 20, 30, or whole minutes; else InvalidInput."""
    whole = int(period)
    if whole != period or whole <= 0 or (whole not in SHORT_PERIODS and whole % MINUTE):
        raise InvalidInput(f"a period of {period:g} s: CloudWatch has 1, 5, 10, 20 and 30 s, and whole minutes")
    return whole


class CountReader(Protocol):
    """The judge's metrics, counted by request start."""

    def windows(
        self, prompt: str, *, control: int, trial: int, metrics: Sequence[str], start: float, end: float, period: float
    ) -> Windows:
        """Counts of two versions over [start, end), one entry per `period` seconds, counted from the epoch.

        Raises Unavailable; InvalidInput for a period that CloudWatch does not have (`check_period`).
        """

    def history(
        self, prompt: str, *, version: int, metrics: Sequence[str], start: float, end: float
    ) -> dict[str, Pair]:
        """(requests, bad) of one version over [start, end) by metric; a metric without data is absent."""


class BlockStore(Protocol):
    """Chunks of blocks that looks used. Put once, never changed."""

    def load(self, release_id: str, phase: str) -> list[Chunk]:
        """All chunks of a phase. Raises Unavailable."""

    def put_once(self, release_id: str, chunk: Chunk) -> bool:
        """Store a chunk; False when one of its phase, metric and start is there already, which then stands."""
