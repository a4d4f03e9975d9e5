"""The route: the one record per prompt that says who gets what, and the only transitions it may make.

Each transition is a pure function from a route to a new one with the next revision and a later epoch. Stores write it
conditionally on the epoch, the revision and the release id that were read, so of two writers one wins and the other
decides again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from promptlane.domain.errors import InvalidInput, NotApplicable
from promptlane.domain.names import FULL, Phase, prompt_id_of

from .per_token import PerVersion, from_plain, to_plain
from .prompt import VersionRef
from .quarantine import Quarantine, entry_of, entry_that, lifted_by, outgrown, taken_back, with_room
from .storable import BY_BYTES, REASON_BYTES, bounded, cut
from .timeline import SYSTEM, Event, TimelineEntry

Json = Any
RollbackCause = Literal["alarm", "judge", "operator", "undecided"]
SCHEMA: Final = 1


class StableChanged(NotApplicable):
    """Stable is no longer the version that tests and approval compared with: test and review again."""


class Quarantined(NotApplicable):
    """The version was rolled back; only a new, explicit, reviewed release may bring it back."""


class Gone(NotApplicable):
    """The route no longer belongs to this release: it was rolled back, or a newer one took over."""


class NothingToGoBackTo(NotApplicable):
    """A rollback was asked for, but no other version is known. Nothing was changed; people must act."""


@dataclass(frozen=True, slots=True)
class Approved:
    """What a release may give traffic. `tested_against`: fingerprint of the stable version that tests and approval
    compared with."""

    release_id: str
    candidate: VersionRef
    tested_against: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """Why a version is taken back, and by whom. `release_id`: only if the route still belongs to that release."""

    cause: RollbackCause
    reason: str
    by: str
    release_id: str | None = None
    evidence: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Who gets what. Times are epoch seconds, weight and holdback basis points. `prompt_id` is that of `stable`.

    `epoch` is the moment of the write in milliseconds since 1970, and later than that of the route it was written over;
    0 where code wrote it that knew no epochs. A table that was restored has revisions a second time, and no epoch.

    `per_token` is what tokens add to the values of means, by metric and version (domain/metrics.py, `PerToken`), for
    the versions that the present release compares; a version whose price is not known has none.

    `shifts` lists (time, weight) of the present release; `pending` holds timeline entries that the release table may
    not have yet; `quarantined` maps a fingerprint to {version, release_id, at, rounded}, where `rounded` is that of the
    first schema; an entry without it was stored with that one. What was rolled back longer ago lies beside the route:
    who asks whether a content is barred passes that as `older`.
    """

    prompt: str
    prompt_id: str
    stable: VersionRef
    previous: VersionRef | None = None
    canary: VersionRef | None = None
    weight: int = 0
    holdback: int = 0
    salt: str = ""
    release_id: str = ""
    revision: int = 1
    phase: Phase = Phase.STEADY
    phase_since: float = 0.0
    watch_until: float = 0.0
    shifts: tuple[tuple[float, int], ...] = ()
    quarantined: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    pending: tuple[TimelineEntry, ...] = ()
    per_token: PerVersion = field(default_factory=dict)
    epoch: int = 0

    def to_item(self) -> dict[str, Json]:
        """Plain values as stored; absent versions are left out."""
        item: dict[str, Json] = {
            "schema": SCHEMA,
            "prompt": self.prompt,
            "prompt_id": self.prompt_id,
            "weight": self.weight,
            "holdback": self.holdback,
            "salt": self.salt,
            "release_id": self.release_id,
            "revision": self.revision,
            "epoch": self.epoch,
            "phase": str(self.phase),
            "phase_since": self.phase_since,
            "watch_until": self.watch_until,
            "shifts": [[at, weight] for at, weight in self.shifts],
            "quarantined": {k: dict(v) for k, v in self.quarantined.items()},
            "pending": [entry.to_dict() for entry in self.pending],
        }
        for name in ("stable", "previous", "canary"):
            ref: VersionRef | None = getattr(self, name)
            if ref is not None:
                item[name] = ref.to_item()
        if self.per_token:
            item["per_token"] = to_plain(self.per_token)
        return item

    @classmethod
    def from_item(cls, item: Mapping[str, Json]) -> Route:
        """Read a stored route; InvalidInput when it is of a newer schema or has no stable version."""
        if int(item.get("schema", SCHEMA)) > SCHEMA:
            raise InvalidInput(
                f"the route of {item.get('prompt')!r} has schema {item.get('schema')}, this code knows {SCHEMA}; "
                "upgrade promptlane here"
            )
        refs = {n: VersionRef.from_item(item[n]) for n in ("stable", "previous", "canary") if item.get(n)}
        if "stable" not in refs:
            raise InvalidInput(f"the route of {item.get('prompt')!r} names no stable version")
        return cls(
            prompt=str(item["prompt"]),
            prompt_id=str(item["prompt_id"]),
            weight=int(item.get("weight", 0)),
            holdback=int(item.get("holdback", 0)),
            salt=str(item.get("salt", "")),
            release_id=str(item.get("release_id", "")),
            revision=int(item["revision"]),
            epoch=int(item.get("epoch", 0)),
            phase=Phase(item.get("phase", "steady")),
            phase_since=float(item.get("phase_since", 0)),
            watch_until=float(item.get("watch_until", 0)),
            shifts=tuple((float(at), int(weight)) for at, weight in item.get("shifts", [])),
            quarantined={str(k): dict(v) for k, v in (item.get("quarantined") or {}).items()},
            pending=tuple(TimelineEntry.from_dict(e) for e in item.get("pending") or ()),
            per_token=from_plain(item.get("per_token")),
            **refs,
        )

    @property
    def named(self) -> tuple[VersionRef, ...]:
        """Every version that gets traffic now or is gone back to: stable first."""
        return tuple(ref for ref in (self.stable, self.previous, self.canary) if ref is not None)

    def in_flight(self, release_id: str) -> bool:
        """Whether this release is the one that the route belongs to, in canary or in watch."""
        return self.release_id == release_id and self.phase is not Phase.STEADY

    def barred(self, ref: VersionRef, older: Quarantine) -> Mapping[str, Json] | None:
        """The quarantine that keeps a version from being released unasked: of its content, or of one alike.

        Alike at six digits is enough to bar: a change that small is no reason to try again what did harm.
        """
        return entry_that(
            {**older, **self.quarantined},
            lambda kept: kept.fingerprint == ref.fingerprint or kept.at_six_digits == ref.at_six_digits,
        )

    def taken_back(self, ref: VersionRef) -> Mapping[str, Json] | None:
        """The quarantine of this very content that the route itself holds, as exactly as both are known."""
        return taken_back(self.quarantined, ref)

    def holds(self, written: Route, *, since: Route | None) -> bool:
        """Whether this, as it is stored, came of a write of `written` over `since` whose answer was lost.

        Told by the timeline entries that ride on it: whoever wrote another route rides another entry. Taken for
        somebody else's, a rollback would be told to nobody.
        """
        mine, wanted = self.to_item(), written.to_item()  # stored times are rounded
        before = since.to_item()["pending"] if since else []
        new = [entry for entry in wanted["pending"] if entry not in before]
        return bool(new) and all(entry in mine["pending"] for entry in new)

    def rolled_back(self, release_id: str, older: Quarantine | None = None) -> bool:
        """Whether a rollback of this release is on record. The route itself holds those of its present release."""
        return any(q.get("release_id") == release_id for q in {**(older or {}), **self.quarantined}.values())

    @property
    def outgrown(self) -> Quarantine:
        """The oldest quarantined contents beyond those that the route may hold, `MOVED_AT_ONCE` at most.

        Those of its present release stay: a rollback that is asked for again must find them with the route alone.
        """
        return outgrown(self.quarantined, self.release_id)

    def without(self, moved: Quarantine, *, now: float) -> Route:
        """The next route, without these quarantined contents: they have items of their own already."""
        left = {key: entry for key, entry in self.quarantined.items() if key not in moved}
        return replace(self, quarantined=left, revision=self.revision + 1, epoch=epoch_after(self.epoch, now))


