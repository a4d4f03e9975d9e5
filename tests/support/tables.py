"""Tables as a deployment has them, in an embedded AWS or in moto."""

from typing import Any

from promptlane.domain.names import ROUTES_BY_ID


def make_table(dynamodb: Any, name: str, *keys: str, index: str = "") -> Any:
    """A table with these keys, which are texts: the partition key and perhaps the sort key.

    `index`: an attribute that it has an index by, keys only, as the route table has. Answers as `create_table` does."""
    by_index = {
        "IndexName": ROUTES_BY_ID,
        "KeySchema": [{"AttributeName": index, "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    return dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": k, "KeyType": t} for k, t in zip(keys, ("HASH", "RANGE"), strict=False)],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in (*keys, index) if n],
        BillingMode="PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": [by_index]} if index else {}),
    )
