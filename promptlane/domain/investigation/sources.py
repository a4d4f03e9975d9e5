"""What an investigation asks its sources for, and what each of them tells. Times are epoch seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from promptlane.domain.release.prompt import PromptVersion
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import TimelineEntry
from promptlane.domain.trail import TrailEvent, Window

from .invocation import Invocation

Json = Any


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
    """Requests of one version that started in [at, at + seconds), and how many of them were bad by one metric; of a
    mean: answers, and the sum of their values."""

    at: float
    seconds: float
    version: int
    metric: str
    requests: int
    bad: float


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