def epoch_after(epoch: int, now: float) -> int:
    """The epoch of a route that is written `now` over one of `epoch`: later than all that were written before, also
    than those that a restored table no longer shows, as far as the writers' clocks agree."""
    return max(epoch + 1, round(now * 1000))


def salt_of(release_id: str) -> str:
    """The salt of a release's split: known from the release, different for each (32 hex digits)."""
    return hashlib.sha256(b"promptlane split " + release_id.encode()).hexdigest()[:32]


def first_route(*, prompt: str, prompt_id: str, candidate: VersionRef, release_id: str, now: float, by: str) -> Route:
    """The route of a prompt whose first version is promoted: everybody gets it, nothing to go back to."""
    route = Route(
        prompt=prompt,
        prompt_id=prompt_id,
        stable=candidate,
        salt=salt_of(release_id),
        release_id=release_id,
        phase_since=now,
        revision=1,
        epoch=epoch_after(0, now),
    )
    detail = {"version": candidate.version, "first": True}
    return replace(route, pending=(_entry(route, Event.PROMOTED, now, by, detail),))


def shift(
    route: Route,
    approved: Approved,
    *,
    weight: int,
    now: float,
    explicit: bool = False,
    older: Quarantine | None = None,
    per_token: PerVersion | None = None,
) -> Route:
    """Give the candidate `weight` basis points of traffic; the same route when it has at least that already.

    `older`: the contents alike that are quarantined beside the route. `per_token`: how means are told in this release,
    from its first shift to its end. Raises StableChanged, Quarantined, Gone, or
    NotApplicable when another release is in canary.
    """
    release_id, candidate = approved.release_id, approved.candidate
    if not 0 < weight < FULL:
        raise InvalidInput(f"a canary weight of {weight} basis points; it must lie between 0 and {FULL}, both excluded")
    mine = route.release_id == release_id
    if route.rolled_back(release_id, older) or (mine and route.phase is not Phase.CANARY):
        raise Gone(f"release {release_id} is no longer in canary; it was rolled back or promoted")
    if mine:
        if route.canary != candidate:
            raise Gone(f"the route's canary is not version {candidate.version} of release {release_id}")
        if route.weight >= weight:
            return route
    else:
        _may_start(route, approved, explicit=explicit, older=older or {})
    start = replace(
        route,
        canary=candidate,
        weight=weight,
        holdback=0,
        salt=salt_of(release_id),
        release_id=release_id,
        phase=Phase.CANARY,
        phase_since=route.phase_since if mine else now,
        watch_until=0.0,
        shifts=(*(route.shifts if mine else ()), (now, weight)),
        per_token=route.per_token if mine else per_token or {},
        quarantined={k: v for k, v in route.quarantined.items() if k not in lifted_by(candidate)},
    )
    detail = {"version": candidate.version, "weight": weight, "stable": route.stable.version}
    begins = {} if mine else {"begins": True}
    return next_route(route, start, Event.CANARY_SHIFTED, now, SYSTEM, {**detail, **begins})


