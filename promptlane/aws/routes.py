"""The route table in DynamoDB: single-item conditional writes, nothing else."""

from __future__ import annotations

from typing import Any

from promptlane.domain.errors import Conflict
from promptlane.domain.release.route import Route

from .errors import translated
from .plain import from_store, to_store
from .signed_routes import as_read, route_of, unmoved


class DynamoRoutes:
    """`RouteStore` on a DynamoDB table with key `prompt`. `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def get(self, prompt: str) -> Route | None:
        with translated(f"reading the route of {prompt}"):
            item = self._table.get_item(Key={"prompt": prompt}, ConsistentRead=True).get("Item")
        return None if item is None else Route.from_item(from_store(item))

    def all(self) -> list[Route]:
        found: list[Route] = []
        more: dict[str, Any] = {}
        while True:
            with translated("reading all routes"):
                page = self._table.scan(ConsistentRead=True, **more)
            found += [route_of(from_store(item)) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def put(self, route: Route, *, expected: Route | None) -> None:
        if expected is None:
            condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(prompt)"}
        else:
            condition = {
                "ConditionExpression": unmoved(expected),
                "ExpressionAttributeValues": as_read(expected),
            }
        try:
            with translated(f"writing the route of {route.prompt}"):
                self._table.put_item(Item=to_store(route.to_item()), **condition)
        except Conflict as error:
            raise Conflict(f"the route of {route.prompt} moved since it was read") from error
