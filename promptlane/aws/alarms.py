"""The state of a prompt's fuse alarms, read from CloudWatch."""

from __future__ import annotations

from typing import Any

from promptlane.domain.names import Track, drill_alarm_name
from promptlane.domain.ports import RedAlarm

from .errors import translated


class CloudWatchAlarms:
    """`FuseAlarms` and `DrillAlarm` on CloudWatch.

    Fuse alarms are found by their name, `<deployment>/<prompt>/<track>/<metric>`; the drill's is `<deployment>/drill`.
    """

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

    def trip(self, reason: str) -> None:
        """Through OK, because an alarm that stands in ALARM already runs no action."""
        self._set("OK", "before a drill")
        self._set("ALARM", reason)

    def rest(self) -> None:
        self._set("OK", "after a drill")

    def _set(self, state: str, reason: str) -> None:
        name = drill_alarm_name(self._deployment)
        with translated(f"setting the alarm {name} to {state}"):
            self._cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=reason)
