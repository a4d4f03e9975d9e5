"""Who wrote a version: everyone who updated the draft since the version before it, and who published it.

CreatePromptVersion snapshots whatever the draft holds, so the publisher alone is not the author. CloudTrail tells the
rest, late (up to 15 minutes) and for 90 days; what it cannot tell is said in sentences that the policy's
`unattributed` rule answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from promptlane.domain.policy import Reviewer
from promptlane.domain.trail import CREATE, EDITS, TRAIL_KEPT, TRAIL_LATE, TrailAnswer, TrailEvent, publication

from .review import Authors, acts_as


def attribute(
    told: TrailAnswer, reviewers: Sequence[Reviewer], *, version: int, since: float, published_at: float, now: float
) -> Authors:
    """The authors of a version that was published at `published_at`, after its predecessor at `since` (0: the first).

    An author is told when the ARN is one that the policy maps to a reviewer, or names a person: an IAM user, or a
    session of IAM Identity Center. A shared role, root, a service, or no event at all is not: whoever hides behind it
    might be a reviewer. Where some reviewer is mapped to no principal, only ARNs of mapped reviewers tell.
    """
    done = [e for e in told.events if not e.error]
    published = publication(done, version, published_at)
    # CloudTrail's times are whole seconds: an edit in the second of the previous publication might come after it.
    edits = [e for e in done if e.name in EDITS and int(since) <= e.at <= published_at + 1]
    arns = sorted({e.principal for e in [*edits, *([published] if published else [])] if e.principal})
    doubts = [f"{arn} may stand for several people" for arn in arns if not _one_person(arn, done, reviewers)]
    nameless = sum(not e.principal for e in edits) + (published is not None and not published.principal)
    if nameless:
        doubts.append(f"{nameless} event(s) in CloudTrail name no principal")
    early = now < published_at + TRAIL_LATE
    if published is None:
        doubts.append(f"CloudTrail has no event of the publication of version {version}{' yet' if early else ''}")
    if not edits:
        # A version can only differ from its predecessor through an edit, so one is missing; a first one was created.
        doubts.append("CloudTrail has no event of an edit of the draft since the version before")
    begun = since or min((e.at for e in done if e.name == CREATE), default=-math.inf)
    if begun < now - TRAIL_KEPT:
        doubts.append(
            "the version before it is older than the 90 days that CloudTrail can look back, so edits may be missing"
            if since
            else "CloudTrail has no event of the prompt's creation, so edits may be missing"
        )
    if told.truncated:
        doubts.append("there were more events than could be read")
    if told.unreadable:
        doubts.append(
            f"{told.unreadable} event(s) in CloudTrail cannot be read, or do not say which prompt they changed"
        )
    return Authors(tuple(arns), tuple(doubts), complete=bool(published and edits) or not early)


def _one_person(arn: str, events: Sequence[TrailEvent], reviewers: Sequence[Reviewer]) -> bool:
    if any(acts_as(pattern, arn) for r in reviewers for pattern in r.principals):
        return True
    kinds = {e.kind for e in events if e.arn == arn}
    person = kinds <= {"IAMUser"} or ":assumed-role/AWSReservedSSO_" in arn
    return person and all(r.principals for r in reviewers)
