"""Buckets of a trial, which go with their stack."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from botocore.exceptions import ClientError

from promptlane.domain.errors import Unavailable
from promptlane.domain.names import TRIAL_TAG

from .errors import code_of, translated

Json = Any
_CLOSED: Final = "TheTrialIsOver"
_ABSENT: Final = ("NoSuchBucket", "NoSuchBucketPolicy", "NoSuchTagSet")


class TrialBuckets:
    """`s3` is the boto3 client. `arn` makes a bucket's ARN of its name, in whichever partition."""

    def __init__(self, s3: Any, partition: str) -> None:
        self._s3, self._partition = s3, partition

    def of_trial(self, bucket: str) -> bool:
        """False also where there is no such bucket."""
        tags: list[Json] = []
        with translated(f"reading the tags of {bucket}"), _may_lack():
            tags = self._s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
        return {"Key": TRIAL_TAG, "Value": "true"} in tags

    def close(self, bucket: str) -> None:
        """Nobody writes there any more: CloudTrail delivers for minutes after its trail was deleted."""
        policy: dict[str, Json] = {"Version": "2012-10-17", "Statement": []}
        with translated(f"reading the policy of {bucket}"), _may_lack():
            policy = json.loads(self._s3.get_bucket_policy(Bucket=bucket)["Policy"])
        statements = [s for s in policy["Statement"] if s.get("Sid") != _CLOSED]
        objects = f"arn:{self._partition}:s3:::{bucket}/*"
        statements.append(
            {"Sid": _CLOSED, "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": objects}
        )
        with translated(f"closing {bucket}"):
            self._s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({**policy, "Statement": statements}))

    def empty(self, bucket: str, *, more: Callable[[], bool]) -> int:
        """Delete every version of every object, also under a lock of GOVERNANCE; how many there were.

        `more` says whether there is time for a further page. Raises Unavailable when there is not, and when S3 kept an
        object.
        """
        gone = 0
        for versions in self._pages(bucket):
            if not more():
                raise Unavailable(f"{gone:,} objects of {bucket} are deleted, more are left: delete the stack again")
            with translated(f"emptying {bucket}"):
                answer = self._s3.delete_objects(
                    Bucket=bucket, Delete={"Objects": versions, "Quiet": True}, BypassGovernanceRetention=True
                )
            if errors := answer.get("Errors"):
                first = errors[0]
                raise Unavailable(
                    f"S3 kept {len(errors):,} objects of {bucket}, such as {first.get('Key')}: "
                    f"{first.get('Code')} {first.get('Message', '')}"
                )
            gone += len(versions)
        return gone

    def _pages(self, bucket: str) -> Iterator[list[dict[str, Json]]]:
        with translated(f"listing {bucket}"):
            for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                if found:
                    yield [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]


@contextmanager
def _may_lack() -> Iterator[None]:
    """There may be no bucket, no tags, no policy."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in _ABSENT:
            raise
