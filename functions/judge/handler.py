"""One look of the canary judge."""

from __future__ import annotations

import time
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.emf import publish
from promptlane.aws.observability import logger
from promptlane.domain.names import Phase
from promptlane.lifecycle.judge_step import Ports, Timing, look

log = logger("judge")


@wired
def wire(of: Function) -> Ports:
    arrival = of.number("arrival_seconds", float, 0.0)
    return Ports(
        routes=of.routes,
        releases=of.releases,
        enrolments=of.enrolments,
        counts=of.counts,
        blocks=of.blocks,
        alarms=of.alarms,
        telling=of.telling,
        timing=Timing.at(of.number("resolution_seconds", int, 60), arrival=arrival or None),
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    now = time.time()
    seen = look(
        wire(),
        release_id=event["release_id"],
        phase=Phase(event["phase"]),
        step=int(event["step"]),
        now=now,
        asked=str(event.get("asked") or ""),
    )
    if seen.gauges:
        publish(seen.prompt, seen.gauges, at=now)
    log.info(seen.judgement, extra={"release_id": event["release_id"], "why": seen.reason})
    return seen.to_dict()
