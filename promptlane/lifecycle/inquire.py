"""Asks every source what it knows about a prompt. A source that fails leaves a gap that is said, never an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from promptlane.domain.errors import NotFound, PromptlaneError
from promptlane.domain.examples import with_conversations
from promptlane.domain.findings import Investigation
from promptlane.domain.inquiry import (
    CALL_EVENTS,
    CONTROL_EVENTS,
    OBSERVATION_EVENTS,
    AlarmChange,
    AlarmHistory,
    CallGroup,
    Cell,
    Gathered,
    InvocationLog,
    LoggingState,
    Missing,
    RateReader,
    Sampled,
    Trail,
    TrailEvent,
    Window,
)
from promptlane.domain.investigation import investigate, serving
from promptlane.domain.names import Event, GuardName
from promptlane.domain.ports import Clock, PromptStore, ReleaseStore, RouteStore
from promptlane.domain.prompt import PromptVersion
from promptlane.domain.release import Release
from promptlane.domain.route import Route
from promptlane.domain.timeline import TimelineEntry, iso

T = TypeVar("T")
_DAY: Final = 86_400.0
TRAIL_KEPT: Final = 90 * _DAY
ALARMS_KEPT: Final = 30 * _DAY
TRAIL_LATE: Final = 15 * 60.0
_CELLS: Final = 90
"""About how many periods a window is divided into."""
_METRICS: Final = tuple(str(name) for name in GuardName)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where an investigation looks."""

    prompts: PromptStore
    routes: RouteStore
    releases: ReleaseStore
    trail: Trail
    alarms: AlarmHistory
    rates: RateReader
    log: InvocationLog
    clock: Clock


@dataclass
class _Asking:
    """What could not be learnt so far."""

    missing: list[Missing] = field(default_factory=list)

    def lacks(self, source: str, what: str, therefore: str, remedy: str = "") -> None:
        self.missing.append(Missing(source, what, therefore, remedy))

    def ask(self, source: str, therefore: str, question: Callable[[], T], otherwise: T, remedy: str = "") -> T:
        try:
            return question()
        except PromptlaneError as error:
            self.lacks(source, str(error), therefore, remedy)
        except (LookupError, TypeError, ValueError) as error:
            # Records of other systems change their form; one that cannot be read must not hide all the others.
            self.lacks(source, f"its answer is of an unknown form ({type(error).__name__}: {error})", therefore, remedy)
        return otherwise


def inquire(sources: Sources, prompt: str, since: float, until: float) -> Investigation:
    """Investigate [since, until) of a prompt given by name, id or ARN.

    Raises NotFound only where no source at all knows the prompt.
    """
    now = sources.clock()
    asking = _Asking()
    window = _clamped(Window(since, until), now, asking)
    prompt_id, name = _identify(sources, prompt, asking)
    route = asking.ask("routes", "who gets which version now is not known", lambda: sources.routes.get(name), None)
    releases, entries = _releases(sources, prompt_id, asking)
    if route is None and not releases and not prompt_id:
        raise NotFound(f"no source knows a prompt {prompt!r}: not Bedrock, not the route table, not the release table")
    read = _read_window(window, now)
    versions = _versions(route, releases, entries, read)
    cells = asking.ask(
        "metrics",
        "rates of bad events by version are not known, so causes cannot be ranked by them",
        lambda: sources.rates.cells(name, versions=versions, metrics=_METRICS, window=read, seconds=_period(read, now)),
        list[Cell](),
    )
    if not cells and versions:
        asking.lacks(
            "metrics",
            "no request of any version was counted in this time",
            "nothing can be compared",
            "choose another time, or check that the application uses promptlane.client",
        )
    snapshots = _snapshots(sources, prompt_id, versions, asking)
    facts = Gathered(
        prompt=name,
        prompt_id=prompt_id,
        window=window,
        read=read,
        now=now,
        route=route,
        releases=tuple(releases),
        entries=tuple(entries),
        trail=_trail(sources, prompt_id, name, window, snapshots, now, asking),
        alarms=tuple(_alarms(sources, name, window, now, asking)),
        cells=tuple(cells),
        snapshots=snapshots,
        missing=(),
    )
    return _with_log(sources, facts, asking)


def _clamped(window: Window, now: float, asking: _Asking) -> Window:
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
            "",
        )
        return Window(window.since, now)
    return window


