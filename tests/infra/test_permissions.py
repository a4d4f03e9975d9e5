"""Every function's role against its code: nothing missing, nothing extra."""

import re
from pathlib import Path

import pytest
from policy_sentry.querying.actions import get_actions_with_access_level

from tests.support.aws_calls import ROOT, needed, reach
from tests.support.synthesized import ONLY_OF_TRIALS, Synthesized, listed, text

VERBS = sorted({p.parent.name for p in (ROOT / "functions").glob("*/handler.py")} - ONLY_OF_TRIALS)

# Done by Lambda, not by our code, under the function's role.
LAMBDA = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
QUEUE = {
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueUrl",
    "sqs:GetQueueAttributes",
}
STREAM = {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}
BY_LAMBDA = {"intake": QUEUE, "relay": STREAM}
DEAD_LETTERS = {"drill", "roll_back", "wind_up", "reconcile", "remind", "housekeep"}
# Encrypted tables, buckets and topics use keys under the caller's role.
KEYS = {"kms:Decrypt", "kms:GenerateDataKey"}
# Model calls that go over our own HTTP transport or by a name that is also ours.
MODELS = {"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream", "bedrock:RenderPrompt", "bedrock:GetPrompt"}
# What Converse asks for where a version has a guardrail.
MODELS |= {"bedrock:ApplyGuardrail"}
# S3 tells a missing object from a forbidden one only to who may list.
TELLS_MISSING = {"s3:ListBucket"}

