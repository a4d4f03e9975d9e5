"""The log files of our own trail in the audit bucket: the only place that keeps data events, such as renderings.

A file is named by the minute of its delivery, `AWSLogs/<account>/CloudTrail/<region>/YYYY/MM/DD/<account>_CloudTrail_
<region>_YYYYMMDDTHHMMZ_<16 characters>.json.gz`, and holds events of up to about 15 minutes before. Files are read
newest first, so that a bound leaves out the oldest ones. Digests are in a folder of their own.

Each file is read in the version that was written first, also where a marker hides it: the bucket's lock keeps that one
as CloudTrail delivered it, whatever somebody put or deleted over it.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from promptlane.domain.errors import PromptlaneError, Unauthorized
from promptlane.domain.trail import CALL_EVENTS, RENDER_EVENTS, TrailAnswer, TrailEvent, Window, is_about

from .errors import translated
from .trail import UNREADABLE, read_events

_DAY: Final = 86_400.0
_MINUTE: Final = 60.0
_LATE: Final = 20 * _MINUTE
"""How long after an event its file may be delivered: 15 minutes as a rule, and some more."""
_MOST_DAYS: Final = 100
_MOST_FILE: Final = 64_000_000
"""Unpacked bytes of one file; CloudTrail's are smaller."""
_WORKERS: Final = 4
_DELIVERED: Final = re.compile(r"_CloudTrail_[a-z0-9-]+_(\d{8}T\d{4})Z_\w+\.json\.gz$")
_NAMES: Final = (*CALL_EVENTS, *RENDER_EVENTS)


class _File(NamedTuple):
    """A log file; `at` is the minute of its delivery, epoch seconds; `version` the one that was written first."""

    at: float
    key: str
    version: str


class _Content(NamedTuple):
    """What a file holds about the prompt; `size` in unpacked bytes, `odd` records could not be read."""

    events: list[TrailEvent]
    odd: int = 0
    size: int = 0
    lost: bool = False


class TrailFiles:
    """`TrailArchive`. `s3` is the boto3 client, `prefix` the trail's S3KeyPrefix.

    At most `most_files` and about `most_bytes` unpacked bytes are read.
    """

    def __init__(
        self,
        s3: Any,
        bucket: str,
        account: str,
        region: str,
        prefix: str = "",
        *,
        most_files: int = 400,
        most_bytes: int = 200_000_000,
    ) -> None:
        self._s3, self._bucket = s3, bucket
        self._folder = f"{prefix.strip('/')}/AWSLogs/{account}/CloudTrail/{region}/".lstrip("/")
        self._start = f"{account}_CloudTrail_{region}_"
        self._most_files, self._most_bytes = most_files, most_bytes

    def events(self, prompt_id: str, window: Window, *, models: Sequence[str] = ()) -> TrailAnswer:
        """Raises Unauthorized where the bucket may not be read; a file that cannot be read is counted as lost."""
        files, complete_since = self._files(window)
        contents: list[_Content] = []
        with ThreadPoolExecutor(_WORKERS) as pool:
            for first in range(0, len(files), _WORKERS):
                if sum(c.size for c in contents) >= self._most_bytes:
                    complete_since = files[first].at + _MINUTE
                    break
                some = files[first : first + _WORKERS]
                contents += pool.map(lambda file: self._read(file, prompt_id, window, models), some)
        return TrailAnswer(
            tuple(sorted((e for c in contents for e in c.events), key=lambda e: e.at)),
            truncated=_NAMES if complete_since > window.since else (),
            unreadable=sum(c.odd for c in contents),
            files=len(contents),
            lost=sum(c.lost for c in contents),
            complete_since=complete_since,
        )

    def _files(self, window: Window) -> tuple[list[_File], float]:
        """Files that may hold events of the window, newest first, and since when none is left out (0: none at all)."""
        last = window.until + _LATE
        first = max(window.since, last - _MOST_DAYS * _DAY)
        complete_since = first if first > window.since else 0.0
        found: list[_File] = []
        day = last - last % _DAY
        while day + _DAY > first:
            found += sorted(self._of_day(day, first, last), reverse=True)
            if len(found) > self._most_files:
                return found[: self._most_files], found[self._most_files].at + _MINUTE
            day -= _DAY
        return found, complete_since

    def _of_day(self, day: float, first: float, last: float) -> Iterator[_File]:
        folder = f"{self._folder}{_stamp(day, '%Y/%m/%d')}/"
        with translated(f"listing the trail's log files in {self._bucket}"):
            pages = self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket,
                Prefix=folder + self._start,
                KeyMarker=f"{folder}{self._start}{_stamp(first, '%Y%m%dT%H%M')}",
            )
            for key, version in _written_first(pages):
                if match := _DELIVERED.search(key):
                    at = datetime.strptime(match[1], "%Y%m%dT%H%M").replace(tzinfo=UTC).timestamp()
                    if at > last:
                        return  # keys of a day are in the order of time
                    yield _File(at, key, version)

    def _read(self, file: _File, prompt_id: str, window: Window, models: Sequence[str]) -> _Content:
        try:
            raw = self._unpacked(file)
            wanted = [name.encode() for name in (prompt_id, *(m.rsplit("/", 1)[-1] for m in models)) if name]
            if not any(name in raw for name in wanted):
                return _Content([], size=len(raw))
            records = [r for r in json.loads(raw)["Records"] if not isinstance(r, dict) or r.get("eventName") in _NAMES]
        except Unauthorized:
            raise  # the same for all of them
        except (PromptlaneError, OSError, EOFError, zlib.error, *UNREADABLE):
            return _Content([], lost=True)
        events, odd = read_events(records)
        mine = [e for e in events if window.holds(e.at) and is_about(e, prompt_id, "", models)]
        return _Content(mine, odd, len(raw))

    def _unpacked(self, file: _File) -> bytes:
        with translated(f"reading {file.key}"):
            found = self._s3.get_object(Bucket=self._bucket, Key=file.key, VersionId=file.version)
            packed: bytes = found["Body"].read(_MOST_FILE)
        raw = gzip.GzipFile(fileobj=io.BytesIO(packed)).read(_MOST_FILE + 1)
        if len(raw) > _MOST_FILE:
            raise ValueError(f"{file.key} is larger than {_MOST_FILE} bytes")
        return raw


def _written_first(pages: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """(key, version) of each key's oldest version: S3 lists the versions of a key together, newest first."""
    listed = (version for page in pages for version in page.get("Versions", []))
    for key, versions in groupby(listed, itemgetter("Key")):
        *_, oldest = versions
        yield str(key), str(oldest["VersionId"])


def _stamp(at: float, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)
