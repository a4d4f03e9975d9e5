"""First step of the workflow: what is released, under which policy, and whether it can be."""

from __future__ import annotations

import time
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.domain.enrolment.floor import SuiteFacts
from promptlane.engine.parse import parse
from promptlane.engine.suite import facts, problems
from promptlane.lifecycle.admit import Admission


@wired
def wire(of: Function) -> Admission:
    return Admission(
        prompts=of.prompts,
        enrolments=of.enrolments,
        identities=of.identities,
        tags=of.tags,
        routes=of.routes,
        releases=of.releases,
        directory=of.declarations,
        quarantine=of.quarantine,
        contents=of.contents,
        check_suite=_checked,
        floor=of.floor,
        clock=time.time,
    )


def _checked(suite: dict[str, object], variables: frozenset[str]) -> tuple[list[str], SuiteFacts]:
    read = parse(suite)
    return problems(read, variables), facts(read)


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
