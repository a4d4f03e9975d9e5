"""Against AWS's service reference: an action granted on a resource that it does not know is never allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from policy_sentry.querying.actions import get_action_data

from tests.support.rendered import Rendered
from tests.support.synthesized import Json, Synthesized, listed

# The reference lists no resource, but the CDK's own `grant_task_response` grants it on the machine, and that works.
ON_MACHINES = {"states:SendTaskSuccess"}
GLOBAL = {"aws:principalarn", "aws:sourcearn", "aws:sourceaccount", "aws:calledvia"}


@cache
def formats(action: str) -> frozenset[str]:
    """Resource ARN formats of an action; {"*"} when it knows no resources, empty when the reference lacks it."""
    service, name = action.split(":")
    found = get_action_data(service, name)
    return frozenset(str(row["resource_arn_format"]) for row in found[service]) if found else frozenset()


@cache
def condition_keys(action: str) -> frozenset[str]:
    """The condition keys that the reference lists for an action, of the action itself and of its resources."""
    service, name = action.split(":")
    found = get_action_data(service, name)
    rows = found[service] if found else []
    return frozenset(str(key).split("$")[0].lower() for row in rows for key in row["condition_keys"])


def allowed(synthesized: Synthesized) -> Iterator[tuple[str, str, Json]]:
    """(where, action, statement), references filled, of everything that a policy of ours allows by name."""
    rendered = Rendered(synthesized)
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for stack, logical, policy in synthesized.resources(kind):
            for statement in rendered.value(stack, policy["PolicyDocument"]["Statement"]):
                if statement["Effect"] == "Allow":
                    for action in listed(statement["Action"]):
                        if not re.search(r"[*?]", action):
                            yield f"{stack}/{logical}", action, statement


def fits(granted: str, form: str) -> bool:
    """Whether there is an ARN that both a policy's resource and a form of the reference name, wildcards filled."""
    service = granted.split(":")[2:3]
    return service == form.split(":")[2:3] and meet(granted, re.sub(r"\$\{\w+\}", "?*", form))


@cache
def meet(left: str, right: str) -> bool:
    """Whether some text fits both patterns; `*` is any text and `?` any character."""
    if not left or not right:
        return set(left + right) <= {"*"}
    if left[0] == "*" or right[0] == "*":
        star, other = (left, right) if left[0] == "*" else (right, left)
        return meet(star[1:], other) or meet(star, other[1:])
    return (left[0] == right[0] or "?" in (left[0], right[0])) and meet(left[1:], right[1:])


def test_every_action_is_granted_on_resources_that_it_knows(synthesized: Synthesized) -> None:
    checked = 0
    for where, action, statement in allowed(synthesized):
        assert formats(action), f"{where}: {action} is not an action of AWS"
        for resource in listed(statement["Resource"]):
            if resource == "*" or action in ON_MACHINES:
                continue
            known = [form for form in formats(action) if fits(resource, form)]
            assert known, f"{where}: {action} on {resource} allows nothing; it knows {sorted(formats(action))}"
            checked += 1
    assert checked > 200


def test_a_resource_of_another_kind_does_not_pass_for_one_that_an_action_knows() -> None:
    table, prompt = "arn:aws:dynamodb:r:1:table/t", "arn:aws:bedrock:r:1:prompt/*:*"
    assert any(fits(table, form) for form in formats("dynamodb:PutItem"))
    assert any(fits(prompt, form) for form in formats("bedrock:RenderPrompt"))
    for resource, action in (
        (table, "sqs:SendMessage"),
        (prompt, "dynamodb:PutItem"),
        ("arn:aws:bedrock:r:1:agent/a", "bedrock:GetPrompt"),
        ("arn:aws:s3:::bucket", "s3:GetObject"),
        ("arn:aws:states:r:1:stateMachine:m", "states:DescribeExecution"),
    ):
        assert not any(fits(resource, form) for form in formats(action)), (resource, action)


def test_conditions_use_keys_that_their_actions_know(synthesized: Synthesized) -> None:
    """A key that an action does not know is absent from its request: an Allow with it would never match, unless by an
    operator that asks for it where it is there."""
    checked = 0
    for where, action, statement in allowed(synthesized):
        for operator, keys in statement.get("Condition", {}).items():
            for key in keys:
                if key.lower() in GLOBAL:
                    continue
                among = listed(statement["Action"]) if operator.endswith("IfExists") else [action]
                known = {stem for one in among for stem in condition_keys(one)}
                assert any(key.lower().startswith(stem) for stem in known), f"{where}: {action} knows no {key}"
                checked += 1
    assert checked > 20


def test_every_action_that_is_named_exists(synthesized: Synthesized) -> None:
    named = set()
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for _, _, policy in synthesized.resources(kind):
            for statement in policy["PolicyDocument"]["Statement"]:
                named |= {a for a in listed(statement["Action"]) if not re.search(r"[*?]", a)}
    unknown = {a for a in named if not formats(a)}
    assert unknown == set()
