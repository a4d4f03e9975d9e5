"""Ends a release: safe route, one terminal state, free lock. Called by the workflow, and when an execution died."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.domain.errors import NotFound
from promptlane.domain.incoming import mended
from promptlane.domain.names import Outcome
from promptlane.lifecycle.windup import WindUp

if TYPE_CHECKING:
    from promptlane.domain.ports import Turns

log = logger("wind_up")


@wired
def wire(of: Function) -> tuple[WindUp, Turns]:
    made = WindUp(
        routes=of.routes,
        releases=of.releases,
        quarantine=of.quarantine,
        queue=of.queue,
        telling=of.telling,
        clock=time.time,
        log=log.warning,
    )
    return made, of.turns


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """`{release_id, outcome, reason}`, or a Step Functions status-change event of our state machine.

    Or `{"restored": prompt}`: `reconcile` found a route of a lower revision than was written.
    """
    if "restored" in event:
        wind_up, _ = wire()
        found = wind_up.mend(str(event["restored"]))
        log.warning("a restored route", extra={"prompt": event["restored"], "raised": found})
        return {"outcome": None, "restored": found}
    if event.get("detail-type") == "Step Functions Execution Status Change":
        detail = event["detail"]
        release_id, outcome = detail["name"], Outcome.FAILED
        reason = f"its execution {detail['status'].lower()}" + (f": {detail['cause']}" if detail.get("cause") else "")
    else:
        release_id, outcome = event["release_id"], Outcome(event["outcome"])
        reason = str(event.get("reason") or "")
    try:
        wind_up, turns = wire()
        release = wind_up.end(release_id, claimed=outcome, reason=mended(reason[:2000]))
        turns.give_back(release_id)
    except NotFound:
        log.warning("no such release", extra={"release_id": release_id})
        return {"outcome": None}
    log.info("wound up", extra={"release_id": release_id, "outcome": release.outcome, "why": release.reason})
    return {"outcome": str(release.outcome)}
