"""Queues and their dead letters."""

from aws_cdk import Duration

from infra.constructs.queue import DeadLetters, WorkQueue
from tests.support.alone import alone, key, made


def test_dead_letters_are_encrypted_and_kept_for_two_weeks() -> None:
    stack = alone()
    DeadLetters(stack, "Dead", key=key(stack), holds="what was lost")
    assert made(stack) == {
        "DeadQueue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "KmsDataKeyReusePeriodSeconds": 3600,
                "KmsMasterKeyId": "arn:aws:kms:eu-west-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef",
                "MessageRetentionPeriod": 1209600,
            },
            "UpdateReplacePolicy": "Delete",
            "DeletionPolicy": "Delete",
        },
        "DeadQueuePolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Action": "sqs:*",
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                            "Effect": "Deny",
                            "Principal": {"AWS": "*"},
                            "Resource": "<DeadQueue.Arn>",
                        }
                    ],
                    "Version": "2012-10-17",
                },
                "Queues": ["<DeadQueue>"],
            },
        },
    }


def test_what_people_do_about_dead_letters_can_be_said() -> None:
    stack = alone()
    known = key(stack)
    usual = DeadLetters(stack, "Dead", key=known, holds="what was lost")
    assert (usual.holds, usual.remedy) == ("what was lost", "Read the queue, fix the cause, then move them back.")
    assert (
        DeadLetters(stack, "Other", key=known, holds="what nobody took", remedy="Look first.").remedy == "Look first."
    )


def test_a_message_is_hidden_six_times_as_long_as_its_work_takes_and_ends_in_the_dead_letters() -> None:
    stack = alone()
    known = key(stack)
    dead = DeadLetters(stack, "Dead", key=known, holds="what nobody took")
    within = Duration.seconds(20)
    WorkQueue(stack, "Work", key=known, dead_letters=dead, worked_within=within)
    WorkQueue(stack, "Tried", key=known, dead_letters=dead, worked_within=within, attempts=3)
    found = made(stack)
    assert {name: found[name] for name in ("WorkQueue", "WorkQueuePolicy")} == {
        "WorkQueue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "KmsDataKeyReusePeriodSeconds": 3600,
                "KmsMasterKeyId": "arn:aws:kms:eu-west-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef",
                "MessageRetentionPeriod": 345600,
                "RedrivePolicy": {"deadLetterTargetArn": "<DeadQueue.Arn>", "maxReceiveCount": 5},
                "VisibilityTimeout": 120,
            },
            "UpdateReplacePolicy": "Delete",
            "DeletionPolicy": "Delete",
        },
        "WorkQueuePolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Action": "sqs:*",
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                            "Effect": "Deny",
                            "Principal": {"AWS": "*"},
                            "Resource": "<WorkQueue.Arn>",
                        }
                    ],
                    "Version": "2012-10-17",
                },
                "Queues": ["<WorkQueue>"],
            },
        },
    }
    assert found["TriedQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"] == 3
