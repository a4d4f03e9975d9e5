"""A reviewer's decision by IAM identity: `POST /releases/{release_id}/decision` with {"decision", "reason"}.

To approve, "fingerprint" says which content was read.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from promptlane.aws import http_events as http
from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.domain.review.visit import Door, Fault, Origin, Submission
from promptlane.lifecycle.review_desk import ReviewDesk

Json = Any
log = logger("decide")
_CLOSED: Final = {
    Door.USED: "you have decided already; the first decision stands",
    Door.CLOSED: "the review is over",
    Door.EXPIRED: "the review has expired",
    Door.LEFT: "you are declared as a reviewer no longer; nothing was decided",
    Door.STALE: "the review was asked for again; decide about the newer round",
}


@wired
def wire(of: Function) -> ReviewDesk:
    return of.desk


def handle(event: Json, context: Any) -> Json:
    return http.answered(
        partial(_decided, event),
        lambda error: log.exception("not decided", extra={"why": str(error)}),
        problem=partial(http.problem_of, undone="nothing was decided"),
    )


def _decided(event: Json) -> Json:
    arn = http.caller(event)
    body = http.json_object(event, '{"decision": "approve", "reason": "...", "fingerprint": "..."}')
    done = wire().decide_by_identity(
        http.part(event, "pathParameters", "release_id"),
        arn=arn,
        choice=str(body.get("decision", "")),
        reason=http.part(body, "reason"),
        fingerprint=http.part(body, "fingerprint"),
        caller=Origin(*http.source(event)),
    )
    if done.fault is Fault.AUTHOR:
        raise http.Problem(403, "own-version", "you wrote part of this version, and nobody approves an own version")
    if not done.fresh:
        said = _CLOSED.get(done.visit.door, "nothing was decided")
        raise http.Problem(409, "not-applicable", said, **_standing(done))
    return _standing(done)


def _standing(done: Submission) -> dict[str, Json]:
    own, state = done.visit.own, done.visit.state
    return {
        "decision": str(own.choice) if own else None,
        "standing": str(state.standing) if state else None,
        "needed": state.needed if state else None,
        "approvals": len(state.approvals) if state else None,
        "why": state.why if state else "",
    }
