"""Encrypted topics whose policies name who may publish and who may subscribe."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Aws, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.config import DeploymentConfig

_CHANGES = ["sns:Subscribe", "sns:AddPermission", "sns:RemovePermission", "sns:SetTopicAttributes"]


class AlarmTopic(Construct):
    """A topic that CloudWatch alarms of this account publish to; `alarms` is a pattern of their names."""

    def __init__(
        self, scope: Construct, id: str, *, config: DeploymentConfig, key: kms.IKey, alarms: str, shown_as: str
    ) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(self, "Topic", display_name=shown_as, master_key=key, enforce_ssl=True)
        self.topic.apply_removal_policy(RemovalPolicy.RETAIN if config.retain else RemovalPolicy.DESTROY)
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccount",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {
                        "aws:SourceArn": Stack.of(self).format_arn(
                            service="cloudwatch",
                            resource="alarm",
                            resource_name=alarms,
                            arn_format=ArnFormat.COLON_RESOURCE_NAME,
                        )
                    },
                },
            )
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
        self.topic.apply_removal_policy(RemovalPolicy.RETAIN if config.retain else RemovalPolicy.DESTROY)
        self.topic.add_subscription(subscriptions.EmailSubscription(email))
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="OnlyTheDeploymentChangesIt",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=_CHANGES,
                resources=[self.topic.topic_arn],
                conditions={"ArnNotLike": {"aws:PrincipalArn": list(admins)}},
            )
        )
