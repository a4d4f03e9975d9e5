"""Routes in memory: read when first asked for, then refreshed behind the traffic.

One worker thread reads whatever is due, in one request for up to 100 prompts, and ends when nothing is. It is started
by traffic, never by a timer, so an idle process reads nothing, and a process that was frozen or forked has nothing to
repair.

No clock is trusted alone: a monotonic clock may stand still while a function is frozen, and a wall clock may be set. A
route is due, or too old to be used untried, when either says so. What is too old, which only a frozen process, a jump
or an outage can make, is served by nobody before a try to read it, within a deadline of its own.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from time import monotonic, time

from promptlane.domain.errors import InvalidInput, PromptlaneError, Unavailable

from .decision import PHASES, SCHEMA, live_route, pinned
from .errors import RouteUnavailable, UnknownPrompt
from .order import BELIEVED_AFTER, Behind, standing, still_barred

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
GLANCE = 50e-6
"""Seconds after a look at both clocks in which decisions look at the wall clock alone."""
MAX_HELD = 20_000
"""Routes held; beyond it the one that was read the longest ago goes."""
MAX_ALIASES = 1_000
"""Ids and ARNs whose prompt's name is known."""
MAX_MISSES = 1_000
"""Prompts without a route of which it is known why; who asks for more of them than that asks the table again."""


class Reading:
    """One reading of a prompt's route, under way until `done`; it brought `live`, or `error`."""

    __slots__ = ("done", "error", "live")

    def __init__(self) -> None:
        self.done = False
        self.live: LiveRoute | None = None
        self.error: PromptlaneError | None = None


class Moment:
    """A moment by both clocks."""

    __slots__ = ("ticks", "wall")

    def __init__(self) -> None:
        self.ticks = monotonic()
        self.wall = time()

    def within(self, seconds: float) -> bool:
        """Whether it lies at most so far back, which both clocks must say: a clock that was set back tells nothing."""
        return monotonic() - self.ticks <= seconds and 0.0 <= time() - self.wall <= seconds

    def age(self) -> float:
        """Seconds since then, by the clock that says more."""
        return max(monotonic() - self.ticks, time() - self.wall)


