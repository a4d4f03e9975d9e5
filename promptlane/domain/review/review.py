"""Review: who may approve a version, when that is enough, and when it can no longer be.

The policy is the one that the release captured when it was admitted; a later edit changes nothing here. Every rule is a
pure function of the request, the decisions so far and the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
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


class Standing(StrEnum):
    """Where a review stands."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Authors:
    """Who wrote the version: IAM principals (ARNs), and what could not be told (sentences).

    `complete` is False while CloudTrail may still deliver more, so that the question is asked again before a decision.
    """

    principals: tuple[str, ...] = ()
    unattributed: tuple[str, ...] = ()
    complete: bool = True

    def to_dict(self) -> dict[str, Json]:
        told = {"principals": list(self.principals), "unattributed": list(self.unattributed)}
        return {**told, "complete": self.complete}

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> Authors:
        return cls(
            tuple(map(str, data.get("principals", ()))),
            tuple(map(str, data.get("unattributed", ()))),
            bool(data.get("complete", True)),
        )


@dataclass(frozen=True, slots=True)
class Decision:
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
    def from_dict(cls, data: Mapping[str, Json]) -> Decision:
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
    `task_token` is the workflow's; it is stored and never shown. `reach` maps a reviewer's key to how email reaches
    them; `mailed` lists the keys that were sent their link.
    """

    release_id: str
    round: int
    prompt: str
    candidate: VersionRef
    stable: VersionRef | None
    policy: ReviewPolicy
    authors: Authors
    verdict: str
    code: str
    requested_at: float
    expires_at: float
    task_token: str = field(default="", repr=False)
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
            "code": self.code,
            "requested_at": self.requested_at,
            "expires_at": self.expires_at,
            "task_token": self.task_token,
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
            code=str(item["code"]),
            requested_at=float(item["requested_at"]),
            expires_at=float(item["expires_at"]),
            task_token=str(item.get("task_token", "")),
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


@dataclass(frozen=True, slots=True)
class Tally:
    """The state of a review and what it rests on.

    `needed` approvals in all; `can_still` may approve; `why` says in one sentence why the review stands as it does.
    """

    standing: Standing
    needed: int
    approvals: tuple[Decision, ...]
    rejection: Decision | None
    can_still: tuple[Reviewer, ...]
    why: str


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


def reviewers_of(policy: ReviewPolicy, arn: str) -> list[Reviewer]:
    """The reviewers that an IAM identity may speak for. More than one means that the policy is ambiguous."""
    return [r for r in policy.reviewers if any(acts_as(pattern, arn) for pattern in r.principals)]


class Rule:
    """One thing that a policy may ask of a review, which is approved when every rule holds.

    `approvals` are those that count; `left` are the reviewers who may still approve.
    """

    def adds(self, request: ReviewRequest) -> int:
        """How many approvals it costs."""
        return 0

    def asks(self, request: ReviewRequest) -> str:
        """What it asks of the reviewers, as the page says it; empty where it asks nothing."""
        return ""

    def holds(self, request: ReviewRequest, approvals: Sequence[Decision]) -> bool:
        """Whether these approvals satisfy it."""
        return True

    def sentence(self, request: ReviewRequest, approvals: Sequence[Decision]) -> str:
        """What the review waits for while it does not hold."""
        return ""

    def obstacle(self, request: ReviewRequest, approvals: Sequence[Decision], left: Collection[Reviewer]) -> str:
        """Why it can never hold; empty when it can."""
        return ""


class AuthorsKnown(Rule):
    """Where the policy refuses versions whose author cannot be told."""

    def holds(self, request: ReviewRequest, approvals: Sequence[Decision]) -> bool:
        return not (request.authors.unattributed and request.policy.unattributed == "refuse")

    def obstacle(self, request: ReviewRequest, approvals: Sequence[Decision], left: Collection[Reviewer]) -> str:
        doubts = "; ".join(request.authors.unattributed)
        refused = f"the policy refuses versions whose author cannot be told: {doubts}"
        return "" if self.holds(request, approvals) else refused


class Quorum(Rule):
    """Enough approvals, of whomever."""

    def adds(self, request: ReviewRequest) -> int:
        return request.policy.quorum

    def asks(self, request: ReviewRequest) -> str:
        needed = needed_approvals(request)
        return f"{needed} approval{'s' if needed > 1 else ''} of {len(request.policy.reviewers)} reviewers"

    def holds(self, request: ReviewRequest, approvals: Sequence[Decision]) -> bool:
        return len(approvals) >= needed_approvals(request)

    def sentence(self, request: ReviewRequest, approvals: Sequence[Decision]) -> str:
        missing = needed_approvals(request) - len(approvals)
        return f"{missing} more approval{'s' if missing > 1 else ''}"

    def obstacle(self, request: ReviewRequest, approvals: Sequence[Decision], left: Collection[Reviewer]) -> str:
        missing = needed_approvals(request) - len(approvals)
        if missing <= len(left):
            return ""
        authors = [r.name for r in request.policy.reviewers if is_author(r, request.authors)]
        because = f" ({', '.join(authors)} wrote it and cannot approve it)" if authors else ""
        who = f"only {len(left)} of the reviewers may still give one" if left else "no reviewer is left"
        return f"{missing} more approval{'s are' if missing > 1 else ' is'} needed, but {who}{because}"


class Groups(Rule):
    """One approval of each group that the policy requires."""

    def asks(self, request: ReviewRequest) -> str:
        groups = request.policy.required_groups
        return f"among them one of {' and one of '.join(groups)}" if groups else ""

    def holds(self, request: ReviewRequest, approvals: Sequence[Decision]) -> bool:
        return not self.missing(request, approvals)

    def sentence(self, request: ReviewRequest, approvals: Sequence[Decision]) -> str:
        among = "" if QUORUM.holds(request, approvals) else "among them "
        return f"{among}an approval from {' and from '.join(self.missing(request, approvals))}"

    def obstacle(self, request: ReviewRequest, approvals: Sequence[Decision], left: Collection[Reviewer]) -> str:
        for group in self.missing(request, approvals):
            if not any(group in r.groups for r in left):
                return f"an approval from {group} is needed, but none of its reviewers may still give one"
        return ""

    def missing(self, request: ReviewRequest, approvals: Sequence[Decision]) -> list[str]:
        given = {g for d in approvals if (r := request.reviewer(d.reviewer)) for g in r.groups}
        return [g for g in request.policy.required_groups if g not in given]


class UntoldAuthors(Rule):
    """One more approval for authors that cannot be told, where the policy says so."""

    def adds(self, request: ReviewRequest) -> int:
        return int(bool(request.authors.unattributed) and request.policy.unattributed == "one_more_approval")


class Inconclusive(Rule):
    """One more approval for an inconclusive verdict, where the policy says so."""

    def adds(self, request: ReviewRequest) -> int:
        return int(request.verdict == "inconclusive" and request.policy.inconclusive == "one_more_approval")


QUORUM: Final = Quorum()
RULES: Final[list[Rule]] = [AuthorsKnown(), QUORUM, Groups(), UntoldAuthors(), Inconclusive()]
"""Every rule, in the order in which they are said. Read when it is needed: an entry more is all that one takes."""


def needed_approvals(request: ReviewRequest) -> int:
    """How many approvals all rules together cost."""
    return sum(rule.adds(request) for rule in RULES)


def rules_in_words(request: ReviewRequest) -> str:
    """What the reviewers are asked for, in one sentence without its end."""
    return ", ".join(filter(None, (rule.asks(request) for rule in RULES)))


def obstacle_of(request: ReviewRequest, approvals: Sequence[Decision], left: Collection[Reviewer]) -> str:
    """Why these reviewers cannot complete the review; empty when they can."""
    return next(filter(None, (rule.obstacle(request, approvals, left) for rule in RULES)), "")


def counts(request: ReviewRequest, decision: Decision) -> bool:
    """Whether a recorded decision counts: for these fingerprints, of a reviewer, in time."""
    reviewer = request.reviewer(decision.reviewer)
    return (
        reviewer is not None
        and decision.candidate == request.candidate.fingerprint
        and decision.stable == request.stable_fingerprint
        and decision.at < request.expires_at
        and (decision.choice is Choice.REJECT or not is_author(reviewer, request.authors))
    )


def tally(request: ReviewRequest, decisions: Sequence[Decision], now: float) -> Tally:
    """Where the review stands. One counted rejection ends it; an author may reject an own version, never approve it."""
    first: dict[str, Decision] = {}
    for decision in sorted(decisions, key=lambda d: (d.number, d.at)):
        if counts(request, decision):
            first.setdefault(decision.reviewer, decision)
    rejection = next((d for d in first.values() if d.choice is Choice.REJECT), None)
    approvals = tuple(d for d in first.values() if d.choice is Choice.APPROVE)
    can_still = tuple(
        r for r in request.policy.reviewers if reviewer_key(r.email) not in first and not is_author(r, request.authors)
    )
    standing, why = _standing(request, now, rejection, approvals, can_still)
    return Tally(standing, needed_approvals(request), approvals, rejection, can_still, why)


def _standing(
    request: ReviewRequest,
    now: float,
    rejection: Decision | None,
    approvals: Sequence[Decision],
    can_still: Sequence[Reviewer],
) -> tuple[Standing, str]:
    if rejection is not None:
        return Standing.REJECTED, f"{rejection.by} rejected it: {rejection.reason}"
    unmet = [rule for rule in RULES if not rule.holds(request, approvals)]
    if not unmet:
        return Standing.APPROVED, "every approval that the policy asks for was given"
    obstacle = obstacle_of(request, approvals, can_still)
    if obstacle and request.authors.complete:  # else CloudTrail may still tell the authors: nothing is impossible yet
        return Standing.IMPOSSIBLE, obstacle
    if now >= request.expires_at:
        return Standing.EXPIRED, "the review expired before the approvals were complete"
    if obstacle:
        return Standing.OPEN, "waits for CloudTrail to tell who wrote the version"
    return Standing.OPEN, "waits for " + ", ".join(rule.sentence(request, approvals) for rule in unmet)


REACHED: Final = frozenset({"confirmed", "unprotected"})
"""States of a subscription in which a reviewer's email arrives."""


