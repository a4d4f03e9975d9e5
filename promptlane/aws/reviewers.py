"""The reviewers whom the deployment declares: one item of the release table, which `enrol` alone writes.

    pk declared  sk reviewers       who they are, which stack says so, by which object (`Declaration`)
    pk declared  sk request#<id>    a request that changed it, for good

The table's own policy keeps everybody else from writing it. SSM parameters have no such policy, so they say only which
topic an address has.
"""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from promptlane.domain.enrolment.declaration import Declaration
from promptlane.domain.errors import Conflict
from promptlane.domain.keys import DECLARED
from promptlane.domain.review.declared import Declared

from .errors import cancellation_reasons, domain_error, translated
from .plain import from_store, to_store

Json = Any
_ALL: Final = "reviewers"


class DynamoDeclarations:
    """`Declarations` and `Directory` on the release table. `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def declared(self) -> Declared | None:
        found = self.get()
        return found.reviewers if found else None

    def get(self) -> Declaration | None:
        item = self._item(_ALL)
        return None if item is None else Declaration.from_item(item)

    def done(self, request: str) -> bool:
        return self._item(f"request#{request}") is not None

    def put(self, declaration: Declaration, *, expected: int, request: str, at: float) -> None:
        absent: dict[str, Json] = {"ConditionExpression": "attribute_not_exists(pk)"}
        unchanged = {"ConditionExpression": "revision = :was", "ExpressionAttributeValues": {":was": expected}}
        item = {"pk": DECLARED, "sk": _ALL, **declaration.to_item()}
        mark = {"pk": DECLARED, "sk": f"request#{request}", **declaration.mark(at)}
        puts = [
            {"TableName": self._table.name, "Item": to_store(item), **(unchanged if expected else absent)},
            {"TableName": self._table.name, "Item": to_store(mark), **absent},
        ]
        doing = "declaring the reviewers"
        try:
            self._table.meta.client.transact_write_items(TransactItems=[{"Put": put} for put in puts])
        except (ClientError, BotoCoreError) as error:
            reasons = cancellation_reasons(error) if isinstance(error, ClientError) else []
            if {r.get("Code") for r in reasons} & {"ConditionalCheckFailed", "TransactionConflict"}:
                raise Conflict(f"{doing}: they changed meanwhile; try again") from error
            raise domain_error(error, doing) from error

    def _item(self, sk: str) -> dict[str, Json] | None:
        with translated("reading the declared reviewers"):
            item = self._table.get_item(Key={"pk": DECLARED, "sk": sk}, ConsistentRead=True).get("Item")
        return None if item is None else dict(from_store(item))
