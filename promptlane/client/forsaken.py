"""Requests whose streams nobody holds any more, and nobody closed: a `break` without a `with` block.

The garbage collector finds them, in any thread and in the middle of anything, the sink's lock included. So it only
lists them; they are counted with the client's next request, when it is flushed or closed, and at exit.
"""

from __future__ import annotations

from collections import deque

from .endings import AtEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from promptlane.domain.canary.outcome import CallOutcome

    from .request import Request


class Forsaken:
    def __init__(self) -> None:
        self.after_fork()
        self._at_end = AtEnd(self.count, priority=20)

    def after_fork(self) -> None:
        """In a forked child: what the parent lost is the parent's to count."""
        self._found: deque[tuple[Request, CallOutcome | None]] = deque()

    def add(self, request: Request, outcome: CallOutcome | None) -> None:
        """`outcome`: of what came; None where nothing did."""
        self._found.append((request, outcome))

    def count(self) -> None:
        """Call it when no lock is held."""
        self._at_end.arm()  # after the sink's own, which is made first: so before it at exit
        while self._found:
            try:
                request, outcome = self._found.popleft()
            except IndexError:
                return  # another thread had the last
            request.count_left(outcome)
