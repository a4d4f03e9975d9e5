"""Reads what the deployed stacks wrote: the route, the release records, the timelines."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from promptlane.domain.names import parse_release_id
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import TimelineEntry

Json = Any


class Observer:
    """The two tables of a deployment, read by their documented keys (docs/architecture.md)."""

    def __init__(self, dynamodb: Any, *, route_table: str, release_table: str) -> None:
        self._routes, self._releases = dynamodb.Table(route_table), dynamodb.Table(release_table)

    def route(self, prompt: str) -> Route | None:
        item = self._routes.get_item(Key={"prompt": prompt}, ConsistentRead=True).get("Item")
        return Route.from_item(_plain(item)) if item else None

    def release(self, release_id: str) -> Release | None:
        prompt_id, version, attempt = parse_release_id(release_id)
        key = {"pk": f"prompt#{prompt_id}", "sk": f"release#{version:05d}#{attempt:03d}"}
        item = self._releases.get_item(Key=key, ConsistentRead=True).get("Item")
        return Release.from_item(_plain(item)) if item else None

    def timeline(self, release_id: str) -> list[TimelineEntry]:
        from boto3.dynamodb.conditions import Key

        answer = self._releases.query(
            KeyConditionExpression=Key("pk").eq(f"timeline#{release_id}"), ConsistentRead=True, ScanIndexForward=True
        )
        return [TimelineEntry.from_dict(json.loads(item["body"])) for item in answer["Items"]]


def _plain(value: Json) -> Json:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value
