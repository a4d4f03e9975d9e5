"""The copies of timeline entries in the Object-Locked audit bucket: `timeline/<release id>/<seq 6 digits>.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from promptlane.domain.prompt import canonical_json
from promptlane.domain.timeline import TimelineEntry

from .errors import translated

Json = Any


class AuditCopies:
    """Writes and reads them. `s3` is the boto3 client. The bucket's retention makes each copy unchangeable."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def put(self, entry: Mapping[str, Json]) -> None:
        """Copy one entry. Twice makes two versions of one object: the first is what `timeline` reads."""
        key = f"timeline/{entry['release_id']}/{int(entry['seq']):06d}.json"
        with translated(f"copying {key} to the audit bucket"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=canonical_json(dict(entry)).encode(),
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",
            )

    def timeline(self, release_id: str) -> list[TimelineEntry]:
        """All copies of a release's entries in order, each in the version that was written first."""
        prefix = f"timeline/{release_id}/"
        oldest: dict[str, tuple[float, str]] = {}
        with translated(f"reading the audit copy of release {release_id}"):
            pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix)
            for page in pages:
                for found in page.get("Versions", []):
                    written = (found["LastModified"].timestamp(), str(found["VersionId"]))
                    # Listed newest first: among equal times the later one in the list is the older one.
                    if found["Key"] not in oldest or written[0] <= oldest[found["Key"]][0]:
                        oldest[str(found["Key"])] = written
            bodies = [
                self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version)["Body"].read()
                for key, (_, version) in sorted(oldest.items())
            ]
        return [TimelineEntry.from_dict(json.loads(body)) for body in bodies]
