"""Asks every source what it knows about a prompt. A source that fails leaves a gap that is said, never an error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from promptlane.domain.errors import NotFound
from promptlane.domain.investigation.findings import Investigation
from promptlane.domain.investigation.investigation import conclude
from promptlane.domain.investigation.relevance import MOST_RELEASES, MOST_VERSIONS, nearest_releases, nearest_versions
from promptlane.domain.investigation.sources import AlarmChange, Cell, Gathered
from promptlane.domain.metrics import GUARD_METRICS
from promptlane.domain.release.prompt import PromptVersion
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import TimelineEntry, iso
from promptlane.domain.trail import CONTROL_EVENTS, TRAIL_KEPT, Window

from .log import with_log
from .sources import Asking, Sources
from .trail import trail_events

__all__ = ["Sources", "investigate"]

_DAY: Final = 86_400.0
ALARMS_KEPT: Final = 30 * _DAY
_CELLS: Final = 90
"""About how many periods a window is divided into."""
_PROMPT_ID: Final = re.compile(r"[0-9A-Za-z]{10}")
_NO_ROUTE: Final = "who gets which version now is not known"
_NO_RELEASES: Final = "who released and approved what is not known"


def investigate(sources: Sources, prompt: str, since: float, until: float) -> Investigation:
    """Investigate [since, until) of a prompt given by name, id or ARN.

    Raises NotFound only where every source answered and none knows the prompt.
    """
    now = sources.clock()
    asking = Asking()
    window = _clamped(Window(since, until), now, asking)
    prompt_id, name = _identify(sources, prompt, now, asking)
    route = asking.ask("routes", _NO_ROUTE, lambda: sources.routes.get(name))
    if not window.seconds:
        return _concluded(asking, Gathered(name, prompt_id, window, window, now, route))
    read = _read_window(window, now)
    found = _releases(sources, prompt_id, route, read, asking)
    releases, entries = found or ([], [])
    versions = _versions(sources, prompt_id, route, releases, entries, read, asking)
    snapshots = _snapshots(sources, prompt_id, versions, asking)
    models = sorted({s.model for s in snapshots.values() if s.model})
    facts = Gathered(
        prompt=name,
        prompt_id=prompt_id,
        window=window,
        read=read,
        now=now,
        route=route,
        releases=tuple(releases),
        entries=tuple(entries),
        snapshots=snapshots,
        releases_known=found is not None,
    )
    # No version says when it was published: all that the history holds may tell who wrote those that are compared.
    changes = Window(min(now - TRAIL_KEPT, window.until), window.until)
    facts = replace(
        facts,
        trail=trail_events(sources, facts, changes, models, asking),
        alarms=tuple(_alarms(sources, name, window, now, asking)),
        cells=tuple(_cells(sources, name, versions, read, now, asking)),
    )
    return with_log(sources, facts, models, asking, partial(_concluded, asking))


def _concluded(asking: Asking, facts: Gathered) -> Investigation:
    return conclude(replace(facts, missing=tuple(dict.fromkeys(asking.missing))))


def _clamped(window: Window, now: float, asking: Asking) -> Window:
    """The part of the window that is past; an empty one where nothing of it is."""
    if window.since >= now:
        asking.lacks(
            "time range",
            f"it begins at {iso(window.since)}, which is in the future",
            "nothing has happened yet",
            "choose an earlier --since",
        )
        return Window(now, now)
    if window.until > now + 1:
        asking.lacks(
            "time range",
            f"it ends at {iso(window.until)}, which is in the future",
            f"what is known ends now, at {iso(now)}",
        )
        return Window(window.since, now)
    return window


def _identify(sources: Sources, prompt: str, now: float, asking: Asking) -> tuple[str, str]:
    """(id, name). A prompt that Bedrock does not tell of is still known to its route, its releases, or the trail."""
    if meant := _meant(sources, prompt, asking):
        return meant
    found = asking.ask("Bedrock", "versions and their texts are not known", lambda: sources.prompts.find(prompt))
    if found:
        return found
    given = prompt.rsplit("prompt/", 1)[-1].split(":")[0]
    known = _remembered(sources, given, now, asking)
    if known is None and not asking.failed:
        raise NotFound(
            f"there is no prompt {prompt!r} in Bedrock, and no route, release or event of it; `promptlane status` "
            "lists what is enrolled"
        )
    if "Bedrock" not in asking.failed:
        asking.lacks(
            "Bedrock",
            f"it has no prompt {prompt!r} (any more)",
            "the versions' texts cannot be compared",
            "`promptlane restore` publishes an archived version again",
        )
    if known is None:
        asking.lacks(
            "prompt",
            f"no source that answered knows {prompt!r}",
            "only what is recorded under exactly this name is shown",
            "check the spelling, or give its id; run this again when all sources answer",
        )
    return known or (given if _PROMPT_ID.fullmatch(given) else "", given)


def _meant(sources: Sources, prompt: str, asking: Asking) -> tuple[str, str] | None:
    """(id, name) of an enrolled prompt, by its name or id, whatever has the name now; None where nothing is fixed."""
    named, given = sources.named, prompt.rsplit("prompt/", 1)[-1].split(":")[0]
    if named is None:
        return None

    def fixed() -> tuple[str, str] | None:
        names = [given] if named.enrolments.enrolled(given) else named.enrolments.names()
        ids = ((named.fixed(name), name) for name in names)
        return next(((i, name) for i, name in ids if i and given in (i, name)), None)

    found = asking.ask("names", "a name is taken for the prompt that has it now", fixed)
    if found is None:
        return None
    prompt_id, name = found
    standing = asking.ask(
        "Bedrock", "whether the name was given to another prompt is not known", lambda: named.standing(name, prompt_id)
    )
    if standing is not None and not standing.sound:
        therefore = f"everything here is about prompt {prompt_id}, whatever has the name now"
        asking.lacks("Bedrock", standing.what, therefore, standing.remedy)
    return found


def _remembered(sources: Sources, given: str, now: float, asking: Asking) -> tuple[str, str] | None:
    """(id, name) by what else keeps them: the route by name; by id the releases, and what CloudTrail saw."""
    route = asking.ask("routes", _NO_ROUTE, lambda: sources.routes.get(given))
    if route is not None:
        return route.prompt_id, route.prompt
    if not _PROMPT_ID.fullmatch(given):
        return None
    releases = asking.ask("releases", _NO_RELEASES, lambda: sources.releases.of_prompt(given))
    if releases:
        return given, releases[-1].prompt
    seen = asking.ask(
        "CloudTrail",
        "who created, edited, published or deleted is not known",
        lambda: sources.trail.events(given, given, names=CONTROL_EVENTS, window=Window(now - TRAIL_KEPT, now)),
    )
    return (given, given) if seen and seen.events else None


def _releases(
    sources: Sources, prompt_id: str, route: Route | None, read: Window, asking: Asking
) -> tuple[list[Release], list[TimelineEntry]] | None:
    """All releases, and the timelines of the nearest; None where they are not known."""
    if not prompt_id:
        asking.lacks("releases", "they are kept by the prompt's id, which is not known", _NO_RELEASES)
        return None

    def timelines() -> tuple[list[Release], list[TimelineEntry]]:
        releases = sources.releases.of_prompt(prompt_id)
        kept, left_out = nearest_releases(releases, route, read)
        entries = [entry for release in kept for entry in sources.releases.timeline(release.release_id)]
        if left_out:
            asking.lacks(
                "releases",
                f"the timelines of {len(left_out)} of {len(releases)} releases were not read: the {MOST_RELEASES} "
                "nearest to this time were",
                f"who approved and shifted versions {_listed([r.version for r in left_out])} is not known",
                "promptlane history <release id>",
            )
        return releases, entries

    return asking.ask("releases", _NO_RELEASES, timelines)


def _versions(
    sources: Sources,
    prompt_id: str,
    route: Route | None,
    releases: Sequence[Release],
    entries: Sequence[TimelineEntry],
    read: Window,
    asking: Asking,
) -> list[int]:
    """Versions to compare: those that had traffic, nearest to the time first; the newest where that is not known."""
    versions, left_out = nearest_versions(route, releases, entries, read)
    if not versions and prompt_id:
        listed = asking.ask(
            "Bedrock", "versions and their texts are not known", lambda: sources.prompts.versions(prompt_id)
        )
        numbers = list(listed or ())
        versions, left_out = numbers[-MOST_VERSIONS:], numbers[:-MOST_VERSIONS]
    if left_out:
        asking.lacks(
            "versions",
            f"{_listed(left_out)} were left out: {MOST_VERSIONS} at most are compared, those that the route names and "
            "the nearest to this time",
            "their rates and texts are not shown",
            "choose a time nearer to theirs",
        )
    return versions


def _listed(versions: Sequence[int]) -> str:
    distinct = sorted(set(versions))
    more = f" and {len(distinct) - 20} more" if len(distinct) > 20 else ""
    return ", ".join(map(str, distinct[:20])) + more


def _snapshots(
    sources: Sources, prompt_id: str, versions: Sequence[int], asking: Asking
) -> Mapping[int, PromptVersion]:
    found: dict[int, PromptVersion] = {}
    if not prompt_id:
        return found
    for version in sorted({*versions, *(v - 1 for v in versions if v > 1)}):
        snapshot = asking.ask(
            "Bedrock",
            f"the text of version {version} cannot be compared",
            partial(sources.prompts.version, prompt_id, version),
            "the archive may hold it: archive/<prompt id>/<version>.json in the report bucket",
        )
        if snapshot is not None:
            found[version] = snapshot
    return found


def _cells(
    sources: Sources, name: str, versions: Sequence[int], read: Window, now: float, asking: Asking
) -> Sequence[Cell]:
    cells = asking.ask(
        "metrics",
        "rates of bad events by version are not known, so causes cannot be ranked by them",
        lambda: tuple(
            sources.rates.cells(
                name, versions=versions, metrics=list(GUARD_METRICS), window=read, seconds=_period(read, now)
            )
        ),
    )
    if cells == () and versions:
        asking.lacks(
            "metrics",
            "no request of any version was counted in this time",
            "nothing can be compared",
            "choose another time, or check that the application uses promptlane.client",
        )
    return cells or ()


def _alarms(sources: Sources, name: str, window: Window, now: float, asking: Asking) -> Sequence[AlarmChange]:
    if window.since < now - ALARMS_KEPT:
        asking.lacks("alarms", "CloudWatch keeps alarm history for 30 days", "earlier alarms are not known")
    return asking.ask("alarms", "when alarms fired is not known", lambda: sources.alarms.changes(name, window)) or ()


def _read_window(window: Window, now: float) -> Window:
    """Counts are read from earlier on, so that there is a before: as long as the window, an hour at least."""
    return Window(max(window.since - max(3600.0, window.seconds), now - 455 * _DAY), window.until)


def _period(read: Window, now: float) -> float:
    """Seconds per cell that CloudWatch still has: 60 for 15 days, 300 for 63 days, 3600 for 455 days."""
    age = now - read.since
    step = 60.0 if age < 15 * _DAY else 300.0 if age < 63 * _DAY else 3600.0
    return max(step, step * round(read.seconds / _CELLS / step))
