"""CloudFormation custom resource: who rendered which version, recorded by our trail where its Region can.

Properties: `ManagementEvents` ("true" where the trail records these too), and `Trail`, which changes with the trail,
since CloudFormation then selects events anew. The answer's `Said` is "recorded" or says what was left out.
"""

from __future__ import annotations

import logging
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.custom_resource import answer
from promptlane.lifecycle.render_events import Recording, record, stop

Json = Any
log = logging.getLogger("record_renders")
log.setLevel(logging.INFO)


@wired
def wire(of: Function) -> tuple[Recording, str]:
    return of.trail_selectors, of.setting("trail")


def handle(event: dict[str, Json], context: Any) -> dict[str, Json]:
    """Always answers CloudFormation, or the stack would wait for an hour."""
    try:
        status, said = "SUCCESS", act(event)
    except Exception as error:
        log.exception("not selected")
        status, said = "FAILED", str(error)
    log.info("%s: %s", status, said)
    stream = getattr(context, "log_stream_name", "") if status == "FAILED" else ""
    return answer(event, status, said, physical="render-events", stream=stream)


def act(event: dict[str, Json]) -> str:
    trails, trail = wire()
    step = stop if event["RequestType"] == "Delete" else record
    return step(trails, trail, management=event["ResourceProperties"]["ManagementEvents"] == "true")
