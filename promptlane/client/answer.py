"""What converse and converse_stream hand back."""

from __future__ import annotations

from time import monotonic

from promptlane.domain.canary.outcome import error_type, invalid, of_answer, of_error, of_response, text_of
from promptlane.domain.errors import InvalidInput

from .calls import failure
from .errors import InvalidVariables, StreamInterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from typing import Any

    from promptlane.domain.canary.outcome import CallOutcome

    from .calls import Call, Caller, Request
    from .decision import Decision


class Answer:
    """A whole answer. `response` is Converse's response as the SDK gave it.

    `decision` says which version answered; `shielded` whether stable answered for a canary that the split chose.
    `receipt` is what feedback() takes; None when no receipt key is configured.
    """

    def __init__(self, response: Mapping[str, Any], decision: Decision, *, shielded: bool, receipt: str | None) -> None:
        self.response = response
        self.decision = decision
        self.shielded = shielded
        self.receipt = receipt

    @property
    def text(self) -> str:
        return text_of(self.response)

    @property
    def stop_reason(self) -> str:
        return str(self.response.get("stopReason", ""))

    @property
    def version(self) -> int:
        return self.decision.version

    @property
    def track(self) -> str:
        return self.decision.track

    def __repr__(self) -> str:
        return f"<Answer {self.text[:40]!r} from {self.decision!r}>"


class StreamedAnswer:
    """An answer as it comes: iterate for text, or over `events()` for Converse's own events. Read it once.

    A stream that breaks before its first text is answered by stable when it was a canary's; later it raises
    StreamInterrupted with the text so far. `decision` is sure, and `receipt` there, once the first text came. Close it,
    or leave its `with` block, to hang up early: what was delivered until then is counted, and no error.
    """

    def __init__(
        self, request: Request, caller: Caller, call: Call, *, stream: Any, sign: Callable[[Request], str | None]
    ) -> None:
        self._request = request
        self._caller = caller
        self._call = call
        self._sign = sign
        self._stream = stream
        self._events = self._run()
        self._first_ms: float | None = None
        self._parts: list[str] = []
        self._began = False  # its beginning was handed on
        self._acts = False  # asks for the use of a tool
        self._receipt: str | None = None
        self._over = False  # ended or broken: counted, and the breaker knows
        self.stop_reason: str | None = None
        self.usage: Mapping[str, Any] = {}

    @property
    def decision(self) -> Decision:
        return self._request.answered_by

    @property
    def shielded(self) -> bool:
        return self._request.answered_by is not self._request.decided

    @property
    def receipt(self) -> str | None:
        """What feedback() takes; None before anything was answered, since another version may answer still."""
        answered = self._first_ms is not None or self.stop_reason is not None
        if self._receipt is None and answered:
            self._receipt = self._sign(self._request)
        return self._receipt

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._parts)

    @property
    def time_to_first_token_ms(self) -> float | None:
        return self._first_ms

    def events(self) -> Iterator[Mapping[str, Any]]:
        return self._events

    def __iter__(self) -> Iterator[str]:
        for event in self._events:
            text = _text(event)
            if text:
                yield text

    def __enter__(self) -> StreamedAnswer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. Harmless after the end."""
        self._events.close()
        if not self._over and (self._first_ms is not None or self.stop_reason is not None):
            self._finish()
        self._caller.settle(self._request, everybodys=False)
        self._hang_up()

    def _hang_up(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()

    def _run(self) -> Generator[Mapping[str, Any]]:
        while True:
            try:
                for event in self._stream:
                    self._note(event)
                    if not self._again(event):
                        yield event
                    if self._caller.left(self._request) <= 0 and self.stop_reason is None:
                        raise TimeoutError("the stream took longer than the request may take")
                if self.stop_reason is None:
                    raise StreamError("IncompleteStream", "the stream ended before the answer did")
                break
            except Exception as error:  # noqa: BLE001 - whatever broke the stream is counted, then raised or shielded
                self._broken(error)
        self._finish()

    def _again(self, event: Mapping[str, Any]) -> bool:
        """Whether it begins an answer that had begun: stable's in a canary's place, which nobody is to tell by that."""
        began, self._began = self._began, self._began or "messageStart" in event
        return began and "messageStart" in event

    def _broken(self, error: Exception) -> None:
        """Go on with stable's stream when nothing was delivered yet; else raise."""
        self._over = True
        self._hang_up()
        decision = self._request.answered_by
        if self._parts:
            self._request.count_error(error, time_to_first_token_ms=self._first_ms)
            self._caller.succeeded(self._request, error=True)
            said = f"after {len(self.text)} characters: {failure(decision, error)}"
            raise StreamInterrupted(said, code=error_type(error), text=self.text, reason=str(error)) from error
        response = self._caller.fall_back(self._request, error, self._call)
        self._stream = response["stream"]
        self.stop_reason, self.usage, self._receipt, self._over, self._acts = None, {}, None, False, False

    def _note(self, event: Mapping[str, Any]) -> None:
        for name in event:
            if name.endswith("Exception"):
                raise StreamError(name[0].upper() + name[1:], str((event[name] or {}).get("message", "")))
        if "messageStart" not in event:  # whoever was asked second takes the request
            self._caller.settle(self._request, everybodys=False)
        text = _text(event)
        if text or "contentBlockStart" in event:
            if self._first_ms is None:
                self._first_ms = self._request.elapsed_ms()
            self._parts.append(text)
        if "toolUse" in (event.get("contentBlockStart") or {}).get("start", {}):
            self._acts = True
        if "messageStop" in event:
            self.stop_reason = str(event["messageStop"].get("stopReason", ""))
        if "metadata" in event:
            self.usage = event["metadata"].get("usage") or {}

    def _finish(self) -> None:
        self._over = True
        outcome = of_answer(
            text=self.text,
            stop_reason=self.stop_reason,
            acts=self._acts or self.stop_reason is None,  # left by its reader: what would have come is not known
            usage=self.usage,
            latency_ms=self._request.elapsed_ms(),
            slow_after_ms=self._request.slow_after_ms,
            time_to_first_token_ms=self._first_ms,
        )
        self._request.count(outcome)
        self._caller.succeeded(self._request, error=outcome.error_type is not None)


