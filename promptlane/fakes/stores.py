"""The two tables, in memory and thread safe."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from promptlane.domain.errors import AlreadyExists, Conflict, NotFound
from promptlane.domain.keys import IDENTITY, PROMPT, QUARANTINE
from promptlane.domain.names import parse_release_id
from promptlane.domain.release import notice
from promptlane.domain.release.meant import Identity
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.quarantine import Quarantine, at_six_digits, lifted_by
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.replay import route_revision
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import GENESIS, ChainHead, TimelineEntry

from .limits import check_entries, check_item, check_key


class InMemoryRoutes:
    """`RouteStore` in memory. `history` keeps every route that was ever written, for tests of invariants."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._routes: dict[str, Route] = {}
        self.history: list[Route] = []

    def get(self, prompt: str) -> Route | None:
        check_key(prompt)
        with self._lock:
            return self._routes.get(prompt)

    def all(self) -> list[Route]:
        with self._lock:
            return [self._routes[prompt] for prompt in sorted(self._routes)]

    def put(self, route: Route, *, expected: Route | None) -> None:
        check_item(route.to_item(), partition_key=route.prompt)
        with self._lock:
            stored = self._routes.get(route.prompt)
            if _key(stored) != _key(expected):
                raise Conflict(f"the route of {route.prompt} moved to {_key(stored)} since {_key(expected)} was read")
            # Through the stored form, so that what cannot be stored cannot pass a test.
            self._routes[route.prompt] = Route.from_item(route.to_item())
            self.history.append(route)


