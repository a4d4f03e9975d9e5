"""The state machine's resources; tests/infra/test_workflow_role.py compares its definition with its role."""

from infra.constructs.workflow import DEFINITION, ReleaseWorkflow
from tests.support.alone import KEPT, PASSING, accepted, alone, function, key, made
from tests.support.synthesized import Json


def machine(kept: bool = True) -> tuple[dict[str, Json], set[tuple[str, str]]]:
    stack = alone()
    functions = {"plan_tests": function(stack, "plan"), "shift": function(stack, "shift")}
    ReleaseWorkflow(
        stack,
        "Release",
        config=KEPT if kept else PASSING,
        functions=functions,
        reports_arn="arn:aws:s3:::reports",
        reports_key=key(stack),
    )
    return made(stack), accepted(stack)


def test_the_machine_is_the_file_under_a_role_that_holds_what_its_tasks_need() -> None:
    found, _ = machine()
    assert found["ReleaseMachine"]["Properties"].pop("DefinitionString") == DEFINITION.read_text(encoding="utf-8")
    assert found == {
        "ReleaseLog": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {
                "LogGroupName": "/aws/vendedlogs/states/lane-release-<end of the stack's id>",
                "RetentionInDays": 30,
            },
            "UpdateReplacePolicy": "Retain",
            "DeletionPolicy": "RetainExceptOnCreate",
        },
        "ReleaseRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Statement": [
                        {
                            "Action": "sts:AssumeRole",
                            "Effect": "Allow",
                            "Principal": {"Service": "states.amazonaws.com"},
                        }
                    ],
                    "Version": "2012-10-17",
                },
                "Description": "What the release workflow of lane may do",
            },
        },
        "ReleaseRoleDefaultPolicy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Action": "lambda:InvokeFunction",
                            "Effect": "Allow",
                            "Resource": [
                                "arn:aws:lambda:eu-west-1:111122223333:function:plan",
                                "arn:aws:lambda:eu-west-1:111122223333:function:shift",
                            ],
                            "Sid": "Tasks",
                        },
                        {
                            "Action": "states:StartExecution",
                            "Effect": "Allow",
                            "Resource": "arn:<aws>:states:<here>:stateMachine:lane-release",
                            "Sid": "StartMapRuns",
                        },
                        {
                            "Action": ["states:DescribeExecution", "states:StopExecution"],
                            "Effect": "Allow",
                            "Resource": [
                                "arn:<aws>:states:<here>:execution:lane-release/*",
                                "arn:<aws>:states:<here>:execution:lane-release:*",
                            ],
                            "Sid": "FollowMapRuns",
                        },
                        {
                            "Action": "s3:GetObject",
                            "Effect": "Allow",
                            "Resource": "arn:aws:s3:::reports/releases/*",
                            "Sid": "ReadItems",
                        },
                        {
                            "Action": [
                                "s3:AbortMultipartUpload",
                                "s3:GetObject",
                                "s3:ListMultipartUploadParts",
                                "s3:PutObject",
                            ],
                            "Effect": "Allow",
                            "Resource": "arn:aws:s3:::reports/releases/*/map/*",
                            "Sid": "WriteResults",
                        },
                        {
                            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                            "Effect": "Allow",
                            "Resource": "arn:aws:kms:eu-west-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef",
                            "Sid": "ReportsKey",
                        },
                        {
                            "Action": [
                                "logs:CreateLogDelivery",
                                "logs:DeleteLogDelivery",
                                "logs:DescribeLogGroups",
                                "logs:DescribeResourcePolicies",
                                "logs:GetLogDelivery",
                                "logs:ListLogDeliveries",
                                "logs:PutResourcePolicy",
                                "logs:UpdateLogDelivery",
                                "xray:GetSamplingRules",
                                "xray:GetSamplingTargets",
                                "xray:PutTelemetryRecords",
                                "xray:PutTraceSegments",
                            ],
                            "Effect": "Allow",
                            "Resource": "*",
                        },
                    ],
                    "Version": "2012-10-17",
                },
                "PolicyName": "ReleaseRoleDefaultPolicy",
                "Roles": ["<ReleaseRole>"],
            },
        },
        "ReleaseMachine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "DefinitionSubstitutions": {
                    "Partition": "<aws>",
                    "PlanTestsFunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:plan",
                    "ShiftFunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:shift",
                },
                "LoggingConfiguration": {
                    "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": "<ReleaseLog.Arn>"}}],
                    "IncludeExecutionData": False,
                    "Level": "ERROR",
                },
                "RoleArn": "<ReleaseRole.Arn>",
                "StateMachineName": "lane-release",
                "TracingConfiguration": {"Enabled": True},
            },
            "DependsOn": ["ReleaseRoleDefaultPolicy", "ReleaseRole"],
            "UpdateReplacePolicy": "Delete",
            "DeletionPolicy": "Delete",
        },
    }


def test_findings_are_accepted_for_the_role_and_the_log_level() -> None:
    assert machine()[1] == {
        (
            "Alone/Release/Role",
            "AwsSolutions-IAM5[Resource::arn:<aws>:states:<here>:execution:lane-release:*]",
        ),
        ("Alone/Release", "AwsSolutions-SF1"),
        ("Alone/Release/Role", "AwsSolutions-IAM5[Resource::arn:aws:s3:::reports/releases/*/map/*]"),
        (
            "Alone/Release/Role",
            "AwsSolutions-IAM5[Resource::arn:<aws>:states:<here>:execution:lane-release/*]",
        ),
        ("Alone/Release/Role", "AwsSolutions-IAM5[Resource::*]"),
        ("Alone/Release/Role", "AwsSolutions-IAM5[Resource::arn:aws:s3:::reports/releases/*]"),
    }


def test_the_machines_log_goes_with_a_deployment_that_is_not_kept() -> None:
    assert machine(kept=False)[0]["ReleaseLog"] == {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {
            "LogGroupName": "/aws/vendedlogs/states/lane-release-<end of the stack's id>",
            "RetentionInDays": 7,
        },
        "UpdateReplacePolicy": "Delete",
        "DeletionPolicy": "Delete",
    }