def out_of_reach(request: ReviewRequest, state: Tally) -> str:
    """Why email alone cannot complete an open review now, though the policy could; empty when it can."""
    if state.standing is not Standing.OPEN:
        return ""
    reached = [r for r in state.can_still if request.reach.get(reviewer_key(r.email), "confirmed") in REACHED]
    lost = [
        f"{r.name} ({reach_in_words(request.reach[reviewer_key(r.email)])})"
        for r in state.can_still
        if r not in reached
    ]
    if obstacle_of(request, state.approvals, request.policy.reviewers):
        return ""  # not for want of email
    obstacle = obstacle_of(request, state.approvals, reached)
    return f"{obstacle}: email does not reach {', '.join(lost)}" if obstacle and lost else ""


_REACH: Final = {
    "confirmed": "email arrives",
    "unprotected": "email arrives, but anybody who sees one can unsubscribe them",
    "pending": "has not confirmed the subscription",
    "missing": "is not subscribed",
    "unexpected": "an unexpected subscription receives their email too, so none is sent",
    "no_topic": "has no topic in this deployment",
}


def reach_in_words(state: str) -> str:
    """A state of a reviewer's subscription in words."""
    return _REACH.get(state, state)


def outcome_of(request: ReviewRequest, state: Tally, now: float) -> dict[str, Json]:
    """What the workflow is answered, and what the release record keeps. Only for a review that is decided.

    {decision, by, reason, at, round, candidate, stable, approvals}; `candidate` and `stable` are the fingerprints that
    were approved, which the first shift and the promotion check again.
    """
    if state.standing not in (Standing.APPROVED, Standing.REJECTED, Standing.IMPOSSIBLE):
        raise ValueError(f"a review that is {state.standing} has no outcome")
    approved = state.standing is Standing.APPROVED
    if approved:
        by = ", ".join(d.by for d in state.approvals)
        reason = "; ".join(f"{d.by}: {d.reason}" for d in state.approvals)
    elif state.rejection is not None:
        by, reason = state.rejection.by, state.rejection.reason
    else:
        by, reason = "promptlane", state.why
    return {
        "decision": "approved" if approved else "rejected",
        "by": by,
        "reason": reason[: 4 * MAX_REASON],
        "at": now,
        "round": request.round,
        "candidate": request.candidate.fingerprint,
        "stable": request.stable_fingerprint,
        "approvals": [d.to_dict() for d in state.approvals],
    }


def numbered(request: ReviewRequest, decision: Decision) -> tuple[ReviewRequest, Decision]:
    """Request and decision as they are written together: the decision gets the next number of its round."""
    return replace(request, decisions=request.decisions + 1), replace(decision, number=request.decisions + 1)


_LOOK_ALIKE: Final = str.maketrans("018", "OIB")


def same_code(typed: str, code: str) -> bool:
    """Whether the typed short code is the release's; case, spaces, dashes and look-alike digits are forgiven."""
    kept = "".join(c for c in typed.upper() if c.isascii() and c.isalnum()).translate(_LOOK_ALIKE)
    return bool(code) and kept == code


def code_in_print(code: str) -> str:
    """The short code as people read it: two groups of four."""
    return f"{code[:4]}-{code[4:]}"
