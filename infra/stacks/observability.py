"""Observability: what is about all prompts at once. What is about one is in that prompt's stack."""

from aws_cdk import Stack
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.outputs import Outputs
from infra.constructs.overview import Overview


class ObservabilityStack(Stack):
    """Knows no prompt by name, so that it stays as it is when prompts come and go."""

    def __init__(self, scope: Construct, id: str, *, config: DeploymentConfig) -> None:
        super().__init__(scope, id, description="Promptlane: a dashboard of all prompts")
        overview = Overview(self, "Overview", deployment=config.name, resolution=config.resolution_seconds)
        Outputs(
            self,
            "Resources",
            config=config,
            stack="observability",
            resources={"dashboard": overview.dashboard.dashboard_name},
        )
