"""A call that the application makes itself, and the stream of its answer: counted, and otherwise as they are."""

from __future__ import annotations

import sys
from time import monotonic

from promptlane.domain.canary.outcome import invalid, of_response
from promptlane.domain.errors import InvalidInput

from . import tracing
from .errors import InvalidVariables
from .progress import Progress, StreamError, incomplete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from promptlane.domain.canary.outcome import CallOutcome

    from .request import Request

_SDKS = frozenset({"botocore", "boto3", "aiobotocore"})
_OPERATIONS = frozenset({"Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream"})


class Observation:
    """A call that the application makes itself: set `response`, or let the SDK's exception pass through the block.

    A response with a stream is counted at the stream's end, which may come after the block's; read it from `response`.
    An exception that is not the SDK's is the application's own, and no version's error: `failed(error)` says that one
    of another library is. A block that is left without a response, cancelled or not, counts as cancelled.
    """

    def __init__(self, request: Request, sign: Callable[[Request], str | None]) -> None:
        self._request = request
        self._sign = sign
        self._response: Mapping[str, Any] | None = None
        self._failed: BaseException | None = None
        self._outside: BaseException | None = None
        self._current: AbstractContextManager[Any] | None = None

    @property
    def response(self) -> Mapping[str, Any] | None:
        return self._response

    @response.setter
    def response(self, given: Mapping[str, Any] | None) -> None:
        if given is not None and "stream" in given:
            stream = ObservedStream(given["stream"], self._request)
            if isinstance(given, dict):
                given["stream"] = stream  # so that whoever reads the SDK's response reads this one
            else:
                given = {**given, "stream": stream}
        self._response = given

    @property
    def outcome(self) -> CallOutcome | None:
        """What it was counted as; None before that, and where it counts for no version."""
        return self._request.outcome

    @property
    def receipt(self) -> str | None:
        """What feedback() takes; None before there is a response, since nothing was answered then."""
        return None if self._response is None else self._sign(self._request)

    def failed(self, error: BaseException) -> None:
        """The call failed with this error, whoever raised it: so it is the version's."""
        self._failed = error

    def __enter__(self) -> Observation:
        self._outside = sys.exc_info()[1]
        request = self._request
        request.count_assigned()
        request.started = monotonic()
        request.span = tracing.begin(request.decided)
        self._current = request.span.current()
        self._current.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._current is not None:
            self._current.__exit__(None, None, None)
        request, response = self._request, self._response
        failed = self._failed or (self._of_the_call(error) if response is None else None)
        stream = None if response is None else response.get("stream")
        if failed is not None and self._callers_own(failed):
            request.count_invalid()
            request.over(error=failed)
        elif failed is not None:
            request.count(request.failed(failed))
            request.over(request.outcome, error=failed)
        elif isinstance(stream, ObservedStream):
            if error is not None:
                stream.close()
        elif response is not None:
            took = {"latency_ms": request.elapsed_ms(), "slow_after_ms": request.slow_after_ms}
            request.count(of_response(response, **took))
            request.over(request.outcome)
        else:
            request.count_cancelled(waited=False)
            request.over(cancelled=True)

    def _of_the_call(self, error: BaseException | None) -> BaseException | None:
        """The error of the call that the block was left for; None where it was left for anything else."""
        seen: set[int] = set()
        while error is not None and error is not self._outside and id(error) not in seen:
            if isinstance(error, InvalidInput) or _of_the_sdk(error):
                return error
            seen.add(id(error))
            error = error.__cause__ or error.__context__
        return None

    def _callers_own(self, error: BaseException) -> bool:
        """Whether no version is at fault: of what Bedrock does not accept, that is known where none is compared."""
        decided = self._request.decided
        if isinstance(error, InvalidVariables) and decided.instead is not None and (error.missing or error.unknown):
            given = ((decided.variables or frozenset()) - set(error.missing)) | set(error.unknown)
            return decided.instead.variables is not None and given != decided.instead.variables
        return isinstance(error, InvalidInput) or (invalid(error) and not self._request.compared)


class ObservedStream:
    """The SDK's stream with its answer counted: at its end, where it breaks, or once its reader is gone.

    Events and errors are handed on as they come. Time that the reader takes is not the request's.
    """

    def __init__(self, stream: Any, request: Request) -> None:
        self._stream = stream
        self._request = request
        self._so_far = Progress()
        self._source: Any = None
        self._handed_at = monotonic()

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        self._source = self._source or iter(self._stream)
        return self

    def __next__(self) -> Mapping[str, Any]:
        source = iter(self)._source  # type: ignore[attr-defined]
        self._resume()
        try:
            return self._noted(next(source))
        except BaseException as error:
            self._broke(error)
            raise
        finally:
            self._handed_at = monotonic()

    def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]:
        self._source = self._source or aiter(self._stream)
        return self

    async def __anext__(self) -> Mapping[str, Any]:
        source = aiter(self)._source  # type: ignore[attr-defined]
        self._resume()
        try:
            return self._noted(await anext(source))
        except BaseException as error:
            self._broke(error)
            raise
        finally:
            self._handed_at = monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> Any:
        """Hang up; what came until then is counted. What the SDK's close gives: an awaitable where it is one."""
        self._left()
        close = getattr(self._stream, "close", None)
        return None if close is None else close()

    def __enter__(self) -> ObservedStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        request = self.__dict__.get("_request")  # none where making it failed
        if request is not None and not (request.counted or request.of_parent):
            request.forsake(self._outcome())

    def _resume(self) -> None:
        self._request.pause(monotonic() - self._handed_at)

    def _noted(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            self._so_far.note(event, self._request.elapsed_ms())
        except StreamError as error:
            self._broke(error)
        return event

    def _outcome(self) -> CallOutcome | None:
        request = self._request
        return self._so_far.outcome(request.elapsed_ms(), request.slow_after_ms) if self._so_far.answered else None

    def _broke(self, error: BaseException) -> None:
        request = self._request
        if not isinstance(error, Exception):
            self._left()
            return
        ended = isinstance(error, StopIteration | StopAsyncIteration)
        found = self._so_far.broken(incomplete() if ended else error, request.elapsed_ms(), request.slow_after_ms)
        if request.count(found):
            request.over(found, error=None if ended or self._so_far.complete else error)

    def _left(self) -> None:
        """Its reader leaves it: counted as what came, or as cancelled."""
        if not (self._request.counted or self._request.of_parent):
            self._request.count_left(self._outcome())


def _of_the_sdk(error: BaseException) -> bool:
    """Whether the SDK raised it of a call to a model: by its classes' modules, or by a ClientError's shape."""
    operation = getattr(error, "operation_name", None)
    if operation is not None:
        return operation in _OPERATIONS
    answered = isinstance(getattr(error, "response", None), dict) and "Error" in getattr(error, "response", ())
    return answered or any(known.__module__.partition(".")[0] in _SDKS for known in type(error).__mro__)
