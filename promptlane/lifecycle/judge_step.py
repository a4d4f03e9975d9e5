"""One look of the judge: alarms, new counts, judgement, timeline entry, and when to look again.

A look may run twice or die anywhere: chunks are put once, and the judgement is a function of what is stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, NamedTuple

from promptlane.domain.canary import asleep, fuse
from promptlane.domain.canary.blocks import Block, Chunk, Pair
from promptlane.domain.canary.broken_split import HISTORY
from promptlane.domain.canary.counts import MINUTE, SHORT_LIVED, BlockStore, CountReader
from promptlane.domain.canary.judge import Action, Judgement, StepContext, judge
from promptlane.domain.canary.waits import next_wait
from promptlane.domain.errors import NotApplicable, PromptlaneError
from promptlane.domain.metrics import is_mean
from promptlane.domain.names import ADVANCE_EVIDENCE, ASSIGNED, FULL, HARM_EVIDENCE, SPLIT_EVIDENCE, WEIGHT, Phase
from promptlane.domain.policy import GuardPolicy, Policy
from promptlane.domain.ports import Enrolments, FuseAlarms, ReleaseStore, RouteStore
from promptlane.domain.release.alarmed import alarm_applies
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import SYSTEM, Event, TimelineEntry
from promptlane.domain.text import traffic

from .telling import Telling

Json = Any

FINE_FOR: Final = 7200.0
"""Blocks are one resolution long for this time, then COARSE resolutions: what a look reads and sums stays bounded."""
COARSE: Final = 5
"""Made up to whole minutes: CloudWatch has no period of 50 s."""
_EXPIRES: Final = SHORT_LIVED - 600.0
"""Age from which counts by less than a minute are not asked for any more: they might be gone by the answer."""
_CHUNK_WINDOWS: Final = 300
_CHUNKS_PER_LOOK: Final = 6


@dataclass(frozen=True, slots=True)
class Timing:
    """How late counts arrive. `arrival`: the client's flush and CloudWatch's own lag. `settle`: how long clients may
    still use the route before a change. All seconds."""

    resolution: float = 60.0
    arrival: float = 120.0
    settle: float = 30.0

    @classmethod
    def at(cls, resolution: float, *, arrival: float | None = None) -> Timing:
        """The timing of a deployment's metric resolution (60 or 10 seconds); `arrival` where its counts come sooner."""
        timing = cls() if resolution >= 60 else cls(resolution, arrival=20.0, settle=10.0)
        return timing if arrival is None else replace(timing, arrival=arrival, settle=min(timing.settle, arrival))

    def lag(self, policy: Policy, guard: GuardPolicy | None) -> float:
        """Seconds after the end of a window from which its counts are complete."""
        return policy.request.timeout + self.arrival + (guard.lag if guard else 0.0)


@dataclass(frozen=True, slots=True)
class Ports:
    """What a look reads and writes."""

    routes: RouteStore
    releases: ReleaseStore
    enrolments: Enrolments
    counts: CountReader
    blocks: BlockStore
    alarms: FuseAlarms
    telling: Telling
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Look:
    """What the state machine is told. `cause` is that of a rollback: judge or undecided."""

    judgement: Action | Literal["gone"]
    reason: str
    wait_seconds: int = 0
    cause: str = ""
    evidence: Mapping[str, Json] = field(default_factory=dict)
    prompt: str = ""
    gauges: Mapping[str, float] = field(default_factory=dict)
    """For the dashboard: metric name to value. Not told to the state machine."""

    def to_dict(self) -> dict[str, Json]:
        return {
            "judgement": self.judgement,
            "reason": self.reason,
            "wait_seconds": self.wait_seconds,
            "cause": self.cause,
            "evidence": dict(self.evidence),
        }


