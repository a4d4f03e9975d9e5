"""Pipeline: from a published version to a promoted prompt. Queue, functions, state machine, API, schedules."""

import json
from importlib.metadata import version

from aws_cdk import Annotations, Aws, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.accepted import accept_finding
from infra.constructs.bounds import bounds, explained
from infra.constructs.grants import Grants
from infra.constructs.http_service import HttpService
from infra.constructs.outputs import Outputs
from infra.constructs.packages import packages as layer_of
from infra.constructs.queue import READ_AND_RETURN, DeadLetters, WorkQueue
from infra.constructs.reviewers import DeclaredReviewers
from infra.constructs.workflow import ReleaseWorkflow
from infra.stacks.audit import AuditStack
from infra.stacks.pipeline.events import (
    drill_alarm,
    on_dead_execution,
    on_published_version,
    on_schedules,
    on_started_release,
    on_timeline,
)
from infra.stacks.pipeline.functions import PipelineFunctions
from infra.stacks.pipeline.release import INTAKE_TIMEOUT, add_enrolment, add_records, add_release
from infra.stacks.pipeline.review import add_review, add_routes
from infra.stacks.pipeline.tests import add_tests
from infra.state import State
from promptlane.cdk.platform import enrol_function_name
from promptlane.domain.names import CONSOLE
from promptlane.domain.review.declared import Declared

_RELAY_GAVE_UP = "timeline entries that relay set aside, and places in their stream that it gave up on"
_UNRELAYED = (
    "Each message names the item and why, or the place in the stream; relay's log says more. The entries are in the "
    "release table; housekeep puts their copies into the audit bucket once a day; what listens on the event bus has "
    "missed them. Then delete the messages: they hold no entries."
)
_IN_WORKFLOW = (
    "admit",
    "plan_tests",
    "run_cases",
    "grade",
    "request_review",
    "shift",
    "judge",
    "promote",
    "roll_back",
    "wind_up",
)


