"""The clocks of a process, moved from outside: a small shared file holds how far wall and monotonic clock are off.

`datetime` and the timeouts of `threading` stay with the real clocks: a wall clock that jumped would have AWS refuse
every signature, which is an outage and played as one.
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

real_time = time.time
real_monotonic = time.monotonic
_OFFSETS = struct.Struct("dd")


class Clocks:
    """How far a process's clocks are off, in seconds. Whoever opens the same file moves them."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_OFFSETS.pack(0.0, 0.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _OFFSETS.size)

    @property
    def offsets(self) -> tuple[float, float]:
        """(wall, monotonic)."""
        wall, monotonic = _OFFSETS.unpack(self._shared[:])
        return wall, monotonic

    def move(self, *, wall: float = 0.0, monotonic: float = 0.0) -> None:
        """Move them on by so much; both at once."""
        held = self.offsets
        self._shared[:] = _OFFSETS.pack(held[0] + wall, held[1] + monotonic)

    def set_wall(self, off: float) -> None:
        self._shared[:] = _OFFSETS.pack(off, self.offsets[1])

    def install(self) -> None:
        """Have this process's `time` say so. Before the client is imported, which takes the functions by name."""
        time.time = lambda: real_time() + self.offsets[0]
        time.monotonic = lambda: real_monotonic() + self.offsets[1]
