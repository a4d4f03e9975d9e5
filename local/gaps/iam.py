"""IAM enforcement (AUTH=true): the right action, resource and condition keys for what we call.

Lacking in MiniStack: it checks `bedrock:Converse` and `dynamodb:ExecuteStatement`, which AWS does not have, mangles
prompt ARNs, checks `states:SendTask*`, `ssm:GetParametersByPath` and the tagging of prompts on `*`, leaves
`cloudwatch:namespace`, `dynamodb:LeadingKeys`, `kms:EncryptionContext:*`, `sns:Protocol`, `sns:Endpoint`, the tags of
prompts and the keys that UntagResource names empty, asks no table for its own policy and a topic twice, and lets a
state machine do what its role may not. Here, as on AWS, Converse on a prompt needs `bedrock:RenderPrompt` on the prompt
(with its version, if the ARN has one) *and* `bedrock:InvokeModel` on the model, and an inference profile needs its
foundation model too. A prompt under a
customer's key needs `kms:Decrypt` and `kms:GenerateDataKey` of whoever reads its content, writes it or converses.
Denied Bedrock calls are CloudTrail events with errorCode AccessDenied.

Still unchecked: what one service may do to another (rule to queue, topic to function, alarm to topic)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import ministack.app as host
from ministack.core import iam_actions, iam_evaluator, router
from ministack.services import bedrock_agent, dynamodb, iam, sns, tagging
from ministack.services import stepfunctions as sfn

from local import seams
from local.gaps import bedrock_runtime, callers, cloudtrail, prompts, stepfunctions
from promptlane.domain.model_regions import GROUPS

_INVOKE = {
    "bedrock:Converse": "bedrock:InvokeModel",
    "bedrock:ConverseStream": "bedrock:InvokeModelWithResponseStream",
    "bedrock:InvokeModelWithBidirectionalStream": "bedrock:InvokeModelWithResponseStream",
}
_PROFILE = re.compile(r"(us|eu|apac|global|us-gov|ca|jp|au)\.(.+)")
_PROMPT = re.compile(r"/prompts/(.+?)(?:/versions)?/?")
_OPTIMIZED = {
    "lambda": "lambda:InvokeFunction",
    "sns": "sns:Publish",
    "events": "events:PutEvents",
    "sqs": "sqs:SendMessage",
}


_STATEMENTS = {
    "dynamodb:ExecuteStatement": "",
    "dynamodb:BatchExecuteStatement": "Statements",
    "dynamodb:ExecuteTransaction": "TransactStatements",
}
"""Where each operation that takes PartiQL has its statements; "": it is one itself."""


class ItemAction(str):
    """The action of one item of a DynamoDB transaction, or of one PartiQL statement, with the keys that it names."""

    keys: list[str]


def install() -> None:
    seams.require(host, "AUTH")
    seams.require(iam_evaluator, "EvalContext", "evaluate", "_gather_role_policies", "_permissions_boundary", "enforce")
    seams.require(router, "extract_access_key_id")
    seams.require(iam, "_roles")
    seams.require(iam_actions, "_dynamodb_table_arn", "_DYNAMODB_TRANSACT_ITEM_ACTIONS")
    seams.require(tagging, "_RESOURCE_TAG_COLLECTORS", "resource_tags")
    seams.require(bedrock_agent, "_tags")
    seams.require(dynamodb, "_tables", "_parse_partiql")
    tagging._RESOURCE_TAG_COLLECTORS["bedrock"] = _prompt_tags
    _actions()
    _resources()
    _context_keys()
    _item_actions()
    _table_policies()
    _topic_policies()
    _models()
    _state_machines()
    _denials()


def _actions() -> None:
    @seams.replace(iam_actions, "extract_iam_action")
    def action(original: Any, service: str, method: str, path: str, *rest: Any) -> str | None:
        if service == "bedrock-runtime" and ":prompt/" in unquote(path):
            return "bedrock:RenderPrompt"
        found: str | None = original(service, method, path, *rest)
        return _INVOKE.get(found or "", found)


def _resources() -> None:
    @seams.replace(iam_actions, "extract_resource_arn")
    def resource(
        original: Any,
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: Any,
        *where: str,
    ) -> str:
        found: str = original(service, method, path, headers, body, query, *where)
        plain = unquote(path)
        if service == "bedrock-runtime":
            model = plain.removeprefix("/model/").rpartition("/")[0]
            return model if model.startswith("arn:") else model_arns(model)[0]
        if service == "bedrock-agent" and (match := _PROMPT.fullmatch(plain)):
            identifier, _, version = match[1].rpartition("prompt/")[2].partition(":")
            version = seams.one(query or {}, "promptVersion") or version
            arn = f"arn:aws:bedrock:{seams.region()}:{seams.account()}:prompt/{identifier}"
            return f"{arn}:{version}" if version else arn
        if service == "bedrock-agent" and plain.startswith("/tags/"):
            return plain.removeprefix("/tags/")
        if service == "ssm" and headers.get("x-amz-target", "").endswith(".GetParametersByPath"):
            path = str(_json(body).get("Path", "/"))
            return f"arn:aws:ssm:{seams.region()}:{seams.account()}:parameter/{path.strip('/')}"
        if service == "states" and ".SendTask" in headers.get("x-amz-target", ""):
            waiting = sfn._task_tokens.get(_json(body).get("taskToken")) or {}
            return str(waiting.get("state_machine") or "*")
        return found


def model_arns(model_id: str) -> list[str]:
    """What invoking a model needs: the model, or the inference profile and the model in every Region of its group."""
    region, is_arn = seams.region(), model_id.startswith("arn:")
    profile = _PROFILE.fullmatch(model_id.partition(":inference-profile/")[2] if is_arn else model_id)
    if profile is None:
        return [model_id if is_arn else f"arn:aws:bedrock:{region}::foundation-model/{model_id}"]
    own = model_id if is_arn else f"arn:aws:bedrock:{region}:{seams.account()}:inference-profile/{model_id}"
    regions = GROUPS.get(profile[1], (region,))
    return [own, *(f"arn:aws:bedrock:{one}::foundation-model/{profile[2]}" for one in regions)]


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _context_keys() -> None:
    @seams.replace(iam_actions, "request_tag_context")
    def context(original: Any, service: str, action: str, body: bytes, params: dict[str, Any]) -> dict[str, Any]:
        found = dict(original(service, action, body, params))
        request = _json(body)
        if action == "cloudwatch:PutMetricData":
            namespace = request.get("Namespace") or seams.one(params, "Namespace")
            if namespace:
                found["cloudwatch:namespace"] = namespace
        if action == "bedrock:UntagResource":
            keys = params.get("tagKeys") or []
            found["aws:TagKeys"] = keys if isinstance(keys, list) else [keys]
        if action == "sns:Subscribe":
            found |= {f"sns:{name}": seams.one(params, name) or "" for name in ("Protocol", "Endpoint")}
        for name, value in (request.get("EncryptionContext") or {}).items() if service == "kms" else ():
            found[f"kms:EncryptionContext:{name}"] = value
        if service == "dynamodb" and (keys := leading_keys(request)):
            found["dynamodb:LeadingKeys"] = keys
        return found


def _prompt_tags() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """(ARN, tags) of everything of Bedrock that was tagged, as MiniStack's collectors give them."""
    for arn, tags in bedrock_agent._tags.items():
        yield arn, [{"Key": name, "Value": value} for name, value in tags.items()]


