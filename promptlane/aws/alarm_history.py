"""The history of a prompt's fuse alarms."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from promptlane.domain.inquiry import AlarmChange, Window

from .errors import translated

Json = Any


class CloudWatchAlarmHistory:
    """`AlarmHistory` on CloudWatch; alarms are found by their name, `<deployment>/<prompt>/…`."""

    def __init__(self, cloudwatch: Any, deployment: str) -> None:
        self._cloudwatch, self._deployment = cloudwatch, deployment

    def changes(self, prompt: str, window: Window) -> list[AlarmChange]:
        found: list[AlarmChange] = []
        with translated(f"reading the alarm history of {prompt}"):
            for name in self._names(f"{self._deployment}/{prompt}/"):
                pages = self._cloudwatch.get_paginator("describe_alarm_history").paginate(
                    AlarmName=name,
                    HistoryItemType="StateUpdate",
                    StartDate=datetime.fromtimestamp(window.since, UTC),
                    EndDate=datetime.fromtimestamp(window.until, UTC),
                )
                for page in pages:
                    found += [_change(item) for item in page["AlarmHistoryItems"]]
        return sorted((c for c in found if window.holds(c.at)), key=lambda c: c.at)

    def _names(self, prefix: str) -> list[str]:
        pages = self._cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        return [
            str(alarm["AlarmName"])
            for page in pages
            for kind in ("MetricAlarms", "CompositeAlarms")
            for alarm in page.get(kind, [])
        ]


def _change(item: dict[str, Json]) -> AlarmChange:
    try:
        data = json.loads(item.get("HistoryData") or "{}")
    except ValueError:
        data = {}
    old, new = data.get("oldState") or {}, data.get("newState") or {}
    return AlarmChange(
        alarm=str(item["AlarmName"]),
        at=item["Timestamp"].timestamp(),
        old=str(old.get("stateValue") or "?"),
        new=str(new.get("stateValue") or item.get("HistorySummary") or "?"),
        reason=str(new.get("stateReason") or ""),
    )
