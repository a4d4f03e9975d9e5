"""AsyncPromptClient: the same for asyncio. Model calls run in threads of its own; deciding needs none."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from time import monotonic
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack

from .aws import MAX_CONNECTIONS
from .sync import PromptClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from .answer import Observation, StreamedAnswer
    from .decision import Decision
    from .settings import Settings

    Runner = Callable[[Callable[[], Any]], Any]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
_END = object()


class AsyncStreamedAnswer:
    """StreamedAnswer for `async for`; `answer` has what is known so far: text, decision, receipt, usage."""

    def __init__(self, answer: StreamedAnswer, run: Runner) -> None:
        self.answer = answer
        self._run = run

    async def __aiter__(self) -> AsyncIterator[str]:
        pieces = iter(self.answer)
        while True:
            piece = await self._run(partial(next, pieces, _END))
            if piece is _END:
                return
            yield piece

    async def aclose(self) -> None:
        """Hang up. Harmless after the end."""
        await self._run(self.answer.close)

    async def __aenter__(self) -> AsyncStreamedAnswer:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


def _as_it_is(found: T, run: Runner) -> T:
    return found


def _in_a_thread(
    method: Callable[Concatenate[PromptClient, P], T], made: Callable[[T, Runner], R]
) -> Callable[Concatenate[AsyncPromptClient, P], Coroutine[Any, Any, R]]:
    """PromptClient's method, awaited: what `made` makes of its result."""

    @wraps(method, assigned=("__name__", "__doc__"))
    async def awaited(self: AsyncPromptClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        call = getattr(self._client, method.__name__)
        return made(await self._run(partial(call, *args, **kwargs)), self._run)

    return awaited


class AsyncPromptClient:
    """PromptClient for asyncio; takes the same arguments, or wraps a PromptClient that exists.

    The SDK is synchronous, so each call under way holds one of 50 threads, as many as the SDK keeps connections.
    """

    def __init__(self, client: PromptClient | None = None, **settings: Unpack[Settings]) -> None:
        self._client = client or PromptClient(**settings)
        self._pool: ThreadPoolExecutor | None = None
        self._pool_of = 0

    async def route(self, prompt: str, unit: str) -> Decision:
        """As PromptClient.route; leaves the loop only when a route has to be waited for."""
        live = self._client._live.get(prompt)
        if live is not None and monotonic() < live.due:
            return self._client.route(prompt, unit)
        return await self._run(partial(self._client.route, prompt, unit))

    converse = _in_a_thread(PromptClient.converse, _as_it_is)
    converse_stream = _in_a_thread(PromptClient.converse_stream, AsyncStreamedAnswer)
    feedback = _in_a_thread(PromptClient.feedback, _as_it_is)

    def observe(self, decision: Decision, *, unit: str) -> Observation:
        """As PromptClient.observe: nothing in it waits."""
        return self._client.observe(decision, unit=unit)

    async def aclose(self) -> None:
        """Send the metrics that are held back and end the threads."""
        await self._run(self._client.close)
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

    async def __aenter__(self) -> AsyncPromptClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def _run(self, call: Callable[[], T]) -> T:
        if self._pool is None or self._pool_of != os.getpid():  # a forked child has none of the parent's threads
            self._pool_of = os.getpid()
            self._pool = ThreadPoolExecutor(MAX_CONNECTIONS, thread_name_prefix="promptlane")
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)
