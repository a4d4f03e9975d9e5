"""Topics: who may publish, and who may subscribe."""

from dataclasses import replace

from infra.constructs.topic import AlarmTopic, ReviewerTopic, only_declared_addresses
from tests.support.alone import KEPT, PASSING, alone, key, made
from tests.support.synthesized import Json


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


ADMINS = ["arn:aws:iam::*:role/deploy-*", "arn:aws:iam::*:user/root"]
OPERATORS = "arn:<aws>:iam::<AWS::AccountId>:role/lane-access-OperatorRole*"


def denial(topic: str, sid: str, actions: Json, *but: str, **conditions: Json) -> Json:
    others = {"ArnNotLike": {"aws:PrincipalArn": [*ADMINS, *but]}}
    return {
        "Action": actions,
        "Condition": {**others, **conditions},
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Resource": f"<{topic}>",
        "Sid": sid,
    }


def test_nobody_but_the_deployment_and_operators_subscribe_a_reviewer_and_nobody_anybody_else() -> None:
    stack, config = alone(), replace(KEPT, subscription_admins=tuple(ADMINS))
    ReviewerTopic(stack, "Ann", config=config, key=key(stack), email="ann@example.com")
    changes = ["sns:AddPermission", "sns:RemovePermission", "sns:SetTopicAttributes"]
    ask = "sns:Subscribe"
    assert made(stack) == {
        "AnnTopic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {
                "DisplayName": "Promptlane review",
                "KmsMasterKeyId": "arn:aws:kms:eu-west-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef",
            },
            "UpdateReplacePolicy": "Delete",
            "DeletionPolicy": "Delete",
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
                        denial("AnnTopic", "OnlyTheDeploymentChangesIt", changes),
                        denial("AnnTopic", "OnlyOperatorsSubscribe", ask, OPERATORS),
                        denial("AnnTopic", "OnlyByEmail", ask, StringNotEquals={"sns:Protocol": "email"}),
                        denial("AnnTopic", "OnlyThisAddress", ask, StringNotEquals={"sns:Endpoint": "ann@example.com"}),
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


def test_by_email_a_topic_reaches_nobody_who_is_not_declared() -> None:
    stack = alone()
    topic = AlarmTopic(stack, "Notices", config=KEPT, key=key(stack), alarms="*", shown_as="Notices").topic
    only_declared_addresses(topic, ["a@example.com", "b@example.com"], ADMINS)
    document = made(stack)["NoticesTopicPolicy"]["Properties"]["PolicyDocument"]
    mails, others = {"sns:Protocol": ["email", "email-json"]}, {"sns:Endpoint": ["a@example.com", "b@example.com"]}
    assert document["Statement"][2:] == [
        denial("NoticesTopic", "OnlyDeclaredAddresses", "sns:Subscribe", StringEquals=mails, StringNotEquals=others)
    ]


def test_a_topic_may_be_closed_to_everybody_but_aws_services() -> None:
    stack = alone()
    fuse = AlarmTopic(stack, "Fuse", config=KEPT, key=key(stack), alarms="lane/*", shown_as="Promptlane fuse")
    fuse.only_alarms_publish()
    document = made(stack)["FuseTopicPolicy"]["Properties"]["PolicyDocument"]
    assert document["Statement"][2:] == [
        {
            "Action": "sns:Publish",
            "Condition": {"Bool": {"aws:PrincipalIsAWSService": "false"}},
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Resource": "<FuseTopic>",
            "Sid": "OnlyAlarmsPublish",
        }
    ]


def test_the_topic_of_alarms_goes_with_a_deployment_that_is_not_kept() -> None:
    stack, known = alone(), key(alone())
    AlarmTopic(stack, "Fuse", config=PASSING, key=known, alarms="*", shown_as="Promptlane fuse")
    removal = {n: r["DeletionPolicy"] for n, r in made(stack).items() if r["Type"] == "AWS::SNS::Topic"}
    assert removal == {"FuseTopic": "Delete"}
