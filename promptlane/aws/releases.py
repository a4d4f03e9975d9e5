"""The release table in DynamoDB. Keys are listed in docs/architecture.md.

A timeline entry is stored as one canonical JSON text, so that its hash covers exactly what is stored. The chain's head
is an item of its own: appends race only with appends.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from promptlane.domain.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from promptlane.domain.keys import CHAIN, OWED, PROMPT, TIMELINE
from promptlane.domain.names import parse_release_id
from promptlane.domain.release import notice
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.replay import route_revision
from promptlane.domain.release.timeline import GENESIS, ChainHead, TimelineEntry

from .error_codes import CANCELLED_AGAIN
from .errors import cancellation_reasons, domain_error, translated
from .plain import from_store, items_at, items_of, put_once, to_store

_ATTEMPTS: Final = 10
_WAITED: Final = "waited"
"""When a version of the prompt began to wait last: a key that can be read of many prompts at once."""
TransactItem = dict[str, Any]


class DynamoReleases:
    """`ReleaseStore` on a DynamoDB table with keys `pk` and `sk`. `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def start(self, release: Release, entry: TimelineEntry) -> None:
        lock = {
            "pk": f"{PROMPT}{release.prompt_id}",
            "sk": "lock",
            "release_id": release.release_id,
            "since": release.started_at,
        }
        changes = [
            self._put(lock, "attribute_not_exists(pk)"),
            self._put(_record(release), "attribute_not_exists(pk)"),
        ]
        refused = self.write(changes, [entry])
        if 1 in refused:
            raise AlreadyExists(f"release {release.release_id} exists already")
        if 0 in refused:
            raise Conflict(f"another release of {release.prompt} is in flight")
        if refused:
            raise AlreadyExists(f"the timeline of {release.release_id} has its first entry already")

    def record_ended(self, release: Release, *entries: TimelineEntry) -> None:
        if self.write([self._put(_record(release), "attribute_not_exists(pk)")], list(entries)):
            raise AlreadyExists(f"release {release.release_id} exists already")

    def get(self, release_id: str) -> Release:
        found = self.find(release_id)
        if found is None:
            raise NotFound(f"there is no release {release_id!r}; `promptlane history <prompt>` lists them")
        return found

    def find(self, release_id: str) -> Release | None:
        item = self._get(*_release_key(release_id))
        return None if item is None else Release.from_item(item)

    def update(self, release: Release, *entries: TimelineEntry) -> Release:
        written = replace(release, revision=release.revision + 1)
        change = self._put(_record(written), "revision = :revision", {":revision": release.revision})
        if self.write([change], list(entries)):
            raise Conflict(f"release {release.release_id} was changed meanwhile")
        return written

    def append(self, entry: TimelineEntry) -> bool:
        if self._get(f"{CHAIN}{entry.release_id}", f"entry#{entry.id}") is not None:
            return False
        return self.write([], [entry]) == set()

    def owed(self, release_id: str = "") -> list[TimelineEntry]:
        items = items_of(self._table, OWED, f"{release_id}#" if release_id else "")
        entries = [TimelineEntry.from_dict(json.loads(item["body"])) for item in items]
        return sorted(entries, key=lambda entry: entry.at)

    def told(self, entry: TimelineEntry) -> None:
        with translated(f"noting that people were told of {entry.id}"):
            self._table.delete_item(Key={"pk": OWED, "sk": f"{entry.release_id}#{entry.id}"})

    def timeline(self, release_id: str) -> list[TimelineEntry]:
        items = items_of(self._table, f"{TIMELINE}{release_id}")
        return [TimelineEntry.from_dict(json.loads(item["body"])) for item in items]

    def head(self, release_id: str) -> ChainHead | None:
        item = self._get(f"{CHAIN}{release_id}", "head")
        return None if item is None else ChainHead(int(item["seq"]), str(item["hash"]))

    def written(self, release_id: str) -> dict[str, int]:
        marks = items_of(self._table, f"{CHAIN}{release_id}", f"entry#{release_id}/route/")
        ids = (str(mark["sk"]).removeprefix("entry#") for mark in marks)
        return {name: route_revision(name, release_id) for name in ids}

    def of_prompt(self, prompt_id: str) -> list[Release]:
        return [Release.from_item(item) for item in items_of(self._table, f"{PROMPT}{prompt_id}", "release#")]

    def newest(self, prompt_id: str) -> Release | None:
        with translated(f"reading the newest release of {prompt_id}"):
            page = self._table.query(
                KeyConditionExpression="pk = :pk AND begins_with(sk, :release)",
                ExpressionAttributeValues={":pk": f"{PROMPT}{prompt_id}", ":release": "release#"},
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=1,
            )
        return next((Release.from_item(from_store(item)) for item in page["Items"]), None)

    def busy(self, prompt_ids: Sequence[str], *, since: float) -> set[str]:
        keys = [{"pk": f"{PROMPT}{prompt_id}", "sk": sk} for prompt_id in prompt_ids for sk in ("lock", _WAITED)]
        there = items_at(self._table, keys)
        return {str(i["pk"]).removeprefix(PROMPT) for i in there if i["sk"] == "lock" or float(i["since"]) >= since}

    def holder(self, prompt_id: str) -> str | None:
        item = self._get(f"{PROMPT}{prompt_id}", "lock")
        return None if item is None else str(item["release_id"])

    def unlock(self, prompt_id: str, release_id: str) -> None:
        with suppress(Conflict), translated(f"freeing the lock of {prompt_id}"):
            self._table.delete_item(
                Key={"pk": f"{PROMPT}{prompt_id}", "sk": "lock"},
                ConditionExpression="release_id = :me",
                ExpressionAttributeValues={":me": release_id},
            )

    def wait(self, waiting: Waiting) -> bool:
        item = {
            "pk": f"{PROMPT}{waiting.prompt_id}",
            "sk": f"waiting#{waiting.version:05d}",
            "prompt": waiting.prompt,
            "version": waiting.version,
            "since": waiting.since,
            "requested_by": waiting.requested_by,
            "explicit": waiting.explicit,
        }
        new = put_once(self._table, item)
        # After it: who sees the sign finds what waits.
        with translated(f"noting that a version of {waiting.prompt} waits"):
            self._table.put_item(Item=to_store({"pk": item["pk"], "sk": _WAITED, "since": waiting.since}))
        return new

    def waiting(self, prompt_id: str) -> list[Waiting]:
        return [
            Waiting(
                prompt=item["prompt"],
                prompt_id=prompt_id,
                version=item["version"],
                since=float(item["since"]),
                requested_by=item["requested_by"],
                explicit=item["explicit"],
            )
            for item in items_of(self._table, f"{PROMPT}{prompt_id}", "waiting#")
        ]

    def stop_waiting(self, prompt_id: str, version: int) -> None:
        with translated(f"forgetting the waiting version {version} of {prompt_id}"):
            self._table.delete_item(Key={"pk": f"{PROMPT}{prompt_id}", "sk": f"waiting#{version:05d}"})

    def at_enrolment(self, prompt_id: str, newest: int, now: float) -> int:
        key = {"pk": f"{PROMPT}{prompt_id}", "sk": "enrolment"}
        there = self._get(**key)
        if there is None or "newest" not in there:
            # Earlier releases of Promptlane kept the time alone, which no version's own data can be compared with.
            item = {**key, "since": there["since"] if there else now, "newest": newest}
            with suppress(Conflict), translated(f"noting the enrolment of {prompt_id}"):
                self._table.put_item(Item=to_store(item), ConditionExpression="attribute_not_exists(newest)")
                return newest
            there = self._get(**key)
        return int(there["newest"]) if there else newest

    def _get(self, pk: str, sk: str) -> dict[str, Any] | None:
        with translated(f"reading {pk} {sk}"):
            item = self._table.get_item(Key={"pk": pk, "sk": sk}, ConsistentRead=True).get("Item")
        return None if item is None else from_store(item)

    def _put(self, item: dict[str, Any], condition: str, values: dict[str, Any] | None = None) -> TransactItem:
        put: TransactItem = {"TableName": self._table.name, "Item": to_store(item), "ConditionExpression": condition}
        if values:
            put["ExpressionAttributeValues"] = values
        return {"Put": put}

    def write(self, changes: Sequence[TransactItem], entries: Sequence[TimelineEntry]) -> set[int]:
        """Write the changes, of any items of this table, and append the entries, in one transaction.

        Returns the indexes of the changes whose condition failed, or {-1} when an entry is there already; empty when
        all was written. Races for the chain's head, conflicts with other transactions and throttling are tried again.
        """
        for attempt in range(_ATTEMPTS):
            actions = [*changes, *self._appends(entries)]
            try:
                self._table.meta.client.transact_write_items(TransactItems=actions)
            except (ClientError, BotoCoreError) as error:
                reasons = cancellation_reasons(error) if isinstance(error, ClientError) else []
                failed = {i for i, r in enumerate(reasons) if r.get("Code") == "ConditionalCheckFailed"}
                own = {i for i in failed if i < len(changes)}
                if own:
                    return own
                marks = range(len(changes) + 1, len(changes) + 2 * len(entries), 2)
                if failed & set(marks):
                    return {-1}
                if not failed and not any(r.get("Code") in CANCELLED_AGAIN for r in reasons):
                    raise domain_error(error, "writing the release table") from error
                time.sleep(random.uniform(0, 0.02 * 2**attempt))
            else:
                return set()
        raise Conflict("the release table kept changing; try again")

    def _appends(self, entries: Sequence[TimelineEntry]) -> list[TransactItem]:
        """For each entry two puts, itself and the mark of its id; the chain's new head; the notices that are owed."""
        if not entries:
            return []
        release_id = entries[0].release_id
        if any(entry.release_id != release_id for entry in entries):
            raise InvalidInput("entries of several releases in one write; each timeline has a chain of its own")
        head = self.head(release_id)
        seq, last = (head.seq, head.hash) if head else (0, GENESIS)
        actions: list[TransactItem] = []
        debts: list[TransactItem] = []
        for i, entry in enumerate(entries):
            chained = entry.chained(seq + 1 + i, last)
            last = chained.hash
            body = {
                "pk": f"{TIMELINE}{release_id}",
                "sk": f"{chained.seq:06d}",
                "event": str(chained.event),
                "body": canonical_json(chained.to_dict()),
            }
            actions.append(self._put(body, "attribute_not_exists(pk)"))
            mark = {"pk": f"{CHAIN}{release_id}", "sk": f"entry#{entry.id}", "seq": chained.seq}
            actions.append(self._put(mark, "attribute_not_exists(pk)"))
            if notice.is_told(entry):
                due = {"pk": OWED, "sk": f"{release_id}#{entry.id}", "body": canonical_json(chained.to_dict())}
                debts.append({"Put": {"TableName": self._table.name, "Item": to_store(due)}})
        new_head = {"pk": f"{CHAIN}{release_id}", "sk": "head", "seq": seq + len(entries), "hash": last}
        condition = ("seq = :seq", {":seq": seq}) if head else ("attribute_not_exists(pk)", None)
        return [*actions, self._put(new_head, *condition), *debts]


def _release_key(release_id: str) -> tuple[str, str]:
    prompt_id, version, attempt = parse_release_id(release_id)
    return f"{PROMPT}{prompt_id}", f"release#{version:05d}#{attempt:03d}"


def _record(release: Release) -> dict[str, Any]:
    pk, sk = _release_key(release.release_id)
    return {"pk": pk, "sk": sk, **release.to_item()}
