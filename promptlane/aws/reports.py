"""The report bucket on S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .errors import translated


class S3Objects:
    """`Objects` and `ReportBucket` on one bucket."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    @property
    def bucket(self) -> str:
        return self._bucket

    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        with translated(f"writing {key}"):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)

    def get(self, key: str) -> bytes:
        with translated(f"reading {key}"):
            body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return body

    def get_range(self, key: str, start: int, end: int) -> bytes:
        with translated(f"reading {key}"):
            found = self._s3.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={start}-{end - 1}")
            body: bytes = found["Body"].read()
        return body

    def keys(self, prefix: str) -> Iterator[str]:
        with translated(f"listing {prefix}"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                for found in page.get("Contents", []):
                    yield str(found["Key"])
