"""CloudTrail's event history as an investigation asks for it: management events of 90 days, no trail needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from promptlane.domain.inquiry import CALL_EVENTS, OBSERVATION_EVENTS, TrailAnswer, TrailEvent, Window
from promptlane.domain.timeline import from_iso

from .errors import translated

Json = Any
_PAGE: Final = 50


class CloudTrailHistory:
    """`Trail` on LookupEvents. `cloudtrail` is the boto3 client."""

    def __init__(self, cloudtrail: Any) -> None:
        self._cloudtrail = cloudtrail

    def events(
        self, prompt_id: str, name: str, *, names: Sequence[str], window: Window, most: int = 1000
    ) -> TrailAnswer:
        found: list[TrailEvent] = []
        truncated: list[str] = []
        for event_name in names:
            read = 0
            for page in self._pages(event_name, window):
                read += len(page)
                events = (read_event(json.loads(item["CloudTrailEvent"])) for item in page)
                found += [e for e in events if is_about(e, prompt_id, name)]
                if read >= most:
                    truncated.append(event_name)
                    break
        return TrailAnswer(tuple(sorted(found, key=lambda e: e.at)), tuple(truncated))

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
            "StartTime": datetime.fromtimestamp(max(0.0, window.since - 1), UTC),
            "EndTime": datetime.fromtimestamp(window.until + 1, UTC),
            "MaxResults": _PAGE,
        }
        while True:
            with translated(f"looking up {event_name} in CloudTrail"):
                answer = self._cloudtrail.lookup_events(**query)
            yield list(answer.get("Events", []))
            if not answer.get("NextToken"):
                return
            query["NextToken"] = answer["NextToken"]


def read_event(record: Mapping[str, Json]) -> TrailEvent:
    """One CloudTrail record. Answers may be masked, so nothing but requests is relied on."""
    asked, answered = record.get("requestParameters") or {}, record.get("responseElements") or {}
    identity = record.get("userIdentity") or {}
    target = str(
        asked.get("promptIdentifier") or asked.get("modelId") or answered.get("id") or answered.get("arn")
        or asked.get("name") or ""
    )  # fmt: skip
    version = str(asked.get("promptVersion") or answered.get("version") or "")
    if not version.isdigit() and "prompt/" in target:
        version = target.rsplit("prompt/", 1)[1].partition(":")[2]
    return TrailEvent(
        name=str(record["eventName"]),
        at=from_iso(str(record["eventTime"]).replace("Z", "+00:00")),
        arn=str(identity.get("arn") or identity.get("invokedBy") or ""),
        kind=str(identity.get("type") or ""),
        target=target,
        version=int(version) if version.isdigit() else 0,
        error=str(record.get("errorCode") or ""),
        source_ip=str(record.get("sourceIPAddress") or ""),
        event_id=str(record.get("eventID") or ""),
    )


def is_about(event: TrailEvent, prompt_id: str, name: str) -> bool:
    """Whether an event is about the prompt, or about what can be observed at all."""
    if event.name in OBSERVATION_EVENTS:
        return True
    target = event.target.rsplit("prompt/", 1)[-1].split(":")[0] if "prompt/" in event.target else event.target
    if event.name in CALL_EVENTS:
        return bool(prompt_id) and "prompt/" in event.target and target == prompt_id
    return target in {t for t in (prompt_id, name) if t}
