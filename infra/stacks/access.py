"""Access: who may do what. Five roles whose duties exclude each other.

Each policy is also its role's permission boundary: what somebody attaches to such a role later adds nothing. The
explicit denials hold for whoever has two of the policies, so nobody can both edit and approve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Aws, Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.accepted import accept_finding
from infra.constructs.grants import Grant, Grants, allow, attach
from infra.constructs.outputs import Outputs
from infra.constructs.statements import TABLE_WRITES, arn
from infra.stacks.audit import AuditStack
from infra.stacks.pipeline.stack import PipelineStack
from infra.stacks.runtime import RuntimeStack
from infra.state import State
from promptlane.domain.names import CONSOLE, ENROLLED_TAG

CREATION = "bedrock:CreatePrompt"
EDITS = (CREATION, "bedrock:UpdatePrompt", "bedrock:CreatePromptVersion")
_EDITS_DENIED = (f"{CREATION}*", "bedrock:UpdatePrompt")
"""The same in fewer characters, as all that denies: a policy has little room."""
DELETIONS = ("bedrock:DeletePrompt",)
TASK_ANSWERS = ("states:SendTask*",)
TAGGING = ("bedrock:TagResource", "bedrock:UntagResource", f"{CREATION}*")
FILE_WRITES = ("s3:PutObject", "s3:DeleteObject*", "ssm:PutParameter", "ssm:DeleteParameter*")
TRAIL_CHANGES = (
    "cloudtrail:StopLogging",
    "cloudtrail:DeleteTrail",
    "cloudtrail:UpdateTrail",
    "cloudtrail:PutEventSelectors",
)
COPIES_OF_TABLES = ("dynamodb:ExportTableToPointInTime", "dynamodb:GetRecords")
"""Ways to read a table's items past the table's own policy."""
_TABLE_WRITES = [*(action for action in TABLE_WRITES if "PartiQL" not in action), "dynamodb:PartiQL*"]
"""Shorter: a policy has little room, and no duty reads by PartiQL either."""
_SHARED = "Duties are told apart by action; the objects are all prompts, releases or logs of this deployment."


@dataclass(frozen=True, kw_only=True)
class Duty:
    """What one role is for: what it may do, and what it may not do whatever else is attached to it.

    `denied_functions`: their ARNs. Invoked directly, a function takes the caller's word for who that is, where the API
    would have proved it.
    """

    name: str
    says: str
    allowed: tuple[Grant, ...]
    denied: tuple[str, ...]
    denied_routes: tuple[str, ...] = ()
    denied_functions: tuple[str, ...]


class AccessStack(Stack):
    """`policies` and `roles` by the name of the duty."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: DeploymentConfig,
        state: State,
        pipeline: PipelineStack,
        runtime: RuntimeStack,
        audit: AuditStack,
    ) -> None:
        super().__init__(scope, id, description="Promptlane: roles of people and applications")
        self._config, self._state = config, state
        self._pipeline, self._runtime = pipeline, runtime
        self._audit_bucket = str(audit.export_value(audit.bucket.bucket_arn))
        self._audit_key = str(audit.export_value(audit.key.key_arn))
        # Without a log of ours, investigations read whichever one the account has. By the beginnings of names that
        # CloudFormation makes: an export could not go while this stack imports it, and the log may be switched off.
        logged = audit.invocations is not None
        self._bodies = f"arn:{Aws.PARTITION}:s3:::{config.name}-audit-invocations*" if logged else ""
        self._queried_group = f"{config.name}-audit-Invocations" if logged else ""
        self._grants = Grants(config=config, state=state)
        self.policies: dict[str, iam.ManagedPolicy] = {}
        self.roles: dict[str, iam.Role] = {}
        for duty in self._duties():
            self._make(duty)
        Outputs(
            self,
            "Resources",
            config=config,
            stack="access",
            resources={
                **{f"{name}_policy": policy.managed_policy_arn for name, policy in self.policies.items()},
                **{f"{name}_role": role.role_arn for name, role in self.roles.items()},
            },
        )

    def _make(self, duty: Duty) -> None:
        policy = iam.ManagedPolicy(self, duty.name.capitalize(), description=f"Promptlane {duty.name}: {duty.says}")
        attach(policy, duty.allowed, merge=True)
        policy.add_statements(*self._denials(duty))
        role = iam.Role(
            self,
            f"{duty.name.capitalize()}Role",
            assumed_by=self._members(duty),
            description=f"Promptlane {duty.name}: {duty.says}",
            managed_policies=[policy],
            permissions_boundary=policy,
        )
        accept_finding(policy, "IAM5[Resource::*]", _SHARED)
        self.policies[duty.name], self.roles[duty.name] = policy, role

    def _denials(self, duty: Duty) -> list[iam.PolicyStatement]:
        # IAM takes tag keys that differ in case alone for the same key.
        enrolled = {"ForAnyValue:StringEqualsIgnoreCase": {"aws:TagKeys": [ENROLLED_TAG]}}
        never = sorted({*duty.denied, *DELETIONS, *TASK_ANSWERS, *TRAIL_CHANGES, *COPIES_OF_TABLES})
        denials = [
            _deny("Never", never, ["*"]),
            _deny("OnlyDeployments", [*_TABLE_WRITES, *FILE_WRITES], self._deployed()),
            _deny("OnlyReleases", TAGGING, ["*"], enrolled),
        ]
        if duty.name != "operator":
            queue = [self._pipeline.intake_queue.queue_arn]
            denials.append(_deny("OnlyOperatorsAskForReleases", ["sqs:SendMessage"], queue))
        denials.append(_deny("OnlyServices", ["lambda:InvokeFunction"], duty.denied_functions))
        if duty.denied_routes:
            routes = [self._operation(path) for path in duty.denied_routes]
            denials.append(_deny("NotThisDuty", ["execute-api:Invoke"], routes))
        return denials

    def _deployed(self) -> list[str]:
        """What says which content, policy and reviewer count: routes, releases, deployed policies and suites and the
        copies that releases read, and the parameters. By name, anywhere: a policy has little room."""
        name = self._config.name
        return [
            arn("dynamodb", f"table/{name}-state-R*", region="*", account="*"),
            f"arn:{Aws.PARTITION}:s3:::cdk-*/*",
            f"arn:{Aws.PARTITION}:s3:::{name}-state-reports*/config/*",
            arn("ssm", f"parameter/{name}/*", region="*", account="*"),
        ]

    def _members(self, duty: Duty) -> iam.IPrincipal:
        """Whoever the account lets assume the role; only those that the deployment names for it, where it names any."""
        account, named = iam.AccountRootPrincipal(), self._config.duty_principals.get(duty.name)
        return account.with_conditions({"ArnLike": {"aws:PrincipalArn": list(named)}}) if named else account

    def _duties(self) -> Sequence[Duty]:
        g, decision = self._grants, "POST/releases/*/decision"
        everything, every_function = ("POST/*",), (self._functions(""),)
        operations = ("POST/releases/*/pause", "POST/releases/*/resume", "POST/releases/*/advance")
        rollback = "POST/prompts/*/rollback"
        prompt = arn("bedrock", "prompt/*")
        edit = (
            allow("EditPrompts", [a for a in EDITS if a != CREATION], [prompt], because=_SHARED),
            allow("CreatePrompts", [CREATION], ["*"], because="What does not exist yet has no resource."),
        )
        try_out = (
            *g.prompts_answer(),
            *g.guardrails(),
            allow("RenderDrafts", ["bedrock:RenderPrompt"], [prompt], because=_SHARED),
        )
        return (
            Duty(
                name="author",
                says="creates and edits drafts, publishes versions",
                allowed=(*self._reading(), *edit, *try_out),
                denied=(),
                denied_routes=everything,
                denied_functions=every_function,
            ),
            Duty(
                name="reviewer",
                says="reads, and decides reviews",
                allowed=(*self._reading(), self._call("DecideReviews", decision)),
                denied=_EDITS_DENIED,
                denied_routes=(*operations, rollback),
                denied_functions=every_function,
            ),
            Duty(
                name="operator",
                says="asks for releases, pauses, advances and rolls back",
                allowed=(
                    *self._reading(),
                    *self._investigating(),
                    *g.queue_send(self._pipeline.intake_queue.queue_arn),
                    *self._subscribing(),
                    *g.drill(),
                    # All but the decision, which is denied below: a policy has little room.
                    self._call("OperateReleases", *everything),
                    allow(
                        "RollBackWithoutTheApi",
                        ["lambda:InvokeFunction"],
                        [f"{self._pipeline.functions['roll_back'].function_arn}:{CONSOLE}"],
                    ),
                ),
                denied=_EDITS_DENIED,
                denied_routes=(decision,),
                # All of roll_back but its alias: what comes by that is recorded as a person's.
                denied_functions=(
                    self._functions("enrol"),
                    self._functions("Decide"),
                    self._functions("Operate"),
                    self._pipeline.functions["roll_back"].function_arn,
                ),
            ),
            Duty(
                name="runtime",
                says="answers with released versions",
                allowed=self._runtime_grants(),
                denied=_EDITS_DENIED,
                denied_routes=everything,
                denied_functions=every_function,
            ),
            Duty(
                name="auditor",
                says="reads everything and changes nothing",
                allowed=(*self._reading(), *self._investigating(), *self._validating()),
                denied=(*_EDITS_DENIED, "states:StartExecution", "states:StopExecution"),
                denied_routes=everything,
                denied_functions=every_function,
            ),
        )

    def _functions(self, verb: str) -> str:
        """The functions of the pipeline whose names begin so."""
        return arn("lambda", f"function:{self._config.name}-pipeline-{verb}*", region="*", account="*")

    def _reading(self) -> tuple[Grant, ...]:
        """What `status`, `history`, `diff` and reports show."""
        g = self._grants
        return (
            *g.routes_read(),
            *g.releases_read(query=True),
            *g.prompts_read(),
            *g.reports(read=["*"], may_be_missing=True),
            *g.alarms_read(),
            *g.metrics_read(),
            allow(
                "ReadDeployment",
                ["ssm:GetParameter", "ssm:GetParametersByPath"],
                [arn("ssm", f"parameter/{self._config.name}/*")],
                because=_SHARED,
            ),
            *g.executions("DescribeExecution"),
        )

    def _investigating(self) -> tuple[Grant, ...]:
        """What `investigate` and `history --verify` read: trail, alarms, logs and the locked copies of timelines."""
        machine, bucket = self._grants.machine_arn, self._audit_bucket
        group = arn("logs", f"log-group:{self._queried_group}")
        return (
            allow(
                "ReadTrail",
                ["cloudtrail:LookupEvents", "cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus"],
                ["*"],
                because=_SHARED,
            ),
            allow("ReadAlarmHistory", ["cloudwatch:DescribeAlarmHistory"], ["*"], because=_SHARED),
            allow(
                "QueryLogs",
                ["logs:StartQuery"],
                # One pattern for both forms of a group, with and without `:*`: which is matched depends on the action.
                [f"{group}*"] if self._queried_group else ["*"],
                because="The streams of the invocation log; without one of ours, whichever group the account logs to.",
            ),
            allow(
                "ReadAnswers",
                ["logs:StopQuery", "logs:GetQueryResults", "logs:DescribeLogGroups", "logs:DescribeQueryDefinitions"],
                ["*"],
                because=_SHARED,
            ),
            allow("ReadLogging", ["bedrock:GetModelInvocationLoggingConfiguration"], ["*"], because=_SHARED),
            allow("ListExecutions", ["states:ListExecutions", "states:DescribeStateMachine"], [machine]),
            allow(
                "ReadLocked",
                ["s3:GetObject", "s3:GetObjectVersion"],
                [f"{bucket}/timeline/*", f"{bucket}/AWSLogs/*"],
                because="Copies of timelines are named by release, log files of the trail by account and time.",
            ),
            self._function_logs(),
            allow("ListLocked", ["s3:ListBucket", "s3:ListBucketVersions"], [bucket]),
            allow("ReadLockedKey", ["kms:Decrypt"], [self._audit_key]),
            *self._large_bodies(),
        )

    def _validating(self) -> tuple[Grant, ...]:
        """What `aws cloudtrail validate-logs` needs beside the log files, what shows that controls are in place, and
        the originals of objects that somebody altered."""
        ours = f"{self._config.name}-state-*"
        reports = self._state.report_bucket_arn
        tables, topics = arn("dynamodb", f"table/{ours}"), arn("sns", f"{self._config.name}-*")
        return (
            allow(
                "ValidateTrail", ["cloudtrail:ListPublicKeys", "sns:GetSubscriptionAttributes"], ["*"], because=_SHARED
            ),
            allow(
                "ReadLock",
                ["s3:GetBucketLocation", "s3:GetBucketPolicy", "s3:GetBucketObjectLockConfiguration"],
                [self._audit_bucket],
            ),
            allow("ListReportVersions", ["s3:ListBucketVersions"], [reports]),
            allow(
                "ReadReportVersions",
                ["s3:GetObjectVersion"],
                [f"{reports}/*"],
                because="What `history --verify` calls altered has earlier versions: objects are named by release.",
            ),
            allow("ReadTablePolicies", ["dynamodb:GetResourcePolicy"], [tables], because=_SHARED),
            allow("ReadTags", ["bedrock:ListTagsForResource"], [arn("bedrock", "prompt/*")], because=_SHARED),
            allow("ReadSubscriptions", ["sns:ListSubscriptionsByTopic"], [topics], because=_SHARED),
        )

    def _subscribing(self) -> tuple[Grant, ...]:
        """What `reviewers list`, `subscribe` and `confirm` do. Which address, each topic's own policy says."""
        topics = [arn("sns", f"{self._config.name}-reviewers-*")]
        if self._config.on_call:
            topics.append(arn("sns", f"{self._config.name}-state-Notices*"))
        asks = ["sns:ConfirmSubscription", "sns:ListSubscriptionsByTopic", "sns:Subscribe"]
        by_email = {"StringEqualsIfExists": {"sns:Protocol": "email"}}  # Subscribe alone has a protocol
        return (
            allow("Subscriptions", asks, topics, by_email, because=_SHARED),
            allow("ReadSubscriptions", ["sns:GetSubscriptionAttributes"], ["*"], because=_SHARED),
        )

    def _function_logs(self) -> Grant:
        """Why a function failed; the logs hold no text of prompts or answers."""
        groups = [arn("logs", f"log-group:{self._config.name}-{stack}-*") for stack in ("pipeline", "runtime")]
        return allow("ReadFunctionLogs", ["logs:FilterLogEvents", "logs:GetLogEvents"], groups, because=_SHARED)

    def _large_bodies(self) -> list[Grant]:
        """What was sent and answered, where it was too large for the log. Masking reaches the log, never the bucket."""
        if not self._bodies or self._config.mask_personal_data:
            return []
        because = "Bodies are named by date and request."
        return [allow("ReadLargeBodies", ["s3:GetObject"], [f"{self._bodies}/*"], because=because)]

    def _runtime_grants(self) -> tuple[Grant, ...]:
        """The application's grants. Never DRAFT: the pattern wants a version; never what was not admitted: no tag."""
        gateway = str(self._runtime.export_value(self._runtime.service.api.api_id))
        g = self._grants
        streams = g.stream_call() if self._config.streams else ()
        calls = (*g.gateway_call(gateway), *streams)
        return (*g.application(), *g.contents_read(), *g.guardrails(), *g.metrics_write(), *calls)

    def _call(self, sid: str, *routes: str) -> Grant:
        return allow(sid, ["execute-api:Invoke"], [self._operation(r) for r in routes], because=_SHARED)

    def _operation(self, route: str) -> str:
        method, _, path = route.partition("/")
        api: apigw.HttpApi = self._pipeline.operations.api
        return arn("execute-api", f"{self._pipeline.export_value(api.api_id)}/$default/{method}/{path}")


def _deny(
    sid: str, actions: Sequence[str], resources: Sequence[str], conditions: Mapping[str, Any] | None = None
) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid, effect=iam.Effect.DENY, actions=list(actions), resources=list(resources), conditions=conditions
    )
