"""Findings of cdk-nag that are accepted, each with its reason."""

from typing import Any

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def accept_finding(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept one finding such as `IAM5[Resource::*]`."""
    Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions-{finding}", reason=reason))


def finding_text(resolved: Any) -> str:
    """A resolved ARN as cdk-nag writes it: `<Ref>`, `<Logical.Attribute>`, export names, joined."""
    if isinstance(resolved, str):
        return resolved
    ((function, argument),) = resolved.items()
    if function == "Ref":
        return f"<{argument}>"
    if function == "Fn::GetAtt":
        return f"<{'.'.join(argument)}>"
    if function == "Fn::ImportValue":
        return str(argument)
    if function == "Fn::Sub" and isinstance(argument, str):
        return argument.replace("${", "<").replace("}", ">")
    if function == "Fn::Join":
        return str(argument[0]).join(finding_text(part) for part in argument[1])
    raise ValueError(f"an ARN with {function} cannot be named in a finding")
