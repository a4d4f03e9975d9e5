"""Reviews in the release table, and what reviewers are shown in the report bucket. Keys: docs/architecture.md.

A decision is put, counted on its request and appended to the timeline in one transaction, and the outcome is written
on the condition that the count is what the tally was made of; so an outcome always rests on every decision recorded
before it.

What people may not read, the workflow's token and the seals of codes, lies under a partition key of its own, which the
table's policy keeps from everybody but the functions of the review.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from promptlane.domain.errors import AlreadyExists, Conflict
from promptlane.domain.keys import OPEN_REVIEWS, REVIEW, SECRET
from promptlane.domain.release.timeline import TimelineEntry
from promptlane.domain.review.code import Seal
from promptlane.domain.review.review import Authors, ReviewDecision, ReviewRequest, numbered

from .errors import translated
from .plain import from_store, items_of, put_once, to_store
from .releases import DynamoReleases

Json = Any
_UNMOVED: Final = "#round = :round AND #decisions = :decisions AND attribute_not_exists(#outcome)"
_ROUND: Final = {"#round": "round"}
_OUTCOME: Final = {"#outcome": "outcome"}
_UNMOVED_NAMES: Final = {"#decisions": "decisions", **_ROUND, **_OUTCOME}


class DynamoReviews:
    """`ReviewStore` on the release table. `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def open(self, request: ReviewRequest, task_token: str) -> ReviewRequest:
        stored = self.get(request.release_id)
        if stored is not None and stored.round > request.round:
            raise Conflict(f"round {stored.round} of the review of {request.release_id} was asked for already")
        token = {**_secret(request.release_id, _token(request.round)), "task_token": task_token}
        with translated(f"keeping the task token of {request.release_id}"):
            self._table.put_item(Item=token)
        # Listed first: a crash in between leaves a listed review without a request, which the schedule takes off.
        with translated(f"listing the review of {request.release_id}"):
            self._table.put_item(Item={"pk": OPEN_REVIEWS, "sk": f"open#{request.release_id}"})
        if stored is not None and stored.round == request.round:
            return self._again(stored, request)
        with translated(f"asking for the review of {request.release_id}"):
            self._table.put_item(
                Item=_item(request),
                ConditionExpression="attribute_not_exists(pk) OR #round < :round",
                ExpressionAttributeNames=_ROUND,
                ExpressionAttributeValues={":round": request.round},
            )
        return request

    def _again(self, stored: ReviewRequest, request: ReviewRequest) -> ReviewRequest:
        expires = request.expires_at if stored.outcome is None else stored.expires_at
        with translated(f"asking again for the review of {request.release_id}"):
            self._table.update_item(
                Key=_key(request.release_id),
                UpdateExpression="SET expires_at = :expires",
                ConditionExpression="#round = :round",
                ExpressionAttributeNames=_ROUND,
                ExpressionAttributeValues=to_store({":expires": expires, ":round": request.round}),
            )
        return replace(stored, expires_at=expires)

    def task_token(self, release_id: str, round: int) -> str:
        item = self._item(_secret(release_id, _token(round)), "the task token of " + release_id)
        if item is None:
            item = self._item(_key(release_id), f"the review of {release_id}") or {}
            item = item if item.get("round") == round else {}
        return str(item.get("task_token", ""))

    def seal(self, release_id: str, round: int, reviewer: str, seal: Seal) -> Seal:
        if put_once(self._table, {**_secret(release_id, _code(round, reviewer)), **seal.to_dict()}):
            return seal
        return self.sealed(release_id, round, reviewer) or seal

    def sealed(self, release_id: str, round: int, reviewer: str) -> Seal | None:
        item = self._item(_secret(release_id, _code(round, reviewer)), f"the seal of a code of {release_id}")
        return None if item is None else Seal.from_dict(item)

    def conceal(self, release_id: str) -> None:
        item = self._item(_key(release_id), f"the review of {release_id}") or {}
        if not {"code", "task_token"} & set(item):
            return
        if token := item.get("task_token"):
            put_once(self._table, {**_secret(release_id, _token(item["round"])), "task_token": token})
        with translated(f"clearing the review of {release_id}"), suppress(Conflict):
            self._table.update_item(
                Key=_key(release_id),
                UpdateExpression="REMOVE #code, task_token",
                ConditionExpression="#round = :round",
                ExpressionAttributeNames={"#code": "code", **_ROUND},
                ExpressionAttributeValues={":round": item["round"]},
            )

    def get(self, release_id: str) -> ReviewRequest | None:
        item = self._item(_key(release_id), f"the review of {release_id}")
        return None if item is None else ReviewRequest.from_item(item)

    def _item(self, key: Mapping[str, str], what: str) -> Json:
        with translated(f"reading {what}"):
            item = self._table.get_item(Key=dict(key), ConsistentRead=True).get("Item")
        return None if item is None else from_store(item)

    def decisions(self, release_id: str, round: int) -> list[ReviewDecision]:
        items = items_of(self._table, f"{REVIEW}{release_id}", f"decision#{round:03d}#")
        return sorted((ReviewDecision.from_dict(item) for item in items), key=lambda d: d.number)

    def record(self, request: ReviewRequest, decision: ReviewDecision, *entries: TimelineEntry) -> ReviewDecision:
        _, decision = numbered(request, decision)
        key = {
            "pk": f"{REVIEW}{request.release_id}",
            "sk": f"decision#{request.round:03d}#{decision.reviewer}",
        }
        put = {
            "TableName": self._table.name,
            "Item": to_store({**key, **decision.to_dict()}),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        count = {
            "TableName": self._table.name,
            "Key": _key(request.release_id),
            "UpdateExpression": "SET #decisions = #decisions + :one",
            "ConditionExpression": _UNMOVED,
            "ExpressionAttributeNames": _UNMOVED_NAMES,
            "ExpressionAttributeValues": {":one": 1, **_seen(request)},
        }
        refused = DynamoReleases(self._table).write([{"Put": put}, {"Update": count}], entries)
        if refused - {1}:
            raise AlreadyExists(f"{decision.by} has decided about {request.release_id} already")
        if refused:
            raise Conflict(f"the review of {request.release_id} moved on meanwhile")
        return decision

    def close(self, request: ReviewRequest, outcome: Mapping[str, Json]) -> None:
        with translated(f"closing the review of {request.release_id}"):
            self._table.update_item(
                Key=_key(request.release_id),
                UpdateExpression="SET #outcome = :outcome",
                ConditionExpression=_UNMOVED,
                ExpressionAttributeNames=_UNMOVED_NAMES,
                ExpressionAttributeValues={":outcome": to_store(outcome), **_seen(request)},
            )

    def note(
        self, request: ReviewRequest, *, authors: Authors | None = None, reach: Mapping[str, str] | None = None
    ) -> None:
        changes: dict[str, Json] = {}
        if authors is not None:
            changes["authors"] = authors.to_dict()
        if reach is not None:
            changes["reach"] = dict(reach)
        if not changes:
            return
        try:
            with translated(f"noting on the review of {request.release_id}"):
                self._table.update_item(
                    Key=_key(request.release_id),
                    UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in changes),
                    ConditionExpression="#round = :round AND attribute_not_exists(#outcome)",
                    ExpressionAttributeNames={**_ROUND, **_OUTCOME},
                    ExpressionAttributeValues={
                        ":round": request.round,
                        **{f":{name}": to_store(value) for name, value in changes.items()},
                    },
                )
        except Conflict:
            return

    def mark(self, release_id: str, name: str, at: float) -> bool:
        return put_once(self._table, {"pk": f"{REVIEW}{release_id}", "sk": f"mark#{name}", "at": at})

    def marked(self, release_id: str, prefix: str) -> set[str]:
        items = items_of(self._table, f"{REVIEW}{release_id}", f"mark#{prefix}")
        return {str(item["sk"]).removeprefix("mark#") for item in items}

    def attempt(self, release_id: str, name: str, most: int) -> int:
        try:
            with translated(f"counting attempts for {release_id}"):
                answer = self._table.update_item(
                    Key={"pk": f"{REVIEW}{release_id}", "sk": f"attempts#{name}"},
                    UpdateExpression="ADD attempts :one",
                    ConditionExpression="attribute_not_exists(attempts) OR attempts < :most",
                    ExpressionAttributeValues={":one": 1, ":most": most},
                    ReturnValues="UPDATED_NEW",
                )
        except Conflict:
            return 0
        return int(answer["Attributes"]["attempts"])

    def open_reviews(self) -> list[str]:
        return [str(item["sk"]).removeprefix("open#") for item in items_of(self._table, OPEN_REVIEWS, "open#")]

    def unlist(self, release_id: str) -> None:
        with translated(f"closing the review of {release_id}"):
            self._table.delete_item(Key={"pk": OPEN_REVIEWS, "sk": f"open#{release_id}"})


def _key(release_id: str) -> dict[str, str]:
    return {"pk": f"{REVIEW}{release_id}", "sk": "request"}


def _secret(release_id: str, name: str) -> dict[str, str]:
    return {"pk": f"{SECRET}{release_id}", "sk": name}


def _token(round: int) -> str:
    return f"token#{round:03d}"


def _code(round: int, reviewer: str) -> str:
    return f"code#{round:03d}#{reviewer}"


def _item(request: ReviewRequest) -> Json:
    item = {k: v for k, v in request.to_item().items() if v is not None}
    return to_store({**_key(request.release_id), **item})


def _seen(request: ReviewRequest) -> dict[str, Json]:
    return {":round": request.round, ":decisions": request.decisions}
