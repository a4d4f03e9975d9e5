"""The last drill of each prompt, in the release table: pk `drills`, sk the prompt's name."""

from __future__ import annotations

from typing import Any

from promptlane.domain.errors import Conflict
from promptlane.domain.keys import DRILLS
from promptlane.lifecycle.drill import Drill

from .errors import translated
from .plain import from_store, to_store


class DynamoDrills:
    """`Drills` on a DynamoDB table with keys `pk` and `sk`. `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def last(self, prompt: str) -> Drill | None:
        with translated(f"reading the last drill of {prompt}"):
            item = self._table.get_item(Key={"pk": DRILLS, "sk": prompt}, ConsistentRead=True).get("Item")
        if item is None:
            return None
        found = from_store(item)
        times = {name: float(found[name]) for name in ("changed_at", "ended_at")}
        return Drill(prompt=prompt, id=found["id"], proved=found["proved"], says=found["says"], **times)

    def keep(self, drill: Drill) -> bool:
        try:
            with translated(f"noting the drill of {drill.prompt}"):
                self._table.put_item(
                    Item=to_store({"pk": DRILLS, "sk": drill.prompt, **drill.to_dict()}),
                    ConditionExpression="attribute_not_exists(pk) OR changed_at < :changed",
                    ExpressionAttributeValues=to_store({":changed": drill.changed_at}),
                )
        except Conflict:
            return False
        return True