def look(ports: Ports, *, release_id: str, phase: Phase, step: int, now: float, asked: str = "") -> Look:
    """Look once. Raises NotFound for an unknown release, Unavailable when the tables do not answer (try again).

    `asked` names the question: asked again after an answer that was lost, the judgement stands as it was recorded.
    """
    release = ports.releases.get(release_id)
    route = ports.routes.get(release.prompt)
    if release.ended or route is None or route.release_id != release_id or route.phase is not phase:
        return Look("gone", f"The route of {release.prompt} is no longer in {phase} for release {release_id}.")
    policy = ports.enrolments.policy(release.policy_sha256)
    context = _context(route, release, policy, phase, step)
    notes: list[str] = []
    if red := _standing(ports.alarms, route, notes):
        judged = Judgement("roll_back", "judge", red).to_dict() | {"cause": "alarm", "through": {}}
        before = _record(ports, route, context, now, judged, asked)
        return before or Look("roll_back", red, cause="judge")
    chunks = _gather(ports, route, release, policy, now, notes)
    judgement = _decide(chunks, policy, context, now)
    if route.phase is Phase.CANARY and route.weight != policy.canary.steps[context.step].weight:
        notes.append(f"the route's weight is {traffic(route.weight)}, not the step's; changed by hand?")
    if judgement.cause == "undecided" and judgement.judgement == "hold" and policy.canary.undecided == "ask":
        _ask(ports, route, context, judgement, now, notes)
    judgement = replace(judgement, notes=(*notes, *judgement.notes))
    guard = _fuse(chunks, route, policy, ports.timing)
    told = {"fuse_sleeps": asleep.sentence(policy.fuse)} if guard.sleeps else {}
    before = _record(ports, route, context, now, judgement.to_dict() | {"through": _through(chunks), **told}, asked)
    wait = next_look(context, policy, ports.timing, now, sooner=guard.sleeps and guard.traffic)
    if before:
        return replace(before, wait_seconds=wait, gauges=_gauges(route, judgement))
    return Look(
        judgement.judgement,
        judgement.reason,
        wait_seconds=wait,
        cause=judgement.cause if judgement.judgement == "roll_back" else "",
        evidence=judgement.to_dict() if judgement.judgement == "roll_back" else {},
        prompt=route.prompt,
        gauges=_gauges(route, judgement),
    )


def _gauges(route: Route, judgement: Judgement) -> dict[str, float]:
    proofs = [m.advance for m in judgement.metrics if m.advance is not None]
    weight = route.weight / 100 if route.phase is Phase.CANARY else 100 - route.holdback / 100
    known = {WEIGHT: weight, HARM_EVIDENCE: judgement.harm, SPLIT_EVIDENCE: judgement.split}
    return {**known, ADVANCE_EVIDENCE: min(proofs)} if proofs else known


class _Fuse(NamedTuple):
    """`sleeps`: its alarms have too few requests; `traffic`: the trial has some."""

    sleeps: bool
    traffic: bool


def _fuse(chunks: Iterable[Chunk], route: Route, policy: Policy, timing: Timing) -> _Fuse:
    """Whether the judge alone guards, by the latest counts that there are."""
    assigned = [chunk for chunk in chunks if chunk.metric == ASSIGNED]
    end, period = max((chunk.end for chunk in assigned), default=0.0), timing.resolution
    starts = [end - period * age for age in range(1, policy.fuse.periods + fuse.SPARE_PERIODS + 1)]
    windows = [at for at in starts if at >= route.phase_since and not _changes(route, at, at + period, timing.settle)]
    blocks = [block for chunk in assigned for block in chunk.blocks if block.end > min(starts)]
    sleeps = asleep.sleeping(blocks, windows, policy.fuse, period=period)
    return _Fuse(sleeps or False, any(block.trial.n for block in blocks))


def next_look(context: StepContext, policy: Policy, timing: Timing, now: float, *, sooner: bool = False) -> int:
    """Whole seconds until the next look: longer the longer the phase lasts, but never past a deadline.

    `sooner`: twice as often, where the fuse sleeps.
    """
    if context.phase is Phase.WATCH:
        deadlines = [context.watch_until]
    else:
        step = policy.canary.steps[context.step]
        deadlines = [context.since + step.min_bake, context.since + step.max_time]
    return next_wait(context.phase_since, now, least=timing.resolution, deadlines=deadlines, sooner=sooner)


def replay(detail: Mapping[str, Json], chunks: Iterable[Chunk], policy: Policy) -> Judgement:
    """The judgement of a past look again, from its `Canary Judged` entry and the stored chunks."""
    context = StepContext(
        phase=Phase(detail["phase"]),
        step=int(detail["step"]),
        since=float(detail["since"]),
        phase_since=float(detail["phase_since"]),
        watch_until=float(detail["watch_until"]),
        paused=str(detail["paused"]),
        advance=str(detail["advanced"]),
    )
    through = detail["through"]
    used = [c for c in chunks if c.phase == context.phase and c.end <= float(through.get(c.metric, -math.inf))]
    return _decide(used, policy, context, float(detail["now"]))


