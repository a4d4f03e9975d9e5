"""Tells the CLI and people what a stack made: one SSM parameter for all of it, and one output each."""

from collections.abc import Mapping

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.config import DeploymentConfig


class Outputs(Construct):
    """`/<deployment>/resources/<stack>`: a JSON object of resource names (keys as in docs/architecture.md)."""

    def __init__(
        self, scope: Construct, id: str, *, config: DeploymentConfig, stack: str, resources: Mapping[str, str]
    ) -> None:
        super().__init__(scope, id)
        ssm.StringParameter(
            self,
            "Parameter",
            parameter_name=f"{config.parameter_prefix}/resources/{stack}",
            description=f"Resource names of Promptlane's {stack} stack, for its CLI",
            string_value=Stack.of(self).to_json_string(dict(resources)),
        )
        for name, value in resources.items():
            CfnOutput(self, camel_case(name), value=value).override_logical_id(camel_case(name))


def camel_case(name: str) -> str:
    """A name of ours as CloudFormation has it: `roll_back` is RollBack."""
    return "".join(word.capitalize() for word in name.split("_"))
