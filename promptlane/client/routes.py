"""Routes in memory: read when first asked for, then refreshed behind the traffic.

One worker thread reads whatever is due, in one request for up to 100 prompts, and ends when nothing is. It is started
by traffic, never by a timer, so an idle process reads nothing, and a process that was frozen or forked has nothing to
repair. Time is monotonic: a clock that jumps changes nothing.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from time import monotonic

from promptlane.domain.errors import InvalidInput, PromptlaneError, Unavailable

from .decision import PHASES, SCHEMA, live_route, pinned
from .errors import RouteUnavailable, UnknownPrompt
from .order import BELIEVED_AFTER, Behind, standing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Protocol

    from .decision import LiveRoute

    class RouteReader(Protocol):
        """Where routes are read from. `read` returns the items it found, by prompt, and an exception in place of each
        that it could not read; it raises when it could read none. `read_again` does the same, consistently."""

        def read(self, prompts: Iterable[str]) -> Mapping[str, Mapping[str, Any] | Exception]: ...
        def read_again(self, prompts: Iterable[str]) -> Mapping[str, Mapping[str, Any] | Exception]: ...
        def name_of(self, prompt: str) -> str | None: ...


BATCH = 100


class Routes:
    """The routes that this process uses.

    `refresh`: seconds between reads of a prompt in use (a tenth is jitter). `max_age`: a route older than this, which
    only a frozen process or an outage can make, is read again before it is used, for at most `patience` seconds.
    `first_wait`: how long the first read may take. `on_stale(prompt, age seconds)` is told of every failed refresh.
    """

    def __init__(
        self,
        reader: RouteReader,
        *,
        refresh: float = 2.0,
        max_age: float | None = None,
        patience: float = 0.3,
        first_wait: float = 10.0,
        fallback: Mapping[str, str] | None = None,
        on_stale: Callable[[str, float], None] = lambda prompt, age: None,
    ) -> None:
        if refresh <= 0:
            raise InvalidInput(f"refresh={refresh!r}; give the seconds between two reads of a route, above 0")
        self.live: dict[str, LiveRoute] = {}
        self.reader = reader
        self._refresh = refresh
        self._max_age = 5 * refresh if max_age is None else max_age
        self._patience = patience
        self._first_wait = first_wait
        self._fallback = {prompt: pinned(prompt, arn) for prompt, arn in (fallback or {}).items()}
        self._on_stale = on_stale
        self._names: dict[str, str] = {}
        self._behind = Behind()
        self.met: set[tuple[int, str]] = set()
        """Schemas of the routes that were read, each with the phase where it is one that this client does not know."""
        self._forget_threads()

    def _forget_threads(self) -> None:
        self._changed = threading.Condition()
        self._wanted: dict[str, None] = {}
        self._asked: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._failed: dict[str, tuple[float, PromptlaneError]] = {}
        self._failures = 0
        self._working = False

    def after_fork(self) -> None:
        """In a forked child: keep the routes, drop locks and work of threads that exist only in the parent."""
        self._forget_threads()
        for live in self.live.values():
            live.due = 0.0

    def current(self, prompt: str) -> LiveRoute:
        """The route to decide by now. Blocks only when none is held, or the one held is older than `max_age`."""
        live = self.live.get(prompt)
        if live is None:
            return self._first(prompt)
        now = monotonic()
        if now < live.due:
            return live
        with self._changed:
            now = monotonic()
            if now >= live.due:
                live.due = now + self._refresh  # the next caller finds it not due: single flight
                ticket = self._want(prompt)
                if now - live.read_at > self._max_age and self._failures == 0:
                    self._wait(prompt, ticket, self._patience)
        return self.live[prompt]

    def _first(self, prompt: str) -> LiveRoute:
        with self._changed:
            live = self.live.get(prompt)
            if live is not None:
                return live
            until, error = self._failed.get(prompt, (0.0, None))
            if error is None or monotonic() >= until:
                again = 0.0 if prompt in self._fallback else self._patience
                self._wait(prompt, self._want(prompt), self._first_wait if error is None else again)
                live = self.live.get(prompt)
                if live is not None:
                    return live
                _, error = self._failed.get(prompt, (0.0, None))
        if error is None:
            error = RouteUnavailable(
                f"the route of {prompt} could not be read within {self._first_wait:g} s and no fallback is configured; "
                "check the network path to DynamoDB, or pass fallback={prompt: version ARN}"
            )
        fallback = self._fallback.get(prompt)
        if fallback is None or isinstance(error, UnknownPrompt):
            raise error
        self._tell_stale(prompt, 0.0)
        return fallback

    def _want(self, prompt: str) -> int:
        ticket = self._asked.get(prompt, 0)
        if ticket > self._done.get(prompt, 0):
            return ticket  # being read already
        self._wanted[prompt] = None
        ticket = self._asked[prompt] = ticket + 1
        if not self._working:
            self._working = True
            threading.Thread(target=self._work, name="promptlane-routes", daemon=True).start()
        return ticket

    def _wait(self, prompt: str, ticket: int, seconds: float) -> None:
        self._changed.wait_for(lambda: self._done.get(prompt, 0) >= ticket, seconds)

    def _work(self) -> None:
        changed = self._changed
        while True:
            with changed:
                batch = list(self._wanted)[:BATCH]
                tickets = {prompt: self._asked[prompt] for prompt in batch}
                for prompt in batch:
                    del self._wanted[prompt]
                if not batch:
                    self._working = False
                    return
            try:
                self._read(batch)
            finally:
                with changed:
                    self._done.update(tickets)
                    changed.notify_all()

    def _read(self, batch: list[str]) -> None:
        try:
            items = self._items(batch)
        except Exception as error:  # noqa: BLE001 - whatever the store does, the last known routes are served
            self._failures += 1
            for prompt in batch:
                self._missed(prompt, _unavailable(prompt, error))
            return
        self._failures = 0
        again = self._again([prompt for prompt in batch if self._earlier(prompt, items.get(prompt))])
        for prompt in batch:
            self._take(prompt, again.get(prompt, items.get(prompt)), consistent=prompt in again)

    def _items(self, batch: list[str]) -> dict[str, Mapping[str, Any] | Exception]:
        """The items of the prompts that have one, by what the caller calls them: name, id or ARN."""
        names = {prompt: self._names.get(prompt, prompt) for prompt in batch}
        found = dict(self.reader.read(sorted(set(names.values()))))
        for prompt in batch:
            if names[prompt] not in found and prompt not in self.live:
                try:
                    found.update(self._by_id(prompt, names))
                except Exception as error:  # noqa: BLE001 - one that cannot be looked up hinders no other
                    found[prompt] = error
        return {prompt: found[name] for prompt, name in names.items() if name in found}

    def _earlier(self, prompt: str, item: Mapping[str, Any] | Exception | None) -> bool:
        """Whether the table shows an earlier route than the one held, as far as the item can be read."""
        held = self.live.get(prompt)
        if held is None or item is None or isinstance(item, Exception):
            return False
        with suppress(KeyError, TypeError, ValueError):
            return standing(held, item, consistent=False) < 0
        return False

    def _again(self, prompts: list[str]) -> Mapping[str, Mapping[str, Any] | Exception | None]:
        """What a consistent read says of prompts whose route seemed to be an earlier one: a read may lag."""
        if not prompts:
            return {}
        names = {prompt: self._names.get(prompt, prompt) for prompt in prompts}
        try:
            found = self.reader.read_again(sorted(set(names.values())))
        except Exception as error:  # noqa: BLE001 - as of every read
            return dict.fromkeys(prompts, error)
        return {prompt: found.get(name) for prompt, name in names.items()}

    def _by_id(self, prompt: str, names: dict[str, str]) -> Mapping[str, Mapping[str, Any] | Exception]:
        """The item of a prompt that is given by id or ARN, its name noted in `names`; empty when there is none."""
        name = self.reader.name_of(prompt)
        if name is None or name == prompt:
            return {}
        item = self.reader.read([name])
        names[prompt] = self._names[prompt] = name
        return item

    def _take(self, prompt: str, item: Mapping[str, Any] | Exception | None, *, consistent: bool) -> None:
        if isinstance(item, Exception):
            self._missed(prompt, _unavailable(prompt, item))
            return
        if item is None:
            none = f"no route for {prompt!r}: never released, or its name is misspelt; `promptlane status` lists them"
            self._missed(prompt, UnknownPrompt(none))
            return
        try:
            live = self._later(prompt, self.live.get(prompt), item, consistent=consistent)
        except PromptlaneError as error:
            self._missed(prompt, error)
            return
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._missed(prompt, InvalidInput(f"the route of {prompt} is malformed ({error!r}); restore the table"))
            return
        live.read_at = monotonic()
        live.due = self._next(live.read_at)
        self.live[prompt] = live
        self._failed.pop(prompt, None)

    def _later(self, prompt: str, held: LiveRoute | None, item: Mapping[str, Any], *, consistent: bool) -> LiveRoute:
        """What to go on with: the later one of the route held and the one read.

        A table that is certain to show an earlier route was put back to an earlier state. It is followed after
        `BELIEVED_AFTER` seconds, but to nothing that was rolled back since.
        """
        order = 1 if held is None else standing(held, item, consistent=consistent)
        if held is None or order > 0:
            self._behind.over(prompt)
            return self._told(prompt, live_route(prompt, item))
        if order == 0:
            self._behind.over(prompt)
            return held
        behind = self._behind.seconds(prompt, monotonic())
        if behind >= BELIEVED_AFTER and item["stable"]["fingerprint"] not in held.barred:
            self._behind.over(prompt)
            return self._told(prompt, live_route(prompt, item, barred=held.barred))
        self._tell_stale(prompt, behind)
        return held

    def _told(self, prompt: str, live: LiveRoute) -> LiveRoute:
        """The route, with a log line at the first one of a schema or a phase that this client does not know."""
        met = live.schema, live.stable.phase if live.stable.phase not in PHASES else ""
        if met not in self.met and len(self.met) < 100:
            self.met.add(met)
            if live.schema != SCHEMA or met[1]:
                from logging import getLogger

                getLogger("promptlane.client").warning(
                    "the route of %s has schema %d and phase %s; this client knows schema %d and serves what it knows",
                    prompt,
                    live.schema,
                    live.stable.phase,
                    SCHEMA,
                )
        return live

    def _missed(self, prompt: str, error: PromptlaneError) -> None:
        """Nothing new for this prompt: go on with what is held, and try again not sooner than the next refresh."""
        now = monotonic()
        held = self.live.get(prompt)
        if held is None:
            self._failed[prompt] = (now + self._refresh, error)
        else:
            held.due = self._next(now)
            self._tell_stale(prompt, now - held.read_at)

    def _next(self, now: float) -> float:
        return now + self._refresh * (0.9 + os.urandom(1)[0] / 1280)

    def _tell_stale(self, prompt: str, age: float) -> None:
        with suppress(Exception):  # a metric that goes nowhere must not end the reading of routes
            self._on_stale(prompt, age)


def _unavailable(prompt: str, error: Exception) -> PromptlaneError:
    if isinstance(error, PromptlaneError) and type(error) is not Unavailable:
        return error
    failure = RouteUnavailable(
        f"the route of {prompt} cannot be read ({type(error).__name__}: {error}) and no fallback is configured; check "
        "the table's name, Region and permissions (dynamodb:GetItem), or pass fallback={prompt: version ARN}"
    )
    failure.__cause__ = error
    return failure
