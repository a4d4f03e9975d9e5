"""The vocabulary of permissions: what a function may do, in statements that name actions and resources exactly."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from infra.config import DeploymentConfig
from infra.constructs.accepted import accept_finding, finding_text
from infra.constructs.statements import arn
from infra.state import State
from promptlane.domain.keys import WHOLE
from promptlane.domain.names import ENROLLED_TAG, NAMESPACE, RECEIPT_CONTEXT, ROUTES_BY_ID, drill_alarm_name

_KEYS = "Objects of one kind share a prefix of the bucket; their names are release ids and hashes."
_PARAMETERS = "One parameter per prompt or reviewer, below a prefix that is this deployment's own."
_PROMPTS = "Prompts are enrolled by name and their ids are not known at deployment."
_MODELS = ("*inference-profile", "provisioned-model", "imported-model", "custom-model-deployment", "*prompt-router")
"""What a prompt may name in place of a foundation model, all in this account and Region. The two stars stand for
`application-` and `default-`, or for nothing."""
_NO_RESOURCES = "The action knows no resource-level permissions."
PROMPT_CONTEXT = "aws:bedrock-prompts:arn"
"""The encryption context that Bedrock gives a prompt's key: the ARN of the prompt."""
_SIGNED = {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}
_THROUGH = {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
_GATEWAY_CALLS = ("POST/prompts/{}/converse", "GET/prompts/{}/route")


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A statement of a policy. `because` says why some of its resources are patterns."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Any]
    because: str

    def statement(self) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            sid=self.sid or None,
            actions=list(self.actions),
            resources=list(self.resources),
            conditions=dict(self.conditions) or None,
        )

    def accept_patterns(self, holder: IConstruct) -> None:
        """Record the reason with the role or policy that holds the statement."""
        if not self.because:
            return
        for resource in self.resources:
            text = finding_text(Stack.of(holder).resolve(resource))
            if "*" in text:
                accept_finding(holder, f"IAM5[Resource::{text}]", self.because)


