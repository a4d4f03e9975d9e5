"""Plans a round of regression tests: items, cost, and what the suite can show."""

from __future__ import annotations

import time
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.lifecycle.test_round import Planner


@wired
def wire(of: Function) -> Planner:
    most = of.number("most_case_functions", int)
    return Planner(
        releases=of.releases,
        routes=of.routes,
        prompts=of.prompts,
        enrolments=of.enrolments,
        objects=of.objects,
        clock=time.time,
        turns=of.turns if most else None,
        most_functions=most,
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return wire().plan(event["release_id"])
