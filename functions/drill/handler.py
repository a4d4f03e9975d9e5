"""Proves the way back of every prompt, on a schedule where the deployment asks for one. It moves no traffic."""

from __future__ import annotations

import time
import uuid
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.domain.errors import Unavailable
from promptlane.lifecycle.drill import DrillRound

log = logger("drill")


@wired
def wire(of: Function) -> DrillRound:
    routes = of.routes
    return DrillRound(
        alarm=of.alarms,
        drills=of.drills,
        clock=time.time,
        sleep=time.sleep,
        new_id=lambda: uuid.uuid4().hex,
        prompts=lambda: sorted(route.prompt for route in routes.all()),
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Fails where a way is broken: the function's errors are what an alarm of ours watches."""
    proved, broken = wire().run(seconds_left=lambda: context.get_remaining_time_in_millis() / 1000)
    log.info("drilled", extra={"proved": len(proved), "broken": broken})
    if broken:
        raise Unavailable("; ".join(f"the way back of {prompt} is broken: {why}" for prompt, why in broken.items()))
    return {"proved": {drill.prompt: drill.seconds for drill in proved}}
