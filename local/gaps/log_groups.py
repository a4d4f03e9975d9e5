"""Write log events as AWS services do: into an existing group, making the stream on the way."""

from __future__ import annotations

import time

from ministack.services import cloudwatch_logs

from local import seams


def install() -> None:
    seams.require(cloudwatch_logs, "_log_groups", "_append_log_events")


def write(group: str, stream: str, messages: list[str]) -> bool:
    """Append messages with the present time; False if there is no such group (services drop them then)."""
    record = cloudwatch_logs._log_groups.get(group)
    if record is None:
        return False
    now = int(time.time() * 1000)
    target = record["streams"].setdefault(
        stream,
        {
            "events": [],
            "uploadSequenceToken": "1",
            "creationTime": now,
            "firstEventTimestamp": None,
            "lastEventTimestamp": None,
            "lastIngestionTime": None,
        },
    )
    events = [{"timestamp": now, "ingestionTime": now, "message": message} for message in messages]
    cloudwatch_logs._append_log_events(target, events)
    return True
