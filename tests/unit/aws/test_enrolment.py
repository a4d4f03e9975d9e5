"""Policies and suites as a release captured them."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest

from promptlane.aws.enrolment import SsmEnrolments
from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.content import canonical_json
from tests.support.prompt import POLICY


class Bucket:
    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def get_object(self, **request: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.objects[request["Key"]])}


def test_a_captured_policy_that_was_altered_since_is_refused_by_name() -> None:
    body = canonical_json(POLICY.to_dict()).encode()
    sha256 = hashlib.sha256(body).hexdigest()
    bucket = Bucket({f"config/{sha256}.json": body})
    enrolments = SsmEnrolments(ssm=None, s3=bucket, deployment="promptlane", report_bucket="reports")
    assert enrolments.policy(sha256) == POLICY

    bucket.objects[f"config/{sha256}.json"] = body.replace(b"lead@example.com", b"else@example.com")

    for read in (enrolments.policy, enrolments.suite):
        with pytest.raises(InvalidInput, match=rf"s3://reports/config/{sha256}\.json .* bring back the object's first"):
            read(sha256)
