"""A prompt's route beside the timelines of its releases: every write that changed what traffic gets told so in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promptlane.domain.names import Phase

from .findings import TABLE, Findings, copy_of
from .quarantine import Quarantine
from .replay import route_revision
from .route import Route, salt_of
from .timeline import Event, TimelineEntry

Json = Any


@dataclass(slots=True)
class _Told:
    """What the entries say that the route is."""

    stable: int = 0
    canary: int | None = None
    weight: int = 0
    watch_until: float = 0.0
    taken_back: dict[int, str] = field(default_factory=dict)
    """Which release every version was rolled back in."""
    barred: dict[int, str] = field(default_factory=dict)
    """Those of them whose content got no traffic since."""


def route_findings(
    route: Route,
    timelines: Mapping[str, Sequence[TimelineEntry]],
    found: Findings,
    *,
    older: Quarantine | None = None,
) -> None:
    """Note where the route is not what its entries made it. `timelines`: by release id, read while it stood still.
    `older`: what is quarantined beside the route, read likewise.

    Nothing is compared for a route whose first entry is not among them: its prompt was made anew under another id.
    """
    entries = [e for timeline in timelines.values() for e in timeline] + list(route.pending)
    by_id = {entry.id: entry for entry in entries if _revision(entry)}
    told = sorted(by_id.values(), key=_revision)
    _pending(route, timelines, found)
    if not told or not told[0].detail.get("first"):
        found.uncovered.append(f"the route of {route.prompt} (its first entry is of a release that is not known here)")
        return
    contents = _contents(timelines)
    state = _replayed(told, contents, found)
    last = told[-1]
    found.agree(
        _revision(last) <= route.revision,
        "route",
        f"it has revision {route.revision}, {last.id} came with a later one",
        TABLE,
    )
    canary = route.canary.version if route.canary else None
    for name, stored, said in (
        ("stable", route.stable.version, state.stable),
        ("canary", canary, state.canary),
        ("weight", route.weight, state.weight),
    ):
        says = f"it has {name} {stored!r}, the timelines {said!r}"
        found.agree(stored == said, "route", says, copy_of(last) if last.seq else TABLE)
    for ref in route.named:
        says = f"it names version {ref.version} with fingerprint {ref.fingerprint[:12]}, which no release admitted"
        found.agree(ref.fingerprint in contents.get(ref.version, ()), "route", says, TABLE)
    if route.phase is not Phase.STEADY and route.release_id:
        found.agree(route.salt == salt_of(route.release_id), "route", "its salt is not that of its release", TABLE)
    if route.phase is Phase.WATCH:
        says = f"its watch ends at {route.watch_until}, the timelines say {state.watch_until}"
        found.agree(route.watch_until == state.watch_until, "route", says, copy_of(last) if last.seq else TABLE)
    barred = {**(older or {}), **route.quarantined}
    others = {key: entry for key, entry in barred.items() if _prompt_id(entry) != route.prompt_id}
    if others:
        found.uncovered.append(f"{len(others)} contents that were rolled back before the prompt was made anew")
    _barred({key: entry for key, entry in barred.items() if key not in others}, state, found)


def _revision(entry: TimelineEntry) -> int:
    return route_revision(entry.id, entry.release_id)


def _prompt_id(entry: Mapping[str, Json]) -> str:
    return str(entry.get("release_id")).rsplit("-", 2)[0]


def _barred(quarantined: Quarantine, state: _Told, found: Findings) -> None:
    barred = {int(q.get("version") or 0): str(q.get("release_id")) for q in quarantined.values()}
    for version, release_id in barred.items():
        says = f"it bars version {version} as rolled back in {release_id}, and no timeline says so"
        found.agree(state.taken_back.get(version) == release_id, "route", says, TABLE)
    for version, release_id in state.barred.items():
        says = f"it no longer bars version {version}, which was rolled back in {release_id}"
        found.agree(version in barred, "route", says, TABLE)


def _pending(route: Route, timelines: Mapping[str, Sequence[TimelineEntry]], found: Findings) -> None:
    """What waits on the route to be moved is of a known release, and says what its timeline says where it has it."""
    for entry in route.pending:
        timeline = timelines.get(entry.release_id)
        number = _revision(entry)
        known = timeline is not None and 0 < number <= route.revision
        if not found.agree(known, "route", f"the entry {entry.id} that waits on it is of no write of it", TABLE):
            continue
        moved = next((e for e in timeline or () if e.id == entry.id), None)
        if moved is not None:
            ours, theirs = ((e.event, e.by, e.detail) for e in (entry, moved))
            says = f"the entry {entry.id} that waits on it is not the one that was moved"
            found.agree(ours == theirs, "route", says, copy_of(moved))


def _replayed(told: Sequence[TimelineEntry], contents: Mapping[int, set[str]], found: Findings) -> _Told:
    state = _Told()
    before = 0
    for entry in told:
        number, detail = _revision(entry), entry.detail
        item = f"entry {entry.id}"
        found.agree(number > before, item, f"another entry has revision {number} of the route", copy_of(entry))
        before = number
        version = int(detail.get("version") or 0)
        if entry.event is Event.PROMOTED:
            if not detail.get("first"):
                _from(state, detail.get("previous"), item, entry, found)
                canary = state.canary == version
                found.agree(canary, item, f"it promotes version {version}, which was in no canary", copy_of(entry))
            state.stable, state.canary, state.weight = version, None, 0
            state.watch_until = float(detail.get("watch_until") or 0.0)
        elif entry.event is Event.CANARY_SHIFTED:
            _from(state, detail.get("stable"), item, entry, found)
            state.weight = int(detail.get("weight") or 0)
            state.canary = version if state.weight else None
            again = contents.get(version, set()) if state.weight else set()
            state.barred = {v: r for v, r in state.barred.items() if not again & contents.get(v, set())}
        elif entry.event is Event.ROUTE_RESTORED:
            # Whoever restores a table takes the route back to an earlier one: what follows, follows from that.
            state.stable, state.canary = int(detail.get("stable") or 0), detail.get("canary")
            state.weight, state.watch_until = int(detail.get("weight") or 0), float(detail.get("watch_until") or 0.0)
        elif entry.event is Event.ROLLED_BACK:
            out = version in (state.canary, state.stable)
            found.agree(out, item, f"it takes back version {version}, which served nobody", copy_of(entry))
            state.stable, state.canary, state.weight = int(detail.get("restored") or 0), None, 0
            state.taken_back[version] = state.barred[version] = entry.release_id
    return state


def _from(state: _Told, stable: Json, item: str, entry: TimelineEntry, found: Findings) -> None:
    says = f"it leaves version {stable} as stable, the entries before it say {state.stable}"
    found.agree(stable == state.stable, item, says, copy_of(entry))


def _contents(timelines: Mapping[str, Sequence[TimelineEntry]]) -> dict[int, set[str]]:
    """The fingerprints that releases of each version admitted."""
    found: dict[int, set[str]] = {}
    for entry in (e for timeline in timelines.values() for e in timeline if e.event is Event.ADMITTED):
        found.setdefault(int(entry.detail.get("version") or 0), set()).add(str(entry.detail.get("fingerprint")))
    return found
