"""The release table's stream → the audit bucket and the event bus: every timeline entry is copied, and none is lost.

What fails for longer than the stream's record age is given up here; `housekeep` puts its copy once a day.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.domain.errors import InvalidInput, NotFound
from promptlane.domain.keys import TIMELINE
from promptlane.domain.names import parse_release_id

if TYPE_CHECKING:
    from promptlane.aws.audit_copies import AuditCopies
    from promptlane.aws.events import EventBus
    from promptlane.domain.ports import ReleaseStore

log = logger("relay")


@dataclass(frozen=True)
class Relay:
    """Where entries go. `copies`: None without an audit bucket."""

    releases: ReleaseStore
    events: EventBus
    copies: AuditCopies | None


@wired
def wire(of: Function) -> Relay:
    return Relay(of.releases, of.events, of.audit_copies)


@lru_cache(maxsize=1000)
def _prompt_and_version(release_id: str) -> tuple[str, int]:
    release = wire().releases.get(release_id)
    return release.prompt, release.version


def _told(image: dict[str, Any]) -> dict[str, Any]:
    """The entry that an item holds: one that can be named and copied. Raises what says that it is none."""
    entry = json.loads(image["body"]["S"])
    parse_release_id(entry["release_id"])
    if not isinstance(entry["event"], str) or isinstance(entry["seq"], bool) or not 0 <= entry["seq"] < 1_000_000:
        raise ValueError("its number or event is none")
    return dict(entry)


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """In order; the first record that cannot be put is where the stream is read again from."""
    relay = wire()
    for record in event["Records"]:
        if record["eventName"] != "INSERT":
            continue
        image = record["dynamodb"]["NewImage"]
        if not image["pk"]["S"].startswith(TIMELINE):
            continue
        try:
            entry = _told(image)
        except (ValueError, KeyError, TypeError, RecursionError, InvalidInput) as error:
            # Nobody who appends writes such an item, and it would hold up every entry behind it.
            log.error("no entry of a timeline", extra={"key": image["pk"]["S"][:200], "why": str(error)[:200]})
            continue
        try:
            if relay.copies is not None:
                relay.copies.put(entry)
            try:
                prompt, version = _prompt_and_version(entry["release_id"])
            except NotFound as error:
                log.error("an entry of no release", extra={"why": str(error)})
                continue
            relay.events.put(entry, prompt=prompt, version=version)
        except Exception as error:
            log.exception("not relayed", extra={"why": str(error)})
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}
