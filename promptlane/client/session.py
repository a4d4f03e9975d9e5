"""A whole session of an agent, however many model calls it makes, counted as one request of its unit.

What counts is how it ended: its last answer (a refusal, an empty or cut one, an intervention), with the tokens of all
calls and the time of the whole. An exception that leaves the block is an error of the version, whoever raised it: in a
loop of model and tools nobody can tell a tool that failed from one that was called with nonsense, and what fails for
reasons of the application's own fails on both tracks alike. A call that failed and was made again is none; nor is what
the caller got wrong (InvalidInput). A session that was cancelled counts as what it had answered, or as cancelled.
"""

from __future__ import annotations

from time import monotonic

from promptlane.domain.canary.outcome import acts, of_answer, text_of
from promptlane.domain.errors import InvalidInput

from . import tracing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from promptlane.domain.canary.outcome import CallOutcome

    from .request import Request
    from .version import VersionData


class SessionFailed(Exception):
    """What `Session.fail` counts; shaped like the SDK's ClientError, its code what was said."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.response = {"Error": {"Code": why}}


class Session:
    """Hand it each answer of the model as it comes: `add(response)`, or `events(stream)` around a stream's.

    `decision` says whose text it is. `outcome` is there after the block; None where it answered nothing.
    """

    def __init__(self, data: VersionData, request: Request, sign: Callable[[Request], str | None]) -> None:
        self.data = data
        self.decision = data.decision
        self.outcome: CallOutcome | None = None
        self.calls = 0
        self._request = request
        self._sign = sign
        self._last: Mapping[str, Any] | None = None
        self._usage: dict[str, int] = {}
        self._failed: SessionFailed | None = None
        self._current: AbstractContextManager[Any] | None = None

    @property
    def receipt(self) -> str | None:
        """What feedback() takes; None before anything was answered."""
        return None if self._last is None else self._sign(self._request)

    def add(self, response: Mapping[str, Any]) -> None:
        """Take note of a Converse response: the last one says how the session ended."""
        self._last = response
        self.calls += 1
        for name, value in (response.get("usage") or {}).items():
            if isinstance(value, int):
                self._usage[name] = self._usage.get(name, 0) + value

    def events(self, stream: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The events of ConverseStream as they are; noted as an answer when they end, or when their reader leaves."""
        texts: list[str] = []
        content: list[Any] = []
        response: dict[str, Any] = {"output": {"message": {"role": "assistant", "content": content}}}
        try:
            for event in stream:
                for name in event:
                    if name.endswith("Exception"):
                        self.fail(name[0].upper() + name[1:])
                if "toolUse" in (event.get("contentBlockStart") or {}).get("start", {}):
                    content.append({"toolUse": event["contentBlockStart"]["start"]["toolUse"]})
                texts.append(str((event.get("contentBlockDelta") or {}).get("delta", {}).get("text", "")))
                if "messageStop" in event:
                    response["stopReason"] = event["messageStop"].get("stopReason")
                if "metadata" in event:
                    response["usage"] = event["metadata"].get("usage") or {}
                yield event
        finally:
            if text := "".join(texts):
                content.append({"text": text})
            if "stopReason" in response or content:
                self.add(response)

    def fail(self, why: str) -> None:
        """Count the session as an error of the version: what no exception tells, such as a loop that was cut short."""
        self._failed = SessionFailed(why)

    def __enter__(self) -> Session:
        request, data = self._request, self.data
        request.count_assigned()
        request.started = monotonic()
        if data.shielded:
            request.answered_by = data.decision
            if data.wrong is not None:
                request.count(request.failed(data.wrong))
            else:
                request.count_shielded()
        request.span = tracing.begin(request.decided)
        self._current = request.span.current()
        self._current.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._current is not None:
            self._current.__exit__(None, None, None)
        request, cancelled = self._request, error is not None and not isinstance(error, Exception)
        failed = error if isinstance(error, Exception) else self._failed
        if isinstance(failed, InvalidInput):
            request.count_invalid()
        elif failed is not None:
            self.outcome = request.failed(failed)
            request.count(self.outcome)
        elif self._last is not None:
            self.outcome = of_answer(
                text=text_of(self._last),
                stop_reason=self._last.get("stopReason"),
                acts=acts(self._last) or cancelled,  # what would have come is not known
                usage=self._usage,
                latency_ms=request.elapsed_ms(),
                slow_after_ms=request.slow_after_ms,
            )
            request.count(self.outcome)
        else:
            request.count_cancelled(waited=False)
        request.over(self.outcome, error=failed, cancelled=cancelled)
