"""A canary step: gives the candidate its next share of traffic."""

from __future__ import annotations

from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.lifecycle.shift import Traffic


@wired
def wire(of: Function) -> tuple[Traffic, int]:
    return of.traffic, of.number("resolution_seconds", int, 60)


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    (traffic, resolution), release_id, step = wire(), event["release_id"], int(event["step"])
    moved = traffic.shift(release_id, step)
    bake = traffic.policy(release_id).canary.steps[step].min_bake
    return {
        "result": "shifted" if moved.result == "done" else moved.result,
        "reason": moved.reason,
        "wait_seconds": resolution if moved.result == "wait" else max(1, min(int(bake), resolution * 5)),
    }
