"""Bedrock's invocation log: encrypted, kept as long as the logs, written by Bedrock for this account alone."""

from dataclasses import replace

import pytest
from aws_cdk import aws_kms as kms

from infra.config import DeploymentConfig
from infra.constructs.invocation_log import InvocationLog
from local.gaps import metric_filters
from promptlane.domain.investigation.queries import SAVED
from tests.support.alone import KEPT, PASSING, accepted, alone, made
from tests.support.synthesized import Json

STREAM = "arn:<aws>:logs:<here>:log-group:<LogGroup>:log-stream:aws/bedrock/modelinvocations"
BODIES = "<LogLargeBodies.Arn>/bodies/AWSLogs/<AWS::AccountId>/BedrockModelInvocationLogs/*"


def log(config: DeploymentConfig) -> dict[str, Json]:
    stack = alone()
    InvocationLog(stack, "Log", config=config, key=kms.Key(stack, "Key"))
    return made(stack)


def test_bedrock_may_write_the_group_and_large_bodies_and_nothing_else() -> None:
    found = log(KEPT)
    queries = {name: found.pop(name) for name in list(found) if name.startswith("LogQuery")}
    for name in ("LogInvocationLoggingLog", "LogInvocationLoggingRole"):
        del found[name]  # as of every function of ours
    del found["LogPastTheSplit"]  # below
    found.pop("Sdk", None)  # the layer of every function
    function = found.pop("LogInvocationLoggingFunction")["Properties"]
    assert {k: function[k] for k in ("Description", "Environment", "Handler", "Timeout")} == {
        "Description": "Promptlane: sets up model invocation logging where nobody else did",
        "Environment": {"Variables": {"FOUND_PARAMETER": "/lane/invocation-logging/found"}},
        "Handler": "functions.invocation_logging.handler.handle",
        "Timeout": 90,
    }
    assert found == {
        "Key": {
            "Type": "AWS::KMS::Key",
            "Properties": {
                "KeyPolicy": {
                    "Statement": [
                        {
                            "Action": "kms:*",
                            "Effect": "Allow",
                            "Principal": {"AWS": "arn:<aws>:iam::<AWS::AccountId>:root"},
                            "Resource": "*",
                        },
                        {
                            "Action": [
                                "kms:Decrypt",
                                "kms:DescribeKey",
                                "kms:Encrypt",
                                "kms:GenerateDataKey*",
                                "kms:ReEncrypt*",
                            ],
                            "Condition": {
                                "ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:<aws>:logs:<here>:log-group:*"}
                            },
                            "Effect": "Allow",
                            "Principal": {"Service": "logs.<AWS::Region>.amazonaws.com"},
                            "Resource": "*",
                            "Sid": "LogsEncrypt",
                        },
                        {
                            "Action": "kms:GenerateDataKey",
                            "Condition": {
                                "StringEquals": {"aws:SourceAccount": "<AWS::AccountId>"},
                                "ArnLike": {"aws:SourceArn": "arn:<aws>:bedrock:<here>:*"},
                            },
                            "Effect": "Allow",
                            "Principal": {"Service": "bedrock.amazonaws.com"},
                            "Resource": "*",
                            "Sid": "BedrockEncrypts",
                        },
                    ],
                    "Version": "2012-10-17",
                }
            },
            "UpdateReplacePolicy": "Retain",
            "DeletionPolicy": "Retain",
        },
        "LogGroup": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"KmsKeyId": "<Key.Arn>", "RetentionInDays": 30},
            "UpdateReplacePolicy": "Retain",
            "DeletionPolicy": "RetainExceptOnCreate",
        },
        "LogLargeBodies": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [
                        {
                            "BucketKeyEnabled": False,
                            "ServerSideEncryptionByDefault": {"KMSMasterKeyID": "<Key.Arn>", "SSEAlgorithm": "aws:kms"},
                        }
                    ]
                },
                "LifecycleConfiguration": {
                    "Rules": [{"ExpirationInDays": 30, "Id": "AsLongAsTheLog", "Status": "Enabled"}]
                },
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
            },
            "UpdateReplacePolicy": "Retain",
            "DeletionPolicy": "RetainExceptOnCreate",
        },
        "LogLargeBodiesPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": "<LogLargeBodies>",
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Action": "s3:*",
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                            "Effect": "Deny",
                            "Principal": {"AWS": "*"},
                            "Resource": ["<LogLargeBodies.Arn>", "<LogLargeBodies.Arn>/*"],
                        },
                        {
                            "Action": "s3:PutObject",
                            "Condition": {
                                "StringEquals": {"aws:SourceAccount": "<AWS::AccountId>"},
                                "ArnLike": {"aws:SourceArn": "arn:<aws>:bedrock:<here>:*"},
                            },
                            "Effect": "Allow",
                            "Principal": {"Service": "bedrock.amazonaws.com"},
                            "Resource": BODIES,
                            "Sid": "BedrockWritesLargeBodies",
                        },
                    ],
                    "Version": "2012-10-17",
                },
            },
        },
        "LogWriter": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Statement": [
                        {
                            "Action": "sts:AssumeRole",
                            "Condition": {
                                "StringEquals": {"aws:SourceAccount": "<AWS::AccountId>"},
                                "ArnLike": {"aws:SourceArn": "arn:<aws>:bedrock:<here>:*"},
                            },
                            "Effect": "Allow",
                            "Principal": {"Service": "bedrock.amazonaws.com"},
                        }
                    ],
                    "Version": "2012-10-17",
                },
                "Description": "Lets Amazon Bedrock write the model invocation log",
            },
        },
        "LogWriterDefaultPolicy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                            "Effect": "Allow",
                            "Resource": STREAM,
                            "Sid": "WriteInvocations",
                        }
                    ],
                    "Version": "2012-10-17",
                },
                "PolicyName": "LogWriterDefaultPolicy",
                "Roles": ["<LogWriter>"],
            },
        },
        "LogInvocationLoggingRoleDefaultPolicy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                            "Effect": "Allow",
                            "Resource": "<LogInvocationLoggingLog.Arn>",
                            "Sid": "WriteLog",
                        },
                        {
                            "Action": [
                                "bedrock:DeleteModelInvocationLoggingConfiguration",
                                "bedrock:GetModelInvocationLoggingConfiguration",
                                "bedrock:PutModelInvocationLoggingConfiguration",
                            ],
                            "Effect": "Allow",
                            "Resource": "*",
                            "Sid": "SetLogging",
                        },
                        {
                            "Action": ["ssm:DeleteParameter", "ssm:GetParameter", "ssm:PutParameter"],
                            "Effect": "Allow",
                            "Resource": "arn:<aws>:ssm:<here>:parameter/lane/invocation-logging/found",
                            "Sid": "RememberFound",
                        },
                        {
                            "Action": "iam:PassRole",
                            "Condition": {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}},
                            "Effect": "Allow",
                            "Resource": "<LogWriter.Arn>",
                            "Sid": "HandWriterToBedrock",
                        },
                        {
                            "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
                            "Effect": "Allow",
                            "Resource": "*",
                        },
                    ],
                    "Version": "2012-10-17",
                },
                "PolicyName": "LogInvocationLoggingRoleDefaultPolicy",
                "Roles": ["<LogInvocationLoggingRole>"],
            },
        },
        "LogSetting": {
            "Type": "Custom::ModelInvocationLogging",
            "Properties": {
                "ServiceToken": "<LogInvocationLoggingFunction.Arn>",
                "LogGroupName": "<LogGroup>",
                "RoleArn": "<LogWriter.Arn>",
                "LargeDataBucket": "<LogLargeBodies>",
                "LargeDataPrefix": "bodies",
            },
            "DependsOn": [
                "Key",
                "LogGroup",
                "LogLargeBodiesPolicy",
                "LogLargeBodies",
                "LogWriterDefaultPolicy",
                "LogWriter",
            ],
            "UpdateReplacePolicy": "Delete",
            "DeletionPolicy": "Delete",
        },
    }
    assert [query["Properties"] for query in queries.values()] == [
        {"Name": f"lane/{query.name}", "QueryString": query.text, "LogGroupNames": ["<LogGroup>"]} for query in SAVED
    ]


