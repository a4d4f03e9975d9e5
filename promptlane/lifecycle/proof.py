"""Reads whatever an auditor reads of a release, at one moment, and compares it with the timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptlane.domain.errors import NotFound, Unavailable
from promptlane.domain.ports import Clock, Objects, OlderQuarantine, ReleaseStore, RouteStore
from promptlane.domain.release.findings import Findings
from promptlane.domain.release.release import Release
from promptlane.domain.release.routed import route_findings
from promptlane.domain.release.timeline import TimelineEntry, digest, head_problems
from promptlane.domain.review.ports import ReviewStore
from promptlane.domain.review.proof import Evidence, named_digests, rounds_of, small_objects

Json = Any
Each = Callable[[Callable[[str], list[TimelineEntry]], Sequence[str]], Iterable[list[TimelineEntry]]]
READINGS: Final = 6
"""How often a release that moves on meanwhile is read again."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read, and what the head of its chain says against it."""

    evidence: Evidence
    head_problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Where it is read."""

    releases: ReleaseStore
    reviews: ReviewStore
    objects: Objects
    clock: Clock

    def read(self, release_id: str) -> Read:
        """Everything of one release. NotFound; Unavailable when it never stands still.

        Record, decisions and entries are written in transactions that move the head of the chain: if neither it nor the
        record changed while the rest was read, all is of one moment.
        """
        for _ in range(READINGS):
            head, record = self.releases.head(release_id), self.releases.get(release_id)
            entries = self.releases.timeline(release_id)
            evidence = self._evidence(record, entries)
            after = self.releases.head(release_id)
            if (head, record) == (after, self.releases.get(release_id)):
                return Read(evidence, tuple(head_problems(entries, head, after)))
        raise Unavailable(f"release {release_id} keeps moving on; ask again")

    def _evidence(self, record: Release, entries: Sequence[TimelineEntry]) -> Evidence:
        name = record.release_id
        request = self.reviews.get(name)
        decisions = {number: self.reviews.decisions(name, number) for number in rounds_of(entries, request)}
        objects = {key: self._object(key) for key in small_objects(record, entries)}
        digests = {key: None if body is None else digest(body) for key, body in objects.items()}
        for key in named_digests(record, entries):
            if key not in digests:
                body = self._object(key)
                digests[key] = None if body is None else digest(body)
        return Evidence(
            release=record,
            entries=tuple(entries),
            request=request,
            decisions=decisions,
            objects=objects,
            digests=digests,
            now=self.clock(),
        )

    def _object(self, key: str) -> bytes | None:
        try:
            return self.objects.get(key)
        except NotFound:
            return None


def route_proof(
    prompt: str,
    names: Sequence[str],
    *,
    routes: RouteStore,
    releases: ReleaseStore,
    quarantine: OlderQuarantine,
    each: Each = map,
) -> Findings:
    """A prompt's route beside the timelines of its releases. `each` reads those, in order: one by one, or at once."""
    for _ in range(READINGS):
        route, found = routes.get(prompt), Findings()
        if route is None:
            return found
        now = dict(zip(names, each(releases.timeline, names), strict=True))
        route_findings(route, now, found, older=quarantine.all(prompt))
        if routes.get(prompt) == route:
            return found
    raise Unavailable(f"the route of {prompt} keeps moving on; ask again")
