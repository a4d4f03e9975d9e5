"""Bedrock's model invocation log, read through Logs Insights; large bodies from S3."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from promptlane.domain.errors import PromptlaneError, Unavailable
from promptlane.domain.investigation.invocation import Invocation, read_record
from promptlane.domain.investigation.queries import ABSENT, calls_of, calls_outside, records_of
from promptlane.domain.investigation.sources import CallGroup, LoggingState, Sampled
from promptlane.domain.release.timeline import from_iso
from promptlane.domain.trail import Window

from .errors import translated

Json = Any
_ENDED: Final = ("Complete", "Failed", "Cancelled", "Timeout", "Unknown")
_MOST_BODY: Final = 30_000_000
"""Bytes of an unpacked body that are read at most."""


class InsightsLog:
    """`InvocationLog`. `bedrock`, `logs` and `s3` are boto3 clients; `patience` seconds a query may take.

    `group` is the log group that is read while logging is off: it still holds what was logged before.
    """

    def __init__(
        self,
        *,
        bedrock: Any,
        logs: Any,
        s3: Any,
        group: str = "",
        patience: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bedrock, self._logs, self._s3, self._group = bedrock, logs, s3, group
        self._patience, self._sleep = patience, sleep

    def state(self) -> LoggingState:
        with translated("reading how model invocations are logged"):
            answer = self._bedrock.get_model_invocation_logging_configuration()
        config = answer.get("loggingConfig") or {}
        if not config:
            return LoggingState(False, self._group)
        cloudwatch, s3 = config.get("cloudWatchConfig") or {}, config.get("s3Config") or {}
        return LoggingState(
            on=True,
            group=str(cloudwatch.get("logGroupName") or ""),
            text=config.get("textDataDeliveryEnabled") is not False,
            bucket=str(s3.get("bucketName") or ""),
        )

    def calls(self, prompt: str, window: Window) -> list[CallGroup]:
        return [_group(row) for row in self.query(calls_of(prompt), window)]

    def outside(self, models: Sequence[str], prompt_id: str, window: Window) -> list[CallGroup]:
        return [_group(row) for row in self.query(calls_outside(models, prompt_id), window)]

    def sample(
        self, prompt: str, version: int, window: Window, most: int = 400, *, suspicious: bool = False
    ) -> Sampled:
        found: list[Invocation] = []
        unreadable = lost = 0
        for row in self.query(records_of(prompt, version, most, suspicious=suspicious), window):
            try:
                record = json.loads(row.get("@message") or "")
                lost += self._fetch_bodies(record)
                found.append(read_record(record))
            except ValueError:
                unreadable += 1
        return Sampled(tuple(found), unreadable, lost)

    def query(self, text: str, window: Window) -> list[dict[str, str]]:
        """Rows of a query over the account's log group. Raises Unavailable when it fails or takes too long."""
        group = self.state().group
        if not group or window.seconds <= 0:
            return []
        with translated(f"querying log group {group}"):
            query_id = self._logs.start_query(
                logGroupName=group,
                startTime=int(window.since),
                endTime=int(window.until) + 1,
                queryString=text,
            )["queryId"]
        rows = self._results(group, query_id)
        return [{str(cell["field"]): str(cell.get("value", "")) for cell in row} for row in rows]

    def _results(self, group: str, query_id: str) -> list[list[dict[str, str]]]:
        waited, pause = 0.0, 0.1
        while True:
            with translated(f"reading what log group {group} answered"):
                answer = self._logs.get_query_results(queryId=query_id)
            if answer["status"] in _ENDED:
                break
            if waited >= self._patience:
                with translated("stopping a query that takes too long"):
                    self._logs.stop_query(queryId=query_id)
                raise Unavailable(
                    f"a Logs Insights query over {group} took more than {self._patience:.0f} s; choose a shorter time"
                )
            self._sleep(pause)
            waited, pause = waited + pause, min(2.0, pause * 1.6)
        if answer["status"] != "Complete":
            raise Unavailable(f"a Logs Insights query over {group} ended as {answer['status']}; try again")
        return list(answer["results"])

    def _fetch_bodies(self, record: Mapping[str, Json]) -> int:
        """Put bodies that lie in S3 back into the record; how many could not be."""
        lost = 0
        for side in ("input", "output"):
            part = record.get(side)
            if isinstance(part, dict) and (path := part.get(f"{side}BodyS3Path")):
                try:
                    part[f"{side}BodyJson"] = self._body(str(path))
                except (PromptlaneError, OSError, EOFError, ValueError):
                    lost += 1
        return lost

    def _body(self, path: str) -> Json:
        place = urlsplit(path)
        with translated(f"reading {path}"):
            data: bytes = self._s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read(_MOST_BODY)
        if data[:2] == b"\x1f\x8b":
            import io

            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(_MOST_BODY)
        return json.loads(data)


def _group(row: Mapping[str, str]) -> CallGroup:
    return CallGroup(
        version=_said(row.get("version")),
        track=_said(row.get("track")),
        caller=_said(row.get("caller")),
        model=_said(row.get("model")),
        operation=_said(row.get("called")),
        calls=_whole(row.get("calls")),
        errors=_whole(row.get("errors")),
        input_tokens=_whole(row.get("input_tokens")),
        output_tokens=_whole(row.get("output_tokens")),
        first=_moment(row.get("first")),
        last=_moment(row.get("last")),
    )


def _said(text: str | None) -> str:
    return "" if text in (None, ABSENT) else str(text)


def _whole(text: str | None) -> int:
    try:
        return int(float(text or 0))
    except ValueError:
        return 0


def _moment(text: str | None) -> float:
    """Logs Insights gives min(@timestamp) as epoch milliseconds, @timestamp itself as text in UTC."""
    if not text:
        return 0.0
    try:
        return float(text) / 1000
    except ValueError:
        pass
    try:
        return from_iso(datetime.fromisoformat(text).isoformat())
    except ValueError:
        return 0.0