RECORDS: list[tuple[Json, bool]] = [
    ({}, True),
    ({"requestMetadata": {"team": "billing"}}, True),
    ({"requestMetadata": {"prompt": "support", "version": "3"}}, False),
    ({"requestMetadata": {"purpose": "promptlane test"}}, False),
    ({"modelId": "amazon.nova-lite-v1:0"}, False),
    ({"modelId": "arn:aws:bedrock:eu-west-1:444455556666:prompt/OTHER"}, False),
    ({"schemaType": "Another"}, False),
    ({"identity": {"arn": "arn:aws:sts::111122223333:assumed-role/console/eve"}}, False),
    ({"identity": {"arn": "arn:aws:iam::111122223333:user/tester"}}, False),
    ({"identity": {"arn": "arn:aws:iam::111122223333:user/tester-2"}}, True),
]


@pytest.mark.parametrize(("change", "counted"), RECORDS)
def test_calls_of_a_prompt_without_our_metadata_are_counted_but_for_those_that_are_excepted(
    change: Json, counted: bool
) -> None:
    excepted = ("arn:aws:sts::111122223333:assumed-role/console/*", "arn:aws:iam::111122223333:user/tester")
    found = log(replace(KEPT, bypass_exceptions=excepted))["LogPastTheSplit"]["Properties"]
    assert found["LogGroupName"] == "<LogGroup>"
    assert found["MetricTransformations"] == [
        {"MetricNamespace": "Promptlane/lane", "MetricName": "CallsPastTheSplit", "MetricValue": "1"}
    ]
    pattern = found["FilterPattern"].replace("<aws>", "aws").replace("<here>", "eu-west-1:111122223333")
    assert len(pattern) <= 1024
    record = {
        "schemaType": "ModelInvocationLog",
        "modelId": "arn:aws:bedrock:eu-west-1:111122223333:prompt/PROMPT0001:3",
        "identity": {"arn": "arn:aws:sts::111122223333:assumed-role/batch/night"},
        **change,
    }
    assert metric_filters.compiled(pattern)(record) is counted


