"""CloudFormation: resource types and properties that MiniStack lacks.

Types: Bedrock Prompt, PromptVersion, Guardrail and GuardrailVersion, CloudTrail Trail, CloudWatch CompositeAlarm, Logs
QueryDefinition (and its API). Properties that MiniStack drops silently: DynamoDB deletion protection, point-in-time
recovery, TTL, encryption and resource policy (in Replicas too); Lambda reserved concurrency, dead-letter queue and key;
Object Lock and tags of buckets; permission boundaries. Types without effect here are accepted and do nothing; so are
lifecycle, logging, encryption and public access settings of buckets.

Handlers run on the event loop: they call MiniStack's functions, never its endpoint."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import bedrock, bedrock_agent, cloudtrail, cloudwatch, dynamodb, iam, lambda_svc, s3
from ministack.services.cloudformation import provisioners

from local import seams
from local.gaps import callers, prompts

Made = tuple[str, dict[str, Any]]
WITHOUT_EFFECT = ("AWS::XRay::Group", "AWS::XRay::SamplingRule", "AWS::ResourceGroups::Group", "AWS::Budgets::Budget")
VERBATIM = ("Tags", "AdditionalModelRequestFields", "Json", "Metadata")
CALLER = "cloudformation.amazonaws.com"

_queries = AccountRegionScopedDict()


def install() -> None:
    seams.require(provisioners, "_RESOURCE_HANDLERS", "_physical_name")
    seams.require(cloudtrail, "_DISPATCH", "_trail_arn", "_start_logging", "_stop_logging", "_delete_trail")
    seams.require(cloudwatch, "_put_composite_alarm", "_composite_alarms")
    seams.require(bedrock, "_create_guardrail", "_update_guardrail", "_delete_guardrail", "_guardrail_arn")
    seams.require(bedrock, "_create_guardrail_version", "_guardrail_versions")
    seams.require(dynamodb, "_tables", "_update_ttl", "_update_continuous_backups", "_put_resource_policy")
    seams.require(iam, "_roles", "_users")
    seams.require(s3, "_bucket_object_lock", "_bucket_tags", "_bucket_versioning")
    add("AWS::Bedrock::Prompt", prompt_create, prompt_update, prompt_delete)
    add("AWS::Bedrock::PromptVersion", version_create, None, version_delete)
    add("AWS::Bedrock::Guardrail", guardrail_create, guardrail_update, guardrail_delete)
    add("AWS::Bedrock::GuardrailVersion", guardrail_version_create, None, guardrail_version_delete)
    add(
        "AWS::CloudTrail::Trail",
        trail_create,
        trail_update,
        lambda name, props: cloudtrail._delete_trail({"Name": name}),
    )
    add("AWS::CloudWatch::CompositeAlarm", composite_create, composite_update, composite_delete)
    add("AWS::Logs::QueryDefinition", query_create, query_update, lambda query, props: _queries.pop(query, None))
    for kind in WITHOUT_EFFECT:
        add(kind, nothing_create, lambda name, old, new, stack: (name, {"Arn": name}), lambda name, props: None)
    for kind in ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"):
        after(kind, table)
    after("AWS::Lambda::Function", function)
    after("AWS::S3::Bucket", bucket)
    after("AWS::IAM::Role", lambda name, props: boundary(iam._roles, name, props))
    secrets_by_arn()
    named_by_stack("AWS::Logs::LogGroup", "LogGroupName", 512)
    named_by_stack("AWS::SSM::Parameter", "Name", 1011)
    after("AWS::IAM::User", lambda name, props: boundary(iam._users, name, props))
    seams.wrap("logs", query_definitions)
    seams.keep("queries", _queries)


def add(
    kind: str,
    create: Callable[[str, dict[str, Any], str], Made],
    update: Callable[[str, dict[str, Any], dict[str, Any], str], Made] | None,
    delete: Callable[[str, dict[str, Any]], Any],
) -> None:
    handlers: dict[str, Any] = {"create": create, "delete": delete}
    if update:
        handlers["update"] = lambda name, old, new, stack, *rest, **named: update(name, old, new, stack)
    provisioners._RESOURCE_HANDLERS[kind] = handlers


def after(kind: str, finish: Callable[[str, dict[str, Any]], None]) -> None:
    """Run `finish(physical id, properties)` after MiniStack's own create and update of a type."""
    handlers = provisioners._RESOURCE_HANDLERS[kind]
    create, update = handlers["create"], handlers.get("update")

    def created(logical_id: str, props: dict[str, Any], stack: str) -> Any:
        made = create(logical_id, props, stack)
        finish(made[0], props)
        return made

    def updated(name: str, old: dict[str, Any], new: dict[str, Any], *rest: Any, **named: Any) -> Any:
        made = update(name, old, new, *rest, **named)
        finish(made[0], new)
        return made

    handlers["create"] = created
    if update:
        functools.update_wrapper(updated, update)  # MiniStack looks at the signature
        handlers["update"] = updated