def _identify(sources: Sources, prompt: str, asking: _Asking) -> tuple[str, str]:
    """(id, name); a prompt that Bedrock no longer has is still known to its route."""
    found = asking.ask("Bedrock", "versions and their texts are not known", lambda: sources.prompts.find(prompt), None)
    if found:
        return found
    route = asking.ask("routes", "", lambda: sources.routes.get(prompt), None)
    if route is None:
        raise NotFound(
            f"there is no prompt {prompt!r} in Bedrock, and no route of that name; `promptlane status` lists what is "
            "enrolled"
        )
    asking.lacks(
        "Bedrock",
        f"it has no prompt {prompt!r} (any more)",
        "the versions' texts cannot be compared",
        "`promptlane restore` publishes an archived version again",
    )
    return route.prompt_id, route.prompt


def _releases(sources: Sources, prompt_id: str, asking: _Asking) -> tuple[list[Release], list[TimelineEntry]]:
    def read() -> tuple[list[Release], list[TimelineEntry]]:
        releases = sources.releases.of_prompt(prompt_id)
        return releases, [entry for r in releases[-20:] for entry in sources.releases.timeline(r.release_id)]

    nothing: tuple[list[Release], list[TimelineEntry]] = ([], [])
    return asking.ask("releases", "who released and approved what is not known", read, nothing)


def _versions(
    route: Route | None, releases: Sequence[Release], entries: Sequence[TimelineEntry], read: Window
) -> list[int]:
    """Versions that may have had traffic: what the route names, and what was shifted or promoted."""
    # Other events name versions by their fingerprints, or tell of versions that never got any traffic.
    shifts = [e.detail for e in entries if e.event is Event.CANARY_SHIFTED]
    shifted = {int(d["version"]) for d in shifts if d.get("version")}
    stable = {int(d["stable"]) for d in shifts if d.get("stable")}
    promoted = {
        r.version for r in releases if r.state in ("canary", "watch") or r.outcome in ("promoted", "rolled_back")
    }
    return sorted({*serving(route), *shifted, *stable, *promoted})[-8:]


def _snapshots(
    sources: Sources, prompt_id: str, versions: Sequence[int], asking: _Asking
) -> Mapping[int, PromptVersion]:
    found: dict[int, PromptVersion] = {}
    if not prompt_id:
        return found
    for version in sorted({*versions, *(v - 1 for v in versions if v > 1)}):
        read = partial(sources.prompts.version, prompt_id, version)
        snapshot = asking.ask(
            "Bedrock",
            f"the text of version {version} cannot be compared",
            read,
            None,
            "the archive may hold it: archive/<prompt id>/<version>.json in the report bucket",
        )
        if snapshot is not None:
            found[version] = snapshot
    return found


def _trail(
    sources: Sources,
    prompt_id: str,
    name: str,
    window: Window,
    snapshots: Mapping[int, PromptVersion],
    now: float,
    asking: _Asking,
) -> tuple[TrailEvent, ...]:
    """Events of the window, and earlier ones that tell who wrote the versions that are compared."""
    published = [s.created_at for s in snapshots.values()]
    begin = max(now - TRAIL_KEPT, min([window.since, *(at - 1 for at in published)]))
    if window.since < now - TRAIL_KEPT:
        asking.lacks(
            "CloudTrail",
            "part of the time is older than 90 days",
            "who edited and published then is not known",
            "query the trail's log files in the audit bucket (Athena)",
        )
    if window.until > now - TRAIL_LATE:
        asking.lacks(
            "CloudTrail",
            "events of the last 15 minutes may not have arrived",
            "the newest calls may be missing",
            "run this again later",
        )
    names = (*CONTROL_EVENTS, *OBSERVATION_EVENTS)
    therefore = "who created, edited, published or deleted is not known"
    changes = asking.ask(
        "CloudTrail",
        therefore,
        lambda: sources.trail.events(prompt_id, name, names=names, window=Window(begin, window.until)),
        None,
    )
    calls = asking.ask(
        "CloudTrail",
        "calls outside of the split are not known from CloudTrail",
        lambda: sources.trail.events(prompt_id, name, names=CALL_EVENTS, window=window, most=200),
        None,
    )
    for answer in (changes, calls):
        if answer and answer.truncated:
            asking.lacks(
                "CloudTrail",
                f"there were more {', '.join(answer.truncated)} events than were read (the newest)",
                "older calls outside of the split may be missing",
                "choose a shorter time",
            )
    logging = asking.ask("CloudTrail", "whether a trail is logging is not known", sources.trail.logging, None)
    if logging == []:
        asking.lacks(
            "CloudTrail",
            "no trail is logging in this Region",
            "events come from the 90-day event history only, nothing is kept, and published versions are noticed "
            "by `reconcile` alone",
            "deploy the Audit stack, or start the account's trail",
        )
    found = [*(changes.events if changes else ()), *(calls.events if calls else ())]
    return tuple(sorted(found, key=lambda e: e.at))


