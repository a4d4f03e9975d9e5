"""The copies of timeline entries in the Object-Locked audit bucket: `timeline/<release id>/<seq 6 digits>.json`."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from promptlane.domain.errors import Conflict, InvalidInput
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.timeline import LockedCopy, TimelineEntry

from .errors import translated

Json = Any
_KEY: Final = re.compile(r"timeline/(?P<release_id>[^/]+)/(?P<seq>[0-9]{6})\.json")


class AuditCopies:
    """Writes and reads them. `s3` is the boto3 client. The bucket's retention makes each copy unchangeable."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def put(self, entry: Mapping[str, Json]) -> bool:
        """Copy one entry; False when it has a copy already, which stays as it is."""
        key = f"timeline/{entry['release_id']}/{int(entry['seq']):06d}.json"
        try:
            with translated(f"copying {key} to the audit bucket"):
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    # An escape of JSON for half a surrogate pair: the copy is read as the same entry.
                    Body=canonical_json(dict(entry)).encode("utf-8", "backslashreplace"),
                    ContentType="application/json",
                    ChecksumAlgorithm="SHA256",
                    IfNoneMatch="*",
                )
        except Conflict:
            return False
        return True

    def kept(self, prompt_id: str) -> dict[str, set[int]]:
        """The numbers of the entries that have a copy, by release of this prompt, also where a marker hides them."""
        return self._kept(f"timeline/{prompt_id}-")

    def _kept(self, prefix: str) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        with translated(f"listing the audit copies below {prefix}"):
            for version in self._versions(prefix):
                if match := _KEY.fullmatch(str(version["Key"])):
                    found[match["release_id"]].add(int(match["seq"]))
        return dict(found)

    def numbers(self, release_id: str) -> set[int]:
        """The numbers of this release's entries that have a copy, also where a marker hides them."""
        return self._kept(f"timeline/{release_id}/").get(release_id, set())

    def timeline(self, release_id: str) -> list[LockedCopy]:
        """All copies of a release's entries in order, each in the version that was written first."""
        oldest: dict[str, tuple[float, str]] = {}
        with translated(f"reading the audit copy of release {release_id}"):
            for found in self._versions(f"timeline/{release_id}/"):
                written = (found["LastModified"].timestamp(), str(found["VersionId"]))
                # Listed newest first: among equal times the later one in the list is the older one.
                if found["Key"] not in oldest or written[0] <= oldest[found["Key"]][0]:
                    oldest[str(found["Key"])] = written
            bodies = [
                (key, self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version)["Body"].read(), at)
                for key, (at, version) in sorted(oldest.items())
            ]
        return [LockedCopy(_entry(key, body), at) for key, body, at in bodies]

    def _versions(self, prefix: str) -> Iterator[dict[str, Json]]:
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            yield from page.get("Versions", [])


def _entry(key: str, body: bytes) -> TimelineEntry:
    try:
        return TimelineEntry.from_dict(json.loads(body))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{key} in the audit bucket is no timeline entry ({error}); find out who else can write there"
        ) from error
