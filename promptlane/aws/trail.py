"""CloudTrail's event history: management events of 90 days, minutes late; no trail is needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from promptlane.domain.errors import PromptlaneError, Throttled
from promptlane.domain.incoming import version_number
from promptlane.domain.release.timeline import from_iso
from promptlane.domain.trail import (
    CALL_EVENTS,
    CONTROL_EVENTS,
    RENDER_EVENTS,
    TrailAnswer,
    TrailEvent,
    Window,
    is_about,
)

from .errors import translated

Json = Any
_PAGE: Final = 50
_BURST: Final = 5
"""Calls that are made at once; after them the pace of the limit, two a second for an account and Region."""
_PAUSE: Final = 0.5
_PATIENCE: Final = (1.0, 2.0, 4.0)
"""Seconds to wait before each further attempt of a call that was throttled after the SDK's own attempts."""
_PROMPT_TYPES: Final = ("AWS::Bedrock::PromptVersion", "AWS::Bedrock::Prompt")
UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError)
"""What reading a record of an unknown form may raise."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What the history has under one name of events."""

    events: tuple[TrailEvent, ...]
    unreadable: int
    truncated: bool
    failure: PromptlaneError | None


class CloudTrailHistory:
    """`Trail` on LookupEvents. `cloudtrail` is the boto3 client.

    It keeps the pace of the limit, and waits where it is throttled; with `sleep` None, where people wait, it does not.
    `remembers`: events of the period that was asked for last are read once, for however many prompts.
    """

    def __init__(
        self, cloudtrail: Any, sleep: Callable[[float], None] | None = time.sleep, *, remembers: bool = False
    ) -> None:
        self._cloudtrail, self._sleep, self._remembers = cloudtrail, sleep, remembers
        self._calls = 0
        self._remembered: dict[tuple[str, Window, int], _Told] = {}

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
        found: list[TrailEvent] = []
        truncated: list[str] = []
        failed: dict[str, PromptlaneError] = {}
        unreadable = 0
        for event_name in names:
            told = self._told(event_name, window, most)
            if told.failure is not None:
                failed[event_name] = told.failure
            unreadable += told.unreadable
            found += [e for e in told.events if is_about(e, prompt_id, name, models)]
            if told.truncated:
                truncated.append(event_name)
        if failed and len(failed) == len(names):
            raise next(iter(failed.values()))
        return TrailAnswer(
            tuple(sorted(found, key=lambda e: e.at)),
            tuple(truncated),
            tuple(failed),
            "; ".join(dict.fromkeys(map(str, failed.values()))),
            unreadable,
        )

    def _told(self, event_name: str, window: Window, most: int) -> _Told:
        """What the history has under this name, whichever prompt it is about."""
        asked = (event_name, window, most)
        if asked in self._remembered:
            return self._remembered[asked]
        found: list[TrailEvent] = []
        read, unreadable, failure = 0, 0, None
        try:
            for page in self._pages(event_name, window):
                read += len(page)
                events, odd = read_events(_documents(page))
                unreadable += odd
                found += events
                if read >= most:
                    break
        except PromptlaneError as error:
            failure = error
        told = _Told(tuple(found), unreadable, read >= most, failure)
        if self._remembers and failure is None:
            if any(known != window for _, known, _ in self._remembered):
                self._remembered.clear()
            self._remembered[asked] = told
        return told

    def logging(self) -> list[str]:
        with translated("reading which trails are logging"):
            trails = self._cloudtrail.describe_trails(includeShadowTrails=True).get("trailList", [])
            return [
                str(t["Name"])
                for t in trails
                if self._cloudtrail.get_trail_status(Name=t.get("TrailARN") or t["Name"]).get("IsLogging")
            ]

    def _pages(self, event_name: str, window: Window) -> Iterator[list[dict[str, Json]]]:
        query: dict[str, Json] = {
            "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": event_name}],
            # Event times are whole seconds.
            "EndTime": datetime.fromtimestamp(window.until + 1, UTC),
            "MaxResults": _PAGE,
        }
        if window.since > 0:
            query["StartTime"] = datetime.fromtimestamp(window.since - 1, UTC)
        while True:
            answer = self._page(event_name, query)
            yield list(answer.get("Events", []))
            if not answer.get("NextToken"):
                return
            query["NextToken"] = answer["NextToken"]

    def _page(self, event_name: str, query: Mapping[str, Json]) -> Mapping[str, Json]:
        """One call, repeated while it is throttled: others of the account count too."""
        pauses = list(_PATIENCE)
        while True:
            try:
                return self._look_up(event_name, query)
            except Throttled:
                if not pauses or self._sleep is None:
                    raise
                self._sleep(pauses.pop(0))

    def _look_up(self, event_name: str, query: Mapping[str, Json]) -> Mapping[str, Json]:
        self._calls += 1
        if self._calls > _BURST and self._sleep is not None:
            self._sleep(_PAUSE)
        with translated(f"looking up {event_name} in CloudTrail"):
            answer: Mapping[str, Json] = self._cloudtrail.lookup_events(**query)
        return answer