# Derived because a method of that name is reachable, though never on that class: method by method, with why.
NEVER_CALLED = {
    # `policy` and `suite` are what an enrolment names, `publish` is that of notices
    "intake": {"s3:GetObject", "bedrock:CreatePromptVersion"},
    "plan_tests": {"bedrock:ListPrompts"},  # `find` is that of releases
    # `start` is that of releases, `publish` that of notices; versions are asked for through the queue
    "reconcile": {"states:StartExecution", "bedrock:CreatePromptVersion", "s3:GetObject"},
    # `status` is that of an HTTP answer, `start` that of a match
    "roll_back": {"states:DescribeExecution", "states:StartExecution"},
    "remind": {"bedrock:CreatePromptVersion"},  # `publish` is that of notices
    "request_review": {"bedrock:CreatePromptVersion"},
    "housekeep": {"bedrock:CreatePromptVersion"},
    "shift": {"bedrock:CreatePromptVersion"},
    "promote": {"bedrock:CreatePromptVersion", "dynamodb:Scan"},  # `all` is that of the quarantine
    "relay": {"dynamodb:PutItem"},  # `append` and `update` are those of a list and of a dict
    # in Lambda metrics go out through the log; it calls by ARN, and never reads what a version holds
    "gateway": {"cloudwatch:PutMetricData", "s3:GetObject"},
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_role_allows_exactly_what_its_function_calls(synthesized: Synthesized, verb: str) -> None:
    statements = synthesized.grants(synthesized.role_of(verb))
    called = needed(verb) - NEVER_CALLED.get(verb, set())
    by_others = LAMBDA | (KEYS - called) | BY_LAMBDA.get(verb, set())
    granted = {action for s in statements for action in listed(s["Action"])} - by_others
    if verb in DEAD_LETTERS:
        assert "sqs:SendMessage" in granted
    accepted = TELLS_MISSING | (MODELS if verb in ("gateway", "run_cases") else set())
    accepted |= {"sqs:SendMessage"} if verb in DEAD_LETTERS else set()
    assert ("bedrock:ApplyGuardrail" in granted) == (verb in ("gateway", "run_cases"))
    assert called - granted == set(), "the code calls it, the role forbids it"
    assert granted - called - accepted == set(), "the role allows it, the code never calls it"


def test_exceptions_are_still_needed() -> None:
    for verb, actions in NEVER_CALLED.items():
        assert actions <= needed(verb), f"{verb}: no longer derived, so no longer an exception"


def test_the_derivation_follows_methods_into_other_modules() -> None:
    reached = {name for _, name in reach("roll_back").seen}
    assert {"restore_safe_route", "DynamoRoutes", "Aftermath"} <= reached
    assert {"dynamodb:PutItem", "states:StopExecution", "sns:Publish"} <= needed("roll_back")
    assert "bedrock:GetPrompt" not in needed("roll_back")


ROUTE_WRITERS = {"shift", "promote", "roll_back", "wind_up"}


def test_only_four_functions_may_write_routes(synthesized: Synthesized) -> None:
    writers = set()
    for _, _, policy in synthesized.resources("AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            writing = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"} & set(
                listed(statement["Action"])
            )
            if writing and "Routes" in text(statement["Resource"]):
                writers.add(text(policy["Roles"]))
    assert writers == {text([{"Ref": synthesized.role_of(verb)}]) for verb in ROUTE_WRITERS}


def test_tables_refuse_everybody_but_the_functions_whatever_their_policies_say(synthesized: Synthesized) -> None:
    """By every name under which AWS's service reference knows a write of items."""
    writes = {a for a in get_actions_with_access_level("dynamodb", "Write") if re.search(r"Item$|:PartiQL", a)}
    assert {"dynamodb:PutItem", "dynamodb:BatchWriteItem", "dynamodb:PartiQLInsert"} <= writes
    for name in ("Routes", "Releases"):
        table = synthesized.one("AWS::DynamoDB::Table", f"/{name}/")[2]
        deny, *_ = table["ResourcePolicy"]["PolicyDocument"]["Statement"]
        assert deny["Effect"] == "Deny"
        assert set(deny["Action"]) == writes
        assert ":role/promptlane-pipeline-*" in text(deny["Condition"]["ArnNotLike"]["aws:PrincipalArn"])


def test_versions_are_put_by_two_functions_whatever_others_policies_say(synthesized: Synthesized) -> None:
    policies = [p for _, _, p in synthesized.resources("AWS::S3::BucketPolicy") if "Versions" in text(p["Bucket"])]
    (policy,) = policies
    (deny,) = [s for s in policy["PolicyDocument"]["Statement"] if s.get("Sid") == "OnlyAdmittedVersions"]
    roles = text(deny["Condition"]["ArnNotLike"]["aws:PrincipalArn"])
    assert (deny["Effect"], deny["Action"]) == ("Deny", "s3:PutObject")
    assert all(f":role/promptlane-pipeline-{name}Role*" in roles for name in ("Admit", "Housekeep"))
    writers = {
        text(policy["Roles"])
        for _, _, policy in synthesized.resources("AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if "s3:PutObject" in listed(statement["Action"]) and "Versions" in text(statement["Resource"])
    }
    assert writers == {text([{"Ref": synthesized.role_of(verb)}]) for verb in ("admit", "housekeep")}


def test_what_counts_for_a_prompt_is_written_by_one_function_whatever_others_policies_say(
    synthesized: Synthesized,
) -> None:
    table = synthesized.one("AWS::DynamoDB::Table", "/Releases/")[2]
    (deny,) = [s for s in table["ResourcePolicy"]["PolicyDocument"]["Statement"] if s["Sid"] == "OnlyEnrolEnrols"]
    assert (deny["Effect"], deny["Principal"]) == ("Deny", {"AWS": "*"})
    assert {"dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:PartiQLUpdate"} <= set(deny["Action"])
    keys = {"dynamodb:LeadingKeys": ["enrolment#*", "enrolments", "declared"]}
    assert deny["Condition"].pop("ForAnyValue:StringLike") == keys
    assert ":role/promptlane-pipeline-EnrolRole*" in text(deny["Condition"]["ArnNotLike"]["aws:PrincipalArn"])
    assert synthesized.role_of("enrol").startswith("EnrolRole")


def test_who_copies_timelines_may_neither_read_nor_delete_nor_decrypt_them(synthesized: Synthesized) -> None:
    for verb in ("relay", "housekeep"):
        statements = {s.get("Sid"): s for s in synthesized.grants(synthesized.role_of(verb))}
        assert statements["CopyTimeline"]["Action"] == "s3:PutObject"
        assert statements["AuditKey"]["Action"] == "kms:GenerateDataKey"
    assert statements["ListTimelines"]["Condition"] == {"StringLike": {"s3:prefix": "timeline/*"}}
    assert "ListTimelines" not in {s.get("Sid") for s in synthesized.grants(synthesized.role_of("relay"))}


def test_nobody_may_change_or_delete_a_timeline_entry(synthesized: Synthesized) -> None:
    checked = 0
    for _, logical, policy in synthesized.resources("AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            changing = {"dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"}
            if changing & set(listed(statement["Action"])) and "Releases" in text(statement["Resource"]):
                keys = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
                assert not [key for key in listed(keys) if "timeline#".startswith(key.rstrip("*"))], logical
                checked += 1
    assert checked >= 6


def test_the_rollback_needs_no_key_and_no_service_but_the_route_table_to_be_safe(synthesized: Synthesized) -> None:
    statements = synthesized.grants(synthesized.role_of("roll_back"))
    (writing,) = [s for s in statements if "Routes" in text(s["Resource"])]
    assert set(listed(writing["Action"])) == {"dynamodb:GetItem", "dynamodb:PutItem"}
    handler = (ROOT / Path("functions/roll_back/handler.py")).read_text()
    assert "boto3" not in handler
