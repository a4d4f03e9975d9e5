"""The route table without boto3: for the rollback, whose first two requests nothing else may hold up."""

from __future__ import annotations

from typing import Any

from promptlane.domain.errors import Conflict, InvalidInput
from promptlane.domain.release.route import Route

from .attributes import from_attribute, to_attribute
from .dynamodb import SignedDynamo

Json = Any


class SignedRoutes:
    """`RouteStore` on a DynamoDB table with key `prompt`: what `DynamoRoutes` promises, by signed requests alone.

    It tries nothing again: who moves a route reads it anew first.
    """

    def __init__(self, dynamodb: SignedDynamo, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def get(self, prompt: str) -> Route | None:
        asked = {"TableName": self._table, "Key": {"prompt": to_attribute(prompt)}, "ConsistentRead": True}
        item = self._dynamodb.call("GetItem", asked, doing=f"reading the route of {prompt}").get("Item")
        return None if item is None else Route.from_item(from_attribute({"M": item}))

    def all(self) -> list[Route]:
        found: list[Route] = []
        more: dict[str, Json] = {}
        while True:
            asked = {"TableName": self._table, "ConsistentRead": True, **more}
            page = self._dynamodb.call("Scan", asked, doing="reading all routes")
            found += [route_of(from_attribute({"M": item})) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def put(self, route: Route, *, expected: Route | None) -> None:
        request: dict[str, Json] = {
            "TableName": self._table,
            "Item": to_attribute(route.to_item())["M"],
            "ConditionExpression": "attribute_not_exists(prompt)",
        }
        if expected is not None:
            request["ConditionExpression"] = unmoved(expected)
            request["ExpressionAttributeValues"] = {k: to_attribute(v) for k, v in as_read(expected).items()}
        try:
            self._dynamodb.call("PutItem", request, doing=f"writing the route of {route.prompt}")
        except Conflict as error:
            raise Conflict(f"the route of {route.prompt} moved since it was read") from error


def signed_routes(table: str) -> SignedRoutes | None:
    """Of the function's environment; None where it asks for what only boto3 knows."""
    dynamodb = SignedDynamo.from_environment()
    return SignedRoutes(dynamodb, table) if dynamodb is not None else None


def unmoved(route: Route) -> str:
    """The condition that the stored route is still this one. Code that knew no epochs left none on the item."""
    same = "epoch = :epoch" if route.epoch else "(attribute_not_exists(epoch) OR epoch = :epoch)"
    return f"revision = :revision AND release_id = :release AND {same}"


def as_read(route: Route) -> dict[str, Json]:
    """The values of that condition."""
    return {":revision": route.revision, ":release": route.release_id, ":epoch": route.epoch}


def route_of(item: Json) -> Route:
    """The route that a stored item is; InvalidInput for one that is none."""
    try:
        return Route.from_item(item)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"the route of {item.get('prompt')!r} cannot be read ({error!r})") from error
