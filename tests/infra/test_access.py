"""The five duties: what each policy allows and denies, judged as IAM does (an explicit denial wins)."""

import fnmatch
import json
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from infra.application import add_stacks
from infra.config import DeploymentConfig
from infra.values import DUTIES, MAX_NAMES, MAX_PROMPT_KEYS, MAX_PROMPTS
from promptlane.domain.names import ENROLLED_TAG
from tests.support.rendered import ACCOUNT, REGION, Rendered
from tests.support.synthesized import Json, Synthesized, context, listed, synthesize, text


def statements(synthesized: Synthesized, duty: str) -> list[Json]:
    policy = synthesized.one("AWS::IAM::ManagedPolicy", f"promptlane-access/{duty.capitalize()}/")[2]
    return list(Rendered(synthesized).value("access", policy["PolicyDocument"]["Statement"]))


def decides(found: list[Json], action: str, resource: str = "*", *, holds: Collection[str] = ()) -> bool:
    """Whether the statements allow an action on a resource, given by its ARN or by a part of how policies name it.

    `holds`: the condition keys that the request fulfils; a statement with another one does not apply.
    """

    def fits(statement: Json) -> bool:
        named = any(fnmatch.fnmatchcase(action, given) for given in listed(statement["Action"]))
        keys = {key for test in (statement.get("Condition") or {}).values() for key in test}
        on_it = any(covers(r, resource) for r in listed(statement["Resource"]))
        return named and on_it and keys <= set(holds)

    matching = [s["Effect"] for s in found if fits(s)]
    return "Allow" in matching and "Deny" not in matching


def covers(pattern: str, resource: str) -> bool:
    if resource.startswith("arn:"):
        return fnmatch.fnmatchcase(resource, pattern)
    return pattern == "*" or resource in pattern


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


OPERATIONS = "a1b2c3d4e5/$default/POST"
DECISION = arn("execute-api", f"{OPERATIONS}/releases/R/decision")
EXPECTED = [
    # action, part of the resource, who may
    ("bedrock:UpdatePrompt", "prompt/", {"author"}),
    ("bedrock:CreatePromptVersion", "prompt/", {"author"}),
    ("bedrock:DeletePrompt", "prompt/", set()),
    ("bedrock:GetPrompt", "prompt/", set(DUTIES) - {"runtime"}),
    ("bedrock:RenderPrompt", "prompt/*:*", {"author"}),
    ("bedrock:TagResource", "", set()),
    ("bedrock:UntagResource", "", set()),
    ("execute-api:Invoke", DECISION, {"reviewer"}),
    ("execute-api:Invoke", arn("execute-api", f"{OPERATIONS}/releases/R/advance"), {"operator"}),
    ("execute-api:Invoke", arn("execute-api", f"{OPERATIONS}/prompts/P/rollback"), {"operator"}),
    ("sqs:SendMessage", "Requests", {"operator"}),
    ("bedrock:ApplyGuardrail", "guardrail/", {"author", "runtime"}),
    ("bedrock:InvokeModel", "provisioned-model/", {"author", "runtime"}),
    ("dynamodb:Query", "/index/by_id", {"runtime"}),
    ("logs:GetLogEvents", arn("logs", "log-group:promptlane-pipeline-RelayLog1-A"), {"auditor", "operator"}),
    ("logs:GetLogEvents", arn("logs", "log-group:promptlane-audit-InvocationsGroup1-A"), set()),
    ("dynamodb:GetResourcePolicy", arn("dynamodb", "table/promptlane-state-Routes1-A"), {"auditor"}),
    ("states:SendTaskSuccess", "", set()),
    ("dynamodb:PutItem", "Routes", set()),
    ("dynamodb:PutItem", "Releases", set()),
    ("dynamodb:GetItem", "Routes", set(DUTIES)),
    ("dynamodb:GetItem", "Releases", set(DUTIES) - {"runtime"}),
    ("cloudtrail:LookupEvents", "", {"auditor", "operator"}),
    ("cloudtrail:StopLogging", "", set()),
    ("s3:GetObject", "promptlane-state-versions", {"runtime"}),
    ("s3:PutObject", "promptlane-state-versions", set()),
    ("s3:ListBucketVersions", "promptlane-state-reports", {"auditor"}),
    ("s3:GetObjectVersion", "promptlane-state-reports", {"auditor"}),
]


