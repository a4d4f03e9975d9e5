"""AsyncPromptClient: the same for asyncio. Model calls run in threads of its own; deciding needs none.

A task that is cancelled leaves its request at once: a stream is hung up, and counts as what came of it; a whole call
cannot be taken back, so its thread waits for it, asks nobody else in its place, and counts what it came to.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, Unpack, overload

from .aws import MAX_CONNECTIONS
from .progress import text_in
from .request import LISTENER, Listener
from .sync import PromptClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping

    from .answer import StreamedAnswer
    from .decision import Decision
    from .observation import Observation
    from .session import Session
    from .settings import Settings
    from .version import VersionData

P = ParamSpec("P")
T = TypeVar("T")


_SIZES: Final = {"calls": MAX_CONNECTIONS, "routes": 8, "feedback": 8}


class Threads:
    """Where calls wait. A pool each for calls of models, for routes, and for feedback: none queues behind another."""

    def __init__(self) -> None:
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._pid = 0

    async def run(self, kind: str, call: Callable[[], T], *, abandoned: Callable[[T], object] | None = None) -> T:
        """The call's result. Cancelled, the call is not begun, or ends by itself; then `abandoned` is told its result.

        It runs in a copy of the task's context, so that spans have their parent, with a listener that says when nobody
        waits any more.
        """
        listener, context = Listener(), copy_context()
        context.run(LISTENER.set, listener)
        future = self._pool(kind).submit(context.run, call)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            listener.gone = True
            if abandoned is not None:
                future.add_done_callback(
                    lambda done: None if done.cancelled() or done.exception() else abandoned(done.result())
                )
            raise

    def close(self) -> None:
        """End the threads, each when its call is over."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.shutdown(wait=False)

    def _pool(self, kind: str) -> ThreadPoolExecutor:
        if self._pid != os.getpid():  # a forked child has none of the parent's threads
            self._pid, self._pools = os.getpid(), {}
        pool = self._pools.get(kind)
        if pool is None:
            pool = ThreadPoolExecutor(_SIZES[kind], thread_name_prefix=f"promptlane-{kind}")
            self._pools[kind] = pool
        return pool


class AsyncStreamedAnswer:
    """StreamedAnswer for asyncio: `async with` it, `async for` its text or its `events()`, or await it to open it.

    `answer` has what is known so far: text, decision, receipt, usage. A task that is cancelled while it reads hangs up;
    so do `aclose()`, from any task, and the end of an `async with` block.
    """

    def __init__(self, open_: Callable[[], StreamedAnswer], threads: Threads) -> None:
        self._open = open_
        self._threads = threads
        self._answer: StreamedAnswer | None = None
        self._begun = False

    @property
    def answer(self) -> StreamedAnswer:
        if self._answer is None:
            raise RuntimeError("the stream is not open yet: await it, enter it by `async with`, or iterate first")
        return self._answer

    def events(self) -> AsyncIterator[Mapping[str, Any]]:
        """Converse's own events."""
        return _Events(self)

    def __aiter__(self) -> AsyncIterator[str]:
        return _Texts(self)

    def __await__(self) -> Generator[Any, Any, AsyncStreamedAnswer]:
        yield from self._opened().__await__()
        return self

    async def __aenter__(self) -> AsyncStreamedAnswer:
        return await self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Hang up. Harmless after the end; waits for nothing."""
        if self._answer is not None:
            self._answer.close()

    async def _opened(self) -> StreamedAnswer:
        if self._answer is None:
            if self._begun:
                raise RuntimeError("the stream is being opened by another task, or its opening failed: ask for another")
            self._begun = True
            self._answer = await self._threads.run("calls", self._open, abandoned=lambda answer: answer.close())
        return self._answer

    async def _next(self, *, whole: bool) -> Mapping[str, Any] | None:
        answer = await self._opened()
        try:
            return await self._threads.run("calls", partial(_step, answer, whole=whole))
        except asyncio.CancelledError:
            answer.close()
            raise


def _step(answer: StreamedAnswer, *, whole: bool) -> Mapping[str, Any] | None:
    event = answer._advance(whole=whole)
    if event is None:
        _ = answer.receipt  # its key may have to be waited for: here, and not on the loop
    return event


class _Events:
    def __init__(self, stream: AsyncStreamedAnswer) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]:
        return self

    async def __anext__(self) -> Mapping[str, Any]:
        event = await self._stream._next(whole=True)
        if event is None:
            raise StopAsyncIteration
        return event


class _Texts:
    def __init__(self, stream: AsyncStreamedAnswer) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        event = await self._stream._next(whole=False)
        if event is None:
            raise StopAsyncIteration
        return text_in(event)


def _in_a_thread(
    kind: str, method: Callable[Concatenate[PromptClient, P], T]
) -> Callable[Concatenate[AsyncPromptClient, P], Coroutine[Any, Any, T]]:
    """PromptClient's method, awaited."""

    @wraps(method, assigned=("__name__", "__doc__"))
    async def awaited(self: AsyncPromptClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._threads.run(kind, partial(getattr(self._client, method.__name__), *args, **kwargs))

    return awaited


def _streamed(
    method: Callable[Concatenate[PromptClient, P], StreamedAnswer],
) -> Callable[Concatenate[AsyncPromptClient, P], AsyncStreamedAnswer]:
    """PromptClient's method, called when its stream is first waited for."""

    @wraps(method, assigned=("__name__", "__doc__"))
    def streamed(self: AsyncPromptClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncStreamedAnswer:
        return AsyncStreamedAnswer(partial(getattr(self._client, method.__name__), *args, **kwargs), self._threads)

    return streamed


class AsyncPromptClient:
    """PromptClient for asyncio; takes the same arguments, or wraps a PromptClient that exists.

    The SDK is synchronous, so each call under way holds one of 50 threads, as many as the SDK keeps connections. Routes
    and feedback have threads of their own.
    """

    def __init__(self, client: PromptClient | None = None, **settings: Unpack[Settings]) -> None:
        self._client = client or PromptClient(**settings)
        self._threads = Threads()

    async def route(self, prompt: str, unit: str) -> Decision:
        """As PromptClient.route; leaves the loop only when a route has to be waited for."""
        live = self._client._live.get(prompt)
        if live is not None and self._client._routes.fresh(live, monotonic(), time()):
            return self._client.route(prompt, unit)
        return await self._threads.run("routes", partial(self._client.route, prompt, unit))

    converse = _in_a_thread("calls", PromptClient.converse)
    converse_stream = _streamed(PromptClient.converse_stream)
    prompt = _in_a_thread("calls", PromptClient.prompt)
    feedback = _in_a_thread("feedback", PromptClient.feedback)

    @overload
    def observe(self, decision: Decision, *, unit: str, slow_after: float | None = None) -> Observation: ...
    @overload
    def observe(
        self, decision: VersionData, *, unit: str | None = None, slow_after: float | None = None
    ) -> Session: ...

    def observe(
        self, decision: Any, *, unit: str | None = None, slow_after: float | None = None
    ) -> Observation | Session:
        """As PromptClient.observe: nothing in it waits."""
        return self._client.observe(decision, unit=unit, slow_after=slow_after)

    async def aclose(self) -> None:
        """Send the metrics that are held back and end the threads."""
        try:
            await self._threads.run("feedback", self._client.close)
        finally:
            self._threads.close()

    async def __aenter__(self) -> AsyncPromptClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
