"""The bucket of versions: what each admitted version holds, for applications, under `content_key`."""

from __future__ import annotations

from typing import Any

from promptlane.domain.errors import Conflict
from promptlane.domain.names import content_key

from .errors import translated


class S3Contents:
    """`Contents` on one bucket. `s3` is the boto3 client."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def put(self, prompt: str, fingerprint: str, content: bytes) -> bool:
        key = content_key(prompt, fingerprint)
        try:
            with translated(f"writing {key}"):
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=content,
                    ContentType="application/json",
                    ChecksumAlgorithm="SHA256",
                    IfNoneMatch="*",
                )
        except Conflict:
            return False
        return True

    def kept(self, prompt: str) -> set[str]:
        prefix, found = f"{prompt}/", set()
        with translated(f"listing {prefix}"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                found |= {str(each["Key"])[len(prefix) :].removesuffix(".json") for each in page.get("Contents", [])}
        return found
