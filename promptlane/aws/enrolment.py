"""Which prompts are enrolled, with which policy and suite: items of the release table, pointing at objects of S3.

    pk enrolment#<prompt>  sk current            who enrolled it, and what counts (`Enrolment`)
    pk enrolment#<prompt>  sk request#<id>       a request that changed it, for good (`Mark`)
    pk enrolments          sk <prompt>           the list of all of them

`enrol` alone writes them. The policies and suites that it let in lie at `config/<sha256>.json` of the report bucket.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from promptlane.domain.enrolment.enrolment import Enrolment, Mark, Part
from promptlane.domain.errors import Conflict, InvalidInput, NotFound
from promptlane.domain.keys import ENROLMENT, ENROLMENTS
from promptlane.domain.policy import Policy
from promptlane.domain.release.content import canonical_json

from .errors import cancellation_reasons, domain_error, translated
from .plain import from_store, items_at, items_of, to_store

Json = Any
_CURRENT: Final = "current"


class DynamoEnrolments:
    """`Enrolments` on the release table and the report bucket. `table` is a boto3 Table resource."""

    def __init__(self, *, table: Any, s3: Any, report_bucket: str) -> None:
        self._table, self._s3, self._bucket = table, s3, report_bucket

    def names(self) -> Sequence[str]:
        return sorted(str(item["sk"]) for item in items_of(self._table, ENROLMENTS))

    def enrolled(self, prompt: str) -> bool:
        return bool(prompt) and _read(self._table, prompt) is not None

    def deployed_id(self, prompt: str) -> str:
        enrolment = _read(self._table, prompt) if prompt else None
        return (enrolment.counts.prompt_id or "") if enrolment else ""

    def deployed_ids(self, prompts: Sequence[str]) -> dict[str, str]:
        keys = [{"pk": f"{ENROLMENT}{prompt}", "sk": _CURRENT} for prompt in prompts]
        found = map(Enrolment.from_item, items_at(self._table, keys))
        return {enrolment.name: enrolment.counts.prompt_id for enrolment in found if enrolment.counts.prompt_id}

    def deployed_hashes(self, prompt: str) -> tuple[str, str] | None:
        enrolment = _read(self._table, prompt) if prompt else None
        return enrolment.counts.says.hashes if enrolment else None

    def capture(self, prompt: str) -> tuple[str, str]:
        enrolment = _read(self._table, prompt)
        if enrolment is None:
            raise NotFound(f"prompt {prompt!r} is not enrolled")
        policy, suite = enrolment.counts.says.hashes
        self._copy(policy)
        self._copy(suite)
        return policy, suite

    def policy(self, sha256: str) -> Policy:
        return Policy.from_dict(json.loads(self._copy(sha256)))

    def pin(self, policy: Policy) -> str:
        body = canonical_json(policy.to_dict()).encode()
        sha256 = hashlib.sha256(body).hexdigest()
        with translated(f"keeping the configuration {sha256}"):
            self._s3.put_object(
                Bucket=self._bucket, Key=f"config/{sha256}.json", Body=body, ContentType="application/json"
            )
        return sha256

    def suite(self, sha256: str) -> dict[str, object]:
        return dict(json.loads(self._copy(sha256)))

    def _copy(self, sha256: str) -> bytes:
        """A copy, compared with the hash that enrolment and release pin: whoever wrote it since changed nothing."""
        key = f"config/{sha256}.json"
        with translated(f"reading the configuration {sha256}"):
            body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        if not unaltered(body, sha256):
            found = hashlib.sha256(body).hexdigest()
            raise InvalidInput(
                f"s3://{self._bucket}/{key} has SHA-256 {found}: somebody altered it after it was enrolled. "
                "Find out who wrote it, bring back the object's first version, then start the release again"
            )
        return body


class DynamoRegister:
    """`Register` on the release table. `table` is a boto3 Table resource."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def get(self, name: str) -> Enrolment | None:
        return _read(self._table, name)

    def done(self, name: str, request: str) -> bool:
        return _item(self._table, name, f"request#{request}") is not None

    def put(self, enrolment: Enrolment, mark: Mark) -> Enrolment:
        written = replace(enrolment, revision=enrolment.revision + 1)
        self._write(enrolment, written, mark)
        return written

    def drop(self, enrolment: Enrolment, mark: Mark) -> None:
        self._write(enrolment, None, mark)

    def _write(self, was: Enrolment, becomes: Enrolment | None, mark: Mark) -> None:
        """The enrolment, its place in the list and the mark, in one transaction."""
        pk = f"{ENROLMENT}{was.name}"
        marked = {"pk": pk, "sk": f"request#{mark.asked.request}", **mark.to_item()}
        absent: dict[str, Json] = {"ConditionExpression": "attribute_not_exists(pk)"}
        unchanged = absent
        if was.revision:
            unchanged = {"ConditionExpression": "revision = :was", "ExpressionAttributeValues": {":was": was.revision}}
        current, listed = {"pk": pk, "sk": _CURRENT}, {"pk": ENROLMENTS, "sk": was.name}
        actions: list[dict[str, Json]] = (
            [{"Put": {"Item": to_store({**current, **becomes.to_item()}), **unchanged}}, {"Put": {"Item": listed}}]
            if becomes
            else [{"Delete": {"Key": current, **unchanged}}, {"Delete": {"Key": listed}}]
        )
        actions.append({"Put": {"Item": to_store(marked), **absent}})
        for action in actions:
            for detail in action.values():
                detail["TableName"] = self._table.name
        try:
            self._table.meta.client.transact_write_items(TransactItems=actions)
        except (ClientError, BotoCoreError) as error:
            doing = f"writing the enrolment of {was.name}"
            reasons = cancellation_reasons(error) if isinstance(error, ClientError) else []
            if {r.get("Code") for r in reasons} & {"ConditionalCheckFailed", "TransactionConflict"}:
                raise Conflict(f"{doing}: it changed meanwhile; try again") from error
            raise domain_error(error, doing) from error


