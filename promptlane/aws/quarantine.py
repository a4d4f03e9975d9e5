"""Quarantined contents that the route no longer holds: an item each in the release table, put once for a rollback.

    pk quarantine#<prompt name>  sk <fingerprint at six digits>#<fingerprint>

What is lifted is marked and stays: a copy of the same rollback that somebody puts late must not bar it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from promptlane.domain.errors import Conflict
from promptlane.domain.keys import QUARANTINE
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.quarantine import Quarantine, at_six_digits, lifted_by

from .errors import translated
from .plain import items_of, to_store

Json = Any
_FIELDS = ("version", "release_id", "at", "rounded")


class DynamoQuarantine:
    """`OlderQuarantine` on the release table. `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def keep(self, prompt: str, entries: Quarantine) -> None:
        for fingerprint, entry in entries.items():
            self._write(prompt, fingerprint, {"at": 0, **entry}, "attribute_not_exists(pk) OR #at < :at")

    def alike(self, prompt: str, ref: VersionRef) -> Quarantine:
        found: dict[str, Mapping[str, Json]] = {}
        for fingerprint in set(lifted_by(ref)):  # one that was stored before there were two is its own at six digits
            found |= self._standing(prompt, f"{fingerprint}#")
        return found

    def all(self, prompt: str) -> Quarantine:
        return self._standing(prompt)

    def lift(self, prompt: str, ref: VersionRef, *, by: str) -> None:
        for fingerprint, entry in self.alike(prompt, ref).items():
            if fingerprint in lifted_by(ref):
                self._write(prompt, fingerprint, {**entry, "lifted_by": by}, "#at = :at")

    def _write(self, prompt: str, fingerprint: str, entry: Mapping[str, Json], condition: str) -> None:
        key = {"pk": f"{QUARANTINE}{prompt}", "sk": f"{at_six_digits(fingerprint, entry)}#{fingerprint}"}
        with suppress(Conflict), translated(f"keeping a quarantined content of {prompt}"):
            self._table.put_item(
                Item=to_store({**key, **entry}),
                ConditionExpression=condition,
                ExpressionAttributeNames={"#at": "at"},
                ExpressionAttributeValues={":at": to_store(entry["at"])},
            )

    def _standing(self, prompt: str, prefix: str = "") -> Quarantine:
        return {
            str(item["sk"]).partition("#")[2]: {name: item[name] for name in _FIELDS if name in item}
            for item in items_of(self._table, f"{QUARANTINE}{prompt}", prefix)
            if "lifted_by" not in item
        }