def leading_keys(request: dict[str, Any]) -> list[str]:
    """The partition keys that a DynamoDB request names, over all its operations."""
    operations = [request]
    operations += [detail for item in request.get("TransactItems") or [] for detail in item.values()]
    for table, asked in (request.get("RequestItems") or {}).items():
        if isinstance(asked, dict):
            operations += [{"TableName": table, "Key": key} for key in asked.get("Keys") or []]
        else:
            operations += [{"TableName": table, **detail} for write in asked for detail in write.values()]
    return [key for operation in operations for key in _keys_of(operation)]


def _keys_of(operation: dict[str, Any]) -> list[str]:
    name = str(operation.get("TableName", "")).rpartition("/")[2]
    table = dynamodb._tables.get(name)
    if not table:
        return []
    value = (operation.get("Key") or operation.get("Item") or {}).get(table["pk_name"])
    if value:
        return [str(next(iter(value.values())))]
    if condition := operation.get("KeyConditionExpression"):
        names, values = (
            operation.get("ExpressionAttributeNames") or {},
            operation.get("ExpressionAttributeValues") or {},
        )
        for attribute, placeholder in re.findall(r"(#?[\w.]+)\s*=\s*(:\w+)", condition):
            if names.get(attribute, attribute) == table["pk_name"] and placeholder in values:
                return [str(next(iter(values[placeholder].values())))]
    return []


