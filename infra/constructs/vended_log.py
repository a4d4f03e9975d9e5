"""Log groups that AWS services write to on our behalf."""

from aws_cdk import Aws, Fn
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config import DeploymentConfig


def vended_log(scope: Construct, id: str, *, config: DeploymentConfig, service: str, name: str) -> logs.LogGroup:
    """`/aws/vendedlogs/<service>/<name>-<end of the stack's id>`.

    The prefix is one that AWS's log delivery needs no entry for in the account's one policy, which has 5,120
    characters. The end differs from stack to stack of one name: a group that was kept is in nobody's way.
    """
    unique = Fn.select(4, Fn.split("-", Fn.select(2, Fn.split("/", Aws.STACK_ID))))
    return logs.LogGroup(
        scope,
        id,
        log_group_name=f"/aws/vendedlogs/{service}/{name}-{unique}",
        retention=config.log_retention,
        removal_policy=config.removal,
    )
