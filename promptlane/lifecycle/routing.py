"""Writing the route: read, decide, write conditionally, and decide again when somebody was faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from promptlane.domain.errors import Conflict, NotFound
from promptlane.domain.ports import Clock, OlderQuarantine, ReleaseStore, RouteStore
from promptlane.domain.release.route import Route

ATTEMPTS = 20


def change(routes: RouteStore, prompt: str, transition: Callable[[Route], Route], *, attempts: int = ATTEMPTS) -> Route:
    """Apply a transition to the stored route; returns the route as it is then.

    A transition that returns the route it was given writes nothing. On a lost race the route is read and the
    transition asked again, so that what is written was always decided on what is stored. Raises NotFound for a prompt
    without a route, Conflict after `attempts` lost races, and whatever the transition raises.
    """
    for _ in range(attempts):
        current = routes.get(prompt)
        if current is None:
            raise NotFound(f"prompt {prompt!r} has no route: none of its versions was ever promoted")
        wanted = transition(current)
        if wanted is current:
            return current
        try:
            routes.put(wanted, expected=current)
        except Conflict:
            continue
        return wanted
    raise Conflict(f"the route of {prompt} kept changing; nothing was written by this caller")


def shorten(routes: RouteStore, quarantine: OlderQuarantine, prompt: str, clock: Clock) -> Route:
    """Move the oldest quarantined contents off the route until it holds no more than it may; the route as it is then.

    Each is put beside the route before it leaves it, so at every moment one of both has it. Raises as `change` does.
    """

    def shorter(route: Route) -> Route:
        if not route.outgrown:
            return route
        quarantine.keep(prompt, route.outgrown)
        return route.without(route.outgrown, now=clock())

    while (route := change(routes, prompt, shorter)).outgrown:
        pass
    return route


def move_pending(releases: ReleaseStore, route: Route) -> None:
    """Append the entries that ride on the route to their timelines. Each is appended once, however often this runs."""
    for entry in route.pending:
        releases.append(entry)


def without_moved(releases: ReleaseStore, route: Route) -> Route:
    """The route as the base of a next write: its pending entries are moved first and dropped."""
    move_pending(releases, route)
    return replace(route, pending=())
