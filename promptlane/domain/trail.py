"""CloudTrail's events about a prompt: for reviews (who wrote a version?), for investigations (who did what?)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

CREATE: Final = "CreatePrompt"
PUBLISH: Final = "CreatePromptVersion"
EDITS: Final = (CREATE, "UpdatePrompt")
CONTROL_EVENTS: Final = (*EDITS, PUBLISH, "DeletePrompt")
"""What changes a prompt."""
_LOGGING_EVENTS: Final = ("PutModelInvocationLoggingConfiguration", "DeleteModelInvocationLoggingConfiguration")
OBSERVATION_EVENTS: Final = ("StopLogging", "StartLogging", "DeleteTrail", "PutEventSelectors", *_LOGGING_EVENTS)
"""What changes what can be known afterwards."""
CALL_EVENTS: Final = ("Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream")
"""Model calls: who, when and which model or prompt; never the text."""
RENDER_EVENTS: Final = ("RenderPrompt",)
"""Data events: which version was rendered for whom. One call on a prompt makes one of these and one call event."""

TRAIL_LATE: Final = 15 * 60.0
"""How late CloudTrail may deliver an event, seconds."""
_CREATED_WITHIN: Final = 60.0
"""Seconds between the call that creates a prompt and the time that Bedrock gives for it."""
TRAIL_KEPT: Final = 90 * 86_400.0
"""How long LookupEvents can look back, seconds."""


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

    def distance(self, other: Window) -> float:
        """Seconds between the two; 0 where they overlap."""
        return max(0.0, other.since - self.until, self.since - other.until)

    def joined(self, other: Window) -> Window:
        return Window(min(self.since, other.since), max(self.until, other.until))


@dataclass(frozen=True, slots=True)
class TrailEvent:
    """One CloudTrail event. `target`: the prompt or model named in the request; `version` 0 when none is named.

    `arn` and `kind` are userIdentity's ARN (or the service that called) and type; `error` the code of a failed call.
    `invoked_by`: the service that called in somebody's name. `issuer`: the ARN of the role or user whose session it is.
    `by_name`: whether the target is known by its name alone, which others may have had or taken since.
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
    invoked_by: str = ""
    issuer: str = ""
    by_name: bool = False

    @property
    def principal(self) -> str:
        """The ARN; empty where the event names none."""
        return self.arn if self.arn.startswith("arn:") else ""


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


def publication(events: Iterable[TrailEvent], version: int) -> TrailEvent | None:
    """The publication of a version, where an event names it."""
    return next((e for e in events if e.name == PUBLISH and not e.error and e.version == version), None)


def is_about(event: TrailEvent, prompt_id: str, name: str, models: Sequence[str] = ()) -> bool:
    """Whether an event is about the prompt, about a direct call of one of its models, or about what is observed."""
    if event.name in OBSERVATION_EVENTS:
        return True
    if "prompt/" in event.target:
        return bool(prompt_id) and event.target.rpartition("prompt/")[2].partition(":")[0] == prompt_id
    if event.name in CALL_EVENTS:
        return any(is_model(event.target, model) for model in models)
    return event.target in {t for t in (prompt_id, name) if t}


def is_creation_of(event: TrailEvent, prompt_id: str, created: float | None) -> bool:
    """Whether an event may count for this prompt: any but a creation of another one.

    A creation may name no id but only a name, which others had or will have. It is the prompt's own where it happened
    when Bedrock says that the prompt was created (`created`, None where it says nothing).
    """
    if event.name != CREATE or "prompt/" in event.target or (event.target == prompt_id and not event.by_name):
        return True
    return created is not None and abs(event.at - created) <= _CREATED_WITHIN


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
