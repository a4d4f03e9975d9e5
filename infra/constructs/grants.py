"""The vocabulary of permissions: what a function may do, in statements that name actions and resources exactly."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_iam as iam

from infra.config import DeploymentConfig
from infra.stacks.state import State


class Grants:
    """Statements about one deployment's resources, for the functions of `stack`."""

    def __init__(self, stack: Stack, *, config: DeploymentConfig, state: State) -> None:
        self._stack, self._config, self._state = stack, config, state

    def routes_read(self) -> list[iam.PolicyStatement]:
        return [_allow("ReadRoutes", ["dynamodb:GetItem"], [self._state.route_table.table_arn])]

    def routes_write(self) -> list[iam.PolicyStatement]:
        return [_allow("WriteRoutes", ["dynamodb:GetItem", "dynamodb:PutItem"], [self._state.route_table.table_arn])]

    def releases_read(self) -> list[iam.PolicyStatement]:
        table = [self._state.release_table.table_arn]
        return [_allow("ReadReleases", ["dynamodb:GetItem", "dynamodb:Query"], table), *self._data_key()]

    def releases_write(self, *, delete: bool = False) -> list[iam.PolicyStatement]:
        """Read, put (also to the timeline, conditionally put once) and, where asked, delete outside the timeline."""
        table = [self._state.release_table.table_arn]
        statements = [
            _allow("WriteReleases", ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"], table),
            *self._data_key(),
        ]
        if delete:
            statements.append(
                _allow(
                    "DropLocks",
                    ["dynamodb:DeleteItem"],
                    table,
                    {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["prompt#*"]}},
                )
            )
        return statements

    def reports(self, *, read: Sequence[str] = (), write: Sequence[str] = ()) -> list[iam.PolicyStatement]:
        """Objects of the report bucket, by patterns of their keys. A missing object reads as such, not as forbidden."""
        bucket = self._state.report_bucket
        statements = []
        if read:
            statements.append(_allow("ReadReports", ["s3:GetObject"], [bucket.arn_for_objects(p) for p in read]))
            statements.append(_allow("TellMissingReports", ["s3:ListBucket"], [bucket.bucket_arn]))
        if write:
            statements.append(_allow("WriteReports", ["s3:PutObject"], [bucket.arn_for_objects(p) for p in write]))
        return [*statements, *self._data_key()]

    def enrolments_read(self, *names: str) -> list[iam.PolicyStatement]:
        return [_allow("ReadEnrolments", [f"ssm:{n}" for n in names], self.enrolment_parameters())]

    def enrolment_parameters(self) -> list[str]:
        return [self._parameter("enrolled"), self._parameter("enrolled/*")]

    def prompts_read(self, *, listed: bool = True) -> list[iam.PolicyStatement]:
        prompts = [self._arn("bedrock", "prompt", "*")]
        statements = [_allow("ReadPrompts", ["bedrock:GetPrompt"], prompts)]
        if listed:
            statements.append(_allow("ListPrompts", ["bedrock:ListPrompts"], ["*"]))
        return statements

    def prompts_answer(self) -> list[iam.PolicyStatement]:
        """Converse on numbered versions. A cross-Region profile needs the model in every Region that it routes to."""
        return [
            _allow("RenderVersions", ["bedrock:RenderPrompt"], [self._arn("bedrock", "prompt", "*:*")]),
            _allow(
                "InvokeModels",
                ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
                [
                    f"arn:{Aws.PARTITION}:bedrock:*::foundation-model/*",
                    self._arn("bedrock", "inference-profile", "*"),
                    self._arn("bedrock", "application-inference-profile", "*"),
                ],
            ),
        ]

    def application(self) -> list[iam.PolicyStatement]:
        """What the client library does in an application, and in the gateway: read routes, answer, count feedback."""
        state = self._state
        return [
            _allow("ReadRoutes", ["dynamodb:GetItem", "dynamodb:BatchGetItem"], [state.route_table.table_arn]),
            _allow("CountFeedbackOnce", ["dynamodb:PutItem"], [state.feedback_table.table_arn]),
            _allow("SignReceipts", ["secretsmanager:GetSecretValue"], [state.receipt_secret.secret_arn]),
            _allow("ReadVersions", ["bedrock:GetPrompt"], [self._arn("bedrock", "prompt", "*:*")]),
            *self.prompts_answer(),
        ]

    def machine_start(self) -> list[iam.PolicyStatement]:
        return [_allow("StartReleases", ["states:StartExecution"], [self.machine_arn])]

    def executions(self, *actions: str) -> list[iam.PolicyStatement]:
        arn = self._arn("states", "execution", f"{self._config.state_machine_name}:*", ArnFormat.COLON_RESOURCE_NAME)
        return [_allow("Executions", [f"states:{a}" for a in actions], [arn])]

    def task_answer(self) -> list[iam.PolicyStatement]:
        return [_allow("AnswerReview", ["states:SendTaskSuccess"], [self.machine_arn])]

    def notices_send(self) -> list[iam.PolicyStatement]:
        return [_allow("SendNotices", ["sns:Publish"], [self._state.notices.topic_arn]), *self.message_key()]

    def reviewers_send(self) -> list[iam.PolicyStatement]:
        topics: list[str] = [topic.topic_arn for topic in self._state.reviewers]
        if not topics:
            return []
        return [
            _allow(
                "MailReviewers",
                ["sns:Publish", "sns:ListSubscriptionsByTopic", "sns:GetSubscriptionAttributes"],
                topics,
            ),
            *self.message_key(),
            _allow(
                "ReadReviewers",
                ["ssm:GetParameter", "ssm:GetParametersByPath"],
                [self._parameter("reviewers"), self._parameter("reviewers/*")],
            ),
        ]

    def queue_send(self, queue_arn: str) -> list[iam.PolicyStatement]:
        return [_allow("RequestReleases", ["sqs:SendMessage"], [queue_arn]), *self.message_key()]

    def alarms_read(self) -> list[iam.PolicyStatement]:
        return [_allow("ReadAlarms", ["cloudwatch:DescribeAlarms"], ["*"])]

    def metrics_read(self) -> list[iam.PolicyStatement]:
        return [_allow("ReadMetrics", ["cloudwatch:GetMetricData"], ["*"])]

    def trail_read(self) -> list[iam.PolicyStatement]:
        return [_allow("FindAuthors", ["cloudtrail:LookupEvents"], ["*"])]

    def links(self, action: str) -> list[iam.PolicyStatement]:
        return [_allow("ReviewLinks", [f"kms:{action}"], [self._state.review_key.key_arn])]

    def invoke(self, function_arn: str) -> list[iam.PolicyStatement]:
        return [_allow("WindUpDeadReleases", ["lambda:InvokeFunction"], [function_arn])]

    @property
    def machine_arn(self) -> str:
        """Built from its fixed name: a reference would be circular, since the machine calls these functions."""
        return self._arn("states", "stateMachine", self._config.state_machine_name, ArnFormat.COLON_RESOURCE_NAME)

    def _data_key(self) -> list[iam.PolicyStatement]:
        return [_allow("DataKey", ["kms:Decrypt", "kms:GenerateDataKey"], [self._state.data_key.key_arn])]

    def message_key(self) -> list[iam.PolicyStatement]:
        return [_allow("MessageKey", ["kms:Decrypt", "kms:GenerateDataKey"], [self._state.message_key.key_arn])]

    def _parameter(self, name: str) -> str:
        return self._arn("ssm", "parameter", f"{self._config.name}/{name}")

    def _arn(
        self, service: str, resource: str, name: str, arn_format: ArnFormat = ArnFormat.SLASH_RESOURCE_NAME
    ) -> str:
        return self._stack.format_arn(service=service, resource=resource, resource_name=name, arn_format=arn_format)


def _allow(
    sid: str, actions: Sequence[str], resources: Sequence[str], conditions: dict[str, object] | None = None
) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, actions=list(actions), resources=list(resources), conditions=conditions)


def distinct(*groups: Sequence[iam.PolicyStatement]) -> list[iam.PolicyStatement]:
    """The statements of all groups, each once: several of them bring the same key."""
    found: dict[str, iam.PolicyStatement] = {}
    for statement in (statement for group in groups for statement in group):
        found.setdefault(str(statement.sid), statement)
    return list(found.values())
