"""The prompt ids that names mean, and what people were told of them, in the release table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from promptlane.domain.errors import Conflict
from promptlane.domain.keys import IDENTITY, WATCHED
from promptlane.domain.release.meant import Identity

from .errors import translated
from .plain import from_store, items_at, put_once, to_store

_FIXED = "fixed"


class DynamoIdentities:
    """`Identities` on a DynamoDB table with keys `pk` and `sk`. `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def get(self, prompt: str) -> Identity | None:
        item = _item(self._table, f"{IDENTITY}{prompt}", _FIXED)
        return Identity.from_item(item) if item else None

    def of(self, prompts: Sequence[str]) -> dict[str, Identity]:
        keys = [{"pk": f"{IDENTITY}{prompt}", "sk": _FIXED} for prompt in prompts]
        found = map(Identity.from_item, items_at(self._table, keys))
        return {identity.prompt: identity for identity in found}

    def fix(self, identity: Identity, *, expected: Identity | None) -> None:
        item = {"pk": f"{IDENTITY}{identity.prompt}", "sk": _FIXED, **identity.to_item()}
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if expected is not None:
            condition = {
                "ConditionExpression": "prompt_id = :id AND release_id = :release",
                "ExpressionAttributeValues": {":id": expected.prompt_id, ":release": expected.release_id},
            }
        try:
            with translated(f"fixing the prompt id of {identity.prompt}"):
                self._table.put_item(Item=to_store(item), **condition)
        except Conflict as error:
            raise Conflict(f"the prompt id of {identity.prompt} was fixed meanwhile") from error


class DynamoWatched:
    """`Watched` on the same table."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def told(self, prompt: str, event_id: str) -> bool:
        return _item(self._table, f"{WATCHED}{prompt}", f"event#{event_id}") is not None

    def tell(self, prompt: str, event_id: str, at: float) -> None:
        put_once(self._table, {"pk": f"{WATCHED}{prompt}", "sk": f"event#{event_id}", "at": at})

    def state(self, prompt: str) -> str:
        item = _item(self._table, f"{WATCHED}{prompt}", "state")
        return str(item["state"]) if item else ""

    def found(self, prompt: str, state: str, at: float) -> None:
        with translated(f"noting what became of the name {prompt}"):
            self._table.put_item(Item=to_store({"pk": f"{WATCHED}{prompt}", "sk": "state", "state": state, "at": at}))


def _item(table: Any, pk: str, sk: str) -> dict[str, Any] | None:
    with translated(f"reading {pk} {sk}"):
        item = table.get_item(Key={"pk": pk, "sk": sk}, ConsistentRead=True).get("Item")
    return from_store(item) if item else None
