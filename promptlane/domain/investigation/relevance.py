"""Which releases and versions an investigation reads, when a prompt has had more than it can read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from promptlane.domain.names import Outcome
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.trail import Window

MOST_RELEASES: Final = 20
MOST_VERSIONS: Final = 8
_HAD_TRAFFIC: Final = (Outcome.PROMOTED, Outcome.ROLLED_BACK)


def nearest_releases(
    releases: Sequence[Release], route: Route | None, window: Window
) -> tuple[list[Release], list[Release]]:
    """(read, left out): those of versions that the route names, and the nearest to the window of the others."""
    named = _named(route)
    spans = _spans(releases)

    def rank(release: Release) -> tuple[bool, float, float]:
        span = spans[release.release_id]
        return release.version not in named, span.distance(window), -span.until

    kept = {r.release_id for r in sorted(releases, key=rank)[:MOST_RELEASES]}
    return [r for r in releases if r.release_id in kept], [r for r in releases if r.release_id not in kept]


def nearest_versions(
    route: Route | None, releases: Sequence[Release], entries: Sequence[TimelineEntry], window: Window
) -> tuple[list[int], list[int]]:
    """(read, left out) of the versions that may have had traffic: always those that the route names."""
    named, spans = _named(route), _served(releases, entries)

    def rank(version: int) -> tuple[float, float, int]:
        return spans[version].distance(window), -spans[version].until, -version

    others = sorted(spans.keys() - named, key=rank)
    room = MOST_VERSIONS - len(named)
    return sorted([*named, *others[:room]]), sorted(others[room:])


def _named(route: Route | None) -> set[int]:
    return {ref.version for ref in route.named} if route else set()


def _spans(releases: Sequence[Release]) -> dict[str, Window]:
    """How long each release mattered: one that was promoted, until the next one was."""
    spans: dict[str, Window] = {}
    replaced = math.inf
    for release in sorted(releases, key=lambda r: r.started_at, reverse=True):
        end = release.ended_at or math.inf
        spans[release.release_id] = Window(release.started_at, replaced if release.outcome is Outcome.PROMOTED else end)
        if release.outcome is Outcome.PROMOTED:
            replaced = end
    return spans


def _served(releases: Sequence[Release], entries: Sequence[TimelineEntry]) -> Mapping[int, Window]:
    """When each version may have had traffic. Other events than shifts name versions that never got any."""
    served: dict[int, Window] = {}

    def add(version: int, span: Window) -> None:
        served[version] = served[version].joined(span) if version in served else span

    spans = _spans(releases)
    for release in releases:
        if release.state in ("canary", "watch") or release.outcome in _HAD_TRAFFIC:
            add(release.version, spans[release.release_id])
    for entry in entries:
        if entry.event is Event.CANARY_SHIFTED:
            for name in ("version", "stable"):
                if entry.detail.get(name):
                    add(int(entry.detail[name]), Window(entry.at, entry.at))
    return served
