"""What the events of a ConverseStream tell of its answer, one after the other."""

from __future__ import annotations

from promptlane.domain.canary.outcome import NO_TEXT, CallOutcome, of_answer, of_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class StreamError(Exception):
    """An error event inside a stream, shaped like the SDK's ClientError."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message or code)
        self.response = {"Error": {"Code": code, "Message": message}}


class Progress:
    """The answer so far. It is `complete` once its stop reason came: what follows, its usage, may be lost.

    `first_ms`: milliseconds to the first text, image or use of a tool; reasoning is none. `stop_reason` is None until
    it came.
    """

    def __init__(self) -> None:
        self.first_ms: float | None = None
        self.stop_reason: str | None = None
        self.usage: Mapping[str, Any] = {}
        self._parts: list[str] = []
        self._acts = False  # asks for the use of a tool, or shows what is no text
        self._stopped_ms: float | None = None

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def complete(self) -> bool:
        return self.stop_reason is not None

    @property
    def answered(self) -> bool:
        """Whether some of the answer came."""
        return self.first_ms is not None or self.complete

    def note(self, event: Mapping[str, Any], elapsed_ms: float) -> None:
        """Take note of an event that came so long after the request began; StreamError when it is an error's."""
        for name in event:
            if name.endswith("Exception"):
                raise StreamError(name[0].upper() + name[1:], str((event[name] or {}).get("message", "")))
        text = text_in(event)
        block = event.get("contentBlockStart") or event.get("contentBlockDelta") or {}
        acts = any(kind in (block.get("start") or block.get("delta") or {}) for kind in NO_TEXT)
        if (text or acts) and self.first_ms is None:
            self.first_ms = elapsed_ms
        if text:
            self._parts.append(text)
        self._acts = self._acts or acts
        if "messageStop" in event:
            self.stop_reason = str((event["messageStop"] or {}).get("stopReason", ""))
            self._stopped_ms = elapsed_ms
        if "metadata" in event:
            self.usage = (event["metadata"] or {}).get("usage") or {}

    def outcome(self, elapsed_ms: float, slow_after_ms: float) -> CallOutcome:
        """Of an answer that is complete, or that its reader left: what would have come then is not known."""
        return of_answer(
            text=self.text,
            stop_reason=self.stop_reason,
            acts=self._acts or not self.complete,
            usage=self.usage,
            latency_ms=elapsed_ms if self._stopped_ms is None else self._stopped_ms,
            slow_after_ms=slow_after_ms,
            time_to_first_token_ms=self.first_ms,
        )

    def broken(self, error: BaseException, elapsed_ms: float, slow_after_ms: float) -> CallOutcome:
        """Of an answer that broke off: its error, but for one that was complete before."""
        if self.complete:
            return self.outcome(elapsed_ms, slow_after_ms)
        took = {"latency_ms": elapsed_ms, "slow_after_ms": slow_after_ms}
        return of_error(error, **took, time_to_first_token_ms=self.first_ms)


def incomplete() -> StreamError:
    return StreamError("IncompleteStream", "the stream ended before the answer did")


def text_in(event: Mapping[str, Any]) -> str:
    """The text that an event adds to the answer; reasoning, citations and inputs of tools are none."""
    block = event.get("contentBlockDelta")
    return str((block.get("delta") or {}).get("text") or "") if block else ""
