"""The judge's blocks in the release table: one item per metric and look, put once."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from promptlane.domain.canary.blocks import Chunk
from promptlane.domain.errors import Conflict

from .errors import domain_error, translated


class DynamoBlocks:
    """`BlockStore` on the release table; `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def load(self, release_id: str, phase: str) -> list[Chunk]:
        query: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :phase)",
            "ExpressionAttributeValues": {":pk": f"blocks#{release_id}", ":phase": f"{phase}#"},
            "ConsistentRead": True,
        }
        chunks: list[Chunk] = []
        with translated(f"reading the blocks of release {release_id}"):
            while True:
                page = self._table.query(**query)
                chunks += [Chunk.from_item(json.loads(item["body"])) for item in page["Items"]]
                if "LastEvaluatedKey" not in page:
                    return chunks
                query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def put_once(self, release_id: str, chunk: Chunk) -> bool:
        # Counts travel as one JSON text: thousands of numbers as DynamoDB values would cost several times the size.
        item = {
            "pk": f"blocks#{release_id}",
            "sk": f"{chunk.phase}#{round(chunk.start):012d}#{chunk.metric}",
            "body": json.dumps(chunk.to_item(), separators=(",", ":")),
        }
        try:
            self._table.put_item(Item=item, ConditionExpression="attribute_not_exists(pk)")
        except (ClientError, BotoCoreError) as error:
            failure = domain_error(error, f"storing blocks of release {release_id}")
            if isinstance(failure, Conflict):
                return False
            raise failure from error
        return True
