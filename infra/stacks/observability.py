"""Observability: for every enrolled prompt its fuse and its dashboard."""

from collections.abc import Sequence

from aws_cdk import Stack
from constructs import Construct

from infra.config import ConfigError, DeploymentConfig
from infra.constructs.dashboard import PromptDashboard
from infra.constructs.fuse import Fuse
from infra.constructs.outputs import Outputs
from infra.state import State
from promptlane.project import PromptProject


class ObservabilityStack(Stack):
    """Refuses a policy whose alarms would cost more than the deployment allows per prompt and month."""

    def __init__(
        self, scope: Construct, id: str, *, config: DeploymentConfig, state: State, projects: Sequence[PromptProject]
    ) -> None:
        super().__init__(scope, id, description="Promptlane: alarms and dashboards of every enrolled prompt")
        self.fuses: dict[str, Fuse] = {}
        dashboards: dict[str, str] = {}
        dear: list[str] = []
        for project in projects:
            policy = project.policy.scaled(config.time_scale)
            fuse = Fuse(
                self,
                f"Fuse-{project.name}",
                deployment=config.name,
                prompt=project.name,
                policy=policy,
                topic=state.alarms,
                resolution=config.resolution_seconds,
            )
            if fuse.monthly_usd > config.budget_usd_per_prompt:
                dear.append(
                    f"the fuse alarms of {project.name} cost ${fuse.monthly_usd:.2f} a month, more than "
                    f"promptlane:budget_usd_per_prompt allows (${config.budget_usd_per_prompt:.2f}); raise it, or "
                    "choose promptlane:resolution_seconds=60"
                )
            shown = PromptDashboard(
                self,
                f"Dashboard-{project.name}",
                deployment=config.name,
                prompt=project.name,
                policy=policy,
                fuse=fuse,
                resolution=config.resolution_seconds,
            )
            self.fuses[project.name] = fuse
            dashboards[project.name] = shown.dashboard.dashboard_name
        if dear:
            raise ConfigError("\n".join(dear))
        Outputs(
            self,
            "Resources",
            config=config,
            stack="observability",
            resources={"dashboards": self.to_json_string(dashboards)},
        )
