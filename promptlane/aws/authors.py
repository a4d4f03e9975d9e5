"""Who touched a prompt, from CloudTrail's LookupEvents: management events of the last 90 days, minutes late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from promptlane.domain.review.attribution import EDITS, PUBLISH, Touch, Touches

from .errors import translated

Json = Any
_MAX_PAGES: Final = 20
"""Pages of 50 events for each event name; LookupEvents answers two calls a second, so more would not end in time."""


class CloudTrailTouches:
    """`Trail` on CloudTrail. `cloudtrail` is the boto3 client."""

    def __init__(self, cloudtrail: Any) -> None:
        self._cloudtrail = cloudtrail

    def touches(self, prompt_id: str, name: str, *, since: float, until: float) -> Touches:
        found: list[Touch] = []
        truncated = False
        for event_name in (PUBLISH, *EDITS):
            for number, page in enumerate(self._pages(event_name, since, until), 1):
                touches = (_touch(json.loads(event["CloudTrailEvent"]), prompt_id, name) for event in page)
                found += [t for t in touches if t is not None]
                if number == _MAX_PAGES:
                    truncated = True
                    break
        return Touches(tuple(sorted(found, key=lambda t: t.at)), truncated)

    def _pages(self, event_name: str, since: float, until: float) -> Iterator[list[dict[str, Json]]]:
        query: dict[str, Json] = {
            "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": event_name}],
            "EndTime": datetime.fromtimestamp(until + 1, UTC),
            "MaxResults": 50,
        }
        if since > 0:
            query["StartTime"] = datetime.fromtimestamp(since - 1, UTC)
        while True:
            with translated(f"looking up {event_name} in CloudTrail"):
                answer = self._cloudtrail.lookup_events(**query)
            yield list(answer.get("Events", []))
            if not answer.get("NextToken"):
                return
            query["NextToken"] = answer["NextToken"]


def _touch(record: dict[str, Json], prompt_id: str, name: str) -> Touch | None:
    """One CloudTrail record as a touch; None when it failed, or is about another prompt.

    CreatePrompt names no id in its request, and its answer may be masked: then the prompt's name tells.
    """
    if record.get("errorCode"):
        return None
    asked, answered = record.get("requestParameters") or {}, record.get("responseElements") or {}
    about = str(asked.get("promptIdentifier") or answered.get("id") or answered.get("arn") or "")
    if about.rsplit("prompt/", 1)[-1].split(":")[0] != prompt_id and (about or asked.get("name") != name):
        return None
    identity = record.get("userIdentity") or {}
    version = str(answered.get("version") or "")
    return Touch(
        name=str(record["eventName"]),
        at=_epoch(str(record["eventTime"])),
        arn=str(identity.get("arn") or ""),
        kind=str(identity.get("type") or ""),
        version=int(version) if version.isdigit() else 0,
    )


def _epoch(text: str) -> float:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
