"""The release table's stream → the audit bucket and the event bus: every timeline entry is copied, and none is lost.

An outage is waited out, for as long as the stream's record age. One record that cannot be put, while others can, is set
aside in a queue with an alarm and holds up nothing behind it. `housekeep` puts the copies of both once a day.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.domain.errors import InvalidInput, NotFound
from promptlane.domain.keys import TIMELINE
from promptlane.domain.names import parse_release_id

if TYPE_CHECKING:
    from promptlane.aws.audit_copies import AuditCopies
    from promptlane.aws.events import EventBus
    from promptlane.domain.ports import ReleaseStore, Unrelayed

log = logger("relay")
Record = dict[str, Any]
PATIENCE: Final = 600.0
"""Seconds for which one record is tried again although those behind it pass."""


@dataclass(frozen=True)
class Relay:
    """Where entries go. `copies`: None without an audit bucket."""

    releases: ReleaseStore
    events: EventBus
    copies: AuditCopies | None
    aside: Unrelayed


@wired
def wire(of: Function) -> Relay:
    return Relay(of.releases, of.events, of.audit_copies, of.unrelayed)


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
    """In order; the first record that cannot be put is where the stream is read again from, unless it alone is bad."""
    relay, done = wire(), set[str]()
    records = [record for record in event["Records"] if _is_of_a_timeline(record)]
    for i, record in enumerate(records):
        if _number(record) in done:
            continue
        if (failure := _failure(relay, record)) is None:
            continue
        probes = _probes(record, [r for r in records[i + 1 :] if _number(r) not in done])
        if _age(record) < PATIENCE or not any(_passes(relay, probe, done) for probe in probes):
            return {"batchItemFailures": [{"itemIdentifier": _number(record)}]}
        if not _set_aside(relay, record, failure):
            return {"batchItemFailures": [{"itemIdentifier": _number(record)}]}
    return {"batchItemFailures": []}


def _failure(relay: Relay, record: Record) -> str | None:
    """Put one entry; why it could not be put, None where it was, or was set aside as what no second try would put."""
    try:
        try:
            entry = _told(record["dynamodb"]["NewImage"])
        except (ValueError, KeyError, TypeError, RecursionError, InvalidInput) as error:
            # Nobody who appends writes such an item, and it would hold up every entry behind it.
            relay.aside.put(_key(record), f"no entry of a timeline: {error}")
            log.error("no entry of a timeline", extra={"key": _key(record), "why": str(error)[:200]})
            return None
        if relay.copies is not None:
            relay.copies.put(entry)
        try:
            prompt, version = _prompt_and_version(entry["release_id"])
        except NotFound as error:
            relay.aside.put(_key(record), f"an entry of no release: {error}")
            log.error("an entry of no release", extra={"why": str(error)})
            return None
        relay.events.put(entry, prompt=prompt, version=version)
    except Exception as error:
        log.exception("not relayed", extra={"key": _key(record), "why": str(error)})
        return str(error) or type(error).__name__
    return None


def _probes(record: Record, behind: list[Record]) -> list[Record]:
    """What tells a bad record from an outage: the next one, and the next of another release."""
    of_others = (r for r in behind if _key(r).partition(" ")[0] != _key(record).partition(" ")[0])
    found = [*behind[:1], *islice(of_others, 1)]
    return found[:1] if found[:1] == found[1:] else found


def _passes(relay: Relay, probe: Record, done: set[str]) -> bool:
    if _failure(relay, probe) is not None:
        return False
    done.add(_number(probe))
    return True


def _set_aside(relay: Relay, record: Record, why: str) -> bool:
    """Whether it is in the queue whose alarm tells people; its copy is put by `housekeep`."""
    try:
        relay.aside.put(_key(record), why)
    except Exception as error:
        log.exception("not set aside", extra={"key": _key(record), "why": str(error)})
        return False
    log.error("set aside: what stands behind it passes", extra={"key": _key(record), "why": why[:200]})
    return True


def _is_of_a_timeline(record: Record) -> bool:
    return record["eventName"] == "INSERT" and str(record["dynamodb"]["NewImage"]["pk"]["S"]).startswith(TIMELINE)


def _number(record: Record) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def _key(record: Record) -> str:
    """Partition and sort key of the item, for people; the first 200 characters of each."""
    image = record["dynamodb"]["NewImage"]
    return " ".join(str(image.get(name, {}).get("S", ""))[:200] for name in ("pk", "sk")).strip()


def _age(record: Record) -> float:
    """Seconds since the item was written; 0 where the stream does not say."""
    written = record["dynamodb"].get("ApproximateCreationDateTime")
    return time.time() - float(written) if written is not None else 0.0
