"""What the statements of policies are made of: ARNs of this account, and the two kinds of a resource's own policy."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

TABLE_WRITES = tuple(
    f"dynamodb:{action}"
    for action in (
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "PartiQLInsert",
        "PartiQLUpdate",
        "PartiQLDelete",
    )
)
"""Whatever changes items: batches and PartiQL statements are authorized under names of their own."""

TABLE_READS = tuple(f"dynamodb:{action}" for action in ("GetItem", "BatchGetItem", "Query", "ConditionCheckItem"))
"""Whatever reads items whose partition keys a request names."""
KEYLESS_READS = ("dynamodb:Scan", "dynamodb:PartiQLSelect", "dynamodb:ExportTableToPointInTime")
"""Whatever may read items without naming their partition keys."""


def arn(service: str, resource: str, *, region: str = Aws.REGION, account: str = Aws.ACCOUNT_ID) -> str:
    """Built from names, where a reference would be circular or the thing is not ours: `arn("bedrock", "prompt/*")`."""
    return f"arn:{Aws.PARTITION}:{service}:{region}:{account}:{resource}"


def role(pattern: str) -> str:
    return arn("iam", f"role/{pattern}", region="")


def let_in(
    service: str, sid: str, actions: Sequence[str], resource: str = "*", conditions: Mapping[str, Any] | None = None
) -> iam.PolicyStatement:
    """An AWS service, such as `events.amazonaws.com`, may."""
    return iam.PolicyStatement(
        sid=sid,
        principals=[iam.ServicePrincipal(service)],
        actions=list(actions),
        resources=[resource],
        conditions=conditions,
    )


def all_but(principals: str | list[str]) -> dict[str, dict[str, str | list[str]]]:
    """Whoever fits none of these patterns of ARNs."""
    return {"ArnNotLike": {"aws:PrincipalArn": principals}}


def keep_out(who: Mapping[str, Any], sid: str, actions: Sequence[str], resource: str = "*") -> iam.PolicyStatement:
    """They may not, whatever their own policies allow."""
    return iam.PolicyStatement(
        sid=sid,
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=list(actions),
        resources=[resource],
        conditions=who,
    )
