"""What changed, when, by whom, and what it did: one prompt's sources joined, with ranked causes and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .diff import compare, unified
from .findings import WORDS, Cause, Investigation, Remedy, Story, percent
from .inquiry import Gathered, Missing
from .names import Event, Phase
from .provenance import stories_of, timeline_of
from .route import Route
from .suspects import ranked


def investigate(facts: Gathered) -> Investigation:
    """Join, rank and conclude. Conversations are added by `with_conversations`, once it is known which to sample."""
    stories = tuple(stories_of(facts))
    causes = tuple(ranked(facts, stories))
    lead = causes[0] if causes and causes[0].shown and causes[0].kind == "version" else None
    after = lead.version if lead else _newest_change(stories, facts)
    before = _version_before(after, facts)
    return Investigation(
        facts=facts,
        timeline=tuple(timeline_of(facts)),
        causes=causes,
        stories=stories,
        before=before,
        after=after,
        diff=tuple(_diff(facts, before, after)),
        remedy=_remedy(facts, lead, before),
        missing=(*facts.missing, *_doubts(facts, stories)),
    )


def _newest_change(stories: Sequence[Story], facts: Gathered) -> int:
    """Without a shown cause: the version that last began to get traffic before the window's end."""
    begun = [(max(s.first_served, s.promoted_at), s.version) for s in stories if s.first_served]
    return max((b for b in begun if b[0] < facts.window.until), default=(0.0, 0))[1]


def _version_before(version: int, facts: Gathered) -> int:
    """What was stable when this version began: the route's entry says so; else the next lower version that served."""
    if not version:
        return 0
    for entry in sorted(facts.entries, key=lambda e: e.at):
        if (
            entry.event is Event.CANARY_SHIFTED
            and entry.detail.get("version") == version
            and entry.detail.get("stable")
        ):
            return int(entry.detail["stable"])
    lower = [v for v in {*facts.snapshots, *(c.version for c in facts.cells)} if v < version]
    return max(lower, default=0)


def _diff(facts: Gathered, before: int, after: int) -> Iterator[str]:
    old, new = facts.snapshots.get(before), facts.snapshots.get(after)
    if old and new:
        yield from unified(compare(old.variants, new.variants))


def _remedy(facts: Gathered, lead: Cause | None, before: int) -> Remedy:
    route, version = facts.route, lead.version if lead else 0
    if lead is None:
        return Remedy("", "No version stands out, so no rollback is proposed.")
    if route is None:
        return Remedy("", "The route could not be read; `promptlane rollback` reads it itself if the table answers.")
    share = f"{percent(lead.contrast.exposed_rate)} {WORDS.get(lead.contrast.metric, '')}" if lead.contrast else ""
    reason = f"version {version} has {share} (investigate)"
    command = f'promptlane rollback {facts.prompt} --reason "{reason}"'
    if route.canary is not None and route.canary.version == version and route.phase is Phase.CANARY:
        return Remedy(command, f"Takes the canary back: everybody gets version {route.stable.version} again.")
    if route.stable.version != version:
        return Remedy("", f"Version {version} gets no traffic any more; version {route.stable.version} is stable.")
    again = f"promptlane release {facts.prompt} {before} --again"
    if route.phase is Phase.CANARY and route.canary is not None:
        return Remedy(
            f"{command} && {again}" if before else command,
            f"Version {version} is stable while version {route.canary.version} is in canary: the rollback takes the "
            "canary back first, and leaves nothing to go back to, so the version before needs a release of its own.",
        )
    if route.previous is None:
        return Remedy(
            again if before else "",
            "The route remembers no version to go back to; the one before needs a release of its own.",
        )
    return Remedy(command, f"Puts version {route.previous.version} back at once.")


def _doubts(facts: Gathered, stories: Sequence[Story]) -> Iterator[Missing]:
    """What the joined facts show about themselves: clocks that differ, versions that cannot be compared."""
    ahead = 0.0
    for story in stories:
        if not story.first_served:
            continue
        early = [c.at + c.seconds for c in facts.cells if c.version == story.version and c.requests]
        early += [g.first for g in facts.calls if g.version == str(story.version) and g.first]
        # Tests call a version long before it is served, without the client; only near misses speak of clocks.
        gaps = [story.first_served - at for at in early if 2 < story.first_served - at < 900]
        ahead = max([ahead, *gaps])
    if ahead:
        yield Missing(
            "clocks",
            f"requests of a version are dated up to {ahead:.0f} s before the route gave it any",
            "events of different sources that are closer than that may be in the wrong order",
            "synchronise the clocks of the application's hosts (chrony, Amazon Time Sync)",
        )
    if facts.cells and len({c.version for c in facts.cells if c.requests}) == 1:
        yield Missing(
            "metrics",
            "only one version had requests in the time that was read",
            "versions cannot be compared; only changes over time can",
            "choose an earlier --since",
        )


def serving(route: Route | None) -> set[int]:
    """Versions that the route names."""
    refs = (route.stable, route.previous, route.canary) if route else ()
    return {ref.version for ref in refs if ref is not None}
