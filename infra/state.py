"""What the State stack holds, as the constructs and the other stacks know it."""

from dataclasses import dataclass

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns


@dataclass(frozen=True, kw_only=True)
class State:
    """Made by `infra.stacks.state`, which needs nothing of the others."""

    route_table: dynamodb.Table
    release_table: dynamodb.Table
    feedback_table: dynamodb.Table
    report_bucket: s3.Bucket
    report_bucket_arn: str
    version_bucket: s3.Bucket
    version_bucket_arn: str
    event_bus: events.EventBus
    notices: sns.Topic
    alarms: sns.Topic
    data_key: kms.Key
    message_key: kms.Key
    review_key: kms.Key
    receipt_key: kms.Key