class Grants:
    """Statements about one deployment's resources."""

    def __init__(self, *, config: DeploymentConfig, state: State) -> None:
        self._config, self._state = config, state

    def routes_read(self, *, listed: bool = False) -> list[Grant]:
        """`listed`: for who must know what all routes name."""
        actions = ["dynamodb:GetItem", *(["dynamodb:Scan"] if listed else [])]
        return [allow("ReadRoutes", actions, [self._state.route_table.table_arn])]

    def routes_write(self) -> list[Grant]:
        return [allow("WriteRoutes", ["dynamodb:GetItem", "dynamodb:PutItem"], [self._state.route_table.table_arn])]

    def releases_read(self, *, query: bool = False, many: bool = False) -> list[Grant]:
        """`many`: for who reads an item of each of many prompts in one call."""
        more = [*(["dynamodb:Query"] if query else []), *(["dynamodb:BatchGetItem"] if many else [])]
        actions = ["dynamodb:GetItem", *more]
        return [allow("ReadReleases", actions, [self._state.release_table.table_arn]), *self._data_key()]

    def releases_write(
        self,
        *,
        query: bool = False,
        many: bool = False,
        put: Sequence[str],
        update: Sequence[str] = (),
        delete: Sequence[str] = (),
    ) -> list[Grant]:
        """Read everything; put, update and delete only items whose partition key begins so (`promptlane.domain.keys`).

        AWS looks at the items of a transaction one by one. A put may replace what is there, since IAM cannot demand
        that a write has a condition: `promptlane history --verify` finds that. `update` and `delete` never name the
        timeline, whose entries are put once and never changed.
        """
        table = [self._state.release_table.table_arn]
        writes = (
            allow(sid, [f"dynamodb:{action}"], table, _only_below(keys))
            for sid, action, keys in (
                ("PutReleaseItems", "PutItem", put),
                ("ChangeReleaseItems", "UpdateItem", update),
                ("DropReleaseItems", "DeleteItem", delete),
            )
            if keys
        )
        return [*self.releases_read(query=query, many=many), *writes]

    def stream_read(self) -> list[Grant]:
        """What Lambda asks of a role before it reads a table's stream under it."""
        stream = str(self._state.release_table.table_stream_arn)
        actions = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
        return [
            allow("ReadStream", actions, [stream]),
            allow("ListStreams", ["dynamodb:ListStreams"], ["*"], because=_NO_RESOURCES),
        ]

    def reports(
        self, *, read: Sequence[str] = (), write: Sequence[str] = (), may_be_missing: bool = False
    ) -> list[Grant]:
        """Objects of the report bucket, by patterns of their keys.

        S3 answers that a missing object is forbidden unless the bucket may be listed: `may_be_missing` allows that.
        """
        bucket = self._state.report_bucket_arn
        statements = []
        if read:
            statements.append(allow("ReadReports", ["s3:GetObject"], [f"{bucket}/{p}" for p in read], because=_KEYS))
            if may_be_missing:
                statements.append(allow("TellMissingReports", ["s3:ListBucket"], [bucket]))
        if write:
            statements.append(allow("WriteReports", ["s3:PutObject"], [f"{bucket}/{p}" for p in write], because=_KEYS))
        return [*statements, *self._data_key()]

    def contents_write(self) -> list[Grant]:
        """Put what versions hold, and see what is there. A conditional put needs `s3:PutObject` alone."""
        bucket = self._state.version_bucket_arn
        because = "By the prompt's name and the version's fingerprint."
        return [
            allow("PutVersions", ["s3:PutObject"], [f"{bucket}/*.json"], because=because),
            allow("ListVersions", ["s3:ListBucket"], [bucket]),
            *self._data_key(),
        ]

    def contents_read(self, prompts: Sequence[str] = ()) -> list[Grant]:
        """Read what versions hold: of these prompts, or of all. The key opens what lies in that bucket alone.

        With a bucket key the encryption context is the bucket's ARN, without one the object's.
        """
        bucket = self._state.version_bucket_arn
        objects = [f"{bucket}/{prompt}/*.json" for prompt in prompts] or [f"{bucket}/*.json"]
        context = {"StringLike": {"kms:EncryptionContext:aws:s3:arn": [bucket, f"{bucket}/*"]}}
        because = "By the prompt's name and the version's fingerprint."
        return [
            allow("ReadVersions", ["s3:GetObject"], objects, because=because),
            allow("OpenVersions", ["kms:Decrypt"], [self._state.data_key.key_arn], context),
        ]

    def deployed_files(self) -> list[Grant]:
        """What stacks of this account deploy as assets: policies and suites among them, whichever app they are of."""
        bucket = f"arn:{Aws.PARTITION}:s3:::cdk-*-assets-{Aws.ACCOUNT_ID}-{Aws.REGION}"
        because = "Policies and suites are named by their content hash, in the bucket of whichever CDK bootstrap."
        return [allow("ReadDeployedPolicies", ["s3:GetObject"], [f"{bucket}/*.json"], because=because)]

    def stacks_read(self) -> list[Grant]:
        actions = ["cloudformation:DescribeStacks", "cloudformation:DescribeStackResource"]
        because = "Any stack of the account may enrol a prompt."
        return [allow("AskCloudFormation", actions, [arn("cloudformation", "stack/*")], because=because)]

    def prompts_read(self, *, listed: bool = True) -> list[Grant]:
        prompts = [arn("bedrock", "prompt/*")]
        statements = [allow("ReadPrompts", ["bedrock:GetPrompt"], prompts, because=_PROMPTS)]
        if listed:
            statements.append(allow("ListPrompts", ["bedrock:ListPrompts"], ["*"], because=_NO_RESOURCES))
        return [*statements, *self.prompt_keys()]

    def prompt_keys(self) -> list[Grant]:
        """Use the customer-managed keys of prompts, for prompts alone: Bedrock asks KMS in the caller's name."""
        keys = self._config.prompt_keys
        context = {"StringLike": {f"kms:EncryptionContext:{PROMPT_CONTEXT}": arn("bedrock", "prompt/*")}}
        return [allow("PromptKeys", ["kms:Decrypt", "kms:GenerateDataKey"], keys, context)] if keys else []

    def versions_delete(self) -> list[Grant]:
        """Numbered versions only: neither a prompt nor its draft has a number after its id."""
        versions = [arn("bedrock", "prompt/*:*")]
        return [allow("DeleteVersions", ["bedrock:DeletePrompt"], versions, because=_PROMPTS)]

    def enrolment_tags(self) -> list[Grant]:
        """Put the tag that lets applications to a version, and no other tag; see whose is there."""
        prompts = [arn("bedrock", "prompt/*")]
        condition = {
            "StringEquals": {f"aws:RequestTag/{ENROLLED_TAG}": self._config.name},
            "ForAllValues:StringEquals": {"aws:TagKeys": [ENROLLED_TAG]},
        }
        return [
            allow("TagEnrolled", ["bedrock:TagResource"], prompts, condition, because=_PROMPTS),
            allow("ReadTags", ["bedrock:ListTagsForResource"], prompts, because=_PROMPTS),
        ]

    def prompts_answer(self, *, enrolled: bool = False, streamed: bool = False) -> list[Grant]:
        """Converse on numbered versions. A cross-Region profile needs the model in every Region that it routes to.

        `enrolled`: of prompts that this deployment has admitted, and no others. `streamed`: ConverseStream alone.
        """
        versions, condition = [arn("bedrock", "prompt/*:*")], self._enrolled() if enrolled else None
        return [
            # AWS's own examples grant both to whoever converses with a prompt; which one Converse asks for, none says.
            allow(
                "RenderVersions", ["bedrock:RenderPrompt", "bedrock:GetPrompt"], versions, condition, because=_PROMPTS
            ),
            allow(
                "InvokeModels",
                [*([] if streamed else ["bedrock:InvokeModel"]), "bedrock:InvokeModelWithResponseStream"],
                [
                    arn("bedrock", "foundation-model/*", region="*", account=""),
                    *(arn("bedrock", f"{kind}/*") for kind in _MODELS),
                ],
                because="A prompt's author chooses the model; `admit` holds versions to the models of the policy.",
            ),
            *self.prompt_keys(),
        ]

    def streams(self) -> list[Grant]:
        """What the client library does in the streaming gateway, which takes no feedback."""
        seals = allow("SealReceipts", ["kms:GenerateDataKey"], [self._state.receipt_key.key_arn])
        return [*self._routes_of(), seals, *self.prompts_answer(enrolled=True, streamed=True)]

    def _routes_of(self, prompts: Sequence[str] = ()) -> list[Grant]:
        """Read the routes of these prompts, or all, and find by a prompt's id which one is its."""
        table = self._state.route_table.table_arn
        reads = ["dynamodb:GetItem", "dynamodb:BatchGetItem"]
        return [
            allow("ReadRoutes", reads, [table], _keys_within(prompts)),
            allow("FindRoutesById", ["dynamodb:Query"], [f"{table}/index/{ROUTES_BY_ID}"]),
        ]

    def application(self, prompts: Sequence[str] = ()) -> list[Grant]:
        """What the client library does in an application, and in the gateway: read routes, answer, count feedback.

        `prompts`: the only ones whose routes it reads and for whose answers it speaks; without any, all. Which prompts
        it renders cannot be told by name, IAM sees ids; nor which metrics it writes, IAM sees no dimensions.
        """
        state = self._state
        feedback, marks = state.feedback_table.table_arn, _keys_within([f"{prompt}/*" for prompt in prompts])
        context = {"StringEquals": {f"kms:EncryptionContext:{RECEIPT_CONTEXT}": list(prompts)}} if prompts else None
        return [
            *self._routes_of(prompts),
            allow("CountFeedbackOnce", ["dynamodb:PutItem"], [feedback], marks),
            allow("SealReceipts", ["kms:GenerateDataKey", "kms:Decrypt"], [state.receipt_key.key_arn], context),
            *self.prompts_answer(enrolled=True),
        ]

    def guardrails(self) -> list[Grant]:
        """For calls behind a version's guardrail, or an application's own; a profile needs it in every Region that
        it names."""
        return [
            allow(
                "ApplyGuardrails",
                ["bedrock:ApplyGuardrail"],
                [arn("bedrock", "guardrail/*"), arn("bedrock", "guardrail-profile/*", region="*")],
                because="An author chooses the guardrail of a version; an application may choose another.",
            )
        ]

    def metrics_write(self) -> list[Grant]:
        condition = {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}
        because = "The action knows no resources; the namespace is the limit."
        return [allow("PublishMetrics", ["cloudwatch:PutMetricData"], ["*"], condition, because=because)]

    def gateway_call(self, api_id: str, prompts: Sequence[str] = ()) -> list[Grant]:
        """Every call of the gateway; with `prompts`, those that name one of them, feedback and the description."""
        of_prompts = [f"{call.format(prompt)}" for prompt in prompts for call in _GATEWAY_CALLS]
        calls = [*of_prompts, "POST/feedback", "GET/openapi.json"] if prompts else ["*/*"]
        because = "" if prompts else "Every method of the gateway, and nothing else."
        resources = [arn("execute-api", f"{api_id}/$default/{call}") for call in calls]
        return [allow("CallGateway", ["execute-api:Invoke"], resources, because=because)]

    def stream_call(self, application: str = "") -> list[Grant]:
        """Every call of the streaming gateway; with `application`, by the address that is for its prompts alone.

        A function URL wants both actions of its callers, and IAM sees no path of it. What may be invoked through the
        address may not be invoked directly: the request would say what it likes of its caller.
        """
        function = stream_function_arn(self._config.name) + (f":{application}" if application else "")
        return [
            allow("StreamAnswers", ["lambda:InvokeFunctionUrl"], [function], _SIGNED),
            allow("StreamThroughTheAddress", ["lambda:InvokeFunction"], [function], _THROUGH),
        ]

    def machine_start(self) -> list[Grant]:
        return [allow("StartReleases", ["states:StartExecution"], [self.machine_arn])]

    def executions(self, *actions: str) -> list[Grant]:
        started = [arn("states", f"execution:{self._config.state_machine_name}:*")]
        because = "Executions are named by release."
        return [allow("Executions", [f"states:{action}" for action in actions], started, because=because)]

    def task_answer(self) -> list[Grant]:
        return [allow("AnswerReview", ["states:SendTaskSuccess"], [self.machine_arn])]

    def notices_send(self) -> list[Grant]:
        return [allow("SendNotices", ["sns:Publish"], [self._state.notices.topic_arn]), *self.message_key()]

    def reviewers_send(self) -> list[Grant]:
        topics = [arn("sns", f"{self._config.name}-reviewers-*")]
        mail = ["sns:Publish", "sns:ListSubscriptionsByTopic"]
        return [
            allow("MailReviewers", mail, topics, because="One topic per reviewer, in stacks of their own."),
            allow("ReadSubscriptions", ["sns:GetSubscriptionAttributes"], ["*"], because=_NO_RESOURCES),
            *self.message_key(),
            allow("ReadReviewers", ["ssm:GetParameter"], [self._parameter("reviewers/*")], because=_PARAMETERS),
        ]

    def queue_send(self, queue_arn: str) -> list[Grant]:
        return [allow("RequestReleases", ["sqs:SendMessage"], [queue_arn]), *self.message_key()]

    def alarms_read(self) -> list[Grant]:
        return [allow("ReadAlarms", ["cloudwatch:DescribeAlarms"], ["*"], because=_NO_RESOURCES)]

    def drill(self) -> list[Grant]:
        """Set the one alarm that is there to be set."""
        alarm = arn("cloudwatch", f"alarm:{drill_alarm_name(self._config.name)}")
        return [allow("Drill", ["cloudwatch:SetAlarmState"], [alarm])]

    def metrics_read(self) -> list[Grant]:
        return [allow("ReadMetrics", ["cloudwatch:GetMetricData"], ["*"], because=_NO_RESOURCES)]

    def trail_read(self) -> list[Grant]:
        return [allow("FindAuthors", ["cloudtrail:LookupEvents"], ["*"], because=_NO_RESOURCES)]

    def links(self, action: str) -> list[Grant]:
        return [allow("ReviewLinks", [f"kms:{action}"], [self._state.review_key.key_arn])]

    def invoke(self, function_arn: str) -> list[Grant]:
        return [allow("WindUpDeadReleases", ["lambda:InvokeFunction"], [function_arn])]

    @property
    def machine_arn(self) -> str:
        """Built from its fixed name: a reference would be circular, since the machine calls these functions."""
        return arn("states", f"stateMachine:{self._config.state_machine_name}")

    def _enrolled(self) -> dict[str, dict[str, str]]:
        return {"StringEquals": {f"aws:ResourceTag/{ENROLLED_TAG}": self._config.name}}

    def _data_key(self) -> list[Grant]:
        return [allow("DataKey", ["kms:Decrypt", "kms:GenerateDataKey"], [self._state.data_key.key_arn])]

    def message_key(self) -> list[Grant]:
        return [allow("MessageKey", ["kms:Decrypt", "kms:GenerateDataKey"], [self._state.message_key.key_arn])]

    def _parameter(self, name: str) -> str:
        return arn("ssm", f"parameter/{self._config.name}/{name}")


