"""Where each version came from and how it got its traffic, and everything that happened, in one order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from promptlane.domain.incoming import version_number
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.release.traffic import givings
from promptlane.domain.text import one_line, traffic
from promptlane.domain.trail import CALL_EVENTS, CONTROL_EVENTS, EDITS, PUBLISH, RENDER_EVENTS, TrailEvent, publication

from .findings import Happening, Story
from .sources import Gathered


def stories_of(facts: Gathered) -> Iterator[Story]:
    """Every version that was released or served, or that is compared with, lowest number first."""
    entries = sorted(facts.entries, key=lambda e: (e.at, e.seq))
    given = givings(entries, facts.window.until)
    releases: dict[int, list[str]] = {}
    for release in facts.releases:
        releases.setdefault(release.version, []).append(release.release_id)
    versions = {*releases, *facts.snapshots, *(c.version for c in facts.cells)}
    for version in sorted(versions):
        mine = [e for e in entries if e.release_id in releases.get(version, ())]
        record = next((r for r in reversed(facts.releases) if r.version == version), None)
        snapshot = facts.snapshots.get(version)
        published = publication(facts.trail, version)
        end = published.at if published else 0.0
        start = _published_before(facts, version, published, end)
        written = (e for e in facts.trail if e.name in EDITS and not e.error)
        edits = (e.arn for e in written if int(start) <= e.at <= end + 1)
        shifts = [e for e in mine if e.event in (Event.CANARY_SHIFTED, Event.PROMOTED) and _gives_traffic(e)]
        promoted = [e for e in mine if e.event is Event.PROMOTED]
        back = [e for e in mine if e.event is Event.ROLLED_BACK]
        yield Story(
            version=version,
            release_id=record.release_id if record else "",
            description=snapshot.description if snapshot else (record.description if record else ""),
            published_at=end,
            published_by=published.arn if published else "",
            edited_by=tuple(dict.fromkeys(a for a in edits if a)),
            requested_by=record.requested_by if record else "",
            approved_by=tuple(_approvers(mine)),
            verdict=str(record.verdict.get("verdict") or "") if record else "",
            first_served=shifts[0].at if shifts else 0.0,
            promoted_at=promoted[-1].at if promoted else 0.0,
            rolled_back_at=back[-1].at if back else 0.0,
            restored_at=max((g.at for g in given if g.version == version and g.restored), default=0.0),
        )


def _approvers(entries: Iterable[TimelineEntry]) -> Iterator[str]:
    seen = set()
    for entry in entries:
        if entry.event is Event.REVIEWER_DECIDED and entry.detail.get("choice") == "approve" and entry.by not in seen:
            seen.add(entry.by)
            yield entry.by


def _published_before(facts: Gathered, version: int, published: TrailEvent | None, end: float) -> float:
    """When the draft was last published before this version: edits until then belong to earlier versions."""
    others = (e for e in facts.trail if e.name == PUBLISH and not e.error and e is not published)
    events = [e.at for e in others if e.at < end and (e.version or version) <= version]
    return max([0.0, *events])


def _gives_traffic(entry: TimelineEntry) -> bool:
    return entry.event is Event.PROMOTED or float(entry.detail.get("weight") or 0) > 0


def timeline_of(facts: Gathered) -> Iterator[Happening]:
    """What happened within the window, oldest first; page views and single model calls are left out."""
    happened: list[Happening] = []
    for event in facts.trail:
        if facts.window.holds(event.at) and event.name not in (*CALL_EVENTS, *RENDER_EVENTS):
            happened.append(_of_trail(event))
    for entry in facts.entries:
        if facts.window.holds(entry.at) and "view" not in entry.event.marks:
            happened.append(_of_entry(entry))
    for change in facts.alarms:
        if "ALARM" not in (change.old, change.new):
            continue  # an alarm that finds its first data, or none, says nothing
        if facts.window.holds(change.at):
            what = f"alarm {change.alarm}: {change.old} → {change.new}"
            reason = f" ({one_line(change.reason, 200)})" if change.reason else ""
            happened.append(Happening(change.at, "alarm", what + reason))
    yield from sorted(happened, key=lambda h: h.at)


def _of_trail(event: TrailEvent) -> Happening:
    number = f" of version {event.version}" if event.version else ""
    failed = f" failed: {event.error}" if event.error else ""
    changes = event.name in CONTROL_EVENTS and not event.error
    return Happening(event.at, "cloudtrail", f"{event.name}{number}{failed}", event.arn, event.version, changes)


def _of_entry(entry: TimelineEntry) -> Happening:
    detail = entry.detail
    number = str(detail.get("version") or "")
    version = version_number(number) or 0
    parts = [f"version {version}"] if version else []
    if isinstance(weight := detail.get("weight"), int | float):
        parts.append(f"{traffic(weight)} of traffic")
    for name in ("choice", "decision", "verdict", "outcome", "cause", "judgement", "restored", "reason"):
        if detail.get(name) not in (None, ""):
            parts.append(f"{'' if name == 'reason' else name + ' '}{detail[name]}")
    told = f": {one_line('; '.join(parts), 240)}" if parts else ""
    return Happening(
        entry.at,
        "release",
        f"{entry.event}{told} [{entry.release_id}]",
        entry.by,
        version,
        "moves" in entry.event.marks,
    )
