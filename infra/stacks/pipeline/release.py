"""The functions that admit a version, move traffic to it and back, and end its release."""

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs

from infra.constructs.grants import allow
from infra.constructs.queue import DeadLetters
from infra.stacks.audit import AuditStack
from infra.stacks.pipeline.functions import ARCHIVE, CONFIG, TABLES, PipelineFunctions
from infra.state import State
from promptlane.domain.keys import (
    APPENDED,
    BLOCKS,
    CURSORS,
    DECLARED,
    DRILLS,
    EDITS,
    ENROLMENT,
    ENROLMENTS,
    IDENTITY,
    OWED,
    PROMPT,
    QUARANTINE,
    TURN,
    WATCHED,
)

INTAKE_TIMEOUT = Duration.seconds(60)


def add_release(
    functions: PipelineFunctions,
    *,
    requests: sqs.IQueue,
    undelivered: DeadLetters,
    dead_alarms: DeadLetters,
    reserved_concurrency: int,
) -> None:
    g = functions.grants
    record = [PROMPT, *APPENDED]
    ask = g.queue_send(requests.queue_arn)
    functions.add(
        "wind_up",
        "Ends a release: safe route, one terminal state, free lock",
        (*TABLES, "NOTICES_TOPIC", "INTAKE_QUEUE_URL"),
        g.routes_write() + g.releases_write(query=True, put=[*record, QUARANTINE], delete=[PROMPT, TURN, OWED]),
        g.notices_send() + ask,
        dead_letters=undelivered,
    )
    functions.add(
        "intake",
        "Takes a prompt's lock and starts the release of a version",
        (*TABLES, "REPORT_BUCKET", "STATE_MACHINE_ARN", "NOTICES_TOPIC"),
        g.routes_read(listed=True),
        g.releases_write(query=True, many=True, put=[*record, EDITS, WATCHED], delete=[PROMPT]),
        g.prompts_read() + g.machine_start() + g.notices_send(),
        timeout=INTAKE_TIMEOUT,
    )
    wind_up = functions.made["wind_up"]
    functions.add(
        "reconcile",
        "Finds missed versions and dead executions, starts waiting versions",
        (
            *TABLES,
            *("REPORT_BUCKET", "STATE_MACHINE_ARN", "INTAKE_QUEUE_URL", "NOTICES_TOPIC", "DEPLOYMENT"),
            "TRAIL_LATE_SECONDS",
        ),
        g.routes_read(listed=True) + g.prompts_read(),
        g.releases_write(query=True, many=True, put=[*record, EDITS, WATCHED, CURSORS], delete=[PROMPT, OWED]),
        g.trail_read() + g.notices_send() + g.executions("DescribeExecution") + ask,
        g.invoke(wind_up.function_arn) + g.enrolment_tags(),
        timeout=Duration.minutes(5),
        dead_letters=undelivered,
        more={"WIND_UP_FUNCTION": wind_up.function_name},
    )
    functions.add(
        "admit",
        "Checks whether a version can be released, and under which policy",
        (*TABLES, "REPORT_BUCKET", "VERSION_BUCKET", "DEPLOYMENT", "PLATFORM_FLOOR"),
        g.routes_read() + g.releases_write(query=True, put=[*record, IDENTITY]) + g.prompts_read(),
        g.enrolment_tags() + g.reports(read=[CONFIG], write=[CONFIG]) + g.contents_write(),
        knows_suites=True,
    )
    variables = (*TABLES, "REPORT_BUCKET", "DEPLOYMENT", "RESOLUTION_SECONDS", "NOTICES_TOPIC")
    looks = g.routes_write() + g.prompts_read() + g.alarms_read() + g.reports(read=[CONFIG])
    looks += g.notices_send()
    moves = g.releases_write(put=[*record, QUARANTINE], query=True, delete=[OWED])
    functions.add("shift", "Gives the candidate its next share", variables, looks, moves)
    # A newer version may be admitted while this one is watched, so promotion frees the lock.
    functions.add(
        "promote",
        "Makes the candidate stable",
        variables,
        looks,
        g.releases_write(put=[*record, QUARANTINE], query=True, delete=[PROMPT, OWED]),
    )
    functions.add(
        "judge",
        "Decides whether the canary advances, holds or is rolled back",
        (*TABLES, "REPORT_BUCKET", "NOTICES_TOPIC", "DEPLOYMENT", "RESOLUTION_SECONDS", "ARRIVAL_SECONDS"),
        g.routes_read() + g.releases_write(query=True, put=[BLOCKS, *APPENDED], delete=[OWED]),
        g.metrics_read() + g.alarms_read() + g.reports(read=[CONFIG]) + g.notices_send(),
        timeout=Duration.minutes(2),
        memory_mib=1024,  # more than half a processor: a look at a month of counts takes 12 s of a whole one
    )
    functions.add(
        "roll_back",
        "Puts the safe version back; needs the route table alone",
        (*TABLES, "NOTICES_TOPIC", "STATE_MACHINE_ARN", "DEPLOYMENT"),
        g.routes_write()
        + g.releases_write(query=True, put=[*APPENDED, QUARANTINE, DRILLS], delete=[OWED])
        + g.notices_send()
        + g.executions("StopExecution"),
        memory_mib=1024,  # more than half a processor, for TLS and what is loaded after the write; it runs for a second
        reserved_concurrency=reserved_concurrency or None,
        dead_letters=dead_alarms,
    )
    functions.add(
        "drill",
        "Proves the way back of every prompt, and moves no traffic",
        (*TABLES, "DEPLOYMENT"),
        g.routes_read(listed=True) + g.releases_read() + g.drill(),
        timeout=Duration.minutes(15),
        dead_letters=undelivered,
    )


