"""The circuit breaker: one process's canary traffic goes to stable after consecutive canary errors.

It reacts within a handful of requests, before any alarm can have a full period. It forgets everything when another
release takes over the route. After `cooldown` seconds one unit is let through; its success closes the breaker.
"""

from __future__ import annotations

import threading
from time import monotonic


class Breaker:
    """Per prompt: closed until `threshold` canary errors in a row (0 switches the breaker off)."""

    def __init__(self, *, threshold: int = 5, cooldown: float = 30.0) -> None:
        self._threshold = threshold
        self._cooldown = cooldown
        self.after_fork()

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._prompts: dict[str, tuple[str, int, float]] = {}  # release id, errors in a row, open until (monotonic)

    def is_open(self, prompt: str, release_id: str) -> bool:
        """Whether this canary call should go to stable. False for the one probe after each cooldown."""
        with self._lock:
            release, errors, until = self._prompts.get(prompt, ("", 0, 0.0))
            if release != release_id or errors < self._threshold or not self._threshold:
                return False
            now = monotonic()
            if now < until:
                return True
            self._prompts[prompt] = (release, errors, now + self._cooldown)
            return False

    def record(self, prompt: str, release_id: str, *, error: bool) -> None:
        """Take note of a canary call that was made."""
        with self._lock:
            release, errors, _ = self._prompts.pop(prompt, (release_id, 0, 0.0))
            if error:
                errors = errors + 1 if release == release_id else 1
                self._prompts[prompt] = (release_id, errors, monotonic() + self._cooldown)