def _decide(chunks: Iterable[Chunk], policy: Policy, context: StepContext, now: float) -> Judgement:
    blocks: dict[str, list[Block]] = {}
    history: dict[str, Pair] = {}
    for chunk in sorted(chunks, key=lambda c: c.start):
        blocks.setdefault(chunk.metric, []).extend(chunk.blocks)
        if chunk.history is not None:
            history.setdefault(chunk.metric, chunk.history)
    return judge(blocks, blocks.get(ASSIGNED, []), policy, context, now, history=history)


def _context(route: Route, release: Release, policy: Policy, phase: Phase, step: int) -> StepContext:
    step = min(max(step, 0), len(policy.canary.steps) - 1)
    reached = [at for at, weight in route.shifts if weight >= policy.canary.steps[step].weight]
    since = min(reached) if reached else (route.shifts[-1][0] if route.shifts else route.phase_since)
    wish = release.advance if release.advance and release.advance.get("step") == step else None
    return StepContext(
        phase=phase,
        step=step,
        since=since if phase is Phase.CANARY else route.phase_since,
        phase_since=route.phase_since,
        watch_until=route.watch_until,
        paused=_wish(release.paused),
        advance=_wish(wish),
    )


def _wish(wish: Mapping[str, Json] | None) -> str:
    return f"{wish.get('by', 'somebody')}: {wish.get('reason', '')}" if wish else ""


def _standing(alarms: FuseAlarms, route: Route, notes: list[str]) -> str:
    """A sentence on an alarm that stands and condemns the release; alarms act on transitions, a look on states."""
    try:
        red = alarms.red(route.prompt)
    except PromptlaneError as error:
        notes.append(f"alarm states could not be read: {error}")
        return ""
    for alarm in red:
        if not fuse.acts(alarm.metric):
            notes.append(f"stable itself is in trouble: the {alarm.metric} alarm is red")
            continue
        try:
            alarm_applies(route, track=alarm.track, changed_at=alarm.since)
        except NotApplicable as error:
            notes.append(f"alarm {alarm.track}/{alarm.metric} is red: {error}")
            continue
        return f"The alarm {alarm.track}/{alarm.metric} stands in ALARM since this {route.phase} began: roll back."
    return ""


def _versions(route: Route) -> tuple[int, int] | None:
    """(control, trial): what is compared in this phase; None when there is nothing to compare with."""
    if route.phase is Phase.CANARY and route.canary is not None:
        return route.stable.version, route.canary.version
    if route.phase is Phase.WATCH and route.previous is not None and route.holdback > 0:
        return route.previous.version, route.stable.version
    return None


def _gather(ports: Ports, route: Route, release: Release, policy: Policy, now: float, notes: list[str]) -> list[Chunk]:
    """Stored chunks, after those windows were added that are complete by now."""
    chunks: list[Chunk] = []
    try:
        chunks = ports.blocks.load(release.release_id, route.phase)
        versions = _versions(route)
        if versions is None:
            return chunks
        for _ in range(_CHUNKS_PER_LOOK):
            new = _read(ports, route, policy, versions, chunks, now)
            if not new:
                break
            stored = [ports.blocks.put_once(release.release_id, chunk) for chunk in new]
            # A chunk that lost the race against another look does not count; the stored one does.
            chunks = [*chunks, *new] if all(stored) else ports.blocks.load(release.release_id, route.phase)
    except PromptlaneError as error:
        notes.append(f"counts could not be read, so nothing new was bet on: {error}")
    return chunks


def _read(
    ports: Ports, route: Route, policy: Policy, versions: tuple[int, int], chunks: Sequence[Chunk], now: float
) -> list[Chunk]:
    guards: dict[str, GuardPolicy | None] = {g.name: g for g in policy.canary.guard_metrics}
    guards[ASSIGNED] = None
    first = math.floor(route.phase_since / ports.timing.resolution) * ports.timing.resolution
    spans: dict[tuple[float, float, float], list[str]] = {}
    for metric, guard in guards.items():
        start = max((c.end for c in chunks if c.metric == metric), default=first)
        period, limit = _period(start, first, ports.timing.resolution, now)
        complete = now - ports.timing.lag(policy, guard)
        grid = math.floor(start / period) * period
        end = min(math.floor(complete / period) * period, limit, grid + _CHUNK_WINDOWS * period)
        if end > start:
            spans.setdefault((start, end, period), []).append(metric)
    fresh: list[Chunk] = []
    for (start, end, period), metrics in spans.items():
        found = ports.counts.windows(
            route.prompt, control=versions[0], trial=versions[1], metrics=metrics, start=start, end=end, period=period
        )
        past: dict[str, Pair] = {}
        if start == first:
            # Means are told only while a release is out, as shares of a cap that the one before need not have had.
            bad = [m for m in metrics if m != ASSIGNED and not is_mean(m)]
            past = ports.counts.history(
                route.prompt, version=versions[0], metrics=bad, start=first - HISTORY, end=first
            )
        for metric in metrics:
            kept = tuple(
                Block(at, period, _share(route, at), *arms)
                for at, arms in sorted(found.get(metric, {}).items())
                if start <= at < end and not _changes(route, at, at + period, ports.timing.settle)
            )
            fresh.append(Chunk(str(route.phase), metric, start, end, kept, past.get(metric)))
    return fresh