def _may_start(route: Route, approved: Approved, *, explicit: bool, older: Quarantine) -> None:
    candidate = approved.candidate
    if route.phase is Phase.CANARY:
        raise NotApplicable(
            f"release {route.release_id} of {route.prompt} is in canary; wait for its end or roll it back"
        )
    if route.stable.fingerprint == candidate.fingerprint:
        raise Gone(f"version {candidate.version} of {route.prompt} is stable already")
    _compared_with_stable(route, approved)
    if not explicit and (bad := route.barred(candidate, older)):
        raise Quarantined(
            f"version {candidate.version} of {route.prompt} has a content that was rolled back in release "
            f"{bad.get('release_id')}; ask for it explicitly with `promptlane release`"
        )


def _compared_with_stable(route: Route, approved: Approved) -> None:
    if route.stable.fingerprint != approved.tested_against:
        raise StableChanged(
            f"stable of {route.prompt} is now version {route.stable.version}, which was not compared with"
        )


def promote(route: Route, approved: Approved, *, watch_for: float, holdback: int, now: float) -> Route:
    """Make the candidate stable and watch it; the same route when this release did so before.

    Raises Gone when the route no longer belongs to the release, StableChanged when stable was not compared with.
    """
    release_id, candidate = approved.release_id, approved.candidate
    if route.release_id == release_id and route.stable == candidate and not route.rolled_back(release_id):
        return route
    if not (route.release_id == release_id and route.canary == candidate):
        raise Gone(f"release {release_id} is no longer in canary; it was rolled back or a newer one took over")
    _compared_with_stable(route, approved)
    watching = watch_for > 0
    done = replace(
        route,
        prompt_id=prompt_id_of(candidate.arn) or route.prompt_id,
        stable=candidate,
        previous=route.stable,
        canary=None,
        weight=0,
        holdback=holdback if watching else 0,
        phase=Phase.WATCH if watching else Phase.STEADY,
        phase_since=now,
        watch_until=now + watch_for if watching else 0.0,
    )
    detail = {"version": candidate.version, "previous": route.stable.version, "watch_until": done.watch_until}
    return next_route(route, done, Event.PROMOTED, now, SYSTEM, detail)


