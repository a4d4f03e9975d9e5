"""cdk-nag (AwsSolutions) and cfn-lint over the whole app; IAM names against AWS's service reference."""

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from aws_cdk import App, Stack, Validations
from aws_cdk import aws_sqs as sqs
from cdk_nag import AwsSolutionsChecks
from cfnlint import lint_all
from policy_sentry.querying.actions import get_action_data, get_actions_for_service
from policy_sentry.querying.conditions import get_condition_keys_for_service

from infra.application import add_stacks
from infra.config import DeploymentConfig
from tests.support.synthesized import Json, Synthesized, listed

CDK_JSON = Path(__file__).resolve().parents[2] / "cdk.json"


def app(outdir: Path) -> App:
    made = App(context=json.loads(CDK_JSON.read_text())["context"], outdir=str(outdir))
    Validations.of(made).add_plugins(AwsSolutionsChecks(made))
    return made


def findings(outdir: Path) -> list[str]:
    report = outdir / "validation-report.json"
    if not report.exists():
        return []
    found = []
    for plugin in json.loads(report.read_text())["pluginReports"]:
        found += [violation["ruleName"] for violation in plugin.get("violations", [])]
    return found


def test_cdk_nag_finds_nothing_that_is_not_accepted_with_a_reason(config: DeploymentConfig, tmp_path: Path) -> None:
    checked = app(tmp_path)
    add_stacks(checked, config=config)
    try:
        checked.synth()
    except RuntimeError:
        pytest.fail("\n".join(findings(tmp_path)))


def test_cdk_nag_would_find_something(tmp_path: Path) -> None:
    checked = app(tmp_path)
    sqs.Queue(Stack(checked, "bad"), "Open", encryption=sqs.QueueEncryption.UNENCRYPTED)
    with pytest.raises(RuntimeError, match="AwsSolutions-SQS2"):
        checked.synth()


# CDK repeats dependencies that references already make.
NOT_OURS = {"W3005"}
# Its model of ASL expects numbers where JSONata may stand, and complete ARNs where a substitution may stand.
AS_NUMBERS = ('"{% $review_timeout %}"', '"{% $plan.max_concurrency %}"')


def linted(template: Json) -> list[str]:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            definition = resource["Properties"]["DefinitionString"].replace("${Partition}", "aws")
            for expression in AS_NUMBERS:
                assert expression in definition
                definition = definition.replace(expression, "60")
            resource["Properties"]["DefinitionString"] = definition
    return [f"{m.rule.id} {m}" for m in lint_all(json.dumps(template)) if m.rule.id not in NOT_OURS]


def test_cfn_lint_finds_nothing(synthesized: Synthesized) -> None:
    found = {stack: linted(copy.deepcopy(template)) for stack, template in synthesized.templates.items()}
    assert {stack: problems for stack, problems in found.items() if problems} == {}


def test_cfn_lint_checks_the_state_machine(synthesized: Synthesized) -> None:
    template = copy.deepcopy(synthesized.templates["pipeline"])
    _, logical, properties = synthesized.one("AWS::StepFunctions::StateMachine", "/Release/Machine")
    broken = properties["DefinitionString"].replace('"Type": "Choice"', '"Type": "Chioce"', 1)
    assert broken != properties["DefinitionString"]
    template["Resources"][logical]["Properties"]["DefinitionString"] = broken
    assert any(problem.startswith("E3601") for problem in linted(template))


def statements(synthesized: Synthesized) -> Iterator[tuple[str, Json]]:
    """Every statement of every policy of the app, with where it stands."""
    for stack, template in synthesized.templates.items():
        for logical, resource in template["Resources"].items():
            for key in ("PolicyDocument", "KeyPolicy", "AssumeRolePolicyDocument", "ResourcePolicy"):
                document = resource.get("Properties", {}).get(key)
                for statement in (document or {}).get("Statement", []):
                    yield f"{stack}/{logical}", statement


def test_every_iam_action_exists(synthesized: Synthesized) -> None:
    known: dict[str, set[str]] = {}
    checked = 0
    for where, statement in statements(synthesized):
        for action in listed(statement["Action"]):
            service, _, name = action.partition(":")
            if service not in known:
                known[service] = {full.partition(":")[2].lower() for full in get_actions_for_service(service)}
            pattern = re.compile(re.escape(name.lower()).replace(r"\*", ".*"))
            assert any(pattern.fullmatch(action_name) for action_name in known[service]), f"{where}: {action}"
            checked += 1
    assert checked > 200


def test_every_condition_key_exists(synthesized: Synthesized) -> None:
    for where, statement in statements(synthesized):
        for keys in statement.get("Condition", {}).values():
            for key in keys:
                service = key.partition(":")[0]
                if service == "aws":
                    continue
                stems = [k.split("${")[0].lower() for k in get_condition_keys_for_service(service)]
                assert any(key.lower().startswith(stem) for stem in stems), f"{where}: {key}"


ACROSS_RESOURCES = {
    "bedrock:ListPrompts",  # all of them, so that one is found by its name
    "cloudwatch:DescribeAlarms",
    "cloudwatch:DescribeAlarmHistory",  # of alarms that were deleted, too
    "cloudtrail:GetTrailStatus",  # of whichever trail the account has
    "logs:GetQueryResults",  # by the query's id
}


@cache
def knows_no_resource(action: str) -> bool:
    """Whether AWS's service reference has no resource that a policy could name for this action."""
    service, _, name = action.partition(":")
    found = get_action_data(service, name)
    return bool(found) and all(row["resource_arn_format"] == "*" for row in found[service])


def test_no_statement_allows_all_actions_or_lacks_a_reason_for_all_resources(synthesized: Synthesized) -> None:
    for where, statement in statements(synthesized):
        if "Key" in where.rsplit("/", 1)[1] and statement["Resource"] == "*":
            continue  # a key's own policy: the key itself
        for action in listed(statement["Action"]):
            assert action not in ("*", f"{action.partition(':')[0]}:*") or statement["Effect"] == "Deny", where
            if statement.get("Resource") == "*" and statement["Effect"] == "Allow":
                known = action in ACROSS_RESOURCES or knows_no_resource(action)
                assert known, f"{where}: {action} on all resources"
