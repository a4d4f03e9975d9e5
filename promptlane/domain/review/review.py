"""A review: what is asked for, who may decide it and who wrote the version, and what was decided.

The policy is the one that the release captured when it was admitted; a later edit changes nothing here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from promptlane.domain.policy import Policy, Reviewer, ReviewPolicy
from promptlane.domain.release.prompt import VersionRef

Json = Any
MAX_REASON: Final = 2_000
"""Characters of a typed reason."""


class Choice(StrEnum):
    """What a reviewer may decide."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Authors:
    """Who wrote the version: IAM principals (ARNs), and what could not be told (sentences).

    `complete` is False while CloudTrail may still deliver more: the question is asked again, and nothing is approved.
    `since` and `until` bound the edits that count, epoch seconds; `until` is 0 where they were not recorded.
    """

    principals: tuple[str, ...] = ()
    unattributed: tuple[str, ...] = ()
    complete: bool = True
    since: float = 0.0
    until: float = 0.0

    def to_dict(self) -> dict[str, Json]:
        told = {"principals": list(self.principals), "unattributed": list(self.unattributed)}
        return {**told, "complete": self.complete, "since": self.since, "until": self.until}

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> Authors:
        return cls(
            tuple(map(str, data.get("principals", ()))),
            tuple(map(str, data.get("unattributed", ()))),
            bool(data.get("complete", True)),
            float(data.get("since", 0)),
            float(data.get("until", 0)),
        )


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """What one reviewer decided. `by` is the email address or the caller's ARN, `address` the source IP address.

    The fingerprints are those that the reviewer was shown; a decision never counts for other ones.
    """

    reviewer: str
    choice: Choice
    reason: str
    at: float
    by: str
    via: str
    address: str
    candidate: str
    stable: str | None
    number: int = 0

    def to_dict(self) -> dict[str, Json]:
        return {**asdict(self), "choice": str(self.choice)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> ReviewDecision:
        return cls(
            reviewer=str(data["reviewer"]),
            choice=Choice(data["choice"]),
            reason=str(data["reason"]),
            at=float(data["at"]),
            by=str(data["by"]),
            via=str(data["via"]),
            address=str(data["address"]),
            candidate=str(data["candidate"]),
            stable=None if data.get("stable") is None else str(data["stable"]),
            number=int(data.get("number", 0)),
        )


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """One round of review of one release. Times are epoch seconds.

    `decisions` counts the recorded decisions of this round; `outcome` is set once, by whoever completes the review.
    `reach` maps a reviewer's key to how email reaches them. Neither the workflow's token nor anything of a code is
    here: people may read it.
    """

    release_id: str
    round: int
    prompt: str
    candidate: VersionRef
    stable: VersionRef | None
    policy: ReviewPolicy
    authors: Authors
    verdict: str
    requested_at: float
    expires_at: float
    decisions: int = 0
    outcome: Mapping[str, Json] | None = None
    reach: Mapping[str, str] = field(default_factory=dict)

    def to_item(self) -> dict[str, Json]:
        """Plain values as stored."""
        return {
            "release_id": self.release_id,
            "round": self.round,
            "prompt": self.prompt,
            "candidate": self.candidate.to_item(),
            "stable": self.stable.to_item() if self.stable else None,
            "policy": policy_item(self.policy),
            "authors": self.authors.to_dict(),
            "verdict": self.verdict,
            "requested_at": self.requested_at,
            "expires_at": self.expires_at,
            "decisions": self.decisions,
            "outcome": dict(self.outcome) if self.outcome else None,
            "reach": dict(self.reach),
        }

    @classmethod
    def from_item(cls, item: Mapping[str, Json]) -> ReviewRequest:
        return cls(
            release_id=str(item["release_id"]),
            round=int(item["round"]),
            prompt=str(item["prompt"]),
            candidate=VersionRef.from_item(item["candidate"]),
            stable=VersionRef.from_item(item["stable"]) if item.get("stable") else None,
            policy=Policy.from_dict({"review": item["policy"]}).review,
            authors=Authors.from_dict(item["authors"]),
            verdict=str(item["verdict"]),
            requested_at=float(item["requested_at"]),
            expires_at=float(item["expires_at"]),
            decisions=int(item.get("decisions", 0)),
            outcome=dict(item["outcome"]) if item.get("outcome") else None,
            reach={str(k): str(v) for k, v in (item.get("reach") or {}).items()},
        )

    def reviewer(self, key: str) -> Reviewer | None:
        """The reviewer with this key, of the captured policy."""
        return next((r for r in self.policy.reviewers if reviewer_key(r.email) == key), None)

    @property
    def stable_fingerprint(self) -> str | None:
        return self.stable.fingerprint if self.stable else None


def policy_item(policy: ReviewPolicy) -> Json:
    """The review section as plain values that `Policy.from_dict` reads back."""
    return Policy(review=policy).to_dict()["review"]


def reviewer_key(email: str) -> str:
    """What names a reviewer in links, keys and parameters: 16 hex digits, so that logs hold no address."""
    return hashlib.sha256(b"promptlane reviewer " + email.strip().lower().encode()).hexdigest()[:16]


def acts_as(pattern: str, arn: str) -> bool:
    """Whether the caller or author `arn` is the principal that a policy names.

    A pattern is an ARN, or a prefix of one that ends in `*`. The pattern of an IAM role also names its sessions, which
    CloudTrail and API Gateway report as `arn:aws:sts::<account>:assumed-role/<role name>/<session>`.
    """
    if _fits(pattern, arn):
        return True
    role, session = pattern.split(":"), arn.split(":")
    if len(role) != 6 or len(session) != 6 or role[2] != "iam" or session[2] != "sts" or role[4] != session[4]:
        return False
    kind, _, path = role[5].partition("/")
    other, _, rest = session[5].partition("/")
    return kind == "role" and other == "assumed-role" and _fits(path.rpartition("/")[2], rest.partition("/")[0])


def _fits(pattern: str, value: str) -> bool:
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def is_author(reviewer: Reviewer, authors: Authors) -> bool:
    """Whether the reviewer wrote any part of the version."""
    return any(acts_as(pattern, arn) for pattern in reviewer.principals for arn in authors.principals)


def authors_in_words(request: ReviewRequest) -> str:
    """Authors as people read them: reviewers by name, others by ARN; empty when nobody is known."""
    known = [r for r in request.policy.reviewers if is_author(r, request.authors)]
    others = [
        arn
        for arn in request.authors.principals
        if not any(acts_as(pattern, arn) for r in known for pattern in r.principals)
    ]
    return ", ".join([*(r.name for r in known), *others])


def authored_in_words(request: ReviewRequest) -> str:
    """What the authors wrote: the whole difference that is shown, and not the last version alone."""
    if request.stable is None or (request.authors.until and not request.authors.since):
        return "of everything since the prompt was created"
    return f"of everything since what version {request.stable.version} holds was published"


def reviewers_of(policy: ReviewPolicy, arn: str) -> list[Reviewer]:
    """The reviewers that an IAM identity may speak for. More than one means that the policy is ambiguous."""
    return [r for r in policy.reviewers if any(acts_as(pattern, arn) for pattern in r.principals)]


def numbered(request: ReviewRequest, decision: ReviewDecision) -> tuple[ReviewRequest, ReviewDecision]:
    """Request and decision as they are written together: the decision gets the next number of its round."""
    return replace(request, decisions=request.decisions + 1), replace(decision, number=request.decisions + 1)