def _item_actions() -> None:
    """Each item of a transaction, and each PartiQL statement, is checked by itself, with its own leading key."""

    @seams.replace(iam_actions, "dynamodb_transaction_checks")
    def checks(original: Any, action: str, body: bytes, region: str, account: str) -> list[tuple[str, str]]:
        def checked(name: str, table: str, keys: list[str]) -> tuple[str, str]:
            item = ItemAction(name)
            item.keys = keys
            return item, iam_actions._dynamodb_table_arn(table, region, account)

        request = _json(body)
        if action in _STATEMENTS:
            parsed = (_statement(one) for one in request.get(_STATEMENTS[action]) or [request])
            return [checked(f"dynamodb:PartiQL{kind.title()}", table, keys) for kind, table, keys in parsed]
        if not original(action, body, region, account):
            return []
        return [
            checked(name, detail["TableName"], _keys_of(detail))
            for item in request.get("TransactItems") or []
            for member, detail in item.items()
            if (name := iam_actions._DYNAMODB_TRANSACT_ITEM_ACTIONS.get(member)) and detail.get("TableName")
        ]

    @seams.replace(iam_evaluator, "enforce")
    def enforce(original: Any, key: str, action: str, *rest: Any, service_context: Any = None, **named: Any) -> Any:
        if isinstance(action, ItemAction):
            # Without a key that is known there is no such value: `Null` must see that, as for any other request.
            service_context = {**(service_context or {}), "dynamodb:LeadingKeys": action.keys or None}
        return original(key, action, *rest, service_context=service_context, **named)


def _statement(request: dict[str, Any]) -> tuple[str, str, list[str]]:
    """(kind such as INSERT, table, partition keys) of a PartiQL statement; one that cannot be read is on table `*`."""
    try:
        parsed = dynamodb._parse_partiql(str(request.get("Statement") or ""), request.get("Parameters") or [])
    except ValueError:
        return "SELECT", "*", []
    name = str(parsed["table"])
    table = dynamodb._tables.get(name)
    if not table:
        return str(parsed["op"]), name, []
    given = [(name, value) for name, value in (parsed.get("item") or {}).items()]
    given += [(name, value) for name, operator, value in parsed["conditions"] if operator == "="]
    return str(parsed["op"]), name, [str(next(iter(v.values()))) for name, v in given if name == table["pk_name"]]


def _table_policies() -> None:
    """A table's own policy holds for its items, and for what is read of them by an index."""
    seams.require(dynamodb, "_resource_policies")

    @seams.replace(iam_evaluator, "_resource_policy")
    def policy(original: Any, service: str, resource_arn: str) -> Any:
        if service != "dynamodb" or not resource_arn.startswith("arn:"):
            return original(service, resource_arn)
        kept = dynamodb._resource_policies.get(resource_arn.partition("/index/")[0])
        return None if kept is None else (kept["Policy"], resource_arn.split(":")[4])


def _topic_policies() -> None:
    """A topic's own policy is asked once, with the keys of the request: MiniStack's SNS asks it again without them."""
    seams.require(sns, "_enforce_topic_policy", "_topic_owner")

    @seams.replace(sns, "_enforce_topic_policy")
    def enforce(original: Any, topic: dict[str, Any], action: str) -> Any:
        return None if sns._topic_owner(topic) == seams.account() else original(topic, action)


def _models() -> None:
    """What Converse asks for besides: the model behind a prompt or an inference profile, and the guardrail."""

    def authorize(call: bedrock_runtime.Call) -> None:
        if not host.AUTH:
            return
        if call.prompt_arn:
            record = prompts.find(call.prompt_arn)
            arn = bedrock_agent._prompt_arn(record["Id"])
            prompts.check_key(call.headers, record.get("CustomerEncryptionKeyArn"), arn)
        streamed = call.operation in ("ConverseStream", "InvokeModelWithResponseStream")
        action = "bedrock:InvokeModelWithResponseStream" if streamed else "bedrock:InvokeModel"
        key = router.extract_access_key_id(call.headers, {})
        needed = [(action, arn) for arn in model_arns(call.resolved_model)]
        if guardrail := str((call.body.get("guardrailConfig") or {}).get("guardrailIdentifier") or ""):
            own = f"arn:aws:bedrock:{seams.region()}:{seams.account()}:guardrail/{guardrail}"
            needed.append(("bedrock:ApplyGuardrail", guardrail if guardrail.startswith("arn:") else own))
        for name, arn in needed:
            denied = iam_evaluator.enforce(key, name, "bedrock-runtime", seams.region(), resource_arn=arn)
            if denied:
                who = getattr(denied, "principal_arn", "the caller")
                message = f"User: {who} is not authorized to perform: {name} on resource: {arn}"
                raise prompts.Refused("AccessDeniedException", message, 403)

    bedrock_runtime.authorizers.append(authorize)
    prompts.key_checks.append(_check_prompt_key)