@pytest.mark.parametrize(("action", "resource", "who"), EXPECTED)
def test_each_duty_may_do_its_own_and_no_other(
    synthesized: Synthesized, action: str, resource: str, who: set[str]
) -> None:
    assert {duty for duty in DUTIES if decides(statements(synthesized, duty), action, resource)} == who


ENROLLED = f"aws:ResourceTag/{ENROLLED_TAG}"


@pytest.mark.parametrize("action", ["bedrock:RenderPrompt", "bedrock:GetPrompt"])
def test_applications_get_enrolled_versions_and_no_others(synthesized: Synthesized, action: str) -> None:
    application = synthesized.one("AWS::IAM::ManagedPolicy", "promptlane-runtime/Application/")[2]
    gateway = synthesized.grants(synthesized.role_of("gateway"))
    of_application = application["PolicyDocument"]["Statement"]
    for stack, unfilled in (("runtime", of_application), ("runtime", gateway)):
        found = Rendered(synthesized).value(stack, unfilled)
        assert decides(found, action, "prompt/*:*", holds={ENROLLED})
        assert not decides(found, action, "prompt/*:*")
    assert decides(statements(synthesized, "runtime"), action, "prompt/*:*", holds={ENROLLED})
    assert not decides(statements(synthesized, "runtime"), action, "prompt/*:*")


@pytest.mark.parametrize("duty", DUTIES)
@pytest.mark.parametrize(
    "action", ["bedrock:CreatePrompt", "bedrock:CreatePromptVersion", "bedrock:TagResource", "bedrock:UntagResource"]
)
def test_nobody_can_enrol_a_prompt_by_its_tag(synthesized: Synthesized, duty: str, action: str) -> None:
    everything = [*statements(synthesized, duty), {"Effect": "Allow", "Action": "*", "Resource": "*"}]
    assert not decides(everything, action, "*", holds={"aws:TagKeys"})


def test_admission_can_put_that_tag_and_no_other(synthesized: Synthesized) -> None:
    for verb in ("admit", "reconcile"):
        (statement,) = [
            s for s in synthesized.grants(synthesized.role_of(verb)) if "bedrock:TagResource" in listed(s["Action"])
        ]
        assert statement["Condition"] == {
            "StringEquals": {f"aws:RequestTag/{ENROLLED_TAG}": "promptlane"},
            "ForAllValues:StringEquals": {"aws:TagKeys": [ENROLLED_TAG]},
        }


def test_whoever_has_two_duties_can_still_not_edit_and_approve(synthesized: Synthesized) -> None:
    both = statements(synthesized, "author") + statements(synthesized, "reviewer")
    assert not decides(both, "bedrock:UpdatePrompt", "prompt/")
    assert not decides(both, "execute-api:Invoke", DECISION)


@pytest.mark.parametrize("duty", DUTIES)
@pytest.mark.parametrize("verb", ["decide", "operate", "roll_back"])
def test_nobody_may_invoke_what_takes_the_callers_word_for_who_it_is(
    synthesized: Synthesized, duty: str, verb: str
) -> None:
    everything = [*statements(synthesized, duty), {"Effect": "Allow", "Action": "*", "Resource": "*"}]
    stack, logical, _ = synthesized.function(verb)
    function = Rendered(synthesized).value(stack, {"Fn::GetAtt": [logical, "Arn"]})
    assert not decides(everything, "lambda:InvokeFunction", function)
    assert decides(everything, "lambda:InvokeFunction", arn("lambda", "function:somebody-elses"))