class DeployedConfig:
    """`ConfigStore` on S3: reads what the CDK deployed, in this account's buckets alone, and keeps copies."""

    def __init__(self, s3: Any, *, account: str, report_bucket: str) -> None:
        self._s3, self._account, self._bucket = s3, account, report_bucket

    def fetch(self, part: Part, most: int) -> bytes:
        bucket, key = part.place
        with translated(f"reading {part.uri}"):
            answer = self._s3.get_object(Bucket=bucket, Key=key, ExpectedBucketOwner=self._account)
            body: bytes = answer["Body"].read(most + 1)
        if len(body) > most:
            raise InvalidInput(f"{part.uri} is larger than {most:,} bytes; shorten it and deploy again")
        if not unaltered(body, part.sha256):
            found = hashlib.sha256(body).hexdigest()
            raise InvalidInput(
                f"{part.uri} has SHA-256 {found}, not {part.sha256} as its stack says: somebody wrote it since. Find "
                "out who, delete the object and deploy again"
            )
        return body

    def keep(self, sha256: str, body: bytes) -> None:
        with translated(f"keeping the configuration {sha256}"):
            self._s3.put_object(
                Bucket=self._bucket, Key=f"config/{sha256}.json", Body=body, ContentType="application/json"
            )


def unaltered(body: bytes, sha256: str) -> bool:
    """Whether these are the bytes that were deployed."""
    return hashlib.sha256(body).hexdigest() == sha256


def _read(table: Any, name: str) -> Enrolment | None:
    item = _item(table, name, _CURRENT)
    return None if item is None else Enrolment.from_item(item)


def _item(table: Any, name: str, sk: str) -> dict[str, Json] | None:
    with translated(f"reading the enrolment of {name}"):
        item = table.get_item(Key={"pk": f"{ENROLMENT}{name}", "sk": sk}, ConsistentRead=True).get("Item")
    return None if item is None else dict(from_store(item))
