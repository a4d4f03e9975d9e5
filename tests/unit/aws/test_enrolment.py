"""Policies and suites as they were enrolled, and who enrolled them."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest

from promptlane.aws.enrolment import DeployedConfig, DynamoEnrolments
from promptlane.domain.enrolment.enrolment import Part
from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.content import canonical_json
from tests.support.prompt import POLICY


class Bucket:
    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.asked: list[dict[str, Any]] = []

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        return {"Body": io.BytesIO(self.objects[request["Key"]])}


def test_a_captured_policy_that_was_altered_since_is_refused_by_name() -> None:
    body = canonical_json(POLICY.to_dict()).encode()
    sha256 = hashlib.sha256(body).hexdigest()
    bucket = Bucket({f"config/{sha256}.json": body})
    enrolments = DynamoEnrolments(table=None, s3=bucket, report_bucket="reports")
    assert enrolments.policy(sha256) == POLICY

    bucket.objects[f"config/{sha256}.json"] = body.replace(b"lead@example.com", b"else@example.com")

    for read in (enrolments.policy, enrolments.suite):
        with pytest.raises(InvalidInput, match=rf"s3://reports/config/{sha256}\.json .* bring back the object's first"):
            read(sha256)


def test_a_deployed_file_is_read_in_the_accounts_own_bucket_and_compared_with_its_hash() -> None:
    bucket = Bucket({"a/policy.json": b"12345"})
    files = DeployedConfig(bucket, account="111122223333", report_bucket="reports")
    part = Part("s3://assets/a/policy.json", hashlib.sha256(b"12345").hexdigest())

    assert files.fetch(part, 5) == b"12345"
    assert bucket.asked == [{"Bucket": "assets", "Key": "a/policy.json", "ExpectedBucketOwner": "111122223333"}]
    with pytest.raises(InvalidInput, match=r"s3://assets/a/policy\.json is larger than 4 bytes; shorten it"):
        files.fetch(part, 4)
    bucket.objects["a/policy.json"] = b"12346"
    with pytest.raises(InvalidInput, match="as its stack says: somebody wrote it since"):
        files.fetch(part, 5)
