"""CloudFormation: names that are taken, and resources that cannot be deleted yet.

MiniStack's CloudFormation makes a second resource over one of the same name, gives a stack that is made again the names
of the one that was, and deletes what AWS keeps: buckets that hold something, managed policies and roles that something
is attached to, protected tables. Here it refuses all that, as AWS does, and names resources by the stack's id. It waits
for the executions of a state machine, which is DELETING meanwhile and starts no others. On AWS such an execution ends
at its next transition; here it goes on until it ends by itself or is stopped, which takes no less.

Sources: the "DeletionPolicy" page and the type reference of the AWS CloudFormation guide; DeleteBucket, DeletePolicy,
DeleteRole, DeleteTable and DeleteStateMachine in the API references.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import (
    cloudformation,
    cloudwatch,
    cloudwatch_logs,
    dynamodb,
    iam,
    lambda_svc,
    s3,
    sns,
    sqs,
    stepfunctions,
)
from ministack.services.cloudformation import provisioners, stacks

from local import seams

Props = dict[str, Any]
MACHINE = "AWS::StepFunctions::StateMachine"
STABLE_SECONDS = 3600.0
"""After which CloudFormation gives up waiting for a state machine."""

_deleting = AccountRegionScopedDict()


def _arn(service: str, kind: str = "") -> Callable[[str], str]:
    return lambda name: f"arn:aws:{service}:{seams.region()}:{seams.account()}:{kind}{name}"


_machine, _topic = _arn("states", "stateMachine:"), _arn("sns")
NAMED: dict[str, tuple[str, Callable[[str], bool]]] = {
    "AWS::Logs::LogGroup": ("LogGroupName", lambda name: name in cloudwatch_logs._log_groups),
    "AWS::CloudWatch::Alarm": ("AlarmName", lambda name: name in cloudwatch._alarms),
    "AWS::CloudWatch::Dashboard": ("DashboardName", lambda name: name in cloudwatch._dashboards),
    MACHINE: ("StateMachineName", lambda name: _machine(name) in stepfunctions._state_machines),
    "AWS::DynamoDB::Table": ("TableName", lambda name: name in dynamodb._tables),
    "AWS::Lambda::Function": ("FunctionName", lambda name: name in lambda_svc._functions),
    "AWS::IAM::ManagedPolicy": (
        "ManagedPolicyName",
        lambda name: any(policy["PolicyName"] == name for policy in iam._policies.values()),
    ),
    "AWS::IAM::Role": ("RoleName", lambda name: name in iam._roles),
    "AWS::SNS::Topic": ("TopicName", lambda name: _topic(name) in sns._topics),
    "AWS::SQS::Queue": ("QueueName", lambda name: name in sqs._queue_name_to_url),
}
"""The property that names a resource of a type, and whether one of that name is there. MiniStack itself refuses a
second bucket, event bus, trail or parameter."""


def install() -> None:
    seams.require(provisioners, "_RESOURCE_HANDLERS", "_NAME_SEED")
    seams.require(cloudformation, "_stacks")
    seams.require(cloudwatch_logs, "_log_groups")
    seams.require(cloudwatch, "_alarms", "_dashboards")
    seams.require(stepfunctions, "_state_machines", "_executions", "_tags")
    seams.require(dynamodb, "_tables")
    seams.require(lambda_svc, "_functions")
    seams.require(iam, "_policies", "_roles", "_users", "_groups")
    seams.require(sns, "_topics")
    seams.require(sqs, "_queue_name_to_url")
    seams.require(s3, "_buckets", "_bucket_has_versions")
    for kind, (prop, taken) in NAMED.items():
        _refuse_taken(kind, prop, taken)
    for kind, check in (
        ("AWS::S3::Bucket", bucket),
        ("AWS::IAM::ManagedPolicy", managed_policy),
        ("AWS::IAM::Role", role),
        ("AWS::DynamoDB::Table", table),
    ):
        _before_delete(kind, check)
    _before_delete(MACHINE, await_executions)

    @seams.replace(stacks, "_runs_on_worker_thread")
    def runs_on_worker_thread(original: Callable[[str], bool], kind: str) -> bool:
        return kind == MACHINE or original(kind)

    @seams.replace(stepfunctions, "_start_execution")
    def start_execution(original: Callable[[Props], Any], data: Props) -> Any:
        if data.get("stateMachineArn") in _deleting:
            return seams.error_reply("StateMachineDeleting", f"State machine is deleting: {data['stateMachineArn']}")
        return original(data)

    @seams.replace(provisioners, "_physical_name")
    def physical_name(original: Callable[..., str], stack: str, logical_id: str, **shape: Any) -> str:
        """The same while the stack lives: what a deleted one left behind is in nobody's way."""
        known = cloudformation._stacks.get(stack) or {}
        replaced = provisioners._NAME_SEED.get() if shape.get("seeded", True) else ""
        token = provisioners._NAME_SEED.set(f"{known.get('StackId', '')}{replaced}")
        try:
            return original(stack, logical_id, **{**shape, "seeded": True})
        finally:
            provisioners._NAME_SEED.reset(token)

    seams.on_reset(_deleting.clear)