class Routes:
    """The routes that this process uses.

    `refresh`: seconds between reads of a prompt in use (a tenth is jitter). `max_age`: a route older than this is tried
    again before it is used, for at most `patience` seconds, unless a try failed as lately as that.
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
        self._wanted: dict[str, Reading] = {}
        self._under_way: dict[str, Reading] = {}
        self._missing: dict[str, tuple[Moment, PromptlaneError]] = {}
        self._working = False

    def after_fork(self) -> None:
        """In a forked child: keep the routes, drop locks and work of threads that exist only in the parent."""
        self._forget_threads()
        for live in self.live.values():
            live.due = live.until = 0.0
            live.tried = live.read

    def fresh(self, live: LiveRoute, ticks: float, wall: float) -> bool:
        """Whether it need not be read yet, by both clocks; if so, the wall clock alone says it for a moment more."""
        if ticks < live.due and live.due_from <= wall < live.due_until:
            live.since, live.until = wall, min(wall + GLANCE, live.due_until)
            return True
        return False

    def current(self, prompt: str) -> LiveRoute:
        """The route to decide by now. Blocks only when none is held, or the one held is too old to be used untried."""
        live = self.live.get(prompt)
        if live is None:
            return self._first(prompt)
        if self.fresh(live, monotonic(), time()):
            return live
        with self._changed:
            live = self.live.get(prompt, live)
            if self.fresh(live, monotonic(), time()):
                return live
            unanswered = False
            if not self._untried(live):
                self._schedule(live, self._refresh)  # the next caller finds it not due: single flight
                self._want(prompt)
            else:
                live = self._tried(prompt, live)
                unanswered = self._untried(live)
                if unanswered:  # no answer in time is as good a try as an error
                    live.tried = Moment()
                    self._schedule(live, self._refresh)
        if unanswered:
            self._tell_stale(prompt, live.read.age())
        return self.live.get(prompt, live)

    def _untried(self, live: LiveRoute) -> bool:
        """Whether it is older than may be, by either clock, and nobody tried to read it since."""
        return not live.read.within(self._max_age) and not live.tried.within(self._max_age)

    def _tried(self, prompt: str, live: LiveRoute) -> LiveRoute:
        """What is held after a try, or after `patience`. A read from before a freeze is none, hence a second one."""
        left, until = self._patience, monotonic() + self._patience
        for _ in range(2):
            reading = self._want(prompt)
            self._wait(reading, left)
            live = reading.live or live
            left = until - monotonic()
            if not reading.done or not self._untried(live):
                break
        return live

    def _first(self, prompt: str) -> LiveRoute:
        with self._changed:
            live = self.live.get(prompt)
            if live is not None:
                return live
            missed, error = self._missing.get(prompt, (None, None))
            if missed is None or missed.age() >= self._refresh:
                again = 0.0 if prompt in self._fallback else self._patience
                reading = self._want(prompt)
                self._wait(reading, self._first_wait if missed is None else again)
                if reading.live is not None:
                    return reading.live
                error = reading.error or error
        if error is None:
            error = RouteUnavailable(
                f"the route of {prompt} could not be read within {self._first_wait:g} s and no fallback is configured; "
                "check the network path to DynamoDB, or pass fallback={prompt: version ARN}"
            )
        fallback = self._fallback.get(prompt)
        if fallback is None or isinstance(error, UnknownPrompt):
            raise _once_more(error)
        self._tell_stale(prompt, 0.0)
        return fallback

    def _want(self, prompt: str) -> Reading:
        reading = self._under_way.get(prompt)
        if reading is not None:
            return reading
        reading = self._under_way[prompt] = self._wanted[prompt] = Reading()
        if not self._working:
            self._working = True
            try:
                threading.Thread(target=self._work, name="promptlane-routes", daemon=True).start()
            except RuntimeError as error:  # the system has no more threads, or the interpreter ends
                self._working = False
                self._missed(prompt, reading, _unavailable(prompt, error), Moment())
                self._end({prompt: self._wanted.pop(prompt)})
        return reading

    def _wait(self, reading: Reading, seconds: float) -> None:
        self._changed.wait_for(lambda: reading.done, max(0.0, seconds))

    def _work(self) -> None:
        changed = self._changed
        while changed is self._changed:
            with changed:
                batch = {prompt: self._wanted.pop(prompt) for prompt in list(self._wanted)[:BATCH]}
                self._working = bool(batch)
            if not batch:
                return
            try:
                self._read(batch)
            except BaseException:
                self._working = False
                raise
            finally:
                with changed:
                    self._end(batch)

    def _end(self, batch: dict[str, Reading]) -> None:
        for prompt, reading in batch.items():
            reading.done = True
            if self._under_way.get(prompt) is reading:
                del self._under_way[prompt]
        with suppress(RuntimeError):  # a fork has taken the lock meanwhile, and nobody waits for this thread
            self._changed.notify_all()

    def _read(self, batch: dict[str, Reading]) -> None:
        began = Moment()
        try:
            items = self._items(list(batch))
        except Exception as error:  # noqa: BLE001 - whatever the store does, the last known routes are served
            for prompt, reading in batch.items():
                self._missed(prompt, reading, _unavailable(prompt, error), began)
            return
        again = self._again([prompt for prompt in batch if self._earlier(prompt, items.get(prompt))])
        for prompt, reading in batch.items():
            self._take(prompt, reading, again.get(prompt, items.get(prompt)), began, consistent=prompt in again)

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
        if len(self._names) > MAX_ALIASES:
            self._let_go(next(iter(self._names)))
        return item

    def _take(
        self,
        prompt: str,
        reading: Reading,
        item: Mapping[str, Any] | Exception | None,
        began: Moment,
        *,
        consistent: bool,
    ) -> None:
        if isinstance(item, Exception):
            self._missed(prompt, reading, _unavailable(prompt, item), began)
            return
        if item is None:
            none = f"no route for {prompt!r}: never released, or its name is misspelt; `promptlane status` lists them"
            self._missed(prompt, reading, UnknownPrompt(none), began)
            return
        try:
            live = self._later(prompt, self.live.get(prompt), item, consistent=consistent)
        except PromptlaneError as error:
            self._missed(prompt, reading, error, began)
            return
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            malformed = InvalidInput(f"the route of {prompt} is malformed ({error!r}); restore the table")
            self._missed(prompt, reading, malformed, began)
            return
        live.read = live.tried = began
        self._schedule(live, self._jittered())
        reading.live = live
        self._hold(prompt, live)
        self._missing.pop(prompt, None)

    def _later(self, prompt: str, held: LiveRoute | None, item: Mapping[str, Any], *, consistent: bool) -> LiveRoute:
        """What to go on with: the later one of the route held and the one read.

        A table that is certain to show an earlier route was put back to an earlier state. It is followed after
        `BELIEVED_AFTER` seconds, but to nothing that was rolled back since.
        """
        order = 1 if held is None else standing(held, item, consistent=consistent)
        if held is None or order > 0:
            self._behind.over(prompt)
            live = live_route(prompt, item)
            if held is not None:
                live.barred = still_barred(held, live)
            return self._told(prompt, live)
        if order == 0:
            self._behind.over(prompt)
            return held
        behind = self._behind.seconds(prompt, monotonic())
        if behind >= BELIEVED_AFTER and item["stable"]["fingerprint"] not in held.barred:
            self._behind.over(prompt)
            live = live_route(prompt, item, barred=held.barred)
            live.latest = held.latest
            return self._told(prompt, live)
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

    def _hold(self, prompt: str, live: LiveRoute) -> None:
        self.live[prompt] = live
        if len(self.live) > MAX_HELD:
            self._let_go(min(list(self.live.items()), key=lambda held: held[1].read.ticks)[0])

    def _let_go(self, prompt: str) -> None:
        self.live.pop(prompt, None)
        self._names.pop(prompt, None)
        self._behind.over(prompt)

    def _missed(self, prompt: str, reading: Reading, error: PromptlaneError, began: Moment) -> None:
        """Nothing new for this prompt: go on with what is held, and try again not sooner than the next refresh."""
        held = self.live.get(prompt)
        if held is None:
            reading.error = error
            self._missing.pop(prompt, None)
            self._missing[prompt] = Moment(), error
            if len(self._missing) > MAX_MISSES:
                del self._missing[next(iter(self._missing))]
        else:
            held.tried = began
            self._schedule(held, self._jittered())
            self._tell_stale(prompt, held.read.age())

    def _schedule(self, live: LiveRoute, seconds: float) -> None:
        """Due after so long by either clock; at once where even the last try was too long ago."""
        ticks, wall = monotonic(), time()
        live.due = ticks if self._untried(live) else ticks + seconds
        live.due_from, live.due_until = wall, wall + seconds

    def _jittered(self) -> float:
        return self._refresh * (0.9 + os.urandom(1)[0] / 1280)

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
    error.__traceback__ = error.__context__ = None  # frames of the SDK, which would be kept as long as the failure
    failure.__cause__ = error
    return failure


def _once_more(error: PromptlaneError) -> PromptlaneError:
    """The error for one who asks: what is remembered keeps no frames of those who were told."""
    again = type(error)(*error.args)
    again.__cause__ = error.__cause__
    return again
