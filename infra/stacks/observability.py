"""Observability: what is about all prompts at once. What is about one is in that prompt's stack."""

from aws_cdk import Stack
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.health import Health
from infra.constructs.outputs import Outputs
from infra.constructs.overview import Overview
from infra.stacks.audit import AuditStack
from infra.stacks.health import watch_ourselves
from infra.stacks.pipeline.stack import PipelineStack
from infra.stacks.runtime import RuntimeStack
from infra.state import State


class ObservabilityStack(Stack):
    """Knows no prompt by name, so that it stays as it is when prompts come and go."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: DeploymentConfig,
        state: State,
        audit: AuditStack,
        pipeline: PipelineStack,
        runtime: RuntimeStack,
    ) -> None:
        super().__init__(scope, id, description="Promptlane: alarms on itself, and a dashboard of all prompts")
        self.health = Health(self, "Health", deployment=config.name, notices=state.notices)
        watch_ourselves(
            self.health,
            config=config,
            state=state,
            pipeline=pipeline,
            runtime=runtime,
            invocations=audit.invocations,
        )
        overview = Overview(self, "Overview", deployment=config.name, resolution=config.resolution_seconds)
        Outputs(
            self,
            "Resources",
            config=config,
            stack="observability",
            resources={"dashboard": overview.dashboard.dashboard_name},
        )
