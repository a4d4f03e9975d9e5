"""Every 15 minutes: missed and waiting versions are asked for, releases whose execution is gone are wound up."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.domain.errors import Unavailable
from promptlane.domain.trail import TRAIL_LATE
from promptlane.lifecycle.edit_log import EditSweep
from promptlane.lifecycle.reconcile import Reconciliation

log = logger("reconcile")


@wired
def wire(of: Function) -> tuple[Reconciliation, EditSweep]:
    functions, ending = of.functions, of.setting("wind_up_function")

    def wind_up(release_id: str, reason: str) -> None:
        functions.send(ending, {"release_id": release_id, "outcome": "failed", "reason": reason})

    def restored(prompt: str) -> None:
        functions.send(ending, {"restored": prompt})

    sweep = EditSweep(
        named=of.named,
        trail=of.trail,
        edits=of.edits,
        clock=time.time,
        log=log.warning,
        late=of.number("trail_late_seconds", float, TRAIL_LATE),
    )
    reconciliation = Reconciliation(
        prompts=of.prompts,
        enrolments=of.enrolments,
        identities=of.identities,
        watched=of.watched,
        tags=of.tags,
        routes=of.routes,
        releases=of.releases,
        workflow=of.workflow,
        queue=of.queue,
        notices=of.notices,
        cursors=of.cursors,
        wind_up=wind_up,
        restored=restored,
        clock=time.time,
        log=log.warning,
    )
    return reconciliation, sweep


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    reconciliation, sweep = wire()
    done = asdict(reconciliation.run())
    looked_at = done.pop("looked_at")
    done["swept"] = sweep.run(looked_at)
    log.info("reconciled", extra={**done, "looked_at": len(looked_at)})
    if done["untold"]:
        # An error of the function is what the alarms on ourselves see, and Lambda tries again in a minute.
        raise Unavailable(f"{done['untold']} notice(s) are owed and could not be sent; the log above says why")
    return done
