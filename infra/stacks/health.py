"""What tells people that Promptlane itself does not work: every alarm on our own functions, queues and schedules."""

from collections.abc import Iterator, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_

from infra.config import DeploymentConfig
from infra.constructs.grants import stream_function_name
from infra.constructs.health import MOST_METRICS, Health, counted, total
from infra.constructs.invocation_log import InvocationLog
from infra.stacks.pipeline.stack import PipelineStack
from infra.stacks.runtime import RuntimeStack
from infra.state import State

LAMBDA, STATES, SQS = "AWS/Lambda", "AWS/States", "AWS/SQS"
REFUSE_ON_PURPOSE = ("admit", "plan_tests")
"""A refused version is an error of the function to Lambda, and a release that ends as failed to everybody else."""
ALONE = ("roll_back", "drill")
"""Have an alarm of their own, at the first error; `drill` where it runs by itself."""
_MINUTE, _FIVE, _QUARTER, _HOUR = (Duration.minutes(n) for n in (1, 5, 15, 60))
_REMIND_MINUTES = 5


def watch_ourselves(
    health: Health,
    *,
    config: DeploymentConfig,
    state: State,
    pipeline: PipelineStack,
    runtime: RuntimeStack,
    invocations: InvocationLog | None,
) -> None:
    """Make every alarm on the deployment itself."""
    _functions(health, {**pipeline.functions, "gateway": runtime.gateway})
    _roll_back(health, pipeline.functions["roll_back"], alarms_topic=state.alarms.topic_name)
    _releases(health, pipeline)
    _dead_letters(health, pipeline)
    _schedules(health, pipeline.functions, reconcile_minutes=config.reconcile_minutes)
    if config.drill_hours:
        _drills(health, pipeline.functions, every=config.drill_hours)
    _apis(health, pipeline, runtime)
    if config.streams:
        _streams(health, stream_function_name(config.name), at_once=config.streams)
    _tables(health, {"routes": state.route_table.table_name, "releases": state.release_table.table_name})
    if invocations is not None:  # without a log of ours nothing would ever be counted
        _past_the_split(health, invocations)


def _functions(health: Health, made: dict[str, lambda_.Function]) -> None:
    """Single errors are tried again, by whoever called; three within a quarter of an hour are none that go away."""
    shared = sorted(set(made) - {*ALONE})
    failing = [verb for verb in shared if verb not in REFUSE_ON_PURPOSE]
    for number, verbs in enumerate(_groups(failing), 1):
        health.tell(
            f"functions-failing-{number}",
            f"Functions failed three times within 15 minutes; one of: {', '.join(verbs)}.",
            "Read the log of the one with errors; what it was called for is tried again or lies in the dead letters.",
            reads=_of_functions(made, verbs, "Errors"),
            expression=total(verbs),
            period=_QUARTER,
            threshold=3,
        )
    for number, verbs in enumerate(_groups(shared), 1):
        health.tell(
            f"functions-throttled-{number}",
            f"Lambda has kept functions waiting for 15 minutes; one of: {', '.join(verbs)}.",
            "Find what uses up the account's concurrent executions, or ask for a larger quota.",
            reads=_of_functions(made, verbs, "Throttles"),
            expression=total(verbs),
            period=_FIVE,
            of=(3, 4),
        )


def _groups(verbs: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(verbs), MOST_METRICS):
        yield verbs[first : first + MOST_METRICS]


def _of_functions(made: dict[str, lambda_.Function], verbs: Sequence[str], metric: str) -> dict[str, cloudwatch.Metric]:
    return {verb: counted(LAMBDA, metric, FunctionName=made[verb].function_name) for verb in verbs}


def _roll_back(health: Health, roll_back: lambda_.Function, *, alarms_topic: str) -> None:
    name = roll_back.function_name
    health.tell(
        "roll-back-failing",
        "roll_back failed or was kept waiting: a version that does harm may still have traffic.",
        "Look at once: promptlane status, then promptlane rollback for what is not back; then its log.",
        reads={one.lower(): counted(LAMBDA, one, FunctionName=name) for one in ("Errors", "Throttles")},
        expression=total(("errors", "throttles")),
        period=_MINUTE,
    )
    health.tell(
        "fuse-not-delivered",
        "SNS could not hand a fuse alarm to roll_back: a version that does harm may still have traffic.",
        "Look at once: promptlane status, then promptlane rollback for what is not back; then the topic's key and "
        "subscription.",
        reads={"failed": counted("AWS/SNS", "NumberOfNotificationsFailed", TopicName=alarms_topic)},
        period=_MINUTE,
    )


