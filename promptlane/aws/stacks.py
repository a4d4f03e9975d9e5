"""CloudFormation, as a witness: what a stack is doing, and what it shows of one of its resources."""

from __future__ import annotations

from typing import Any

from promptlane.domain.enrolment.ports import Shown
from promptlane.domain.errors import InvalidInput

from .errors import translated


class CloudFormationStacks:
    """`Stacks`. `cloudformation` is the boto3 client.

    A stack that was deleted is shown under its ARN for 90 days, and does not exist after that.
    """

    def __init__(self, cloudformation: Any) -> None:
        self._cloudformation = cloudformation

    def status(self, stack: str) -> str | None:
        try:
            with translated(f"asking CloudFormation for {stack}"):
                stacks = self._cloudformation.describe_stacks(StackName=stack)["Stacks"]
        except InvalidInput as error:
            _absent(error)
            return None
        return str(stacks[0]["StackStatus"]) if stacks else None

    def resource(self, stack: str, logical_id: str) -> Shown | None:
        try:
            with translated(f"asking CloudFormation for {logical_id} of {stack}"):
                found = self._cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
        except InvalidInput as error:
            _absent(error)
            return None
        shown = found["StackResourceDetail"]
        return Shown(
            str(shown["ResourceType"]), str(shown["ResourceStatus"]), str(shown.get("PhysicalResourceId") or "")
        )


def _absent(error: InvalidInput) -> None:
    """CloudFormation says of what is not there that the request is invalid; anything else of that kind is raised."""
    if "does not exist" not in str(error):
        raise error
