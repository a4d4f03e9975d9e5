"""Adds the results of a round up to a verdict and a report."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from promptlane.aws.composition import Function, wired
from promptlane.lifecycle.test_round import grade

if TYPE_CHECKING:
    from promptlane.domain.ports import ReleaseStore, Turns
    from promptlane.engine.objects import ReportBucket


@wired
def wire(of: Function) -> tuple[ReleaseStore, ReportBucket, Turns]:
    return of.releases, of.objects, of.turns


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    releases, objects, turns = wire()
    release_id = event["release_id"]
    graded = grade(release_id, int(event["round"]), releases=releases, objects=objects, clock=time.time)
    turns.give_back(release_id)
    return graded
