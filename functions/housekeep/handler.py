"""Once a day: archives every version, deletes the oldest that nobody needs, warns before the quota is reached.

For one prompt alone when its release starts (the event `Release Started`), and when `restore` asks: {"prompt": NAME}.
Puts again the locked copies of timeline entries that `relay` could not put.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.timeline import Event
from promptlane.lifecycle.housekeep import Housekeeping

log = logger("housekeep")
_NEEDED_MS = 60_000
"""For the prompt that has its turn, and to say what was done."""


@wired
def wire(of: Function) -> Housekeeping:
    return Housekeeping(
        prompts=of.prompts,
        enrolments=of.enrolments,
        identities=of.identities,
        routes=of.routes,
        releases=of.releases,
        archive=of.objects,
        contents=of.contents,
        cursors=of.cursors,
        copies=of.audit_copies,
        notices=of.notices,
        clock=time.time,
        keep=of.number("keep_versions", int),
        quota=of.number("version_quota", int),
        log=log.warning,
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    asked = event.get("detail") if event.get("detail-type") == Event.STARTED else event
    only = str((asked or {}).get("prompt") or "")
    if event.get("detail-type") == Event.STARTED and not only:
        raise InvalidInput("a release started of which the event does not name the prompt")
    done = asdict(wire().run(only, keep_going=lambda: context.get_remaining_time_in_millis() > _NEEDED_MS))
    log.info("tidied", extra=done)
    return done
