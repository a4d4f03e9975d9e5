"""When the approvals of a review are enough, and when they can no longer be.

Every rule is a pure function of the request, the decisions so far and the time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from promptlane.domain.policy import Reviewer

from .review import MAX_REASON, Choice, ReviewDecision, ReviewRequest, is_author, reviewer_key

Json = Any


class Standing(StrEnum):
    """Where a review stands."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Tally:
    """The state of a review and what it rests on.

    `needed` approvals in all; `can_still` may approve; `why` says in one sentence why the review stands as it does.
    """

    standing: Standing
    needed: int
    approvals: tuple[ReviewDecision, ...]
    rejection: ReviewDecision | None
    can_still: tuple[Reviewer, ...]
    why: str


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

    def holds(self, request: ReviewRequest, approvals: Sequence[ReviewDecision]) -> bool:
        """Whether these approvals satisfy it."""
        return True

    def sentence(self, request: ReviewRequest, approvals: Sequence[ReviewDecision]) -> str:
        """What the review waits for while it does not hold."""
        return ""

    def obstacle(self, request: ReviewRequest, approvals: Sequence[ReviewDecision], left: Collection[Reviewer]) -> str:
        """Why it can never hold; empty when it can."""
        return ""


class AuthorsKnown(Rule):
    """Where the policy refuses versions whose author cannot be told."""

    def holds(self, request: ReviewRequest, approvals: Sequence[ReviewDecision]) -> bool:
        return not (request.authors.unattributed and request.policy.unattributed == "refuse")

    def obstacle(self, request: ReviewRequest, approvals: Sequence[ReviewDecision], left: Collection[Reviewer]) -> str:
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

    def holds(self, request: ReviewRequest, approvals: Sequence[ReviewDecision]) -> bool:
        return len(approvals) >= needed_approvals(request)

    def sentence(self, request: ReviewRequest, approvals: Sequence[ReviewDecision]) -> str:
        missing = needed_approvals(request) - len(approvals)
        return f"{missing} more approval{'s' if missing > 1 else ''}"

    def obstacle(self, request: ReviewRequest, approvals: Sequence[ReviewDecision], left: Collection[Reviewer]) -> str:
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

    def holds(self, request: ReviewRequest, approvals: Sequence[ReviewDecision]) -> bool:
        return not self.missing(request, approvals)

    def sentence(self, request: ReviewRequest, approvals: Sequence[ReviewDecision]) -> str:
        among = "" if QUORUM.holds(request, approvals) else "among them "
        return f"{among}an approval from {' and from '.join(self.missing(request, approvals))}"

    def obstacle(self, request: ReviewRequest, approvals: Sequence[ReviewDecision], left: Collection[Reviewer]) -> str:
        for group in self.missing(request, approvals):
            if not any(group in r.groups for r in left):
                return f"an approval from {group} is needed, but none of its reviewers may still give one"
        return ""

    def missing(self, request: ReviewRequest, approvals: Sequence[ReviewDecision]) -> list[str]:
        given = {g for d in approvals if (r := request.reviewer(d.reviewer)) for g in r.groups}
        return [g for g in request.policy.required_groups if g not in given]


class UntoldAuthors(Rule):
    """One more approval for authors that cannot be told, where the policy says so."""

    def adds(self, request: ReviewRequest) -> int:
        return int(bool(request.authors.unattributed) and request.policy.unattributed == "one_more_approval")


class InconclusiveTests(Rule):
    """One more approval for an inconclusive verdict, where the policy says so."""

    def adds(self, request: ReviewRequest) -> int:
        return int(request.verdict == "inconclusive" and request.policy.inconclusive == "one_more_approval")


QUORUM: Final = Quorum()
RULES: Final[list[Rule]] = [AuthorsKnown(), QUORUM, Groups(), UntoldAuthors(), InconclusiveTests()]
"""Every rule, in the order in which they are said. Read when it is needed: an entry more is all that one takes."""


def needed_approvals(request: ReviewRequest) -> int:
    """How many approvals all rules together cost."""
    return sum(rule.adds(request) for rule in RULES)


def rules_in_words(request: ReviewRequest) -> str:
    """What the reviewers are asked for, in one sentence without its end."""
    return ", ".join(filter(None, (rule.asks(request) for rule in RULES)))


def obstacle_of(request: ReviewRequest, approvals: Sequence[ReviewDecision], left: Collection[Reviewer]) -> str:
    """Why these reviewers cannot complete the review; empty when they can."""
    return next(filter(None, (rule.obstacle(request, approvals, left) for rule in RULES)), "")


def counts(request: ReviewRequest, decision: ReviewDecision) -> bool:
    """Whether a recorded decision counts: for these fingerprints, of a reviewer, in time."""
    reviewer = request.reviewer(decision.reviewer)
    return (
        reviewer is not None
        and decision.candidate == request.candidate.fingerprint
        and decision.stable == request.stable_fingerprint
        and decision.at < request.expires_at
        and (decision.choice is Choice.REJECT or not is_author(reviewer, request.authors))
    )


def tally(request: ReviewRequest, decisions: Sequence[ReviewDecision], now: float) -> Tally:
    """Where the review stands. One counted rejection ends it; an author may reject an own version, never approve it."""
    first: dict[str, ReviewDecision] = {}
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
    rejection: ReviewDecision | None,
    approvals: Sequence[ReviewDecision],
    can_still: Sequence[Reviewer],
) -> tuple[Standing, str]:
    if rejection is not None:
        return Standing.REJECTED, f"{rejection.by} rejected it: {rejection.reason}"
    unmet = [rule for rule in RULES if not rule.holds(request, approvals)]
    if not unmet and request.authors.complete:
        return Standing.APPROVED, "every approval that the policy asks for was given"
    obstacle = obstacle_of(request, approvals, can_still)
    if obstacle and request.authors.complete:  # else CloudTrail may still tell the authors: nothing is impossible yet
        return Standing.IMPOSSIBLE, obstacle
    if now >= request.expires_at:
        return Standing.EXPIRED, "the review expired before the approvals were complete"
    if obstacle or not unmet:
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
    "left": "is no longer declared as a reviewer, or has another address now, and decides nothing here",
    "no_topic": "has no topic in this deployment",
    "unreadable": "SNS does not say who receives their email, so none is sent",
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
