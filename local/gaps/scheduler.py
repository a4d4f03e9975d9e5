"""EventBridge Scheduler: ticks every second, universal targets, context attributes.

Lacking in MiniStack: it looks every 10 s, knows no `arn:aws:scheduler:::aws-sdk:…` target and no `<aws.scheduler.…>`
placeholder. Not modelled here either: time zones other than UTC, retry policies, dead-letter queues."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from ministack.services import eventbridge, scheduler

from local import seams
from local.gaps import sdk_tasks

_UNIVERSAL = re.compile(r"arn:aws:scheduler:::aws-sdk:([^:]+):(\w+)")


def install() -> None:
    seams.put(scheduler, "_SCHEDULE_TICK_INTERVAL", 1)

    @seams.replace(eventbridge, "_invoke_target")
    def invoke(
        original: Any, target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None
    ) -> Any:
        if event.get("Source") != "aws.scheduler" or not rule.get("Arn", "").startswith("arn:aws:scheduler:"):
            return original(target, event, rule, view)
        target = {**target}
        facts = {
            "schedule-arn": rule["Arn"],
            "scheduled-time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event["Time"])),
            "execution-id": seams.new_uuid(),
            "attempt-number": "1",
        }
        for name, value in facts.items():
            if target.get("Input"):
                target["Input"] = target["Input"].replace(f"<aws.scheduler.{name}>", value)
        universal = _UNIVERSAL.fullmatch(target.get("Arn", ""))
        if universal is None:
            return original(target, event, rule, view)
        service = sdk_tasks.SERVICES.get(universal[1], universal[1])
        seams.in_thread(sdk_tasks.call, service, universal[2], json.loads(target.get("Input") or "{}"))
        return None