def secrets_by_arn() -> None:
    """`Ref` of a secret is its ARN, as policies and functions need it; MiniStack gives its name."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def name(arn: str) -> str:
        return arn.rpartition(":")[2].rpartition("-")[0] if arn.startswith("arn:") else arn

    def created(logical_id: str, props: dict[str, Any], stack: str) -> Made:
        _, attributes = create(logical_id, props, stack)
        return attributes["Arn"], attributes

    def updated(arn: str, old: dict[str, Any], new: dict[str, Any], *rest: Any, **named: Any) -> Any:
        made = update(name(arn), old, new, *rest, **named)
        return (made[1]["Arn"], made[1]) if isinstance(made, tuple) else made

    functools.update_wrapper(updated, update)  # MiniStack looks at the signature
    handlers |= {"create": created, "update": updated, "delete": lambda arn, props: delete(name(arn), props)}


def named_by_stack(kind: str, prop: str, longest: int) -> None:
    """What has no name gets one that begins with its stack's, as policies expect; MiniStack gives a path."""
    handlers = provisioners._RESOURCE_HANDLERS[kind]
    create, update = handlers["create"], handlers["update"]

    def created(logical_id: str, props: dict[str, Any], stack: str) -> Made:
        made: Made = create(logical_id, {**props, prop: name_of(props, prop, stack, logical_id, longest)}, stack)
        return made

    def updated(name: str, old: dict[str, Any], new: dict[str, Any], *rest: Any, **named: Any) -> Any:
        return update(name, {prop: name, **old}, {prop: name, **new}, *rest, **named)

    functools.update_wrapper(updated, update)  # MiniStack looks at the signature
    handlers |= {"create": created, "update": updated}


def name_of(props: dict[str, Any], key: str, stack: str, logical_id: str, longest: int) -> str:
    return str(props.get(key) or provisioners._physical_name(stack, logical_id, max_len=longest))


def answered(reply: Any) -> dict[str, Any]:
    """The JSON of a MiniStack reply; raises ValueError, which fails the resource, where it is an error."""
    status, body = reply[0], reply[-1]
    if status >= 300:
        raise ValueError(body.decode() if isinstance(body, bytes) else str(body))
    try:
        found: dict[str, Any] = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found


def small(value: Any) -> Any:
    """Template spelling (`TemplateType`) as API spelling (`templateType`); free-form JSON and tags stay."""
    if isinstance(value, dict):
        return {k[:1].lower() + k[1:]: v if k in VERBATIM else small(v) for k, v in value.items()}
    return [small(item) for item in value] if isinstance(value, list) else value


def true(value: Any) -> bool:
    return str(value).lower() == "true"


# Bedrock


