"""CloudFormation: resources that are larger than their services allow, as stacks of many prompts and people make them.

MiniStack takes them. The checks run before a resource is made or changed, on its resolved properties; what several
stacks add to one role or rule together is counted where it is kept. Each gives the service's own error.

Sources: "IAM and AWS STS quotas"; "Lambda quotas"; "Amazon EventBridge quotas"; "CloudWatch
Logs quotas"; "CloudWatch metrics quotas"; PutParameter, PutKeyPolicy and PutResourcePolicy (DynamoDB) in the API
references. The messages of IAM, SSM and Lambda are known ones; the others are in our words, and nothing reads them.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import cloudwatch_logs, iam, lambda_svc
from ministack.services.cloudformation import handlers as handlers_of_stacks
from ministack.services.cloudformation import provisioners

from local import seams
from local.gaps import property_schemas

Props = dict[str, Any]
Check = Callable[[Props], Iterator[str]]


def install() -> None:
    seams.require(provisioners, "_RESOURCE_HANDLERS")
    seams.require(iam, "_roles")
    seams.require(cloudwatch_logs, "_log_groups")
    seams.require(lambda_svc, "_unzipped_size", "_UNZIPPED_LIMIT_BYTES", "_fetch_code_from_s3", "_resolve_layer_zip")

    @seams.replace(handlers_of_stacks, "_capabilities_enforced")
    def enforced(original: Any) -> bool:
        """Also where IAM itself is not enforced: CloudFormation asks before it looks at who calls."""
        return True

    for kind, handlers in provisioners._RESOURCE_HANDLERS.items():
        _check_first(kind, handlers)


def refusal(kind: str, props: Props) -> str:
    """Why a resource of these properties would not be made; "" if it would."""
    if invalid := property_schemas.refusal(kind, props):
        return invalid
    return next(CHECKS[kind](props), "") if kind in CHECKS else ""


def _check_first(kind: str, handlers: Props) -> None:
    create, update = handlers.get("create"), handlers.get("update")

    def check(props: Props) -> None:
        if refused := refusal(kind, props):
            raise ValueError(refused)

    if create:

        def created(logical_id: str, props: Props, *rest: Any, **named: Any) -> Any:
            check(props)
            return create(logical_id, props, *rest, **named)

        handlers["create"] = functools.update_wrapper(created, create)
    if update:

        def updated(name: str, old: Props, new: Props, *rest: Any, **named: Any) -> Any:
            check(new)
            return update(name, old, new, *rest, **named)

        handlers["update"] = functools.update_wrapper(updated, update)  # MiniStack looks at the signature


def _characters(document: Any) -> int:
    """As IAM counts: white space between the elements is free."""
    text = document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))
    return len(re.sub(r"\s", "", text))


def _bytes(document: Any) -> int:
    text = document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))
    return len(text.encode())


def managed_policy(props: Props) -> Iterator[str]:
    if _characters(props.get("PolicyDocument", "")) > 6144:
        yield "Cannot exceed quota for PolicySize: 6144 (Service: Iam, Status Code: 409)"
    for role in props.get("Roles") or []:
        attached = (iam._roles.get(str(role)) or {}).get("AttachedPolicies", [])
        if len(attached) >= 10:
            yield "Cannot exceed quota for PoliciesPerRole: 10 (Service: Iam, Status Code: 409)"


def role(props: Props) -> Iterator[str]:
    if _characters(props.get("AssumeRolePolicyDocument", "")) > 2048:
        yield "Cannot exceed quota for ACLSizePerRole: 2048 (Service: Iam, Status Code: 409)"
    if len(props.get("ManagedPolicyArns") or []) > 10:
        yield "Cannot exceed quota for PoliciesPerRole: 10 (Service: Iam, Status Code: 409)"
    if sum(_characters(one.get("PolicyDocument", "")) for one in props.get("Policies") or []) > 10_240:
        yield f"Maximum policy size of 10240 bytes exceeded for role {props.get('RoleName', '')}"


def inline_policy(props: Props) -> Iterator[str]:
    for name in props.get("Roles") or []:
        kept = dict((iam._roles.get(str(name)) or {}).get("InlinePolicies") or {})
        kept[str(props.get("PolicyName"))] = props.get("PolicyDocument", "")
        if sum(_characters(one) for one in kept.values()) > 10_240:
            yield f"Maximum policy size of 10240 bytes exceeded for role {name}"


def parameter(props: Props) -> Iterator[str]:
    if props.get("Tier", "Standard") == "Standard" and len(str(props.get("Value", ""))) > 4096:
        yield (
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
            "parameter value, upgrade the parameter to use the advanced-parameter tier."
        )


def function(props: Props) -> Iterator[str]:
    variables = (props.get("Environment") or {}).get("Variables") or {}
    if _bytes({name: str(value) for name, value in variables.items()}) > 4096:
        yield (
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided exceeded the 4KB limit."
        )
    if len(props.get("Layers") or []) > 5:
        yield "Cannot reference more than 5 layers."
    if sum(lambda_svc._unzipped_size(zipped) for zipped in _zips(props)) > lambda_svc._UNZIPPED_LIMIT_BYTES:
        yield f"Unzipped size must be smaller than {lambda_svc._UNZIPPED_LIMIT_BYTES} bytes"


def _zips(props: Props) -> Iterator[bytes | None]:
    """A function's code, where it lies in S3, and its layers."""
    code = props.get("Code") or {}
    if "S3Key" in code:
        yield lambda_svc._fetch_code_from_s3(code["S3Bucket"], code["S3Key"], version_id=code.get("S3ObjectVersion"))
    for layer in props.get("Layers") or []:
        yield lambda_svc._resolve_layer_zip(str(layer))