class InMemoryQuarantine:
    """`OlderQuarantine` in memory."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], dict[str, Any]] = {}

    def keep(self, prompt: str, entries: Quarantine) -> None:
        for fingerprint, entry in entries.items():
            check_item(entry, partition_key=f"{QUARANTINE}{prompt}", sort_key=fingerprint)
            new = {"at": 0, **entry}
            there = self._kept.get((prompt, fingerprint))
            if there is None or there["at"] < new["at"]:
                self._kept[prompt, fingerprint] = new

    def alike(self, prompt: str, ref: VersionRef) -> Quarantine:
        return {
            fingerprint: entry
            for fingerprint, entry in self.all(prompt).items()
            if at_six_digits(fingerprint, entry) in lifted_by(ref)
        }

    def all(self, prompt: str) -> Quarantine:
        return {
            fingerprint: dict(entry)
            for (name, fingerprint), entry in sorted(self._kept.items())
            if name == prompt and "lifted_by" not in entry
        }

    def lift(self, prompt: str, ref: VersionRef, *, by: str) -> None:
        for fingerprint in lifted_by(ref):
            if fingerprint in self.alike(prompt, ref):
                self._kept[prompt, fingerprint]["lifted_by"] = by


def _key(route: Route | None) -> tuple[int, int, str] | None:
    return None if route is None else (route.epoch, route.revision, route.release_id)


class InMemoryIdentities:
    """`Identities` and `Watched` in memory."""

    def __init__(self) -> None:
        self._fixed: dict[str, Identity] = {}
        self._told: set[tuple[str, str]] = set()
        self._states: dict[str, str] = {}

    def get(self, prompt: str) -> Identity | None:
        return self._fixed.get(prompt)

    def of(self, prompts: Sequence[str]) -> dict[str, Identity]:
        return {prompt: self._fixed[prompt] for prompt in prompts if prompt in self._fixed}

    def fix(self, identity: Identity, *, expected: Identity | None) -> None:
        check_item(identity.to_item(), partition_key=f"{IDENTITY}{identity.prompt}")
        if self._fixed.get(identity.prompt) != expected:
            raise Conflict(f"the prompt id of {identity.prompt} was fixed meanwhile")
        self._fixed[identity.prompt] = Identity.from_item(identity.to_item())

    def told(self, prompt: str, event_id: str) -> bool:
        return (prompt, event_id) in self._told

    def tell(self, prompt: str, event_id: str, at: float) -> None:
        self._told.add((prompt, event_id))

    def state(self, prompt: str) -> str:
        return self._states.get(prompt, "")

    def found(self, prompt: str, state: str, at: float) -> None:
        self._states[prompt] = state


class InMemoryCursors:
    """`Cursors` in memory."""

    def __init__(self) -> None:
        self._after: dict[str, str] = {}

    def get(self, run: str) -> str:
        return self._after.get(run, "")

    def put(self, run: str, after: str) -> None:
        self._after[run] = after


class InMemoryReleases:
    """`ReleaseStore` in memory."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._releases: dict[str, Release] = {}
        self._locks: dict[str, str] = {}
        self._waiting: dict[tuple[str, int], Waiting] = {}
        self._waited: dict[str, float] = {}
        self._timelines: dict[str, list[TimelineEntry]] = {}
        self._at_enrolment: dict[str, int] = {}
        self._owed: dict[tuple[str, str], TimelineEntry] = {}

    def start(self, release: Release, entry: TimelineEntry) -> None:
        with self._lock:
            self._check(release, [entry], changes=2)
            if release.release_id in self._releases:
                raise AlreadyExists(f"release {release.release_id} exists already")
            holder = self._locks.get(release.prompt_id)
            if holder is not None:
                raise Conflict(f"release {holder} of {release.prompt} is in flight")
            if self.has_any([entry]):
                raise AlreadyExists(f"the timeline of {release.release_id} has its first entry already")
            self._locks[release.prompt_id] = release.release_id
            self._write(release, [entry])

    def record_ended(self, release: Release, *entries: TimelineEntry) -> None:
        with self._lock:
            self._check(release, entries, changes=1)
            if release.release_id in self._releases or self.has_any(entries):
                raise AlreadyExists(f"release {release.release_id} exists already")
            self._write(release, entries)

    def get(self, release_id: str) -> Release:
        found = self.find(release_id)
        if found is None:
            raise NotFound(f"there is no release {release_id!r}; `promptlane history <prompt>` lists them")
        return found

    def find(self, release_id: str) -> Release | None:
        parse_release_id(release_id)
        with self._lock:
            return self._releases.get(release_id)

    def update(self, release: Release, *entries: TimelineEntry) -> Release:
        with self._lock:
            self._check(release, entries, changes=1)
            stored = self._releases.get(release.release_id)
            if stored is None or stored.revision != release.revision or self.has_any(entries):
                raise Conflict(f"release {release.release_id} was changed meanwhile")
            written = replace(release, revision=release.revision + 1)
            self._write(written, entries)
            return written

    def _check(self, release: Release, entries: Sequence[TimelineEntry], *, changes: int) -> None:
        check_item(release.to_item(), partition_key=f"{PROMPT}{release.prompt_id}")
        check_entries(entries, changes=changes)

    def _write(self, release: Release, entries: Sequence[TimelineEntry]) -> None:
        # Through the stored form, so that what cannot be stored cannot pass a test.
        self._releases[release.release_id] = Release.from_item(release.to_item())
        for entry in entries:
            self.append(entry)

    def has_any(self, entries: Sequence[TimelineEntry]) -> bool:
        """Whether a timeline has one of these entries already: then a write of all of them writes nothing."""
        return any(e.id == entry.id for entry in entries for e in self._timelines.get(entry.release_id, []))

    def append(self, entry: TimelineEntry) -> bool:
        with self._lock:
            check_entries([entry], changes=0)
            if self.has_any([entry]):
                return False
            entries = self._timelines.setdefault(entry.release_id, [])
            last = entries[-1].hash if entries else GENESIS
            entries.append(TimelineEntry.from_dict(entry.chained(len(entries) + 1, last).to_dict()))
            if notice.is_told(entry):
                self._owed[entry.release_id, entry.id] = entries[-1]
            return True

    def owed(self, release_id: str = "") -> list[TimelineEntry]:
        with self._lock:
            mine = [e for e in self._owed.values() if release_id in ("", e.release_id)]
        return sorted(mine, key=lambda entry: entry.at)

    def told(self, entry: TimelineEntry) -> None:
        with self._lock:
            self._owed.pop((entry.release_id, entry.id), None)

    def timeline(self, release_id: str) -> list[TimelineEntry]:
        with self._lock:
            return list(self._timelines.get(release_id, []))

    def head(self, release_id: str) -> ChainHead | None:
        with self._lock:
            entries = self._timelines.get(release_id)
            return ChainHead(entries[-1].seq, entries[-1].hash) if entries else None

    def written(self, release_id: str) -> dict[str, int]:
        found = {e.id: route_revision(e.id, release_id) for e in self.timeline(release_id)}
        return {name: revision for name, revision in found.items() if revision}

    def of_prompt(self, prompt_id: str) -> list[Release]:
        with self._lock:
            mine = [r for r in self._releases.values() if r.prompt_id == prompt_id]
        return sorted(mine, key=lambda r: (r.version, r.attempt))

    def newest(self, prompt_id: str) -> Release | None:
        return next(reversed(self.of_prompt(prompt_id)), None)

    def busy(self, prompt_ids: Sequence[str], *, since: float) -> set[str]:
        with self._lock:
            late = {prompt_id for prompt_id, waited in self._waited.items() if waited >= since}
            return {*self._locks, *late} & set(prompt_ids)

    def holder(self, prompt_id: str) -> str | None:
        with self._lock:
            return self._locks.get(prompt_id)

    def unlock(self, prompt_id: str, release_id: str) -> None:
        with self._lock:
            if self._locks.get(prompt_id) == release_id:
                del self._locks[prompt_id]

    def wait(self, waiting: Waiting) -> bool:
        with self._lock:
            key = (waiting.prompt_id, waiting.version)
            self._waited[waiting.prompt_id] = waiting.since
            if key in self._waiting:
                return False
            self._waiting[key] = waiting
            return True

    def waiting(self, prompt_id: str) -> list[Waiting]:
        with self._lock:
            return sorted((w for w in self._waiting.values() if w.prompt_id == prompt_id), key=lambda w: w.version)

    def stop_waiting(self, prompt_id: str, version: int) -> None:
        with self._lock:
            self._waiting.pop((prompt_id, version), None)

    def at_enrolment(self, prompt_id: str, newest: int, now: float) -> int:
        with self._lock:
            return self._at_enrolment.setdefault(prompt_id, newest)


class InMemoryTurns:
    """`Turns`."""

    def __init__(self) -> None:
        self.holder, self.until = "", 0.0

    def take(self, release_id: str, now: float, until: float) -> bool:
        if self.holder not in ("", release_id) and self.until >= now:
            return False
        self.holder, self.until = release_id, until
        return True

    def give_back(self, release_id: str) -> None:
        if self.holder == release_id:
            self.holder = ""