def _prompt_body(props: dict[str, Any]) -> dict[str, Any]:
    """As AWS's handler sends it: numbers of the settings are numbers, but in free-form JSON every number, true and
    false has become text, as users saw in the schemas of tools."""
    body: dict[str, Any] = small(props)
    for variant in body.get("variants") or []:
        if isinstance(variant.get("metadata"), list):
            variant["metadata"] = small(variant["metadata"])
        if "additionalModelRequestFields" in variant:
            variant["additionalModelRequestFields"] = _as_text(variant["additionalModelRequestFields"])
        chat = (variant.get("templateConfiguration") or {}).get("chat") or {}
        for tool in (chat.get("toolConfiguration") or {}).get("tools") or []:
            if "toolSpec" in tool:
                schema = tool["toolSpec"]["inputSchema"]
                schema["json"] = _as_text(schema["json"])
        text = (variant.get("inferenceConfiguration") or {}).get("text") or {}
        for field, convert in (("temperature", float), ("topP", float), ("maxTokens", int)):
            if field in text:
                text[field] = convert(text[field])
    return body


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _call(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return prompts.call(operation, request, callers.service(CALLER))
    except prompts.Refused as refused:
        raise ValueError(f"{refused.code}: {refused.message}") from refused


def _attributes(made: dict[str, Any]) -> dict[str, Any]:
    shown = {"Arn": "arn", "Id": "id", "PromptId": "id", "Version": "version", "Name": "name"}
    return {name: made[key] for name, key in shown.items()} | {
        "CreatedAt": made["createdAt"],
        "UpdatedAt": made["updatedAt"],
    }


def prompt_create(logical_id: str, props: dict[str, Any], stack: str) -> Made:
    made = _call("CreatePrompt", _prompt_body(props))
    return made["arn"], _attributes(made)


def prompt_update(arn: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> Made:
    return arn, _attributes(_call("UpdatePrompt", _prompt_body(new) | {"promptIdentifier": arn}))


def prompt_delete(arn: str, props: dict[str, Any]) -> None:
    _call("DeletePrompt", {"promptIdentifier": arn})


def version_create(logical_id: str, props: dict[str, Any], stack: str) -> Made:
    request = small(props)
    made = _call("CreatePromptVersion", {**request, "promptIdentifier": request.pop("promptArn")})
    return made["arn"], _attributes(made)


def version_delete(arn: str, props: dict[str, Any]) -> None:
    identifier, _, number = arn.rpartition(":")
    if f"{identifier.rpartition('/')[2]}/{number}" in bedrock_agent._prompt_versions:
        _call("DeletePrompt", {"promptIdentifier": identifier, "promptVersion": number})


def guardrail_create(logical_id: str, props: dict[str, Any], stack: str) -> Made:
    made = answered(bedrock._create_guardrail(json.dumps(small({k: v for k, v in props.items() if k != "Tags"}))))
    identifier = made["guardrailId"]
    attributes = {"GuardrailId": identifier, "GuardrailArn": made["guardrailArn"], "Version": made["version"]}
    return made["guardrailArn"], attributes | {"Status": "READY"}


def guardrail_update(arn: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> Made:
    identifier = arn.rpartition("/")[2]
    answered(bedrock._update_guardrail(identifier, json.dumps(small({k: v for k, v in new.items() if k != "Tags"}))))
    return arn, {"GuardrailId": identifier, "GuardrailArn": arn, "Version": "DRAFT", "Status": "READY"}


def guardrail_delete(arn: str, props: dict[str, Any]) -> None:
    bedrock._delete_guardrail(arn.rpartition("/")[2], {})


def guardrail_version_create(logical_id: str, props: dict[str, Any], stack: str) -> Made:
    identifier = props["GuardrailIdentifier"]
    made = answered(
        bedrock._create_guardrail_version(identifier, json.dumps({"description": props.get("Description")}))
    )
    arn = bedrock._guardrail_arn(made["guardrailId"])
    return f"{arn}|{made['version']}", {
        "GuardrailArn": arn,
        "GuardrailId": made["guardrailId"],
        "Version": made["version"],
    }


def guardrail_version_delete(name: str, props: dict[str, Any]) -> None:
    arn, _, version = name.rpartition("|")
    bedrock._guardrail_versions.pop(f"{arn.rpartition('/')[2]}/{version}", None)


# CloudTrail


def trail_create(logical_id: str, props: dict[str, Any], stack: str) -> Made:
    name = name_of(props, "TrailName", stack, logical_id, 128)
    made = answered(cloudtrail._DISPATCH["CreateTrail"](_trail(name, props)))
    _trail_settings(name, props)
    return name, {"Arn": made["trailARN"] if "trailARN" in made else made["TrailARN"]}


def trail_update(name: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> Made:
    answered(cloudtrail._DISPATCH["UpdateTrail"](_trail(name, new)))
    _trail_settings(name, new)
    return name, {"Arn": cloudtrail._trail_arn(name)}


def _trail(name: str, props: dict[str, Any]) -> dict[str, Any]:
    body = {**props, "Name": name, "KmsKeyId": props.get("KMSKeyId", "")}
    for flag in ("IsMultiRegionTrail", "EnableLogFileValidation", "IncludeGlobalServiceEvents", "IsOrganizationTrail"):
        if flag in body:
            body[flag] = true(body[flag])
    return body


def _trail_settings(name: str, props: dict[str, Any]) -> None:
    selectors: dict[str, Any] = {}
    if advanced := props.get("AdvancedEventSelectors"):
        selectors["AdvancedEventSelectors"] = advanced
    elif basic := props.get("EventSelectors"):
        selectors["EventSelectors"] = basic
    if selectors:
        answered(cloudtrail._put_event_selectors({"TrailName": name, **selectors}))
    (cloudtrail._start_logging if true(props.get("IsLogging", True)) else cloudtrail._stop_logging)({"Name": name})


# CloudWatch and Logs


def _composite(name: str, props: dict[str, Any]) -> Made:
    reply = cloudwatch._put_composite_alarm({}, {**props, "AlarmName": name}, False, True)
    answered(reply)
    return name, {"Arn": f"arn:aws:cloudwatch:{seams.region()}:{seams.account()}:alarm:{name}"}


def composite_create(logical_id: str, props: dict[str, Any], stack: str) -> Made:
    return _composite(name_of(props, "AlarmName", stack, logical_id, 255), props)


def composite_update(name: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> Made:
    return _composite(name, new)


def composite_delete(name: str, props: dict[str, Any]) -> None:
    cloudwatch._composite_alarms.pop(name, None)


def _put_query(definition: dict[str, Any], identifier: str | None = None) -> str:
    identifier = identifier or definition.get("queryDefinitionId") or seams.new_uuid()
    _queries[identifier] = {
        "queryDefinitionId": identifier,
        "name": definition["name"],
        "queryString": definition["queryString"],
        "logGroupNames": definition.get("logGroupNames") or [],
    }
    return identifier


def query_create(logical_id: str, props: dict[str, Any], stack: str) -> Made:
    identifier = _put_query(small(props))
    return identifier, {"QueryDefinitionId": identifier}


def query_update(identifier: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> Made:
    return _put_query(small(new), identifier), {"QueryDefinitionId": identifier}


async def query_definitions(
    inner: seams.Handler, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
) -> seams.Response:
    """Put, Describe and DeleteQueryDefinition."""
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    if not action.endswith(("QueryDefinition", "QueryDefinitions")):
        return await inner(method, path, headers, body, query)
    request = json.loads(body or b"{}")
    reply: dict[str, Any]
    if action == "PutQueryDefinition":
        reply = {"queryDefinitionId": _put_query(request)}
    elif action == "DeleteQueryDefinition":
        reply = {"success": _queries.pop(request["queryDefinitionId"], None) is not None}
    else:
        prefix = request.get("queryDefinitionNamePrefix") or ""
        reply = {"queryDefinitions": [found for found in _queries.values() if found["name"].startswith(prefix)]}
    return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(reply).encode()


def nothing_create(logical_id: str, props: dict[str, Any], stack: str) -> Made:
    name = provisioners._physical_name(stack, logical_id, max_len=64)
    return name, {"Arn": name}


# Properties of types that MiniStack has


def table(name: str, props: dict[str, Any]) -> None:
    replicas = props.get("Replicas") or []
    here = next((replica for replica in replicas if replica.get("Region") == seams.region()), props)
    record = dynamodb._tables[name]
    protected = here.get("DeletionProtectionEnabled", props.get("DeletionProtectionEnabled", False))
    record["DeletionProtectionEnabled"] = true(protected)
    recovery = here.get("PointInTimeRecoverySpecification") or props.get("PointInTimeRecoverySpecification") or {}
    wanted = {"PointInTimeRecoveryEnabled": true(recovery.get("PointInTimeRecoveryEnabled"))}
    dynamodb._update_continuous_backups({"TableName": name, "PointInTimeRecoverySpecification": wanted})
    ttl = props.get("TimeToLiveSpecification") or {}
    if true(ttl.get("Enabled")):
        settings = {"Enabled": True, "AttributeName": ttl["AttributeName"]}
        dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": settings})
    encryption = props.get("SSESpecification") or {}
    if true(encryption.get("SSEEnabled")):
        key = (here.get("SSESpecification") or encryption).get("KMSMasterKeyId", "")
        record["SSEDescription"] = {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}
    policy = (here.get("ResourcePolicy") or props.get("ResourcePolicy") or {}).get("PolicyDocument")
    if policy:
        arn = f"arn:aws:dynamodb:{seams.region()}:{seams.account()}:table/{name}"
        answered(dynamodb._put_resource_policy({"ResourceArn": arn, "Policy": json.dumps(policy)}))


def function(name: str, props: dict[str, Any]) -> None:
    record = lambda_svc._functions.get(name)
    if record is None:
        return
    reserved = props.get("ReservedConcurrentExecutions")
    record["concurrency"] = None if reserved is None else int(reserved)
    for template, api in (("DeadLetterConfig", "DeadLetterConfig"), ("KmsKeyArn", "KMSKeyArn")):
        if props.get(template):
            record["config"][api] = props[template]


def bucket(name: str, props: dict[str, Any]) -> None:
    """Tags; Object Lock, which needs and switches on versioning."""
    s3._bucket_tags[name] = {tag["Key"]: tag["Value"] for tag in props.get("Tags", [])}
    if not true(props.get("ObjectLockEnabled")):
        return
    given = ((props.get("ObjectLockConfiguration") or {}).get("Rule") or {}).get("DefaultRetention")
    retention = given and {
        "Mode": given["Mode"],
        **{unit: int(given[unit]) for unit in ("Days", "Years") if unit in given},
    }
    s3._bucket_object_lock[name] = {"enabled": True, "default_retention": retention or None}
    s3._bucket_versioning[name] = "Enabled"


def boundary(entities: Any, name: str, props: dict[str, Any]) -> None:
    """The permission boundary of a role or user; without it IAM would allow what production denies."""
    if record := entities.get(name):
        record["PermissionsBoundary"] = props.get("PermissionsBoundary")
