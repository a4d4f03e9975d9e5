"""The state of a prompt's fuse alarms, read from CloudWatch."""

from __future__ import annotations

from typing import Any

from promptlane.domain.names import Track
from promptlane.domain.ports import RedAlarm

from .errors import translated


class CloudWatchAlarms:
    """`FuseAlarms` on CloudWatch. Alarms are found by their name: `<deployment>/<prompt>/<track>/<metric>`."""

    def __init__(self, cloudwatch: Any, deployment: str) -> None:
        self._cloudwatch, self._deployment = cloudwatch, deployment

    def red(self, prompt: str) -> list[RedAlarm]:
        prefix = f"{self._deployment}/{prompt}/"
        found: list[RedAlarm] = []
        with translated(f"reading the alarms of {prompt}"):
            pages = self._cloudwatch.get_paginator("describe_alarms").paginate(
                AlarmNamePrefix=prefix, StateValue="ALARM", AlarmTypes=["MetricAlarm"]
            )
            for page in pages:
                for alarm in page["MetricAlarms"]:
                    track, _, metric = str(alarm["AlarmName"]).removeprefix(prefix).partition("/")
                    if track in set(Track) and metric:
                        changed = alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"]
                        found.append(RedAlarm(Track(track), metric, changed.timestamp()))
        return found