def _releases(health: Health, pipeline: PipelineStack) -> None:
    """No alarm on executions that were stopped: every rollback stops one."""
    machine = pipeline.machine.state_machine_arn
    health.tell(
        "executions-failed",
        "A release's execution failed or timed out.",
        "promptlane history says why; a version that was refused is mended and published anew.",
        reads={
            name: counted(STATES, metric, StateMachineArn=machine)
            for name, metric in (("failed", "ExecutionsFailed"), ("timed_out", "ExecutionsTimedOut"))
        },
        expression=total(("failed", "timed_out")),
        period=_FIVE,
    )
    health.tell(
        "intake-late",
        "A published version, or a request for a release, has waited for more than 15 minutes.",
        "Read intake's log. After five tries it goes to the dead letters.",
        reads={
            "age": counted(SQS, "ApproximateAgeOfOldestMessage", "Maximum", QueueName=pipeline.intake_queue.queue_name)
        },
        period=_FIVE,
        threshold=900,
    )
    health.tell(
        "timeline-late",
        "Timeline entries have waited for more than 10 minutes for their copy in the audit bucket.",
        "Read relay's log. After an hour it gives an entry up; housekeep copies it once a day.",
        reads={
            "age": counted(LAMBDA, "IteratorAge", "Maximum", FunctionName=pipeline.functions["relay"].function_name)
        },
        period=_FIVE,
        threshold=600_000,
    )


def _dead_letters(health: Health, pipeline: PipelineStack) -> None:
    for name, dead in pipeline.dead_letters.items():
        health.tell(
            f"dead-letters-{name}",
            f"Dead letters: {dead.holds}.",
            dead.remedy,
            reads={
                "visible": counted(
                    SQS, "ApproximateNumberOfMessagesVisible", "Maximum", QueueName=dead.queue.queue_name
                )
            },
            period=_MINUTE,
        )


