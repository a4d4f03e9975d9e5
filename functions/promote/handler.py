"""Makes the candidate stable, in one conditional write, and starts the watch."""

from __future__ import annotations

import time
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.domain.canary.waits import next_wait
from promptlane.domain.names import Phase
from promptlane.lifecycle.shift import Traffic


@wired
def wire(of: Function) -> tuple[Traffic, int]:
    return of.traffic, of.number("resolution_seconds", int, 60)


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    traffic, resolution = wire()
    moved = traffic.promote(event["release_id"])
    return {
        "result": "promoted" if moved.result == "done" else moved.result,
        "reason": moved.reason,
        "wait_seconds": next_wait(moved.since, time.time(), least=resolution) if moved.since else resolution,
        "watch": moved.route is not None and moved.route.phase is Phase.WATCH,
    }