@pytest.mark.parametrize(
    ("model", "counted"),
    [
        ("amazon.nova-lite-v1:0", True),
        ("anthropic.claude-haiku-v1:0", False),
        ("arn:aws:bedrock:eu-west-1:111122223333:prompt/PROMPT0001:3", True),
    ],
)
def test_calls_of_models_are_counted_where_the_deployment_names_them(model: str, counted: bool) -> None:
    found = log(replace(KEPT, bypass_models=("amazon.nova-*",)))["LogPastTheSplit"]["Properties"]["FilterPattern"]
    pattern = found.replace("<aws>", "aws").replace("<here>", "eu-west-1:111122223333")
    record = {"schemaType": "ModelInvocationLog", "modelId": model, "identity": {"arn": "any"}}
    assert metric_filters.compiled(pattern)(record) is counted
    assert not metric_filters.compiled(pattern)({**record, "requestMetadata": {"prompt": "support"}})


def test_personal_data_is_masked_where_the_deployment_asks_for_it() -> None:
    masked = log(replace(KEPT, mask_personal_data=True))["LogGroup"]["Properties"]["DataProtectionPolicy"]
    kinds = (
        "EmailAddress",
        "CreditCardNumber",
        *(f"PhoneNumber-{c}" for c in ("US", "DE", "GB", "FR", "ES", "IT", "BR")),
    )
    named = [f"arn:<aws>:dataprotection::aws:data-identifier/{kind}" for kind in kinds]
    assert (masked["Name"], masked["Description"]) == (
        "personal-data",
        "Masks e-mail addresses, card and phone numbers",
    )
    assert [(statement["DataIdentifier"], statement["Operation"]) for statement in masked["Statement"]] == [
        (named, {"Audit": {"FindingsDestination": {}}}),
        (named, {"Deidentify": {"MaskConfig": {}}}),
    ]


def test_the_log_goes_with_a_deployment_that_is_not_kept() -> None:
    found = log(PASSING)
    assert found["LogGroup"] == {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"KmsKeyId": "<Key.Arn>", "RetentionInDays": 7},
        "UpdateReplacePolicy": "Delete",
        "DeletionPolicy": "Delete",
    }
    bodies = found["LogLargeBodies"]
    assert (bodies["UpdateReplacePolicy"], bodies["DeletionPolicy"]) == ("Delete", "Delete")
    assert bodies["Properties"]["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] == 7


def test_findings_are_accepted_for_the_bucket_and_the_accounts_own_setting() -> None:
    stack = alone()
    InvocationLog(stack, "Log", config=KEPT, key=kms.Key(stack, "Key"))
    assert accepted(stack) == {
        ("Alone/Log/LargeBodies", "AwsSolutions-S1"),
        ("Alone/Log/InvocationLogging/Role", "AwsSolutions-IAM5[Resource::*]"),
        ("Alone/Log/InvocationLogging", "AwsSolutions-L1"),
        ("Alone/Log/InvocationLogging", "AwsSolutions-IAM5[Resource::*]"),
    }
