"""What a fork waits for: a child has none of its parent's other threads, and what one of them was amid stays amid.

Locks can be made anew in a child. A module that another thread was importing cannot (every import of it there waits for
that thread), nor can a line that stands in a stream's buffer be taken back (both processes would write it). So a fork
waits for these, each of which takes a moment, and for at most `PATIENCE` seconds.
"""

from __future__ import annotations

import os
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PATIENCE = 5.0
_mine = threading.local()
_lock = threading.RLock()


def unbroken() -> AbstractContextManager[bool]:
    """Hold it, by `with`, around what no fork may interrupt."""
    return _lock


def _before() -> None:
    _mine.held = _lock.acquire(timeout=PATIENCE)
    for name, module in list(sys.modules.items()):
        if name.startswith("promptlane.") and getattr(getattr(module, "__spec__", None), "_initializing", False):
            __import__(name)  # waits for the thread that is importing it


def _in_parent() -> None:
    if _mine.held:
        _lock.release()


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
