"""A prompt that is enrolled, as `enrol` leaves it in the release table and the report bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from promptlane.aws.enrolment import DynamoRegister
from promptlane.domain.enrolment.enrolment import Asked, Claim, Configuration, Enrolment, Mark, Part
from promptlane.domain.policy import Policy
from promptlane.domain.release.content import canonical_json

Json = Any
STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/lane-pipeline/5f0a1b2c-0000-4000-8000-1234567890ab"
RESOURCE = "EnrolSupport"


def keep(s3: Any, bucket: str, content: Mapping[str, Json]) -> Part:
    """A policy or suite at the place where releases read it."""
    body = canonical_json(content).encode()
    sha256 = hashlib.sha256(body).hexdigest()
    s3.put_object(Bucket=bucket, Key=f"config/{sha256}.json", Body=body)
    return Part(f"s3://assets/{sha256}.json", sha256)


def enrol(
    table: Any, s3: Any, bucket: str, prompt: str, policy: Policy, suite: Mapping[str, Json], *, stack: str = STACK
) -> Configuration:
    says = Configuration(keep(s3, bucket, policy.to_dict()), keep(s3, bucket, suite))
    register = DynamoRegister(table)
    current = register.get(prompt) or Enrolment(prompt, stack, (), revision=0)
    asked = Asked("Update", stack, RESOURCE, f"by-hand-{current.revision}", prompt, says)
    register.put(current.claimed(Claim(RESOURCE, says)), Mark(asked, 0.0))
    return says
