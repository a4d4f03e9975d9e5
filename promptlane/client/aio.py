"""AsyncPromptClient: the same for asyncio. Model calls run in threads of its own; deciding needs none."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from .aws import MAX_CONNECTIONS
from .sync import PromptClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from .answer import Answer, Observation, StreamedAnswer
    from .decision import Decision

T = TypeVar("T")
_END = object()


class AsyncPromptClient:
    """PromptClient for asyncio; takes the same arguments, or wraps a PromptClient that exists.

    The SDK is synchronous, so each call under way holds one of 50 threads, as many as the SDK keeps connections.
    """

    def __init__(self, client: PromptClient | None = None, **settings: Any) -> None:
        self._client = client or PromptClient(**settings)
        self._pool: ThreadPoolExecutor | None = None
        self._pool_of = 0

    async def route(self, prompt: str, unit: str) -> Decision:
        """As PromptClient.route; leaves the loop only when a route has to be waited for."""
        live = self._client._live.get(prompt)
        if live is not None and monotonic() < live.due:
            return self._client.route(prompt, unit)
        return await self._run(partial(self._client.route, prompt, unit))

    async def converse(
        self,
        prompt: str,
        *,
        unit: str,
        variables: Mapping[str, str] | None = None,
        messages: Sequence[Mapping[str, Any]] = (),
        guardrail: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Answer:
        """As PromptClient.converse."""
        return await self._run(
            partial(
                self._client.converse, prompt, unit=unit, variables=variables, messages=messages,
                guardrail=guardrail, metadata=metadata,
            )
        )  # fmt: skip

    async def converse_stream(
        self,
        prompt: str,
        *,
        unit: str,
        variables: Mapping[str, str] | None = None,
        messages: Sequence[Mapping[str, Any]] = (),
        guardrail: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncStreamedAnswer:
        """As PromptClient.converse_stream; iterate with `async for`."""
        answer = await self._run(
            partial(
                self._client.converse_stream, prompt, unit=unit, variables=variables, messages=messages,
                guardrail=guardrail, metadata=metadata,
            )
        )  # fmt: skip
        return AsyncStreamedAnswer(answer, self._run)

    def observe(self, decision: Decision, *, unit: str) -> Observation:
        """As PromptClient.observe: nothing in it waits."""
        return self._client.observe(decision, unit=unit)

    async def feedback(self, receipt: str, *, positive: bool) -> bool:
        """As PromptClient.feedback."""
        return await self._run(partial(self._client.feedback, receipt, positive=positive))

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


class AsyncStreamedAnswer:
    """StreamedAnswer for `async for`; `answer` has what is known so far: text, decision, receipt, usage."""

    def __init__(self, answer: StreamedAnswer, run: Callable[[Callable[[], Any]], Any]) -> None:
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
