"""What AWS refuses, for the stores in memory: they are no kinder than the services that they stand for.

Sources: "Service, account, and table quotas in Amazon DynamoDB", "Publish" in the Amazon SNS API reference, "Creating
object key names" in the Amazon S3 guide, "StartExecution" in the AWS Step Functions API reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from promptlane.domain.errors import InvalidInput
from promptlane.domain.keys import CHAIN
from promptlane.domain.release.storable import fits
from promptlane.domain.release.timeline import TimelineEntry

Json = Any
ITEM_BYTES: Final = 400 * 1024
TRANSACTION_ITEMS: Final = 100
MESSAGE_BYTES: Final = 256 * 1024
_PARTITION_KEY_BYTES: Final = 2048
_SORT_KEY_BYTES: Final = 1024
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,99}")
_EXECUTION = re.compile(r"[0-9A-Za-z_-]{1,80}")


def check_item(item: Mapping[str, Json], *, partition_key: Json, sort_key: Json = "x") -> None:
    """InvalidInput for what DynamoDB would not store."""
    _check_key("partition", partition_key, _PARTITION_KEY_BYTES)
    _check_key("sort", sort_key, _SORT_KEY_BYTES)
    _check_value(item)
    size = len(json.dumps(item, ensure_ascii=False, default=str).encode())
    if size > ITEM_BYTES:
        raise InvalidInput(f"an item of {size:,} bytes; DynamoDB takes {ITEM_BYTES:,}")


def check_key(key: Json) -> None:
    """InvalidInput for a partition key that DynamoDB would not look for."""
    _check_key("partition", key, _PARTITION_KEY_BYTES)


def _check_key(kind: str, key: Json, most: int) -> None:
    if not isinstance(key, str) or not 1 <= len(key.encode()) <= most:
        raise InvalidInput(f"the {kind} key {str(key)[:80]!r}; DynamoDB takes text of 1 to {most} bytes")


def _check_value(value: Json) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not fits(value):
        raise InvalidInput(f"{value} cannot be stored; DynamoDB knows finite numbers of 1e-130 to 1e126 alone")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"{value[:80]!a} holds half of a surrogate pair, which cannot be stored") from None
    if isinstance(value, Mapping):
        for key, part in value.items():
            _check_value(key)
            _check_value(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _check_value(part)


def check_entries(entries: Sequence[TimelineEntry], *, changes: int) -> None:
    """InvalidInput for entries that one transaction cannot append to one timeline."""
    if len({entry.release_id for entry in entries}) > 1:
        raise InvalidInput("entries of several releases in one write; each timeline has a chain of its own")
    if len({entry.id for entry in entries}) < len(entries):
        raise InvalidInput("the same entry twice in one write")
    if changes + 2 * len(entries) + 1 > TRANSACTION_ITEMS:
        raise InvalidInput(f"{len(entries)} entries in one write; a transaction takes {TRANSACTION_ITEMS} items")
    for entry in entries:
        check_item({"body": entry.to_dict()}, partition_key=f"{CHAIN}{entry.release_id}", sort_key=f"entry#{entry.id}")


def check_message(subject: str, body: str) -> None:
    """InvalidInput for an email that SNS would not send."""
    if not _SUBJECT.fullmatch(subject):
        raise InvalidInput(
            f"subject {subject[:120]!r}; SNS takes 1 to 99 characters on one line, without control characters"
        )
    if not 1 <= len(body.encode()) <= MESSAGE_BYTES:
        raise InvalidInput(f"a message of {len(body.encode()):,} bytes; SNS takes 1 to {MESSAGE_BYTES:,}")


def check_object_key(key: str) -> None:
    """InvalidInput for a key that S3 would not store under."""
    if not 1 <= len(key.encode()) <= 1024:
        raise InvalidInput(f"the key {key[:80]!r}; S3 takes 1 to 1,024 bytes")


def check_execution(name: str, payload: Mapping[str, Json]) -> None:
    """InvalidInput for an execution that Step Functions would not start."""
    if not _EXECUTION.fullmatch(name):
        raise InvalidInput(f"execution name {name[:100]!r}; Step Functions takes 1 to 80 letters, digits, - and _")
    size = len(json.dumps(payload).encode())
    if size > MESSAGE_BYTES:
        raise InvalidInput(f"an input of {size:,} bytes; Step Functions takes {MESSAGE_BYTES:,}")
