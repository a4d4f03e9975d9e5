"""The release table's stream → the audit bucket and the event bus: every timeline entry is copied, and none is lost.

What fails for longer than the stream's record age is given up here; `housekeep` puts its copy once a day.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from promptlane.aws.audit_copies import AuditCopies
from promptlane.aws.clients import client, resource
from promptlane.aws.observability import logger
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.settings import read

log = logger("relay")


@dataclass(frozen=True)
class Settings:
    release_table: str
    event_bus: str
    audit_bucket: str = ""


@dataclass(frozen=True)
class Wired:
    releases: DynamoReleases
    events: Any
    bus: str
    copies: AuditCopies | None


@cache
def wire() -> Wired:
    s = read(Settings)
    copies = AuditCopies(client("s3"), s.audit_bucket) if s.audit_bucket else None
    return Wired(DynamoReleases(resource("dynamodb").Table(s.release_table)), client("events"), s.event_bus, copies)


@lru_cache(maxsize=1000)
def _prompt_and_version(release_id: str) -> tuple[str, int]:
    release = wire().releases.get(release_id)
    return release.prompt, release.version


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """In order; the first record that cannot be put is where the stream is read again from."""
    wired = wire()
    for record in event["Records"]:
        if record["eventName"] != "INSERT":
            continue
        image = record["dynamodb"]["NewImage"]
        if not image["pk"]["S"].startswith("timeline#"):
            continue
        try:
            entry = json.loads(image["body"]["S"])
            if wired.copies is not None:
                wired.copies.put(entry)
            _put(wired, entry)
        except Exception as error:
            log.exception("not relayed", extra={"why": str(error)})
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}


def _put(wired: Wired, entry: dict[str, Any]) -> None:
    prompt, version = _prompt_and_version(entry["release_id"])
    detail = json.dumps({"schema": 1, "prompt": prompt, "version": version, **entry})
    if len(detail.encode()) > 200_000:  # EventBridge takes 256 KiB an event; the whole entry is in the table
        detail = json.dumps({"schema": 1, "prompt": prompt, "version": version, **entry, "detail": {"cut": True}})
    answer = wired.events.put_events(
        Entries=[
            {
                "Source": "promptlane",
                "DetailType": entry["event"],
                "Detail": detail,
                "EventBusName": wired.bus,
                "Resources": [f"promptlane:release/{entry['release_id']}"],
            }
        ]
    )
    if answer.get("FailedEntryCount"):
        raise RuntimeError(f"the event bus refused an event: {answer['Entries'][0].get('ErrorMessage')}")
