"""A layer of third-party packages, for Lambda's Python and processor or for this machine's."""

from aws_cdk import Annotations, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.bytecode import WITHOUT, compiler
from infra.config import DeploymentConfig
from infra.packaging import Packages, layer


def packages(
    scope: Construct,
    id: str,
    holds: Packages,
    description: str,
    *,
    config: DeploymentConfig,
) -> lambda_.LayerVersion:
    """The packages of requirements/<holds>.txt."""
    return lambda_.LayerVersion(
        scope,
        id,
        description=description,
        code=lambda_.Code.from_asset(str(layer(holds, target=config.lambda_target))),
        compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
        compatible_architectures=[lambda_.Architecture.ARM_64],
    )


def sdk(scope: Construct, *, config: DeploymentConfig) -> lambda_.LayerVersion:
    """The AWS SDK of a stack's functions: the runtime's own differs between Regions, and is not what was tested."""
    stack, name = Stack.of(scope), "Sdk"
    made = stack.node.try_find_child(name)
    if isinstance(made, lambda_.LayerVersion):
        return made
    if compiler(config.lambda_target).python is None:
        Annotations.of(stack).add_warning_v2("promptlane:no-byte-code", WITHOUT)
    return packages(stack, name, "sdk", "The AWS SDK of Promptlane's functions", config=config)
