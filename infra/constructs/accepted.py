"""Findings of cdk-nag that are accepted, each with its reason."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def accept_finding(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept one finding such as `IAM5[Resource::*]`."""
    Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions-{finding}", reason=reason))