def test_operators_alone_invoke_roll_back_and_only_by_what_is_recorded_as_theirs(synthesized: Synthesized) -> None:
    stack, logical, _ = synthesized.function("roll_back")
    function = Rendered(synthesized).value(stack, {"Fn::GetAtt": [logical, "Arn"]})
    _, _, alias = synthesized.one("AWS::Lambda::Alias", "/RollBackConsole")
    assert (alias["FunctionName"], alias["FunctionVersion"]) == ({"Ref": logical}, "$LATEST")
    console = f"{function}:{alias['Name']}"
    may = {duty for duty in DUTIES if decides(statements(synthesized, duty), "lambda:InvokeFunction", console)}
    assert may == {"operator"}


@pytest.mark.parametrize(("keys", "room"), [(0, 0.9), (MAX_PROMPT_KEYS, 0.98)])
def test_every_policy_is_within_the_size_that_iam_takes(
    config: DeploymentConfig, tmp_path: Path, keys: int, room: float
) -> None:
    """With the longest name that a deployment may have, the most prompts that an application may have, and the longest
    names of partitions and Regions; a role's own policies together may have 10,240 characters."""
    widest = tuple("p" * (MAX_NAMES // MAX_PROMPTS - 1) + chr(97 + i) for i in range(MAX_PROMPTS))
    assert sum(map(len, widest)) == MAX_NAMES
    key_arns = tuple(f"arn:aws-us-gov:kms:us-gov-east-1:123456789012:key/{n:036}" for n in range(keys))
    most = replace(config, applications={"widest": widest}, prompt_keys=key_arns, on_call=("on-call@example.com",))
    found = synthesize(replace(most, name="fifteen-letters"), tmp_path)
    for partition, region in (("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-northwest-1")):
        rendered = Rendered(found, "fifteen-letters", partition=partition, region=region)
        inline: Counter[str] = Counter()
        for kind in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
            for stack, logical, policy in found.resources(kind):
                size = len(json.dumps(rendered.value(stack, policy["PolicyDocument"]), separators=(",", ":")))
                if kind == "AWS::IAM::ManagedPolicy":
                    assert size < room * 6_144, f"{logical}: {size} of 6,144 in {region}, which leaves little room"
                else:
                    inline.update({text(role): size for role in policy["Roles"]})
        assert len(inline) > 20
        assert max(inline.values()) < 0.9 * 10_240


def test_no_arn_names_a_partition(synthesized: Synthesized) -> None:
    """Bucket policies, grants and environments alike hold in GovCloud and China too."""
    for stack, template in synthesized.templates.items():
        named = re.findall(r"arn:aws[a-z-]*:[a-z0-9-]*", text(template["Resources"]))
        assert named == [], stack


def test_a_policy_is_its_roles_boundary_too(synthesized: Synthesized) -> None:
    for duty in DUTIES:
        role = synthesized.one("AWS::IAM::Role", f"promptlane-access/{duty.capitalize()}Role/")[2]
        policy = synthesized.one("AWS::IAM::ManagedPolicy", f"promptlane-access/{duty.capitalize()}/")[1]
        assert role["PermissionsBoundary"] == {"Ref": policy}
        assert role["ManagedPolicyArns"] == [{"Ref": policy}]


def test_a_duty_is_taken_on_by_those_alone_that_the_deployment_names(config: DeploymentConfig) -> None:
    writers = "arn:aws:iam::123456789012:role/writers-*"
    app = App(context=context())
    stacks = add_stacks(app, config=replace(config, duty_principals={"author": (writers,)}))
    roles = Template.from_stack(stacks.access).find_resources("AWS::IAM::Role")
    trust = {name: role["Properties"]["AssumeRolePolicyDocument"]["Statement"] for name, role in roles.items()}
    named = {name: s[0]["Condition"] for name, s in trust.items() if "Condition" in s[0]}
    assert list(named.values()) == [{"ArnLike": {"aws:PrincipalArn": [writers]}}]
    assert next(iter(named)).startswith("AuthorRole")


def test_applications_never_render_a_draft(synthesized: Synthesized) -> None:
    for statement in statements(synthesized, "runtime"):
        if "bedrock:RenderPrompt" in listed(statement["Action"]) and statement["Effect"] == "Allow":
            assert all(":prompt/*:*" in text(r) for r in listed(statement["Resource"]))
