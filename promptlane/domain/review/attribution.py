"""Who wrote a version: everyone who updated the draft since the version before it, and who published it.

CreatePromptVersion snapshots whatever the draft holds, so the publisher alone is not the author. CloudTrail tells the
rest, late (up to 15 minutes) and for 90 days; what it cannot tell is said in sentences that the policy's
`unattributed` rule answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from promptlane.domain.policy import Reviewer

from .review import Authors, acts_as

PUBLISH: Final = "CreatePromptVersion"
CREATE: Final = "CreatePrompt"
EDITS: Final = (CREATE, "UpdatePrompt")
DELIVERY: Final = 15 * 60.0
"""How late CloudTrail may deliver an event, seconds."""
KEPT: Final = 90 * 86_400.0
"""How long LookupEvents can look back, seconds."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One successful management event on the prompt. `version`: the number a publication made, 0 when unknown.

    `kind` is CloudTrail's userIdentity type, `arn` its ARN (empty when the event has none).
    """

    name: str
    at: float
    arn: str
    kind: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Touches:
    """What a trail told. `truncated`: there were more events than could be read."""

    events: tuple[Touch, ...]
    truncated: bool = False


def attribute(
    touches: Touches, reviewers: Sequence[Reviewer], *, version: int, since: float, published_at: float, now: float
) -> Authors:
    """The authors of a version that was published at `published_at`, after its predecessor at `since` (0: the first).

    An author is told when the ARN is one that the policy maps to a reviewer, or names a person: an IAM user, or a
    session of IAM Identity Center. A shared role, root, a service, or no event at all is not: whoever hides behind it
    might be a reviewer. Where some reviewer is mapped to no principal, only ARNs of mapped reviewers tell.
    """
    published = _publication(touches.events, version, published_at)
    # CloudTrail's times are whole seconds: an edit in the second of the previous publication might come after it.
    edits = [t for t in touches.events if t.name in EDITS and int(since) <= t.at <= published_at + 1]
    arns = sorted({t.arn for t in [*edits, *([published] if published else [])] if t.arn})
    doubts = [f"{arn} may stand for several people" for arn in arns if not _told(arn, touches, reviewers)]
    nameless = sum(not t.arn for t in edits) + (published is not None and not published.arn)
    if nameless:
        doubts.append(f"{nameless} event(s) in CloudTrail name no principal")
    early = now < published_at + DELIVERY
    if published is None:
        doubts.append(f"CloudTrail has no event of the publication of version {version}{' yet' if early else ''}")
    if not edits:
        # A version can only differ from its predecessor through an edit, so one is missing; a first one was created.
        doubts.append("CloudTrail has no event of an edit of the draft since the version before")
    begun = since or min((t.at for t in touches.events if t.name == CREATE), default=-math.inf)
    if begun < now - KEPT:
        doubts.append(
            "the version before it is older than the 90 days that CloudTrail can look back, so edits may be missing"
            if since
            else "CloudTrail has no event of the prompt's creation, so edits may be missing"
        )
    if touches.truncated:
        doubts.append("there were more events than could be read")
    return Authors(tuple(arns), tuple(doubts), complete=bool(published and edits) or not early)


def _publication(events: Sequence[Touch], version: int, published_at: float) -> Touch | None:
    published = [t for t in events if t.name == PUBLISH]
    exact = [t for t in published if t.version == version]
    near = [t for t in published if not t.version and abs(t.at - published_at) <= 30]
    return next(iter(exact or sorted(near, key=lambda t: abs(t.at - published_at))), None)


def _told(arn: str, touches: Touches, reviewers: Sequence[Reviewer]) -> bool:
    if any(acts_as(pattern, arn) for r in reviewers for pattern in r.principals):
        return True
    kinds = {t.kind for t in touches.events if t.arn == arn}
    person = kinds <= {"IAMUser"} or ":assumed-role/AWSReservedSSO_" in arn
    return person and all(r.principals for r in reviewers)
