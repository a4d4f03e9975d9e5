"""Where runs that take turns stopped, in the release table: pk `cursors`, sk the name of the run."""

from __future__ import annotations

from typing import Any

from promptlane.domain.keys import CURSORS

from .errors import translated


class DynamoCursors:
    """`Cursors` on a DynamoDB table with keys `pk` and `sk`. `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def get(self, run: str) -> str:
        with translated(f"reading where {run} stopped"):
            item = self._table.get_item(Key={"pk": CURSORS, "sk": run}, ConsistentRead=True).get("Item")
        return str(item["after"]) if item else ""

    def put(self, run: str, after: str) -> None:
        with translated(f"noting where {run} stopped"):
            self._table.put_item(Item={"pk": CURSORS, "sk": run, "after": after})