def roll_back(route: Route, wish: Rollback, *, now: float, to: VersionRef | None = None) -> Route:
    """Put the safe version back and quarantine the other.

    Alarm and judge act in canary, and in watch before its end; an operator also later, and an operator alone may name
    the version (`to`, one that was promoted before) in place of the one that the route remembers. Raises NotApplicable,
    Gone, Quarantined or NothingToGoBackTo; then nothing changed.
    """
    if wish.release_id is not None and route.release_id != wish.release_id:
        owner = route.release_id or "none"
        raise Gone(f"the route of {route.prompt} belongs to release {owner}, not to {wish.release_id}")
    if to is not None:
        bad, safe = route.stable, _named_by_operator(route, to, wish.cause)
    elif route.canary is not None:
        bad, safe = route.canary, route.stable
    else:
        watching = route.phase is Phase.WATCH and now < route.watch_until
        if not watching and wish.cause != "operator":
            raise NotApplicable(
                f"{route.prompt} is in phase {route.phase} and its watch is over: only an operator may roll back now "
                f"(`promptlane rollback {route.prompt} --reason ...`)"
            )
        if route.previous is None:
            raise NothingToGoBackTo(
                f"{route.prompt} has no version to go back to; version {route.stable.version} stays. An operator may "
                f"name one that was promoted before: promptlane rollback {route.prompt} --to VERSION --reason ..."
            )
        bad, safe = route.stable, route.previous
    back = replace(
        route,
        prompt_id=prompt_id_of(safe.arn) or route.prompt_id,
        stable=safe,
        previous=None,
        canary=None,
        weight=0,
        holdback=0,
        phase=Phase.STEADY,
        phase_since=now,
        watch_until=0.0,
        quarantined={
            **with_room(route.quarantined),
            bad.fingerprint: entry_of(bad, route.release_id, now),
        },
    )
    reason, by = cut(wish.reason, REASON_BYTES), cut(wish.by, BY_BYTES)
    detail = {"version": bad.version, "restored": safe.version, "cause": wish.cause, "reason": reason}
    evidence = {"evidence": bounded(wish.evidence)} if wish.evidence else {}
    return next_route(route, back, Event.ROLLED_BACK, now, by, {**detail, "phase": route.phase, **evidence})


def _named_by_operator(route: Route, to: VersionRef, cause: RollbackCause) -> VersionRef:
    if cause != "operator":
        raise NotApplicable("only an operator may name the version to go back to")
    if route.phase is Phase.CANARY:
        raise NotApplicable(
            f"a canary of {route.prompt} is out: take it back first, by a rollback that names no version"
        )
    if route.stable.may_hold(to):
        # Also where the number is another: quarantining this content would quarantine what is served.
        same = "" if to.version == route.stable.version else f", with the content of version {route.stable.version}"
        raise NotApplicable(f"version {to.version} of {route.prompt} is stable already{same}")
    if bad := route.taken_back(to):
        raise Quarantined(
            f"version {to.version} of {route.prompt} was rolled back in release {bad.get('release_id')}; if it shall "
            f"be tried again: promptlane release {route.prompt} {to.version} --again"
        )
    return to


def settle(route: Route, *, release_id: str, now: float) -> Route:
    """The safe route at the end of a release: a canary still out is taken back, a watch ends; else the same route."""
    if not route.in_flight(release_id):
        return route
    quiet = replace(route, holdback=0, weight=0, phase=Phase.STEADY, phase_since=now, watch_until=0.0, canary=None)
    if route.canary is not None:
        detail = {"version": route.canary.version, "weight": 0, "stable": route.stable.version}
        return next_route(route, replace(quiet, previous=None), Event.CANARY_SHIFTED, now, SYSTEM, detail)
    return replace(quiet, revision=route.revision + 1, epoch=epoch_after(route.epoch, now))


def next_route(before: Route, after: Route, event: Event, now: float, by: str, detail: Mapping[str, Json]) -> Route:
    """`after` as what is written next over `before`, with the entry that tells of it."""
    after = replace(after, revision=before.revision + 1, epoch=epoch_after(before.epoch, now))
    return replace(after, pending=(*before.pending, _entry(after, event, now, by, detail)))


def _entry(route: Route, event: Event, now: float, by: str, detail: Mapping[str, Json]) -> TimelineEntry:
    # By its moment, too: a table that was restored has the same revision twice.
    name = f"{route.release_id}/route/{route.revision}/{round(now * 1000)}"
    return TimelineEntry(name, route.release_id, now, event, by, detail)
