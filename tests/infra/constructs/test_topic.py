"""Topics: who may publish, and who may subscribe."""

from infra.constructs.topic import AlarmTopic, ReviewerTopic
from tests.support.alone import KEPT, PASSING, alone, key, made


def test_alarms_of_this_account_with_the_right_names_publish_to_an_alarm_topic() -> None:
    stack = alone()
    AlarmTopic(stack, "Fuse", config=KEPT, key=key(stack), alarms="lane/*", shown_as="Promptlane fuse")
    assert made(stack) == {
        "FuseTopic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {
                "DisplayName": "Promptlane fuse",
                "KmsMasterKeyId": "arn:aws:kms:eu-west-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef",
            },
            "UpdateReplacePolicy": "Retain",
            "DeletionPolicy": "RetainExceptOnCreate",
        },
        "FuseTopicPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Action": "sns:Publish",
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                            "Effect": "Deny",
                            "Principal": "*",
                            "Resource": "<FuseTopic>",
                            "Sid": "AllowPublishThroughSSLOnly",
                        },
                        {
                            "Action": "sns:Publish",
                            "Condition": {
                                "StringEquals": {"aws:SourceAccount": "<AWS::AccountId>"},
                                "ArnLike": {"aws:SourceArn": "arn:<aws>:cloudwatch:<here>:alarm:lane/*"},
                            },
                            "Effect": "Allow",
                            "Principal": {"Service": "cloudwatch.amazonaws.com"},
                            "Resource": "<FuseTopic>",
                            "Sid": "AlarmsOfThisAccount",
                        },
                    ],
                    "Version": "2012-10-17",
                },
                "Topics": ["<FuseTopic>"],
            },
        },
    }


def test_nobody_but_the_deployment_subscribes_to_a_reviewers_topic() -> None:
    stack, admins = alone(), ["arn:aws:iam::*:role/deploy-*", "arn:aws:iam::*:user/root"]
    ReviewerTopic(stack, "Ann", config=KEPT, key=key(stack), email="ann@example.com", admins=admins)
    assert made(stack) == {
        "AnnTopic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {
                "DisplayName": "Promptlane review",
                "KmsMasterKeyId": "arn:aws:kms:eu-west-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef",
            },
            "UpdateReplacePolicy": "Retain",
            "DeletionPolicy": "RetainExceptOnCreate",
        },
        "AnnTopicPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Action": "sns:Publish",
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                            "Effect": "Deny",
                            "Principal": "*",
                            "Resource": "<AnnTopic>",
                            "Sid": "AllowPublishThroughSSLOnly",
                        },
                        {
                            "Action": [
                                "sns:AddPermission",
                                "sns:RemovePermission",
                                "sns:SetTopicAttributes",
                                "sns:Subscribe",
                            ],
                            "Condition": {
                                "ArnNotLike": {
                                    "aws:PrincipalArn": ["arn:aws:iam::*:role/deploy-*", "arn:aws:iam::*:user/root"]
                                }
                            },
                            "Effect": "Deny",
                            "Principal": {"AWS": "*"},
                            "Resource": "<AnnTopic>",
                            "Sid": "OnlyTheDeploymentChangesIt",
                        },
                    ],
                    "Version": "2012-10-17",
                },
                "Topics": ["<AnnTopic>"],
            },
        },
        "AnnTopicannexamplecom": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"Endpoint": "ann@example.com", "Protocol": "email", "TopicArn": "<AnnTopic>"},
        },
    }


def test_topics_go_with_a_deployment_that_is_not_kept() -> None:
    stack, known = alone(), key(alone())
    AlarmTopic(stack, "Fuse", config=PASSING, key=known, alarms="*", shown_as="Promptlane fuse")
    ReviewerTopic(stack, "Ann", config=PASSING, key=known, email="ann@example.com", admins=["*"])
    removal = {n: r["DeletionPolicy"] for n, r in made(stack).items() if r["Type"] == "AWS::SNS::Topic"}
    assert removal == {"FuseTopic": "Delete", "AnnTopic": "Delete"}
