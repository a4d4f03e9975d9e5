"""A prompt in memory whose version 3 refuses too much, as the sources would tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from promptlane.domain.errors import Unavailable
from promptlane.domain.investigation.findings import Investigation
from promptlane.domain.investigation.invocation import read_record
from promptlane.domain.investigation.sources import AlarmChange, CallGroup, Cell, LoggingState, Sampled
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry, iso
from promptlane.domain.trail import RENDER_EVENTS, TrailAnswer, TrailEvent, Window, is_about
from promptlane.fakes import FakePrompts, InMemoryReleases, InMemoryRoutes
from promptlane.lifecycle.investigate.run import Sources, investigate
from tests.support.prompt import ID

NOW = 1_760_000_400.0
T0 = NOW - 7200
NAME = "support-assistant"
MODEL = "amazon.nova-lite-v1:0"
AUTHOR = "arn:aws:iam::111122223333:user/author"
EDITOR = "arn:aws:iam::111122223333:user/editor"
TEMPLATE = "You help customers.\nQuestion: {{question}}\nAnswer:"
STRICT = "You help customers. Decline what is not about orders.\nQuestion: {{question}}\nAnswer:"


def record(version: int, at: float, question: str, answer: str, **changes: Any) -> dict[str, Any]:
    """A record of the invocation log as Bedrock writes it."""
    template = TEMPLATE if version < 3 else STRICT
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": iso(at)[:19] + "Z",
        "requestId": f"r{version}-{at:.0f}",
        "operation": "Converse",
        "modelId": MODEL,
        "identity": {"arn": "arn:aws:sts::111122223333:assumed-role/App/i-1"},
        "requestMetadata": {"prompt": NAME, "version": str(version), "track": "stable", "release": f"{ID}-{version}-1"},
        "input": {
            "inputContentType": "application/json",
            "inputTokenCount": 20,
            "inputBodyJson": {
                "messages": [{"role": "user", "content": [{"text": template.replace("{{question}}", question)}]}]
            },
        },
        "output": {
            "outputContentType": "application/json",
            "outputTokenCount": 9,
            "outputBodyJson": {
                "output": {"message": {"role": "assistant", "content": [{"text": answer}]}},
                "stopReason": "end_turn",
            },
        },
        **changes,
    }


SORRY = "I'm sorry, but I can't help with that."
ASKED = ("Where is my parcel 4711?", "Can I return worn shoes?", "How do I change my address?")


@dataclass
class Case:
    """What each source will say; a test changes it, or names sources that fail in `down`.

    Renderings among `trail` come from the log files, everything else from the event history; `files` is what the files
    answer besides (None: there is no trail). `rare` are records that only a closer look at the log finds.
    """

    prompts: FakePrompts = field(default_factory=FakePrompts)
    routes: InMemoryRoutes = field(default_factory=InMemoryRoutes)
    releases: InMemoryReleases = field(default_factory=InMemoryReleases)
    trail: list[TrailEvent] = field(default_factory=list)
    truncated: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    unreadable: int = 0
    files: TrailAnswer | None = field(default_factory=lambda: TrailAnswer((), files=1))
    trails: list[str] = field(default_factory=lambda: ["promptlane"])
    alarms: list[AlarmChange] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    logging: LoggingState = field(default_factory=lambda: LoggingState(True, "/promptlane/invocations"))
    calls: list[CallGroup] = field(default_factory=list)
    outside: list[CallGroup] = field(default_factory=list)
    records: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    rare: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    lost: Sampled = field(default_factory=lambda: Sampled(()))
    down: set[str] = field(default_factory=set)
    now: float = NOW

    def sources(self) -> Sources:
        return Sources(
            prompts=_Failing(self, "Bedrock", self.prompts),
            routes=_Failing(self, "routes", self.routes),
            releases=_Failing(self, "releases", self.releases),
            trail=_Trail(self),
            alarms=_Alarms(self),
            rates=_Rates(self),
            log=_Log(self),
            clock=lambda: self.now,
            archive=None if self.files is None else _Archive(self, self.files),
        )


def fail(case: Case, source: str) -> None:
    if source in case.down:
        raise Unavailable(f"{source} does not answer")


class _Failing:
    """A store that fails when its source is down."""

    def __init__(self, case: Case, source: str, store: Any) -> None:
        self._case, self._source, self._store = case, source, store

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            fail(self._case, self._source)
            return getattr(self._store, name)(*args)

        return call


class _Trail:
    def __init__(self, case: Case) -> None:
        self._case = case

    def events(
        self,
        prompt_id: str,
        name: str,
        *,
        names: Sequence[str],
        window: Window,
        most: int = 1000,
        models: Sequence[str] = (),
    ) -> TrailAnswer:
        fail(self._case, "CloudTrail")
        events = [e for e in self._case.trail if e.name in names and window.holds(e.at)]
        return TrailAnswer(
            tuple(e for e in events if is_about(e, prompt_id, name, models) and e.name not in self._case.failed),
            tuple(n for n in self._case.truncated if n in names),
            tuple(n for n in self._case.failed if n in names),
            "throttled" if self._case.failed else "",
            self._case.unreadable if "CreatePrompt" in names else 0,
        )

    def logging(self) -> list[str]:
        fail(self._case, "CloudTrail")
        return self._case.trails


class _Archive:
    def __init__(self, case: Case, answer: TrailAnswer) -> None:
        self._case, self._answer = case, answer

    def events(self, prompt_id: str, window: Window, *, models: Sequence[str] = ()) -> TrailAnswer:
        fail(self._case, "CloudTrail log files")
        rendered = [e for e in self._case.trail if e.name in RENDER_EVENTS and window.holds(e.at)]
        return replace(self._answer, events=(*self._answer.events, *rendered))


class _Alarms:
    def __init__(self, case: Case) -> None:
        self._case = case

    def changes(self, prompt: str, window: Window) -> list[AlarmChange]:
        fail(self._case, "alarms")
        return self._case.alarms


class _Rates:
    def __init__(self, case: Case) -> None:
        self._case = case

    def cells(
        self, prompt: str, *, versions: Sequence[int], metrics: Sequence[str], window: Window, seconds: float
    ) -> list[Cell]:
        fail(self._case, "metrics")
        return [c for c in self._case.cells if c.version in versions and window.holds(c.at)]


class _Log:
    def __init__(self, case: Case) -> None:
        self._case = case

    def state(self) -> LoggingState:
        fail(self._case, "invocation log")
        return self._case.logging

    def calls(self, prompt: str, window: Window) -> list[CallGroup]:
        fail(self._case, "log queries")
        return self._case.calls

    def outside(self, models: Sequence[str], prompt_id: str, window: Window) -> list[CallGroup]:
        return self._case.outside

    def sample(
        self, prompt: str, version: int, window: Window, most: int = 400, *, suspicious: bool = False
    ) -> Sampled:
        fail(self._case, "log queries")
        records = self._case.rare if suspicious else self._case.records
        found = tuple(read_record(r) for r in records.get(version, []))
        return replace(self._case.lost, invocations=found)


def entry(of: int, name: str, at: float, event: Event, by: str = "promptlane", **detail: Any) -> TimelineEntry:
    release = f"{ID}-{of}-1"
    return TimelineEntry(f"{release}/{name}", release, at, event, by, detail)


def two_pm() -> Case:
    """Version 3, published an hour before T0, in canary at T0, promoted ten minutes later; it refuses a fifth."""
    case = Case()
    for number, template in enumerate((TEMPLATE, TEMPLATE + " ", STRICT), 1):
        draft = PromptDraft(NAME, MODEL, ("question",), template=template)
        case.prompts.publish(draft, prompt_id=ID, description="Firmer about scope" if number == 3 else "")
    refs = {n: case.prompts.version(ID, n).ref for n in (1, 2, 3)}
    route = Route(
        NAME,
        ID,
        refs[3],
        previous=refs[2],
        holdback=500,
        salt="s",
        release_id=f"{ID}-3-1",
        revision=9,
        phase=Phase.STEADY,
        phase_since=T0 + 600,
    )
    case.routes.put(route, expected=None)
    _released(case, 2, T0 - 100_000, AUTHOR)
    _released(case, 3, T0, AUTHOR)
    case.trail = [
        TrailEvent("UpdatePrompt", T0 - 3700, EDITOR, "IAMUser", ID),
        TrailEvent("CreatePromptVersion", T0 - 3600, AUTHOR, "IAMUser", ID, 3),
    ]
    case.cells = counts({2: (0.02, T0 - 7000, T0 + 1200), 3: (0.2, T0, T0 + 6900)})
    case.calls = [CallGroup("3", "stable", "arn:aws:sts::1:assumed-role/App/i-1", MODEL, "Converse", 900)]
    case.records = {
        2: [record(2, T0 - 600 + k, f"{q} Please.", "Here is how.") for k, q in enumerate(ASKED)],
        3: [record(3, T0 + 900 + k, q, SORRY) for k, q in enumerate(ASKED)] + [record(3, T0 + 990, "Hi", "Hello!")],
    }
    return case


def _released(case: Case, version: int, at: float, by: str) -> None:
    name = f"{ID}-{version}-1"
    release = Release(name, NAME, at - 900, by, outcome=Outcome.PROMOTED, state="ended", verdict={"verdict": "pass"})
    case.releases.record_ended(
        release,
        entry(version, "started", at - 900, Event.STARTED, by, version=version),
        entry(
            version,
            "decision",
            at - 300,
            Event.REVIEWER_DECIDED,
            "support-lead@example.com",
            choice="approve",
            stable="f" * 64,
        ),
        entry(version, "route/1", at, Event.CANARY_SHIFTED, version=version, weight=1000, stable=version - 1),
        entry(version, "route/2", at + 600, Event.PROMOTED, version=version),
    )


def counts(rates: dict[int, tuple[float, float, float]], *, requests: int = 60) -> list[Cell]:
    """Cells of two minutes for each version: {version: (refusal rate, from, until)}; errors stay at 1 %."""
    cells = []
    for version, (rate, since, until) in rates.items():
        at = since - since % 120
        while at < until:
            cells.append(Cell(at, 120, version, "Refusal", requests, round(rate * requests)))
            cells.append(Cell(at, 120, version, "Error", requests, round(0.01 * requests)))
            at += 120
    return cells


def version_four(case: Case) -> None:
    """Version 3 went at half of its requests refused; version 4 is stable, and a fifth of its requests are refused."""
    draft = PromptDraft(NAME, MODEL, ("question",), template="Hi {{question}}")
    four = case.prompts.publish(draft, prompt_id=ID, description="")
    case.releases.append(entry(3, "route/3", T0 + 1800, Event.ROLLED_BACK, version=3, restored=2, phase="watch"))
    case.releases.start(Release(f"{ID}-4-1", NAME, T0 + 1500, AUTHOR), entry(4, "started", T0 + 1500, Event.STARTED))
    case.releases.append(entry(4, "route/1", T0 + 3000, Event.CANARY_SHIFTED, version=4, weight=1000, stable=2))
    case.releases.append(entry(4, "route/2", T0 + 4200, Event.PROMOTED, version=4, previous=2))
    route = case.routes.get(NAME)
    assert route is not None
    case.routes = InMemoryRoutes()
    two = case.prompts.version(ID, 2).ref
    case.routes.put(replace(route, stable=four.ref, previous=two, phase_since=T0 + 4200), expected=None)
    case.cells = counts({2: (0.02, T0 - 7000, T0 + 4200), 3: (0.5, T0, T0 + 1800), 4: (0.2, T0 + 3000, T0 + 6900)})


def steady(case: Case) -> None:
    """Nothing but what it deleted goes wrong."""
    case.cells = counts({2: (0.02, T0 - 7000, T0 + 1200), 3: (0.02, T0, T0 + 6900)})


def reroute(case: Case, **changes: Any) -> None:
    route = case.routes.get(NAME)
    assert route is not None
    case.routes = InMemoryRoutes()
    case.routes.put(replace(route, **changes), expected=None)


Asked = list[tuple[str, tuple[Any, ...], dict[str, Any]]]
"""What was asked of which source, in order."""


class Noted:
    """A source that notes what it is asked."""

    def __init__(self, name: str, source: Any, asked: Asked) -> None:
        self._name, self._source, self._asked = name, source, asked

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._source, name)

        def ask(*args: Any, **more: Any) -> Any:
            self._asked.append((f"{self._name}.{name}", args, more))
            return method(*args, **more)

        return ask


NAMES = ("prompts", "routes", "releases", "trail", "alarms", "rates", "log", "archive")


def noted(sources: Sources, asked: Asked) -> Sources:
    kept = {n: getattr(sources, n) for n in NAMES}
    noting: dict[str, Any] = {n: Noted(n, s, asked) for n, s in kept.items() if s is not None}
    return replace(sources, **noting)


def found_by(
    case: Case, since: float = T0 - 4000, until: float = NOW, prompt: str = NAME, asked: Asked | None = None
) -> Investigation:
    found = investigate(noted(case.sources(), [] if asked is None else asked), prompt, since, until)
    assert all(m.source and m.what and m.therefore and m.remedy is not None for m in found.missing)
    assert len(set(found.missing)) == len(found.missing)
    return found


def of(asked: Asked, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    return [(args, more) for what, args, more in asked if what == name]


def few_counts(case: Case) -> Case:
    """With counts of a minute in place of hours: what is asked and gathered does not depend on them."""
    case.cells = [Cell(T0, 60, version, "Refusal", 60, 1) for version in (2, 3)]
    return case


def gaps(found: Investigation) -> str:
    return "\n".join(f"{m.source}: {m.what}; {m.therefore}" for m in found.missing)
