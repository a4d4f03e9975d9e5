"""The two kinds of statement that a resource's own policy has, and the ARNs in them."""

from aws_cdk import App, Stack
from aws_cdk import aws_iam as iam

from infra.constructs.statements import all_but, arn, keep_out, let_in, role
from tests.support.alone import plain
from tests.support.synthesized import Json

STACK = Stack(App(), "Alone")


def written(statement: iam.PolicyStatement) -> dict[str, Json]:
    return dict(STACK.resolve(statement.to_statement_json()))


def test_an_arn_is_of_this_account_and_region_unless_said_otherwise() -> None:
    made = [
        arn("bedrock", "prompt/*"),
        arn("bedrock", "foundation-model/*", region="*", account=""),
        role("lane-pipeline-*"),
    ]
    assert plain(STACK.resolve(made)) == [
        "arn:<aws>:bedrock:<here>:prompt/*",
        "arn:<aws>:bedrock:*::foundation-model/*",
        "arn:<aws>:iam::<AWS::AccountId>:role/lane-pipeline-*",
    ]


def test_a_service_is_let_in_for_all_that_a_policy_stands_on_unless_it_is_narrowed() -> None:
    every = let_in("events.amazonaws.com", "RulesToQueues", ["kms:Decrypt", "kms:GenerateDataKey*"])
    one = let_in("sns.amazonaws.com", "Write", ["s3:PutObject"], "bucket/*", {"Bool": {"aws:SecureTransport": "true"}})
    assert written(every) == {
        "Sid": "RulesToQueues",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
    }
    assert written(one) == {
        "Sid": "Write",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "bucket/*",
        "Condition": {"Bool": {"aws:SecureTransport": "true"}},
    }


def test_everybody_is_kept_out_but_those_who_are_named() -> None:
    statement = keep_out(all_but(["one", "two"]), "OnlyTwo", ["sns:Subscribe"], "topic")
    assert written(statement) == {
        "Sid": "OnlyTwo",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "sns:Subscribe",
        "Resource": "topic",
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": ["one", "two"]}},
    }
    assert written(keep_out(all_but("one"), "OnlyOne", ["sns:Subscribe"]))["Resource"] == "*"