class PipelineStack(Stack):
    """Every function has its own role; what each may do stands where the function is made."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: DeploymentConfig,
        state: State,
        audit: AuditStack,
        declared: Declared,
    ) -> None:
        super().__init__(scope, id, description="Promptlane: tests, reviews, releases and rolls back prompts")
        self._config, self._state = config, state
        limits = bounds(config)
        Annotations.of(self).add_info_v2("promptlane:concurrency", explained(config))
        every, tests = "Third-party packages of Promptlane's functions", "Third-party packages that test suites need"
        packages = layer_of(self, "Packages", "layer", every, config=config)
        engine = layer_of(self, "EnginePackages", "engine", tests, config=config)
        undelivered = self._dead_letters("Undelivered", "events that no function or queue took")
        unrelayed = self._dead_letters("Unrelayed", _RELAY_GAVE_UP, _UNRELAYED)
        accept_finding(unrelayed, "SQS3", "Is the dead-letter queue of the stream's consumer.")
        dead_requests = self._dead_letters("DeadRequests", "versions whose release could not be started")
        dead_alarms = self._dead_letters("DeadAlarms", "alarms that roll_back could not act on: look at once")
        self.dead_letters = {
            "undelivered": undelivered,
            "unrelayed": unrelayed,
            "requests": dead_requests,
            "alarms": dead_alarms,
        }
        self.intake_queue = WorkQueue(
            self, "Requests", key=state.message_key, dead_letters=dead_requests, worked_within=INTAKE_TIMEOUT
        ).queue
        # Two APIs, so that what strangers ask for takes nothing of what deciding and rolling back needs. This one's id
        # hangs on the name of its construct, and links in emails that were sent name it.
        self.pages = HttpService(
            self,
            "Operations",
            name=f"{config.name}-reviews",
            description="Promptlane: review pages behind signed links, open to the internet",
            config=config,
            throttle=limits.pages,
        )
        self.operations = HttpService(
            self,
            "Commands",
            name=f"{config.name}-operations",
            description="Promptlane: decisions and operator commands, by IAM identity alone",
            config=config,
            throttle=limits.operations,
        )
        # The Access stack of an earlier version imports it; an export that is imported cannot be taken away.
        self.export_value(self.pages.api.api_id)
        grants = Grants(config=config, state=state)
        functions = PipelineFunctions(
            self,
            config=config,
            grants=grants,
            environment={
                "ROUTE_TABLE": state.route_table.table_name,
                "RELEASE_TABLE": state.release_table.table_name,
                "REPORT_BUCKET": state.report_bucket.bucket_name,
                "VERSION_BUCKET": state.version_bucket.bucket_name,
                "NOTICES_TOPIC": state.notices.topic_arn,
                "EVENT_BUS": state.event_bus.event_bus_name,
                "AUDIT_BUCKET": audit.bucket.bucket_name,
                "KEEP_VERSIONS": str(config.keep_versions),
                "MOST_CASE_FUNCTIONS": str(limits.case_functions),
                "VERSION_QUOTA": str(config.version_quota),
                "REVIEW_KEY_ID": state.review_key.key_arn,
                "INTAKE_QUEUE_URL": self.intake_queue.queue_url,
                "STATE_MACHINE_ARN": grants.machine_arn,
                "REVIEWS_URL": self.pages.url,
                "DEPLOYMENT": config.name,
                "RESOLUTION_SECONDS": str(config.resolution_seconds),
                "ARRIVAL_SECONDS": str(config.arrival_seconds),
                "TRAIL_LATE_SECONDS": str(config.trail_late_seconds),
                "ACCOUNT": Aws.ACCOUNT_ID,
                "PLATFORM_FLOOR": json.dumps(config.floor.scaled(config.time_scale).to_dict(), separators=(",", ":")),
            },
            packages=packages,
            engine=engine,
        )
        self.functions = functions.made
        add_release(
            functions,
            requests=self.intake_queue,
            undelivered=undelivered,
            dead_alarms=dead_alarms,
            reserved_concurrency=config.reserved_concurrency,
        )
        add_enrolment(functions, name=enrol_function_name(config.name))
        DeclaredReviewers(self, "Reviewers", config=config, declared=declared, after=self.functions["enrol"])
        add_records(functions, state=state, audit=audit, undelivered=undelivered, unrelayed=unrelayed)
        roll_back = self.functions["roll_back"]
        console = lambda_.CfnAlias(
            self,
            "RollBackConsole",
            description="For people, where the operations API does not answer",
            function_name=roll_back.function_name,
            function_version="$LATEST",
            name=CONSOLE,
        )
        add_tests(functions)
        add_review(functions, undelivered=undelivered, reserved_concurrency=config.reserved_concurrency)
        self.machine = ReleaseWorkflow(
            self,
            "Release",
            config=config,
            functions={verb: self.functions[verb] for verb in _IN_WORKFLOW},
            reports_arn=state.report_bucket_arn,
            reports_key=state.data_key,
        ).machine
        on_published_version(self, self.functions["intake"], requests=self.intake_queue, undelivered=undelivered)
        state.alarms.add_subscription(subscriptions.LambdaSubscription(roll_back, dead_letter_queue=dead_alarms.queue))
        drill_alarm(self, deployment=config.name, topic=state.alarms)
        on_dead_execution(
            self, self.functions["wind_up"], machine_arn=self.machine.state_machine_arn, undelivered=undelivered
        )
        on_started_release(self, self.functions["housekeep"], bus=state.event_bus, undelivered=undelivered)
        on_schedules(self, self.functions, config=config, undelivered=undelivered)
        stream = str(state.release_table.table_stream_arn)
        on_timeline(self, self.functions["relay"], stream_arn=stream, unrelayed=unrelayed)
        add_routes(functions, bounds=limits, pages=self.pages, operations=self.operations)
        Outputs(
            self,
            "Resources",
            config=config,
            stack="pipeline",
            resources={
                "intake_queue_url": self.intake_queue.queue_url,
                "state_machine_arn": self.machine.state_machine_arn,
                "operations_url": self.operations.url,
                "reviews_url": self.pages.url,
                **{f"{verb}_function": function.function_name for verb, function in self.functions.items()},
                "roll_back_console": console.ref,
                "version": version("promptlane"),
            },
        )

    def _dead_letters(self, id: str, holds: str, remedy: str = READ_AND_RETURN) -> DeadLetters:
        return DeadLetters(self, id, key=self._state.message_key, holds=holds, remedy=remedy)
