"""What an investigation asks its sources for, and what each of them tells. Times are epoch seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from promptlane.domain.release.prompt import PromptVersion
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import TimelineEntry

from .invocation import Invocation

Json = Any
CONTROL_EVENTS: Final = ("CreatePrompt", "UpdatePrompt", "CreatePromptVersion", "DeletePrompt")
"""What changes a prompt."""
_LOGGING_EVENTS: Final = ("PutModelInvocationLoggingConfiguration", "DeleteModelInvocationLoggingConfiguration")
OBSERVATION_EVENTS: Final = ("StopLogging", "StartLogging", "DeleteTrail", "PutEventSelectors", *_LOGGING_EVENTS)
"""What changes what can be known afterwards."""
CALL_EVENTS: Final = ("Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream")
"""Model calls: who, when and which model or prompt; never the text."""
RENDER_EVENTS: Final = ("RenderPrompt",)
"""Data events: which version was rendered for whom. One call on a prompt makes one of these and one call event."""


@dataclass(frozen=True, slots=True)
class Window:
    """[since, until), both epoch seconds."""

    since: float
    until: float

    def holds(self, at: float) -> bool:
        return self.since <= at < self.until

    @property
    def seconds(self) -> float:
        return max(0.0, self.until - self.since)


@dataclass(frozen=True, slots=True)
class TrailEvent:
    """One CloudTrail event. `target`: the prompt or model named in the request; `version` 0 when none is named.

    `arn` and `kind` are userIdentity's ARN and type; `error` the error code of a call that failed.
    """

    name: str
    at: float
    arn: str
    kind: str = ""
    target: str = ""
    version: int = 0
    error: str = ""
    source_ip: str = ""
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class TrailAnswer:
    """Events, oldest first, and what is not among them.

    `truncated` names the events of which only the newest could be read, `failed` those whose reading failed (with
    `failure` as the reason), `unreadable` counts records that say nothing to us. Of log files: how many were `files`,
    how many of those were `lost`, and `complete_since` which time nothing is left out (0: nothing is).
    """

    events: tuple[TrailEvent, ...]
    truncated: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    failure: str = ""
    unreadable: int = 0
    files: int = 0
    lost: int = 0
    complete_since: float = 0.0


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """An alarm changed its state."""

    alarm: str
    at: float
    old: str
    new: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """Requests of one version that started in [at, at + seconds), and how many of them were bad by one metric."""

    at: float
    seconds: float
    version: int
    metric: str
    requests: int
    bad: int


@dataclass(frozen=True, slots=True)
class CallGroup:
    """Calls in the invocation log that agree in all of these. An empty text: the record does not say."""

    version: str
    track: str
    caller: str
    model: str
    operation: str
    calls: int
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    first: float = 0.0
    last: float = 0.0


@dataclass(frozen=True, slots=True)
class LoggingState:
    """Whether model calls are logged with their text, and where.

    `group` is the CloudWatch log group; where logging is off, the one that holds what was logged earlier, if known.
    """

    on: bool
    group: str = ""
    text: bool = True
    bucket: str = ""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Records of the invocation log. `unreadable`: truncated records, `offloaded_lost`: bodies that S3 did not give."""

    invocations: tuple[Invocation, ...]
    unreadable: int = 0
    offloaded_lost: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that could not be learnt, what therefore is not known, and what to do about it."""

    source: str
    what: str
    therefore: str
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything that the sources told about one prompt. `read`: what the metrics cover, which begins earlier.

    `releases_known`: whether the release table answered, so that no release means there was none.
    """

    prompt: str
    prompt_id: str
    window: Window
    read: Window
    now: float
    route: Route | None = None
    releases: tuple[Release, ...] = ()
    entries: tuple[TimelineEntry, ...] = ()
    trail: tuple[TrailEvent, ...] = ()
    alarms: tuple[AlarmChange, ...] = ()
    cells: tuple[Cell, ...] = ()
    calls: tuple[CallGroup, ...] = ()
    outside: tuple[CallGroup, ...] = ()
    snapshots: Mapping[int, PromptVersion] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()
    releases_known: bool = True


def is_about(event: TrailEvent, prompt_id: str, name: str, models: Sequence[str] = ()) -> bool:
    """Whether an event is about the prompt, about a direct call of one of its models, or about what is observed."""
    if event.name in OBSERVATION_EVENTS:
        return True
    if "prompt/" in event.target:
        return bool(prompt_id) and event.target.rpartition("prompt/")[2].partition(":")[0] == prompt_id
    if event.name in CALL_EVENTS:
        return any(is_model(event.target, model) for model in models)
    return event.target in {t for t in (prompt_id, name) if t}


def is_model(target: str, model: str) -> bool:
    """Whether a call's target names this model or inference profile: by id, or by an ARN that ends in the id."""
    wanted = model.rpartition("/")[2]
    return bool(wanted) and (target == wanted or target.endswith(f"/{wanted}"))


class Trail(Protocol):
    """CloudTrail's event history."""

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
        """Events of these names about the prompt, its models, or logging itself; at most `most` of a name are read.

        A name whose reading fails leaves a gap in the answer; raises only where every name fails.
        """

    def logging(self) -> list[str]:
        """Names of the trails of this Region that are logging."""


class TrailArchive(Protocol):
    """The log files of our own trail, which hold data events too."""

    def events(self, prompt_id: str, window: Window, *, models: Sequence[str] = ()) -> TrailAnswer:
        """Renderings and calls of the prompt, and direct calls of its models; the newest when there are too many."""


class AlarmHistory(Protocol):
    """The history of a prompt's alarms."""

    def changes(self, prompt: str, window: Window) -> list[AlarmChange]:
        """State changes, oldest first."""


class RateReader(Protocol):
    """The judge's counts by version."""

    def cells(
        self, prompt: str, *, versions: Sequence[int], metrics: Sequence[str], window: Window, seconds: float
    ) -> list[Cell]:
        """Counts per version, metric and period; periods without requests are absent."""


class InvocationLog(Protocol):
    """Bedrock's model invocation log, through Logs Insights."""

    def state(self) -> LoggingState:
        """How the account logs model calls in this Region."""

    def calls(self, prompt: str, window: Window) -> list[CallGroup]:
        """Calls whose requestMetadata names the prompt, counted."""

    def outside(self, models: Sequence[str], prompt_id: str, window: Window) -> list[CallGroup]:
        """Calls of these models, or of the prompt, whose record names no prompt in its requestMetadata."""

    def sample(
        self, prompt: str, version: int, window: Window, most: int = 400, *, suspicious: bool = False
    ) -> Sampled:
        """The newest records of one version; `suspicious`: only those that a coarse look takes for bad ones."""
