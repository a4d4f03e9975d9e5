"""Makes the candidate stable, in one conditional write, and starts the watch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.settings import read
from promptlane.aws.wiring import Traffic, traffic
from promptlane.domain.names import Phase
from promptlane.lifecycle.shift import promote_release


@dataclass(frozen=True)
class Settings:
    route_table: str
    release_table: str
    report_bucket: str
    deployment: str
    resolution_seconds: int = 60


@cache
def wire() -> tuple[Traffic, int]:
    s = read(Settings)
    wired = traffic(
        route_table=s.route_table,
        release_table=s.release_table,
        report_bucket=s.report_bucket,
        deployment=s.deployment,
    )
    return wired, s.resolution_seconds


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    (wired, resolution), release_id = wire(), event["release_id"]
    moved = promote_release(release_id, policy=wired.policy(release_id), **wired.ports)
    return {
        "result": "promoted" if moved.result == "done" else moved.result,
        "reason": moved.reason,
        "wait_seconds": resolution,
        "watch": moved.route is not None and moved.route.phase is Phase.WATCH,
    }
