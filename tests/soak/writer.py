"""The one writer of routes: releases, rollbacks, restores from backup, prompts that are deleted and made anew.

It notes of every write what the route named from then on, so that it is known for each moment.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from promptlane.domain.names import Phase
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import Route, epoch_after, salt_of
from tests.soak.clocks import real_time

Named = frozenset[tuple[str, int, str]]
"""(prompt id, version, track)."""


class Written(NamedTuple):
    """One write: from when at the earliest and at the latest it could be read, and what it names; None: no route."""

    prompt: str
    began: float
    done: float
    route: Route | None

    @property
    def names(self) -> Named:
        return frozenset() if self.route is None else named(self.route)


def named(route: Route) -> Named:
    tracks = {"stable": route.stable, "canary": route.canary, "holdback": route.previous}
    return frozenset((prompt_id_of(ref), ref.version, track) for track, ref in tracks.items() if ref is not None)


def prompt_id_of(ref: VersionRef) -> str:
    return ref.arn.rpartition("/")[2].partition(":")[0]


@dataclass
class Prompt:
    """A prompt under release. `backup`: a route of before; `newest`: the newest version that was made."""

    name: str
    route: Route
    backup: Route
    newest: int
    generation: int


class RouteWriter:
    """`put(item)` and `delete(prompt)` are the table's own, unconditional: nobody else writes."""

    def __init__(self, put: Callable[[dict[str, Any]], None], delete: Callable[[str], None], seed: int) -> None:
        self._put = put
        self._delete = delete
        self._draw = random.Random(f"writer {seed}")
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.written: list[Written] = []
        self.prompts: dict[str, Prompt] = {}
        self.harmful: set[tuple[str, int]] = set()
        self.unsettled: list[tuple[str, float, float]] = []
        """(prompt, from, until): after a restore, until the mended route stood; a prompt gone, until it was remade."""

    def add(self, name: str) -> None:
        route = replace(self._steady(name, generation=0), epoch=epoch_after(0, real_time()))
        self.prompts[name] = Prompt(name, route, route, 1, 0)
        self._write(name, route)

    def step(self, name: str) -> None:
        """The release's next step: a canary, a larger share, promotion into watch, the end of it; or a rollback."""
        with self._lock:
            prompt = self.prompts[name]
            held = prompt.route
            if held.phase is Phase.STEADY:
                prompt.backup = held
                prompt.newest += 1
                canary = ref(prompt_id_of(held.stable), prompt.newest)
                release = f"{prompt_id_of(held.stable)}-{prompt.newest}-1"
                if prompt.newest % 4 == 0:
                    self.harmful.add((prompt_id_of(canary), prompt.newest))
                route = replace(
                    held, canary=canary, weight=2000, phase=Phase.CANARY, release_id=release, salt=salt_of(release)
                )
            elif held.phase is Phase.CANARY:
                assert held.canary is not None
                harmful = (prompt_id_of(held.canary), held.canary.version) in self.harmful
                if harmful or self._draw.random() < 0.2:
                    route = replace(held, canary=None, previous=None, weight=0, phase=Phase.STEADY)
                elif held.weight < 5000:
                    route = replace(held, weight=6000)
                else:
                    route = replace(
                        held,
                        stable=held.canary,
                        previous=held.stable,
                        canary=None,
                        weight=0,
                        holdback=2000,
                        phase=Phase.WATCH,
                    )
            else:
                route = replace(held, previous=None, holdback=0, phase=Phase.STEADY)
            self._next(prompt, route)

    def restore(self, name: str, *, emptied: bool, wait: Callable[[float], object], mend: float) -> None:
        """Put the backup back, after the table was empty for a while if `emptied`; mended after `mend` seconds."""
        with self._lock:
            prompt = self.prompts[name]
            began = real_time()
            if emptied:
                self._delete(name)
                self._note(name, began, None)
                wait(1.0)
            self._write(name, prompt.backup)
            wait(mend)
            highest = max(w.route.revision for w in self.written if w.prompt == name and w.route is not None)
            epoch = epoch_after(prompt.backup.epoch, real_time())
            mended = replace(prompt.backup, revision=highest + 1, epoch=epoch)
            self._write(name, mended)
            prompt.route = mended
            self.unsettled.append((name, began, real_time()))

    def remake(self, name: str, *, gone: Callable[[str], None], wait: Callable[[float], object], after: float) -> None:
        """Delete the prompt in Bedrock, make another of its name, and release its first version `after` seconds."""
        with self._lock:
            prompt = self.prompts[name]
            began = real_time()
            gone(prompt_id_of(prompt.route.stable))
            wait(after)
            prompt.generation += 1
            prompt.newest = 1
            self._next(prompt, self._steady(name, generation=prompt.generation))
            prompt.backup = prompt.route
            self.unsettled.append((name, began, real_time()))

    def _next(self, prompt: Prompt, route: Route) -> None:
        held = prompt.route
        prompt.route = replace(route, revision=held.revision + 1, epoch=epoch_after(held.epoch, real_time()))
        self._write(prompt.name, prompt.route)

    def _write(self, name: str, route: Route) -> None:
        began = real_time()
        self._put(route.to_item())
        self._note(name, began, route)

    def _note(self, name: str, began: float, route: Route | None) -> None:
        self.written.append(Written(name, began, real_time(), route))

    @staticmethod
    def _steady(name: str, *, generation: int) -> Route:
        """A prompt whose first version was released."""
        prompt_id = f"{name.upper():A<8.8}{generation:02d}"
        release = f"{prompt_id}-1-1"
        return Route(
            prompt=name,
            prompt_id=prompt_id,
            stable=ref(prompt_id, 1),
            salt=salt_of(release),
            release_id=release,
        )


def ref(prompt_id: str, version: int) -> VersionRef:
    arn = f"arn:aws:bedrock:us-east-1:111122223333:prompt/{prompt_id}:{version}"
    return VersionRef(version, f"{version:064x}", arn)
