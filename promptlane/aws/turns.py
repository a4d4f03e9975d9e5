"""The turn to run tests: one item of the release table."""

from __future__ import annotations

from typing import Any

from promptlane.domain.errors import Conflict
from promptlane.domain.keys import TURN

from .errors import translated
from .plain import to_store

_KEY = {"pk": TURN, "sk": "tests"}


class DynamoTurns:
    """`Turns` on the release table; `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def take(self, release_id: str, now: float, until: float) -> bool:
        try:
            with translated(f"taking the turn to test for {release_id}"):
                self._table.put_item(
                    Item=to_store({**_KEY, "release_id": release_id, "until": until}),
                    ConditionExpression="attribute_not_exists(pk) OR release_id = :me OR #until < :now",
                    ExpressionAttributeNames={"#until": "until"},
                    ExpressionAttributeValues=to_store({":me": release_id, ":now": now}),
                )
        except Conflict:
            return False
        return True

    def give_back(self, release_id: str) -> None:
        try:
            with translated(f"giving the turn to test of {release_id} back"):
                self._table.delete_item(
                    Key=_KEY,
                    ConditionExpression="attribute_not_exists(pk) OR release_id = :me",
                    ExpressionAttributeValues={":me": release_id},
                )
        except Conflict:
            return
