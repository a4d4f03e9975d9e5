"""What calls functions without being asked: published versions, schedules, dead executions, the timeline."""

import json

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from infra.config import DeploymentConfig
from infra.constructs.queue import DeadLetters
from promptlane.domain.keys import TIMELINE
from promptlane.domain.names import DRILL_NEVER, NAMESPACE, drill_alarm_name
from promptlane.domain.release.timeline import Event
from promptlane.domain.release.trigger import CHANGES
from promptlane.domain.review.edits import RECORDED

_NEW_TIMELINE_ENTRIES = {"eventName": ["INSERT"], "dynamodb": {"Keys": {"pk": {"S": [{"prefix": TIMELINE}]}}}}


def on_published_version(
    stack: Stack, intake: lambda_.Function, *, requests: sqs.IQueue, undelivered: DeadLetters
) -> None:
    """What makes, edits, publishes or deletes a prompt → queue → intake. Bedrock signs as
    `bedrock.amazonaws.com`; the other name costs nothing."""
    rule = events.Rule(
        stack,
        "VersionCreated",
        description="A Bedrock prompt was created, edited, published or deleted",
        event_pattern=events.EventPattern(
            source=["aws.bedrock", "aws.bedrock-agent"],
            detail_type=["AWS API Call via CloudTrail"],
            detail={
                "eventSource": ["bedrock.amazonaws.com", "bedrock-agent.amazonaws.com"],
                "eventName": sorted({*RECORDED, *CHANGES}),
                "errorCode": [{"exists": False}],
            },
        ),
    )
    rule.add_target(targets.SqsQueue(requests, dead_letter_queue=undelivered.queue, max_event_age=Duration.hours(24)))
    intake.add_event_source(
        sources.SqsEventSource(requests, batch_size=5, report_batch_item_failures=True, max_concurrency=2)
    )


def on_dead_execution(stack: Stack, wind_up: lambda_.Function, *, machine_arn: str, undelivered: DeadLetters) -> None:
    rule = events.Rule(
        stack,
        "ExecutionDied",
        description="A release's execution failed, timed out or was stopped",
        event_pattern=events.EventPattern(
            source=["aws.states"],
            detail_type=["Step Functions Execution Status Change"],
            detail={"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [machine_arn]},
        ),
    )
    _call(rule, wind_up, undelivered)


def on_started_release(
    stack: Stack, housekeep: lambda_.Function, *, bus: events.IEventBus, undelivered: DeadLetters
) -> None:
    """Room for the next versions: a publication took one place, and Bedrock has ten."""
    rule = events.Rule(
        stack,
        "ReleaseStarted",
        event_bus=bus,
        description="A release started: housekeep makes room for its prompt's next versions",
        event_pattern=events.EventPattern(source=["promptlane"], detail_type=[str(Event.STARTED)]),
    )
    _call(rule, housekeep, undelivered)


def drill_alarm(stack: Stack, *, deployment: str, topic: sns.ITopic) -> None:
    """The alarm that drills set: it reads what nobody writes, so that CloudWatch puts it back to OK by itself."""
    name = drill_alarm_name(deployment)
    cloudwatch.CfnAlarm(
        stack,
        "DrillAlarm",
        alarm_name=name,
        alarm_description="Set by `promptlane drill`: walks the way from an alarm to the route, and moves no traffic.",
        alarm_actions=[topic.topic_arn],
        namespace=NAMESPACE,
        metric_name=DRILL_NEVER,
        statistic="Sum",
        period=60,
        evaluation_periods=1,
        threshold=1,
        comparison_operator="GreaterThanOrEqualToThreshold",
        treat_missing_data="notBreaching",
    )


def on_schedules(
    stack: Stack, made: dict[str, lambda_.Function], *, config: DeploymentConfig, undelivered: DeadLetters
) -> None:
    drills = [("drill", "Proves the way back of every prompt", Duration.hours(config.drill_hours))]
    for verb, description, every in (
        *(drills if config.drill_hours else ()),
        ("reconcile", "Looks for what an event should have told", Duration.minutes(config.reconcile_minutes)),
        ("remind", "Looks for reviews that expire soon", Duration.minutes(5)),
        ("housekeep", "Archives versions, and deletes the oldest that nobody needs", Duration.days(1)),
    ):
        schedule = events.Schedule.rate(every)
        rule = events.Rule(stack, f"{verb.capitalize()}Schedule", description=description, schedule=schedule)
        _call(rule, made[verb], undelivered)


def on_timeline(stack: Stack, relay: lambda_.Function, *, stream_arn: str, unrelayed: DeadLetters) -> None:
    """Tries a record again for an hour, whatever is down; then those behind it have their turn."""
    lambda_.CfnEventSourceMapping(
        stack,
        "Timeline",
        function_name=relay.function_arn,
        event_source_arn=stream_arn,
        starting_position="TRIM_HORIZON",
        batch_size=50,
        maximum_retry_attempts=-1,
        maximum_record_age_in_seconds=3600,
        bisect_batch_on_function_error=True,
        function_response_types=["ReportBatchItemFailures"],
        destination_config={"onFailure": {"destination": unrelayed.queue.queue_arn}},
        filter_criteria={"filters": [{"pattern": json.dumps(_NEW_TIMELINE_ENTRIES)}]},
    )


def _call(rule: events.Rule, function: lambda_.Function, undelivered: DeadLetters) -> None:
    rule.add_target(
        targets.LambdaFunction(function, dead_letter_queue=undelivered.queue, max_event_age=Duration.hours(2))
    )
