"""The matrix: what each role is expected to be allowed, and the real call that shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = Any
ROLES = ("author", "reviewer", "operator", "runtime", "auditor")
AUTHOR, REVIEWER, OPERATOR, RUNTIME, AUDITOR = ROLES
PEOPLE = {AUTHOR, REVIEWER, OPERATOR, AUDITOR}
NOBODY: set[str] = set()
EVERYBODY = set(ROLES)


@dataclass(frozen=True)
class Target:
    """What the calls are about: two prompts with a numbered version each, and the deployment's resources by name.

    `version_arn` is of an enrolled prompt, `other_arn` of one that this deployment does not know.
    """

    version_arn: str
    other_arn: str
    resources: dict[str, Json]

    @property
    def prompt_id(self) -> str:
        return _id_of(self.version_arn)

    @property
    def other_id(self) -> str:
        return _id_of(self.other_arn)

    @property
    def draft_arn(self) -> str:
        return self.version_arn.rpartition(":")[0]


def _id_of(version_arn: str) -> str:
    return version_arn.rpartition("/")[2].partition(":")[0]


Call = Callable[[Any, Target], object]
"""(caller, target): `caller.client(service)` is a client with the role's credentials, `caller.post(url)` is signed."""


@dataclass(frozen=True)
class Row:
    """One action. `says` is what a reader calls it; `may` names the roles that are expected to be allowed."""

    action: str
    says: str
    may: set[str]
    call: Call


def _draft(caller: Any, target: Target) -> Json:
    return caller.client("bedrock-agent").get_prompt(promptIdentifier=target.prompt_id)


def _read(caller: Any, prompt_id: str) -> object:
    return caller.client("bedrock-agent").get_prompt(promptIdentifier=prompt_id, promptVersion="1")


def _update(caller: Any, target: Target) -> object:
    # What the draft holds already: the call must be a real one, the prompt is not to change.
    kept = target.resources["draft"]
    return caller.client("bedrock-agent").update_prompt(promptIdentifier=target.prompt_id, **kept)


def _converse(caller: Any, model: str, **more: Json) -> object:
    return caller.client("bedrock-runtime").converse(
        modelId=model, promptVariables={"question": {"text": "Where is my order?"}}, **more
    )


def _item(target: Target, table: str, key: dict[str, str]) -> dict[str, Json]:
    return {"TableName": target.resources[table], "Key": {k: {"S": v} for k, v in key.items()}}


_GUARDRAIL = {"guardrailIdentifier": "gr0000000001", "guardrailVersion": "1"}
_ENROLLED = {"promptlane:enrolled": "promptlane"}
_NOBODYS = "/releases/NOBODY0000-1-1"
_ROUTE = {"prompt": "nobody"}
_RELEASE = {"pk": "prompt#nobody", "sk": "lock"}
_ENROLMENT = {"pk": "enrolment#nobody", "sk": "current"}
_DECLARED = {"pk": "declared", "sk": "reviewers"}
_SECRET = {"pk": "secret#nobody", "sk": "token#001"}
_ENTRY = {"pk": "timeline#nobody", "sk": "000001"}


def _put(caller: Any, target: Target, table: str, key: dict[str, str]) -> object:
    item = {k: {"S": v} for k, v in key.items()}
    return caller.client("dynamodb").put_item(TableName=target.resources[table], Item=item)


def _object(target: Target, bucket: str, key: str) -> dict[str, str]:
    return {"Bucket": target.resources[bucket], "Key": key}


def _assets(target: Target) -> str:
    """The bucket of the CDK's bootstrap."""
    region, account = target.version_arn.split(":")[3:5]
    return f"cdk-hnb659fds-assets-{account}-{region}"


def _operation(caller: Any, target: Target, path: str) -> object:
    return caller.post(f"{target.resources['operations_url']}{path}", {"reason": "proof", "decision": "approve"})


def _subscribe(caller: Any, target: Target, *, protocol: str = "email", endpoint: str = "") -> object:
    found = target.resources
    endpoint = endpoint or str(found["reviewer_email"])
    return caller.client("sns").subscribe(TopicArn=found["reviewer_topic"], Protocol=protocol, Endpoint=endpoint)


def _metric(caller: Any, namespace: str) -> object:
    data = [{"MetricName": "Proof", "Value": 0.0}]
    return caller.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)