def stream_function_name(deployment: str) -> str:
    """The streaming gateway's. Fixed by us, so that nobody refers to its stack, which may leave it out."""
    return f"{deployment}-stream"


def stream_function_arn(deployment: str) -> str:
    return arn("lambda", f"function:{stream_function_name(deployment)}")


def _only_below(beginnings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of partition keys. `ForAllValues` alone is true of a request that names no key at all: `Null` refuses that."""
    key = "dynamodb:LeadingKeys"
    return {
        "ForAllValues:StringLike": {key: [begins if begins in WHOLE else f"{begins}*" for begins in beginnings]},
        "Null": {key: "false"},
    }


def allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str],
    conditions: Mapping[str, Any] | None = None,
    *,
    because: str = "",
) -> Grant:
    """Shorthand for a Grant."""
    return Grant(
        sid=sid, actions=tuple(actions), resources=tuple(resources), conditions=conditions or {}, because=because
    )


def _keys_within(patterns: Sequence[str]) -> dict[str, Any]:
    """The condition that items lie under these partition keys; none without any. A request that names no key fails."""
    if not patterns:
        return {}
    within = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(patterns)}}
    return {**within, "Null": {"dynamodb:LeadingKeys": "false"}}


def distinct(grants: Iterable[Grant]) -> list[Grant]:
    """Each grant once: several words bring the same key.

    Raises ValueError where two grants have one sid and differ, since a policy has room for one of them only.
    """
    found: dict[str, Grant] = {}
    for grant in grants:
        if (first := found.setdefault(grant.sid, grant)) != grant:
            raise ValueError(f"two statements with the sid {grant.sid}: {first} and {grant}; ask once for both")
    return list(found.values())


def attach(holder: iam.Role | iam.ManagedPolicy, grants: Iterable[Grant], *, merge: bool = False) -> None:
    """Give a role or a policy the grants, each once, and record why some have patterns. `merge` as `merged` does."""
    each = distinct(grants)
    add = holder.add_to_policy if isinstance(holder, iam.Role) else holder.add_statements
    for grant in merged(each) if merge else each:
        add(grant.statement())
    for grant in each:
        grant.accept_patterns(holder)


def merged(grants: Sequence[Grant]) -> list[Grant]:
    """One grant for all that allow on the same resources, and for all that allow the same actions, under the same
    conditions; without names, for the CDK then joins what is left to join.

    Managed policies may have 6,144 characters, and partitions and Regions with long names must fit too.
    """
    by_resource = _joined(grants, lambda grant: (sorted(grant.resources), grant.conditions))
    return _joined(by_resource, lambda grant: (sorted(grant.actions), grant.conditions))


def _joined(grants: Iterable[Grant], alike: Callable[[Grant], object]) -> list[Grant]:
    groups: dict[str, list[Grant]] = {}
    for grant in grants:
        groups.setdefault(repr(alike(grant)), []).append(grant)
    return [
        replace(
            group[0],
            sid="",
            actions=tuple(sorted({action for grant in group for action in grant.actions})),
            resources=tuple(dict.fromkeys(resource for grant in group for resource in grant.resources)),
        )
        for group in groups.values()
    ]
