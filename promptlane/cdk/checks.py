"""What is wrong with a policy or suite by itself, and so known before anything is deployed."""

import re

from promptlane.cdk.platform import Platform
from promptlane.domain.canary import fuse
from promptlane.domain.enrolment.deadline import too_short
from promptlane.domain.policy import Policy
from promptlane.engine.suite import facts
from promptlane.project import PromptProject


def problems(project: PromptProject, policy: Policy, platform: Platform) -> list[str]:
    """Each with file, field and remedy. `policy`: the project's, with its durations as the deployment has them."""
    file = f"{project.directory}/release.yaml"
    return [
        *_shared_sessions(file, policy, platform),
        *(
            f"{project.directory}: {path} {message} (promptlane:floor of the deployment)"
            for path, message in platform.floor.breaches(project.policy, facts(project.suite))
        ),
        *(f"{file}: {path} {message}" for path, message in too_short(policy, platform.trail_late_seconds)),
        *_too_dear(file, policy, platform),
    ]


def _shared_sessions(file: str, policy: Policy, platform: Platform) -> list[str]:
    """Whoever takes on a role chooses the session's name: two sessions of one shared role are no two people."""
    shared = re.compile(rf":assumed-role/{re.escape(platform.deployment)}-access-[^/]+/")
    return [
        f"{file}: reviewer {reviewer.name!r} is named by {principal}, a session of a role that others may take on "
        "under the same name. Name the reviewer's own IAM user, or a role that they alone may take on, or a session "
        "whose name the identity provider sets (docs/access.md); attach ReviewerPolicy to that"
        for reviewer in policy.review.reviewers
        for principal in reviewer.principals
        if shared.search(principal)
    ]


def _too_dear(file: str, policy: Policy, platform: Platform) -> list[str]:
    usd = fuse.monthly_usd(policy, platform.resolution_seconds)
    if usd <= platform.budget_usd_per_prompt:
        return []
    return [
        f"{file}: the fuse alarms cost ${usd:.2f} a month, more than promptlane:budget_usd_per_prompt allows "
        f"(${platform.budget_usd_per_prompt:.2f}); raise it, or choose promptlane:resolution_seconds=60"
    ]
