"""Which enrolled prompts a run looks at: those that show signs of change, and some of the others by turns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from promptlane.domain.names import Phase
from promptlane.domain.ports import PromptSummary
from promptlane.domain.release.route import Route

AT_ONCE: Final = 20
"""Prompts without a sign of change that one run looks at."""
RECENT: Final = 86_400.0
"""Seconds for which a change counts as a sign: what one run missed, many after it see."""


def in_turn(names: Sequence[str], after: str) -> list[str]:
    """All of them, sorted, beginning behind the one that was the last."""
    ordered = sorted(names)
    return [name for name in ordered if name > after] + [name for name in ordered if name <= after]


def changed(
    names: Iterable[str],
    *,
    routes: Mapping[str, Route],
    listed: Mapping[str, PromptSummary],
    busy: Collection[str],
    now: float,
) -> set[str]:
    """The names that show signs: a release in flight or waiting, a route that moved lately, a prompt that was edited
    lately, or that is not where its route expects it. `listed`: by prompt id; `busy`: prompt ids."""
    since = now - RECENT
    by_name = {summary.name: summary for summary in listed.values()}
    found: set[str] = set()
    for name in names:
        route = routes.get(name)
        there = listed.get(route.prompt_id) if route else by_name.get(name)
        if route is None and there is None:
            continue  # nothing to release yet; by turns it is looked for all the same
        moved = route is not None and (
            route.phase is not Phase.STEADY
            or route.phase_since > since
            or any(entry.at > since for entry in route.pending)
        )
        if moved or there is None or there.name != name or there.updated_at > since or there.prompt_id in busy:
            found.add(name)
    return found
