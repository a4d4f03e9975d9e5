"""What is done when a process ends: at the interpreter's exit, and at that of a child of multiprocessing.

Such a child leaves by `os._exit` and runs no `atexit`; it runs finalizers that were registered in it, after the fork. A
worker of Celery's pool runs neither; it sends a signal.
"""

from __future__ import annotations

import atexit
import os
import sys
from weakref import WeakMethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class AtEnd:
    """Calls a method at the end of each process in which it is armed, without keeping its object alive until then.

    `priority`: where there are several, the higher one is called first in a child of multiprocessing; at the
    interpreter's exit the one that was armed last.
    """

    def __init__(self, method: Callable[[], Any], *, priority: int) -> None:
        self._method = WeakMethod(method)
        self._priority = priority
        self._armed_in = 0
        self._reached_in = 0

    @property
    def reached(self) -> bool:
        """Whether this process's end came: what is left over now nobody calls for any more."""
        return self._reached_in == os.getpid()

    def arm(self) -> None:
        """Once in each process; a child has what its parent registered, but for multiprocessing's."""
        process = os.getpid()
        if self._armed_in == process:
            return
        if not self._armed_in:
            atexit.register(self)
        self._armed_in = process
        for name in ("multiprocessing.util", "billiard.util"):
            util = sys.modules.get(name)
            if util is not None:
                util.Finalize(None, self, exitpriority=self._priority)
        celery = sys.modules.get("celery.signals")
        if celery is not None:
            celery.worker_process_shutdown.connect(self, weak=False)

    def disarm(self) -> None:
        self._armed_in = 0
        atexit.unregister(self)

    def __call__(self, **told: Any) -> None:
        self._reached_in = os.getpid()
        method = self._method()
        if self._armed_in and method is not None:
            method()
