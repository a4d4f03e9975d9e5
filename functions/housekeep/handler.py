"""Once a day: archives every version, deletes the oldest that nobody needs, warns before the quota is reached.

Puts again the locked copies of timeline entries that `relay` could not put.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.lifecycle.housekeep import Housekeeping

log = logger("housekeep")


@wired
def wire(of: Function) -> Housekeeping:
    return Housekeeping(
        prompts=of.prompts,
        enrolments=of.enrolments,
        identities=of.identities,
        routes=of.routes,
        releases=of.releases,
        archive=of.objects,
        copies=of.audit_copies,
        notices=of.notices,
        clock=time.time,
        keep=of.number("keep_versions", int),
        quota=of.number("version_quota", int),
        log=log.warning,
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    done = asdict(wire().run())
    log.info("tidied", extra=done)
    return done
