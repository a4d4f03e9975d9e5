"""What each prompt's route named at each moment, and what a client may still hold of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import inf

from promptlane.domain import split
from promptlane.domain.names import Phase
from promptlane.domain.release.route import Route
from tests.soak.notes import Line
from tests.soak.writer import Named, Written

READING = 0.5
"""Seconds that a read takes."""


class History:
    """`bound`: seconds that a client may serve by what a route named before (docs/application.md).

    `outages`: (from, until) in which the table could not be read, for all prompts; `unsettled`: (prompt, from, until)
    of a restore that was not mended yet; `stale`: notes of clients that said that they served an old route, and since
    when they had it.
    """

    def __init__(
        self,
        written: list[Written],
        *,
        bound: float,
        outages: Iterable[tuple[float, float]] = (),
        unsettled: Iterable[tuple[str, float, float]] = (),
        stale: Iterable[Line] = (),
    ) -> None:
        self.bound = bound
        self._spans: dict[str, list[tuple[float, float, Written]]] = defaultdict(list)
        self._routes: dict[tuple[str, int], Route] = {}
        by_prompt: dict[str, list[Written]] = defaultdict(list)
        for one in written:
            by_prompt[one.prompt].append(one)
            if one.route is not None:
                self._routes[one.prompt, one.route.revision] = one.route
        for prompt, writes in by_prompt.items():
            for one, after in zip(writes, [*writes[1:], None], strict=True):
                self._spans[prompt].append((one.began, after.done if after else inf, one))
        self._outages = list(outages)
        self._unsettled = list(unsettled)
        self._stale: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
        for line in stale:
            self._stale[line["pid"], line["prompt"]].append((line["since"], line["at"]))

    def named(self, prompt: str, begun: float, called: float, *, pid: int = 0) -> Named:
        """All that a request of this process, begun then, may have been decided by when the model was called."""
        since = self.since(prompt, begun, pid=pid)
        return frozenset(
            name for start, end, one in self._spans[prompt] if start <= called and end >= since for name in one.names
        )

    def routes(self, prompt: str, begun: float, ended: float, *, pid: int = 0) -> list[Route]:
        since = self.since(prompt, begun, pid=pid)
        spans = self._spans[prompt]
        return [one.route for start, end, one in spans if start <= ended and end >= since and one.route is not None]

    def since(self, prompt: str, begun: float, *, pid: int) -> float:
        """The oldest moment whose route a decision at `begun` may be by."""
        unreadable = [*self._outages, *((start, end) for name, start, end in self._unsettled if name == prompt)]
        windows = [(start - self.bound, start, end) for start, end in unreadable]
        windows += [(start - READING, start, end) for start, end in self._stale.get((pid, prompt), ())]
        since = begun - self.bound
        for oldest, start, end in sorted(windows, key=lambda window: -window[2]):
            if start <= begun and end >= since:
                since = min(since, oldest)
        return since

    def with_revision(self, prompt: str, revision: int) -> Route | None:
        return self._routes.get((prompt, revision))

    def told(self, prompt: str, since: float, until: float) -> list[tuple[float, str]]:
        """What happened to a prompt's route meanwhile, in words."""
        rows = []
        for start, _, one in self._spans[prompt]:
            if since <= start <= until:
                what = "deleted" if one.route is None else f"revision {one.route.revision} names {sorted(one.names)}"
                rows.append((start, f"route {what}"))
        windows = [(start, end, "restored or remade") for name, start, end in self._unsettled if name == prompt]
        for start, end, what in windows:
            if start <= until and end >= since:
                rows += [(start, f"{what} ..."), (end, f"... {what}, over")]
        return rows


def canary_of(route: Route, unit: str) -> int | None:
    """The canary that this unit gets by the route; None where it gets none."""
    if route.phase is not Phase.CANARY or route.canary is None:
        return None
    return route.canary.version if split.bucket(route.salt, unit) < route.weight else None
