"""Edits of prompts in the release table, below `edits#<prompt id>`, by time and CloudTrail's event id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from promptlane.domain.keys import EDITS
from promptlane.domain.review.edits import Edit
from promptlane.domain.trail import Window

from .errors import translated
from .plain import from_store, put_once, to_store

_WATCHED: Final = "watched"
_LAST: Final = 10**12 - 1
"""The latest second that a key can hold."""


class DynamoEdits:
    """`EditStore` on the release table; `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def record(self, prompt_id: str, edit: Edit) -> bool:
        key = {"pk": _partition(prompt_id), "sk": f"{_second(edit.event.at)}#{edit.id}"}
        if put_once(self._table, {**key, **edit.to_item()}):
            return True
        if edit.told_by != "history":
            return False
        there = self._get(key)
        if there is None or there.told_by == "history":
            return False
        known = replace(edit, newest=there.newest, draft=there.draft)
        with translated(f"recording an edit of {prompt_id}"):
            self._table.put_item(Item=to_store({**key, **known.to_item()}))
        return True

    def edits(self, prompt_id: str, since: float = 0.0, until: float | None = None) -> list[Edit]:
        query: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :since AND :until",
            "ExpressionAttributeValues": {
                ":pk": _partition(prompt_id),
                ":since": _second(since),
                ":until": _second(_LAST if until is None else until) + "~",
            },
            "ConsistentRead": True,
        }
        found: list[Edit] = []
        with translated(f"reading the edits of {prompt_id}"):
            while True:
                page = self._table.query(**query)
                found += [Edit.from_item(from_store(item)) for item in page["Items"]]
                if "LastEvaluatedKey" not in page:
                    return sorted(found, key=lambda e: e.event.at)
                query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def watched(self, prompt_id: str) -> Window | None:
        with translated(f"reading since when edits of {prompt_id} are recorded"):
            key = {"pk": _partition(prompt_id), "sk": _WATCHED}
            item = self._table.get_item(Key=key, ConsistentRead=True).get("Item")
        return None if item is None else Window(float(item["since"]), float(item["until"]))

    def watch(self, prompt_id: str, window: Window) -> None:
        item = {"pk": _partition(prompt_id), "sk": _WATCHED, "since": window.since, "until": window.until}
        with translated(f"noting since when edits of {prompt_id} are recorded"):
            self._table.put_item(Item=to_store(item))

    def _get(self, key: dict[str, str]) -> Edit | None:
        with translated("reading an edit"):
            item = self._table.get_item(Key=key, ConsistentRead=True).get("Item")
        return None if item is None else Edit.from_item(from_store(item))


def _partition(prompt_id: str) -> str:
    return f"{EDITS}{prompt_id}"


def _second(at: float) -> str:
    return f"{min(max(int(at), 0), _LAST):012d}"
