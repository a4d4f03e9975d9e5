"""A canary step: gives the candidate its next share of traffic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.settings import read
from promptlane.aws.wiring import Traffic, traffic
from promptlane.lifecycle.shift import shift_to


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
    (wired, resolution), release_id, step = wire(), event["release_id"], int(event["step"])
    policy = wired.policy(release_id)
    moved = shift_to(release_id, step, policy=policy, **wired.ports)
    bake = policy.canary.steps[step].min_bake
    return {
        "result": "shifted" if moved.result == "done" else moved.result,
        "reason": moved.reason,
        "wait_seconds": resolution if moved.result == "wait" else max(1, min(int(bake), resolution * 5)),
    }
