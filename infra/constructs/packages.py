"""A layer of third-party packages, for Lambda's Python and processor or for this machine's."""

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

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
