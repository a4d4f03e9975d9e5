"""Encrypted topics whose policies name who may publish and who may subscribe."""

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.statements import all_but, arn, keep_out, let_in

_CHANGES = ["sns:Subscribe", "sns:AddPermission", "sns:RemovePermission", "sns:SetTopicAttributes"]


class AlarmTopic(Construct):
    """A topic that CloudWatch alarms of this account publish to; `alarms` is a pattern of their names."""

    def __init__(
        self, scope: Construct, id: str, *, config: DeploymentConfig, key: kms.IKey, alarms: str, shown_as: str
    ) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(self, "Topic", display_name=shown_as, master_key=key, enforce_ssl=True)
        self.topic.apply_removal_policy(config.removal)
        ours = {
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
            "ArnLike": {"aws:SourceArn": arn("cloudwatch", f"alarm:{alarms}")},
        }
        self.topic.add_to_resource_policy(
            let_in("cloudwatch.amazonaws.com", "AlarmsOfThisAccount", ["sns:Publish"], self.topic.topic_arn, ours)
        )


class ReviewerTopic(Construct):
    """One reviewer's own topic: a signed link reaches nobody else.

    Nobody but CloudFormation (and `admins`, patterns of principal ARNs) may subscribe or change the topic; confirming
    needs the token from the mail, so it stays open.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: DeploymentConfig,
        key: kms.IKey,
        email: str,
        admins: Sequence[str],
    ) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(self, "Topic", display_name="Promptlane review", master_key=key, enforce_ssl=True)
        self.topic.apply_removal_policy(config.removal)
        self.topic.add_subscription(subscriptions.EmailSubscription(email))
        self.topic.add_to_resource_policy(
            keep_out(all_but(list(admins)), "OnlyTheDeploymentChangesIt", _CHANGES, self.topic.topic_arn)
        )