def _period(start: float, first: float, resolution: float, now: float) -> tuple[float, float]:
    """(window length, where this length ends) for a chunk that begins at `start`.

    Windows begin on multiples of their length. Where a longer one begins before `start`, it is left out: part of it was
    counted already, in shorter ones.
    """
    coarse = math.ceil(resolution * COARSE / MINUTE) * MINUTE
    switch = math.ceil((first + FINE_FOR) / coarse) * coarse
    expired = resolution < MINUTE and now - start > _EXPIRES
    return (resolution, switch) if start < switch and not expired else (coarse, math.inf)


def _share(route: Route, at: float) -> float:
    """The trial's declared share of traffic at a time."""
    if route.phase is Phase.WATCH:
        return 1 - route.holdback / FULL
    weight = 0
    for since, new in route.shifts:
        if since <= at:
            weight = new
    return weight / FULL


def _changes(route: Route, start: float, end: float, settle: float) -> bool:
    """Whether clients may have used two routes within [start, end)."""
    moments = [route.phase_since, *(at for at, _ in route.shifts)]
    return any(start < at + settle and at < end for at in moments)


def _through(chunks: Iterable[Chunk]) -> dict[str, float]:
    through: dict[str, float] = {}
    for chunk in chunks:
        through[chunk.metric] = max(chunk.end, through.get(chunk.metric, chunk.end))
    return through


def _record(
    ports: Ports, route: Route, context: StepContext, now: float, judged: Mapping[str, Json], asked: str
) -> Look | None:
    """Write down the judgement, up to which time its counts go, and what it was made on.

    Where this very question has its entry already, nothing is written, and the look of then is the answer.
    """
    detail = {
        **judged,
        "phase": str(context.phase),
        "step": context.step,
        "weight": route.weight,
        "since": context.since,
        "phase_since": context.phase_since,
        "watch_until": context.watch_until,
        "paused": context.paused,
        "advanced": context.advance,
        "now": now,
    }
    entry_id = f"{route.release_id}/judged/{context.phase}/{context.step}/{asked or round(now * 1000)}"
    entry = TimelineEntry(entry_id, route.release_id, at=now, event=Event.CANARY_JUDGED, by=SYSTEM, detail=detail)
    if ports.releases.append(entry):
        return None
    return _looked(next(e for e in ports.releases.timeline(route.release_id) if e.id == entry_id), route.prompt)


def _looked(entry: TimelineEntry, prompt: str) -> Look:
    """What a look answered, from its entry."""
    detail = entry.detail
    back, alarm = detail["judgement"] == "roll_back", detail["cause"] == "alarm"
    said = {f.name for f in fields(Judgement)}
    return Look(
        detail["judgement"],
        str(detail["reason"]),
        cause=("judge" if alarm else str(detail["cause"])) if back else "",
        evidence={k: v for k, v in detail.items() if k in said} if back and not alarm else {},
        prompt=prompt,
    )


def _ask(ports: Ports, route: Route, context: StepContext, judgement: Judgement, now: float, notes: list[str]) -> None:
    """Ask people once per step. Without the email the timeline asks alone, and the notes say so."""
    detail = {"step": context.step, "reason": judgement.reason}
    entry_id = f"{route.release_id}/asked/{context.step}"
    entry = TimelineEntry(entry_id, route.release_id, at=now, event=Event.DECISION_NEEDED, by=SYSTEM, detail=detail)
    if ports.releases.append(entry) and ports.telling.settle(route.release_id):
        notes.append("nobody could be told by email yet: it is tried again")