def _alarms(sources: Sources, name: str, window: Window, now: float, asking: _Asking) -> list[AlarmChange]:
    if window.since < now - ALARMS_KEPT:
        asking.lacks("alarms", "CloudWatch keeps alarm history for 30 days", "earlier alarms are not known", "")
    return asking.ask("alarms", "when alarms fired is not known", lambda: sources.alarms.changes(name, window), [])


_BLIND: Final = "what was sent and answered, and calls without the client library, cannot be known"


def _with_log(sources: Sources, facts: Gathered, asking: _Asking) -> Investigation:
    state = asking.ask("invocation log", _BLIND, sources.log.state, None)
    if state is None or not _usable(state, asking):
        return _concluded(facts, asking)
    models = sorted({s.model for s in facts.snapshots.values() if s.model})
    calls = asking.ask(
        "invocation log",
        "calls by version and caller are not known",
        lambda: sources.log.calls(facts.prompt, facts.window),
        list[CallGroup](),
    )
    outside = asking.ask(
        "invocation log",
        "calls that name no prompt are not known",
        lambda: sources.log.outside(models, facts.prompt_id, facts.window),
        list[CallGroup](),
    )
    if not calls:
        asking.lacks(
            "invocation log",
            "it holds no call of this prompt in this time",
            "conversations cannot be shown",
            "was logging on then? did callers use the client library?",
        )
    if outside:
        asking.lacks(
            "invocation log",
            f"{sum(g.calls for g in outside):,} record(s) have no requestMetadata of the client",
            "to which prompt, version and release they belong is not known",
            "call models through promptlane.client or the gateway",
        )
    found = _concluded(replace(facts, calls=tuple(calls), outside=tuple(outside)), asking)
    if not calls or not found.after:
        return found
    return _with_examples(sources, found, asking)


def _usable(state: LoggingState, asking: _Asking) -> bool:
    on = "deploy the Audit stack with promptlane:invocation_logging=on; it logs from then on, never backwards"
    if not state.on:
        asking.lacks("invocation log", "model invocation logging is off", _BLIND, on)
        return False
    if not state.group:
        asking.lacks(
            "invocation log",
            f"calls are logged to s3://{state.bucket} only, by somebody else's configuration",
            _BLIND,
            "query the bucket (Athena), or add a log group to that configuration",
        )
        return False
    if not state.text:
        asking.lacks(
            "invocation log",
            "texts are not logged (textDataDeliveryEnabled is false)",
            "what was sent and answered cannot be shown",
            "switch text delivery on",
        )
    return True


def _concluded(facts: Gathered, asking: _Asking) -> Investigation:
    return investigate(replace(facts, missing=tuple(dict.fromkeys(asking.missing))))


def _with_examples(sources: Sources, found: Investigation, asking: _Asking) -> Investigation:
    """Bad answers of the version after, good ones of the version before; from the read window, which begins earlier."""
    facts = found.facts

    def sample(version: int) -> Sampled:
        return asking.ask(
            "invocation log",
            f"conversations of version {version} cannot be shown",
            lambda: sources.log.sample(facts.prompt, version, facts.read),
            Sampled(()),
        )

    after, before = sample(found.after), sample(found.before) if found.before else Sampled(())
    for version, sampled in ((found.after, after), (found.before, before)):
        if sampled.unreadable:
            asking.lacks(
                "invocation log",
                f"{sampled.unreadable} record(s) of version {version} are cut short",
                "they were left out of the examples",
                "",
            )
        if sampled.offloaded_lost:
            asking.lacks(
                "invocation log",
                f"{sampled.offloaded_lost} large bodies of version {version} could not be read from S3",
                "those conversations have no text",
                "ask for read access to the bucket",
            )
    again = replace(found, missing=tuple(dict.fromkeys([*found.missing, *asking.missing])))
    return with_conversations(again, after.invocations, before.invocations)


def _read_window(window: Window, now: float) -> Window:
    """Counts are read from earlier on, so that there is a before: as long as the window, an hour at least."""
    return Window(max(window.since - max(3600.0, window.seconds), now - 455 * _DAY), window.until)


def _period(read: Window, now: float) -> float:
    """Seconds per cell that CloudWatch still has: 60 for 15 days, 300 for 63 days, 3600 for 455 days."""
    age = now - read.since
    step = 60.0 if age < 15 * _DAY else 300.0 if age < 63 * _DAY else 3600.0
    return max(step, step * round(read.seconds / _CELLS / step))
