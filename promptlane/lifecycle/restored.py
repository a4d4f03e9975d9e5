"""A route table that was restored from a backup: noticed by its revision, said, and no rollback forgotten by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from promptlane.domain.errors import NotFound
from promptlane.domain.names import Outcome
from promptlane.domain.ports import Clock, OlderQuarantine, ReleaseStore, RouteStore
from promptlane.domain.release.quarantine import Quarantine, entry_of, lifted_by
from promptlane.domain.release.release import Release
from promptlane.domain.release.replay import route_epoch
from promptlane.domain.release.restoration import restored
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event

from .routing import change, move_pending, without_moved

MOST_READ: Final = 300
"""Releases whose timelines are read, the newest: what was rolled back before lies beside the route since long."""


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """Only who may write routes takes it."""

    routes: RouteStore
    releases: ReleaseStore
    quarantine: OlderQuarantine
    clock: Clock

    def mend(self, prompt: str) -> Route | None:
        """The route after all that were written; None where it was not restored, or is none.

        What was rolled back since the backup is barred again, beside the route, before its revision is raised: from
        then on nobody sees that it was restored. With the revision it gets no traffic of the route any more, which bars
        it too.
        """
        route = self.routes.get(prompt)
        if route is None or not written(self.releases, route):
            return None
        releases = sorted(self.releases.of_prompt(route.prompt_id), key=lambda r: r.started_at)
        barred = self._bar_again(route, releases)
        promoted = [r.candidate for r in releases if r.candidate is not None and r.outcome is Outcome.PROMOTED]

        def raised(stored: Route) -> Route:
            known = written(self.releases, stored)
            if known is None:
                return stored
            # Also where the clock of whoever wrote before was ahead of this one.
            base, now = without_moved(self.releases, stored), max(self.clock(), known.epoch / 1000 + 1)
            return restored(base, written=known.revision, now=now, taken_back=barred, promoted=promoted)

        try:
            mended = change(self.routes, prompt, raised)
        except NotFound:
            return None
        move_pending(self.releases, mended)
        return mended

    def _bar_again(self, route: Route, releases: Sequence[Release]) -> Quarantine:
        """What was rolled back, and was given no traffic by a release after that; put beside the route.

        By the timelines: an operator may roll back what a release promoted that ended long ago, or gave traffic before.
        """
        refs = {release.version: release.candidate for release in releases if release.candidate is not None}
        told = [e for release in releases[-MOST_READ:] for e in self.releases.timeline(release.release_id)]
        barred: dict[str, dict[str, Any]] = {}
        for entry in sorted(told, key=lambda e: e.at):
            ref = refs.get(int(entry.detail.get("version") or 0))
            if ref is None:
                continue
            if entry.event is Event.ROLLED_BACK:
                barred[ref.fingerprint] = entry_of(ref, entry.release_id, entry.at)
            elif entry.event is Event.CANARY_SHIFTED and entry.detail.get("weight"):
                for fingerprint in lifted_by(ref):
                    barred.pop(fingerprint, None)
        if missing := {key: entry for key, entry in barred.items() if key not in route.quarantined}:
            self.quarantine.keep(route.prompt, missing)
        return barred


class Written(NamedTuple):
    """The latest of the writes that a route's table does not show."""

    revision: int
    epoch: int


def written(releases: ReleaseStore, route: Route) -> Written | None:
    """The highest revision and epoch that others than this route's own writes had; None where it is the latest.

    By the timelines of the route's and of the newest release: what is not told by an entry that still rides on the
    route was written before it, with a lower revision and an earlier epoch, unless the table was restored.
    """
    newest = releases.newest(route.prompt_id)
    names = {route.release_id, newest.release_id if newest else ""} - {""}
    own = {entry.id for entry in route.pending}
    others = {id: revision for name in names for id, revision in releases.written(name).items() if id not in own}
    latest = Written(max(others.values(), default=0), max(map(route_epoch, others), default=0))
    later = latest.revision >= route.revision or (0 < route.epoch < latest.epoch)
    return latest if later else None
