"""First step of the workflow: what is released, under which policy, and whether it can be."""

from __future__ import annotations

import time
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.engine.parse import parse
from promptlane.engine.suite import problems
from promptlane.lifecycle.admit import Admission


@wired
def wire(of: Function) -> Admission:
    return Admission(
        prompts=of.prompts,
        enrolments=of.enrolments,
        tags=of.tags,
        routes=of.routes,
        releases=of.releases,
        check_suite=lambda suite, variables: problems(parse(suite), variables),
        clock=time.time,
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    release = wire().admit(event["release_id"])
    policy = wire().enrolments.policy(release.policy_sha256)
    return {
        "prompt": release.prompt,
        "version": release.version,
        "first": release.first,
        "review_timeout_seconds": int(policy.review.expires_after),
        "steps": len(policy.canary.steps),
    }
