"""What a fork waits for: a child has none of its parent's other threads, and what one of them was amid stays amid.

Locks can be made anew in a child. A module that another thread was importing cannot (every import of it there waits for
that thread), nor can a line that stands in a stream's buffer be taken back (both processes would write it). So a fork
waits for these, each of which takes a moment, and for at most `PATIENCE` seconds.
"""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PATIENCE = 5.0
_mine = threading.local()
_lock = threading.RLock()
_armed: list[bool] = []


def unbroken() -> AbstractContextManager[bool]:
    """Hold it, by `with`, around what no fork may interrupt."""
    if not _armed:
        _arm()
    return _lock


def _arm() -> None:
    """Hooks before a fork are called from the last one back: ours waits before logging's takes the lock that whoever
    imports a module may need."""
    import logging

    if hasattr(os, "register_at_fork") and logging:
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
    _armed.append(True)


def _before() -> None:
    _mine.held = getattr(_mine, "held", 0) + _lock.acquire(timeout=PATIENCE)


def _in_parent() -> None:
    for _ in range(getattr(_mine, "held", 0)):  # none where a hook was registered amid the fork
        _lock.release()
    _mine.held = 0


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()
    _mine.held = 0
