"""The route of a name whose prompt was deleted and made anew: nothing of it can be served, compared or gone back to."""

from __future__ import annotations

from promptlane.domain.errors import NotApplicable
from promptlane.domain.names import Phase

from .quarantine import Quarantine, lifted_by
from .release import Release
from .route import Gone, Quarantined, Route, next_route, salt_of
from .timeline import SYSTEM, Event


def made_anew(route: Route, release: Release, *, older: Quarantine, now: float) -> Route:
    """The release's candidate for everybody, as a first version is promoted; the same route where that was done.

    What was rolled back stays barred, as `older` beside the route. Raises Gone, Quarantined, or NotApplicable while a
    release of the prompt that is gone is in canary.
    """
    candidate, name = release.candidate, release.release_id
    if candidate is None or route.rolled_back(name, older):
        raise Gone(f"release {name} was rolled back or never admitted")
    if route.release_id == name:
        return route
    if route.phase is Phase.CANARY:
        raise NotApplicable(f"release {route.release_id} of {route.prompt} is in canary; wait for its end")
    if not release.explicit and (bad := route.barred(candidate, older)):
        raise Quarantined(
            f"version {candidate.version} of {route.prompt} has a content that was rolled back in release "
            f"{bad.get('release_id')}; ask for it explicitly with `promptlane release`"
        )
    anew = Route(
        prompt=route.prompt,
        prompt_id=release.prompt_id,
        stable=candidate,
        salt=salt_of(name),
        release_id=name,
        phase_since=now,
        quarantined={k: v for k, v in route.quarantined.items() if k not in lifted_by(candidate)},
        pending=route.pending,
    )
    detail = {"version": candidate.version, "first": True}
    return next_route(route, anew, Event.PROMOTED, now, SYSTEM, detail)
