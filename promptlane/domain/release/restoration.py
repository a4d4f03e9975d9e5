"""The route of a table that was restored: it comes after all that was written, and names nothing taken back since."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from promptlane.domain.names import Phase, prompt_id_of

from .prompt import VersionRef
from .quarantine import Quarantine, newest
from .route import Route, next_route
from .timeline import SYSTEM, Event


def restored(
    route: Route,
    *,
    written: int,
    now: float,
    taken_back: Quarantine | None = None,
    promoted: Sequence[VersionRef] = (),
) -> Route:
    """The next route, with a revision above all that were `written` before, which clients that know no epochs go by.

    `taken_back`: the contents that were rolled back, as quarantined. What the route gives them goes to the version that
    it remembers, else to the last one of `promoted` (in the order of their promotion) that was not taken back. Where
    there is none, stable stays and people are told. The newest of them are on the route again, for clients to know.
    """
    taken_back = taken_back or {}
    after = _calm(route, _without(route, taken_back, promoted), now)
    after = replace(after, quarantined={**newest(taken_back), **route.quarantined})
    named = {ref.version for ref in after.named}
    gone = sorted({ref.version for ref in route.named if ref.fingerprint in taken_back} - named)
    detail = {
        "revision": route.revision,
        "written": written,
        "stable": after.stable.version,
        "canary": after.canary.version if after.canary else None,
        "weight": after.weight,
        "watch_until": after.watch_until,
        **({"taken_back": gone} if gone else {}),
        **({"still_bad": True} if after.stable.fingerprint in taken_back else {}),
    }
    base = replace(route, revision=max(written, route.revision))
    return next_route(base, after, Event.ROUTE_RESTORED, now, SYSTEM, detail)


def _without(route: Route, taken_back: Collection[str], promoted: Sequence[VersionRef]) -> Route:
    """The route with nothing that was taken back, as far as another version is known."""

    def bad(ref: VersionRef | None) -> bool:
        return ref is not None and ref.fingerprint in taken_back

    if bad(route.stable):
        known = [ref for ref in (*promoted, route.previous) if ref is not None and not bad(ref)]
        stable = known[-1] if known else route.stable
        prompt_id = prompt_id_of(stable.arn) or route.prompt_id
        return replace(route, prompt_id=prompt_id, stable=stable, previous=None, canary=None)
    if bad(route.canary):
        return replace(route, previous=None, canary=None)
    if bad(route.previous):
        return replace(route, previous=None, holdback=0)
    return route


def _calm(route: Route, safe: Route, now: float) -> Route:
    """Nothing is on trial any more where what was on trial is gone."""
    if (route.stable, route.canary) == (safe.stable, safe.canary):
        return safe
    return replace(safe, weight=0, holdback=0, phase=Phase.STEADY, phase_since=now, watch_until=0.0)
