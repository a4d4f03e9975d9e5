"""Which prompts are enrolled, with which policy and suite: SSM parameters pointing at content-hashed S3 objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from promptlane.domain.errors import InvalidInput, NotFound
from promptlane.domain.policy import Policy

from .errors import translated

Json = Any


class SsmEnrolments:
    """`Enrolments` on SSM and S3. Captured copies go to `config/<sha256>.json` of the report bucket."""

    def __init__(self, *, ssm: Any, s3: Any, deployment: str, report_bucket: str) -> None:
        self._ssm, self._s3 = ssm, s3
        self._prefix, self._bucket = f"/{deployment}/enrolled/", report_bucket

    def names(self) -> Sequence[str]:
        found: list[str] = []
        with translated("listing enrolled prompts"):
            for page in self._ssm.get_paginator("get_parameters_by_path").paginate(Path=self._prefix.rstrip("/")):
                found += [str(p["Name"]).rsplit("/", 1)[-1] for p in page["Parameters"]]
        return sorted(found)

    def enrolled(self, prompt: str) -> bool:
        if not prompt:
            return False
        try:
            self._parameter(prompt)
        except NotFound:
            return False
        return True

    def capture(self, prompt: str) -> tuple[str, str]:
        deployed = self._parameter(prompt)
        return self._copy(prompt, deployed["policy"]), self._copy(prompt, deployed["suite"])

    def policy(self, sha256: str) -> Policy:
        return Policy.from_dict(self._captured(sha256))

    def suite(self, sha256: str) -> dict[str, object]:
        return dict(self._captured(sha256))

    def _parameter(self, prompt: str) -> dict[str, dict[str, str]]:
        with translated(f"reading the enrolment of {prompt}"):
            answer = self._ssm.get_parameter(Name=self._prefix + prompt)
        return dict(json.loads(answer["Parameter"]["Value"]))

    def _copy(self, prompt: str, source: dict[str, str]) -> str:
        bucket, key = source["uri"].removeprefix("s3://").split("/", 1)
        with translated(f"reading the deployed configuration of {prompt}"):
            body: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        sha256 = hashlib.sha256(body).hexdigest()
        if sha256 != source["sha256"]:
            raise InvalidInput(
                f"{source['uri']} has SHA-256 {sha256}, not {source['sha256']} as deployed; run `cdk deploy` again"
            )
        with translated(f"capturing the configuration of {prompt}"):
            self._s3.put_object(
                Bucket=self._bucket, Key=f"config/{sha256}.json", Body=body, ContentType="application/json"
            )
        return sha256

    def _captured(self, sha256: str) -> Json:
        """A captured copy, checked against the hash that the release pins: whoever wrote it since changed nothing."""
        key = f"config/{sha256}.json"
        with translated(f"reading captured configuration {sha256}"):
            body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        found = hashlib.sha256(body).hexdigest()
        if found != sha256:
            raise InvalidInput(
                f"s3://{self._bucket}/{key} has SHA-256 {found}: somebody altered it after the release captured it. "
                "Find out who wrote it, bring back the object's first version, then start the release again"
            )
        return json.loads(body)
