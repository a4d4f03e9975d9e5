"""Every check, in the order in which people read them."""

from __future__ import annotations

from typing import Final

from . import asked, bedrock, deployed, watched
from .report import Check

_RESOURCES: Final = ("cloudformation:DescribeStacks", "cloudformation:ListStackResources")

CHECKS: Final = (
    Check(
        id="stacks",
        about="CloudFormation's stacks are whole, and as they were deployed",
        look=deployed.stacks,
        asks=("cloudformation:DescribeStacks",),
    ),
    Check(
        id="version",
        about="what is deployed and this command are of one version",
        look=deployed.version,
        asks=("ssm:GetParametersByPath",),
    ),
    Check(
        id="role-names",
        about="functions' roles have names that the resource policies let in",
        look=deployed.role_names,
        asks=_RESOURCES,
        settles=("role-names",),
    ),
    Check(
        id="keys",
        about="every KMS key of the deployment is enabled",
        look=deployed.keys,
        asks=(*_RESOURCES, "kms:DescribeKey"),
    ),
    Check(
        id="lambda-quota",
        about="the account has concurrent executions to spare",
        look=deployed.concurrency,
        asks=("lambda:GetAccountSettings",),
        settles=("fresh-quota",),
    ),
    Check(
        id="prompt-quota",
        about="the Region has room for more prompts",
        look=bedrock.quotas,
        asks=("servicequotas:ListServiceQuotas", "bedrock:ListPrompts"),
        settles=("prompt-quota",),
    ),
    Check(
        id="clock",
        about="this machine's clock agrees with AWS's",
        look=deployed.clock,
        asks=("sts:GetCallerIdentity",),
    ),
    Check(
        id="trail",
        about="a trail records who edits and publishes prompts, and delivers",
        look=watched.trail,
        asks=("cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus", "cloudtrail:GetEventSelectors"),
    ),
    Check(
        id="rules",
        about="schedules and rules are enabled, and reach what they call",
        look=watched.rules,
        asks=(
            *_RESOURCES,
            "events:DescribeRule",
            "cloudwatch:GetMetricStatistics",
        ),
    ),
    Check(
        id="streams",
        about="functions read their queue and their stream",
        look=watched.mappings,
        asks=("lambda:ListEventSourceMappings",),
        settles=("list-streams",),
    ),
    Check(
        id="dead-letters",
        about="nothing lies in the dead letters",
        look=watched.dead_letters,
        asks=(*_RESOURCES, "sqs:GetQueueAttributes"),
    ),
    Check(
        id="events",
        about="versions were noticed by their event, not by reconcile alone",
        look=asked.events,
        asks=("dynamodb:GetItem", "dynamodb:Query"),
        settles=("sender-id",),
    ),
    Check(
        id="alarms",
        about="alarms are there, tell somebody, and none is red",
        look=watched.alarms,
        asks=("cloudwatch:DescribeAlarms",),
    ),
    Check(
        id="notices",
        about="somebody gets the notices, and the fuse reaches roll_back",
        look=asked.notices,
        asks=("sns:ListSubscriptionsByTopic",),
    ),
    Check(
        id="reviewers",
        about="every reviewer's email arrives",
        look=asked.reviewers,
        asks=("ssm:GetParametersByPath", "sns:ListSubscriptionsByTopic", "sns:GetSubscriptionAttributes"),
    ),
    Check(
        id="enrolments",
        about="every enrolled prompt is in Bedrock, and is the one that its name was fixed to",
        look=asked.enrolments,
        asks=("dynamodb:GetItem", "dynamodb:Query", "bedrock:GetPrompt", "bedrock:ListPrompts"),
    ),
    Check(
        id="models",
        about="the models of what everybody gets may be called",
        look=bedrock.models,
        asks=(
            "dynamodb:Scan",
            "bedrock:GetPrompt",
            "bedrock:GetFoundationModelAvailability",
            "bedrock:GetInferenceProfile",
        ),
    ),
    Check(
        id="invocation-log",
        about="model calls are logged where the deployment reads them",
        look=bedrock.logging,
        asks=("bedrock:GetModelInvocationLoggingConfiguration",),
    ),
    Check(
        id="log-records",
        about="records of model calls are as the alarm and the investigation read them",
        look=bedrock.records,
        asks=("logs:FilterLogEvents",),
        settles=("log-model-id", "log-input"),
    ),
    Check(
        id="trial-prompt",
        about="what Bedrock does with versions, names and numbers of a prompt",
        look=bedrock.trial,
        asks=(
            "bedrock:CreatePrompt",
            "bedrock:UpdatePrompt",
            "bedrock:GetPrompt",
            "bedrock:CreatePromptVersion",
            "bedrock:DeletePrompt",
        ),
        settles=("eleventh-version", "rename-at-once", "numbers", "created-at", "two-of-a-name"),
        writes="it makes a prompt with ten versions, and deletes it again",
    ),
)
"""Ids are unlike each other; what one asks for is all that its adapter calls."""
