"""Against AWS's service reference: an action granted on a resource that it does not know is never allowed."""

from __future__ import annotations

import re
from functools import cache

from policy_sentry.querying.actions import get_action_data

from tests.infra.synthesized import Synthesized, listed, text

# The reference lists no resource, but the CDK's own `grant_task_response` grants it on the machine, and that works.
ON_MACHINES = {"states:SendTaskSuccess"}


@cache
def formats(action: str) -> frozenset[str]:
    """Resource ARN formats of an action; {"*"} when it knows no resources, empty when the reference lacks it."""
    service, name = action.split(":")
    found = get_action_data(service, name)
    return frozenset(str(row["resource_arn_format"]) for row in found[service]) if found else frozenset()


def test_actions_without_resources_are_granted_on_all(synthesized: Synthesized) -> None:
    checked = 0
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for stack, logical, policy in synthesized.resources(kind):
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement["Effect"] != "Allow" or statement.get("Resource") == "*":
                    continue
                for action in listed(statement["Action"]):
                    if "*" in action or action in ON_MACHINES:
                        continue
                    assert formats(action), f"{action} is not an action of AWS"
                    assert formats(action) != {"*"}, (
                        f"{stack}/{logical}: {action} knows no resources, so granting it on "
                        f"{text(statement['Resource'])[:200]} allows nothing"
                    )
                    checked += 1
    assert checked > 100


def test_every_action_that_is_named_exists(synthesized: Synthesized) -> None:
    named = set()
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for _, _, policy in synthesized.resources(kind):
            for statement in policy["PolicyDocument"]["Statement"]:
                named |= {a for a in listed(statement["Action"]) if not re.search(r"[*?]", a)}
    unknown = {a for a in named if not formats(a)}
    assert unknown == set()