ROWS = (
    Row("bedrock:GetPrompt", "read a version of an enrolled prompt", EVERYBODY, lambda c, t: _read(c, t.prompt_id)),
    Row("bedrock:GetPrompt", "read a version of another prompt", PEOPLE, lambda c, t: _read(c, t.other_id)),
    Row("bedrock:GetPrompt", "read the draft", PEOPLE, _draft),
    Row("bedrock:CreatePrompt", "create a prompt", {AUTHOR},
        lambda c, t: c.client("bedrock-agent").create_prompt(name="access-proof")),
    Row("bedrock:UpdatePrompt", "edit the draft", {AUTHOR}, _update),
    Row("bedrock:CreatePromptVersion", "publish a version", {AUTHOR},
        lambda c, t: c.client("bedrock-agent").create_prompt_version(promptIdentifier=t.prompt_id)),
    Row("bedrock:CreatePromptVersion", "publish a version with the tag of enrolled ones", NOBODY,
        lambda c, t: c.client("bedrock-agent").create_prompt_version(promptIdentifier=t.other_id, tags=_ENROLLED)),
    Row("bedrock:TagResource", "enrol a prompt by its tag", NOBODY,
        lambda c, t: c.client("bedrock-agent").tag_resource(resourceArn=t.other_arn, tags=_ENROLLED)),
    Row("bedrock:UntagResource", "take that tag away", NOBODY,
        lambda c, t: c.client("bedrock-agent").untag_resource(resourceArn=t.version_arn, tagKeys=list(_ENROLLED))),
    Row("bedrock:DeletePrompt", "delete a version", NOBODY,
        lambda c, t: c.client("bedrock-agent").delete_prompt(promptIdentifier=t.prompt_id, promptVersion="1")),
    Row("bedrock:DeletePrompt", "delete the prompt", NOBODY,
        lambda c, t: c.client("bedrock-agent").delete_prompt(promptIdentifier=t.prompt_id)),
    Row("bedrock:RenderPrompt", "answer with a version of an enrolled prompt", {AUTHOR, RUNTIME},
        lambda c, t: _converse(c, t.version_arn)),
    Row("bedrock:RenderPrompt", "answer with a version of another prompt", {AUTHOR},
        lambda c, t: _converse(c, t.other_arn)),
    Row("bedrock:RenderPrompt", "answer with the draft", {AUTHOR}, lambda c, t: _converse(c, t.draft_arn)),
    Row("bedrock:ApplyGuardrail", "answer behind a guardrail", {AUTHOR, RUNTIME},
        lambda c, t: _converse(c, t.version_arn, guardrailConfig=_GUARDRAIL)),
    Row("execute-api:Invoke", "decide a review", {REVIEWER},
        lambda c, t: _operation(c, t, f"{_NOBODYS}/decision")),
    Row("execute-api:Invoke", "pause a canary", {OPERATOR},
        lambda c, t: _operation(c, t, f"{_NOBODYS}/pause")),
    Row("execute-api:Invoke", "advance a canary", {OPERATOR},
        lambda c, t: _operation(c, t, f"{_NOBODYS}/advance")),
    Row("execute-api:Invoke", "roll back", {OPERATOR}, lambda c, t: _operation(c, t, "/prompts/nobody/rollback")),
    Row("execute-api:Invoke", "ask the gateway", {RUNTIME},
        lambda c, t: c.post(f"{t.resources['gateway_url']}/prompts/nobody/converse", {"unit": "u"})),
    Row("lambda:InvokeFunction", "roll back without the API", {OPERATOR},
        lambda c, t: c.client("lambda").invoke(FunctionName=t.resources["roll_back_console"], Payload=json.dumps(
            {"prompt": "nobody", "cause": "operator", "reason": "proof", "by": "proof"}))),
    Row("lambda:InvokeFunction", "roll back in an alarm's name", NOBODY,
        lambda c, t: c.client("lambda").invoke(FunctionName=t.resources["roll_back_function"],
                                               Payload=json.dumps({"Records": []}))),
    Row("lambda:InvokeFunction", "invoke promote", NOBODY,
        lambda c, t: c.client("lambda").invoke(FunctionName=t.resources["promote_function"], Payload=b"{}")),
    Row("lambda:InvokeFunction", "decide a review in another's name", NOBODY,
        lambda c, t: c.client("lambda").invoke(FunctionName=t.resources["decide_function"], Payload=b"{}")),
    Row("kms:GenerateMac", "sign a reviewer's link", NOBODY,
        lambda c, t: c.client("kms").generate_mac(KeyId=t.resources["review_key"], Message=b"proof",
                                                  MacAlgorithm="HMAC_SHA_256")),
    Row("kms:VerifyMac", "try a reviewer's code", NOBODY,
        lambda c, t: c.client("kms").verify_mac(KeyId=t.resources["review_key"], Message=b"proof", Mac=bytes(32),
                                                MacAlgorithm="HMAC_SHA_256")),
    Row("kms:GenerateDataKey", "seal a receipt", {RUNTIME},
        lambda c, t: c.client("kms").generate_data_key(KeyId=t.resources["receipt_key"], KeySpec="AES_256",
                                                       EncryptionContext={"prompt": "nobody", "day": "1"})),
    Row("dynamodb:PutItem", "count feedback", {RUNTIME},
        lambda c, t: _put(c, t, "feedback_table", {"receipt": "nobody/0"})),
    Row("sqs:SendMessage", "ask for a release", {OPERATOR},
        lambda c, t: c.client("sqs").send_message(QueueUrl=t.resources["intake_queue_url"], MessageBody="{}")),
    Row("states:StartExecution", "start a release past the lock", NOBODY,
        lambda c, t: c.client("stepfunctions").start_execution(stateMachineArn=t.resources["state_machine_arn"])),
    Row("states:SendTaskSuccess", "answer for the reviewers", NOBODY,
        lambda c, t: c.client("stepfunctions").send_task_success(taskToken=t.resources["task_token"], output="{}")),
    Row("dynamodb:GetItem", "read a route", EVERYBODY,
        lambda c, t: c.client("dynamodb").get_item(**_item(t, "route_table", _ROUTE))),
    Row("dynamodb:Query", "find a route by a prompt's id", {RUNTIME},
        lambda c, t: c.client("dynamodb").query(
            TableName=t.resources["route_table"], IndexName="by_id", KeyConditionExpression="prompt_id = :id",
            ExpressionAttributeValues={":id": {"S": "NOBODY0000"}})),
    Row("dynamodb:PutItem", "write a route", NOBODY, lambda c, t: _put(c, t, "route_table", _ROUTE)),
    Row("dynamodb:GetItem", "read a release", PEOPLE,
        lambda c, t: c.client("dynamodb").get_item(**_item(t, "release_table", _RELEASE))),
    Row("dynamodb:GetItem", "read the secrets of a review", NOBODY,
        lambda c, t: c.client("dynamodb").get_item(**_item(t, "release_table", _SECRET))),
    Row("dynamodb:Scan", "read releases without naming them", NOBODY,
        lambda c, t: c.client("dynamodb").scan(TableName=t.resources["release_table"], Limit=1)),
    Row("dynamodb:PutItem", "write a release", NOBODY, lambda c, t: _put(c, t, "release_table", _RELEASE)),
    Row("dynamodb:PartiQLInsert", "write a release in PartiQL", NOBODY,
        lambda c, t: c.client("dynamodb").execute_statement(
            Statement=f"INSERT INTO \"{t.resources['release_table']}\" VALUE {{'pk': 'prompt#nobody', 'sk': 'x'}}")),
    Row("dynamodb:BatchWriteItem", "write releases in a batch", NOBODY,
        lambda c, t: c.client("dynamodb").batch_write_item(RequestItems={t.resources["release_table"]: [
            {"PutRequest": {"Item": {"pk": {"S": "prompt#nobody"}, "sk": {"S": "x"}}}}]})),
    Row("dynamodb:PutItem", "write a timeline", NOBODY, lambda c, t: _put(c, t, "release_table", _ENTRY)),
    Row("dynamodb:DeleteItem", "delete a timeline entry", NOBODY,
        lambda c, t: c.client("dynamodb").delete_item(**_item(t, "release_table", _ENTRY))),
    Row("s3:GetObject", "read a report", PEOPLE,
        lambda c, t: c.client("s3").get_object(**_object(t, "report_bucket", "releases/proof.json"))),
    Row("s3:PutObject", "write a report", NOBODY,
        lambda c, t: c.client("s3").put_object(**_object(t, "report_bucket", "releases/proof.json"), Body=b"{}")),
    Row("s3:GetObject", "read what a version holds, as an agent does", {RUNTIME},
        lambda c, t: c.client("s3").get_object(**_object(t, "version_bucket", "proof/proof.json"))),
    Row("s3:PutObject", "write what a version holds", NOBODY,
        lambda c, t: c.client("s3").put_object(**_object(t, "version_bucket", "proof/proof.json"), Body=b"{}")),
    Row("s3:ListBucketVersions", "find what a report was before", {AUDITOR},
        lambda c, t: c.client("s3").list_object_versions(Bucket=t.resources["report_bucket"], Prefix="releases/")),
    Row("s3:GetObject", "read a timeline's locked copy", {OPERATOR, AUDITOR},
        lambda c, t: c.client("s3").get_object(**_object(t, "audit_bucket", "timeline/proof.json"))),
    Row("s3:DeleteObject", "delete a timeline's locked copy", NOBODY,
        lambda c, t: c.client("s3").delete_object(**_object(t, "audit_bucket", "timeline/proof.json"))),
    Row("cloudtrail:LookupEvents", "see who did what", {OPERATOR, AUDITOR},
        lambda c, t: c.client("cloudtrail").lookup_events(MaxResults=1)),
    Row("s3:GetObject", "read the trail's log files", {OPERATOR, AUDITOR},
        lambda c, t: c.client("s3").get_object(**_object(t, "audit_bucket", "AWSLogs/proof.json.gz"))),
    Row("s3:DeleteObject", "delete the trail's log files", NOBODY,
        lambda c, t: c.client("s3").delete_object(**_object(t, "audit_bucket", "AWSLogs/proof.json.gz"))),
    Row("cloudtrail:ListPublicKeys", "validate the trail's log files", {AUDITOR},
        lambda c, t: c.client("cloudtrail").list_public_keys()),
    Row("cloudtrail:StopLogging", "stop the trail", NOBODY,
        lambda c, t: c.client("cloudtrail").stop_logging(Name=t.resources["trail"])),
    Row("logs:StartQuery", "query what was sent and answered", {OPERATOR, AUDITOR},
        lambda c, t: c.client("logs").start_query(logGroupName=t.resources["invocation_log_group"], startTime=0,
                                                  endTime=1, queryString="limit 1")),
    Row("logs:FilterLogEvents", "read a function's log", {OPERATOR, AUDITOR},
        lambda c, t: c.client("logs").filter_log_events(logGroupName=t.resources["relay_log_group"], limit=1)),
    Row("bedrock:PutModelInvocationLoggingConfiguration", "change what is logged", NOBODY,
        lambda c, t: c.client("bedrock").put_model_invocation_logging_configuration(loggingConfig={})),
    Row("cloudwatch:GetMetricData", "read metrics", PEOPLE,
        lambda c, t: c.client("cloudwatch").get_metric_data(MetricDataQueries=[], StartTime=0, EndTime=60)),
    Row("cloudwatch:PutMetricData", "count requests", {RUNTIME}, lambda c, t: _metric(c, "Promptlane")),
    Row("cloudwatch:PutMetricData", "write others' metrics", NOBODY, lambda c, t: _metric(c, "Elsewhere")),
    Row("ssm:GetParametersByPath", "find the deployment", PEOPLE,
        lambda c, t: c.client("ssm").get_parameters_by_path(Path="/promptlane/resources")),
    Row("ssm:PutParameter", "send a reviewer's mails elsewhere", NOBODY,
        lambda c, t: c.client("ssm").put_parameter(Name="/promptlane/reviewers/nobody", Value="{}", Type="String")),
    Row("sns:Subscribe", "ask a reviewer again to subscribe", {OPERATOR}, lambda c, t: _subscribe(c, t)),
    Row("sns:Subscribe", "subscribe somebody else to a reviewer's topic", NOBODY,
        lambda c, t: _subscribe(c, t, endpoint="nobody@example.com")),
    Row("sns:Subscribe", "let a queue listen to a reviewer's topic", NOBODY,
        lambda c, t: _subscribe(c, t, protocol="sqs", endpoint="arn:aws:sqs:us-east-1:000000000000:nobody")),
    Row("sns:SetTopicAttributes", "change a reviewer's topic", NOBODY,
        lambda c, t: c.client("sns").set_topic_attributes(TopicArn=t.resources["reviewer_topic"],
                                                          AttributeName="DisplayName", AttributeValue="proof")),
    Row("sns:ListSubscriptionsByTopic", "see who is subscribed", {OPERATOR, AUDITOR},
        lambda c, t: c.client("sns").list_subscriptions_by_topic(TopicArn=t.resources["reviewer_topic"])),
    Row("dynamodb:PutItem", "declare a reviewer", NOBODY, lambda c, t: _put(c, t, "release_table", _DECLARED)),
    Row("lambda:InvokeFunction", "enrol a prompt past CloudFormation", NOBODY,
        lambda c, t: c.client("lambda").invoke(FunctionName=t.resources["enrol_function"], Payload=b"{}")),
    Row("dynamodb:PutItem", "write what is enrolled", NOBODY, lambda c, t: _put(c, t, "release_table", _ENROLMENT)),
    Row("s3:PutObject", "replace a deployed policy", NOBODY,
        lambda c, t: c.client("s3").put_object(Bucket=_assets(t), Key="nobody.json", Body=b"{}")),
    Row("s3:PutObject", "replace the policy that a release reads", NOBODY,
        lambda c, t: c.client("s3").put_object(**_object(t, "report_bucket", "config/nobody.json"), Body=b"{}")),
)  # fmt: skip
