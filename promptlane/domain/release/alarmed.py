"""Which alarms say something about what a route does now."""

from __future__ import annotations

from promptlane.domain.errors import NotApplicable
from promptlane.domain.names import Phase, Track

from .route import Route


def alarm_applies(route: Route, *, track: Track, changed_at: float) -> None:
    """Raise NotApplicable, with the reason, when an alarm on `track` that changed at `changed_at` says nothing now.

    Canary: alarms on the canary since the phase began. Watch: alarms on stable since then, and those on the canary
    since this release's first shift, since a promotion may overtake the alarm that condemns what it promotes. Older
    ones are stale. CloudWatch stamps a change with milliseconds: one in the moment in which the phase began counts.
    """
    if route.phase is Phase.STEADY:
        raise NotApplicable(f"{route.prompt} is steady: no release is in canary or in watch")
    since = {Track.CANARY: route.phase_since} if route.phase is Phase.CANARY else {Track.STABLE: route.phase_since}
    if route.phase is Phase.WATCH and route.shifts:
        since[Track.CANARY] = route.shifts[0][0]
    if track not in since:
        raise NotApplicable(
            f"{route.prompt} is in {route.phase}: an alarm on track {track} does not condemn the release"
        )
    if changed_at < since[track]:
        raise NotApplicable("the alarm changed before this phase began: it is about an earlier release or phase")