def layer(props: Props) -> Iterator[str]:
    content = props.get("Content") or {}
    if "S3Key" in content:
        zipped = lambda_svc._fetch_code_from_s3(content["S3Bucket"], content["S3Key"])
        if lambda_svc._unzipped_size(zipped) > lambda_svc._UNZIPPED_LIMIT_BYTES:
            yield f"Unzipped size must be smaller than {lambda_svc._UNZIPPED_LIMIT_BYTES} bytes"


def rule(props: Props) -> Iterator[str]:
    if props.get("EventPattern") and _bytes(props["EventPattern"]) > 2048:
        yield "Event pattern is not valid. Reason: it is longer than 2048 characters (LimitExceededException)"
    if len(props.get("Targets") or []) > 5:
        yield "The requested resource exceeds the maximum number allowed: 5 targets of a rule (LimitExceededException)"


def subscription_filter(props: Props) -> Iterator[str]:
    group = cloudwatch_logs._log_groups.get(str(props.get("LogGroupName"))) or {}
    if len(group.get("subscriptionFilters", {}).keys() - {props.get("FilterName")}) >= 2:
        yield "Resource limit exceeded. (LimitExceededException)"


def dashboard(props: Props) -> Iterator[str]:
    body = props.get("DashboardBody", "{}")
    widgets = (json.loads(body) if isinstance(body, str) else body).get("widgets", [])
    shown = [len((widget.get("properties") or {}).get("metrics") or []) for widget in widgets]
    if max(shown, default=0) > 500 or sum(shown) > 2500:
        yield "The dashboard has more than 500 metrics in a widget, or 2500 in all (InvalidParameterInput)"


def key(props: Props) -> Iterator[str]:
    if _bytes(props.get("KeyPolicy", "")) > 32_768:
        yield "1 validation error detected: Value at 'policy' failed to satisfy constraint: at most 32768 bytes"


def table(props: Props) -> Iterator[str]:
    places = [props, *(props.get("Replicas") or [])]
    if any(_bytes((one.get("ResourcePolicy") or {}).get("PolicyDocument", "")) > 20_480 for one in places):
        yield "Resource-based policy size exceeds the maximum allowed size of 20 KB."


def topic(props: Props) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}(\.fifo)?", str(props.get("TopicName", "x"))):
        yield "Invalid parameter: Topic Name"
    if len(str(props.get("DisplayName", ""))) > 100:
        yield "Invalid parameter: Display name must be at most 100 characters"


CHECKS: dict[str, Check] = {
    "AWS::CloudWatch::Dashboard": dashboard,
    "AWS::DynamoDB::GlobalTable": table,
    "AWS::DynamoDB::Table": table,
    "AWS::Events::Rule": rule,
    "AWS::IAM::ManagedPolicy": managed_policy,
    "AWS::IAM::Policy": inline_policy,
    "AWS::IAM::Role": role,
    "AWS::KMS::Key": key,
    "AWS::Lambda::Function": function,
    "AWS::Lambda::LayerVersion": layer,
    "AWS::Logs::SubscriptionFilter": subscription_filter,
    "AWS::SNS::Topic": topic,
    "AWS::SSM::Parameter": parameter,
}