def _check_prompt_key(headers: dict[str, str], key: str, prompt_arn: str) -> None:
    """What Bedrock asks KMS for in the caller's name, with the prompt as the encryption context."""
    if not host.AUTH:
        return
    context = {
        "kms:EncryptionContext:aws:bedrock-prompts:arn": prompt_arn,
        "kms:ViaService": f"bedrock.{seams.region()}.amazonaws.com",
    }
    caller = router.extract_access_key_id(headers, {})
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        denied = iam_evaluator.enforce(caller, action, "kms", seams.region(), resource_arn=key, service_context=context)
        if denied:
            # AWS documents no text of this refusal: the worse case names neither the key nor the action.
            raise prompts.Refused("AccessDeniedException", "Access denied by KMS when accessing the prompt.", 403)


def _state_machines() -> None:
    @seams.replace(sfn, "_invoke_resource")
    def invoke(original: Any, resource: str, data: Any) -> Any:
        if host.AUTH:
            _check_role(resource, data)
        return original(resource, data)


def _check_role(resource: str, data: Any) -> None:
    """Fail a task whose state machine's role may not do it (optimized integrations and aws-sdk calls)."""
    execution = stepfunctions.root.get() or {}
    machine = sfn._state_machines.get(execution.get("stateMachineArn")) or {}
    role = machine.get("roleArn", "")
    action, target = _needed(resource, data if isinstance(data, dict) else {})
    if not role or not action:
        return
    account = role.split(":")[4]
    name = role.rpartition("/")[2]
    policies = iam_evaluator._gather_role_policies(name, account)
    context = iam_evaluator.EvalContext(
        principal_arn=role,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=target,
        region=seams.region(),
    )
    limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
    if iam_evaluator.evaluate(context, policies, *limits).decision != "Allow":
        message = f"{role} is not authorized to perform: {action} on resource: {target}"
        kind = "Lambda.AWSLambdaException" if action.startswith("lambda:") else "States.TaskFailed"
        raise stepfunctions.failure(kind, message)


def _needed(resource: str, data: dict[str, Any]) -> tuple[str, str]:
    """(action, resource) that a task needs, or empty strings where it is not known."""
    here = f"{seams.region()}:{seams.account()}"
    base = resource.removesuffix(".waitForTaskToken").removesuffix(":2").removesuffix(".sync")
    parts = base.split(":")
    if not base.startswith("arn:aws:states:::"):
        return ("lambda:InvokeFunction", base) if ":lambda:" in base else ("", "")
    service, operation = (parts[6], parts[7]) if parts[5] == "aws-sdk" else (parts[5], parts[6])
    operation = operation[:1].upper() + operation[1:]
    if service == "lambda":
        name = str(data.get("FunctionName") or "")
        return _OPTIMIZED["lambda"], name if name.startswith("arn:") else f"arn:aws:lambda:{here}:function:{name}"
    if service == "dynamodb":
        name = str(data.get("TableName") or "")
        return f"dynamodb:{operation}", name if name.startswith("arn:") else f"arn:aws:dynamodb:{here}:table/{name}"
    if service == "states":
        return "states:StartExecution", str(data.get("StateMachineArn") or "*")
    if service == "sns":
        return _OPTIMIZED["sns"], str(data.get("TopicArn") or "*")
    if service == "sqs":
        return _OPTIMIZED["sqs"], f"arn:aws:sqs:{here}:{str(data.get('QueueUrl') or '').rpartition('/')[2]}"
    if service == "events":
        bus = str((data.get("Entries") or [{}])[0].get("EventBusName") or "default").rpartition("/")[2]
        return _OPTIMIZED["events"], f"arn:aws:events:{here}:event-bus/{bus}"
    return "", ""


def _denials() -> None:
    @seams.replace(iam_actions, "access_denied_response")
    def denied(
        original: Any, service: str, action: str, principal: str, request_id: str, **named: Any
    ) -> seams.Response:
        reply: seams.Response = original(service, action, principal, request_id, **named)
        if service in ("bedrock-agent", "bedrock-runtime") and not named.get("error_code"):
            name = action.partition(":")[2]
            resource = named.get("resource_arn", "*")
            message = f"User: {principal} is not authorized to perform: {action} on resource: {resource}"
            on_model = service == "bedrock-runtime"
            cloudtrail.record(
                {"RenderPrompt": "Converse", "InvokeModel": "Converse"}.get(name, name),
                identity=callers.identity(named.get("headers") or {}),
                request={"modelId" if on_model else "promptIdentifier": resource},
                read_only=on_model or name in ("GetPrompt", "ListPrompts"),
                error=("AccessDenied", message),
            )
        return reply