def add_enrolment(functions: PipelineFunctions, *, name: str) -> None:
    """The custom resource of the stacks that enrol prompts.

    CloudFormation hands a request over and waits for the answer. One that could not be delivered for minutes is not
    delivered any more: by then the stack may have rolled back.
    """
    g, keys = functions.grants, [ENROLMENT, ENROLMENTS]
    functions.add(
        "enrol",
        "Says which policy and suite count for a prompt, and who reviews; called by CloudFormation alone",
        (*TABLES, "REPORT_BUCKET", "ACCOUNT", "DEPLOYMENT", "PLATFORM_FLOOR", "TRAIL_LATE_SECONDS"),
        g.releases_write(put=[*keys, DECLARED], delete=keys) + g.routes_read(),
        g.deployed_files() + g.stacks_read() + g.reports(write=[CONFIG]),
        knows_suites=True,
        timeout=Duration.minutes(2),
        memory_mib=512,
        name=name,
    )
    functions.made["enrol"].configure_async_invoke(max_event_age=Duration.minutes(5), retry_attempts=2)


def add_records(
    functions: PipelineFunctions, *, state: State, audit: AuditStack, undelivered: DeadLetters, unrelayed: DeadLetters
) -> None:
    """What keeps timelines and versions for later."""
    g = functions.grants
    functions.add(
        "relay",
        "Copies every timeline entry to the audit bucket and the event bus",
        ("RELEASE_TABLE", "EVENT_BUS", "AUDIT_BUCKET"),
        g.releases_read() + g.stream_read() + g.queue_send(unrelayed.queue.queue_arn),
        audit.copy_timelines(),
        [allow("PutEvents", ["events:PutEvents"], [state.event_bus.event_bus_arn])],
        more={"UNRELAYED_QUEUE_URL": unrelayed.queue.queue_url},
    )
    functions.add(
        "housekeep",
        "Archives every version, deletes the oldest that nobody needs",
        (
            *(*TABLES, "REPORT_BUCKET", "VERSION_BUCKET", "AUDIT_BUCKET", "NOTICES_TOPIC"),
            *("KEEP_VERSIONS", "VERSION_QUOTA"),
        ),
        g.routes_read(listed=True) + g.releases_write(query=True, many=True, put=[CURSORS]),
        g.prompts_read() + g.versions_delete(),
        g.notices_send() + g.contents_write(),
        audit.copy_timelines(listed=True) + g.reports(read=[ARCHIVE], write=[ARCHIVE], may_be_missing=True),
        timeout=Duration.minutes(10),
        memory_mib=512,
        dead_letters=undelivered,
    )
