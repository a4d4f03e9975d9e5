"""Whether a review can end in time: nothing is approved before CloudTrail has told who edited."""

from __future__ import annotations

from promptlane.domain.policy import Policy

Problem = tuple[str, str]
"""(field of release.yaml, what is wrong with it, and the remedy)."""


def too_short(policy: Policy, late: float) -> list[Problem]:
    """What of a policy would have every review expire before it can be approved.

    `late`: how long after a publication CloudTrail may still tell of edits in this deployment, seconds.
    """
    expires = policy.review.expires_after
    if expires > late:
        return []
    return [
        (
            "review.expires_after",
            f"is {expires:g} s, and nothing is approved before {late:g} s after a version's publication "
            "(`promptlane:trail_late_seconds` of the deployment), so every review would expire without an approval: "
            f"raise it above {late:g} s",
        )
    ]