class StreamError(Exception):
    """An error event inside a stream, shaped like the SDK's ClientError."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message or code)
        self.response = {"Error": {"Code": code, "Message": message}}


class Observation:
    """A call that the application makes itself: set `response`, or let the exception pass through the `with` block."""

    def __init__(self, request: Request, sign: Callable[[Request], str | None]) -> None:
        self._request = request
        self._sign = sign
        self.response: Mapping[str, Any] | None = None
        self.outcome: CallOutcome | None = None

    @property
    def receipt(self) -> str | None:
        """What feedback() takes; None before there is a response, since nothing was answered then."""
        return None if self.response is None else self._sign(self._request)

    def __enter__(self) -> Observation:
        self._request.count_assigned()
        self._request.started = monotonic()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        latency, slow = self._request.elapsed_ms(), self._request.slow_after_ms
        if isinstance(error, Exception) and self._callers_own(error):
            self._request.count_invalid()
        elif isinstance(error, Exception):
            self.outcome = of_error(error, latency_ms=latency, slow_after_ms=slow)
        elif self.response is not None:
            self.outcome = of_response(self.response, latency_ms=latency, slow_after_ms=slow)
        if self.outcome is not None:
            self._request.count(self.outcome)

    def _callers_own(self, error: Exception) -> bool:
        """Whether no version is at fault: of what Bedrock does not accept, that is known where none is compared."""
        decided = self._request.decided
        if isinstance(error, InvalidVariables) and decided.instead is not None and (error.missing or error.unknown):
            given = ((decided.variables or frozenset()) - set(error.missing)) | set(error.unknown)
            return decided.instead.variables is not None and given != decided.instead.variables
        return isinstance(error, InvalidInput) or (invalid(error) and not self._request.compared)


def _text(event: Mapping[str, Any]) -> str:
    block = event.get("contentBlockDelta")
    return str(block["delta"].get("text", "")) if block else ""
