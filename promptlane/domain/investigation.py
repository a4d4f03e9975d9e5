"""What changed, when, by whom, and what it did: one prompt's sources joined into one timeline with ranked causes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from .causes import CONVINCING, Contrast, best_moment, contrast, side_by_side
from .diff import compare, unified
from .inquiry import CALL_EVENTS, CONTROL_EVENTS, CallGroup, Cell, Gathered, Missing, TrailEvent
from .invocation import Invocation, variables_in
from .names import Event, Phase
from .prompt import PromptVersion, template_texts
from .route import Route
from .text import one_line
from .timeline import TimelineEntry, iso

Json = Any
Kind = Literal["version", "outside", "bypass", "deleted"]
_ROUTING: Final = (Event.CANARY_SHIFTED, Event.PROMOTED, Event.ROLLED_BACK)
_WORDS: Final = {
    "Error": "errors", "Refusal": "refusals", "Guardrail": "guardrail interventions", "Truncation": "truncated answers",
    "Slow": "slow answers", "NegativeFeedback": "negative feedback",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the joined timeline. `change`: it may have changed what users get."""

    at: float
    source: Literal["cloudtrail", "release", "alarm", "route"]
    what: str
    by: str = ""
    version: int = 0
    change: bool = False

    def to_dict(self) -> dict[str, Json]:
        return {
            "at": iso(self.at), "source": self.source, "what": self.what, "by": self.by,
            "version": self.version or None, "change": self.change,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Story:
    """Where a version came from and how it got its traffic. A time of 0 or an empty name: not known."""

    version: int
    release_id: str = ""
    description: str = ""
    published_at: float = 0.0
    published_by: str = ""
    edited_by: tuple[str, ...] = ()
    requested_by: str = ""
    approved_by: tuple[str, ...] = ()
    verdict: str = ""
    first_served: float = 0.0
    promoted_at: float = 0.0
    rolled_back_at: float = 0.0

    def to_dict(self) -> dict[str, Json]:
        return {
            "version": self.version,
            "release_id": self.release_id or None,
            "description": self.description,
            "published_at": _time(self.published_at),
            "published_by": self.published_by or None,
            "edited_by": list(self.edited_by),
            "requested_by": self.requested_by or None,
            "approved_by": list(self.approved_by),
            "tests": self.verdict or None,
            "first_served_at": _time(self.first_served),
            "promoted_at": _time(self.promoted_at),
            "rolled_back_at": _time(self.rolled_back_at),
        }


@dataclass(frozen=True, slots=True)
class Cause:
    """One explanation. `contrast` is None where no count could speak for or against it."""

    kind: Kind
    title: str
    because: tuple[str, ...]
    at: float
    version: int = 0
    contrast: Contrast | None = None
    also: tuple[Contrast, ...] = ()

    @property
    def shown(self) -> bool:
        """Whether chance is a poor explanation."""
        return self.contrast is not None and self.contrast.chance < CONVINCING

    def to_dict(self) -> dict[str, Json]:
        return {
            "kind": self.kind, "title": self.title, "because": list(self.because), "at": _time(self.at),
            "version": self.version or None, "shown": self.shown,
            "contrast": self.contrast.to_dict() if self.contrast else None,
            "also": [c.to_dict() for c in self.also],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Remedy:
    """How to end it: the exact command, or why there is none."""

    command: str
    says: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A conversation that went wrong, and the one most like it that went well under the version before."""

    bad: Invocation
    good: Invocation | None
    bad_variables: Mapping[str, str]
    good_variables: Mapping[str, str]

    def to_dict(self) -> dict[str, Json]:
        return {
            "bad": _conversation(self.bad, self.bad_variables),
            "good": _conversation(self.good, self.good_variables) if self.good else None,
        }


@dataclass(frozen=True, slots=True)
class Investigation:
    """The answer. `before` and `after` are the versions that the leading cause is about (0: none)."""

    facts: Gathered
    timeline: tuple[Happening, ...]
    causes: tuple[Cause, ...]
    stories: tuple[Story, ...]
    before: int
    after: int
    diff: tuple[str, ...]
    remedy: Remedy
    missing: tuple[Missing, ...]
    pairs: tuple[Pair, ...] = ()

    @property
    def leading(self) -> Cause | None:
        return self.causes[0] if self.causes and self.causes[0].shown else None

    def to_dict(self) -> dict[str, Json]:
        facts = self.facts
        return {
            "schema": 1,
            "prompt": facts.prompt,
            "prompt_id": facts.prompt_id or None,
            "since": iso(facts.window.since),
            "until": iso(facts.window.until),
            "generated_at": iso(facts.now),
            "summary": list(summary(self)),
            "causes": [c.to_dict() for c in self.causes],
            "remedy": {"command": self.remedy.command or None, "says": self.remedy.says},
            "before": self.before or None,
            "after": self.after or None,
            "diff": list(self.diff),
            "versions": [s.to_dict() for s in self.stories],
            "conversations": [p.to_dict() for p in self.pairs],
            "timeline": [h.to_dict() for h in self.timeline],
            "rates": [
                {"at": iso(c.at), "seconds": c.seconds, "version": c.version, "metric": c.metric,
                 "requests": c.requests, "bad": c.bad} for c in facts.cells
            ],
            "calls": [_group(g) for g in facts.calls],
            "calls_outside_the_split": [_group(g) for g in facts.outside],
            "missing": [m.to_dict() for m in self.missing],
        }  # fmt: skip


def investigate(facts: Gathered) -> Investigation:
    """Join, rank and conclude. Conversations are added by `with_conversations`, once it is known which to sample."""
    stories = tuple(_stories(facts))
    causes = tuple(_ranked(facts, stories))
    lead = causes[0] if causes and causes[0].shown and causes[0].kind == "version" else None
    after = lead.version if lead else _newest_change(stories, facts)
    before = _version_before(after, facts)
    return Investigation(
        facts=facts,
        timeline=tuple(_timeline(facts)),
        causes=causes,
        stories=stories,
        before=before,
        after=after,
        diff=tuple(_diff(facts, before, after)),
        remedy=_remedy(facts, lead, before),
        missing=(*facts.missing, *_doubts(facts, stories)),
    )


def with_conversations(
    found: Investigation, bad: Sequence[Invocation], good: Sequence[Invocation], *, most: int = 3
) -> Investigation:
    """Add examples: bad ones of the version after, each beside the most similar good one of the version before."""
    metric = found.leading.contrast.metric if found.leading and found.leading.contrast else "Refusal"
    wrong = [i for i in bad if metric in i.bad] or [i for i in bad if i.bad]
    right = [i for i in good if not i.bad and i.has_text and i.answer]
    new, old = _template(found.facts, found.after), _template(found.facts, found.before)
    asked = {id(i): variables_in(new, i.sent) for i in wrong}
    known = {id(i): variables_in(old, i.sent) for i in right}
    pairs: list[tuple[float, Pair]] = []
    for one in wrong:
        words = _words(one, asked[id(one)])
        scored = [(_alike(words, _words(other, known[id(other)])), -k) for k, other in enumerate(right)]
        likeness, index = max(scored, default=(0.0, 0))
        twin = right[-index] if scored else None
        pairs.append((likeness, Pair(one, twin, asked[id(one)], known[id(twin)] if twin else {})))
    pairs.sort(key=lambda p: -p[0])
    return replace(found, pairs=tuple(pair for _, pair in _distinct(pairs))[:most])


def summary(found: Investigation) -> Iterator[str]:
    """A few sentences for somebody who has one minute."""
    facts, lead = found.facts, found.leading
    if lead is None:
        yield (
            f"Nothing shows a rise of bad events of {facts.prompt} that chance would not explain."
            if facts.cells
            else f"There are no counts of {facts.prompt} in this window, so no rise of bad events can be shown."
        )
    else:
        yield lead.title
        yield from lead.because
    if story := next((s for s in found.stories if s.version == found.after), None):
        yield _who(story)
    if found.missing:
        yield f"{len(found.missing)} thing(s) could not be learnt; they are listed under what is missing."


def percent(rate: float) -> str:
    return f"{rate * 100:.1f}%" if rate < 0.1 else f"{rate * 100:.0f}%"


def _who(story: Story) -> str:
    parts = [f"published by {story.published_by}" if story.published_by else "publisher unknown"]
    if others := [e for e in story.edited_by if e != story.published_by]:
        parts.append(f"edited by {', '.join(others)}")
    parts.append(f"approved by {', '.join(story.approved_by)}" if story.approved_by else "no approval on record")
    if story.description:
        parts.append(f"described as “{one_line(story.description, 200)}”")
    return f"Version {story.version}: {'; '.join(parts)}."


def _stories(facts: Gathered) -> Iterator[Story]:
    entries = sorted(facts.entries, key=lambda e: (e.at, e.seq))
    releases: dict[int, list[str]] = {}
    for release in facts.releases:
        releases.setdefault(release.version, []).append(release.release_id)
    versions = {*releases, *facts.snapshots, *(c.version for c in facts.cells)}
    for version in sorted(versions):
        mine = [e for e in entries if e.release_id in releases.get(version, ())]
        record = next((r for r in reversed(facts.releases) if r.version == version), None)
        snapshot = facts.snapshots.get(version)
        published = _publication(facts, version, snapshot)
        previous = facts.snapshots.get(version - 1)
        start = previous.created_at if previous else 0.0
        end = published.at if published else (snapshot.created_at if snapshot else 0.0)
        edits = (e.arn for e in facts.trail if e.name in ("CreatePrompt", "UpdatePrompt") and not e.error
                 and int(start) <= e.at <= end + 1)  # fmt: skip
        shifts = [e for e in mine if e.event in (Event.CANARY_SHIFTED, Event.PROMOTED) and _gives_traffic(e)]
        promoted = [e for e in mine if e.event is Event.PROMOTED]
        back = [e for e in mine if e.event is Event.ROLLED_BACK]
        yield Story(
            version=version,
            release_id=record.release_id if record else "",
            description=snapshot.description if snapshot else (record.description if record else ""),
            published_at=published.at if published else (snapshot.created_at if snapshot else 0.0),
            published_by=published.arn if published else "",
            edited_by=tuple(dict.fromkeys(a for a in edits if a)),
            requested_by=record.requested_by if record else "",
            approved_by=tuple(_approvers(mine)),
            verdict=str(record.verdict.get("verdict") or "") if record else "",
            first_served=shifts[0].at if shifts else 0.0,
            promoted_at=promoted[-1].at if promoted else 0.0,
            rolled_back_at=back[-1].at if back else 0.0,
        )


def _approvers(entries: Iterable[TimelineEntry]) -> Iterator[str]:
    seen = set()
    for entry in entries:
        if entry.event is Event.REVIEWER_DECIDED and entry.detail.get("choice") == "approve" and entry.by not in seen:
            seen.add(entry.by)
            yield entry.by


def _publication(facts: Gathered, version: int, snapshot: PromptVersion | None) -> TrailEvent | None:
    published = [e for e in facts.trail if e.name == "CreatePromptVersion" and not e.error]
    exact = [e for e in published if e.version == version]
    # The answer that holds the number may be masked: then the time tells.
    near = [e for e in published if not e.version and snapshot and abs(e.at - snapshot.created_at) <= 30]
    return next(iter(exact or near), None)


def _gives_traffic(entry: TimelineEntry) -> bool:
    return entry.event is Event.PROMOTED or float(entry.detail.get("weight") or 0) > 0


def _timeline(facts: Gathered) -> Iterator[Happening]:
    happened: list[Happening] = []
    for event in facts.trail:
        if facts.window.holds(event.at) and event.name not in CALL_EVENTS:
            happened.append(_of_trail(event))
    for entry in facts.entries:
        if facts.window.holds(entry.at) and entry.event is not Event.REVIEW_VIEWED:
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
    version = int(detail.get("version") or 0)
    parts = [f"version {version}"] if version else []
    if (weight := detail.get("weight")) is not None:
        parts.append(f"{float(weight) / 100:g}% of traffic")
    for name in ("choice", "decision", "verdict", "outcome", "cause", "judgement", "restored", "reason"):
        if detail.get(name) not in (None, ""):
            parts.append(f"{'' if name == 'reason' else name + ' '}{detail[name]}")
    told = f": {one_line('; '.join(parts), 240)}" if parts else ""
    return Happening(
        entry.at, "release", f"{entry.event}{told} [{entry.release_id}]", entry.by, version, entry.event in _ROUTING
    )


def _ranked(facts: Gathered, stories: Sequence[Story]) -> list[Cause]:
    causes = [*_by_counts(facts, stories), *_bypasses(facts)]
    return sorted(causes, key=_rank)


def _rank(cause: Cause) -> tuple[int, float, float]:
    """Shown causes by how unlikely chance is; then what no count could test; then what the counts do not support."""
    if cause.contrast is None:
        return 1, 0.0, -cause.at
    return (0 if cause.shown else 2), -cause.contrast.ratio + _freedom(cause), -cause.at


def _freedom(cause: Cause) -> float:
    """A version that explains the rise as well as an unnamed something is the better explanation."""
    return 3.0 if cause.kind == "outside" else 0.0


def _by_counts(facts: Gathered, stories: Sequence[Story]) -> Iterator[Cause]:
    cells = facts.cells
    metrics = sorted({c.metric for c in cells})
    served = sorted({c.version for c in cells if c.requests})
    tried = max(1, len(metrics) * (len(served) + 1))
    by_version = {s.version: s for s in stories}
    for version in served:
        story = by_version.get(version)
        if story and 0 < story.first_served < facts.read.since:
            continue  # served all the while: whatever it is like, it is not what changed
        found = [contrast(cells, _version_is(version), metric=m, tried=tried) for m in metrics]
        if best := _best(found):
            yield _version_cause(facts, story, version, best, found)
    moments = {m: best_moment(cells, m) for m in metrics}
    found = [
        contrast(cells, _begins_at(at), metric=m, tried=tried * count) for m, (at, count) in moments.items() if count
    ]
    if best := _best(found):
        yield _outside_cause(cells, moments[best.metric][0], best, found)
    for event in facts.trail:
        if event.name == "DeletePrompt" and not event.error and facts.window.holds(event.at):
            yield _deletion(cells, event, tried)


def _version_is(version: int) -> Callable[[Cell], bool]:
    return lambda cell: cell.version == version


def _begins_at(at: float) -> Callable[[Cell], bool]:
    return lambda cell: cell.at >= at


def _best(found: Sequence[Contrast | None]) -> Contrast | None:
    return max((c for c in found if c), key=lambda c: c.ratio, default=None)


def _also(found: Sequence[Contrast | None], best: Contrast) -> tuple[Contrast, ...]:
    return tuple(c for c in found if c and c is not best and c.chance < CONVINCING)


def _version_cause(
    facts: Gathered, story: Story | None, version: int, best: Contrast, found: Sequence[Contrast | None]
) -> Cause:
    began = story.first_served if story else 0.0
    word = _WORDS.get(best.metric, best.metric)
    title = (
        f"Version {version} has {percent(best.exposed_rate)} {word}; the other versions had "
        f"{percent(best.other_rate)}{f' (served since {iso(began)})' if began else ''}."
    )
    because = [
        f"{best.exposed[1]:,} of {best.exposed[0]:,} requests against {best.others[1]:,} of {best.others[0]:,}; "
        f"chance explains that with a probability of at most {best.chance:.2g}."
    ]
    mine, rest = side_by_side(facts.cells, version, best.metric)
    if mine[0] and rest[0]:
        because.append(
            f"Served side by side, in the same periods: {percent(mine[1] / mine[0])} ({mine[1]:,} of {mine[0]:,}) "
            f"against {percent(rest[1] / rest[0])} ({rest[1]:,} of {rest[0]:,})."
        )
    else:
        because.append(
            "No period had requests of this version and of another one, so a change outside of Promptlane at the "
            "same time cannot be told apart."
        )
    return Cause("version", title, tuple(because), began, version, best, _also(found, best))


def _outside_cause(cells: Sequence[Cell], at: float, best: Contrast, found: Sequence[Contrast | None]) -> Cause:
    word = _WORDS.get(best.metric, best.metric)
    title = (
        f"Something outside of the prompt: {word} of all versions together went from {percent(best.other_rate)} to "
        f"{percent(best.exposed_rate)} at {iso(at)}."
    )
    versions = sorted({c.version for c in cells if c.at >= at and c.requests})
    because = (
        f"After that moment version{'s' if len(versions) > 1 else ''} {', '.join(map(str, versions))} got requests. "
        "Look at the model's provider, at what the application sends, and at who sends it.",
    )
    return Cause("outside", title, because, at, 0, best, _also(found, best))


def _deletion(cells: Sequence[Cell], event: TrailEvent, tried: int) -> Cause:
    gone = f"version {event.version}" if event.version else "the prompt"
    found = contrast(
        cells,
        lambda c: c.at + c.seconds > event.at and event.version in (0, c.version),
        metric="Error",
        tried=tried,
    )
    because = (f"DeletePrompt by {event.arn or 'an unknown principal'}; calls of what is gone fail.",)
    return Cause(
        "deleted", f"{gone.capitalize()} was deleted at {iso(event.at)}.", because, event.at, event.version, found
    )


def _bypasses(facts: Gathered) -> Iterator[Cause]:
    """Calls that no split decided on: DRAFT, versions that the route never named, models called directly."""
    known = {c.version for c in facts.cells} | {r.version for r in facts.releases}
    groups: dict[str, list[tuple[float, str]]] = {}
    for event in facts.trail:
        if event.name not in CALL_EVENTS or not facts.window.holds(event.at) or not facts.prompt_id:
            continue
        if f"prompt/{facts.prompt_id}" not in event.target:
            continue
        if not event.version:
            groups.setdefault("DRAFT", []).append((event.at, event.arn))
        elif event.version not in known:
            groups.setdefault(f"version {event.version}, which was never released", []).append((event.at, event.arn))
    for what, calls in groups.items():
        callers = ", ".join(sorted({arn for _, arn in calls if arn})) or "an unknown principal"
        yield _bypass(f"{len(calls)} call(s) used {what}.", callers, min(at for at, _ in calls))
    direct = [g for g in facts.outside if g.calls]
    if direct:
        callers = ", ".join(sorted({g.caller for g in direct if g.caller})) or "unknown principals"
        models = ", ".join(sorted({g.model for g in direct}))
        first = min((g.first for g in direct if g.first), default=facts.window.since)
        yield _bypass(
            f"{sum(g.calls for g in direct):,} call(s) of {models} name no prompt in their metadata.", callers, first
        )


def _bypass(title: str, callers: str, at: float) -> Cause:
    because = (
        f"By {callers}. Nobody's split decided on them, and no guard metric counts them: what users saw there is in "
        "the invocation log only.",
    )
    return Cause("bypass", title, because, at)


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
    share = f"{percent(lead.contrast.exposed_rate)} {_WORDS.get(lead.contrast.metric, '')}" if lead.contrast else ""
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


def _distinct(pairs: Sequence[tuple[float, Pair]]) -> Iterator[tuple[float, Pair]]:
    seen = set()
    for likeness, pair in pairs:
        key = " ".join(pair.bad_variables.values()) or pair.bad.sent
        if key not in seen:
            seen.add(key)
            yield likeness, pair


def _template(facts: Gathered, version: int) -> str:
    """The text of a version that becomes the user's message: the template, or a chat's last message."""
    snapshot = facts.snapshots.get(version)
    texts = template_texts(snapshot.variant) if snapshot else []
    return texts[-1] if texts else ""


def _words(invocation: Invocation, variables: Mapping[str, str]) -> frozenset[str]:
    text = " ".join(variables.values()) or invocation.sent
    return frozenset(text[:20_000].casefold().split())


def _alike(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right) if left and right else 0.0


def _conversation(one: Invocation, variables: Mapping[str, str]) -> dict[str, Json]:
    return {
        "at": iso(one.at), "version": one.version, "track": one.track, "caller": one.caller,
        "request_id": one.request_id,
        "variables": dict(variables), "sent": one.sent, "answer": one.answer, "stop_reason": one.stop_reason,
        "error": one.error or None, "bad": sorted(one.bad),
    }  # fmt: skip


def _group(g: CallGroup) -> dict[str, Json]:
    return {
        "version": g.version or None, "track": g.track or None, "caller": g.caller or None, "model": g.model,
        "operation": g.operation, "calls": g.calls, "errors": g.errors, "input_tokens": g.input_tokens,
        "output_tokens": g.output_tokens, "first": _time(g.first), "last": _time(g.last),
    }  # fmt: skip


def _time(at: float) -> str | None:
    return iso(at) if at else None


def serving(route: Route | None) -> set[int]:
    """Versions that the route names."""
    refs = (route.stable, route.previous, route.canary) if route else ()
    return {ref.version for ref in refs if ref is not None}