def _schedules(health: Health, made: dict[str, lambda_.Function], *, reconcile_minutes: int) -> None:
    """A function that does not run has no datapoints, and neither has one that was deployed a minute ago.

    So another schedule is the clock: the alarm counts the periods in which that one ran and this one did not. When all
    have stopped, remind's alarm has no data any more, which is told as well.
    """
    quarter = max(15, reconcile_minutes)
    for verb, clock, ticks, period, of, within in (
        (
            "reconcile",
            "remind",
            quarter // _REMIND_MINUTES - 1,
            Duration.minutes(quarter),
            (3, 4),
            f"{3 * quarter} min",
        ),
        ("housekeep", "remind", 60 // _REMIND_MINUTES - 1, _HOUR, (30, 31), "30 hours"),
        ("remind", "reconcile", 1, Duration.minutes(quarter), (3, 4), f"{3 * quarter} min"),
    ):
        health.tell(
            f"{verb}-not-running",
            f"{verb} has not run for {within}" + (", or no schedule runs at all." if verb == "remind" else "."),
            "Look at its rule in EventBridge (enabled?) and at the function's throttles and permissions.",
            reads={one: counted(LAMBDA, "Invocations", FunctionName=made[one].function_name) for one in (verb, clock)},
            # The clock times nothing: so that there is a sum where only the clock has a datapoint.
            expression=f"IF({clock} >= {ticks} && SUM([{clock} * 0, {verb}]) == 0, 1, 0)",
            period=period,
            of=of,
            also_when_silent=verb == "remind",
        )


def _drills(health: Health, made: dict[str, lambda_.Function], *, every: int) -> None:
    """`every`: hours. A drill that nobody answers fails `drill`; that none runs is told by the clock of `remind`."""
    health.tell(
        "way-back-broken",
        "A drill found no way back: an alarm would not have reached the route, or roll_back could not have written it.",
        "Look at once: promptlane drill says what is broken. Until it is mended, watch releases and roll back by hand.",
        reads={"errors": counted(LAMBDA, "Errors", FunctionName=made["drill"].function_name)},
        period=_FIVE,
    )
    health.tell(
        "drill-not-running",
        f"No drill has run for {2 * every} hours.",
        "Look at its rule in EventBridge (enabled?) and at the function's throttles and permissions.",
        reads=_of_functions(made, ("drill", "remind"), "Invocations"),
        expression=f"IF(remind >= {60 // _REMIND_MINUTES - 1} && SUM([remind * 0, drill]) == 0, 1, 0)",
        period=_HOUR,
        of=(2 * every, 2 * every + 1),
    )


def _apis(health: Health, pipeline: PipelineStack, runtime: RuntimeStack) -> None:
    health.tell(
        "operations-failing",
        "Review pages or commands answered three requests or more with a fault of ours within 5 minutes.",
        "Read the access log for the route, then that function's log. Deciding and rolling back also work by the CLI.",
        reads={
            name: counted("AWS/ApiGateway", "5xx", ApiId=service.api.api_id)
            for name, service in (("pages", pipeline.pages), ("commands", pipeline.operations))
        },
        expression=total(("pages", "commands")),
        period=_FIVE,
        threshold=3,
    )
    gateway = runtime.service.api.api_id
    health.tell(
        "gateway-failing",
        "One in twenty of the gateway's requests, or more, ended with a fault in 2 of 3 periods of 5 minutes.",
        "Look whether Bedrock throttles or fails (guard metrics of the prompts), then read the gateway's log.",
        reads={
            "faults": counted("AWS/ApiGateway", "5xx", ApiId=gateway),
            "requests": counted("AWS/ApiGateway", "Count", ApiId=gateway),
        },
        expression="IF(requests >= 20, faults / requests)",
        period=_FIVE,
        threshold=0.05,
        of=(2, 3),
    )


def _streams(health: Health, function: str, *, at_once: int) -> None:
    """By its fixed name: a reference would keep the Runtime stack from leaving it out. What fails after its first byte
    is a datapoint of the prompt's guard metrics, and no fault of the address."""

    def read(metric: str) -> cloudwatch.Metric:
        return counted(LAMBDA, metric, FunctionName=function)

    health.tell(
        "streams-failing",
        "One in twenty requests to stream, or more, ended with a fault in 2 of 3 periods of 5 minutes.",
        "Look whether Bedrock throttles or fails (guard metrics of the prompts), then read the function's log.",
        reads={"faults": read("Url5xxCount"), "requests": read("UrlRequestCount")},
        expression="IF(requests >= 20, faults / requests)",
        period=_FIVE,
        threshold=0.05,
        of=(2, 3),
    )
    health.tell(
        "streams-refused",
        f"Callers of the streaming gateway have been refused for 15 minutes: {at_once} answers were under way at once.",
        "Raise promptlane:streams, and the account's quota with it.",
        reads={"throttles": read("Throttles")},
        period=_FIVE,
        of=(3, 4),
    )


def _tables(health: Health, tables: dict[str, str]) -> None:
    """Alarms of DynamoDB's metrics keep their state where data is missing, so that gaps are filled here. The newest
    period may be filled too early: one of three counts."""
    reads = {
        f"{name}_{kind.lower()}": counted("AWS/DynamoDB", f"{kind}ThrottleEvents", TableName=table)
        for name, table in tables.items()
        for kind in ("Read", "Write")
    }
    health.tell(
        "tables-throttled",
        "DynamoDB refused reads or writes of routes or releases.",
        "Look at the tables' traffic: on-demand tables throttle at the account's table limit, or on one hot key.",
        reads=reads,
        expression=total(tuple(reads), filled=True),
        period=_FIVE,
        of=(1, 3),
    )


def _past_the_split(health: Health, invocations: InvocationLog) -> None:
    health.tell(
        "calls-past-the-split",
        "Somebody called a prompt without the client or the gateway: no split decided, and no guard metric counts it.",
        "promptlane investigate names the callers. Have them use the client, or name them in "
        "promptlane:bypass_exceptions.",
        reads={"calls": invocations.past_the_split},
        period=_FIVE,
    )