def _documents(page: Iterable[Mapping[str, Json]]) -> Iterator[Json]:
    for item in page:
        try:
            yield json.loads(item["CloudTrailEvent"])
        except UNREADABLE:
            yield None


def read_events(records: Iterable[Json]) -> tuple[list[TrailEvent], int]:
    """Events of CloudTrail records, and how many could not be read or do not say what they are about."""
    found: list[TrailEvent] = []
    odd = 0
    for record in records:
        try:
            event = read_event(record)
        except UNREADABLE:
            odd += 1
            continue
        if event.target or event.error or event.name not in (*CONTROL_EVENTS, *CALL_EVENTS, *RENDER_EVENTS):
            found.append(event)
        else:
            odd += 1
    return found, odd


def read_event(record: Mapping[str, Json]) -> TrailEvent:
    """One CloudTrail record. Any part of it may be masked, so nothing but its name and time is relied on."""
    identity = _mapping(record.get("userIdentity"))
    target, version = _named(record)
    session = _mapping(identity.get("sessionContext"))
    return TrailEvent(
        name=str(record["eventName"]),
        at=from_iso(str(record["eventTime"]).replace("Z", "+00:00")),
        arn=str(identity.get("arn") or identity.get("invokedBy") or ""),
        kind=str(identity.get("type") or ""),
        target=target,
        version=version,
        error=str(record.get("errorCode") or ""),
        source_ip=str(record.get("sourceIPAddress") or ""),
        event_id=str(record.get("eventID") or ""),
        invoked_by=str(identity.get("invokedBy") or ""),
        issuer=str(_mapping(session.get("sessionIssuer")).get("arn") or ""),
        by_name=bool(target) and not _identified(record),
    )


def _named(record: Mapping[str, Json]) -> tuple[str, int]:
    """(prompt or model, version). A rendering names its prompt by its resource, any other event by its request."""
    asked, answered = _mapping(record.get("requestParameters")), _mapping(record.get("responseElements"))
    said = (asked.get("promptIdentifier"), asked.get("modelId"), answered.get("id"), answered.get("arn"))
    # An ARN is part of the call's path: it may come as the path has it.
    requested = unquote(str(next(filter(None, (*said, asked.get("name"))), "")))
    resource, rendered = _resource(record.get("resources")), record["eventName"] in RENDER_EVENTS
    target = (resource or requested) if rendered else (requested or resource)
    version = str(asked.get("promptVersion") or answered.get("version") or "")
    if "prompt/" in target and (rendered or not version_number(version)):
        version = target.rsplit("prompt/", 1)[1].partition(":")[2] or version
    return target, version_number(version) or 0


def _identified(record: Mapping[str, Json]) -> bool:
    """Whether the record says more of what it is about than a name."""
    asked, answered = _mapping(record.get("requestParameters")), _mapping(record.get("responseElements"))
    said = (asked.get("promptIdentifier"), asked.get("modelId"), answered.get("id"), answered.get("arn"))
    return any(said) or not asked.get("name")


def _resource(resources: Json) -> str:
    """The ARN of the prompt version, or else the prompt, among an event's resources."""
    listed = [_mapping(r) for r in resources] if isinstance(resources, list) else []
    arns = {str(r.get("type")): str(r.get("ARN") or "") for r in reversed(listed)}
    return next((arns[kind] for kind in _PROMPT_TYPES if arns.get(kind)), "")


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
