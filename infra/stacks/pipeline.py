"""Pipeline: from a published version to a promoted prompt. Queue, functions, state machine, API, schedules."""

import json
from collections.abc import Sequence
from itertools import chain
from typing import Literal

from aws_cdk import Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.accepted import accept_finding
from infra.constructs.enrolment import Enrolment
from infra.constructs.function import Function
from infra.constructs.grants import Grant, Grants, allow
from infra.constructs.http_service import HttpService, Throttle
from infra.constructs.outputs import Outputs
from infra.constructs.queue import DeadLetters, WorkQueue
from infra.constructs.workflow import ReleaseWorkflow
from infra.packaging import layer as layer_folder
from infra.stacks.audit import AuditStack
from infra.state import State
from promptlane.domain.names import CONSOLE
from promptlane.project import PromptProject

# Keys of objects in the report bucket, and partition keys of the release table.
CONFIG, RELEASES, RESULTS, ARCHIVE = "config/*", "releases/*", "stable-results/*", "archive/*"
PROMPT, REVIEW, OPEN_REVIEWS = "prompt#*", "review#*", "reviews"
_INTAKE_TIMEOUT = Duration.seconds(60)
_SIGNED_LINK = (
    "Reviewers come from their mail program: every request carries a signed, expiring link, checked by `review`."
)
_UNRELAYED = (
    "Look at relay's log. The entries are in the release table; housekeep puts their copies into the audit bucket once "
    "a day; what listens on the event bus has missed them. Then delete the messages: they hold no entries."
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
        projects: Sequence[PromptProject],
    ) -> None:
        super().__init__(scope, id, description="Promptlane: tests, reviews, releases and rolls back prompts")
        self._config, self._state, self._audit = config, state, audit
        self._grants = Grants(config=config, state=state)
        self._enrolments = [Enrolment(self, f"Enrol-{p.name}", config=config, project=p) for p in projects]
        self._packages = self._layer("Packages", "layer", "Third-party packages of Promptlane's functions")
        self._engine = self._layer("EnginePackages", "engine", "Third-party packages that test suites need")
        self._undelivered = self._dead_letters("Undelivered", "events that no function or queue took")
        self._unrelayed = DeadLetters(
            self,
            "Unrelayed",
            key=state.message_key,
            notices=state.notices,
            holds="places in the stream of timeline entries that relay gave up on",
            remedy=_UNRELAYED,
        )
        accept_finding(self._unrelayed, "SQS3", "Is the dead-letter queue of the stream's consumer.")
        dead_requests = self._dead_letters("DeadRequests", "versions whose release could not be started")
        self.roll_back_dead = self._dead_letters("DeadAlarms", "alarms that roll_back could not act on: look at once")
        self.intake_queue = WorkQueue(
            self, "Requests", key=state.message_key, dead_letters=dead_requests, worked_within=_INTAKE_TIMEOUT
        ).queue
        self.operations = HttpService(
            self,
            "Operations",
            name=f"{config.name}-operations",
            description="Promptlane: reviews and operator commands",
            config=config,
            throttle=Throttle(rate=50, burst=100),
        )
        self.functions: dict[str, lambda_.Function] = {}
        self._environment = {
            "ROUTE_TABLE": state.route_table.table_name,
            "RELEASE_TABLE": state.release_table.table_name,
            "REPORT_BUCKET": state.report_bucket.bucket_name,
            "NOTICES_TOPIC": state.notices.topic_arn,
            "EVENT_BUS": state.event_bus.event_bus_name,
            "AUDIT_BUCKET": audit.bucket.bucket_name,
            "KEEP_VERSIONS": str(config.keep_versions),
            "VERSION_QUOTA": str(config.version_quota),
            "REVIEW_KEY_ID": state.review_key.key_arn,
            "INTAKE_QUEUE_URL": self.intake_queue.queue_url,
            "STATE_MACHINE_ARN": self._grants.machine_arn,
            "OPERATIONS_URL": self.operations.url,
            "DEPLOYMENT": config.name,
            "RESOLUTION_SECONDS": str(config.resolution_seconds),
            "ARRIVAL_SECONDS": str(config.arrival_seconds),
        }
        self._release_functions()
        console = lambda_.CfnAlias(
            self,
            "RollBackConsole",
            description="For people, where the operations API does not answer",
            function_name=self.functions["roll_back"].function_name,
            function_version="$LATEST",
            name=CONSOLE,
        )
        self._test_functions()
        self._review_functions()
        self.workflow = ReleaseWorkflow(
            self,
            "Release",
            config=config,
            functions={verb: self.functions[verb] for verb in _IN_WORKFLOW},
            reports_arn=state.report_bucket_arn,
            reports_key=state.data_key,
        )
        self._trigger()
        self._alarms_roll_back()
        self._dead_executions_wind_up()
        self._schedules()
        self._relay()
        self._operations_routes()
        Outputs(
            self,
            "Resources",
            config=config,
            stack="pipeline",
            resources={
                "intake_queue_url": self.intake_queue.queue_url,
                "state_machine_arn": self.workflow.machine.state_machine_arn,
                "operations_url": self.operations.url,
                **{f"{verb}_function": function.function_name for verb, function in self.functions.items()},
                "roll_back_console": console.ref,
            },
        )

    def _release_functions(self) -> None:
        g = self._grants
        requests = g.queue_send(self.intake_queue.queue_arn)
        self._verb(
            "wind_up",
            "Ends a release: safe route, one terminal state, free lock",
            "ROUTE_TABLE RELEASE_TABLE NOTICES_TOPIC INTAKE_QUEUE_URL",
            g.routes_write(), g.releases_write(query=True, delete=[PROMPT]), g.notices_send(), requests,
            called_by_events=True,
        )  # fmt: skip
        self._verb(
            "intake",
            "Takes a prompt's lock and starts the release of a version",
            "ROUTE_TABLE RELEASE_TABLE REPORT_BUCKET STATE_MACHINE_ARN DEPLOYMENT",
            g.routes_read(), g.releases_write(query=True, delete=[PROMPT]), g.prompts_read(),
            g.enrolments_read("GetParameter"), g.machine_start(), timeout=_INTAKE_TIMEOUT,
        )  # fmt: skip
        self._verb(
            "reconcile",
            "Finds missed versions and dead executions, starts waiting versions",
            "ROUTE_TABLE RELEASE_TABLE REPORT_BUCKET STATE_MACHINE_ARN INTAKE_QUEUE_URL DEPLOYMENT",
            g.routes_read(), g.releases_write(query=True), g.prompts_read(), g.executions("DescribeExecution"),
            g.enrolments_read("GetParametersByPath"), requests, g.invoke(self.functions["wind_up"].function_arn),
            g.enrolment_tags(read=True), timeout=Duration.minutes(5), called_by_events=True,
            more={"WIND_UP_FUNCTION": self.functions["wind_up"].function_name},
        )  # fmt: skip
        self._verb(
            "admit",
            "Checks whether a version can be released, and under which policy",
            "ROUTE_TABLE RELEASE_TABLE REPORT_BUCKET DEPLOYMENT",
            g.routes_read(), g.releases_write(), g.prompts_read(), g.enrolments_read("GetParameter"),
            g.enrolment_tags(), g.reports(read=[CONFIG], write=[CONFIG]), self._deployed_configuration(),
        )  # fmt: skip
        moves = "ROUTE_TABLE RELEASE_TABLE REPORT_BUCKET DEPLOYMENT RESOLUTION_SECONDS"
        looks = (g.routes_write(), g.prompts_read(listed=False), g.alarms_read(), g.reports(read=[CONFIG]))
        self._verb("shift", "Gives the candidate its next share", moves, *looks, g.releases_write())
        # A newer version may be admitted while this one is watched, so promotion frees the lock.
        self._verb("promote", "Makes the candidate stable", moves, *looks, g.releases_write(delete=[PROMPT]))
        self._verb(
            "judge",
            "Decides whether the canary advances, holds or is rolled back",
            "ROUTE_TABLE RELEASE_TABLE REPORT_BUCKET NOTICES_TOPIC DEPLOYMENT RESOLUTION_SECONDS ARRIVAL_SECONDS",
            g.routes_read(), g.releases_write(query=True), g.metrics_read(), g.alarms_read(), g.reports(read=[CONFIG]),
            g.notices_send(), timeout=Duration.minutes(2), memory_mib=512,
        )  # fmt: skip
        self._verb(
            "roll_back",
            "Puts the safe version back; needs the route table alone",
            "ROUTE_TABLE RELEASE_TABLE NOTICES_TOPIC STATE_MACHINE_ARN DEPLOYMENT",
            g.routes_write(), g.releases_write(query=True), g.notices_send(), g.executions("StopExecution"),
            memory_mib=512, dead_letters=self.roll_back_dead,
            reserved_concurrency=self._config.roll_back_concurrency or None,
        )  # fmt: skip
        self._verb(
            "relay",
            "Copies every timeline entry to the audit bucket and the event bus",
            "RELEASE_TABLE EVENT_BUS AUDIT_BUCKET",
            g.releases_read(), g.stream_read(), g.queue_send(self._unrelayed.queue.queue_arn),
            self._audit.copy_timelines(),
            [allow("PutEvents", ["events:PutEvents"], [self._state.event_bus.event_bus_arn])],
        )  # fmt: skip

        self._verb(
            "housekeep",
            "Archives every version, deletes the oldest that nobody needs",
            "ROUTE_TABLE RELEASE_TABLE REPORT_BUCKET AUDIT_BUCKET NOTICES_TOPIC DEPLOYMENT KEEP_VERSIONS VERSION_QUOTA",
            g.routes_read(), g.releases_read(query=True), g.prompts_read(), g.versions_delete(),
            g.enrolments_read("GetParametersByPath"), g.notices_send(), self._audit.copy_timelines(listed=True),
            g.reports(read=[ARCHIVE], write=[ARCHIVE], may_be_missing=True),
            timeout=Duration.minutes(10), memory_mib=512, called_by_events=True,
        )  # fmt: skip

    def _test_functions(self) -> None:
        g = self._grants
        objects = g.reports(read=[CONFIG, RELEASES, RESULTS], write=[RELEASES, RESULTS], may_be_missing=True)
        self._verb(
            "plan_tests", "Lays out the cases of a test round", "ROUTE_TABLE RELEASE_TABLE REPORT_BUCKET DEPLOYMENT",
            g.routes_read(), g.releases_write(), g.prompts_read(listed=False), objects,
            timeout=Duration.minutes(5), memory_mib=1024,
        )  # fmt: skip
        self._verb(
            "run_cases", "Answers and asserts a batch of cases", "REPORT_BUCKET", g.prompts_answer(), objects,
            timeout=Duration.minutes(15), memory_mib=1024,
        )  # fmt: skip
        self._verb(
            "grade", "Compares candidate and stable and gives the verdict", "RELEASE_TABLE REPORT_BUCKET",
            g.releases_write(), objects, timeout=Duration.minutes(15), memory_mib=1024,
        )  # fmt: skip

    def _review_functions(self) -> None:
        g = self._grants
        looks = (
            g.releases_write(query=True, update=[REVIEW], delete=[OPEN_REVIEWS]), g.prompts_read(),
            g.trail_read(), g.task_answer(),
        )  # fmt: skip
        mails = "RELEASE_TABLE REPORT_BUCKET REVIEW_KEY_ID OPERATIONS_URL DEPLOYMENT NOTICES_TOPIC"
        for verb, says, seconds in (
            ("request_review", "Mails each reviewer a signed link", 60),
            ("remind", "Reminds reviewers before a review expires", 120),
        ):
            self._verb(
                verb, says, mails, *looks, g.links("GenerateMac"), g.reviewers_send(), g.notices_send(),
                g.reports(
                    read=[CONFIG, RELEASES], write=[RELEASES] if verb == "request_review" else [], may_be_missing=True
                ),
                timeout=Duration.seconds(seconds), memory_mib=512, called_by_events=verb == "remind",
            )  # fmt: skip
        self._verb(
            "review", "The review page and its form", "RELEASE_TABLE REPORT_BUCKET REVIEW_KEY_ID",
            *looks, g.links("VerifyMac"), g.reports(read=[CONFIG, RELEASES], may_be_missing=True),
            timeout=Duration.seconds(20), memory_mib=512,
        )  # fmt: skip
        self._verb(
            "decide", "Takes a review decision by IAM identity", "RELEASE_TABLE", *looks, timeout=Duration.seconds(20)
        )
        self._verb("operate", "Pauses, resumes or advances a canary", "RELEASE_TABLE", g.releases_write())

    def _trigger(self) -> None:
        """CreatePromptVersion → queue → intake. Both names that Bedrock's control plane signs events with."""
        rule = events.Rule(
            self,
            "VersionCreated",
            description="A version of a Bedrock prompt was published",
            event_pattern=events.EventPattern(
                source=["aws.bedrock", "aws.bedrock-agent"],
                detail_type=["AWS API Call via CloudTrail"],
                detail={
                    "eventSource": ["bedrock.amazonaws.com", "bedrock-agent.amazonaws.com"],
                    "eventName": ["CreatePromptVersion"],
                    "errorCode": [{"exists": False}],
                },
            ),
        )
        rule.add_target(
            targets.SqsQueue(
                self.intake_queue, dead_letter_queue=self._undelivered.queue, max_event_age=Duration.hours(24)
            )
        )
        self.functions["intake"].add_event_source(
            sources.SqsEventSource(self.intake_queue, batch_size=5, report_batch_item_failures=True, max_concurrency=2)
        )

    def _alarms_roll_back(self) -> None:
        self._state.alarms.add_subscription(
            subscriptions.LambdaSubscription(self.functions["roll_back"], dead_letter_queue=self.roll_back_dead.queue)
        )

    def _dead_executions_wind_up(self) -> None:
        rule = events.Rule(
            self,
            "ExecutionDied",
            description="A release's execution failed, timed out or was stopped",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                    "stateMachineArn": [self.workflow.machine.state_machine_arn],
                },
            ),
        )
        self._call(rule, "wind_up")

    def _schedules(self) -> None:
        reconcile = events.Rule(
            self,
            "ReconcileSchedule",
            description="Looks for what an event should have told",
            schedule=events.Schedule.rate(Duration.minutes(self._config.reconcile_minutes)),
        )
        self._call(reconcile, "reconcile")
        remind = events.Rule(
            self,
            "RemindSchedule",
            description="Looks for reviews that expire soon",
            schedule=events.Schedule.rate(Duration.minutes(5)),
        )
        self._call(remind, "remind")
        housekeep = events.Rule(
            self,
            "HousekeepSchedule",
            description="Archives versions, and deletes the oldest that nobody needs",
            schedule=events.Schedule.rate(Duration.days(1)),
        )
        self._call(housekeep, "housekeep")

    def _relay(self) -> None:
        """Tries a record again for an hour, whatever is down; then those behind it have their turn."""
        lambda_.CfnEventSourceMapping(
            self,
            "Timeline",
            function_name=self.functions["relay"].function_arn,
            event_source_arn=self._state.release_table.table_stream_arn,
            starting_position="TRIM_HORIZON",
            batch_size=50,
            maximum_retry_attempts=-1,
            maximum_record_age_in_seconds=3600,
            bisect_batch_on_function_error=True,
            function_response_types=["ReportBatchItemFailures"],
            destination_config={"onFailure": {"destination": self._unrelayed.queue.queue_arn}},
            filter_criteria={"filters": [{"pattern": json.dumps(_NEW_TIMELINE_ENTRIES)}]},
        )

    def _operations_routes(self) -> None:
        post, every = apigw.HttpMethod.POST, apigw.HttpMethod.ANY
        slow = Throttle(rate=5, burst=10)
        for path in ("/review/{release_id}", "/review/{release_id}/report"):
            self.operations.route(every, path, self.functions["review"], open_because=_SIGNED_LINK, throttle=slow)
        self.operations.route(post, "/releases/{release_id}/decision", self.functions["decide"])
        self.operations.route(post, "/releases/{release_id}/{operation}", self.functions["operate"])
        self.operations.route(post, "/prompts/{prompt}/rollback", self.functions["roll_back"])

    def _verb(
        self,
        verb: str,
        description: str,
        environment: str,
        *grants: Sequence[Grant],
        timeout: Duration | None = None,
        memory_mib: int = 256,
        reserved_concurrency: int | None = None,
        called_by_events: bool = False,
        dead_letters: DeadLetters | None = None,
        more: dict[str, str] | None = None,
    ) -> None:
        letters = dead_letters or (self._undelivered if called_by_events else None)
        made = Function(
            self,
            verb=verb,
            description=f"Promptlane: {description}",
            config=self._config,
            environment={**{name: self._environment[name] for name in environment.split()}, **(more or {})},
            grants=[*chain(*grants), *(self._grants.message_key() if letters else ())],
            layers=[self._packages, *([self._engine] if verb in _KNOW_SUITES else [])],
            timeout=timeout,
            memory_mib=memory_mib,
            reserved_concurrency=reserved_concurrency,
            dead_letters=letters.queue if letters else None,
        )
        self.functions[verb] = made.function

    def _layer(self, id: str, holds: Literal["layer", "engine"], description: str) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            id,
            description=description,
            code=lambda_.Code.from_asset(str(layer_folder(holds, target=self._config.lambda_target))),
            compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
            compatible_architectures=[lambda_.Architecture.ARM_64],
        )

    def _call(self, rule: events.Rule, verb: str) -> None:
        rule.add_target(
            targets.LambdaFunction(
                self.functions[verb], dead_letter_queue=self._undelivered.queue, max_event_age=Duration.hours(2)
            )
        )

    def _dead_letters(self, id: str, holds: str) -> DeadLetters:
        return DeadLetters(self, id, key=self._state.message_key, notices=self._state.notices, holds=holds)

    def _deployed_configuration(self) -> list[Grant]:
        """Policies and suites lie in the CDK's asset bucket under their content hashes."""
        if not self._enrolments:
            return []
        bucket = self._enrolments[0].assets[0].bucket
        return [
            allow(
                "ReadDeployedPolicies",
                ["s3:GetObject"],
                [bucket.arn_for_objects("*.json")],
                because="Policies and suites are named by their content hash, which changes with every edit.",
            )
        ]


_KNOW_SUITES = ("admit", "plan_tests", "run_cases", "grade")
_IN_WORKFLOW = (
    "admit", "plan_tests", "run_cases", "grade", "request_review", "shift", "judge", "promote", "roll_back", "wind_up",
)  # fmt: skip
_NEW_TIMELINE_ENTRIES = {"eventName": ["INSERT"], "dynamodb": {"Keys": {"pk": {"S": [{"prefix": "timeline#"}]}}}}
