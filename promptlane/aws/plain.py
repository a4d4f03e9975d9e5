"""Items of DynamoDB as plain Python values: floats travel as Decimal. `table` is a boto3 Table resource."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from promptlane.domain.errors import Conflict, Throttled

from .attributes import from_store, to_store
from .errors import translated

__all__ = ["from_store", "items_at", "items_of", "put_once", "to_store"]

Json = Any
_KEYS_AT_ONCE: Final = 100
_TRIES: Final = 8


def items_of(table: Any, pk: str, prefix: str = "") -> list[dict[str, Json]]:
    """All items with this partition key whose sort key begins so, in its order; read consistently."""
    query: dict[str, Json] = {
        "KeyConditionExpression": "pk = :pk" + (" AND begins_with(sk, :prefix)" if prefix else ""),
        "ExpressionAttributeValues": {":pk": pk, **({":prefix": prefix} if prefix else {})},
        "ConsistentRead": True,
    }
    items: list[dict[str, Json]] = []
    with translated(f"reading {pk} {prefix}"):
        while True:
            page = table.query(**query)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return [from_store(item) for item in items]
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def items_at(table: Any, keys: Sequence[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """The items under these keys, of those that exist, in no order; read consistently, in calls of 100 keys."""
    found: list[dict[str, Json]] = []
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        wanted: Any = {table.name: {"Keys": [dict(key) for key in keys[start : start + _KEYS_AT_ONCE]]}}
        wanted[table.name]["ConsistentRead"] = True
        for attempt in range(_TRIES):
            with translated(f"reading {len(keys)} items"):
                answer = table.meta.client.batch_get_item(RequestItems=wanted)
            found += [from_store(item) for item in answer["Responses"].get(table.name, [])]
            wanted = answer.get("UnprocessedKeys")
            if not wanted:
                break
            time.sleep(random.uniform(0, 0.05 * 2**attempt))
        else:
            raise Throttled(f"the table answers {len(keys)} reads only in part; try again")
    return found


def put_once(table: Any, item: Mapping[str, Json]) -> bool:
    """Put an item; False when its key is there already."""
    try:
        with translated(f"writing {item['pk']} {item['sk']}"):
            table.put_item(Item=to_store(item), ConditionExpression="attribute_not_exists(pk)")
    except Conflict:
        return False
    return True
