"""What converse and converse_stream hand back."""

from __future__ import annotations

from threading import Lock
from time import monotonic

from promptlane.domain.canary.outcome import error_type, text_of

from .aws import hang_up
from .calls import failure
from .errors import StreamInterrupted
from .progress import Progress, incomplete, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from promptlane.domain.canary.outcome import CallOutcome

    from .calls import Call, Caller
    from .decision import Decision
    from .request import Request


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

    A stream that breaks before any of it reached its reader is answered by stable when it was a canary's: before the
    first text to who iterates for text, and before what follows `messageStart` to who reads events. Later it raises
    StreamInterrupted with the text so far; after its stop reason it is complete, whatever comes. `decision` is sure,
    and `receipt` there, once the first text came.

    Close it, or leave its `with` block, to hang up early, from any thread: what was delivered until then is counted,
    and no error; where nothing was, the request counts as cancelled. Time that the reader takes is not the request's.
    """

    def __init__(
        self, request: Request, caller: Caller, call: Call, *, stream: Any, sign: Callable[[Request], str | None]
    ) -> None:
        self._request = request
        self._caller = caller
        self._call = call
        self._sign = sign
        self._so_far = Progress()
        self._stream: Any = None
        self._take(stream)
        self._reader = Lock()  # held by who waits for the next event
        self._handed_at = monotonic()
        self._began = False  # its beginning was handed on
        self._reached = False  # and some of the answer
        self._receipt: str | None = None
        self._open = [None]  # empty once it ended, broke or was left; popping it is atomic, and who did it counts

    @property
    def decision(self) -> Decision:
        return self._request.answered_by

    @property
    def shielded(self) -> bool:
        return self._request.answered_by is not self._request.decided

    @property
    def receipt(self) -> str | None:
        """What feedback() takes; None before anything was answered, since another version may answer still."""
        if self._receipt is None and (self._so_far.complete or (self._reached and self._so_far.answered)):
            self._receipt = self._sign(self._request)
        return self._receipt

    @property
    def text(self) -> str:
        """The text so far."""
        return self._so_far.text

    @property
    def stop_reason(self) -> str | None:
        return self._so_far.stop_reason

    @property
    def usage(self) -> Mapping[str, Any]:
        return self._so_far.usage

    @property
    def time_to_first_token_ms(self) -> float | None:
        return self._so_far.first_ms

    def events(self) -> Iterator[Mapping[str, Any]]:
        while (event := self._advance(whole=True)) is not None:
            yield event

    def __iter__(self) -> Iterator[str]:
        while (event := self._advance(whole=False)) is not None:
            yield text_in(event)

    def __enter__(self) -> StreamedAnswer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. Harmless after the end; another thread that reads finds the end. In a forked child, nothing."""
        if self._request.of_parent:
            return
        if self._ends():
            outcome = self._left()
            if outcome is None:
                self._request.count_cancelled()
            else:
                self._caller.count(self._request, outcome)
            self._request.over(outcome, cancelled=True)
        if not self._reader.acquire(blocking=False):
            hang_up(self._stream, reading=True)  # its reader closes it
            return
        self._hang_up()
        self._reader.release()

    def __del__(self) -> None:
        open_ = getattr(self, "_open", ())  # none where making it failed
        if open_ and not self._request.of_parent and self._ends():
            self._request.forsake(self._left())
            self._hang_up()

    def _left(self) -> CallOutcome | None:
        """What came before its reader left."""
        request = self._request
        return self._so_far.outcome(request.elapsed_ms(), request.slow_after_ms) if self._so_far.answered else None

    def _ends(self) -> bool:
        """Whether it ends now and here, for the first time."""
        try:
            self._open.pop()
        except IndexError:
            return False
        return True

    def _hang_up(self) -> None:
        hang_up(self._stream)
        self._stream = None

    def _take(self, stream: Any) -> None:
        self._stream = stream
        self._source = iter(stream)

    def _advance(self, *, whole: bool) -> Mapping[str, Any] | None:
        """The next event, or the next that holds text; None at the end."""
        if not self._reader.acquire(blocking=False):
            raise RuntimeError("this answer is being read already; read it once, by one thread or task at a time")
        try:
            self._request.pause(monotonic() - self._handed_at)
            return self._next(whole=whole)
        except Exception:
            raise
        except BaseException:  # interrupted, or a greenlet that is killed: its reader leaves
            self._reader.release()
            self.close()
            self._reader.acquire()
            raise
        finally:
            self._handed_at = monotonic()
            if not self._open:
                self._hang_up()
            self._reader.release()
            if not self._open:  # who left meanwhile found it being read
                self._hang_up()

    def _next(self, *, whole: bool) -> Mapping[str, Any] | None:
        while self._open:
            try:
                if self._caller.left(self._request) <= 0 and not self._so_far.complete:
                    raise TimeoutError("the stream took longer than the request may take")
                event: Mapping[str, Any] | None = next(self._source, None)
                if event is None and not self._so_far.complete:
                    raise incomplete()
                if event is not None and self._open:
                    self._note(event)
            except Exception as error:  # noqa: BLE001 - whatever broke the stream is counted, then raised or shielded
                event = None
                if not self._so_far.complete:
                    self._broken(error)
                    continue
            if event is None:
                self._complete()
            elif self._open and self._hands_on(event, whole=whole):
                return event
        return None

    def _note(self, event: Mapping[str, Any]) -> None:
        self._so_far.note(event, self._request.elapsed_ms())
        if "messageStart" not in event:  # whoever was asked second takes the request
            self._caller.settle(self._request, everybodys=False)

    def _hands_on(self, event: Mapping[str, Any], *, whole: bool) -> bool:
        if "messageStart" in event:
            return whole and not self._again(event)
        hands_on = whole or bool(text_in(event))
        self._reached = self._reached or hands_on
        return hands_on

    def _again(self, event: Mapping[str, Any]) -> bool:
        """Whether it begins an answer that had begun: stable's in a canary's place, which nobody is to tell by that."""
        began, self._began = self._began, True
        return began

    def _complete(self) -> None:
        if self._ends():
            request = self._request
            outcome = self._so_far.outcome(request.elapsed_ms(), request.slow_after_ms)
            self._caller.count(request, outcome)
            request.over(outcome)

    def _broken(self, error: Exception) -> None:
        """Go on with another version's stream when nothing was delivered yet; else raise. Nothing, if it was left."""
        request, decision = self._request, self.decision
        if self._reached:
            if self._ends():
                found = self._so_far.broken(error, request.elapsed_ms(), request.slow_after_ms)
                self._caller.count(request, found)
                said = f"after {len(self.text)} characters: {failure(decision, error)}"
                raised = StreamInterrupted(said, code=error_type(error), text=self.text, reason=str(error))
                request.over(found, error=raised)
                raise raised from error
            return
        if not self._open:
            return
        self._hang_up()
        try:
            response = self._caller.fall_back(request, error, self._call)
        except Exception as failed:
            if not self._ends():
                return
            request.over(error=failed)
            raise
        self._so_far = Progress()
        self._take(response["stream"])
