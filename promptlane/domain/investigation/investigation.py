"""What changed, when, by whom, and what it did: one prompt's sources joined, with ranked causes and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from promptlane.domain.release.diff import compare, unified
from promptlane.domain.release.housekeeping import archive_key
from promptlane.domain.release.traffic import beginning, givings

from .bypasses import rendered
from .findings import Investigation, Story
from .provenance import stories_of, timeline_of
from .remedies import acting, remedy_of
from .sources import Gathered, Missing
from .suspects import ranked


def conclude(gathered: Gathered) -> Investigation:
    """Join, rank and conclude. Conversations are added by `with_conversations`, once it is known which to sample."""
    facts = replace(gathered, cells=tuple(c for c in gathered.cells if 0 <= c.bad <= c.requests))
    stories = tuple(stories_of(facts))
    causes = tuple(ranked(facts))
    shown = (c for c in causes if c.shown and c.kind == "version")
    subject = acting(facts, causes) or next(shown, None)
    after = subject.version if subject else _newest_change(facts)
    before = _version_before(after, facts)
    return Investigation(
        facts=facts,
        timeline=tuple(timeline_of(facts)),
        causes=causes,
        stories=stories,
        before=before,
        after=after,
        diff=tuple(_diff(facts, before, after)),
        remedy=remedy_of(facts, causes, before),
        missing=(*facts.missing, *_impossible(gathered), *_doubts(facts, stories)),
        rendered=tuple(rendered(facts)),
        subject=subject,
    )


def _newest_change(facts: Gathered) -> int:
    """Without a shown cause: the version that last began to get traffic, or more of it, before the window's end."""
    given = givings(facts.entries, facts.window.until)
    return given[-1].version if given else 0


def _version_before(version: int, facts: Gathered) -> int:
    """What users had when this version last began, by the route's entry; else the next lower version that served."""
    if not version:
        return 0
    began = beginning(version, givings(facts.entries, facts.window.until), facts.read.since)
    if began is not None and began.before:
        return began.before
    lower = [v for v in {*facts.snapshots, *(c.version for c in facts.cells)} if v < version]
    return max(lower, default=0)


def _diff(facts: Gathered, before: int, after: int) -> Iterator[str]:
    """The changed lines; or which text is missing, and where it may be."""
    if not before or not after:
        return
    old, new = facts.snapshots.get(before), facts.snapshots.get(after)
    if old and new:
        yield from unified(compare(old.variants, new.variants))
        return
    for version in (v for v in (before, after) if v not in facts.snapshots):
        yield (
            f"The text of version {version} is missing: Bedrock did not give it. The report bucket may hold it as "
            f"{archive_key(facts.prompt_id or '<prompt id>', version)}; `promptlane restore {facts.prompt} {version}` "
            "publishes it again."
        )


def _impossible(facts: Gathered) -> Iterator[Missing]:
    """Counts that no request can have made: whoever may call PutMetricData can write them."""
    wrong = [c for c in facts.cells if not 0 <= c.bad <= c.requests]
    if wrong:
        versions = ", ".join(str(v) for v in sorted({c.version for c in wrong}))
        yield Missing(
            "metrics",
            f"{len(wrong)} period(s) of version {versions} count more bad events than requests, or fewer than none",
            "they were left out",
            "find who else writes metrics of namespace Promptlane (CloudTrail, cloudwatch:PutMetricData)",
        )


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
