"""The five duties: what each policy allows and denies, judged as IAM does (an explicit denial wins)."""

import fnmatch

import pytest

from tests.infra.synthesized import Json, Synthesized, listed, text

DUTIES = ("author", "reviewer", "operator", "runtime", "auditor")


def statements(synthesized: Synthesized, duty: str) -> list[Json]:
    policy = synthesized.one("AWS::IAM::ManagedPolicy", f"promptlane-access/{duty.capitalize()}/")[2]
    return list(policy["PolicyDocument"]["Statement"])


def decides(found: list[Json], action: str, resource: str = "*") -> bool:
    """Whether the statements allow an action on a resource that is named by a part of its ARN."""

    def fits(statement: Json) -> bool:
        named = any(fnmatch.fnmatchcase(action, given) for given in listed(statement["Action"]))
        return named and any(r == "*" or resource in text(r) for r in listed(statement["Resource"]))

    matching = [s["Effect"] for s in found if fits(s)]
    return "Allow" in matching and "Deny" not in matching


EXPECTED = [
    # action, part of the resource, who may
    ("bedrock:UpdatePrompt", "prompt/", {"author"}),
    ("bedrock:CreatePromptVersion", "prompt/", {"author"}),
    ("bedrock:DeletePrompt", "prompt/", set()),
    ("bedrock:GetPrompt", "prompt/", set(DUTIES)),
    ("bedrock:RenderPrompt", "prompt/*:*", {"author", "runtime"}),
    ("execute-api:Invoke", "/decision", {"reviewer"}),
    ("execute-api:Invoke", "/advance", {"operator"}),
    ("execute-api:Invoke", "/rollback", {"operator"}),
    ("sqs:SendMessage", "Requests", {"operator"}),
    ("states:SendTaskSuccess", "", set()),
    ("dynamodb:PutItem", "Routes", set()),
    ("dynamodb:PutItem", "Releases", set()),
    ("dynamodb:GetItem", "Routes", set(DUTIES)),
    ("dynamodb:GetItem", "Releases", set(DUTIES) - {"runtime"}),
    ("cloudtrail:LookupEvents", "", {"auditor", "operator"}),
    ("cloudtrail:StopLogging", "", set()),
]


@pytest.mark.parametrize(("action", "resource", "who"), EXPECTED)
def test_each_duty_may_do_its_own_and_no_other(
    synthesized: Synthesized, action: str, resource: str, who: set[str]
) -> None:
    assert {duty for duty in DUTIES if decides(statements(synthesized, duty), action, resource)} == who


def test_whoever_has_two_duties_can_still_not_edit_and_approve(synthesized: Synthesized) -> None:
    both = statements(synthesized, "author") + statements(synthesized, "reviewer")
    assert not decides(both, "bedrock:UpdatePrompt", "prompt/")
    assert not decides(both, "execute-api:Invoke", "/decision")


def test_a_policy_is_its_roles_boundary_too(synthesized: Synthesized) -> None:
    for duty in DUTIES:
        role = synthesized.one("AWS::IAM::Role", f"promptlane-access/{duty.capitalize()}Role/")[2]
        policy = synthesized.one("AWS::IAM::ManagedPolicy", f"promptlane-access/{duty.capitalize()}/")[1]
        assert role["PermissionsBoundary"] == {"Ref": policy}
        assert role["ManagedPolicyArns"] == [{"Ref": policy}]


def test_applications_never_render_a_draft(synthesized: Synthesized) -> None:
    for statement in statements(synthesized, "runtime"):
        if "bedrock:RenderPrompt" in listed(statement["Action"]) and statement["Effect"] == "Allow":
            assert all(":prompt/*:*" in text(r) for r in listed(statement["Resource"]))