def _refuse_taken(kind: str, prop: str, taken: Callable[[str], bool]) -> None:
    handlers = provisioners._RESOURCE_HANDLERS[kind]
    create = handlers["create"]

    def created(logical_id: str, props: Props, stack: str) -> Any:
        name = props.get(prop)
        if name and taken(str(name)):
            raise ValueError(f"Resource of type '{kind}' with identifier '{name}' already exists.")
        return create(logical_id, props, stack)

    handlers["create"] = created


def _before_delete(kind: str, check: Callable[[str, Props], None]) -> None:
    handlers = provisioners._RESOURCE_HANDLERS[kind]
    delete = handlers["delete"]

    def deleted(physical_id: str, props: Props, *rest: Any, **named: Any) -> Any:
        check(physical_id, props)
        return delete(physical_id, props, *rest, **named)

    handlers["delete"] = deleted


def bucket(name: str, props: Props) -> None:
    record = s3._buckets.get(name)
    if record is not None and (record["objects"] or s3._bucket_has_versions(name)):
        raise ValueError("The bucket you tried to delete is not empty. You must delete all versions in the bucket.")


def managed_policy(arn: str, props: Props) -> None:
    entities = [*iam._roles.values(), *iam._users.values(), *iam._groups.values()]
    attached = any(arn in [_attached(one) for one in entity.get("AttachedPolicies", [])] for entity in entities)
    if attached or any(arn == _boundary(entity) for entity in entities):
        raise ValueError("Cannot delete a policy attached to entities.")


def _attached(one: Any) -> str:
    return str(one.get("PolicyArn") if isinstance(one, dict) else one)


def _boundary(entity: Props) -> str:
    found = entity.get("PermissionsBoundary") or ""
    return str(found.get("PermissionsBoundaryArn", "") if isinstance(found, dict) else found)


def role(name: str, props: Props) -> None:
    """CloudFormation detaches the policies that it attached itself."""
    ours = {str(arn) for arn in props.get("ManagedPolicyArns") or []}
    record = iam._roles.get(name) or {}
    if {_attached(one) for one in record.get("AttachedPolicies", [])} - ours:
        raise ValueError("Cannot delete entity, must detach all policies first.")


def table(name: str, props: Props) -> None:
    if (dynamodb._tables.get(name) or {}).get("DeletionProtectionEnabled"):
        raise ValueError(
            "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection "
            "first."
        )


def await_executions(arn: str, props: Props) -> None:
    """On a worker thread. Raises ValueError when it took too long."""
    machine = stepfunctions._state_machines.get(arn)
    if machine is None:
        return
    _deleting[arn] = True
    status, machine["status"] = machine.get("status", "ACTIVE"), "DELETING"
    try:
        deadline = time.monotonic() + STABLE_SECONDS
        while any(_runs(one, arn) for one in list(stepfunctions._executions.values())):
            if time.monotonic() > deadline:
                machine["status"] = status
                raise ValueError(f"Resource {arn} did not stabilize: executions of it are running")
            time.sleep(0.1)
    finally:
        _deleting.pop(arn, None)


def _runs(execution: Props, arn: str) -> bool:
    return bool(execution.get("status") == "RUNNING" and execution.get("stateMachineArn") == arn)
