"""A canary step: gives the candidate its next share of traffic."""

from __future__ import annotations

import time
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.domain.canary.waits import next_wait
from promptlane.lifecycle.shift import Traffic


@wired
def wire(of: Function) -> tuple[Traffic, int]:
    return of.traffic, of.number("resolution_seconds", int, 60)


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    (traffic, resolution), release_id, step = wire(), event["release_id"], int(event["step"])
    moved = traffic.shift(release_id, step)
    if moved.result == "wait":
        wait = next_wait(moved.since, time.time(), least=resolution)
    else:
        wait = max(1, min(int(traffic.policy(release_id).canary.steps[step].min_bake), resolution * 5))
    return {
        "result": "shifted" if moved.result == "done" else moved.result,
        "reason": moved.reason,
        "wait_seconds": wait,
    }
