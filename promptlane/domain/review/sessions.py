"""Principals that prove nobody: they cover sessions of the roles that a deployment makes for everybody of a duty."""

from __future__ import annotations

from collections.abc import Iterable

from promptlane.domain.policy import Reviewer

Found = tuple[str, str]
"""(the reviewer's name, what is wrong with one of the principals)."""


def shared_sessions(reviewers: Iterable[Reviewer], deployment: str) -> list[Found]:
    """Whoever takes on a role chooses the session's name: two sessions of one shared role are no two people."""
    return [
        (
            reviewer.name,
            f"is named by {principal}, which sessions of a role are that others may take on under the same name. Name "
            "the reviewer's own IAM user, or a role that they alone may take on, or a session whose name the identity "
            "provider sets (docs/access.md); attach ReviewerPolicy to that",
        )
        for reviewer in reviewers
        for principal in reviewer.principals
        if _covers(principal, f"assumed-role/{deployment}-access-")
    ]


def _covers(pattern: str, sessions: str) -> bool:
    """Whether a principal, as `acts_as` takes it, can be a session whose resource begins with `sessions`."""
    resource = pattern.split(":", 5)[-1]
    if resource.startswith("role/"):
        resource = f"assumed-role/{resource.rpartition('/')[2]}"
    prefix = resource.removesuffix("*")
    return prefix.startswith(sessions) or (prefix != resource and sessions.startswith(prefix))
