"""Encrypted topics whose policies name who may publish and who may subscribe."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.statements import all_but, arn, keep_out, let_in, role

_CHANGES = ["sns:AddPermission", "sns:RemovePermission", "sns:SetTopicAttributes"]
_SUBSCRIBE = ["sns:Subscribe"]


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

    def only_alarms_publish(self) -> None:
        """No role or user of the account, whatever their own policies allow."""
        people = {"Bool": {"aws:PrincipalIsAWSService": "false"}}
        self.topic.add_to_resource_policy(keep_out(people, "OnlyAlarmsPublish", ["sns:Publish"], self.topic.topic_arn))


class ReviewerTopic(Construct):
    """One reviewer's own topic: a signed link reaches nobody else.

    CloudFormation (and `subscription_admins`) subscribes and changes it. Operators may have SNS ask the reviewer again,
    at this very address and by email alone; nobody else subscribes anything. Confirming needs the token from the mail,
    so it stays open.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: DeploymentConfig,
        key: kms.IKey,
        email: str,
    ) -> None:
        super().__init__(scope, id)
        admins = subscription_admins(config)
        self.topic = sns.Topic(self, "Topic", display_name="Promptlane review", master_key=key, enforce_ssl=True)
        # It holds a subscription and nothing else; left behind, it would go on mailing somebody who left.
        self.topic.apply_removal_policy(RemovalPolicy.DESTROY)
        self.topic.add_subscription(subscriptions.EmailSubscription(email))
        self._keep_out("OnlyTheDeploymentChangesIt", all_but(admins), _CHANGES)
        self._keep_out("OnlyOperatorsSubscribe", all_but([*admins, operators(config)]), _SUBSCRIBE)
        for sid, key_, value in (
            ("OnlyByEmail", "sns:Protocol", "email"),
            ("OnlyThisAddress", "sns:Endpoint", email),
        ):
            self._keep_out(sid, {**all_but(admins), "StringNotEquals": {key_: value}}, _SUBSCRIBE)

    def _keep_out(self, sid: str, who: Mapping[str, Any], actions: Sequence[str]) -> None:
        self.topic.add_to_resource_policy(keep_out(who, sid, actions, self.topic.topic_arn))


def subscription_admins(config: DeploymentConfig) -> list[str]:
    """Patterns of the principals that subscribe whom the deployment declares: CloudFormation's own, unless named."""
    return list(config.subscription_admins) or [role("cdk-*-cfn-exec-role-*")]


def operators(config: DeploymentConfig) -> str:
    """The Access stack's role of operators, by name, since that stack needs those that ask."""
    return role(f"{config.name}-access-OperatorRole*")


def only_declared_addresses(topic: sns.Topic, emails: Sequence[str], admins: list[str]) -> None:
    """Whom this topic mails stands in the deployment. Other protocols are left to the account's own rights."""
    mail = {"StringEquals": {"sns:Protocol": ["email", "email-json"]}}
    undeclared = {"StringNotEquals": {"sns:Endpoint": list(emails)}}
    who = {**all_but(admins), **mail, **undeclared}
    topic.add_to_resource_policy(keep_out(who, "OnlyDeclaredAddresses", _SUBSCRIBE, topic.topic_arn))
