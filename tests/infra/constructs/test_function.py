"""A function: what it is given, and that it is given nothing else."""

import aws_cdk.aws_lambda as lambda_
from aws_cdk import Duration

from infra.constructs.function import Function
from infra.constructs.grants import allow
from tests.support.alone import KEPT, PASSING, PLACE, accepted, alone, made, queue

GRANTS = [
    allow("ReadReports", ["s3:GetObject"], ["arn:aws:s3:::reports/*"], because="Objects are named by release."),
    allow("SendNotices", ["sns:Publish"], [f"arn:aws:sns:{PLACE}:notices"]),
]


def test_a_function_has_its_own_role_and_log_and_all_that_was_asked_for() -> None:
    stack = alone()
    layer = lambda_.LayerVersion.from_layer_version_arn(stack, "L", f"arn:aws:lambda:{PLACE}:layer:packages:1")
    Function(
        stack,
        verb="shift",
        description="Promptlane: shifts",
        config=KEPT,
        environment={"ROUTE_TABLE": "r"},
        grants=GRANTS,
        layers=[layer],
        timeout=Duration.seconds(45),
        memory_mib=512,
        reserved_concurrency=7,
        dead_letters=queue(stack),
    )
    found = made(stack)
    assert found.pop("Sdk")["Type"] == "AWS::Lambda::LayerVersion"
    assert found == {
        "ShiftLog": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"RetentionInDays": 30},
            "UpdateReplacePolicy": "Retain",
            "DeletionPolicy": "RetainExceptOnCreate",
        },
        "ShiftRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Statement": [
                        {
                            "Action": "sts:AssumeRole",
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                        }
                    ],
                    "Version": "2012-10-17",
                },
                "Description": "What the function shift of lane may do",
            },
        },
        "ShiftRoleDefaultPolicy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                            "Effect": "Allow",
                            "Resource": "<ShiftLog.Arn>",
                            "Sid": "WriteLog",
                        },
                        {
                            "Action": "s3:GetObject",
                            "Effect": "Allow",
                            "Resource": "arn:aws:s3:::reports/*",
                            "Sid": "ReadReports",
                        },
                        {
                            "Action": "sns:Publish",
                            "Effect": "Allow",
                            "Resource": "arn:aws:sns:eu-west-1:111122223333:notices",
                            "Sid": "SendNotices",
                        },
                        {
                            "Action": "sqs:SendMessage",
                            "Effect": "Allow",
                            "Resource": "arn:aws:sqs:eu-west-1:111122223333:letters",
                        },
                        {
                            "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
                            "Effect": "Allow",
                            "Resource": "*",
                        },
                    ],
                    "Version": "2012-10-17",
                },
                "PolicyName": "ShiftRoleDefaultPolicy",
                "Roles": ["<ShiftRole>"],
            },
        },
        "ShiftFunction": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Architectures": ["arm64"],
                "Code": {"S3Bucket": "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}", "S3Key": "HASH.zip"},
                "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:eu-west-1:111122223333:letters"},
                "Description": "Promptlane: shifts",
                "Environment": {"Variables": {"ROUTE_TABLE": "r"}},
                "Handler": "functions.shift.handler.handle",
                "Layers": ["arn:aws:lambda:eu-west-1:111122223333:layer:packages:1", "<Sdk>"],
                "LoggingConfig": {"LogFormat": "Text", "LogGroup": "<ShiftLog>"},
                "MemorySize": 512,
                "ReservedConcurrentExecutions": 7,
                "Role": "<ShiftRole.Arn>",
                "Runtime": "python3.13",
                "Timeout": 45,
                "TracingConfig": {"Mode": "Active"},
            },
            "DependsOn": ["ShiftRoleDefaultPolicy", "ShiftRole"],
        },
    }


def test_without_more_a_function_is_small_quick_and_alone() -> None:
    stack = alone()
    Function(stack, verb="operate", description="Promptlane: o", config=PASSING, environment={}, grants=[])
    found = made(stack)
    assert (found["OperateLog"], found["OperateFunction"]) == (
        {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"RetentionInDays": 7},
            "UpdateReplacePolicy": "Delete",
            "DeletionPolicy": "Delete",
        },
        {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Architectures": ["arm64"],
                "Code": {"S3Bucket": "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}", "S3Key": "HASH.zip"},
                "Description": "Promptlane: o",
                "Handler": "functions.operate.handler.handle",
                "Layers": ["<Sdk>"],
                "LoggingConfig": {"LogFormat": "Text", "LogGroup": "<OperateLog>"},
                "MemorySize": 256,
                "Role": "<OperateRole.Arn>",
                "Runtime": "python3.13",
                "Timeout": 30,
                "TracingConfig": {"Mode": "Active"},
            },
            "DependsOn": ["OperateRoleDefaultPolicy", "OperateRole"],
        },
    )


def test_findings_are_accepted_for_the_function_and_for_each_pattern_of_a_grant() -> None:
    stack = alone()
    Function(stack, verb="shift", description="s", config=KEPT, environment={}, grants=GRANTS)
    assert accepted(stack) == {
        ("Alone/Shift", "AwsSolutions-IAM5[Resource::*]"),
        ("Alone/Shift", "AwsSolutions-L1"),
        ("Alone/Shift/Role", "AwsSolutions-IAM5[Resource::arn:aws:s3:::reports/*]"),
    }
