"""The history of a prompt's fuse alarms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from promptlane.domain.investigation.sources import AlarmChange
from promptlane.domain.trail import Window

from .errors import translated

Json = Any
_PAGE: Final = 100
_PAGES: Final = 10
"""Pages of changes of the whole account in which alarms that were deleted meanwhile are looked for."""


class CloudWatchAlarmHistory:
    """`AlarmHistory` on CloudWatch; alarms are found by their name, `<deployment>/<prompt>/…`.

    CloudWatch keeps the history of an alarm that was deleted, but names it only among the changes of all alarms.
    """

    def __init__(self, cloudwatch: Any, deployment: str) -> None:
        self._cloudwatch, self._deployment = cloudwatch, deployment

    def changes(self, prompt: str, window: Window) -> list[AlarmChange]:
        prefix = f"{self._deployment}/{prompt}/"
        with translated(f"reading the alarm history of {prompt}"):
            found = [change for name in self._names(prefix) for change in self._history(window, AlarmName=name)]
            found += [change for change in self._of_all(window) if change.alarm.startswith(prefix)]
        return sorted((c for c in dict.fromkeys(found) if window.holds(c.at)), key=lambda c: c.at)

    def _history(self, window: Window, **which: Json) -> Iterator[AlarmChange]:
        for page in self._pages(window, **which):
            yield from map(_change, page["AlarmHistoryItems"])

    def _of_all(self, window: Window) -> Iterator[AlarmChange]:
        pages = self._pages(window, AlarmTypes=["MetricAlarm", "CompositeAlarm"], PaginationConfig={"PageSize": _PAGE})
        for page in islice(pages, _PAGES):
            yield from map(_change, page["AlarmHistoryItems"])

    def _pages(self, window: Window, **which: Json) -> Iterator[dict[str, Json]]:
        yield from self._cloudwatch.get_paginator("describe_alarm_history").paginate(
            HistoryItemType="StateUpdate",
            StartDate=datetime.fromtimestamp(window.since, UTC),
            EndDate=datetime.fromtimestamp(window.until, UTC),
            **which,
        )

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
