"""One request: which decision answers, and what it is counted as. Counted once, by whoever comes first."""

from __future__ import annotations

import os
from contextvars import ContextVar
from time import monotonic, time

from promptlane.domain.canary.outcome import of_answer, of_error
from promptlane.domain.split import group, half

from . import metrics, tracing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from promptlane.domain.canary.outcome import CallOutcome

    from .decision import Decision
    from .forsaken import Forsaken
    from .metrics import Sink


class Listener:
    """Who waits for an answer from another thread. `gone`: nobody does any more."""

    __slots__ = ("gone",)

    def __init__(self) -> None:
        self.gone = False


LISTENER: ContextVar[Listener | None] = ContextVar("promptlane_listener", default=None)
"""Of the requests that this context makes; None where they are made by who waits."""


class Request:
    """One request under way: which decision answers, and what was counted. It is counted once, whoever comes first.

    `group` is empty unless the split is watched; `half` is that of the unit's group, always. `forsaken` takes what
    nobody holds any more, to be counted when it is safe to.
    """

    __slots__ = (
        "_forsaken",
        "_held",
        "_listener",
        "_pid",
        "_sink",
        "_uncounted",
        "answered_by",
        "decided",
        "group",
        "half",
        "outcome",
        "slow_after_ms",
        "span",
        "started",
        "started_at",
        "unit",
    )

    def __init__(self, decision: Decision, unit: str, sink: Sink, *, slow_after: float, forsaken: Forsaken) -> None:
        self.decided = decision
        self.answered_by = decision
        self.unit = unit
        found = group(decision.salt, unit)
        self.group = "" if decision.phase == "steady" else found
        self.half = half(found)
        self._sink = sink
        self.slow_after_ms = slow_after * 1000
        self.outcome: CallOutcome | None = None
        self.span = tracing.NONE
        self._uncounted = [None]  # popping it is atomic
        self._held: CallOutcome | None = None
        self._listener = LISTENER.get()
        self._forsaken = forsaken
        self._pid = os.getpid()
        self.started_at = time()
        self.started = monotonic()

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._listener is not None and self._listener.gone

    @property
    def compared(self) -> bool:
        """Whether the version that the split decided for is being compared with another."""
        return self.decided.phase != "steady"

    @property
    def counted(self) -> bool:
        return not self._uncounted

    def elapsed_ms(self) -> float:
        return (monotonic() - self.started) * 1000

    def pause(self, seconds: float) -> None:
        """Time that its caller took is not the request's."""
        self.started += seconds

    def count_assigned(self) -> None:
        self._sink.emit(metrics.assigned(self.decided, self.group, started_at=self.started_at))

    def count_shielded(self) -> None:
        if self._first():
            stamps = {"started_at": self.started_at, "now": time()}
            for document in metrics.shielded(self.decided, self.group, self.half, **stamps):
                self._sink.emit(document)

    def count(self, outcome: CallOutcome) -> bool:
        """Count the outcome on the version decided for, once; what comes later belongs to the fallback.

        Whether this was it.
        """
        if not self._first():
            return False
        self.outcome = outcome
        stamps = {"started_at": self.started_at, "now": time()}
        for document in metrics.finished(self.decided, self.group, self.half, outcome, **stamps):
            self._sink.emit(document)
        return True

    def count_invalid(self) -> None:
        """The request counts for no version: Bedrock does not accept it."""
        if self._first():
            self._sink.emit(metrics.invalid(self.decided, now=time()))

    def count_cancelled(self, *, waited: bool = True) -> None:
        """Its caller left before anything came, which says nothing of a version: but that it was slow by then.

        `waited`: whether what passed since the start was spent in waiting for the model.
        """
        self._held = None
        elapsed = self.elapsed_ms()
        if waited and elapsed > self.slow_after_ms:
            self.count(of_answer(text="", stop_reason=None, acts=True, **self._took(elapsed)))
        elif self._first():
            self._sink.emit(metrics.cancelled(self.decided, now=time()))

    def hold_error(self, error: BaseException) -> None:
        """Whose error it is, the other version tells: `release` says it."""
        if self._uncounted:
            self._held = self.failed(error)

    def release(self) -> CallOutcome | None:
        """The error that was held, which is held no more."""
        held, self._held = self._held, None
        return held

    def failed(self, error: BaseException) -> CallOutcome:
        return of_error(error, **self._took(self.elapsed_ms()))

    def forsake(self, outcome: CallOutcome | None) -> None:
        """Leave it to be counted later, as answered or as cancelled: the garbage collector may run in any lock."""
        self._forsaken.add(self, outcome)

    def count_left(self, outcome: CallOutcome | None) -> None:
        """Its reader left it, after so much of an answer; None: before anything came."""
        if outcome is None:
            self.count_cancelled()
        else:
            self.count(outcome)
        self.over(outcome, cancelled=True)

    def over(
        self, outcome: CallOutcome | None = None, *, error: BaseException | None = None, cancelled: bool = False
    ) -> None:
        """End its span with what came of it."""
        self.span.end(self.answered_by, outcome, error=error, cancelled=cancelled)

    @property
    def of_parent(self) -> bool:
        """Whether it began before this process was forked: who leaves it here leaves it to the parent, to read on."""
        return self._pid != os.getpid()

    def _first(self) -> bool:
        """Whether nothing was counted yet."""
        try:
            self._uncounted.pop()
        except IndexError:
            return False
        return True

    def _took(self, elapsed_ms: float) -> dict[str, Any]:
        return {"latency_ms": elapsed_ms, "slow_after_ms": self.slow_after_ms}
