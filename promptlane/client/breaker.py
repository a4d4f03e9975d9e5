"""The circuit breaker: one process's canary traffic goes to stable after consecutive canary errors.

It reacts within a handful of requests, before any alarm can have a full period. It forgets everything when another
release takes over the route. After `cooldown` seconds one unit is let through; its success closes the breaker.

Errors in a row are counted in each half of the unit groups: a unit is in one, so that none opens the breaker alone.
Else one that always fails would have everybody's canary calls counted as shielded, which the fuse rolls back for.
"""

from __future__ import annotations

import threading
from time import monotonic

_HALVES = ("0", "1")


class Breaker:
    """Per prompt: closed until `threshold` canary errors in a row, half of them in each half (0: always closed)."""

    def __init__(self, *, threshold: int = 5, cooldown: float = 30.0) -> None:
        self._each = -(-threshold // 2)
        self._cooldown = cooldown
        self.after_fork()

    def after_fork(self) -> None:
        self._lock = threading.RLock()
        # release id, errors in a row by half, open until (monotonic)
        self._prompts: dict[str, tuple[str, dict[str, int], float]] = {}

    def is_open(self, prompt: str, release_id: str) -> bool:
        """Whether this canary call should go to stable. False for the one probe after each cooldown."""
        with self._lock:
            release, errors, until = self._prompts.get(prompt, ("", {}, 0.0))
            if release != release_id or not self._each or any(errors.get(h, 0) < self._each for h in _HALVES):
                return False
            now = monotonic()
            if now < until:
                return True
            self._prompts[prompt] = (release, errors, now + self._cooldown)
            return False

    def record(self, prompt: str, release_id: str, half: str, *, error: bool) -> None:
        """Take note of a canary call that was made for a unit of this half."""
        with self._lock:
            release, errors, until = self._prompts.get(prompt, (release_id, {}, 0.0))
            if release != release_id:
                errors = {}
            if error:
                errors = {**errors, half: errors.get(half, 0) + 1}
                until = monotonic() + self._cooldown
            else:
                errors = {other: count for other, count in errors.items() if other != half}
            if errors:
                self._prompts[prompt] = (release_id, errors, until)
            else:
                self._prompts.pop(prompt, None)
