"""The release record: one attempt to take one version to 100 %."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from promptlane.domain.names import Outcome, parse_release_id

from .prompt import VersionRef

Json = Any
State = Literal["started", "admitted", "testing", "review", "canary", "watch", "ended"]
STATES: Final[tuple[State, ...]] = ("started", "admitted", "testing", "review", "canary", "watch", "ended")


@dataclass(frozen=True, slots=True)
class Release:
    """One release. Times are epoch seconds.

    `policy_sha256` and `suite_sha256` name the captured copies in the report bucket. `verdict` and `approval` bind the
    fingerprints they were made for: {"candidate", "stable" (or None), ...}. `request_id` tells a repeated request
    from a new one. `paused` and `advance` are an operator's
    {by, reason, at[, step]}. `round` counts how often tests and review ran. `revision` guards every update.
    """

    release_id: str
    prompt: str
    started_at: float
    requested_by: str
    explicit: bool = False
    state: State = "started"
    outcome: Outcome | None = None
    reason: str = ""
    ended_at: float = 0.0
    description: str = ""
    candidate: VersionRef | None = None
    stable: VersionRef | None = None
    policy_sha256: str = ""
    suite_sha256: str = ""
    round: int = 0
    verdict: Mapping[str, Json] = field(default_factory=dict)
    approval: Mapping[str, Json] = field(default_factory=dict)
    step: int = 0
    paused: Mapping[str, Json] | None = None
    advance: Mapping[str, Json] | None = None
    request_id: str = ""
    revision: int = 1

    @property
    def prompt_id(self) -> str:
        return parse_release_id(self.release_id)[0]

    @property
    def version(self) -> int:
        return parse_release_id(self.release_id)[1]

    @property
    def attempt(self) -> int:
        return parse_release_id(self.release_id)[2]

    @property
    def first(self) -> bool:
        """Whether the prompt had no stable version to compare with."""
        return self.stable is None

    @property
    def ended(self) -> bool:
        return self.state == "ended"

    def to_item(self) -> dict[str, Json]:
        """Plain values as stored; empty ones are left out."""
        item: dict[str, Json] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, VersionRef):
                item[f.name] = value.to_item()
            elif isinstance(value, Mapping):
                if value:
                    item[f.name] = dict(value)
            elif value not in (None, ""):
                item[f.name] = str(value) if isinstance(value, Outcome) else value
        return item

    @classmethod
    def from_item(cls, item: Mapping[str, Json]) -> Release:
        known: dict[str, Json] = {f.name: item[f.name] for f in fields(cls) if f.name in item}
        for name in ("candidate", "stable"):
            if name in known:
                known[name] = VersionRef.from_item(known[name])
        if "outcome" in known:
            known["outcome"] = Outcome(known["outcome"])
        for name in ("started_at", "ended_at"):
            if name in known:
                known[name] = float(known[name])
        for name in ("round", "step", "revision"):
            if name in known:
                known[name] = int(known[name])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A version that waits for the prompt's lock."""

    prompt: str
    prompt_id: str
    version: int
    since: float
    requested_by: str
    explicit: bool = False
