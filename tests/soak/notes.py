"""What the processes note of their requests, line by line, in a file for each process.

A line is one JSON object; `k` is its kind: `begin` and `end` of a request, `feedback`, `stale` (the client says that it
serves an old route), `memory`, `forked`, `reaped`. `at` is epoch seconds by the machine's clock, and `off` how far the
process's own wall clock was from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.soak.clocks import Clocks, real_time

Line = dict[str, Any]


class Notes:
    """A process's own notes; a forked child opens a file of its own."""

    def __init__(self, folder: Path, slot: int, clocks: Clocks) -> None:
        self.folder = folder
        self.slot = slot
        self._clocks = clocks
        self._last = 0
        self._open()
        os.register_at_fork(after_in_child=self._open)

    def _open(self) -> None:
        self.pid = os.getpid()
        path = self.folder / f"{self.slot}-{self.pid}.notes"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, kind: str, **told: Any) -> None:
        """One line, in one write: whoever reads later sees it whole, whatever becomes of the process."""
        line = {"k": kind, "at": real_time(), "off": round(self._clocks.offsets[0], 1), "pid": self.pid, **told}
        os.write(self._file, json.dumps(line).encode() + b"\n")


def read(folder: Path) -> Iterator[Line]:
    for path in sorted(folder.glob("*.notes")):
        for row in path.read_text().splitlines():
            yield json.loads(row)
