"""The judge's blocks in the release table: one item per metric and look, put once."""

from __future__ import annotations

import json
from typing import Any

from promptlane.domain.canary.blocks import Chunk
from promptlane.domain.keys import BLOCKS

from .plain import items_of, put_once


class DynamoBlocks:
    """`BlockStore` on the release table; `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def load(self, release_id: str, phase: str) -> list[Chunk]:
        items = items_of(self._table, f"{BLOCKS}{release_id}", f"{phase}#")
        return [Chunk.from_item(json.loads(item["body"])) for item in items]

    def put_once(self, release_id: str, chunk: Chunk) -> bool:
        # Counts travel as one JSON text: thousands of numbers as DynamoDB values would cost several times the size.
        item = {
            "pk": f"{BLOCKS}{release_id}",
            "sk": f"{chunk.phase}#{round(chunk.start):012d}#{chunk.metric}",
            "body": json.dumps(chunk.to_item(), separators=(",", ":")),
        }
        return put_once(self._table, item)
